//! PgBouncer in front of PostgreSQL, as most services reach it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use dualkey::cookie::CookieKey;
use dualkey::envelope::Sealer;
use dualkey::ops::audit::{Action, AuditKey, PostgresTrail, Query, Record, Sink, Trail};
use dualkey::rewrap::{PgTable, RewrapJob};
use dualkey::source::{KeyStore, PostgresStore, StoreError};
use dualkey::{KeyRing, Secret};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor};

use crate::support::cluster::Cluster;
use crate::support::manifest::{at, entry};
use crate::support::pooler::Pooler;
use crate::support::postgres::until_watch;
use crate::support::postgres::{
    A_WHILE, follow, make_tables, manifest, name, pool, runtime, stage, store, variable,
};
use crate::support::{aes_key, aes_ring, is_full, secret};

/// Long: what arrives before was pushed.
const LONG: Duration = Duration::from_secs(120);

/// Options of a client that sends no startup parameter that PgBouncer refuses.
pub fn plain(url: &str) -> PgConnectOptions {
    url.parse::<PgConnectOptions>().unwrap().extra_float_digits(None)
}

async fn connect_through(pooler: &Pooler, size: u32) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(size);
    pool.connect_with(plain(&pooler.url())).await.unwrap()
}

fn trail(pool: &PgPool) -> PostgresTrail {
    let ring = KeyRing::<AuditKey>::builder().primary(Secret::from(secret(0))).build().unwrap();
    PostgresTrail::new(pool.clone(), ring)
}

fn record(place: u64) -> Record {
    let at = at(1_000 + place);
    Record::new(at, "JWT_SECRET", Action::STAGED, "ada", "production").reason(place.to_string())
}

/// The pooler of these tests is one: it serves a transaction, and checks passwords.
#[test]
fn the_pooler_of_the_tests_pools_and_checks_passwords() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let settings = Pooler::of(&cluster.url()).mode("transaction").user("stranger", "unknown");
    let Some(mut pooler) = settings.size(1).start() else { return };
    runtime().block_on(async {
        let mut one = PgConnection::connect_with(&plain(&pooler.url())).await.unwrap();
        let mut other = PgConnection::connect_with(&plain(&pooler.url())).await.unwrap();
        let pid = "SELECT pg_backend_pid()";
        let mut pids = Vec::new();
        for connection in [&mut one, &mut other] {
            let mut transaction = connection.begin().await.unwrap();
            let pid = sqlx::query_scalar(pid).persistent(false).fetch_one(&mut *transaction).await;
            pids.push(pid.unwrap());
            transaction.commit().await.unwrap();
        }
        let pids: Vec<i32> = pids;
        assert_eq!(pids[0], pids[1], "two clients share the one server connection");
        drop((one, other));

        let wrong = plain(&pooler.url_of("test", "wrong"));
        let refused = PgConnection::connect_with(&wrong).await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("08P01"), "{refused} {}", pooler.log());
        pooler.set_password("test", "another");
        pooler.stop();
        assert!(PgConnection::connect_with(&plain(&pooler.url())).await.is_err());
        pooler.restart();
    });
}

/// The reason why a connection is not tried with a notification of its own.
#[test]
fn a_pooler_delivers_no_notification_but_those_of_the_same_connection() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let Some(pooler) = Pooler::of(&cluster.url()).start() else { return };
    runtime().block_on(async {
        let through_pooler = connect_through(&pooler, 1).await;
        let mut listener = PgListener::connect_with(&through_pooler).await.unwrap();
        listener.listen("dualkey").await.unwrap();
        listener.execute("NOTIFY dualkey, 'mine'").await.unwrap();
        let received = tokio::time::timeout(A_WHILE, listener.recv()).await.unwrap().unwrap();
        assert_eq!(received.payload(), "mine");
        let other = pool(&cluster.url()).await;
        other.execute("NOTIFY dualkey, 'of another'").await.unwrap();
        let received = tokio::time::timeout(Duration::from_secs(1), listener.recv()).await;
        assert!(received.is_err(), "{received:?}");
    });
}

/// The rule: a pooler that delivers no notification shows in the health, with the remedy.
#[test]
fn a_pooler_that_cannot_listen_shows_in_health_and_a_direct_url_listens() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let Some(mut pooler) = Pooler::of(&cluster.url()).start() else { return };
    runtime().block_on(async {
        let (pool, ring) = (connect_through(&pooler, 5).await, name());
        make_tables(&pool).await;
        let writer = store(&pool, &ring);
        writer.compare_and_swap(0, &manifest(&ring)).await.unwrap();
        let (following, heard) = follow(store(&pool, &ring), &ring, LONG).await;
        until_watch(&following, Some("a pooler shares the server connections")).await;
        let health = following.health();
        assert!(health.watch_error.unwrap().contains("`PostgresStore::direct`"));
        assert_eq!((health.failures, health.last_error), (0, None), "it is asked all the same");

        let direct = store(&pool, &ring).direct(plain(&cluster.url()));
        let (direct, heard_directly) = follow(direct, &ring, LONG).await;
        let start = Instant::now();
        stage(&writer, 1).await;
        assert_eq!(heard_directly.recv_timeout(A_WHILE).unwrap(), 2);
        println!(
            "PgBouncer: a change was swapped in after {:?} over a direct URL",
            start.elapsed()
        );
        assert_eq!(direct.health().watch_error, None);
        // No server connection of the pooler listens: another client would get what arrives.
        let channels = "SELECT count(*) FROM pg_listening_channels()";
        for _ in 0..4 {
            let mut one = pool.begin().await.unwrap();
            let channels = sqlx::query_scalar(channels).persistent(false);
            let count: i64 = channels.fetch_one(&mut *one).await.unwrap();
            assert_eq!(count, 0);
        }

        // Of the first ring it ends when the pooler lets it listen.
        assert!(following.health().watch_error.is_some());
        pooler.restart_with("pool_mode = session\ndefault_pool_size = 20");
        until_watch(&following, None).await;
        assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), 2, "it was woken");
        stage(&writer, 2).await;
        assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), 3);
    });
}

/// The rule: where it cannot be found out before that server connections are shared, no notification
/// arrives, and the server connection listens no more. Here two poolers have one address, and a
/// connection gets the one or the other, as with `so_reuseport`.
#[test]
fn poolers_behind_one_address_show_in_health_and_nothing_listens_there() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let start = || Pooler::of(&cluster.url()).size(1).start();
    let (Some(first), Some(second)) = (start(), start()) else { return };
    runtime().block_on(async {
        let (pool, ring) = (pool(&cluster.url()).await, name());
        store(&pool, &ring).compare_and_swap(0, &manifest(&ring)).await.unwrap();
        let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = address.local_addr().unwrap().port();
        let ports = [plain(&first.url()).get_port(), plain(&second.url()).get_port()];
        tokio::spawn(async move {
            for port in ports.into_iter().cycle() {
                let (mut client, _) = address.accept().await.unwrap();
                tokio::spawn(async move {
                    let pooler = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
                    tokio::io::copy_bidirectional(&mut client, &mut pooler.unwrap()).await
                });
            }
        });
        let direct = store(&pool, &ring).direct(plain(&first.url()).port(port));
        let (following, _) = follow(direct, &ring, LONG).await;
        until_watch(&following, Some("a notification that was sent did not arrive")).await;
        drop(following);
        let channels = "SELECT count(*) FROM pg_listening_channels()";
        for pooler in [&first, &second] {
            let pool = connect_through(pooler, 1).await;
            let row = sqlx::raw_sql(channels).fetch_one(&pool).await.unwrap();
            let count: i64 = sqlx::Row::get(&row, 0);
            assert_eq!(count, 0);
        }
    });
}

/// The rule: a direct URL that leads to another database is no way to hear of changes.
#[test]
fn a_direct_url_to_another_database_shows_in_health() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    runtime().block_on(async {
        let (pool, ring) = (pool(&cluster.url()).await, name());
        store(&pool, &ring).compare_and_swap(0, &manifest(&ring)).await.unwrap();
        let direct = store(&pool, &ring).direct(plain(&cluster.url()).database("template1"));
        let (following, _) = follow(direct, &ring, LONG).await;
        until_watch(&following, Some("and to the database of the pool")).await;
    });
}

/// Has transactions of other clients take the server connections in turn.
fn mix(pool: &PgPool, is_over: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<()>> {
    let run = |place: u64| {
        let (pool, is_over) = (pool.clone(), Arc::clone(is_over));
        tokio::spawn(async move {
            while !is_over.load(SeqCst) {
                let mut transaction = pool.begin().await.unwrap();
                transaction.execute("SELECT pg_sleep(0.001)").await.unwrap();
                transaction.commit().await.unwrap();
                tokio::time::sleep(Duration::from_micros(300 * place)).await;
            }
        })
    };
    (0..3).map(run).collect()
}

/// The rule: whatever this crate sends works in transaction mode, on any of the server connections.
#[test]
fn all_parts_work_through_a_pooler_in_transaction_mode() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let Some(pooler) = Pooler::of(&cluster.url()).size(3).start() else { return };
    runtime().block_on(async {
        let (pool, is_over) = (connect_through(&pooler, 4).await, Arc::new(AtomicBool::new(false)));
        let mixing = mix(&connect_through(&pooler, 3).await, &is_over);
        for _ in 0..2 {
            sqlx::raw_sql(PostgresStore::SCHEMA).execute(&pool).await.unwrap();
            sqlx::raw_sql(PostgresTrail::SCHEMA).execute(&pool).await.unwrap();
        }

        let ring = name();
        let stored = store(&pool, &ring);
        let first = manifest(&ring);
        stored.compare_and_swap(0, &first).await.unwrap();
        let held = first.build_ring(KeyRing::<CookieKey>::builder().environment("test")).unwrap();
        for seed in 1..=20 {
            let manifest = stored.load().await.unwrap();
            let change = match seed % 2 {
                1 => manifest.stage(entry(seed, &format!("k{seed}")), at(0)),
                _ => manifest.revoke(&format!("k{}", seed - 1).parse().unwrap(), "a test", at(0)),
            };
            let next = change.unwrap().manifest;
            stored.compare_and_swap(seed, &next).await.unwrap();
            let late = stored.compare_and_swap(seed, &next).await;
            assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
            stored.save_report(&held.report("a")).await.unwrap();
            assert_eq!(stored.reports().await.unwrap().len(), 1);
            stored.forget_report("a").await.unwrap();
        }

        let trail = trail(&pool);
        for place in 0..20 {
            let guard = trail.lock("production/JWT_SECRET").await.unwrap();
            trail.append(&[record(place), record(place)]).await.unwrap();
            drop(guard);
        }
        let verified = trail.verify().await.unwrap();
        assert_eq!((verified.records, verified.problem), (40, None));
        assert_eq!(trail.query(&Query::new().take(5)).await.unwrap().len(), 5);
        assert!(!trail.is_empty().await.unwrap());

        sqlx::raw_sql("CREATE TABLE notes (id bigint PRIMARY KEY, body text, other bytea)")
            .execute(&pool)
            .await
            .unwrap();
        let keys = aes_ring([aes_key(1, "old")]);
        let sealer = Sealer::new(keys.clone());
        for id in 0..200 {
            let body = sealer.seal_text(format!("note {id}"), "").unwrap();
            let other = sealer.seal(b"note", b"").unwrap();
            let insert = sqlx::query("INSERT INTO notes VALUES ($1, $2, $3)").persistent(false);
            let mut one = pool.begin().await.unwrap();
            insert.bind(id).bind(body).bind(other).execute(&mut *one).await.unwrap();
            one.commit().await.unwrap();
        }
        let new = keys.stage(aes_key(2, "new")).unwrap();
        keys.promote(&new).unwrap();
        let notes = PgTable::open(&pool, "notes", ["body", "other"]).await.unwrap();
        let rewrap = RewrapJob::new(&sealer, notes, |_, _| "").batch(20).concurrency(2).execute();
        let report = rewrap.run().await.unwrap();
        assert_eq!((report.counts.rows, report.by_kid.get(&new)), (200, Some(&400)));

        is_over.store(true, SeqCst);
        for task in mixing {
            task.await.unwrap();
        }
    });
}

/// The rule: what a pooler cannot do is named with the setting.
#[test]
fn what_a_pooler_refuses_has_its_remedy() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let Some(mut pooler) = Pooler::of(&cluster.url()).start() else { return };
    runtime().block_on(async {
        for (url, remedy) in [
            (pooler.url(), "`PgConnectOptions::extra_float_digits(None)`"),
            (format!("{}?options[search_path]=a", pooler.url()), "remove it from the URL"),
        ] {
            let mut options: PgConnectOptions = url.parse().unwrap();
            if url.contains("options") {
                options = options.extra_float_digits(None);
            }
            let pool = PgPoolOptions::new().connect_lazy_with(options);
            let error = store(&pool, "A").load().await.unwrap_err().to_string();
            assert!(error.contains("unsupported startup parameter"), "{error}");
            assert!(error.contains(remedy), "{error}");
            let trail = trail(&pool);
            let error = trail.verify().await.unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
        }
        let pool = connect_through(&pooler, 2).await;
        pooler.restart_with("pool_mode = statement");
        // The connections of before are cut.
        while pool.execute("SELECT 1").await.is_err() {}
        let remedy = "set `pool_mode = transaction` in the pooler";
        let error = store(&pool, "A").load().await.unwrap_err().to_string();
        assert!(error.contains(remedy), "{error}");
        let error = trail(&pool).lock("A").await.unwrap_err().to_string();
        assert!(error.contains(remedy), "{error}");
    });
}

/// The child of [`a_lock_is_free_when_its_holder_is_gone`]: a URL.
const HOLD: &str = "DUALKEY_TEST_HOLD";

/// Does nothing but where a test below has started it: then it holds the lock until it is killed.
#[test]
fn the_child_that_holds_the_lock() {
    let Ok(url) = std::env::var(HOLD) else { return };
    runtime().block_on(async {
        let pool = PgPoolOptions::new().max_connections(2).connect_with(plain(&url)).await.unwrap();
        let _guard = trail(&pool).lock("production/JWT_SECRET").await.unwrap();
        let mut output = std::io::stdout().lock();
        writeln!(output, "holding: held").unwrap();
        output.flush().unwrap();
        std::thread::sleep(A_WHILE);
    });
}

fn spawn_holder(url: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "poolers::the_child_that_holds_the_lock", "--nocapture"])
        .env(HOLD, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("holding: held")), "it ended");
    child
}

/// The rule: no lock is left behind, however its holder ends, on a server and behind a pooler.
#[test]
fn a_lock_is_free_when_its_holder_is_gone() {
    const SECRET: &str = "production/JWT_SECRET";
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let Some(mut pooler) = Pooler::of(&cluster.url()).size(3).start() else { return };
    let free = async |pool: &PgPool, how: &str| {
        let start = Instant::now();
        let guard = trail(pool).lock(SECRET).await;
        println!("the lock is free {:?} after {how}", start.elapsed());
        guard.unwrap()
    };
    runtime().block_on(async {
        let admin = pool(&cluster.url()).await;
        let direct = PgPool::connect_with(plain(&cluster.url())).await.unwrap();
        let through = connect_through(&pooler, 3).await;
        for (pool, url) in [(&direct, cluster.url()), (&through, pooler.url())] {
            for _ in 0..5 {
                drop(free(pool, "a drop").await);
            }
            let mut child = spawn_holder(&url);
            child.kill().unwrap();
            child.wait().unwrap();
            drop(free(pool, "a kill").await);

            // An administrator cuts the connection: the guard holds nothing any more.
            let guard = free(pool, "a guard").await;
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'";
            admin.execute(cut).await.unwrap();
            drop(free(pool, "a cut").await);
            drop(guard);

            // A step that is cancelled while it waits.
            let guard = free(pool, "a cut").await;
            let other = trail(pool);
            let waiting = tokio::time::timeout(Duration::from_millis(250), other.lock(SECRET));
            assert!(waiting.await.is_err(), "it is held");
            drop(guard);
            drop(free(pool, "a step that was cancelled").await);
        }
        let _guard = free(&through, "all that").await;
        pooler.stop();
        drop(free(&direct, "the end of the pooler").await);
    });
}

/// The rule: two operators never hold a lock at once.
#[test]
fn operators_behind_a_pooler_hold_a_lock_in_turn() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let Some(pooler) = Pooler::of(&cluster.url()).start() else { return };
    runtime().block_on(async {
        let (inside, turns) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut operators = Vec::new();
        // Each with a pool of one connection, and two server connections for all.
        for _ in 0..3 {
            let trail = trail(&connect_through(&pooler, 1).await);
            let (inside, turns) = (Arc::clone(&inside), Arc::clone(&turns));
            operators.push(tokio::spawn(async move {
                for _ in 0..4 {
                    let guard = trail.lock("production/JWT_SECRET").await.unwrap();
                    assert_eq!(inside.fetch_add(1, SeqCst), 0, "two hold it");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    inside.fetch_sub(1, SeqCst);
                    turns.fetch_add(1, SeqCst);
                    drop(guard);
                }
            }));
        }
        for operator in operators {
            operator.await.unwrap();
        }
        assert_eq!(turns.load(SeqCst), 12);
    });
}

/// The rule: a step may take longer than what the server allows a transaction that is idle.
#[test]
fn a_timeout_of_idle_transactions_does_not_end_a_lock() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let Some(pooler) = Pooler::of(&cluster.url()).start() else { return };
    runtime().block_on(async {
        let admin = pool(&cluster.url()).await;
        let limit = "ALTER ROLE test SET idle_in_transaction_session_timeout = '300ms'";
        admin.execute(limit).await.unwrap();
        let direct = PgPool::connect_with(plain(&cluster.url())).await.unwrap();
        let through = connect_through(&pooler, 2).await;
        for pool in [&direct, &through] {
            let guard = trail(pool).lock("A").await.unwrap();
            tokio::time::sleep(Duration::from_millis(900)).await;
            let other = trail(&direct);
            let waiting = tokio::time::timeout(Duration::from_millis(250), other.lock("A"));
            assert!(waiting.await.is_err(), "it is held");
            drop(guard);
            // It holds for the transaction of the lock alone.
            let shown = "SELECT current_setting('idle_in_transaction_session_timeout')";
            for _ in 0..4 {
                let shown: String = sqlx::raw_sql(shown)
                    .fetch_one(pool)
                    .await
                    .map(|row| sqlx::Row::get(&row, 0))
                    .unwrap();
                assert_eq!(shown, "300ms");
            }
        }
    });
}

/// The rule: where there is one server connection, a step is refused before it begins.
#[test]
fn a_pooler_with_one_server_connection_names_the_setting() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    let Some(pooler) = Pooler::of(&cluster.url()).size(1).start() else { return };
    runtime().block_on(async {
        let pool = connect_through(&pooler, 4).await;
        let error = trail(&pool).lock("A").await.unwrap_err().to_string();
        assert!(
            error.contains("cannot lock A") && error.contains("`default_pool_size`"),
            "{error}"
        );
        // Nothing is held, and other statements are served.
        make_tables(&pool).await;
        if !is_full() {
            return;
        }
        // Another client holds the only one.
        let mut held = pool.begin().await.unwrap();
        held.execute("SELECT 1").await.unwrap();
        let error = trail(&pool).lock("A").await.unwrap_err().to_string();
        assert!(error.contains("`default_pool_size`"), "{error}");
        held.commit().await.unwrap();
        let other = PgPool::connect_with(plain(&cluster.url())).await.unwrap();
        drop(trail(&other).lock("A").await.unwrap());
    });
}
