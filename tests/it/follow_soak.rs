//! Ten thousand turns of a follower whose store and whose observer do everything wrong.

use std::fs;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::manifest::Manifest;
use dualkey::source::{
    FileStore, FollowBuilder, FollowHandle, FollowState, KeyStore, StoreError, StoreFuture, Wake,
    Watch, update,
};
use dualkey::{Event, KeyRing, Kid, ManualClock, Observer, Policy, Purpose, Report};
use fastrand::Rng;
use pollster::block_on;
use tempfile::TempDir;

use crate::support::is_full;
use crate::support::manifest::stored;
use crate::support::manifest::{at, entry, first};

const TIMEOUT: Duration = Duration::from_millis(40);
/// A limit for what must come, on any machine.
const A_WHILE: Duration = Duration::from_secs(60);
/// At most so many calls block at a time, fewer than a follower bears.
const BLOCKED: u64 = 3;

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

/// A file store, of which calls go wrong at random.
#[derive(Debug, Clone)]
struct Wild(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    folder: TempDir,
    file: FileStore,
    rng: Mutex<Rng>,
    is_wild: AtomicBool,
    wake: Mutex<Option<Wake>>,
    blocked: Mutex<u64>,
    released: Condvar,
    /// How many calls went which way.
    counts: [AtomicU64; WAYS.len()],
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Answers,
    Hangs,
    Blocks,
    PanicsAtOnce,
    Panics,
    Fails,
    IsUnconfirmed,
    IsHalf,
    IsOversized,
    IsOlder,
    IsATwin,
    IsOfAnotherRing,
    IsOfAnotherEnvironment,
}

/// Each way with its share of a thousand loads.
const WAYS: [(Way, u32); 13] = {
    use Way::*;
    [
        (Answers, 503),
        (Hangs, 8),
        (Blocks, 4),
        (PanicsAtOnce, 60),
        (Panics, 60),
        (Fails, 60),
        (IsUnconfirmed, 45),
        (IsHalf, 60),
        (IsOversized, 10),
        (IsOlder, 60),
        (IsATwin, 50),
        (IsOfAnotherRing, 40),
        (IsOfAnotherEnvironment, 40),
    ]
};

impl Wild {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = stored(&folder.path().join("ring.json"), &first());
        let oversized = folder.path().join("oversized");
        stored(&oversized, &first());
        fs::write(oversized, vec![b' '; 2 << 20]).unwrap();
        let wild = Self(Arc::new(Inside {
            folder,
            file,
            rng: Mutex::new(Rng::with_seed(seed)),
            is_wild: AtomicBool::new(false),
            wake: Mutex::default(),
            blocked: Mutex::default(),
            released: Condvar::new(),
            counts: Default::default(),
        }));
        wild.change(0, at(0));
        wild
    }

    fn chance(&self, of: u32) -> u32 {
        self.0.rng.lock().unwrap().u32(0..of)
    }

    /// How the next call goes.
    fn choose_way(&self) -> Way {
        if !self.0.is_wild.load(SeqCst) {
            return Way::Answers;
        }
        let mut left = self.chance(1000);
        let place = WAYS.iter().position(|(_, share)| {
            let is_it = left < *share;
            left = left.saturating_sub(*share);
            is_it
        });
        let place = place.unwrap();
        let way = WAYS[place].0;
        if way == Way::Blocks && *self.0.blocked.lock().unwrap() >= BLOCKED {
            return Way::Answers;
        }
        self.0.counts[place].fetch_add(1, SeqCst);
        way
    }

    /// What every call may do instead of answering.
    fn answer<'a, T: Send + 'a>(&self, way: Way, answer: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        match way {
            Way::Hangs => Box::pin(std::future::pending()),
            Way::Blocks => {
                let mut blocked = self.0.blocked.lock().unwrap();
                *blocked += 1;
                // Released by a later turn, or at the end.
                blocked = self.0.released.wait(blocked).unwrap();
                *blocked -= 1;
                answer
            }
            // As a panic, but without a message on standard error.
            Way::PanicsAtOnce => resume_unwind(Box::new("wild")),
            Way::Panics => Box::pin(async { resume_unwind(Box::new("wild")) }),
            Way::Fails => Box::pin(async {
                let source = std::io::Error::other("wild");
                Err(StoreError::Io { store: "wild".to_owned(), source })
            }),
            _ => answer,
        }
    }

    /// What a file that holds `text` is read as. One of its own, because a call that was
    /// abandoned may still read another.
    async fn read(&self, text: &[u8]) -> Result<Manifest, StoreError> {
        let file = tempfile::NamedTempFile::new_in(self.0.folder.path()).unwrap();
        fs::write(file.path(), text).unwrap();
        FileStore::new(file.path()).load().await
    }

    async fn lie(&self, way: Way) -> Result<Manifest, StoreError> {
        let text = || fs::read(self.path()).unwrap();
        let foreign = |ring: &str, environment: &str| {
            let key = entry(8, "foreign");
            Manifest::new(ring, Purpose::Cookie, environment, Policy::default(), key, at(0))
        };
        match way {
            Way::IsUnconfirmed => Err(StoreError::Unconfirmed { store: "wild".to_owned() }),
            Way::IsHalf => {
                let text = text();
                let end = self.chance(text.len() as u32) as usize;
                self.read(&text[..end]).await
            }
            Way::IsOversized => FileStore::new(self.0.folder.path().join("oversized")).load().await,
            Way::IsOlder => Ok(first()),
            Way::IsATwin => {
                let document = String::from_utf8(text()).unwrap();
                let number = "\"rollout_window_seconds\": 36";
                assert!(document.contains(number), "the document has another form");
                self.read(document.replace(number, &format!("{number}1")).as_bytes()).await
            }
            Way::IsOfAnotherRing => Ok(foreign("OTHER_SECRET", "test").unwrap()),
            Way::IsOfAnotherEnvironment => Ok(foreign("SESSION_SECRET", "staging").unwrap()),
            _ => self.0.file.load().await,
        }
    }

    fn path(&self) -> PathBuf {
        self.0.folder.path().join("ring.json")
    }

    /// A harmless change by an operator.
    fn change(&self, number: u64, now: SystemTime) {
        let held = block_on(self.0.file.load()).unwrap();
        let mut policy = *held.policy();
        policy.min_observed_verifications = 2_000 + number;
        let next = held.set_policy(policy, now).unwrap();
        block_on(self.0.file.compare_and_swap(held.revision(), &next)).unwrap();
    }
}

impl KeyStore for Wild {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        let way = self.choose_way();
        self.answer(way, Box::pin(self.lie(way)))
    }

    fn compare_and_swap<'a>(&'a self, _: u64, _: &'a Manifest) -> StoreFuture<'a, ()> {
        unreachable!("a follower writes no manifest")
    }

    fn watch(&self, wake: Wake) -> StoreFuture<'_, Option<Watch>> {
        *self.0.wake.lock().unwrap() = Some(wake);
        Box::pin(async { Ok(None) })
    }

    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        self.answer(self.choose_way(), self.0.file.reports())
    }

    fn save_report<'a>(&'a self, report: &'a Report) -> StoreFuture<'a, ()> {
        self.answer(self.choose_way(), self.0.file.save_report(report))
    }

    fn forget_report<'a>(&'a self, instance: &'a str) -> StoreFuture<'a, ()> {
        self.answer(self.choose_way(), self.0.file.forget_report(instance))
    }
}

/// Panics on every third event, while it is wild.
#[derive(Debug, Clone)]
struct Nervous(Wild);

impl Observer for Nervous {
    fn observe(&self, _: &Event<'_>) {
        if self.0.0.is_wild.load(SeqCst) && self.0.chance(3) == 0 {
            resume_unwind(Box::new("nervous"));
        }
    }
}

/// Counts the events, to show that none is missed.
#[derive(Debug, Clone, Default)]
struct Count {
    failed: Arc<AtomicU64>,
    reloaded: Arc<AtomicU64>,
}

impl Observer for Count {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::ReloadFailed { .. } => self.failed.fetch_add(1, SeqCst),
            Event::Reloaded { .. } => self.reloaded.fetch_add(1, SeqCst),
            _ => 0,
        };
    }
}

/// Runs that many turns, by `turn`; and then an emergency, which the
/// follower takes by itself, or by one more `turn` where it does nothing by itself.
fn soak(
    name: &str,
    turns: u64,
    start: impl FnOnce(FollowBuilder<CookieKey>) -> FollowHandle<CookieKey>,
    turn: impl Fn(&FollowHandle<CookieKey>, &Wild),
    is_on_demand: bool,
) {
    let seed = 19;
    let (wild, count, clock) = (Wild::new(seed), Count::default(), ManualClock::new(at(0)));
    let follow = KeyRing::<CookieKey>::builder()
        .name("SESSION_SECRET")
        .environment("test")
        .clock(clock.clone())
        .observer(Nervous(wild.clone()))
        .observer(count.clone())
        .follow(wild.clone())
        .poll(Duration::from_secs(1))
        .timeout(TIMEOUT)
        .instance("soak");
    let following = start(follow);
    let signer = CookieSigner::new(following.ring().clone());
    let leaked = signer.sign("session", "user-42").unwrap();
    let started = Instant::now();
    wild.0.is_wild.store(true, SeqCst);
    while following.health().turns < turns {
        turn(&following, &wild);
        clock.advance(Duration::from_secs(1));
        let health = following.health();
        if health.turns.is_multiple_of(100) {
            wild.0.released.notify_one();
        }
        if health.turns.is_multiple_of(200) {
            wild.change(health.turns, dualkey::Clock::now(&clock));
        }
        assert!(signer.verify("session", &leaked).is_ok(), "a valid value is lost");
        assert_ne!(health.state, FollowState::Ended);
    }
    println!("{name}: seed {seed}, {:?}", started.elapsed());
    let health = following.health();
    println!(
        "  {} turns, {} with a panic, {} out of time, {} failures; {} panics of the observer",
        health.turns,
        health.turns_panicked,
        health.turns_timed_out,
        health.failures,
        health.observer_panics,
    );
    for ((way, _), count) in WAYS.iter().zip(&wild.0.counts) {
        println!("  {way:?}: {}", count.load(SeqCst));
        assert!(count.load(SeqCst) > 0, "{way:?} did not come");
    }
    assert!(health.turns_panicked > turns / 20 && health.observer_panics > turns / 20);
    assert!(health.turns_timed_out > turns / 200);
    assert!(health.unanswered_calls <= 8, "{}", health.unanswered_calls);

    // The store is well again.
    wild.0.is_wild.store(false, SeqCst);
    while *wild.0.blocked.lock().unwrap() > 0 {
        wild.0.released.notify_all();
        std::thread::yield_now();
    }
    let before = following.health().turns;
    let (put, now) = (Instant::now(), dualkey::Clock::now(&clock));
    let change = block_on(update(&wild.0.file, |held| {
        held.emergency_rotate(&kid("a"), "seen in a log", entry(7, "b"), now)
    }));
    let revision = change.unwrap().manifest.revision();
    while following.health().revision < revision {
        assert!(put.elapsed() < A_WHILE, "the emergency is not taken: {:?}", following.health());
        if is_on_demand {
            turn(&following, &wild);
        }
        std::thread::yield_now();
    }
    let health = following.health();
    println!("  the emergency: {:?}, {} turns", put.elapsed(), health.turns - before);
    // One that runs, one that is due, and those in which this machine was too slow.
    assert!(health.turns - before <= 10);
    assert!(signer.verify("session", &leaked).is_err());
    assert_eq!(following.ring().primary().unwrap(), kid("b"));
    // An event follows the swap, and `stop` the turn.
    let stopped = following.stop();
    assert_eq!(count.failed.load(SeqCst), health.failures);
    assert_eq!(count.reloaded.load(SeqCst), health.generation - 1);
    assert!(health.generation > 10, "it saw {} changes", health.generation - 1);
    println!("  the farewell: {stopped:?}");
}

/// Has the driver run one turn of fifty, because it starts at most ten in a second, and runs the
/// others on this thread.
fn wake(following: &FollowHandle<CookieKey>, wild: &Wild) {
    let before = following.health().turns;
    if !before.is_multiple_of(if is_full() { 10 } else { 50 }) {
        // What goes wrong is in its health.
        let _ = following.refresh();
        return;
    }
    wild.0.wake.lock().unwrap().as_ref().unwrap().wake();
    let woken = Instant::now();
    while following.health().turns == before {
        assert!(woken.elapsed() < A_WHILE, "the follower has ended after {before} turns");
        std::thread::sleep(Duration::from_micros(50));
    }
}

#[test]
fn a_thread_outlives_ten_thousand_bad_turns_and_takes_an_emergency() {
    soak("thread", 10_000, |follow| follow.spawn_thread().unwrap(), wake, false);
}

#[test]
fn a_follower_on_tokio_outlives_ten_thousand_bad_turns_and_takes_an_emergency() {
    let builder = || tokio::runtime::Builder::new_multi_thread();
    let runtime = builder().worker_threads(1).enable_all().build().unwrap();
    soak("tokio", 10_000, |follow| runtime.block_on(follow.spawn()).unwrap(), wake, false);
}

#[test]
fn turns_on_demand_outlive_bad_ones_and_take_an_emergency() {
    let refresh = |following: &FollowHandle<CookieKey>, wild: &Wild| match wild.chance(2) {
        0 => drop(following.refresh()),
        _ => drop(block_on(following.refresh_async())),
    };
    let turns = if is_full() { 10_000 } else { 2_000 };
    soak("on demand", turns, |follow| follow.on_demand().unwrap(), refresh, true);
}
