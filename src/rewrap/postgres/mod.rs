//! A table of PostgreSQL.

mod open;

use std::fmt;

use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Postgres, Row as _, Transaction};

use super::error::RewrapJobError;
use super::key::{KeyPart, RowKey};
use super::row::{Column, ConditionalWrite, Row, Value};
use super::sql::{PAGE_BYTES, read_rows, value_or_too_large};
use super::store::{RowFuture, RowStore};
use crate::postgres::explain;
use crate::sql::quote_identifier;

/// In a stricter one a row that another client has written ends the whole batch.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Beyond so many rows an estimate will do.
const COUNTED: f32 = 2_000_000.0;

/// A table of a PostgreSQL database, by its primary key.
///
/// A column may be of `text`, `varchar` or `bytea`, or of a domain over one. The parts of a
/// key are texts, as the database writes them: `7` of an integer, 36 letters of a `uuid`.
///
/// A batch locks the rows that it writes, as an `UPDATE` does, and passes over those that
/// somebody else has locked: it holds up nobody for longer than one statement, and takes part in
/// no deadlock.
#[derive(Clone)]
pub struct PgTable {
    pool: PgPool,
    name: String,
    /// As the database knows it, quoted.
    relation: String,
    keys: Vec<KeyColumn>,
    columns: Vec<Column>,
    are_bytes: Vec<bool>,
}

/// A column of the primary key: its name, quoted, and its type.
#[derive(Clone)]
struct KeyColumn {
    name: String,
    kind: String,
}

impl PgTable {
    /// Sets the name by which errors and reports call the table: the one that it was opened with,
    /// unless set.
    ///
    /// ```no_run
    /// # async fn open(pool: sqlx::PgPool) -> Result<(), dualkey::rewrap::RewrapJobError> {
    /// use dualkey::rewrap::{PgTable, RowStore};
    ///
    /// let notes = PgTable::open(&pool, "\"tenant 1\".notes", ["body"]).await?.with_name("notes");
    /// assert_eq!(notes.name(), "notes");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The beginning of a statement that reads rows of `t`; the bound is `max`.
    fn select(&self, max: usize) -> String {
        let keys = self.keys.iter().map(|key| format!("t.{}::text", key.name));
        let values = self.columns.iter().map(|column| {
            let name = quote_identifier(&column.name);
            format!("t.{name} IS NULL, CASE WHEN octet_length(t.{name}) <= {max} THEN t.{name} END")
        });
        let all = keys.chain(values).collect::<Vec<_>>().join(", ");
        format!("SELECT {all} FROM {} AS t", self.relation)
    }

    /// `t.a, t.b`.
    fn key_list(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(|key| format!("t.{}", key.name)).collect();
        keys.join(", ")
    }

    /// ` WHERE (t.a, t.b) > ($1::text::bigint, $2::text::uuid)`: the rows after `after`.
    fn after_clause(&self, after: Option<&RowKey>) -> String {
        if after.is_none() {
            return String::new();
        }
        let mark =
            |(place, key): (usize, &KeyColumn)| format!("${}::text::{}", place + 1, key.kind);
        let marks: Vec<_> = self.keys.iter().enumerate().map(mark).collect();
        format!(" WHERE ({}) > ({})", self.key_list(), marks.join(", "))
    }

    /// `unnest($1::text[], $2::text[], …) AS k (k0, k1, …)` of the keys and what else is bound.
    fn keys_relation(&self, further: &str, names: &str) -> String {
        let count = self.keys.len();
        let marks: Vec<_> = (1..=count).map(|place| format!("${place}::text[]")).collect();
        let columns: Vec<_> = (0..count).map(|place| format!("k{place}")).collect();
        format!("unnest({}{further}) AS k ({}{names})", marks.join(", "), columns.join(", "))
    }

    /// `t.a = k.k0::bigint AND …`.
    fn keys_match(&self, keys: &str) -> String {
        let same = |(place, key): (usize, &KeyColumn)| {
            format!("t.{} = {keys}.k{place}::{}", key.name, key.kind)
        };
        self.keys.iter().enumerate().map(same).collect::<Vec<_>>().join(" AND ")
    }

    /// The keys as one array of texts for each of their columns.
    fn arrays<'k>(&self, keys: impl Iterator<Item = &'k RowKey>) -> Vec<Vec<String>> {
        let mut arrays = vec![Vec::new(); self.keys.len()];
        for key in keys {
            for (array, part) in arrays.iter_mut().zip(key.parts()) {
                array.push(part.to_string());
            }
        }
        arrays
    }

    /// A transaction. Behind a pooler, its statements reach one server connection.
    async fn begin(&self) -> Result<Transaction<'static, Postgres>, RewrapJobError> {
        begin(&self.pool, &self.name).await
    }

    fn row(&self, row: &PgRow) -> Result<Row, RewrapJobError> {
        let failed = |error| database_error(&self.name, error);
        let parts: Vec<_> = (0..self.keys.len())
            .map(|place| row.try_get(place).map(KeyPart::Text))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        let mut values = Vec::new();
        for (column, is_bytes) in self.are_bytes.iter().enumerate() {
            let place = self.keys.len() + column * 2;
            let is_null: bool = row.try_get(place).map_err(failed)?;
            let value = if *is_bytes {
                row.try_get::<Option<_>, _>(place + 1).map(|bytes| bytes.map(Value::Bytes))
            } else {
                row.try_get::<Option<_>, _>(place + 1).map(|text| text.map(Value::Text))
            };
            values.push(value_or_too_large(is_null, value.map_err(failed)?));
        }
        Ok(Row { key: RowKey::new(parts), values })
    }

    /// Writes values of one column; says which, by their places among `writes`.
    async fn write_column(
        &self,
        transaction: &mut sqlx::PgConnection,
        column: usize,
        writes: &[(usize, &ConditionalWrite)],
    ) -> Result<Vec<usize>, RewrapJobError> {
        let count = self.keys.len();
        let name = quote_identifier(&self.columns[column].name);
        let is_bytes = self.are_bytes[column];
        // Bytes against bytes, whatever the collation of the column.
        let (array, collate) =
            if is_bytes { ("bytea[]", "") } else { ("text[]", " COLLATE \"C\"") };
        let further =
            format!(", ${}::{array}, ${}::{array}, ${}::bigint[]", count + 1, count + 2, count + 3);
        let given = self.keys_relation(&further, ", old, new, place");
        let keys: Vec<_> = (0..count).map(|place| format!("k.k{place}")).collect();
        let statement = format!(
            "WITH held AS MATERIALIZED ( \
                 SELECT {keys}, k.old, k.new, k.place FROM {given} \
                 JOIN {relation} AS t ON {same} AND t.{name}{collate} = k.old \
                 FOR NO KEY UPDATE OF t SKIP LOCKED \
             ) \
             UPDATE {relation} AS t SET {name} = held.new FROM held \
             WHERE {held} AND t.{name}{collate} = held.old RETURNING held.place",
            keys = keys.join(", "),
            relation = self.relation,
            same = self.keys_match("k"),
            held = self.keys_match("held"),
        );
        let mut query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(statement));
        for array in self.arrays(writes.iter().map(|(_, write)| &write.key)) {
            query = query.bind(array);
        }
        let values = |value: fn(&ConditionalWrite) -> &Value| {
            writes.iter().map(move |(_, write)| value(write))
        };
        for value in [(|write| &write.old) as fn(&ConditionalWrite) -> &Value, |write| &write.new] {
            query = if is_bytes {
                query.bind(values(value).map(Value::as_bytes).collect::<Vec<_>>())
            } else {
                query.bind(values(value).map(text).collect::<Vec<_>>())
            };
        }
        let places = writes.iter().map(|(place, _)| i64::try_from(*place).unwrap_or(i64::MAX));
        let written = query.bind(places.collect::<Vec<_>>());
        let written = written.persistent(false).fetch_all(transaction).await;
        let written = written.map_err(|error| database_error(&self.name, error))?;
        Ok(written.into_iter().filter_map(|place| usize::try_from(place).ok()).collect())
    }
}

impl RowStore for PgTable {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn load_page<'a>(
        &'a self,
        after: Option<&'a RowKey>,
        rows: usize,
        max_value_bytes: usize,
    ) -> RowFuture<'a, Vec<Row>> {
        Box::pin(async move {
            let (select, list) = (self.select(max_value_bytes), self.key_list());
            let beyond = self.after_clause(after);
            let statement = format!("{select}{beyond} ORDER BY {list} LIMIT {rows}");
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for part in after.into_iter().flat_map(RowKey::parts) {
                query = query.bind(part.to_string());
            }
            let failed = |error| database_error(&self.name, error);
            let mut transaction = self.begin().await?;
            let found = query.persistent(false).fetch(&mut *transaction);
            let rows = read_rows(found, PAGE_BYTES, |row| self.row(row), failed).await?;
            transaction.commit().await.map_err(failed)?;
            Ok(rows)
        })
    }

    fn load_rows<'a>(
        &'a self,
        keys: &'a [RowKey],
        max_value_bytes: usize,
    ) -> RowFuture<'a, Vec<Row>> {
        Box::pin(async move {
            let (select, given, same) =
                (self.select(max_value_bytes), self.keys_relation("", ""), self.keys_match("k"));
            let statement = format!("{select} JOIN {given} ON {same}");
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for array in self.arrays(keys.iter()) {
                query = query.bind(array);
            }
            let failed = |error| database_error(&self.name, error);
            let mut transaction = self.begin().await?;
            let rows =
                query.persistent(false).fetch_all(&mut *transaction).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            rows.iter().map(|row| self.row(row)).collect()
        })
    }

    fn write_values<'a>(&'a self, writes: &'a [ConditionalWrite]) -> RowFuture<'a, Vec<bool>> {
        Box::pin(async move {
            let failed = |error| database_error(&self.name, error);
            let mut transaction = self.begin().await?;
            let mut written = vec![false; writes.len()];
            for column in 0..self.columns.len() {
                let of_column: Vec<_> =
                    writes.iter().enumerate().filter(|(_, write)| write.column == column).collect();
                if of_column.is_empty() {
                    continue;
                }
                for place in self.write_column(&mut transaction, column, &of_column).await? {
                    if let Some(written) = written.get_mut(place) {
                        *written = true;
                    }
                }
            }
            transaction.commit().await.map_err(failed)?;
            Ok(written)
        })
    }

    fn count<'a>(&'a self, after: Option<&'a RowKey>) -> RowFuture<'a, Option<u64>> {
        Box::pin(async move {
            let failed = |error| database_error(&self.name, error);
            let mut transaction = self.begin().await?;
            let about: f32 =
                sqlx::query_scalar("SELECT reltuples FROM pg_class WHERE oid = to_regclass($1)")
                    .bind(&self.relation)
                    .persistent(false)
                    .fetch_one(&mut *transaction)
                    .await
                    .map_err(failed)?;
            if about > COUNTED {
                return Ok(after.is_none().then_some(about as u64));
            }
            let beyond = self.after_clause(after);
            let statement = format!("SELECT count(*) FROM {} AS t{beyond}", self.relation);
            let mut query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(statement));
            for part in after.into_iter().flat_map(RowKey::parts) {
                query = query.bind(part.to_string());
            }
            let count =
                query.persistent(false).fetch_one(&mut *transaction).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(u64::try_from(count).ok())
        })
    }

    fn check_writable(&self) -> RowFuture<'_, ()> {
        Box::pin(async move {
            let failed = |error| database_error(&self.name, error);
            let table = || self.name.clone();
            let mut transaction = self.begin().await?;
            let is_read_only: bool =
                sqlx::query_scalar("SELECT current_setting('transaction_read_only')::boolean")
                    .persistent(false)
                    .fetch_one(&mut *transaction)
                    .await
                    .map_err(failed)?;
            if is_read_only {
                let problem = "the server, or the session, is read-only".to_owned();
                return Err(RewrapJobError::ReadOnly { table: table(), problem });
            }
            for column in &self.columns {
                let may: bool = sqlx::query_scalar("SELECT has_column_privilege($1, $2, 'UPDATE')")
                    .bind(&self.relation)
                    .bind(&column.name)
                    .persistent(false)
                    .fetch_one(&mut *transaction)
                    .await
                    .map_err(failed)?;
                if !may {
                    let problem = format!("this user may not UPDATE its column `{}`", column.name);
                    return Err(RewrapJobError::ReadOnly { table: table(), problem });
                }
            }
            Ok(())
        })
    }
}

async fn begin(
    pool: &PgPool,
    table: &str,
) -> Result<Transaction<'static, Postgres>, RewrapJobError> {
    pool.begin_with(BEGIN).await.map_err(|error| database_error(table, error))
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Null | Value::Bytes(_) | Value::TooLarge => None,
    }
}

fn database_error(table: &str, error: sqlx::Error) -> RewrapJobError {
    let table = table.to_owned();
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        // read_only_sql_transaction, insufficient_privilege.
        Some("25006" | "42501") => RewrapJobError::ReadOnly { table, problem: error.to_string() },
        _ => RewrapJobError::Database { table, source: explain(error) },
    }
}

impl fmt::Debug for PgTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgTable")
            .field("name", &self.name)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}
