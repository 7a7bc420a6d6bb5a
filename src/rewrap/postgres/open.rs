//! What the database says of a table, before a sweep begins.

use sqlx::postgres::PgPool;

use super::{Key, PgTable, begin, database_error};
use crate::rewrap::error::SweepError;
use crate::rewrap::row::Column;
use crate::rewrap::sql::pick_columns;
use crate::sql::quote_identifier;

impl PgTable {
    /// The table `name`, or `schema.name`, and those of its columns that hold sealed values.
    ///
    /// # Errors
    /// [`SweepError::UnknownTable`], [`SweepError::NoPrimaryKey`], [`SweepError::UnknownColumn`],
    /// [`SweepError::NoColumn`], [`SweepError::ColumnType`], [`SweepError::HiddenRows`],
    /// [`SweepError::Database`].
    pub async fn open<C: Into<String>>(
        pool: &PgPool,
        name: &str,
        columns: impl IntoIterator<Item = C>,
    ) -> Result<Self, SweepError> {
        let table = name.to_owned();
        let failed = |error| database_error(name, error);
        let mut transaction = begin(pool, name).await?;
        let found: Option<(String, bool)> = sqlx::query_as(
            "SELECT format('%I.%I', n.nspname, c.relname), row_security_active(c.oid) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.oid = to_regclass($1)",
        )
        .bind(name)
        .persistent(false)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed)?;
        let Some((relation, hides_rows)) = found else {
            return Err(SweepError::UnknownTable { table });
        };
        if hides_rows {
            return Err(SweepError::HiddenRows { table });
        }
        let keys: Vec<(String, String)> = sqlx::query_as(
            "SELECT a.attname::text, format_type(a.atttypid, -1) FROM pg_index i \
             CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place) \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number \
             WHERE i.indrelid = to_regclass($1) AND i.indisprimary AND k.place <= i.indnkeyatts \
             ORDER BY k.place",
        )
        .bind(&relation)
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
        if keys.is_empty() {
            return Err(SweepError::NoPrimaryKey { table });
        }
        let found: Vec<(String, String, i32, bool)> = sqlx::query_as(
            "SELECT a.attname::text, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), -1), \
                 CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, \
                 a.attgenerated <> '' \
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
             WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped \
             ORDER BY a.attnum",
        )
        .bind(&relation)
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        let found: Vec<_> = found
            .into_iter()
            .map(|(name, kind, modifier, is_generated)| (name, (kind, modifier, is_generated)))
            .collect();
        let columns = pick_columns(name, columns, &found, |column, details| {
            let (kind, modifier, is_generated) = details;
            match kind.as_str() {
                _ if keys.iter().any(|(key, _)| key == column) => {
                    Err("is part of the primary key".to_owned())
                }
                _ if *is_generated => Err("is generated: it cannot be written".to_owned()),
                "text" | "character varying" | "bytea" => {
                    // Of `varchar(n)` it is n and the four bytes of its header.
                    let max_bytes = modifier.checked_sub(4).and_then(|bytes| bytes.try_into().ok());
                    Ok((max_bytes, kind == "bytea"))
                }
                other => Err(format!("is of {other}: it must be text, varchar or bytea")),
            }
        })?;
        let (columns, are_bytes) = columns
            .into_iter()
            .map(|(name, (max_bytes, is_bytes))| (Column { name, max_bytes }, is_bytes))
            .unzip();
        let key = |(name, kind): (String, String)| Key { name: quote_identifier(&name), kind };
        let keys = keys.into_iter().map(key).collect();
        Ok(Self { pool: pool.clone(), name: table, relation, keys, columns, are_bytes })
    }
}
