//! Trying a credential beside the pool: with a connection of its own, and a statement.

use std::io;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, SqlSafeStr, SqlStr};
use tokio::time::{Instant, timeout};

use super::error::DatabaseError;
use super::pool::{Inner, RotatingPool};
use super::refusal::is_refusal;
use crate::credential::Attempt;
use crate::error::Error;
use crate::kid::Kid;

/// A server that does not answer within this has not refused.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts at what could not be tried.
const PAUSE: Duration = Duration::from_secs(1);

/// The result of a trial.
enum Trial {
    Passed,
    Refused(sqlx::Error),
    /// The server accepted the credential, and not the statement.
    Failed(sqlx::Error),
    /// It could not be tried: of a network that is down, or a server that is full.
    Unknown(sqlx::Error),
}

impl RotatingPool {
    /// Tries the credential `kid`, staged or not, with a connection of its own: before it is
    /// promoted.
    ///
    /// # Errors
    /// [`DatabaseError::Refused`] with that kid alone; [`DatabaseError::OtherDatabase`]; what else
    /// keeps it from being tried.
    pub async fn probe(&self, kid: &Kid) -> Result<(), DatabaseError> {
        self.probe_key(kid, None).await
    }

    /// The same, and runs `statement` as the role of that credential: a role that may log in, but
    /// lacks a right, is found before it is promoted.
    ///
    /// The statement runs in a transaction that is rolled back, so that it may write. It has ten
    /// seconds.
    ///
    /// ```no_run
    /// use dualkey::credential::database::{DatabaseError, RotatingPool};
    ///
    /// # async fn check(pool: &RotatingPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let staged = "2026-q1".parse()?;
    /// match pool.probe_with(&staged, "UPDATE users SET seen = now() WHERE false").await {
    ///     Ok(()) => println!("it can be promoted"),
    ///     Err(DatabaseError::Refused { .. }) => println!("the password is wrong"),
    ///     Err(DatabaseError::Statement { source, .. }) => println!("it lacks a right: {source}"),
    ///     Err(error) => println!("it could not be tried: {error}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`probe`](Self::probe); [`DatabaseError::Statement`] where the server accepts the
    /// credential and the statement fails, or takes too long.
    pub async fn probe_with(
        &self,
        kid: &Kid,
        statement: impl SqlSafeStr,
    ) -> Result<(), DatabaseError> {
        self.probe_key(kid, Some(statement.into_sql_str())).await
    }

    /// Sets a statement that the pool runs before it moves to a promoted credential, as
    /// [`probe_with`](Self::probe_with) does. Where it fails, the pool stays with the credential
    /// before, tells the observer ([`Event::CredentialUnusable`](crate::Event)), and tries again
    /// later. All clones of the pool have it.
    #[must_use]
    pub fn with_probe(self, statement: impl SqlSafeStr) -> Self {
        self.inner.lock_current().statement = Some(statement.into_sql_str());
        self
    }

    async fn probe_key(&self, kid: &Kid, statement: Option<SqlStr>) -> Result<(), DatabaseError> {
        let inner = &self.inner;
        let ring = inner.credentials.ring().name().to_owned();
        let attempt = inner.credentials.pick(*kid).ok_or(Error::UnknownKey { kid: *kid })?;
        let options = inner.options(&attempt)?;
        match try_connection(&options, statement).await {
            Trial::Passed => Ok(()),
            Trial::Refused(error) => {
                Err(DatabaseError::Refused { ring, kids: vec![*kid], source: Box::new(error) })
            }
            Trial::Failed(error) => {
                Err(DatabaseError::Statement { ring, kid: *kid, source: Box::new(error) })
            }
            Trial::Unknown(error) => Err(error.into()),
        }
    }
}

/// Probes `attempt`. If the server accepts it, new connections are made with it, and the others
/// drain.
pub(super) async fn probe_and_switch(pool: RotatingPool, attempt: Attempt) {
    let inner = &pool.inner;
    let _probing = Probing(inner);
    let options = match inner.options(&attempt) {
        Ok(options) => options,
        // The one before stays: a bad edit takes nothing down.
        Err(error) => {
            let _ = inner.credentials.reject_unusable(&attempt, &error);
            return;
        }
    };
    let statement = inner.lock_current().statement.clone();
    match try_connection(&options, statement).await {
        Trial::Passed => {
            inner.credentials.report_accepted(&attempt);
            // Its options were made a moment ago.
            let _ = pool.connect_with(attempt, true);
        }
        Trial::Refused(_) => {
            let _ = inner.credentials.report_rejected(&attempt);
        }
        Trial::Failed(error) => {
            let (ring, kid) = (inner.credentials.ring().name().to_owned(), attempt.kid());
            let error = DatabaseError::Statement { ring, kid, source: Box::new(error) };
            let _ = inner.credentials.reject_unusable(&attempt, &error);
        }
        Trial::Unknown(_) => inner.lock_current().not_before = Instant::now() + PAUSE,
    }
}

/// A probe that runs: it is over once this is dropped.
struct Probing<'i>(&'i Inner);

impl Drop for Probing<'_> {
    fn drop(&mut self) {
        self.0.lock_current().is_probing = false;
    }
}

/// Connects, runs `statement`, and closes the connection.
async fn try_connection(options: &PgConnectOptions, statement: Option<SqlStr>) -> Trial {
    let connecting = timeout(PATIENCE, PgConnection::connect_with(options));
    let mut connection = match connecting.await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) if is_refusal(&error) => return Trial::Refused(error),
        Ok(Err(error)) => return Trial::Unknown(error),
        Err(_) => return Trial::Unknown(sqlx::Error::PoolTimedOut),
    };
    let Some(statement) = statement else {
        // The server accepted it, which is all that was asked.
        let _ = connection.close().await;
        return Trial::Passed;
    };
    match timeout(PATIENCE, run_statement(&mut connection, statement)).await {
        Ok(Ok(())) => {
            let _ = connection.close().await;
            Trial::Passed
        }
        // A pooler may ask the server only now.
        Ok(Err(error)) if is_refusal(&error) => Trial::Refused(error),
        Ok(Err(error)) if is_of_the_statement(&error) => Trial::Failed(error),
        Ok(Err(error)) => Trial::Unknown(error),
        Err(_) => {
            let kind = io::ErrorKind::TimedOut;
            Trial::Failed(io::Error::new(kind, "the statement took more than 10 s").into())
        }
    }
}

/// Runs a statement in a transaction that is rolled back. The server ends it in time as well, where the connection
/// that is given up goes unnoticed.
async fn run_statement(
    connection: &mut PgConnection,
    statement: SqlStr,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql("SET LOCAL statement_timeout = '10s'").execute(&mut *transaction).await?;
    sqlx::raw_sql(statement).execute(&mut *transaction).await?;
    transaction.rollback().await
}

/// Returns whether the server refuses the statement itself: no network that is down (class 08), no lack of
/// resources (53), no end of the server (57, but for a statement that took too long), no fault of
/// its system (58, XX).
fn is_of_the_statement(error: &sqlx::Error) -> bool {
    let Some(code) = error.as_database_error().and_then(|error| error.code()) else { return false };
    code == "57014" || !["08", "53", "57", "58", "XX"].iter().any(|class| code.starts_with(class))
}
