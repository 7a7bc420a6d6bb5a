//! The tables of the inventory, opened.

use std::sync::Arc;

use super::Sweeper;
use crate::ops::error::OpsError;
use crate::ops::inventory::Data;
use crate::rewrap::RowStore;

/// A row that a sweep waits for is written within seconds.
#[cfg(feature = "sqlx-sqlite")]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What `sqlx` knows.
#[cfg(feature = "sqlx-sqlite")]
const SQLITE_PARAMETERS: [&str; 4] = ["cache", "immutable", "mode", "vfs"];

impl Sweeper<'_> {
    /// The table of `data`.
    pub(super) async fn open(&self, data: &Data) -> Result<Arc<dyn RowStore>, OpsError> {
        let url = self.project.variable("the URL of a database", &data.database)?;
        match url.trim_start().starts_with("sqlite:") {
            true => self.open_sqlite(data, url.trim()).await,
            false => self.open_postgres(data, &url).await,
        }
    }

    #[cfg(feature = "sqlx-sqlite")]
    async fn open_sqlite(&self, data: &Data, url: &str) -> Result<Arc<dyn RowStore>, OpsError> {
        use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
        let wrong = |problem| OpsError::DatabaseUrl { variable: data.database.clone(), problem };
        if let Some(name) = unknown_parameter(url) {
            let known = SQLITE_PARAMETERS.join(", ");
            return Err(wrong(format!("its parameter `{name}` is none of {known}: remove it")));
        }
        // The words of `sqlx` may hold parts of the URL.
        let options: SqliteConnectOptions = url
            .parse()
            .map_err(|_| wrong("it is no URL of SQLite, as in sqlite:app.db?mode=rw".to_owned()))?;
        let pool = SqlitePoolOptions::new()
            .max_connections(self.connections())
            .connect_lazy_with(options.busy_timeout(PATIENCE));
        let table = crate::rewrap::SqliteTable::open(&pool, &data.table, &data.columns).await?;
        Ok(Arc::new(table))
    }

    #[cfg(not(feature = "sqlx-sqlite"))]
    async fn open_sqlite(&self, _: &Data, _: &str) -> Result<Arc<dyn RowStore>, OpsError> {
        Err(OpsError::Feature { what: "a table of SQLite", feature: "sqlx-sqlite" })
    }

    #[cfg(feature = "sqlx-postgres")]
    async fn open_postgres(&self, data: &Data, url: &str) -> Result<Arc<dyn RowStore>, OpsError> {
        let url = self.project.connection_string(&data.database, url)?;
        // A table is qualified, and not looked up: a pooler refuses a search path.
        let (options, name) = match url.schema().filter(|_| !data.table.contains('.')) {
            Some(schema) => {
                let schema = crate::sql::quote_identifier(schema);
                (url.clone().without_schema().connect_options(), format!("{schema}.{}", data.table))
            }
            None => (url.connect_options(), data.table.clone()),
        };
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(self.connections())
            .connect_lazy_with(options.map_err(|error| OpsError::DatabaseUrl {
                variable: data.database.clone(),
                problem: error.to_string(),
            })?);
        let table = crate::rewrap::PgTable::open(&pool, &name, &data.columns).await?;
        Ok(Arc::new(table.with_name(&data.table)))
    }

    #[cfg(not(feature = "sqlx-postgres"))]
    async fn open_postgres(&self, _: &Data, _: &str) -> Result<Arc<dyn RowStore>, OpsError> {
        Err(OpsError::Feature { what: "a table of PostgreSQL", feature: "sqlx-postgres" })
    }

    /// One for each batch that is written, and one that reads.
    #[cfg(any(feature = "sqlx-sqlite", feature = "sqlx-postgres"))]
    fn connections(&self) -> u32 {
        u32::try_from(self.concurrency).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// The first parameter of a URL of SQLite that is not known; `?` for one whose name is no plain word.
#[cfg(feature = "sqlx-sqlite")]
fn unknown_parameter(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?')?;
    let mut names = query.split('&').filter_map(|own| own.split('=').next());
    let name = names.find(|own| !own.is_empty() && !SQLITE_PARAMETERS.contains(own))?;
    let is_plain = |own: &str| own.len() <= 40 && own.bytes().all(|own| own.is_ascii_alphabetic());
    Some(if is_plain(name) { name } else { "?" })
}
