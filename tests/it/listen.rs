//! One listening connection for each server in a process, outside the pool of the application.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dualkey::cookie::CookieKey;
use dualkey::source::{KeyStore, PostgresStore, Wake, update};
use dualkey::{KeyRing, ManualClock};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::support::cluster::Cluster;
use crate::support::is_full;
use crate::support::manifest::{at, entry};
use crate::support::postgres::until_watch;
use crate::support::postgres::{
    A_WHILE, Ear, follow, make_tables, manifest, name, pool, runtime, stage, store, variable,
};

/// Long: what arrives before was pushed.
const LONG: Duration = Duration::from_secs(120);

/// Options that `pg_stat_activity` shows under this name.
fn named_options(url: &str, name: &str) -> PgConnectOptions {
    url.parse::<PgConnectOptions>().unwrap().application_name(name)
}

/// A pool of five, whose users wait for two seconds.
async fn connect_five(options: PgConnectOptions) -> PgPool {
    let wait = Duration::from_secs(2);
    let pool = PgPoolOptions::new().max_connections(5).acquire_timeout(wait);
    pool.connect_with(options).await.unwrap()
}

async fn sql(pool: &PgPool, text: &str) {
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(pool).await.unwrap();
}

/// The processes of the server that listen under this name.
async fn listening(pool: &PgPool, name: &str) -> Vec<i32> {
    let pids = "SELECT pid FROM pg_stat_activity \
                WHERE application_name = $1 AND query LIKE 'LISTEN%'";
    sqlx::query_scalar(pids).bind(name).fetch_all(pool).await.unwrap()
}

async fn connections(pool: &PgPool, name: &str) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
    sqlx::query_scalar(count).bind(name).fetch_one(pool).await.unwrap()
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < A_WHILE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Makes `count` rings in the database of `pool`.
async fn rings(pool: &PgPool, count: usize) -> Vec<String> {
    let rings: Vec<_> = (0..count).map(|_| name()).collect();
    for ring in &rings {
        store(pool, ring).compare_and_swap(0, &manifest(ring)).await.unwrap();
    }
    rings
}

/// Runs queries of the application until `is_over`: how many were served, and how many failed.
async fn load(pool: &PgPool, tasks: usize, is_over: Arc<AtomicBool>) -> (u64, u64) {
    let (served, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let run = |_| {
        let (pool, is_over) = (pool.clone(), Arc::clone(&is_over));
        let (served, failed) = (Arc::clone(&served), Arc::clone(&failed));
        tokio::spawn(async move {
            while !is_over.load(SeqCst) {
                let done = sqlx::query("SELECT pg_sleep(0.001)").execute(&pool).await;
                if done.is_ok() { &served } else { &failed }.fetch_add(1, SeqCst);
            }
        })
    };
    for task in (0..tasks).map(run).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    (served.load(SeqCst), failed.load(SeqCst))
}

/// The rule: a pool belongs to the application. No ring keeps one of its connections.
#[test]
fn five_rings_leave_a_pool_of_five_to_the_application() {
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    runtime().block_on(async {
        let rings = rings(&pool(&url).await, 5).await;
        let pool = connect_five(named_options(&url, &name())).await;
        let mut all = Vec::new();
        for ring in &rings {
            all.push(follow(store(&pool, ring), ring, LONG).await);
        }
        for (following, _) in &all {
            until_watch(following, None).await;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, time) = (Arc::clone(&is_over), Duration::from_millis(500));
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            over.store(true, SeqCst);
        });
        let (served, failed) = load(&pool, 10, is_over).await;
        assert!(served > 0 && failed == 0, "{served} served, {failed} failed");
        // All five at once.
        let mut held = Vec::new();
        for _ in 0..5 {
            held.push(pool.acquire().await.unwrap());
        }
    });
}

/// A row of the table below.
async fn measure(url: &str, count: usize, time: Duration) -> String {
    let admin = pool(url).await;
    let (rings, label) = (rings(&admin, count).await, name());
    let pool = connect_five(named_options(url, &label)).await;
    let (sender, heard) = channel();
    let mut all = Vec::new();
    for ring in &rings {
        let following = KeyRing::<CookieKey>::builder()
            .name(ring)
            .environment("test")
            .observer(Ear(Mutex::new(sender.clone())))
            .clock(ManualClock::new(at(100)))
            .follow(store(&pool, ring))
            .poll(LONG);
        all.push(following.spawn().await.unwrap());
    }
    until("it listens", async || !listening(&admin, &label).await.is_empty()).await;
    for following in &all {
        until_watch(following, None).await;
        following.refresh_async().await.unwrap();
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let queries = {
        let (pool, is_over) = (pool.clone(), Arc::clone(&is_over));
        tokio::spawn(async move { load(&pool, 8, is_over).await })
    };
    let start = Instant::now();
    tokio::time::sleep(time).await;
    let (listening, total) = (listening(&admin, &label).await, connections(&admin, &label).await);
    // One ring after the other, and then all as fast as they can be stored.
    let mut delays = Vec::new();
    for ring in rings.iter().cycle().take(if is_full() { 100 } else { 10 }) {
        // Longer than the damping, which is not what is measured.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let writer = store(&admin, ring);
        let revision = writer.load().await.unwrap().revision();
        change(&writer, revision).await;
        let stored = Instant::now();
        heard.recv_timeout(A_WHILE).unwrap();
        delays.push(stored.elapsed());
    }
    let all_at_once = Instant::now();
    for ring in &rings {
        let writer = store(&admin, ring);
        let revision = writer.load().await.unwrap().revision();
        change(&writer, revision).await;
    }
    for _ in &rings {
        heard.recv_timeout(A_WHILE).unwrap();
    }
    let all_at_once = all_at_once.elapsed();
    is_over.store(true, SeqCst);
    let (served, failed) = queries.await.unwrap();
    let rate = served as f64 / start.elapsed().as_secs_f64();
    delays.sort_unstable();
    assert_eq!((listening.len(), failed), (1, 0), "{count} rings");
    let (median, most) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    format!(
        "{count:5} {:9} {total:11} {rate:10.0} {failed:6} {median:>12.1?} {most:>12.1?} \
         {all_at_once:>12.1?}",
        listening.len()
    )
}

/// Changes a ring of this revision: stages a key, or revokes the one that it staged before.
async fn change(writer: &PostgresStore, revision: u64) {
    let kid = format!("k{revision}");
    if revision % 2 == 1 {
        let new = entry(revision + 10, &kid);
        update(writer, |manifest| manifest.stage(new.clone(), at(0))).await.unwrap();
    } else {
        let staged: dualkey::Kid = format!("k{}", revision - 1).parse().unwrap();
        update(writer, |manifest| manifest.revoke(&staged, "measured", at(9))).await.unwrap();
    }
}

/// Measures, too: `cargo test --all-features --test it listening_connection -- --nocapture`, for
/// longer with `DUALKEY_TEST_FULL=1`.
#[test]
fn any_number_of_rings_has_one_listening_connection() {
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    let time = Duration::from_millis(if is_full() { 5_000 } else { 300 });
    let mut table = String::from(
        "rings listening connections  queries/s failed  push median    push most  all at once\n",
    );
    for count in [1, 8, 100] {
        writeln!(table, "{}", runtime().block_on(measure(&url, count, time))).unwrap();
    }
    println!("PostgreSQL, a pool of five:\n{table}");
}

/// The services of [`services_serve_while_all_rings_rotate`], which start them: the URL, and the
/// rings.
const SERVICE: &str = "DUALKEY_TEST_SERVICE";

/// Does nothing but where a test below has started it: then it is a service with a pool of five,
/// whose rings follow until each has been rotated.
#[test]
fn the_child_that_serves() {
    let Ok(given) = std::env::var(SERVICE) else { return };
    let mut words = given.split(' ');
    let url = words.next().unwrap();
    let rings: Vec<_> = words.collect();
    let say = |text: String| {
        let mut output = std::io::stdout().lock();
        writeln!(output, "service: {text}").unwrap();
        output.flush().unwrap();
    };
    runtime().block_on(async {
        let label = name();
        let pool = connect_five(named_options(url, &label)).await;
        let mut all = Vec::new();
        for ring in &rings {
            all.push(follow(store(&pool, ring), ring, LONG).await.0);
        }
        until("it listens", async || !listening(&pool, &label).await.is_empty()).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, shared) = (Arc::clone(&is_over), pool.clone());
        let queries = tokio::spawn(async move { load(&shared, 8, over).await });
        say("ready".to_owned());
        until("all rings follow", async || {
            all.iter().all(|following| following.health().revision >= 3)
        })
        .await;
        let count = listening(&pool, &label).await.len();
        is_over.store(true, SeqCst);
        let (served, failed) = queries.await.unwrap();
        let failures: u64 = all.iter().map(|following| following.health().failures).sum();
        say(format!("{served} served, {failed} failed, {failures} failed turns, {count} listen"));
    });
}

struct Service {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Service {
    fn start(url: &str, rings: &[String]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "listen::the_child_that_serves", "--nocapture"])
            .env(SERVICE, format!("{url} {}", rings.join(" ")))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn read_message(&mut self) -> String {
        let mut said = self.lines.by_ref().map_while(Result::ok);
        let said =
            said.find_map(|line| line.split_once("service: ").map(|(_, text)| text.to_owned()));
        said.unwrap_or_else(|| "nothing".to_owned())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rule: a rotation of all rings costs no service a query.
#[test]
fn services_serve_while_all_rings_rotate() {
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    runtime().block_on(async {
        let admin = pool(&url).await;
        let rings = rings(&admin, 8).await;
        let mut services: Vec<_> = (0..4).map(|_| Service::start(&url, &rings)).collect();
        for service in &mut services {
            assert_eq!(service.read_message(), "ready");
        }
        for ring in &rings {
            let writer = store(&admin, ring);
            stage(&writer, 1).await;
            let kid = "k1".parse().unwrap();
            update(&writer, |manifest| manifest.force("a test").promote(&kid, at(9)))
                .await
                .unwrap();
        }
        for service in &mut services {
            let said = service.read_message();
            println!("of four services with eight rings over a pool of five, one: {said}");
            assert!(said.ends_with("served, 0 failed, 0 failed turns, 1 listen"), "{said}");
            assert!(!said.starts_with("0 "), "{said}");
        }
    });
}

/// The rule: the connection belongs to no runtime and to no ring; it ends with the last ring.
#[test]
fn the_connection_outlives_the_runtime_that_made_it_and_ends_with_the_last_ring() {
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    let (first, second, label) = (runtime(), runtime(), name());
    let admin = second.block_on(pool(&url));
    let rings = second.block_on(rings(&admin, 2));
    let start = |runtime: &tokio::runtime::Runtime, ring: &str| {
        runtime.block_on(async {
            let pool = connect_five(named_options(&url, &label)).await;
            follow(store(&pool, ring), ring, LONG).await
        })
    };
    let (gone, _) = start(&first, &rings[0]);
    second.block_on(until("it listens", async || !listening(&admin, &label).await.is_empty()));
    let pids = second.block_on(listening(&admin, &label));
    let (following, heard) = start(&second, &rings[1]);
    first.shutdown_timeout(Duration::from_secs(5));
    second.block_on(async {
        following.refresh_async().await.unwrap();
        stage(&store(&admin, &rings[1]), 1).await;
        assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), 2);
        drop(gone);
        stage(&store(&admin, &rings[1]), 2).await;
        assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), 3);
        assert_eq!(listening(&admin, &label).await, pids, "one connection, the same all the time");
        drop(following);
        until("it is closed", async || listening(&admin, &label).await.is_empty()).await;
        // A ring that comes later has a new one.
        let pool = connect_five(named_options(&url, &label)).await;
        let _later = follow(store(&pool, &rings[0]), &rings[0], LONG).await;
        until("it listens again", async || !listening(&admin, &label).await.is_empty()).await;
    });
}

/// The rule: a problem of the watch shows in the health while it lasts, and no longer.
#[test]
fn a_server_that_restarts_shows_in_health_until_it_is_heard_again() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    runtime().block_on(async {
        let pool = pool(&cluster.url()).await;
        let ring = &rings(&pool, 1).await[0];
        let (following, heard) = follow(store(&pool, ring), ring, LONG).await;
        until_watch(&following, None).await;
        cluster.stop();
        until_watch(&following, Some("cannot listen for changes: ")).await;
        cluster.restart();
        until_watch(&following, None).await;
        stage(&store(&pool, ring), 1).await;
        assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), 2);
    });
}

/// The rule: a connection that is made again takes the password that the pool has now.
#[test]
fn a_password_that_rotates_is_taken_from_the_pool() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    runtime().block_on(async {
        let admin = pool(&cluster.url()).await;
        sql(&admin, "CREATE ROLE app LOGIN SUPERUSER PASSWORD 'old'").await;
        let rings = rings(&admin, 2).await;
        let login = |password: &str| named_options(&cluster.url_of("app", password), "listens");
        let pool = connect_five(login("old")).await;
        let (following, heard) = follow(store(&pool, &rings[0]), &rings[0], LONG).await;
        // A direct URL is set once, and its password grows old.
        let direct = store(&pool, &rings[1]).direct(login("old").application_name("direct"));
        let (other, heard_direct) = follow(direct, &rings[1], LONG).await;
        until_watch(&following, None).await;
        until_watch(&other, None).await;
        let cut = async || {
            until("both listen", async || {
                listening(&admin, "listens").await.len() == 1
                    && listening(&admin, "direct").await.len() == 1
            })
            .await;
            sql(
                &admin,
                "ALTER ROLE app PASSWORD 'new'; SELECT pg_terminate_backend(pid) \
                 FROM pg_stat_activity WHERE application_name IN ('listens', 'direct')",
            )
            .await;
        };
        cut().await;
        until_watch(&following, Some("password authentication failed")).await;
        until_watch(&other, Some("password authentication failed")).await;
        pool.set_connect_options(login("new"));
        until_watch(&following, None).await;
        until_watch(&other, None).await;
        for (ring, heard) in [(&rings[0], heard), (&rings[1], heard_direct)] {
            stage(&store(&admin, ring), 1).await;
            assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), 2);
        }
    });
}

/// The rule: databases of one server are apart, also where their rings have the same name.
#[test]
fn two_databases_of_one_server_are_heard_apart() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    runtime().block_on(async {
        let first = pool(&cluster.url()).await;
        sql(&first, "CREATE DATABASE other").await;
        let options = named_options(&cluster.url(), "").database("other");
        let second = PgPoolOptions::new().connect_with(options).await.unwrap();
        make_tables(&second).await;
        let ring = name();
        let mut heard = Vec::new();
        for pool in [&first, &second] {
            store(pool, &ring).compare_and_swap(0, &manifest(&ring)).await.unwrap();
            let (following, ear) = follow(store(pool, &ring), &ring, LONG).await;
            heard.push((following, ear));
        }
        let count = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
        until("both listen", async || {
            sqlx::query_scalar::<_, i64>(count).fetch_one(&first).await.unwrap() == 2
        })
        .await;
        for (following, _) in &heard {
            until_watch(following, None).await;
            following.refresh_async().await.unwrap();
        }
        // The turn that follows the first LISTEN.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let turns = heard[0].0.health().turns;
        stage(&store(&second, &ring), 1).await;
        assert_eq!(heard[1].1.recv_timeout(A_WHILE).unwrap(), 2);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let health = heard[0].0.health();
        assert_eq!((health.revision, health.turns), (1, turns), "it was not woken");
    });
}

/// The rule: rings that share a connection do not share a panic.
#[test]
fn a_wake_that_panics_reaches_no_other_ring() {
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    runtime().block_on(async {
        let admin = pool(&url).await;
        let pool = connect_five(named_options(&url, &name())).await;
        let rings = rings(&admin, 2).await;
        let counts = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let counted = counts.clone();
        let panics = Wake::new(move || {
            counted[0].fetch_add(1, SeqCst);
            panic!("a wake of a test");
        });
        let counted = Arc::clone(&counts[1]);
        let works = Wake::new(move || {
            counted.fetch_add(1, SeqCst);
        });
        let _panics = store(&pool, &rings[0]).watch(panics).await.unwrap().unwrap();
        let _works = store(&pool, &rings[1]).watch(works).await.unwrap().unwrap();
        for round in 1..=3 {
            until("each is woken", async || counts.iter().all(|count| count.load(SeqCst) >= round))
                .await;
            for ring in &rings {
                sql(&admin, &format!("NOTIFY dualkey, 'test/{ring}'")).await;
            }
        }
    });
}

/// The rule: a server without a free connection is named as the reason, and heard once it has one.
#[test]
fn a_server_without_a_free_connection_shows_in_health() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    runtime().block_on(async {
        let admin = pool(&cluster.url()).await;
        sql(&admin, "CREATE ROLE app LOGIN PASSWORD 'app' CONNECTION LIMIT 1").await;
        sql(&admin, "GRANT ALL ON ALL TABLES IN SCHEMA public TO app").await;
        let ring = &rings(&admin, 1).await[0];
        let options = PgPoolOptions::new().max_connections(1);
        let pool = options.connect(&cluster.url_of("app", "app")).await.unwrap();
        let (following, heard) = follow(store(&pool, ring), ring, LONG).await;
        until_watch(&following, Some("too many connections for role \"app\"")).await;
        assert_eq!(following.health().last_error, None, "it is asked all the same");
        sql(&admin, "ALTER ROLE app CONNECTION LIMIT 3").await;
        until_watch(&following, None).await;
        stage(&store(&admin, ring), 1).await;
        assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), 2);
    });
}

/// The rule: a standby takes no LISTEN. The primary is listened to with a direct URL.
#[test]
fn a_standby_names_the_remedy_and_a_direct_url_to_the_primary_listens() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    runtime().block_on(async {
        let primary = pool(&cluster.url()).await;
        let ring = &rings(&primary, 1).await[0];
        let standby = cluster.standby();
        let copy = PgPool::connect(&standby.url()).await.unwrap();
        let (following, _) = follow(store(&copy, ring), ring, LONG).await;
        until_watch(&following, Some("a standby, which takes no LISTEN; pass a URL")).await;
        let direct = store(&copy, ring).direct(named_options(&cluster.url(), "direct"));
        let (following, _) = follow(direct, ring, LONG).await;
        until("it listens", async || listening(&primary, "direct").await.len() == 1).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(following.health().watch_error, None);
        stage(&store(&primary, ring), 1).await;
        // The copy may be late, but the ring was woken.
        let start = Instant::now();
        while following.health().revision < 2 {
            assert!(start.elapsed() < A_WHILE);
            following.refresh_async().await.unwrap();
        }
    });
}

/// The rule: a pool without a free connection is named as such, within ten seconds. Here within one,
/// unless the tests may take long.
#[test]
fn a_starved_pool_shows_in_health() {
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    runtime().block_on(async {
        let ring = &rings(&pool(&url).await, 1).await[0];
        let wait = Duration::from_secs(if is_full() { 30 } else { 1 });
        let options = PgPoolOptions::new().max_connections(1).acquire_timeout(wait);
        let pool = options.connect(&url).await.unwrap();
        let (following, _) = follow(store(&pool, ring), ring, LONG).await;
        let held = pool.acquire().await.unwrap();
        following.refresh_async().await.unwrap_err();
        let error = following.health().last_error.unwrap();
        assert!(error.contains("all 1 connections of the pool are in use; raise"), "{error}");
        drop(held);
        following.refresh_async().await.unwrap();
        assert_eq!(following.health().last_error, None);
    });
}

/// The rule: a connection that was cut without a word is noticed, although it is silent. It takes
/// longer than the quick tests may.
#[test]
fn a_connection_that_is_cut_without_a_word_is_noticed() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    if !is_full() {
        return;
    }
    let is_cut = Arc::new(AtomicBool::new(false));
    runtime().block_on(async {
        let target = url.parse::<PgConnectOptions>().unwrap();
        let target = (target.get_host().to_owned(), target.get_port());
        let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = proxy.local_addr().unwrap().port();
        let cut = Arc::clone(&is_cut);
        tokio::spawn(async move {
            loop {
                let (client, _) = proxy.accept().await.unwrap();
                let server = tokio::net::TcpStream::connect(target.clone()).await.unwrap();
                let ((mut from, mut into), (mut back, mut out)) =
                    (client.into_split(), server.into_split());
                let is_cut = Arc::clone(&cut);
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut out).await });
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = back.read(&mut bytes).await {
                        if !is_cut.load(SeqCst) && into.write_all(&bytes[..count]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        let admin = pool(&url).await;
        let ring = &rings(&admin, 1).await[0];
        let direct = named_options(&url, &name()).port(port);
        let (following, _) = follow(store(&admin, ring).direct(direct), ring, LONG).await;
        until_watch(&following, None).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        is_cut.store(true, SeqCst);
        until_watch(&following, Some("does not answer in time")).await;
        is_cut.store(false, SeqCst);
        until_watch(&following, None).await;
    });
}
