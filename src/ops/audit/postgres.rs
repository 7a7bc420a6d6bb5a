//! A trail in PostgreSQL, for operators and agents on several machines.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::PgPool;
use sqlx::{PgConnection, Row};

use super::error::{AuditError, Problem, Verification};
use super::key::{AuditKey, hash, sign};
use super::line::{self, Link};
use super::query::{Entry, Query, merged};
use super::record::Record;
use super::sink::{AuditFuture, Guard, Sink, Trail};
use super::verify::{Head, Walk, join};
use crate::ring::KeyRing;

/// Of the lock that appending takes: `dualkey` in ASCII.
const LOCK: i64 = 0x0064_7561_6c6b_6579;
/// How long one operator waits for another.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
const PAGE: i64 = 5000;

/// The lines that a query asks for, of which the last words hold.
macro_rules! select {
    ($last:literal) => {
        concat!(
            "SELECT line FROM dualkey_audit \
             WHERE ($1::text IS NULL OR secret = $1) AND ($2::text IS NULL OR actor = $2) \
             AND ($3::text IS NULL OR environment = $3) AND ($4::text IS NULL OR outcome = $4) \
             AND ($5::text IS NULL OR at >= $5) AND ($6::text IS NULL OR at < $6) \
             AND (cardinality($7) = 0 OR action = ANY($7)) AND ($8 OR outcome <> 'BEGUN') \
             AND ",
            $last,
            " LIMIT $9"
        )
    };
}
/// No text of an operator's holds a bar.
const OWN: &str = select!("strpos(line, ' | imported=') = 0 ORDER BY n DESC");
const OF_STEPS: &str = select!("strpos(line, ' | revision=') > 0 ORDER BY n DESC");
const IMPORTED: &str = select!("strpos(line, ' | imported=') > 0 ORDER BY at DESC, n DESC");

/// A trail in the table `dualkey_audit`.
///
/// The text of each record is what is signed; the columns beside it are for queries, and are
/// compared with it when the trail is verified.
///
/// ```no_run
/// # async fn open(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
/// use dualkey::KeyRing;
/// use dualkey::ops::audit::{AuditKey, PostgresTrail, Query, Trail};
///
/// sqlx::raw_sql(PostgresTrail::SCHEMA).execute(&pool).await?; // once, or as a migration
/// let ring = KeyRing::<AuditKey>::from_env("AUDIT_SECRET")?;
/// let trail = PostgresTrail::new(pool, ring);
/// let last = trail.query(&Query::new().secret("JWT_SECRET").rotations().take(1)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresTrail {
    pool: PgPool,
    ring: KeyRing<AuditKey>,
}

impl PostgresTrail {
    /// The tables: to be run once, or made a migration of. Running it again changes nothing.
    ///
    /// Give who only writes the trail no right to `UPDATE` or `DELETE` on `dualkey_audit`.
    pub const SCHEMA: &str = "\
CREATE TABLE IF NOT EXISTS dualkey_audit (
    n bigint PRIMARY KEY CHECK (n > 0),
    at text NOT NULL,
    secret text NOT NULL,
    action text NOT NULL,
    actor text NOT NULL,
    environment text NOT NULL,
    outcome text NOT NULL,
    line text NOT NULL
);
CREATE INDEX IF NOT EXISTS dualkey_audit_secret ON dualkey_audit (secret, n DESC);
CREATE INDEX IF NOT EXISTS dualkey_audit_imported ON dualkey_audit (at DESC, n DESC)
    WHERE strpos(line, ' | imported=') > 0;
CREATE TABLE IF NOT EXISTS dualkey_audit_head (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    line text NOT NULL
);
";

    /// The trail in the database of `pool`, signed by the primary of `ring`.
    #[must_use]
    pub fn new(pool: PgPool, ring: KeyRing<AuditKey>) -> Self {
        Self { pool, ring }
    }

    async fn write(&self, records: &[Record]) -> Result<(), AuditError> {
        let mut own = self.pool.begin().await.map_err(client)?;
        // Until the end of the transaction.
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(LOCK)
            .execute(&mut *own)
            .await
            .map_err(client)?;
        let head = self.head(&mut own).await?;
        let tail: Option<String> =
            sqlx::query_scalar("SELECT line FROM dualkey_audit ORDER BY n DESC LIMIT 1")
                .fetch_optional(&mut *own)
                .await
                .map_err(client)?;
        let mut end = join(&self.ring, head, tail.as_deref())?.unwrap_or_default();
        for record in records {
            let link = Link { n: end.n.saturating_add(1), prev: end.hash };
            let text = sign(&self.ring, record, link)?;
            end = Head { n: link.n, hash: Some(hash(&text)), revoked: None };
            insert(&mut own, link.n, &text).await?;
        }
        sqlx::query(
            "INSERT INTO dualkey_audit_head (line) VALUES ($1) \
             ON CONFLICT (is_only) DO UPDATE SET line = excluded.line",
        )
        .bind(end.write(&self.ring)?)
        .execute(&mut *own)
        .await
        .map_err(client)?;
        own.commit().await.map_err(client)
    }

    async fn head(&self, own: &mut PgConnection) -> Result<Option<Head>, AuditError> {
        let text: Option<String> = sqlx::query_scalar("SELECT line FROM dualkey_audit_head")
            .fetch_optional(own)
            .await
            .map_err(client)?;
        match text.map(|text| Head::read(&self.ring, &text)) {
            None => Ok(None),
            Some(Some(head)) => Ok(Some(head)),
            Some(None) => Err(AuditError::Broken { problem: Problem::NoHead }),
        }
    }

    async fn find(&self, query: &Query) -> Result<Vec<Entry>, AuditError> {
        if query.is_of_steps {
            return self.select(OF_STEPS, query).await;
        }
        let own = self.select(OWN, query).await?;
        let imported = self.select(IMPORTED, query).await?;
        Ok(merged(own, imported, query.take.unwrap_or(usize::MAX)))
    }

    async fn select(&self, sql: &'static str, query: &Query) -> Result<Vec<Entry>, AuditError> {
        let own = query.compiled();
        let actions: Vec<_> =
            query.actions.iter().map(|action| action.as_str().to_owned()).collect();
        let take = query.take.and_then(|take| i64::try_from(take).ok()).unwrap_or(i64::MAX);
        let lines: Vec<String> = sqlx::query_scalar(sql)
            .bind(&own.secret)
            .bind(&own.actor)
            .bind(&own.environment)
            .bind(own.outcome.map(super::record::Outcome::as_str))
            .bind(&own.since)
            .bind(&own.until)
            .bind(actions)
            .bind(own.with_begun)
            .bind(take)
            .fetch_all(&self.pool)
            .await
            .map_err(client)?;
        let entry = |line: &String| {
            line::parse(line).map(|own| Entry { n: own.link.n, record: own.record })
        };
        Ok(lines.iter().filter_map(entry).collect())
    }

    async fn check(&self) -> Result<Verification, AuditError> {
        let mut own = self.pool.begin().await.map_err(client)?;
        // One moment for all that is read.
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *own)
            .await
            .map_err(client)?;
        let head = match self.head(&mut own).await {
            Err(AuditError::Broken { .. }) => None,
            head => head?,
        };
        let mut walk = Walk::new(&self.ring, head);
        let mut after = 0_i64;
        loop {
            let rows = sqlx::query(
                "SELECT n, at, secret, action, actor, environment, outcome, line \
                 FROM dualkey_audit WHERE n > $1 ORDER BY n LIMIT $2",
            )
            .bind(after)
            .bind(PAGE)
            .fetch_all(&mut *own)
            .await
            .map_err(client)?;
            let Some(last) = rows.last() else { return Ok(walk.finish(false)) };
            after = last.try_get(0).map_err(client)?;
            for row in rows {
                let n: i64 = row.try_get(0).map_err(client)?;
                let text: String = row.try_get(7).map_err(client)?;
                // A column that says otherwise would hide the record from a query.
                let mut is_same =
                    line::parse(&text).is_some_and(|own| i64::try_from(own.link.n) == Ok(n));
                for (place, field) in line::start(&text)
                    .iter()
                    .flat_map(|(own, _)| own.fields().into_iter().enumerate())
                {
                    let column: String = row.try_get(place + 1).map_err(client)?;
                    is_same &= column == field;
                }
                if !walk.line(if is_same { &text } else { "" }) {
                    return Ok(walk.finish(false));
                }
            }
        }
    }

    async fn hold(&self, secret: &str) -> Result<Guard, AuditError> {
        // A connection of its own: closed, by a drop or a kill, it holds nothing.
        let mut own = self.pool.acquire().await.map_err(client)?.detach();
        for _ in 0..ATTEMPTS {
            let is_held: bool =
                sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, $2))")
                    .bind(secret)
                    .bind(LOCK)
                    .fetch_one(&mut own)
                    .await
                    .map_err(client)?;
            if is_held {
                return Ok(Guard::new(std::sync::Mutex::new(own)));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(AuditError::Locked { path: format!("of {secret}, in the database").into() })
    }
}

async fn insert(own: &mut PgConnection, n: u64, text: &str) -> Result<(), AuditError> {
    let Some((start, _)) = line::start(text) else {
        return Err(AuditError::Unwritable { problem: "it has no fields".to_owned() });
    };
    let n = i64::try_from(n).map_err(|error| client(sqlx::Error::Encode(error.into())))?;
    let mut statement = sqlx::query(
        "INSERT INTO dualkey_audit (n, at, secret, action, actor, environment, outcome, line) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(n);
    for field in start.fields() {
        statement = statement.bind(field);
    }
    statement.bind(text).execute(own).await.map_err(client)?;
    Ok(())
}

fn client(error: sqlx::Error) -> AuditError {
    AuditError::Client { source: Box::new(error) }
}

impl Sink for PostgresTrail {
    fn append<'a>(&'a self, records: &'a [Record]) -> AuditFuture<'a, ()> {
        Box::pin(self.write(records))
    }
}

impl Trail for PostgresTrail {
    fn query<'a>(&'a self, query: &'a Query) -> AuditFuture<'a, Vec<Entry>> {
        Box::pin(self.find(query))
    }

    fn verify(&self) -> AuditFuture<'_, Verification> {
        Box::pin(self.check())
    }

    fn ring(&self) -> &KeyRing<AuditKey> {
        &self.ring
    }

    fn lock<'a>(&'a self, secret: &'a str) -> AuditFuture<'a, Guard> {
        Box::pin(self.hold(secret))
    }
}

impl fmt::Debug for PostgresTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTrail").field("ring", &self.ring.name()).finish_non_exhaustive()
    }
}
