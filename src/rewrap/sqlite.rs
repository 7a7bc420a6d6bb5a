//! A table of SQLite.

use std::fmt;

use futures_util::TryStreamExt;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, Sqlite, TypeInfo, ValueRef};

use super::error::SweepError;
use super::row::{Column, KeyPart, Row, RowFuture, RowKey, RowStore, Swap, Value};
use super::{PAGE_BYTES, quoted};

/// So many values may be bound in one statement, of any version.
const BOUND: usize = 900;

/// A table of a SQLite database, by its primary key.
///
/// A column may hold texts and blobs. The database should be in WAL mode, so that the
/// application reads while the sweep writes; each batch takes the write lock for as long as it is
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
    /// [`SweepError::UnknownTable`], [`SweepError::NoPrimaryKey`], [`SweepError::UnknownColumn`],
    /// [`SweepError::NoColumn`], [`SweepError::ColumnType`], [`SweepError::Key`] for a row whose
    /// primary key is NULL or a fraction, [`SweepError::Database`].
    pub async fn open<C: Into<String>>(
        pool: &SqlitePool,
        name: &str,
        columns: impl IntoIterator<Item = C>,
    ) -> Result<Self, SweepError> {
        let mut own = Self {
            pool: pool.clone(),
            name: name.to_owned(),
            keys: Vec::new(),
            columns: Vec::new(),
        };
        let found: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT name, pk, hidden FROM pragma_table_xinfo($1)")
                .bind(name)
                .fetch_all(pool)
                .await
                .map_err(|error| own.database(error))?;
        if found.is_empty() {
            return Err(SweepError::UnknownTable { table: own.name });
        }
        let mut keys: Vec<_> = found.iter().filter(|(_, place, _)| *place > 0).collect();
        keys.sort_by_key(|(_, place, _)| *place);
        own.keys = keys.into_iter().map(|(name, ..)| name.clone()).collect();
        if own.keys.is_empty() {
            return Err(SweepError::NoPrimaryKey { table: own.name });
        }
        for column in columns {
            let column = column.into();
            let table = own.name.clone();
            let is_own = |(name, ..): &&(String, i64, i64)| *name == column;
            let Some((_, place, hidden)) = found.iter().find(is_own) else {
                let columns = found.into_iter().map(|(name, ..)| name).collect();
                return Err(SweepError::UnknownColumn { table, column, columns });
            };
            let problem = match () {
                () if *place > 0 => "is part of the primary key",
                () if *hidden > 0 => "is generated: it cannot be written",
                () => {
                    own.columns.push(Column { name: column, max_bytes: None });
                    continue;
                }
            };
            return Err(SweepError::ColumnType { table, column, problem: problem.to_owned() });
        }
        if own.columns.is_empty() {
            return Err(SweepError::NoColumn { table: own.name });
        }
        own.check_keys().await?;
        Ok(own)
    }

    /// SQLite takes NULL in most primary keys, and fractions: such rows would be missed.
    async fn check_keys(&self) -> Result<(), SweepError> {
        let is_none = |key: &String| format!("typeof({}) IN ('null', 'real')", quoted(key));
        let any = self.keys.iter().map(is_none).collect::<Vec<_>>().join(" OR ");
        let statement = format!("SELECT 1 FROM {} WHERE {any} LIMIT 1", quoted(&self.name));
        let found = sqlx::query(AssertSqlSafe(statement)).fetch_optional(&self.pool).await;
        match found.map_err(|error| self.database(error))? {
            None => Ok(()),
            Some(_) => Err(SweepError::Key {
                table: self.name.clone(),
                problem: "the primary key of a row is NULL or a fraction",
            }),
        }
    }

    /// The beginning of a statement that reads rows; the bound is `max`.
    fn select(&self, max: usize) -> String {
        let keys = self.keys.iter().map(|key| quoted(key));
        let values = self.columns.iter().map(|column| {
            let name = quoted(&column.name);
            format!("{name} IS NULL, CASE WHEN octet_length({name}) <= {max} THEN {name} END")
        });
        let all = keys.chain(values).collect::<Vec<_>>().join(", ");
        format!("SELECT {all} FROM {}", quoted(&self.name))
    }

    /// `(a, b)`.
    fn key_list(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(|key| quoted(key)).collect();
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
        is_bounded: bool,
    ) -> Result<Vec<Row>, SweepError> {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for part in keys.iter().flat_map(RowKey::parts) {
            query = bound(query, part);
        }
        let mut found = query.fetch(&self.pool);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(row) = found.try_next().await.map_err(|error| self.database(error))? {
            let row = self.row(&row)?;
            let values = row.values.iter().filter_map(Value::as_bytes);
            bytes += values.map(<[u8]>::len).sum::<usize>();
            rows.push(row);
            if is_bounded && bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok(rows)
    }

    fn row(&self, row: &SqliteRow) -> Result<Row, SweepError> {
        let failed = |error: sqlx::Error| self.database(error);
        let mut parts = Vec::new();
        for place in 0..self.keys.len() {
            let kind = row.try_get_raw(place).map_err(failed)?.type_info().name().to_owned();
            parts.push(match kind.as_str() {
                "INTEGER" => KeyPart::Integer(row.try_get(place).map_err(failed)?),
                "BLOB" => KeyPart::Bytes(row.try_get(place).map_err(failed)?),
                "TEXT" => KeyPart::Text(row.try_get(place).map_err(failed)?),
                _ => {
                    let problem = "the primary key of a row is NULL or a fraction";
                    return Err(SweepError::Key { table: self.name.clone(), problem });
                }
            });
        }
        let mut values = Vec::new();
        for column in 0..self.columns.len() {
            let place = self.keys.len() + column * 2;
            let is_null: bool = row.try_get(place).map_err(failed)?;
            let raw = row.try_get_raw(place + 1).map_err(failed)?;
            let kind = raw.type_info().name().to_owned();
            values.push(match (is_null, kind.as_str()) {
                (true, _) => Value::Null,
                (false, "NULL") => Value::TooLarge,
                // No envelope, and so unreadable: the number itself is nobody's business.
                (false, "INTEGER" | "REAL") => Value::Text("a number".to_owned()),
                (false, kind) => {
                    let bytes: Vec<u8> = row.try_get(place + 1).map_err(failed)?;
                    match (kind, String::from_utf8(bytes)) {
                        ("TEXT", Ok(text)) => Value::Text(text),
                        (_, Ok(text)) => Value::Bytes(text.into_bytes()),
                        (_, Err(bytes)) => Value::Bytes(bytes.into_bytes()),
                    }
                }
            });
        }
        Ok(Row { key: RowKey::new(parts), values })
    }

    async fn write(&self, swaps: &[Swap]) -> Result<Vec<bool>, SweepError> {
        let failed = |error| self.database(error);
        // The write lock from the start: one that is taken later may be refused without a wait.
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let mut written = Vec::with_capacity(swaps.len());
        for swap in swaps {
            let Some(column) = self.columns.get(swap.column) else {
                written.push(false);
                continue;
            };
            let (name, column) = (quoted(&self.name), quoted(&column.name));
            // Bytes against bytes, whatever the collation of the column, or its affinity.
            let statement = format!(
                "UPDATE {name} SET {column} = ? WHERE {} = {} AND {column} = ? COLLATE BINARY",
                self.key_list(),
                self.key_marks(),
            );
            let mut query = bound_value(sqlx::query(AssertSqlSafe(statement)), &swap.new);
            for part in swap.key.parts() {
                query = bound(query, part);
            }
            let done = bound_value(query, &swap.old).execute(&mut *transaction).await;
            written.push(done.map_err(failed)?.rows_affected() == 1);
        }
        transaction.commit().await.map_err(failed)?;
        Ok(written)
    }

    fn database(&self, error: sqlx::Error) -> SweepError {
        let table = self.name.clone();
        let code = error.as_database_error().and_then(|own| own.code());
        let code = code.and_then(|code| code.parse::<u32>().ok());
        match code {
            // SQLITE_READONLY, in the lowest byte of all its kinds.
            Some(code) if code & 0xff == 8 => {
                SweepError::ReadOnly { table, problem: "the database is read-only".to_owned() }
            }
            _ => SweepError::Database { table, source: Box::new(error) },
        }
    }
}

impl RowStore for SqliteTable {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn page<'a>(
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
            self.read(statement, after.map_or(&[], std::slice::from_ref), true).await
        })
    }

    fn again<'a>(&'a self, keys: &'a [RowKey], max_value_bytes: usize) -> RowFuture<'a, Vec<Row>> {
        Box::pin(async move {
            let mut rows = Vec::new();
            for keys in keys.chunks((BOUND / self.keys.len()).max(1)) {
                let marks = vec![self.key_marks(); keys.len()].join(", ");
                let (select, list) = (self.select(max_value_bytes), self.key_list());
                let statement = format!("{select} WHERE {list} IN (VALUES {marks})");
                rows.extend(self.read(statement, keys, false).await?);
            }
            Ok(rows)
        })
    }

    fn swap<'a>(&'a self, swaps: &'a [Swap]) -> RowFuture<'a, Vec<bool>> {
        Box::pin(self.write(swaps))
    }

    fn count<'a>(&'a self, after: Option<&'a RowKey>) -> RowFuture<'a, Option<u64>> {
        Box::pin(async move {
            let name = quoted(&self.name);
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
                query = bound(query, part);
            }
            let row = query.fetch_one(&self.pool).await.map_err(|error| self.database(error))?;
            let count: i64 = row.try_get(0).map_err(|error| self.database(error))?;
            Ok(u64::try_from(count).ok())
        })
    }

    fn check_writable(&self) -> RowFuture<'_, ()> {
        Box::pin(async move {
            let failed = |error| self.database(error);
            let is_query_only: i64 = sqlx::query_scalar("SELECT query_only FROM pragma_query_only")
                .fetch_one(&self.pool)
                .await
                .map_err(failed)?;
            if is_query_only != 0 {
                let problem = "the connection may only read (`query_only`)".to_owned();
                return Err(SweepError::ReadOnly { table: self.name.clone(), problem });
            }
            let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
            transaction.rollback().await.map_err(failed)
        })
    }
}

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

fn bound<'q>(query: Bound<'q>, part: &KeyPart) -> Bound<'q> {
    match part {
        KeyPart::Integer(number) => query.bind(*number),
        KeyPart::Text(text) => query.bind(text.clone()),
        KeyPart::Bytes(bytes) => query.bind(bytes.clone()),
    }
}

fn bound_value<'q>(query: Bound<'q>, value: &Value) -> Bound<'q> {
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
