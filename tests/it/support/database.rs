//! The databases that rewraps are tried on: SQLite in a file, and PostgreSQL where there is one.

use std::sync::Arc;

use dualkey::rewrap::{PgTable, RewrapJobError, RowStore, SqliteTable, Value};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row};

use crate::support::postgres::variable;

pub enum Base {
    Sqlite { pool: SqlitePool, url: String, _folder: tempfile::TempDir },
    Postgres { pool: PgPool, url: String },
}

impl Base {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.db");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(sqlx::sqlite::SqliteSynchronous::Off)
            .busy_timeout(std::time::Duration::from_secs(60));
        let pool = SqlitePoolOptions::new().max_connections(8).connect_with(options).await.unwrap();
        Self::Sqlite { pool, url: format!("sqlite:{}", path.display()), _folder: folder }
    }

    /// A schema of its own.
    pub async fn postgres() -> Option<Self> {
        let url = variable("DUALKEY_TEST_POSTGRES")?;
        let name = format!("rewrap_{:x}", getrandom::u64().unwrap());
        let pool = PgPool::connect(&url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {name}"))).execute(&pool).await.unwrap();
        let url = format!("{url}?options[search_path]={name}");
        let pool = PgPoolOptions::new().max_connections(8).connect(&url).await.unwrap();
        Some(Self::Postgres { pool, url })
    }

    pub async fn all() -> Vec<Self> {
        let mut all = vec![Self::sqlite().await];
        all.extend(Self::postgres().await);
        all
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    pub fn url(&self) -> &str {
        match self {
            Self::Sqlite { url, .. } | Self::Postgres { url, .. } => url,
        }
    }

    /// What bytes are called here.
    pub fn bytes(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "blob",
            Self::Postgres { .. } => "bytea",
        }
    }

    pub async fn sql(&self, text: impl Into<String>) {
        let statement = sqlx::raw_sql(AssertSqlSafe(text.into()));
        match self {
            Self::Sqlite { pool, .. } => drop(statement.execute(pool).await.unwrap()),
            Self::Postgres { pool, .. } => drop(statement.execute(pool).await.unwrap()),
        }
    }

    pub async fn table(
        &self,
        name: &str,
        columns: &[&str],
    ) -> Result<Arc<dyn RowStore>, RewrapJobError> {
        let columns = columns.iter().copied();
        Ok(match self {
            Self::Sqlite { pool, .. } => Arc::new(SqliteTable::open(pool, name, columns).await?),
            Self::Postgres { pool, .. } => Arc::new(PgTable::open(pool, name, columns).await?),
        })
    }

    /// The table `notes`, whose bodies are texts.
    pub async fn notes(&self, ids: impl IntoIterator<Item = (i64, String)>) {
        self.sql("CREATE TABLE notes (id bigint PRIMARY KEY, body text)").await;
        let (ids, bodies): (Vec<i64>, Vec<String>) = ids.into_iter().unzip();
        match self {
            Self::Sqlite { pool, .. } => {
                let mut one = pool.begin().await.unwrap();
                for (id, body) in ids.iter().zip(bodies) {
                    let insert = sqlx::query("INSERT INTO notes VALUES (?, ?)").bind(id).bind(body);
                    insert.execute(&mut *one).await.unwrap();
                }
                one.commit().await.unwrap();
            }
            Self::Postgres { pool, .. } => {
                let insert = "INSERT INTO notes SELECT * FROM unnest($1::bigint[], $2::text[])";
                sqlx::query(insert).bind(ids).bind(bodies).execute(pool).await.unwrap();
            }
        }
    }

    pub async fn write(&self, id: i64, body: &str) {
        let update = "UPDATE notes SET body = $1 WHERE id = $2";
        let changed = match self {
            Self::Sqlite { pool, .. } => {
                let done = sqlx::query(update).bind(body).bind(id).execute(pool).await;
                done.unwrap().rows_affected()
            }
            Self::Postgres { pool, .. } => {
                let done = sqlx::query(update).bind(body).bind(id).execute(pool).await;
                done.unwrap().rows_affected()
            }
        };
        assert_eq!(changed, 1);
    }

    /// What stands in a column of text of a table with a number for its key, in its order.
    pub async fn texts(&self, table: &str, column: &str) -> Vec<(i64, Option<String>)> {
        let select = AssertSqlSafe(format!("SELECT id, {column} FROM {table} ORDER BY id"));
        match self {
            Self::Sqlite { pool, .. } => {
                let rows = sqlx::query(select).fetch_all(pool).await.unwrap();
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
            Self::Postgres { pool, .. } => {
                let rows = sqlx::query(select).fetch_all(pool).await.unwrap();
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
        }
    }

    /// Every value of every row of a table, as it is stored.
    pub async fn dump(&self, table: &str, columns: &[&str]) -> Vec<(String, Vec<Value>)> {
        let store = self.table(table, columns).await.unwrap();
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = store.load_page(after.as_ref(), 1000, 1 << 30).await.unwrap();
            let Some(last) = page.last() else { return all };
            after = Some(last.key.clone());
            all.extend(page.into_iter().map(|row| (row.key.to_string(), row.values)));
        }
    }
}
