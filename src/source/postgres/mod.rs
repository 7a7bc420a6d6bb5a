//! A manifest in PostgreSQL, for fleets.
//!
//! It promises: what the database holds is sealed under a KEK ring of yours, so that a reader
//! of its rows, or of a backup of them, reads no secret; of two writers at the same time one gets a
//! conflict, by the statement that writes; a change is pushed to every ring that follows. All of them in one
//! process listen on one connection to a server, which is in no pool of the application.
//!
//! Each statement runs in a transaction of its own and is not kept: so it works through PgBouncer in
//! session and in transaction mode.
//!
//! It does not promise to notice that an old row was put back whole: an instance that runs refuses
//! it, because its revision is older; one that starts takes it.

mod hub;
mod limits;
mod listen;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{Postgres, Transaction};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::codec::Codec;
use super::error::StoreError;
use super::store::{KeyStore, StoreFuture, Wake, Watch};
use crate::envelope::AesKey;
use crate::error::Error;
use crate::evidence::Report;
use crate::manifest::Manifest;
use crate::postgres::explain;
use crate::ring::KeyRing;
use hub::Route;
use limits::{CHANNEL, PATIENCE};

/// For a connection of the pool: less than [`PATIENCE`], so that the error names the pool.
const POOL_PATIENCE: Duration = Duration::from_secs(9);
/// In a stricter one, a row that another operator has just written is an error of its own.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// A manifest has at most 1 MiB, and a sealed one four thirds of that.
const MAX_BYTES: i32 = 2 * 1024 * 1024;
/// A report has at most 1 MiB.
const MAX_REPORT_BYTES: i32 = 1024 * 1024;

/// The manifest of one ring, in a row of the table `dualkey_manifests`, sealed.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use dualkey::KeyRing;
/// use dualkey::envelope::AesKey;
/// use dualkey::jwt::{Jwt, JwtKey};
/// use dualkey::source::PostgresStore;
/// use sqlx::PgPool;
///
/// let pool = PgPool::connect("postgres://app@db/app").await?;
/// sqlx::raw_sql(PostgresStore::SCHEMA).execute(&pool).await?; // once, or as a migration
/// let kek = KeyRing::<AesKey>::from_env("DUALKEY_KEK")?;
/// let store = PostgresStore::new(pool, "JWT_SECRET", "production", kek);
///
/// let following = KeyRing::<JwtKey>::builder()
///     .name("JWT_SECRET")
///     .environment("production")
///     .follow(store)
///     .instance(std::env::var("HOSTNAME")?)
///     .spawn()
///     .await?;
/// let jwt = Jwt::new(following.ring().clone());
/// # Ok(())
/// # }
/// ```
///
/// # Connections
/// It reads and writes on the tokio runtime that its pool belongs to, with a connection of the pool
/// for one short transaction each time.
///
/// A process has one listening connection for each server and role, whatever the number of rings
/// that follow. It is not in the pool: add one connection for each process to what the server
/// admits. It has a thread and a runtime of its own, follows the options of the pool
/// ([`PgPool::set_connect_options`]) when it is made again, and is closed with the last ring that
/// follows. While it is lost, [`Health::watch_error`](super::Health::watch_error) says so, and each
/// ring asks the store from time to time. When it is there again, each ring asks at once.
///
/// # Poolers
/// Reads and writes work through PgBouncer with `pool_mode = session` or `transaction`. A pooler
/// that shares server connections, as in the latter mode, delivers no notification. That is found
/// out when the listening connection is made, and shows in
/// [`Health::watch_error`](super::Health::watch_error): pass a URL that leads past the pooler to
/// [`direct`](Self::direct). Nothing listens on a shared server connection.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    direct: Option<Arc<PgConnectOptions>>,
    ring: String,
    environment: String,
    codec: Codec,
}

impl PostgresStore {
    /// The tables: to be run once, or made a migration of. Running it again changes nothing.
    pub const SCHEMA: &str = "\
CREATE TABLE IF NOT EXISTS dualkey_manifests (
    ring text NOT NULL,
    environment text NOT NULL,
    revision bigint NOT NULL CHECK (revision > 0),
    document text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (ring, environment)
);
CREATE TABLE IF NOT EXISTS dualkey_reports (
    ring text NOT NULL,
    environment text NOT NULL,
    instance text NOT NULL,
    document text NOT NULL,
    reported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (ring, environment, instance)
);
";

    /// The manifest of `ring` in `environment`, sealed under the primary of `kek` for both: moved
    /// to the row of another ring or environment, it does not open.
    #[must_use]
    pub fn new(pool: PgPool, ring: &str, environment: &str, kek: KeyRing<AesKey>) -> Self {
        let codec = Codec::sealed(kek, ring, environment);
        let (ring, environment) = (ring.to_owned(), environment.to_owned());
        Self { pool, direct: None, ring, environment, codec }
    }

    /// Listens for changes with these options instead of the pool's: a URL that leads past the
    /// pooler, to the same database. Only the listening connection of the process takes it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dualkey::envelope::AesKey;
    /// # let kek = dualkey::KeyRing::<AesKey>::builder()
    /// #     .primary(AesKey::hex("2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe")?)
    /// #     .build()?;
    /// use dualkey::postgres::ConnectionString;
    /// use dualkey::source::PostgresStore;
    /// use sqlx::postgres::PgPoolOptions;
    ///
    /// // As in `DATABASE_URL` and `DIRECT_URL`.
    /// let pooled = ConnectionString::parse("postgres://app:secret@pooler:6432/app?pgbouncer=true")?;
    /// let direct = ConnectionString::parse("postgres://app:secret@db:5432/app")?;
    ///
    /// let pool = PgPoolOptions::new().connect_lazy_with(pooled.connect_options()?);
    /// let store = PostgresStore::new(pool, "JWT_SECRET", "production", kek)
    ///     .direct(direct.connect_options()?);
    /// assert_eq!(format!("{store:?}").matches("secret").count(), 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// If the server refuses the password of `options`, the listening connection is tried with that
    /// of the pool as well, which may have rotated since.
    #[must_use]
    pub fn direct(self, options: PgConnectOptions) -> Self {
        Self { direct: Some(Arc::new(options)), ..self }
    }

    /// A transaction on a connection of the pool. Behind a pooler, its statements reach one server
    /// connection.
    async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        match timeout(POOL_PATIENCE, self.pool.begin_with(BEGIN)).await {
            Ok(Ok(transaction)) => Ok(transaction),
            Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => {
                Err(self.client_error(self.pool_problem()))
            }
            Ok(Err(error)) => Err(self.sqlx_error(error)),
        }
    }

    /// The reason why the pool gave no connection in time.
    fn pool_problem(&self) -> String {
        let most = self.pool.options().get_max_connections();
        if self.pool.num_idle() == 0 && self.pool.size() >= most {
            format!(
                "all {most} connections of the pool are in use; raise `max_connections`, or \
                 release connections sooner"
            )
        } else {
            "the pool has no connection in time; check the server and the way to it".to_owned()
        }
    }

    async fn commit(&self, transaction: Transaction<'_, Postgres>) -> Result<(), StoreError> {
        transaction.commit().await.map_err(|error| self.sqlx_error(error))
    }

    async fn read(&self) -> Result<Manifest, StoreError> {
        let mut transaction = self.begin().await?;
        // What is too large is not fetched.
        let row: Option<(i64, Option<String>)> = sqlx::query_as(
            "SELECT revision, CASE WHEN octet_length(document) <= $3 THEN document END \
             FROM dualkey_manifests WHERE ring = $1 AND environment = $2",
        )
        .bind(&self.ring)
        .bind(&self.environment)
        .bind(MAX_BYTES)
        .persistent(false)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(|error| self.sqlx_error(error))?;
        self.commit(transaction).await?;
        let (revision, text) = row.ok_or_else(|| StoreError::Missing { store: self.name() })?;
        let text = text.ok_or_else(|| StoreError::Sealed {
            store: self.name(),
            problem: "the row has more than 2 MiB, and a manifest at most 1 MiB",
        })?;
        let manifest = self.codec.decode(text.as_bytes(), &self.name())?;
        // What is sealed is authentic, and says itself of which revision it is.
        if i64::try_from(manifest.revision()) == Ok(revision) {
            Ok(manifest)
        } else {
            let problem = "the row holds the manifest of another revision";
            Err(StoreError::Sealed { store: self.name(), problem })
        }
    }

    async fn swap(&self, expected: u64, next: &Manifest) -> Result<(), StoreError> {
        let store = self.name();
        if next.ring() != self.ring || next.environment() != self.environment {
            let (expected, found) = (store, format!("{}/{}", next.environment(), next.ring()));
            return Err(Error::Foreign { what: "ring", expected, found }.into());
        }
        let text = self.codec.encode(next, &store)?;
        // It is sealed, and so no secret.
        let text = String::from_utf8_lossy(text.expose()).into_owned();
        // One statement: it compares, swaps and notifies, or does nothing.
        let statement = match expected {
            0 => {
                "WITH changed AS ( \
                     INSERT INTO dualkey_manifests (ring, environment, revision, document) \
                     SELECT $1, $2, $4, $5 WHERE $3 = 0 \
                     ON CONFLICT DO NOTHING RETURNING revision \
                 ) SELECT revision, pg_notify($6, $7) IS NULL FROM changed"
            }
            _ => {
                "WITH changed AS ( \
                     UPDATE dualkey_manifests \
                     SET revision = $4, document = $5, changed_at = now() \
                     WHERE ring = $1 AND environment = $2 AND revision = $3 AND $4 > revision \
                     RETURNING revision \
                 ) SELECT revision, pg_notify($6, $7) IS NULL FROM changed"
            }
        };
        let number = |revision: u64| {
            i64::try_from(revision)
                .map_err(|error| self.sqlx_error(sqlx::Error::Encode(error.into())))
        };
        let mut transaction = self.begin().await?;
        let changed = sqlx::query(statement)
            .bind(&self.ring)
            .bind(&self.environment)
            .bind(number(expected)?)
            .bind(number(next.revision())?)
            .bind(text)
            .bind(CHANNEL)
            .bind(&store)
            .persistent(false)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(|error| self.sqlx_error(error))?;
        if changed.is_some() {
            return self.commit(transaction).await;
        }
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT revision FROM dualkey_manifests WHERE ring = $1 AND environment = $2",
        )
        .bind(&self.ring)
        .bind(&self.environment)
        .persistent(false)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(|error| self.sqlx_error(error))?;
        self.commit(transaction).await?;
        let found = found.unwrap_or(0).unsigned_abs();
        Err(StoreError::Conflict { store, expected, found })
    }

    async fn read_reports(&self) -> Result<Vec<Report>, StoreError> {
        let mut transaction = self.begin().await?;
        // What is too large is not fetched.
        let rows: Vec<(String, Option<String>, Option<i64>)> = sqlx::query_as(
            "SELECT instance, CASE WHEN octet_length(document) <= $3 THEN document END, \
             CASE WHEN isfinite(reported_at) \
                 THEN (extract(epoch FROM reported_at) * 1000)::bigint END \
             FROM dualkey_reports WHERE ring = $1 AND environment = $2 ORDER BY instance",
        )
        .bind(&self.ring)
        .bind(&self.environment)
        .bind(MAX_REPORT_BYTES)
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await
        .map_err(|error| self.sqlx_error(error))?;
        self.commit(transaction).await?;
        Ok(rows.into_iter().map(parse_report).collect())
    }

    async fn write_report(&self, report: &Report) -> Result<(), StoreError> {
        let document = report.to_json()?;
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO dualkey_reports (ring, environment, instance, document) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (ring, environment, instance) \
             DO UPDATE SET document = excluded.document, reported_at = now()",
        )
        .bind(&self.ring)
        .bind(&self.environment)
        .bind(&report.instance)
        .bind(document)
        .persistent(false)
        .execute(&mut *transaction)
        .await
        .map_err(|error| self.sqlx_error(error))?;
        self.commit(transaction).await
    }

    async fn forget(&self, instance: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "DELETE FROM dualkey_reports WHERE ring = $1 AND environment = $2 AND instance = $3",
        )
        .bind(&self.ring)
        .bind(&self.environment)
        .bind(instance)
        .persistent(false)
        .execute(&mut *transaction)
        .await
        .map_err(|error| self.sqlx_error(error))?;
        self.commit(transaction).await
    }

    /// `work`, for as long as an answer may take.
    async fn run_in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        // Its pool would panic without one.
        if Handle::try_current().is_err() {
            return Err(self.client_error("it needs a tokio runtime: follow it with `spawn`"));
        }
        match timeout(PATIENCE, work).await {
            Ok(done) => done,
            Err(_) => Err(self.client_error("no answer within ten seconds")),
        }
    }

    fn client_error(&self, problem: impl Into<Box<dyn StdError + Send + Sync>>) -> StoreError {
        StoreError::Client { store: self.name(), source: problem.into() }
    }

    fn sqlx_error(&self, error: sqlx::Error) -> StoreError {
        StoreError::Client { store: self.name(), source: explain(error) }
    }

    /// The name in errors, and the payload of a notification.
    fn name(&self) -> String {
        format!("{}/{}", self.environment, self.ring)
    }
}

impl KeyStore for PostgresStore {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(self.run_in_time(self.read()))
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(self.run_in_time(self.swap(expected, next)))
    }

    fn watch(&self, wake: Wake) -> StoreFuture<'_, Option<Watch>> {
        Box::pin(async move {
            let route = Route { pool: self.pool.clone(), direct: self.direct.clone() };
            match listen::subscribe(route, self.name(), wake) {
                Ok(watch) => Ok(Some(watch)),
                Err(source) => Err(StoreError::Io { store: self.name(), source }),
            }
        })
    }

    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        Box::pin(self.run_in_time(self.read_reports()))
    }

    fn save_report<'a>(&'a self, report: &'a Report) -> StoreFuture<'a, ()> {
        Box::pin(self.run_in_time(self.write_report(report)))
    }

    fn forget_report<'a>(&'a self, instance: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(self.run_in_time(self.forget(instance)))
    }
}

/// The report of a row: its instance, its document unless that is too large, and when it was received
/// in milliseconds since 1970. What cannot be read is an unreadable report, so that it does not hide
/// the others.
fn parse_report((instance, text, received): (String, Option<String>, Option<i64>)) -> Report {
    let problem = match text.map(|text| Report::from_json(text.as_bytes())) {
        Some(Ok(report)) => return report,
        Some(Err(Error::Manifest { problem })) => problem,
        Some(Err(error)) => error.to_string(),
        None => format!("it has more than {MAX_REPORT_BYTES} bytes"),
    };
    // What is before 1970 or no moment was received long ago.
    let received = Duration::from_millis(received.unwrap_or(0).try_into().unwrap_or(0));
    let received_at = UNIX_EPOCH.checked_add(received).unwrap_or(UNIX_EPOCH);
    Report::for_unreadable(instance, received_at, problem)
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("ring", &self.ring)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}
