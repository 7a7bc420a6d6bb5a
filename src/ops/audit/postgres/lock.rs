//! The lock that one operator holds on a secret, in the database of the trail.
//!
//! It guarantees: no two operators hold it at once; and it is free when its connection is gone,
//! however that ended: a guard that is dropped, a process that is killed, a network that is cut, a
//! pooler that gives the server connection to another client. For a transaction holds it, in which
//! nothing else is done: poolers do not split one, and the server ends it with the connection.
//!
//! It does not guarantee to be held to the end of a step: an administrator may end the transaction,
//! as `idle_transaction_timeout` of PgBouncer does. Then the revision still protects: of two steps at
//! once the second is refused or taken again on what the first left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{Connection, Executor};
use tokio::time::timeout;

use super::client::client_error;
use crate::ops::audit::error::AuditError;
use crate::ops::audit::sink::Guard;

/// The key of all these locks: `dualkey` in ASCII.
pub(super) const LOCK: i64 = 0x0064_7561_6c6b_6579;
/// The time that one operator waits for another.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// The time for a second connection, which the records of the step need.
const SECOND: Duration = Duration::from_secs(5);

/// Waits for the lock on `secret`.
pub(super) async fn hold(pool: &PgPool, secret: &str) -> Result<Guard, AuditError> {
    let start = Instant::now();
    // A connection of its own, which takes none from the records.
    let mut connection = match timeout(PATIENCE, connect(pool.connect_options())).await {
        Ok(connection) => connection.map_err(client_error)?,
        Err(_) => {
            return Err(lock_error(
                secret,
                "the server does not answer in time; check the way to it",
            ));
        }
    };
    while start.elapsed() < PATIENCE {
        let is_taken = match timeout(PATIENCE, take(&mut connection, secret)).await {
            Ok(taken) => taken.map_err(client_error)?,
            Err(_) => {
                let problem = "no connection came free in time; raise `default_pool_size` of the \
                               pooler to at least 2, or use a URL that leads past it";
                return Err(lock_error(secret, problem));
            }
        };
        if is_taken {
            check_second(pool, secret).await?;
            return Ok(Guard::new(std::sync::Mutex::new(connection)));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(AuditError::Locked { path: format!("of {secret}, in the database").into() })
}

async fn connect(options: Arc<PgConnectOptions>) -> Result<PgConnection, sqlx::Error> {
    // PgBouncer refuses this parameter, and no float is read.
    PgConnection::connect_with(&PgConnectOptions::clone(&options).extra_float_digits(None)).await
}

/// Takes the lock, if it is free. If not, no transaction is left open.
async fn take(connection: &mut PgConnection, secret: &str) -> Result<bool, sqlx::Error> {
    connection.execute("BEGIN").await?;
    let is_held: bool =
        sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended($1, $2))")
            .bind(secret)
            .bind(LOCK)
            .persistent(false)
            .fetch_one(&mut *connection)
            .await?;
    if !is_held {
        connection.execute("ROLLBACK").await?;
        return Ok(false);
    }
    // For this transaction alone: a step may take longer than what the server allows an idle one,
    // and a machine that is gone is to be noticed within a minute.
    connection
        .execute(
            "SELECT set_config(name, CASE name WHEN 'tcp_keepalives_idle' THEN '20' \
             WHEN 'tcp_keepalives_interval' THEN '10' WHEN 'tcp_keepalives_count' THEN '3' \
             ELSE '0' END, true) \
         FROM pg_catalog.pg_settings WHERE name IN ('idle_in_transaction_session_timeout', \
             'transaction_timeout', 'tcp_keepalives_idle', 'tcp_keepalives_interval', \
             'tcp_keepalives_count')",
        )
        .await?;
    Ok(true)
}

/// The records of the step go over another connection: with none, it would hang half-way.
async fn check_second(pool: &PgPool, secret: &str) -> Result<(), AuditError> {
    match timeout(SECOND, sqlx::raw_sql("SELECT 1").execute(pool)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => {
            let problem = "its connection is held, and no second one came free in time for the \
                           records; raise `default_pool_size` of the pooler to at least 2, or use a \
                           URL that leads past it";
            Err(lock_error(secret, problem))
        }
        Ok(Err(error)) => Err(client_error(error)),
    }
}

fn lock_error(secret: &str, problem: &str) -> AuditError {
    AuditError::Client { source: format!("cannot lock {secret}: {problem}").into() }
}
