//! The tables of the inventory, opened.

use std::sync::Arc;

use super::Sweeper;
use crate::ops::error::OpsError;
use crate::ops::inventory::Data;
use crate::rewrap::RowStore;

/// A row that a sweep waits for is written within seconds.
#[cfg(feature = "sqlx-sqlite")]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

impl Sweeper<'_> {
    /// The table of `data`.
    pub(super) async fn open(&self, data: &Data) -> Result<Arc<dyn RowStore>, OpsError> {
        let url = self.project.variable("the URL of a database", &data.database)?;
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => self.open_sqlite(data, &url).await,
            Some("postgres" | "postgresql") => self.open_postgres(data, &url).await,
            _ => Err(OpsError::DatabaseUrl { variable: data.database.clone() }),
        }
    }

    #[cfg(feature = "sqlx-sqlite")]
    async fn open_sqlite(&self, data: &Data, url: &str) -> Result<Arc<dyn RowStore>, OpsError> {
        use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
        let options: SqliteConnectOptions =
            url.parse().map_err(|_| OpsError::DatabaseUrl { variable: data.database.clone() })?;
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
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(self.connections())
            .connect_lazy(url)
            // Its own words may hold what stands in the URL.
            .map_err(|_| OpsError::DatabaseUrl { variable: data.database.clone() })?;
        let table = crate::rewrap::PgTable::open(&pool, &data.table, &data.columns).await?;
        Ok(Arc::new(table))
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
