//! A table of SQLite.

use std::fmt;

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, Sqlite, TypeInfo, ValueRef};

use super::error::RewrapJobError;
use super::key::{KeyPart, RowKey};
use super::row::{Column, ConditionalWrite, Row, Value};
use super::sql::{PAGE_BYTES, pick_columns, read_rows, value_or_too_large};
use super::store::{RowFuture, RowStore};
use crate::sql::quote_identifier;

/// So many values may be bound in one statement, of any version.
const BOUND: usize = 900;

/// A table of a SQLite database, by its primary key.
///
/// A column may hold texts and blobs. The database should be in WAL mode, so that the
/// application reads while the rewrap writes; each batch takes the write lock for as long as it is
/// written, some milliseconds.
#[derive(Clone)]
pub struct SqliteTable {
    pool: SqlitePool,
    name: String,
    keys: Vec<String>,
    columns: Vec<Column>,
}

impl SqliteTable {
    /// The table `name`, and those of its columns that hold sealed values.
    ///
    /// # Errors
    /// [`RewrapJobError::UnknownTable`], [`RewrapJobError::NoPrimaryKey`], [`RewrapJobError::UnknownColumn`],
    /// [`RewrapJobError::NoColumn`], [`RewrapJobError::ColumnType`], [`RewrapJobError::Key`] for a row whose
    /// primary key is NULL or a fraction, [`RewrapJobError::Database`].
    pub async fn open<C: Into<String>>(
        pool: &SqlitePool,
        name: &str,
        columns: impl IntoIterator<Item = C>,
    ) -> Result<Self, RewrapJobError> {
        let found: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT name, pk, hidden FROM pragma_table_xinfo($1)")
                .bind(name)
                .fetch_all(pool)
                .await
                .map_err(|error| database_error(name, error))?;
        if found.is_empty() {
            return Err(RewrapJobError::UnknownTable { table: name.to_owned() });
        }
        let mut keys: Vec<_> = found.iter().filter(|(_, place, _)| *place > 0).collect();
        keys.sort_by_key(|(_, place, _)| *place);
        let keys: Vec<String> = keys.into_iter().map(|(name, ..)| name.clone()).collect();
        if keys.is_empty() {
            return Err(RewrapJobError::NoPrimaryKey { table: name.to_owned() });
        }
        let found: Vec<_> =
            found.into_iter().map(|(name, place, hidden)| (name, (place, hidden))).collect();
        let columns = pick_columns(name, columns, &found, |_, (place, hidden)| {
            if *place > 0 {
                return Err("is part of the primary key".to_owned());
            }
            if *hidden > 0 {
                return Err("is generated: it cannot be written".to_owned());
            }
            Ok(())
        })?;
        let columns =
            columns.into_iter().map(|(name, ())| Column { name, max_bytes: None }).collect();
        let table = Self { pool: pool.clone(), name: name.to_owned(), keys, columns };
        table.check_keys().await?;
        Ok(table)
    }

    /// SQLite takes NULL in most primary keys, and fractions: such rows would be missed.
    async fn check_keys(&self) -> Result<(), RewrapJobError> {
        let is_none =
            |key: &String| format!("typeof({}) IN ('null', 'real')", quote_identifier(key));
        let any = self.keys.iter().map(is_none).collect::<Vec<_>>().join(" OR ");
        let statement =
            format!("SELECT 1 FROM {} WHERE {any} LIMIT 1", quote_identifier(&self.name));
        let found = sqlx::query(AssertSqlSafe(statement)).fetch_optional(&self.pool).await;
        match found.map_err(|error| self.database_error(error))? {
            None => Ok(()),
            Some(_) => Err(RewrapJobError::Key {
                table: self.name.clone(),
                problem: "the primary key of a row is NULL or a fraction",
            }),
        }
    }

    /// The beginning of a statement that reads rows; the bound is `max`.
    fn select(&self, max: usize) -> String {
        let keys = self.keys.iter().map(|key| quote_identifier(key));
        let values = self.columns.iter().map(|column| {
            let name = quote_identifier(&column.name);
            format!("{name} IS NULL, CASE WHEN octet_length({name}) <= {max} THEN {name} END")
        });
        let all = keys.chain(values).collect::<Vec<_>>().join(", ");
        format!("SELECT {all} FROM {}", quote_identifier(&self.name))
    }

    /// `(a, b)`.
    fn key_list(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(|key| quote_identifier(key)).collect();
        format!("({})", keys.join(", "))
    }

    /// `(?, ?)`.
    fn key_marks(&self) -> String {
        format!("({})", vec!["?"; self.keys.len()].join(", "))
    }

    async fn read(
        &self,
        statement: String,
        keys: &[RowKey],
        max_bytes: usize,
    ) -> Result<Vec<Row>, RewrapJobError> {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for part in keys.iter().flat_map(RowKey::parts) {
            query = bind_key(query, part);
        }
        let failed = |error| self.database_error(error);
        read_rows(query.fetch(&self.pool), max_bytes, |row| self.row(row), failed).await
    }

    fn row(&self, row: &SqliteRow) -> Result<Row, RewrapJobError> {
        let failed = |error: sqlx::Error| self.database_error(error);
        let mut parts = Vec::new();
        for place in 0..self.keys.len() {
            let kind = row.try_get_raw(place).map_err(failed)?.type_info().name().to_owned();
            parts.push(match kind.as_str() {
                "INTEGER" => KeyPart::Integer(row.try_get(place).map_err(failed)?),
                "BLOB" => KeyPart::Bytes(row.try_get(place).map_err(failed)?),
                "TEXT" => KeyPart::Text(row.try_get(place).map_err(failed)?),
                _ => {
                    let problem = "the primary key of a row is NULL or a fraction";
                    return Err(RewrapJobError::Key { table: self.name.clone(), problem });
                }
            });
        }
        let mut values = Vec::new();
        for column in 0..self.columns.len() {
            let place = self.keys.len() + column * 2;
            let is_null: bool = row.try_get(place).map_err(failed)?;
            let raw = row.try_get_raw(place + 1).map_err(failed)?;
            let kind = raw.type_info().name().to_owned();
            let value = match kind.as_str() {
                "NULL" => None,
                // No envelope, and so unreadable: the number itself is not to be shown.
                "INTEGER" | "REAL" => Some(Value::Text("a number".to_owned())),
                kind => {
                    let bytes: Vec<u8> = row.try_get(place + 1).map_err(failed)?;
                    Some(match (kind, String::from_utf8(bytes)) {
                        ("TEXT", Ok(text)) => Value::Text(text),
                        (_, Ok(text)) => Value::Bytes(text.into_bytes()),
                        (_, Err(error)) => Value::Bytes(error.into_bytes()),
                    })
                }
            };
            values.push(value_or_too_large(is_null, value));
        }
        Ok(Row { key: RowKey::new(parts), values })
    }

    async fn write(&self, writes: &[ConditionalWrite]) -> Result<Vec<bool>, RewrapJobError> {
        let failed = |error| self.database_error(error);
        // The write lock from the start: one that is taken later may be refused without a wait.
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let mut written = Vec::with_capacity(writes.len());
        for write in writes {
            let Some(column) = self.columns.get(write.column) else {
                written.push(false);
                continue;
            };
            let (name, column) = (quote_identifier(&self.name), quote_identifier(&column.name));
            // Bytes against bytes, whatever the collation of the column, or its affinity.
            let statement = format!(
                "UPDATE {name} SET {column} = ? WHERE {} = {} AND {column} = ? COLLATE BINARY",
                self.key_list(),
                self.key_marks(),
            );
            let mut query = bind_value(sqlx::query(AssertSqlSafe(statement)), &write.new);
            for part in write.key.parts() {
                query = bind_key(query, part);
            }
            let done = bind_value(query, &write.old).execute(&mut *transaction).await;
            written.push(done.map_err(failed)?.rows_affected() == 1);
        }
        transaction.commit().await.map_err(failed)?;
        Ok(written)
    }

    fn database_error(&self, error: sqlx::Error) -> RewrapJobError {
        database_error(&self.name, error)
    }
}

impl RowStore for SqliteTable {
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
            let (list, marks) = (self.key_list(), self.key_marks());
            let beyond = match after {
                Some(_) => format!(" WHERE {list} > {marks}"),
                None => String::new(),
            };
            let order = list.trim_matches(['(', ')']);
            let select = self.select(max_value_bytes);
            let statement = format!("{select}{beyond} ORDER BY {order} LIMIT {rows}");
            self.read(statement, after.map_or(&[], std::slice::from_ref), PAGE_BYTES).await
        })
    }

    fn load_rows<'a>(
        &'a self,
        keys: &'a [RowKey],
        max_value_bytes: usize,
    ) -> RowFuture<'a, Vec<Row>> {
        Box::pin(async move {
            let mut rows = Vec::new();
            for keys in keys.chunks((BOUND / self.keys.len()).max(1)) {
                let marks = vec![self.key_marks(); keys.len()].join(", ");
                let (select, list) = (self.select(max_value_bytes), self.key_list());
                let statement = format!("{select} WHERE {list} IN (VALUES {marks})");
                rows.extend(self.read(statement, keys, usize::MAX).await?);
            }
            Ok(rows)
        })
    }

    fn write_values<'a>(&'a self, writes: &'a [ConditionalWrite]) -> RowFuture<'a, Vec<bool>> {
        Box::pin(self.write(writes))
    }

    fn count<'a>(&'a self, after: Option<&'a RowKey>) -> RowFuture<'a, Option<u64>> {
        Box::pin(async move {
            let name = quote_identifier(&self.name);
            let statement = match after {
                Some(_) => format!(
                    "SELECT count(*) FROM {name} WHERE {} > {}",
                    self.key_list(),
                    self.key_marks()
                ),
                None => format!("SELECT count(*) FROM {name}"),
            };
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for part in after.into_iter().flat_map(RowKey::parts) {
                query = bind_key(query, part);
            }
            let row =
                query.fetch_one(&self.pool).await.map_err(|error| self.database_error(error))?;
            let count: i64 = row.try_get(0).map_err(|error| self.database_error(error))?;
            Ok(u64::try_from(count).ok())
        })
    }

    fn check_writable(&self) -> RowFuture<'_, ()> {
        Box::pin(async move {
            let failed = |error| self.database_error(error);
            let is_query_only: i64 = sqlx::query_scalar("SELECT query_only FROM pragma_query_only")
                .fetch_one(&self.pool)
                .await
                .map_err(failed)?;
            if is_query_only != 0 {
                let problem = "the connection may only read (`query_only`)".to_owned();
                return Err(RewrapJobError::ReadOnly { table: self.name.clone(), problem });
            }
            let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
            transaction.rollback().await.map_err(failed)
        })
    }
}

fn database_error(table: &str, error: sqlx::Error) -> RewrapJobError {
    let table = table.to_owned();
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.and_then(|code| code.parse::<u32>().ok());
    match code {
        // SQLITE_READONLY, in the lowest byte of all its kinds.
        Some(code) if code & 0xff == 8 => {
            RewrapJobError::ReadOnly { table, problem: "the database is read-only".to_owned() }
        }
        _ => RewrapJobError::Database { table, source: Box::new(error) },
    }
}

type SqliteQuery<'q> = Query<'q, Sqlite, SqliteArguments>;

fn bind_key<'q>(query: SqliteQuery<'q>, part: &KeyPart) -> SqliteQuery<'q> {
    match part {
        KeyPart::Integer(number) => query.bind(*number),
        KeyPart::Text(text) => query.bind(text.clone()),
        KeyPart::Bytes(bytes) => query.bind(bytes.clone()),
    }
}

fn bind_value<'q>(query: SqliteQuery<'q>, value: &Value) -> SqliteQuery<'q> {
    match value {
        Value::Text(text) => query.bind(text.clone()),
        Value::Bytes(bytes) => query.bind(bytes.clone()),
        Value::Null | Value::TooLarge => query.bind(None::<String>),
    }
}

impl fmt::Debug for SqliteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTable")
            .field("name", &self.name)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}
