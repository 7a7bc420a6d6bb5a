//! What the database says of a table, before a rewrap begins.

use sqlx::postgres::{PgConnection, PgPool};

use super::{KeyColumn, PgTable, begin, database_error};
use crate::rewrap::error::RewrapJobError;
use crate::rewrap::row::Column;
use crate::rewrap::sql::pick_columns;
use crate::sql::quote_identifier;

impl PgTable {
    /// The table `name`, or `schema.name`, and those of its columns that hold sealed values.
    ///
    /// # Errors
    /// [`RewrapJobError::UnknownTable`], [`RewrapJobError::NoPrimaryKey`], [`RewrapJobError::UnknownColumn`],
    /// [`RewrapJobError::NoColumn`], [`RewrapJobError::ColumnType`], [`RewrapJobError::HiddenRows`],
    /// [`RewrapJobError::Database`].
    pub async fn open<C: Into<String>>(
        pool: &PgPool,
        name: &str,
        columns: impl IntoIterator<Item = C>,
    ) -> Result<Self, RewrapJobError> {
        let mut transaction = begin(pool, name).await?;
        let relation = find_relation(&mut transaction, name).await?;
        let keys = read_keys(&mut transaction, name, &relation).await?;
        let found = read_columns(&mut transaction, name, &relation).await?;
        transaction.commit().await.map_err(|error| database_error(name, error))?;
        let columns = pick_columns(name, columns, &found, |column, details| {
            match details.kind.as_str() {
                _ if keys.iter().any(|key| key.name == column) => {
                    Err("is part of the primary key".to_owned())
                }
                _ if details.is_generated => Err("is generated: it cannot be written".to_owned()),
                "text" | "character varying" | "bytea" => {
                    // Of `varchar(n)` it is n and the four bytes of its header.
                    let max_bytes = details.modifier.checked_sub(4);
                    let max_bytes = max_bytes.and_then(|bytes| bytes.try_into().ok());
                    Ok((max_bytes, details.kind == "bytea"))
                }
                other => Err(format!("is of {other}: it must be text, varchar or bytea")),
            }
        })?;
        let (columns, are_bytes) = columns
            .into_iter()
            .map(|(name, (max_bytes, is_bytes))| (Column { name, max_bytes }, is_bytes))
            .unzip();
        let quote = |key: KeyColumn| KeyColumn { name: quote_identifier(&key.name), ..key };
        let (pool, name) = (pool.clone(), name.to_owned());
        let keys = keys.into_iter().map(quote).collect();
        Ok(Self { pool, name, relation, keys, columns, are_bytes })
    }
}

/// The details of a column, as the database describes it.
struct Details {
    kind: String,
    /// The limit of its type, or less than zero.
    modifier: i32,
    is_generated: bool,
}

/// Finds the table, and returns its name as the database writes it.
async fn find_relation(
    transaction: &mut PgConnection,
    name: &str,
) -> Result<String, RewrapJobError> {
    let table = || name.to_owned();
    let found: Option<(String, bool)> = sqlx::query_as(
        "SELECT format('%I.%I', n.nspname, c.relname), row_security_active(c.oid) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid = to_regclass($1)",
    )
    .bind(name)
    .persistent(false)
    .fetch_optional(transaction)
    .await
    .map_err(|error| database_error(name, error))?;
    match found {
        None => Err(RewrapJobError::UnknownTable { table: table() }),
        Some((_, true)) => Err(RewrapJobError::HiddenRows { table: table() }),
        Some((relation, false)) => Ok(relation),
    }
}

/// Reads the columns of the primary key, in their order, with unquoted names.
async fn read_keys(
    transaction: &mut PgConnection,
    name: &str,
    relation: &str,
) -> Result<Vec<KeyColumn>, RewrapJobError> {
    let keys: Vec<(String, String)> = sqlx::query_as(
        "SELECT a.attname::text, format_type(a.atttypid, -1) FROM pg_index i \
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place) \
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number \
         WHERE i.indrelid = to_regclass($1) AND i.indisprimary AND k.place <= i.indnkeyatts \
         ORDER BY k.place",
    )
    .bind(relation)
    .persistent(false)
    .fetch_all(transaction)
    .await
    .map_err(|error| database_error(name, error))?;
    if keys.is_empty() {
        return Err(RewrapJobError::NoPrimaryKey { table: name.to_owned() });
    }
    Ok(keys.into_iter().map(|(name, kind)| KeyColumn { name, kind }).collect())
}

/// Reads all columns of the table, each with its details.
async fn read_columns(
    transaction: &mut PgConnection,
    name: &str,
    relation: &str,
) -> Result<Vec<(String, Details)>, RewrapJobError> {
    let found: Vec<(String, String, i32, bool)> = sqlx::query_as(
        "SELECT a.attname::text, format_type(coalesce(nullif(t.typbasetype, 0), a.atttypid), -1), \
             CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END, \
             a.attgenerated <> '' \
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
         WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped \
         ORDER BY a.attnum",
    )
    .bind(relation)
    .persistent(false)
    .fetch_all(transaction)
    .await
    .map_err(|error| database_error(name, error))?;
    let details =
        |(name, kind, modifier, is_generated)| (name, Details { kind, modifier, is_generated });
    Ok(found.into_iter().map(details).collect())
}
