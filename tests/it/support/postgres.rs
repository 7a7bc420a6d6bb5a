//! A ring in a PostgreSQL server: the one that `DUALKEY_TEST_POSTGRES` names.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use dualkey::cookie::CookieKey;
use dualkey::manifest::Manifest;
use dualkey::source::{FollowHandle, PostgresStore, update};
use dualkey::{Event, KeyRing, ManualClock, Observer, Policy, Purpose};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::runtime::Runtime;

use super::manifest::{at, entry};
use super::{aes_key, aes_ring};

pub const A_WHILE: Duration = Duration::from_secs(60);

/// The value of a variable, or a word that these tests were left out.
pub fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        // Not through `println!`, which the harness keeps to itself where a test passes.
        let note = format!("note: {name} is not set, so a test with PostgreSQL is left out\n");
        std::io::stderr().write_all(note.as_bytes()).unwrap();
    }
    value
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub async fn pool(url: &str) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(4).connect(url).await.unwrap();
    make_tables(&pool).await;
    pool
}

pub async fn make_tables(pool: &PgPool) {
    // Tests of several processes begin at once.
    let mut one = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(4711)").execute(&mut *one).await.unwrap();
    sqlx::raw_sql(PostgresStore::SCHEMA).execute(&mut *one).await.unwrap();
    one.commit().await.unwrap();
}

/// A name that no other run has.
pub fn name() -> String {
    format!("RING_{:x}", getrandom::u64().unwrap())
}

pub fn manifest(ring: &str) -> Manifest {
    Manifest::new(ring, Purpose::Cookie, "test", Policy::default(), entry(0, "a"), at(0)).unwrap()
}

pub fn store(pool: &PgPool, ring: &str) -> PostgresStore {
    PostgresStore::new(pool.clone(), ring, "test", aes_ring([aes_key(7, "kek")]))
}

/// Hands on which revisions a ring was changed to.
#[derive(Debug)]
pub struct Ear(pub Mutex<Sender<u64>>);

impl Observer for Ear {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Reloaded { revision, .. } = event {
            // The receiver may be gone.
            let _ = self.0.lock().unwrap().send(*revision);
        }
    }
}

pub async fn follow(
    store: PostgresStore,
    ring: &str,
    poll: Duration,
) -> (FollowHandle<CookieKey>, Receiver<u64>) {
    let (sender, heard) = channel();
    let following = KeyRing::<CookieKey>::builder()
        .name(ring)
        .environment("test")
        .observer(Ear(Mutex::new(sender)))
        .clock(ManualClock::new(at(100)))
        .follow(store)
        .poll(poll)
        .spawn()
        .await
        .unwrap();
    (following, heard)
}

pub async fn stage(store: &PostgresStore, seed: u64) {
    let new = entry(seed, &format!("k{seed}"));
    update(store, |manifest| manifest.stage(new.clone(), at(0))).await.unwrap();
}

/// Waits until `following` says this of its watch; none, if it works.
pub async fn until_watch(following: &FollowHandle<CookieKey>, part: Option<&str>) {
    let start = Instant::now();
    loop {
        let found = following.health().watch_error;
        match (&found, part) {
            (None, None) => return,
            (Some(found), Some(part)) if found.contains(part) => return,
            _ => assert!(start.elapsed() < A_WHILE, "{found:?}, expected {part:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
