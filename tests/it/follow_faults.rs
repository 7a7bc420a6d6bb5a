//! A follower ends only when it is stopped: not by a panic, not by a store that never answers.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::manifest::Manifest;
use dualkey::source::{
    FollowBuilder, FollowHandle, FollowState, KeyStore, StoreError, StoreFuture, Wake, Watch,
};
use dualkey::{Event, KeyRing, Kid, ManualClock, Observer, Policy, Purpose, Secret};
use tokio::runtime::{Builder, Runtime};

use crate::support::manifest::{at, entry, first};
use crate::support::scripted_store::{Fault, Scripted};
use crate::support::{EventLog, secret};

/// So long that it does not come within a test.
const NEVER: Duration = Duration::from_secs(120);
/// A limit for what must come, on any machine.
const A_WHILE: Duration = Duration::from_secs(60);
/// The time that a store is given here.
const SHORT: Duration = Duration::from_millis(100);

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

/// Panics on each event, for as long as it is set to.
#[derive(Debug, Clone, Default)]
struct Panicking(Arc<AtomicBool>);

impl Observer for Panicking {
    fn observe(&self, event: &Event<'_>) {
        assert!(!self.0.load(SeqCst), "an observer panics on {event:?}");
    }
}

/// Panics on each event with a payload that panics when it is dropped.
#[derive(Debug)]
struct Treacherous;

struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        panic!("the payload panics as well");
    }
}

impl Observer for Treacherous {
    fn observe(&self, _: &Event<'_>) {
        resume_unwind(Box::new(Payload));
    }
}

/// Passes on each event.
#[derive(Debug)]
struct Ear(Mutex<Sender<String>>);

impl Observer for Ear {
    fn observe(&self, event: &Event<'_>) {
        let _ = self.0.lock().unwrap().send(format!("{event:?}"));
    }
}

fn ear() -> (Ear, Receiver<String>) {
    let (sender, receiver) = channel();
    (Ear(Mutex::new(sender)), receiver)
}

/// Waits for an event that `needle` is in.
fn hear(heard: &Receiver<String>, needle: &str) -> String {
    loop {
        let event = heard.recv_timeout(A_WHILE).expect(needle);
        if event.contains(needle) {
            return event;
        }
    }
}

fn builder() -> dualkey::RingBuilder<CookieKey> {
    KeyRing::builder().name("SESSION_SECRET").environment("test").clock(ManualClock::new(at(0)))
}

type Start =
    fn(FollowBuilder<CookieKey>) -> Result<(FollowHandle<CookieKey>, Option<Runtime>), StoreError>;

fn spawn_on(
    runtime: Runtime,
    follow: FollowBuilder<CookieKey>,
) -> Result<(FollowHandle<CookieKey>, Option<Runtime>), StoreError> {
    Ok((runtime.block_on(follow.spawn())?, Some(runtime)))
}

/// Every driver.
const DRIVERS: [(&str, Start); 3] = [
    ("thread", |follow| Ok((follow.spawn_thread()?, None))),
    ("tokio, one thread", |follow| {
        spawn_on(Builder::new_current_thread().enable_all().build().unwrap(), follow)
    }),
    ("tokio, two threads", |follow| {
        spawn_on(
            Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
            follow,
        )
    }),
];

/// Runs `work`, which must end.
fn run_to_end<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(A_WHILE).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// `a` has leaked, and `b` takes its place.
fn rotate_in_emergency(manifest: &Manifest) -> Manifest {
    let new = entry(7, "b");
    manifest.emergency_rotate(&kid("a"), "seen in a log", new, at(0)).unwrap().manifest
}

#[test]
fn an_observer_that_panics_ends_no_follower_and_silences_no_other() {
    for (name, start) in DRIVERS {
        let store = Scripted::new(first());
        let (panicking, (ear, heard)) = (Panicking::default(), ear());
        let follow =
            builder().observer(panicking.clone()).observer(ear).follow(store.clone()).poll(NEVER);
        let (following, _runtime) = start(follow).unwrap();
        let signer = CookieSigner::new(following.ring().clone());
        let leaked = signer.sign("session", "user-42").unwrap();
        panicking.0.store(true, SeqCst);
        let next = first().stage(entry(1, "c"), at(0)).unwrap().manifest;
        store.put(&next);
        store.wake();
        hear(&heard, "Staged");
        hear(&heard, "Reloaded");
        let next = rotate_in_emergency(&next);
        store.put(&next);
        store.wake();
        hear(&heard, "Revoked");
        assert!(signer.verify("session", &leaked).is_err(), "{name}");
        hear(&heard, "Reloaded");
        let health = following.health();
        assert_eq!((health.state, health.failures), (FollowState::Running, 0), "{name}");
        assert!(health.observer_panics >= 4, "{name}: {health:?}");
        assert_eq!(health.turns_panicked, 0, "{name}");
    }
}

#[test]
fn an_observer_that_panics_breaks_no_verification_and_no_step() {
    let event_log = EventLog::default();
    let ring = KeyRing::<CookieKey>::builder()
        .primary(Secret::from(secret(0)))
        .fallback(crate::support::key(1, "old"))
        .observer(Treacherous)
        .observer(event_log.clone())
        .observer(Treacherous)
        .observer(event_log.clone())
        .build()
        .unwrap();
    let old =
        KeyRing::<CookieKey>::builder().primary(crate::support::key(1, "old")).build().unwrap();
    let value = CookieSigner::new(old).sign("session", "user-42").unwrap();
    let signer = CookieSigner::new(ring.clone());
    assert_eq!(*signer.verify("session", &value).unwrap(), "user-42");
    assert!(signer.verify("session", "forged").is_err());
    let staged = ring.stage(Secret::from(secret(2))).unwrap();
    ring.promote(&staged).unwrap();
    assert_eq!(ring.primary().unwrap(), staged);
    ring.revoke(&kid("old"), "a test").unwrap();
    assert!(signer.verify("session", &value).is_err());
    for event in ["VerifiedByFallback", "Rejected", "Staged", "Promoted", "Revoked"] {
        let times = event_log.all().iter().filter(|event_log| event_log.starts_with(event)).count();
        assert!(times >= 2 && times % 2 == 0, "{event}: {times}");
    }
}

#[test]
fn a_store_that_panics_is_a_failure_that_is_reported_and_asked_again() {
    for (name, start) in DRIVERS {
        for fault in [Fault::PanicsAtOnce, Fault::Panics] {
            let store = Scripted::new(first());
            let (ear, heard) = ear();
            let follow = builder().observer(ear).follow(store.clone()).poll(NEVER).instance("one");
            let (following, _runtime) = start(follow).unwrap();
            store.script(fault, fault);
            store.wake();
            hear(&heard, "ReloadFailed");
            // It is asked again after a second, and takes the change.
            store.put(&rotate_in_emergency(&first()));
            store.script(Fault::None, Fault::None);
            hear(&heard, "Reloaded");
            let health = following.health();
            assert_eq!(health.state, FollowState::Running, "{name}");
            assert!(health.failures >= 1 && health.turns_panicked >= 1, "{name}: {health:?}");
            assert_eq!(following.ring().primary().unwrap(), kid("b"), "{name}");
            following.stop().unwrap();
        }
    }
}

#[test]
fn a_store_that_never_answers_shows_in_health_and_keeps_nobody_from_stopping() {
    for (name, start) in DRIVERS {
        for fault in [Fault::Hangs, Fault::Blocks] {
            let name = format!("{name}, {fault:?}");
            let store = Scripted::new(first());
            let (ear, heard) = ear();
            let follow = builder()
                .observer(ear)
                .follow(store.clone())
                .poll(NEVER)
                .timeout(SHORT)
                .instance("one");
            let (following, runtime) = start(follow).unwrap();
            let signer = CookieSigner::new(following.ring().clone());
            let value = signer.sign("session", "user-42").unwrap();
            store.script(fault, fault);
            store.wake();
            let failed = hear(&heard, "ReloadFailed");
            assert!(failed.contains("TimedOut"), "{name}: {failed}");
            let error = following.refresh().unwrap_err();
            assert_eq!(error.as_str(), "timed_out", "{name}");
            assert!(error.to_string().contains("no answer within 100ms"), "{name}: {error}");
            let health = following.health();
            assert_eq!(health.state, FollowState::Running, "{name}");
            assert!(health.failures >= 2 && health.turns_timed_out >= 2, "{name}: {health:?}");
            assert_eq!(health.last_error, Some(error.to_string()), "{name}");
            assert_eq!(health.unanswered_calls > 0, fault == Fault::Blocks, "{name}");
            assert!(signer.verify("session", &value).is_ok(), "{name}");
            match runtime {
                Some(runtime) => {
                    let stopped = run_to_end(&name, move || {
                        let stopped = runtime.block_on(following.stop_async());
                        // No thread of the runtime is kept.
                        drop(runtime);
                        stopped
                    });
                    assert!(matches!(stopped, Err(StoreError::TimedOut { .. })), "{name}");
                }
                None => {
                    let stopped = run_to_end(&name, move || following.stop());
                    assert!(matches!(stopped, Err(StoreError::TimedOut { .. })), "{name}");
                }
            }
            store.release();
        }
    }
}

/// With a timeout that does not come: whatever ends here does not wait for it.
#[test]
fn a_drop_waits_for_no_store_and_the_ring_then_stays_as_it_is() {
    for (name, start) in DRIVERS {
        let store = Scripted::new(first());
        let follow = builder().follow(store.clone()).poll(NEVER).timeout(A_WHILE * 10);
        let (following, _runtime) = start(follow).unwrap();
        let ring = following.ring().clone();
        store.put(&rotate_in_emergency(&first()));
        store.script(Fault::Blocks, Fault::None);
        let loads = store.0.loads.load(SeqCst);
        store.wake();
        while store.0.loads.load(SeqCst) == loads {
            std::thread::yield_now();
        }
        run_to_end(name, move || drop(following));
        // The answer comes, and is for a follower that has ended.
        store.release();
        while Arc::strong_count(&store.0) > 1 {
            std::thread::yield_now();
        }
        assert_eq!(ring.load().revision(), 1, "{name}");
    }
}

#[test]
fn a_store_that_blocks_at_the_start_is_an_error() {
    for (name, start) in DRIVERS {
        for fault in [Fault::Hangs, Fault::Blocks] {
            let store = Scripted::new(first());
            store.script(fault, Fault::None);
            let follow = builder().follow(store.clone()).timeout(SHORT);
            let error = run_to_end(name, move || start(follow).map(drop)).unwrap_err();
            assert!(matches!(error, StoreError::TimedOut { .. }), "{name}: {error}");
            store.release();
            // And a watch or a report that never comes keeps no service from its start.
            let store = Scripted::new(first());
            store.script(Fault::None, fault);
            let follow = builder().follow(store.clone()).timeout(SHORT).instance("one");
            let (following, _runtime) = run_to_end(name, move || start(follow)).unwrap();
            let health = following.health();
            assert!(health.watch_error.is_some() && health.report_error.is_some(), "{health:?}");
            assert_eq!(health.failures, 0, "{name}");
            run_to_end(name, move || drop(following));
            store.release();
        }
    }
}

#[test]
fn calls_that_block_are_bounded_and_their_late_answers_dropped() {
    let store = Scripted::new(first());
    let following = builder().follow(store.clone()).timeout(SHORT).on_demand().unwrap();
    assert_eq!(following.health().state, FollowState::OnDemand);
    // What blocks now would answer with a key that the operator then takes back.
    store.put(&first().stage(entry(1, "late"), at(0)).unwrap().manifest);
    store.script(Fault::Blocks, Fault::None);
    let before = store.0.loads.load(SeqCst);
    for _ in 0..20 {
        let error = following.refresh().unwrap_err();
        assert!(matches!(error, StoreError::TimedOut { .. }), "{error}");
    }
    assert_eq!(store.0.loads.load(SeqCst) - before, 8);
    assert_eq!(following.health().unanswered_calls, 8);
    assert_eq!(following.health().turns_timed_out, 20);
    store.script(Fault::None, Fault::None);
    store.put(&first());
    store.release();
    while following.health().unanswered_calls > 0 {
        std::thread::yield_now();
    }
    assert_eq!(following.ring().load().revision(), 1);
    assert!(!following.refresh().unwrap());
    store.put(&rotate_in_emergency(&first()));
    assert!(following.refresh().unwrap());
    assert_eq!(following.health().last_error, None);
}

#[test]
fn the_longest_observation_ends_no_follower() {
    let mut policy = Policy::default();
    // The bound: a longer one is refused when it is read.
    policy.observation_window = Duration::from_secs(36_525 * 24 * 60 * 60);
    let manifest =
        Manifest::new("SESSION_SECRET", Purpose::Cookie, "test", policy, entry(0, "a"), at(0));
    let manifest = manifest.unwrap();
    for (name, start) in DRIVERS {
        let store = Scripted::new(manifest.clone());
        let (ear, heard) = ear();
        let follow = builder().observer(ear).follow(store.clone()).poll(NEVER).instance("one");
        let (following, _runtime) = start(follow).unwrap();
        store.put(&rotate_in_emergency(&manifest));
        store.wake();
        hear(&heard, "Reloaded");
        let health = following.health();
        assert_eq!((health.report_error, health.turns_panicked), (None, 0), "{name}");
    }
}

#[test]
fn a_runtime_that_ends_ends_no_follower() {
    let store = Scripted::new(first());
    let (ear, heard) = ear();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let follow = builder().observer(ear).follow(store.clone()).poll(NEVER);
    let following = runtime.block_on(follow.spawn()).unwrap();
    drop(runtime);
    store.put(&rotate_in_emergency(&first()));
    store.wake();
    hear(&heard, "Reloaded");
    assert_eq!(following.health().state, FollowState::Running);
    following.stop().unwrap();
}

/// A store whose client needs the timers of a tokio runtime, and spawns on it.
#[derive(Debug)]
struct Client(Scripted);

impl KeyStore for Client {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        let loaded = self.0.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tokio::spawn(async move { loaded.load().await }).await.unwrap()
        })
    }

    fn compare_and_swap<'a>(&'a self, _: u64, _: &'a Manifest) -> StoreFuture<'a, ()> {
        unreachable!("a follower writes no manifest")
    }

    fn watch(&self, wake: Wake) -> StoreFuture<'_, Option<Watch>> {
        self.0.watch(wake)
    }
}

#[test]
fn a_client_that_needs_the_runtime_is_called_in_it() {
    for workers in [0, 1, 2] {
        let runtime = match workers {
            0 => Builder::new_current_thread().enable_all().build().unwrap(),
            count => {
                Builder::new_multi_thread().worker_threads(count).enable_all().build().unwrap()
            }
        };
        runtime.block_on(async {
            let store = Scripted::new(first());
            let following =
                builder().follow(Client(store.clone())).poll(NEVER).spawn().await.unwrap();
            store.put(&rotate_in_emergency(&first()));
            assert!(following.refresh_async().await.unwrap());
            assert_eq!(following.ring().primary().unwrap(), kid("b"));
            following.stop_async().await.unwrap();
        });
    }
}

#[test]
fn a_change_that_is_seen_once_is_no_failure_and_is_read_again_soon() {
    let store = Scripted::new(first());
    let event_log = EventLog::default();
    let follow = builder().observer(event_log.clone()).follow(store.clone()).instance("one");
    let following = follow.on_demand().unwrap();
    store.put(&rotate_in_emergency(&first()));
    store.script(Fault::Unconfirmed, Fault::None);
    let error = following.refresh().unwrap_err();
    assert!(matches!(error, StoreError::Unconfirmed { .. }), "{error}");
    let health = following.health();
    assert_eq!((health.failures, health.failures_in_a_row, health.revision), (0, 0, 1));
    assert_eq!(health.last_error, Some(error.to_string()));
    assert_eq!(event_log.all(), [""; 0]);
    store.script(Fault::None, Fault::None);
    assert!(following.refresh().unwrap());
    assert_eq!(following.health().last_error, None);

    // A driver does so by itself, long before the next poll.
    let store = Scripted::new(first());
    let (ear, heard) = ear();
    let follow = builder().observer(ear).follow(store.clone()).poll(NEVER);
    let following = follow.spawn_thread().unwrap();
    store.script(Fault::Unconfirmed, Fault::None);
    store.put(&rotate_in_emergency(&first()));
    store.wake();
    while following.health().last_error.is_none() {
        std::thread::yield_now();
    }
    store.script(Fault::None, Fault::None);
    hear(&heard, "Reloaded");
    assert_eq!(following.health().failures, 0);
}
