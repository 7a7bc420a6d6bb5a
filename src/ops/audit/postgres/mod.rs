//! A trail in PostgreSQL, for operators and agents on several machines.
//!
//! Each statement runs in a transaction and is not kept, and the lock is one that a transaction ends:
//! so it works through PgBouncer in session and in transaction mode, with at least two server
//! connections.

mod client;
mod lock;
mod rows;

use std::fmt;

use sqlx::postgres::{PgPool, PgRow};
use sqlx::{PgConnection, Postgres, Row, Transaction};

use super::chain::Chain;
use super::error::AuditError;
use super::head::{Head, TrailEnd};
use super::key::{AuditKey, hash, sign};
use super::line::{self, Link};
use super::problem::{Problem, Verification};
use super::query::{Listing, Query};
use super::record::Record;
use super::search::{Late, Search};
use super::sink::{AuditFuture, Guard, Sink, Trail};
use super::verify::Walk;
use crate::ring::KeyRing;
use client::client_error;
use lock::LOCK;
use rows::{PAGE, Pages, Rows};

/// In a stricter one, records that another operator has just appended would not be seen.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
/// The number of records that one statement inserts.
const AT_ONCE: usize = 1000;

/// A trail in the table `dualkey_audit`.
///
/// The text of each record is what is signed, and what is read. The columns beside it are for
/// SQL of yours, which believes them at its own risk; [`Trail::verify`] compares them with the
/// text.
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
        let mut transaction = self.pool.begin_with(BEGIN).await.map_err(client_error)?;
        // Until the end of the transaction.
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(LOCK)
            .persistent(false)
            .execute(&mut *transaction)
            .await
            .map_err(client_error)?;
        let mut end = self.end(&mut transaction).await?;
        let mut rows = Rows::default();
        for record in records {
            let link = Link { n: end.n.saturating_add(1), prev: end.hash };
            let text = sign(&self.ring, record, link)?;
            end = Head { n: link.n, hash: Some(hash(&text)), revoked: None };
            rows.add(link.n, text)?;
            if rows.len() >= AT_ONCE {
                std::mem::take(&mut rows).insert(&mut transaction).await?;
            }
        }
        rows.insert(&mut transaction).await?;
        sqlx::query(
            "INSERT INTO dualkey_audit_head (line) VALUES ($1) \
             ON CONFLICT (is_only) DO UPDATE SET line = excluded.line",
        )
        .bind(end.write(&self.ring)?)
        .persistent(false)
        .execute(&mut *transaction)
        .await
        .map_err(client_error)?;
        transaction.commit().await.map_err(client_error)
    }

    async fn head(&self, connection: &mut PgConnection) -> Result<Option<Head>, AuditError> {
        let text: Option<String> = sqlx::query_scalar("SELECT line FROM dualkey_audit_head")
            .persistent(false)
            .fetch_optional(connection)
            .await
            .map_err(client_error)?;
        match text.map(|text| Head::read(&self.ring, &text)) {
            None => Ok(None),
            Some(Some(head)) => Ok(Some(head)),
            Some(None) => Err(AuditError::Broken { problem: Problem::NoHead }),
        }
    }

    /// Returns where the trail ends.
    async fn end(&self, connection: &mut PgConnection) -> Result<Head, AuditError> {
        let head = self.head(connection).await?;
        let mut chain = Chain::new(&self.ring, TrailEnd::from(head));
        let mut pages = Pages::new();
        while chain.end().is_none()
            && let Some(lines) = pages.next(connection).await?
        {
            for text in lines {
                chain.take_line(&text, &mut |_| {});
            }
        }
        let is_whole = chain.end().is_none();
        let problem = chain.finish(is_whole, &mut |_| {});
        let forged = chain.forged.first().map(|line| Problem::Forged { after: line.after });
        match (chain.end(), head, forged.or(problem)) {
            (Some(end), _, None) => Ok(end),
            (None, None, None) => Ok(Head::default()),
            (.., problem) => {
                Err(AuditError::Broken { problem: problem.unwrap_or(Problem::NoHead) })
            }
        }
    }

    async fn list(&self, query: &Query) -> Result<Listing, AuditError> {
        let mut late = Late::default();
        if Late::is_needed(&self.ring) {
            let revocations = self.search(&Late::query(&self.ring), &late).await?;
            late = Late::from_listing(&self.ring, &revocations);
        }
        self.search(query, &late).await
    }

    async fn search(&self, query: &Query, late: &Late) -> Result<Listing, AuditError> {
        let mut snapshot = self.snapshot().await?;
        let end = TrailEnd::from_read(self.head(&mut snapshot).await)?;
        let mut search = Search::new(&self.ring, end, query, late);
        let mut pages = Pages::new();
        while let Some(lines) = pages.next(&mut snapshot).await? {
            for text in lines {
                if search.is_done() {
                    return Ok(search.finish(false, &[]));
                }
                search.take_line(&text);
            }
        }
        Ok(search.finish(true, &[]))
    }

    async fn has_nothing(&self) -> Result<bool, AuditError> {
        let mut snapshot = self.snapshot().await?;
        let end = TrailEnd::from_read(self.head(&mut snapshot).await)?;
        match end.head() {
            Some(head) if head.n > 0 => return Ok(false),
            None if end == TrailEnd::Unreadable => return Ok(false),
            None => return Ok(Pages::new().next(&mut snapshot).await?.is_none()),
            // The rows after an empty trail may be forged.
            Some(_) => drop(snapshot),
        }
        let listing = self.list(&Query::new().with_started().take(1)).await?;
        Ok(listing.records.is_empty() && listing.problem.is_none())
    }

    /// A transaction that reads everything as it is at one moment.
    async fn snapshot(&self) -> Result<Transaction<'static, Postgres>, AuditError> {
        self.pool.begin_with(READ).await.map_err(client_error)
    }

    async fn check(&self) -> Result<Verification, AuditError> {
        let mut snapshot = self.snapshot().await?;
        let end = TrailEnd::from_read(self.head(&mut snapshot).await)?;
        let mut walk = Walk::new(&self.ring, end);
        let mut after = 0_i64;
        loop {
            let rows = sqlx::query(
                "SELECT n, at, secret, action, actor, environment, outcome, line \
                 FROM dualkey_audit WHERE n > $1 ORDER BY n LIMIT $2",
            )
            .bind(after)
            .bind(PAGE)
            .persistent(false)
            .fetch_all(&mut *snapshot)
            .await
            .map_err(client_error)?;
            let Some(last) = rows.last() else { return Ok(walk.finish(&[])) };
            after = last.try_get(0).map_err(client_error)?;
            for row in rows {
                let text: String = row.try_get(7).map_err(client_error)?;
                // A column that says otherwise would hide the record from a query.
                let is_known = if is_same(&row, &text)? {
                    walk.take_line(&text)
                } else {
                    walk.take_stray(&text)
                };
                if !is_known {
                    return Ok(walk.finish(&[]));
                }
            }
        }
    }
}

/// Returns whether the columns of a row hold what the text of its record says.
fn is_same(row: &PgRow, text: &str) -> Result<bool, AuditError> {
    let n: i64 = row.try_get(0).map_err(client_error)?;
    let mut is_same = line::parse(text).is_some_and(|line| i64::try_from(line.link.n) == Ok(n));
    let fields = line::start(text).map(|(start, _)| start.fields());
    for (place, field) in fields.into_iter().flatten().enumerate() {
        let column: String = row.try_get(place + 1).map_err(client_error)?;
        is_same &= column == field;
    }
    Ok(is_same)
}

impl Sink for PostgresTrail {
    fn append<'a>(&'a self, records: &'a [Record]) -> AuditFuture<'a, ()> {
        Box::pin(self.write(records))
    }
}

impl Trail for PostgresTrail {
    fn read<'a>(&'a self, query: &'a Query) -> AuditFuture<'a, Listing> {
        Box::pin(self.list(query))
    }

    fn is_empty(&self) -> AuditFuture<'_, bool> {
        Box::pin(self.has_nothing())
    }

    fn verify(&self) -> AuditFuture<'_, Verification> {
        Box::pin(self.check())
    }

    fn ring(&self) -> &KeyRing<AuditKey> {
        &self.ring
    }

    fn lock<'a>(&'a self, secret: &'a str) -> AuditFuture<'a, Guard> {
        Box::pin(lock::hold(&self.pool, secret))
    }
}

impl fmt::Debug for PostgresTrail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTrail").field("ring", &self.ring.name()).finish_non_exhaustive()
    }
}
