//! PostgreSQL as a store, against a real server: the one that `DUALKEY_TEST_POSTGRES` names, and
//! for the test that stops one, a cluster of its own made with the programs in the folder
//! `DUALKEY_TEST_POSTGRES_BIN`. Where they are not set, the tests say so.

use std::time::{Duration, Instant};

use dualkey::KeyRing;
use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::source::{KeyStore, PostgresStore, StoreError, update};
use sqlx::postgres::PgPool;

use crate::support::cluster::Cluster;
use crate::support::manifest::{at, entry};
use crate::support::postgres::{
    A_WHILE, follow, manifest, name, pool, runtime, stage, store, variable,
};
use crate::support::{aes_key, aes_ring};

/// How many connections of this database listen.
async fn listening(pool: &PgPool) -> Vec<i32> {
    let pids = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'";
    sqlx::query_scalar(pids).fetch_all(pool).await.unwrap()
}

#[test]
fn postgres_of_two_writers_at_once_each_change_is_there_or_its_writer_knows() {
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    let times = if std::env::var_os("DUALKEY_TEST_FULL").is_some() { 2_000 } else { 100 };
    runtime().block_on(async {
        let ring = name();
        let first = pool(&url).await;
        let initial = manifest(&ring).stage(entry(1, "b"), at(0)).unwrap().manifest;
        let main_store = store(&first, &ring);
        assert!(matches!(main_store.load().await, Err(StoreError::Missing { .. })));
        main_store.compare_and_swap(0, &initial).await.unwrap();
        let late = main_store.compare_and_swap(0, &initial).await;
        assert!(matches!(late, Err(StoreError::Conflict { found: 2, .. })), "{late:?}");
        let mut writers = Vec::new();
        for _ in 0..2 {
            // Each with connections of its own.
            let store = store(&pool(&url).await, &ring);
            writers.push(tokio::spawn(async move {
                let (mut stored, mut conflicts) = (0, 0);
                for turn in 0..times {
                    let manifest = store.load().await.unwrap();
                    let next = ["b", "a"][(manifest.revision() % 2) as usize];
                    let change = manifest.force("a test").promote(&next.parse().unwrap(), at(turn));
                    let change = change.unwrap();
                    match store.compare_and_swap(manifest.revision(), &change.manifest).await {
                        _ if !change.has_changed(&manifest) => {}
                        Ok(()) => stored += 1,
                        Err(StoreError::Conflict { .. }) => conflicts += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                (stored, conflicts)
            }));
        }
        let (mut stored, mut conflicts) = (0, 0);
        for writer in writers {
            let (swapped, other) = writer.await.unwrap();
            (stored, conflicts) = (stored + swapped, conflicts + other);
        }
        assert_eq!(main_store.load().await.unwrap().revision(), 2 + stored);
        assert!(stored > 0);
        println!("PostgreSQL, two writers: {stored} changes stored, {conflicts} conflicts told");
    });
}

#[test]
fn postgres_pushes_a_change_and_is_asked_when_the_push_is_lost() {
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    runtime().block_on(async {
        let ring = name();
        let pool = pool(&url).await;
        let writer = store(&pool, &ring);
        writer.compare_and_swap(0, &manifest(&ring)).await.unwrap();
        let (following, heard) = follow(store(&pool, &ring), &ring, Duration::from_secs(120)).await;
        while listening(&pool).await.is_empty() {
            tokio::task::yield_now().await;
        }
        // What it does once it listens must not be taken for the push.
        following.refresh_async().await.unwrap();
        let mut delays = Vec::new();
        for seed in 1..=3 {
            let start = Instant::now();
            stage(&writer, seed).await;
            assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), seed + 1);
            delays.push(start.elapsed());
        }
        println!("PostgreSQL: a change was swapped in after {delays:?} by NOTIFY (with the write)");
        drop(following);

        // The connection that listens is cut just before a change.
        let (_following, heard) = follow(store(&pool, &ring), &ring, Duration::from_secs(1)).await;
        while listening(&pool).await.is_empty() {
            tokio::task::yield_now().await;
        }
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()";
        sqlx::query(cut).execute(&pool).await.unwrap();
        let start = Instant::now();
        let change =
            update(&writer, |manifest| manifest.revoke(&"k1".parse().unwrap(), "leaked", at(9)));
        let revision = change.await.unwrap().manifest.revision();
        assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), revision);
        println!(
            "PostgreSQL: after {:?}, the connection cut, polling every second",
            start.elapsed()
        );
    });
}

/// Every user of the database may notify the channel, as often as they like.
#[test]
fn postgres_is_not_asked_at_each_notification() {
    use dualkey::source::Wake;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    runtime().block_on(async {
        let ring = name();
        let pool = pool(&url).await;
        let store = store(&pool, &ring);
        let wakes = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&wakes);
        let wake = Wake::new(move || {
            counted.fetch_add(1, SeqCst);
        });
        let _watch = store.watch(wake).await.unwrap().unwrap();
        let wait = async |count: u32| {
            let start = Instant::now();
            while wakes.load(SeqCst) < count {
                assert!(start.elapsed() < A_WHILE);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        // It listens.
        wait(1).await;
        let notify = async |payload: &str| {
            let notify = sqlx::query("SELECT pg_notify('dualkey', $1)").bind(payload.to_owned());
            notify.execute(&pool).await.unwrap();
        };
        let storm = async |payload: &str| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(700) {
                notify(payload).await;
            }
            start.elapsed()
        };
        let payload = format!("test/{ring}");
        for other in
            ["", "test/", &format!("{payload}2"), &format!("prod/{ring}"), &payload.to_lowercase()]
        {
            storm(other).await;
        }
        assert_eq!(wakes.load(SeqCst), 1, "for other rings");
        let time = storm(&payload).await;
        // The last is not left out.
        let before = wakes.load(SeqCst);
        notify(&payload).await;
        wait(before + 1).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let most = time.as_millis() / 100 + 4;
        let count = wakes.load(SeqCst) - 1;
        println!("PostgreSQL: {count} wakes in a storm of {time:?}");
        assert!(u128::from(count) <= most, "{count} wakes, at most {most}");
    });
}

#[test]
fn postgres_holds_no_secret_and_takes_no_row_for_another() {
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    runtime().block_on(async {
        let (one, other) = (name(), name());
        let pool = pool(&url).await;
        for ring in [&one, &other] {
            store(&pool, ring).compare_and_swap(0, &manifest(ring)).await.unwrap();
        }
        let text: String = sqlx::query_scalar("SELECT document FROM dualkey_manifests WHERE ring = $1")
            .bind(&one)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert!(text.starts_with("dk1."), "{text}");

        let wrong = PostgresStore::new(pool.clone(), &one, "test", aes_ring([aes_key(8, "kek")]));
        assert!(matches!(wrong.load().await, Err(StoreError::Sealed { .. })));
        let foreign = store(&pool, &one).compare_and_swap(1, &manifest(&other)).await;
        assert!(matches!(foreign, Err(StoreError::Refused(_))), "{foreign:?}");

        for (change, of) in [
            ("UPDATE dualkey_manifests SET document = \
              (SELECT document FROM dualkey_manifests WHERE ring = $2) WHERE ring = $1", &other),
            ("UPDATE dualkey_manifests SET revision = 9 WHERE ring = $2 OR ring = $1", &one),
            ("UPDATE dualkey_manifests SET document = left(document, 99) WHERE ring = $2 OR ring = $1", &one),
            ("UPDATE dualkey_manifests SET document = '' WHERE ring = $2 OR ring = $1", &one),
        ] {
            sqlx::query(change).bind(&one).bind(of).execute(&pool).await.unwrap();
            let error = store(&pool, &one).load().await.unwrap_err();
            assert!(matches!(error, StoreError::Sealed { .. }), "{change}: {error}");
        }
        // Under a thread without a runtime it is an error, and no panic.
        let lost = store(&pool, &other);
        let error = std::thread::spawn(move || pollster::block_on(lost.load())).join().unwrap();
        assert!(error.unwrap_err().to_string().contains("follow it with `spawn`"));
    });
}

#[test]
fn postgres_keeps_reports() {
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    runtime().block_on(async {
        let ring = name();
        let store = store(&pool(&url).await, &ring);
        let first = manifest(&ring);
        store.compare_and_swap(0, &first).await.unwrap();
        let builder = KeyRing::<CookieKey>::builder().environment("test");
        let held = first.build_ring(builder).unwrap();
        for instance in ["b", "a", "b"] {
            store.save_report(&held.report(instance)).await.unwrap();
        }
        let reports = store.reports().await.unwrap();
        let names: Vec<_> = reports.iter().map(|report| report.instance.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let staged = first.stage(entry(1, "b"), at(0)).unwrap().manifest;
        assert!(staged.promote(&"b".parse().unwrap(), &reports, at(0)).is_err());
        store.forget_report("a").await.unwrap();
        store.forget_report("a").await.unwrap();
        assert_eq!(store.reports().await.unwrap().len(), 1);
    });
}

#[test]
fn postgres_returns_a_broken_report_as_unreadable() {
    let Some(url) = variable("DUALKEY_TEST_POSTGRES") else { return };
    runtime().block_on(async {
        let ring = name();
        let pool = pool(&url).await;
        let store = store(&pool, &ring);
        let first = manifest(&ring);
        store.compare_and_swap(0, &first).await.unwrap();
        let builder = KeyRing::<CookieKey>::builder().environment("test");
        let held = first.build_ring(builder).unwrap();
        for instance in ["broken", "early", "huge", "late", "sane"] {
            store.save_report(&held.report(instance)).await.unwrap();
        }
        for (instance, change) in [
            ("broken", "document = '{'"),
            ("early", "document = '', reported_at = '-infinity'"),
            ("huge", "document = repeat('x', 1048577), reported_at = '2026-01-01T00:00:00Z'"),
            ("late", "document = '', reported_at = 'infinity'"),
        ] {
            let update =
                format!("UPDATE dualkey_reports SET {change} WHERE ring = $1 AND instance = $2");
            let update = sqlx::query(sqlx::AssertSqlSafe(update)).bind(&ring).bind(instance);
            update.execute(&pool).await.unwrap();
        }
        let reports = store.reports().await.unwrap();
        let problems: Vec<_> = reports.iter().map(|report| report.problem.as_deref()).collect();
        let none = Some("it is no report, at line 1 column 0");
        let expected = [
            Some("it is no report, at line 1 column 1"),
            none,
            Some("it has more than 1048576 bytes"),
            none,
            None,
        ];
        assert_eq!(problems, expected);
        // The time of the database's clock, and of what was set.
        let age = std::time::SystemTime::now().duration_since(reports[0].reported_at);
        assert!(age.unwrap_or_else(|error| error.duration()) < A_WHILE);
        assert_eq!(reports[1].reported_at, std::time::UNIX_EPOCH);
        let moment = std::time::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        assert_eq!(reports[2].reported_at, moment);
        store.forget_report("huge").await.unwrap();
        assert_eq!(store.reports().await.unwrap().len(), 4);
    });
}

#[test]
fn postgres_may_go_away_and_come_back() {
    let Some(programs) = variable("DUALKEY_TEST_POSTGRES_BIN") else { return };
    let cluster = Cluster::start(&programs);
    runtime().block_on(async {
        let ring = name();
        let pool = pool(&cluster.url()).await;
        let writer = store(&pool, &ring);
        writer.compare_and_swap(0, &manifest(&ring)).await.unwrap();
        let (following, heard) = follow(store(&pool, &ring), &ring, Duration::from_secs(1)).await;
        let signer = CookieSigner::new(following.ring().clone());
        let cookie = signer.sign("session", "user-42").unwrap();
        for round in 1..=2 {
            cluster.stop();
            let error = following.refresh_async().await.unwrap_err();
            assert_eq!(error.as_str(), "client", "{error}");
            assert!(signer.verify("session", &cookie).is_ok());
            assert!(signer.sign("session", "user-43").is_ok());
            let health = following.health();
            assert!(health.failures >= round && health.last_error.is_some(), "{health:?}");
            assert_eq!(health.revision, round);

            cluster.restart();
            let back = Instant::now();
            stage(&writer, round).await;
            assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), round + 1);
            println!("PostgreSQL: caught up {:?} after the server was back", back.elapsed());
            while following.health().failures_in_a_row > 0 {
                tokio::task::yield_now().await;
            }
            assert!(signer.verify("session", &cookie).is_ok());
        }
    });
}
