//! The listening connection: made, tried, heard, and made again when it is lost.
//!
//! It guarantees: a connection on which no notification arrives is noticed, at its start by a
//! notification that a second connection sends, and later by a statement that must be answered.
//! Whatever keeps it from listening is the status of its stores until it listens again, and then
//! each of them is woken, because something may have been missed.
//!
//! Nothing listens on a server connection that a pooler shares. A `LISTEN` would stay there, and
//! whichever client has it when a notification arrives would get that: `sqlx` takes it for an error
//! of the query that runs. So a second connection finds out first whether the server connection of
//! the first is given to others.

use std::io;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, Postgres, Row};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::hub::{self, Hub, Route};
use super::limits::{CHANNEL, PATIENCE};
use crate::observer::catch;
use crate::postgres::explain;
use crate::source::store::{Wake, Watch};

/// The first pause between two connections. Each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A connection that was heard for so long was no failure.
const STEADY: Duration = Duration::from_secs(30);
/// The time between two checks that a silent connection is still there. Networks that cut silent
/// connections do so after minutes.
const PING: Duration = Duration::from_secs(30);
/// The time in which a notification must arrive: it takes milliseconds.
const ARRIVAL: Duration = Duration::from_secs(5);
/// The number of looks at the server connection of a client, and of attempts to find one again, when
/// others use the pooler as well.
const LOOKS: usize = 5;
const UNLISTENS: usize = 100;
/// `read_only_sql_transaction`, by which a standby refuses `LISTEN` and `NOTIFY`.
const STANDBY: &str = "25006";
/// The beginning of a notification that only tries a connection. No store has such a name, because
/// it has no `/`.
const PROBE: &str = "dualkey probe ";

/// Has `wake` called when the store `name` may have changed, until the result is dropped.
pub(super) fn subscribe(route: Route, name: String, wake: Wake) -> io::Result<Watch> {
    hub::join(route, name, wake, run)
}

/// Serves the stores of `hub` until the last of them has left.
fn run(hub: &Hub, runtime: &Runtime) {
    while !hub.is_left() && catch(|| runtime.block_on(hub.run_until_left(serve(hub)))).is_none() {
        hub.status().set_problem(ListenFailure::Panicked.problem());
        std::thread::sleep(PAUSE);
    }
}

async fn serve(hub: &Hub) {
    let (mut turn, mut failures) = (0, 0);
    loop {
        failures += 1;
        let failure = match open(hub, turn).await {
            Ok(listener) => {
                hub.status().clear();
                let start = Instant::now();
                let failure = hear(hub, listener).await;
                failures = if start.elapsed() > STEADY { 0 } else { failures };
                failure
            }
            Err(failure) => failure,
        };
        hub.status().set_problem(failure.problem());
        turn += 1;
        tokio::time::sleep(pause(failures, getrandom::u32().unwrap_or(0))).await;
    }
}

/// The time before the next connection: it doubles with each failure, and differs between the
/// processes of a fleet.
fn pause(failures: u32, random: u32) -> Duration {
    let longest = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
    longest / 2 + longest.saturating_mul(random % 1024) / 2048
}

/// Makes a connection that listens, and on which notifications arrive.
async fn open(hub: &Hub, turn: usize) -> Result<PgListener, ListenFailure> {
    let all: Vec<_> = hub.routes().iter().flat_map(listener_options).collect();
    // The last store has just left.
    let Some(options) = all.get(turn % all.len().max(1)) else {
        return Err(ListenFailure::Lost);
    };
    let mut listener = connect(&options.listening).await?;
    let second = connect_second(&mut listener, &options.listening);
    let second = timeout(PATIENCE, second).await.unwrap_or(Err(ListenFailure::NoSecond))?;
    let server = match timeout(PATIENCE, server_of(&mut listener, "LISTEN")).await {
        Ok(server) => server.map_err(ListenFailure::from_error)?,
        Err(_) => return Err(ListenFailure::NoAnswer),
    };
    hub.wake_all();
    let probed = probe(hub, &mut listener, second, options).await;
    if probed.is_err() {
        // A pooler that was not found out has the server connection now.
        let _ = timeout(PATIENCE, unlisten(&mut listener, server)).await;
    }
    probed.map(|()| listener)
}

/// The options of the connection that listens, and of the one that changes are sent with.
struct ListenerOptions {
    listening: PgConnectOptions,
    /// The options of the pool, if they are others: changes are sent with them.
    sending: Option<PgConnectOptions>,
}

/// The options that a route allows, the best first. The password of a direct URL may be older than
/// that of the pool.
fn listener_options(route: &Route) -> Vec<ListenerOptions> {
    // PgBouncer refuses this parameter, and no float is read.
    let plain = |options: &PgConnectOptions| options.clone().extra_float_digits(None);
    let pooled = plain(&route.pool.connect_options());
    let Some(direct) = &route.direct else {
        return vec![ListenerOptions { listening: pooled, sending: None }];
    };
    let mut all = vec![ListenerOptions { listening: plain(direct), sending: Some(pooled.clone()) }];
    // A socket cannot be replaced by a host.
    if pooled.get_socket().is_none() && direct.get_socket().is_none() {
        let listening = pooled
            .clone()
            .host(direct.get_host())
            .port(direct.get_port())
            .username(direct.get_username())
            .database(direct.get_database().unwrap_or(direct.get_username()))
            .ssl_mode(direct.get_ssl_mode());
        all.push(ListenerOptions { listening, sending: Some(pooled) });
    }
    all
}

/// A connection of its own, in no pool of the application.
async fn connect(options: &PgConnectOptions) -> Result<PgListener, ListenFailure> {
    // `sqlx` makes a listener from a pool alone.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ARRIVAL)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.clone());
    match PgListener::connect_with(&pool).await {
        Ok(mut listener) => {
            listener.eager_reconnect(false);
            Ok(listener)
        }
        // A pool tries again what the server refuses for a while, and drops the reason.
        Err(sqlx::Error::PoolTimedOut) => {
            match timeout(ARRIVAL, PgConnection::connect_with(options)).await {
                Ok(Err(error)) => Err(ListenFailure::from_error(error)),
                Ok(Ok(_)) | Err(_) => Err(ListenFailure::NoAnswer),
            }
        }
        Err(error) => Err(ListenFailure::from_error(error)),
    }
}

/// Makes a second connection on the way of the first, unless a pooler on that way shares server
/// connections.
async fn connect_second(
    listener: &mut PgListener,
    options: &PgConnectOptions,
) -> Result<PgConnection, ListenFailure> {
    let mut second = PgConnection::connect_with(options).await.map_err(ListenFailure::NoSender)?;
    let first = server_of(&mut *listener, "").await.map_err(ListenFailure::from_error)?;
    // A transaction keeps its server connection: a pooler gives it the one that was last used, or
    // the first gets another the next time.
    match second.execute("BEGIN").await {
        // One that shares them between the statements of a transaction refuses it.
        Err(error) if has_code(&error, "08P01") => return Err(ListenFailure::Shared),
        started => started.map_err(ListenFailure::from_error)?,
    };
    if server_of(&mut second, "").await.map_err(ListenFailure::from_error)? == first {
        return Err(ListenFailure::Shared);
    }
    for _ in 0..LOOKS {
        if server_of(&mut *listener, "").await.map_err(ListenFailure::from_error)? != first {
            return Err(ListenFailure::Shared);
        }
    }
    second.execute("ROLLBACK").await.map_err(ListenFailure::from_error)?;
    Ok(second)
}

/// The process of the server that this client has now. With `command`, `LISTEN` or `UNLISTEN`, in
/// the same transaction.
async fn server_of<'c>(
    client: impl Executor<'c, Database = Postgres>,
    command: &str,
) -> Result<i32, sqlx::Error> {
    let command = match command {
        "" => String::new(),
        command => format!("{command} \"{CHANNEL}\"; "),
    };
    // One simple query: a pooler may send each message to another server.
    let query = sqlx::raw_sql(AssertSqlSafe(format!("{command}SELECT pg_backend_pid()")));
    query.fetch_one(client).await?.try_get(0)
}

/// Has the process `server` listen no more, wherever a pooler has it.
async fn unlisten(listener: &mut PgListener, server: i32) {
    for _ in 0..UNLISTENS {
        match server_of(&mut *listener, "UNLISTEN").await {
            Ok(found) if found != server => {}
            _ => return,
        }
    }
}

/// Sends a notification over a second connection, and waits for it.
///
/// Deliberately not over the connection that listens: behind a pooler, a statement of it may run on
/// the server connection that has its `LISTEN`. The server then delivers the notification with the
/// answer, and the pooler passes it on, although it passes on no later one.
async fn probe(
    hub: &Hub,
    listener: &mut PgListener,
    second: PgConnection,
    options: &ListenerOptions,
) -> Result<(), ListenFailure> {
    let mut nonce = [0; 16];
    // Two processes must not take the notification of the other for their own.
    getrandom::fill(&mut nonce).map_err(|_| ListenFailure::NoRandom)?;
    let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
    let payload = format!("{PROBE}{nonce}");
    match timeout(PATIENCE, send(second, options, &payload)).await {
        Ok(sent) => sent.map_err(ListenFailure::NoSender)?,
        Err(_) => return Err(ListenFailure::NoSecond),
    }
    let arrived = timeout(ARRIVAL, async {
        loop {
            match listener.try_recv().await {
                Ok(Some(received)) if received.payload() == payload => return Ok(()),
                Ok(Some(received)) => hub.wake(received.payload()),
                Ok(None) => return Err(ListenFailure::Lost),
                Err(error) => return Err(ListenFailure::from_error(error)),
            }
        }
    });
    arrived.await.unwrap_or(Err(ListenFailure::Silent))
}

/// Sends `payload` on the way that changes take.
async fn send(
    second: PgConnection,
    options: &ListenerOptions,
    payload: &str,
) -> Result<(), sqlx::Error> {
    let notify = async |mut sender: PgConnection| {
        let notify = format!("SELECT pg_notify('{CHANNEL}', '{payload}')");
        sender.execute(AssertSqlSafe(notify)).await?;
        sender.close().await
    };
    let Some(sending) = &options.sending else { return notify(second).await };
    match notify(PgConnection::connect_with(sending).await?).await {
        // The pool leads to a standby, which sends nothing: changes come from elsewhere.
        Err(error) if has_code(&error, STANDBY) => notify(second).await,
        sent => {
            second.close().await?;
            sent
        }
    }
}

/// Hears notifications until the connection is lost. Those of stores that are not here are left out.
async fn hear(hub: &Hub, mut listener: PgListener) -> ListenFailure {
    loop {
        match timeout(PING, listener.try_recv()).await {
            Ok(Ok(Some(received))) => hub.wake(received.payload()),
            Ok(Ok(None)) => return ListenFailure::Lost,
            Ok(Err(error)) => return ListenFailure::from_error(error),
            Err(_) => {
                // It changes nothing, and `pg_stat_activity` shows what the connection is for.
                let ping = listener.execute(AssertSqlSafe(format!("LISTEN \"{CHANNEL}\"")));
                match timeout(PATIENCE, ping).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return ListenFailure::from_error(error),
                    Err(_) => return ListenFailure::NoAnswer,
                }
            }
        }
    }
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some(code)
}

/// Reason why notifications do not arrive.
enum ListenFailure {
    Client(sqlx::Error),
    Standby,
    NoSender(sqlx::Error),
    Shared,
    NoAnswer,
    NoSecond,
    Silent,
    Lost,
    NoRandom,
    Panicked,
}

impl ListenFailure {
    fn from_error(error: sqlx::Error) -> Self {
        if has_code(&error, STANDBY) { Self::Standby } else { Self::Client(error) }
    }

    /// The sentence for the operator.
    fn problem(self) -> String {
        let reason = match self {
            Self::Client(error) => &explain(error).to_string(),
            Self::NoSender(error) => {
                &format!("a second connection, which tries the first, failed: {}", explain(error))
            }
            Self::Shared => {
                "a pooler shares the server connections, as in transaction mode, and delivers no \
                 notification; pass a URL that leads past the pooler to `PostgresStore::direct`"
            }
            Self::Standby => {
                "the server is a standby, which takes no LISTEN; pass a URL of the primary to \
                 `PostgresStore::direct`"
            }
            Self::NoAnswer => {
                "the server does not answer in time; check the server and the way to it"
            }
            Self::NoSecond => {
                "no second connection, which tries the first, came free in time; raise \
                 `default_pool_size` of the pooler, or pass a URL that leads past it to \
                 `PostgresStore::direct`"
            }
            Self::Silent => {
                "a notification that was sent did not arrive; pass a URL that leads past every \
                 pooler, and to the database of the pool, to `PostgresStore::direct`"
            }
            Self::Lost => "the connection was lost; check the server and the way to it",
            Self::NoRandom => "the system gives no random numbers",
            Self::Panicked => "the client panicked; read the panic message on standard error",
        };
        format!("cannot listen for changes: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_differ() {
        let longest = |failures| pause(failures, 1023).as_millis();
        let all: Vec<_> = [0, 1, 2, 3, 7, 40].into_iter().map(longest).collect();
        assert_eq!(all, [999, 999, 1999, 3998, 59970, 59970]);
        assert_eq!(pause(7, 0), LONGEST_PAUSE / 2);
    }
}
