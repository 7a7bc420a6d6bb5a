//! A manifest in PostgreSQL, for fleets.
//!
//! It promises: what the database holds is sealed under a KEK ring of yours, so that who reads
//! its rows, or a backup of them, reads no secret; of two writers at once one is told of the
//! other, by the statement that writes; a change is pushed to all who follow.
//!
//! It does not promise to notice who puts an old row back whole: an instance that runs refuses
//! it, because its revision is older; one that starts takes it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use sqlx::postgres::{PgListener, PgPool};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::codec::Codec;
use super::error::StoreError;
use super::store::{KeyStore, StoreFuture, Wake, Watch};
use crate::envelope::AesKey;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::ring::{KeyRing, Report};

/// The channel on which a change is told.
const CHANNEL: &str = "dualkey";
/// A connection that was cut without a word never answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// A manifest has at most 1 MiB, and a sealed one four thirds of that.
const MAX_BYTES: i32 = 2 * 1024 * 1024;
/// A report has at most 1 MiB.
const MAX_REPORT_BYTES: i32 = 1024 * 1024;
/// Between two attempts to listen.
const PAUSE: Duration = Duration::from_secs(1);
/// The least time between two wakes: every user of the database may notify a channel, as often as
/// they like.
const DAMPING: Duration = Duration::from_millis(100);

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
/// It works on the tokio runtime that its pool is of. Who follows it holds one connection of
/// its own to listen on, and is told of a change within milliseconds; when that connection is
/// lost, it is made anew, and the store is asked, because something may have been missed.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
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
        Self { pool, ring, environment, codec }
    }

    async fn read(&self) -> Result<Manifest, StoreError> {
        // What is too large is not fetched.
        let row: Option<(i64, Option<String>)> = sqlx::query_as(
            "SELECT revision, CASE WHEN octet_length(document) <= $3 THEN document END \
             FROM dualkey_manifests WHERE ring = $1 AND environment = $2",
        )
        .bind(&self.ring)
        .bind(&self.environment)
        .bind(MAX_BYTES)
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| self.client(error))?;
        let (revision, text) = row.ok_or_else(|| StoreError::Missing { store: self.name() })?;
        let text = text.ok_or_else(|| StoreError::Sealed {
            store: self.name(),
            problem: "the row has more than 2 MiB, and a manifest at most 1 MiB",
        })?;
        let manifest = self.codec.decode(text.as_bytes(), &self.name())?;
        // What is sealed is authentic, and says itself of which revision it is.
        match i64::try_from(manifest.revision()) == Ok(revision) {
            true => Ok(manifest),
            false => {
                let problem = "the row holds the manifest of another revision";
                Err(StoreError::Sealed { store: self.name(), problem })
            }
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
        // One statement: it compares, swaps and tells, or does nothing.
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
            i64::try_from(revision).map_err(|error| self.client(sqlx::Error::Encode(error.into())))
        };
        let changed = sqlx::query(statement)
            .bind(&self.ring)
            .bind(&self.environment)
            .bind(number(expected)?)
            .bind(number(next.revision())?)
            .bind(text)
            .bind(CHANNEL)
            .bind(&store)
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| self.client(error))?;
        if changed.is_some() {
            return Ok(());
        }
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT revision FROM dualkey_manifests WHERE ring = $1 AND environment = $2",
        )
        .bind(&self.ring)
        .bind(&self.environment)
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| self.client(error))?;
        let found = found.unwrap_or(0).unsigned_abs();
        Err(StoreError::Conflict { store, expected, found })
    }

    async fn read_reports(&self) -> Result<Vec<Report>, StoreError> {
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
        .fetch_all(&self.pool)
        .await
        .map_err(|error| self.client(error))?;
        Ok(rows.into_iter().map(report).collect())
    }

    async fn write_report(&self, report: &Report) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO dualkey_reports (ring, environment, instance, document) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (ring, environment, instance) \
             DO UPDATE SET document = excluded.document, reported_at = now()",
        )
        .bind(&self.ring)
        .bind(&self.environment)
        .bind(&report.instance)
        .bind(report.to_json()?)
        .execute(&self.pool)
        .await
        .map_err(|error| self.client(error))?;
        Ok(())
    }

    async fn forget(&self, instance: &str) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM dualkey_reports WHERE ring = $1 AND environment = $2 AND instance = $3",
        )
        .bind(&self.ring)
        .bind(&self.environment)
        .bind(instance)
        .execute(&self.pool)
        .await
        .map_err(|error| self.client(error))?;
        Ok(())
    }

    /// `work`, for as long as an answer may take.
    async fn patiently<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        // Its pool would panic without one.
        if Handle::try_current().is_err() {
            return Err(self.failed("it needs a tokio runtime: follow it with `spawn`"));
        }
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(done) => done,
            Err(_) => Err(self.failed("no answer within ten seconds")),
        }
    }

    fn failed(&self, problem: &'static str) -> StoreError {
        StoreError::Client { store: self.name(), source: problem.into() }
    }

    fn client(&self, error: sqlx::Error) -> StoreError {
        StoreError::Client { store: self.name(), source: Box::new(error) }
    }

    /// What errors call it, and what is told on the channel.
    fn name(&self) -> String {
        format!("{}/{}", self.environment, self.ring)
    }
}

impl KeyStore for PostgresStore {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(self.patiently(self.read()))
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(self.patiently(self.swap(expected, next)))
    }

    fn watch(&self, wake: Wake) -> StoreFuture<'_, Option<Watch>> {
        Box::pin(async move {
            let Ok(runtime) = Handle::try_current() else { return Ok(None) };
            let changed = Arc::new(Notify::new());
            let heard = runtime.spawn(listen(self.pool.clone(), self.name(), Arc::clone(&changed)));
            let heard = Ends(heard.abort_handle());
            let woken = Ends(runtime.spawn(damp(changed, wake)).abort_handle());
            Ok(Some(Watch::new([heard, woken])))
        })
    }

    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        Box::pin(self.patiently(self.read_reports()))
    }

    fn save_report<'a>(&'a self, report: &'a Report) -> StoreFuture<'a, ()> {
        Box::pin(self.patiently(self.write_report(report)))
    }

    fn forget_report<'a>(&'a self, instance: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(self.patiently(self.forget(instance)))
    }
}

/// The report of a row: its instance, its document unless that is too large, and when it was received
/// in milliseconds since 1970. What cannot be read is an unreadable report, so that it does not hide
/// the others.
fn report((instance, text, received): (String, Option<String>, Option<i64>)) -> Report {
    let problem = match text.map(|text| Report::from_json(text.as_bytes())) {
        Some(Ok(report)) => return report,
        Some(Err(Error::Manifest { problem })) => problem,
        Some(Err(error)) => error.to_string(),
        None => format!("it has more than {MAX_REPORT_BYTES} bytes"),
    };
    // What is before 1970 or no moment was received long ago.
    let received = Duration::from_millis(received.unwrap_or(0).try_into().unwrap_or(0));
    let received_at = UNIX_EPOCH.checked_add(received).unwrap_or(UNIX_EPOCH);
    Report::unreadable(instance, received_at, problem)
}

/// Listens until it is aborted, again when the connection is lost. Notifications of other stores are
/// left out.
async fn listen(pool: PgPool, name: String, changed: Arc<Notify>) {
    loop {
        if let Ok(mut listener) = PgListener::connect_with(&pool).await
            && listener.listen(CHANNEL).await.is_ok()
        {
            // What happened while nobody listened.
            changed.notify_one();
            while let Ok(Some(told)) = listener.try_recv().await {
                if told.payload() == name {
                    changed.notify_one();
                }
            }
            changed.notify_one();
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Wakes at the first of several changes and after the last, at most once in [`DAMPING`]. Deliberately
/// not the task that listens, which would leave a storm to the memory of the client.
async fn damp(changed: Arc<Notify>, wake: Wake) {
    loop {
        changed.notified().await;
        wake.wake();
        tokio::time::sleep(DAMPING).await;
    }
}

/// Ends a task when it is dropped.
struct Ends(AbortHandle);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("ring", &self.ring)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}
