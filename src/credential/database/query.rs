//! Queries of a pool, with and without a pooler between it and the server.

use std::sync::atomic::Ordering::Relaxed;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow};
use sqlx::{Execute, Executor, Postgres, SqlStr, Transaction};

use super::error::DatabaseError;
use super::pool::RotatingPool;

/// What other clients prepared on this connection of the server is cleared away: `sqlx` gives its
/// statements the same names in each process, also where it caches none.
const BEGIN: &str = "BEGIN; DEALLOCATE ALL";

impl RotatingPool {
    /// Works through a pooler in transaction mode, which may give each transaction another
    /// connection of the server: a query with arguments runs in a transaction, and no prepared
    /// statement outlives one. It costs a round trip at the beginning and at the end of a query.
    /// `pgbouncer=true` in a URL sets it as well.
    ///
    /// With [`Login::Password`](super::Login::Password), also set `statement_cache_capacity(0)` in
    /// its options. A connection of [`acquire`](Self::acquire) needs a transaction of
    /// [`begin`](Self::begin) instead.
    ///
    /// ```
    /// use dualkey::credential::Credential;
    /// use dualkey::credential::database::{Login, RotatingPool};
    /// use dualkey::{KeyRing, Secret};
    /// use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
    ///
    /// # let runtime = tokio::runtime::Runtime::new()?;
    /// # let _guard = runtime.enter();
    /// let password = Secret::from("q8WzRk-T4nZ8yB1cF6gJ0");
    /// let ring = KeyRing::<Credential>::builder().primary(password).build()?;
    /// let login = PgConnectOptions::new().host("pooler").port(6432).statement_cache_capacity(0);
    /// let pool = RotatingPool::new(ring, Login::Password(Box::new(login)), PgPoolOptions::new())?;
    /// let pool = pool.behind_pooler();
    /// assert_eq!(pool.inner().size(), 0, "it connects when it is first asked");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn behind_pooler(self) -> Self {
        self.inner.is_pooled.store(true, Relaxed);
        self
    }

    /// A connection.
    ///
    /// # Errors
    /// A [`DatabaseError`].
    pub async fn acquire(&self) -> Result<PoolConnection<Postgres>, DatabaseError> {
        let pool = &self.pool;
        self.with_failover(|| pool.acquire()).await
    }

    /// A connection, with a transaction that was started.
    ///
    /// # Errors
    /// A [`DatabaseError`].
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, DatabaseError> {
        let pool = &self.pool;
        if self.inner.is_pooled.load(Relaxed) {
            return self.with_failover(|| pool.begin_with(BEGIN)).await;
        }
        self.with_failover(|| pool.begin()).await
    }

    /// Runs a query that returns no rows.
    ///
    /// # Errors
    /// A [`DatabaseError`].
    pub async fn execute<'q>(
        &self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<PgQueryResult, DatabaseError> {
        match self.split(query)? {
            Split::Whole(query) => Ok(self.acquire().await?.execute(query).await?),
            Split::Simple(sql) => Ok(self.acquire().await?.execute(sql).await?),
            Split::Pooled(query) => {
                let mut transaction = self.begin().await?;
                let done = transaction.execute(query).await?;
                transaction.commit().await?;
                Ok(done)
            }
        }
    }

    /// All rows of a query.
    ///
    /// # Errors
    /// A [`DatabaseError`].
    pub async fn fetch_all<'q>(
        &self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<Vec<PgRow>, DatabaseError> {
        match self.split(query)? {
            Split::Whole(query) => Ok(self.acquire().await?.fetch_all(query).await?),
            Split::Simple(sql) => Ok(self.acquire().await?.fetch_all(sql).await?),
            Split::Pooled(query) => {
                let mut transaction = self.begin().await?;
                let rows = transaction.fetch_all(query).await?;
                transaction.commit().await?;
                Ok(rows)
            }
        }
    }

    /// The first row of a query, if there is one.
    ///
    /// # Errors
    /// A [`DatabaseError`].
    pub async fn fetch_optional<'q>(
        &self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<Option<PgRow>, DatabaseError> {
        match self.split(query)? {
            Split::Whole(query) => Ok(self.acquire().await?.fetch_optional(query).await?),
            Split::Simple(sql) => Ok(self.acquire().await?.fetch_optional(sql).await?),
            Split::Pooled(query) => {
                let mut transaction = self.begin().await?;
                let row = transaction.fetch_optional(query).await?;
                transaction.commit().await?;
                Ok(row)
            }
        }
    }

    /// The form in which a query is sent.
    fn split<'q, Q: Execute<'q, Postgres>>(&self, mut query: Q) -> Result<Split<Q>, DatabaseError> {
        if !self.inner.is_pooled.load(Relaxed) {
            return Ok(Split::Whole(query));
        }
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
        Ok(match arguments {
            // It is not prepared at all.
            None => Split::Simple(query.sql()),
            some => Split::Pooled((query.sql(), some)),
        })
    }
}

/// A query as it is sent.
enum Split<Q> {
    Whole(Q),
    Simple(SqlStr),
    /// With its arguments, in a transaction.
    Pooled((SqlStr, Option<PgArguments>)),
}
