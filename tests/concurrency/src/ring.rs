//! Concurrent changes of a ring, in code and by manifests.

use std::original::sync::LazyLock;
use std::original::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::planted::Fault;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dualkey::credential::Credential;
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::{
    Clock, Error, Event, KeyRing, KeySet, Kid, NewKey, Observer, Policy, Purpose, RingBuilder,
    Secret,
};

use crate::runner::{Model, join, reach};

pub(crate) const MODELS: &[Model] = &[
    Model {
        name: "ring: every change in code is there",
        bound: Some(3),
        reaches: &["one after the other"],
        faults: &[Fault::ReplacesWithoutComparing],
        run: every_change_in_code_is_there,
    },
    Model {
        name: "ring: a revocation outlives a manifest",
        bound: Some(3),
        reaches: &["revoked before the manifest", "revoked after the manifest"],
        faults: &[Fault::ReplacesWithoutComparing],
        run: revocation_outlives_a_manifest,
    },
    Model {
        name: "ring: a refused manifest revokes",
        bound: Some(3),
        reaches: &["the rival is first", "the rival is refused"],
        faults: &[Fault::ReplacesWithoutComparing],
        run: refused_manifest_revokes,
    },
    Model {
        name: "ring: the later manifest wins",
        bound: Some(2),
        reaches: &["both are applied", "the earlier is refused"],
        faults: &[Fault::ReplacesWithoutComparing],
        run: later_manifest_wins,
    },
];

/// The number of changes that a ring has reported. `loom` does not explore its operations.
#[derive(Debug, Clone, Default)]
struct Reported(Arc<[AtomicU64; 3]>);

impl Observer for Reported {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Staged { .. } => _ = self.0[0].fetch_add(1, SeqCst),
            Event::Revoked { .. } => _ = self.0[1].fetch_add(1, SeqCst),
            Event::Reloaded { revision, .. } => _ = self.0[2].fetch_add(*revision, SeqCst),
            _ => (),
        }
    }
}

impl Reported {
    /// Returns the numbers of stagings and of revocations, and the sum of the revisions.
    fn counts(&self) -> [u64; 3] {
        [0, 1, 2].map(|place| self.0[place].load(SeqCst))
    }
}

/// A clock whose reads `loom` does not explore.
#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> SystemTime {
        now()
    }
}

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(crate) fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

fn secret(name: &str) -> Secret {
    Secret::from(format!("{name}-kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU"))
}

fn entry(name: &str) -> NewEntry {
    NewEntry::new(secret(name)).kid(kid(name))
}

/// The manifests of the revisions 1 to 3, and a second one of revision 2.
pub(crate) struct Manifests {
    /// The manifest in which `a` is the primary and `b` a fallback.
    pub(crate) first: Manifest,
    /// The manifest in which `c` is staged as well.
    pub(crate) second: Manifest,
    /// The manifest in which `d` is staged as well.
    pub(crate) third: Manifest,
    /// The other manifest of revision 2, in which `b` is revoked.
    pub(crate) rival: Manifest,
}

/// The manifests of all executions. They hold nothing that threads change.
pub(crate) static MANIFESTS: LazyLock<Manifests> = LazyLock::new(|| {
    let policy = Policy::default();
    let first =
        Manifest::new("RING", Purpose::Credential, "test", policy, entry("a"), now()).unwrap();
    let first = first.with_fallback(entry("b"), now()).unwrap();
    let second = first.stage(entry("c"), now()).unwrap().manifest;
    let third = second.stage(entry("d"), now()).unwrap().manifest;
    let rival = first.revoke(&kid("b"), "it leaked", now()).unwrap().manifest;
    assert_eq!((first.revision(), second.revision(), third.revision()), (1, 2, 3));
    assert_eq!(rival.revision(), 2);
    Manifests { first, second, third, rival }
});

pub(crate) fn builder() -> RingBuilder<Credential> {
    KeyRing::builder().name("RING").environment("test").clock(Fixed)
}

/// Builds a ring from the first manifest.
fn ring() -> (KeyRing<Credential>, Reported) {
    let reported = Reported::default();
    (MANIFESTS.first.build_ring(builder().observer(reported.clone())).unwrap(), reported)
}

pub(crate) fn is_revoked(set: &KeySet<Credential>, name: &str) -> bool {
    set.key(&kid(name)).is_some_and(|key| key.revoked().is_some())
}

fn has(set: &KeySet<Credential>, name: &str) -> bool {
    set.key(&kid(name)).is_some()
}

fn every_change_in_code_is_there() {
    let (ring, reported) = ring();
    let others = ["c", "d"].map(|name| {
        let ring = ring.clone();
        thread::spawn(move || {
            ring.stage(NewKey::new(secret(name)).kid(kid(name))).unwrap();
            ring.load().generation()
        })
    });
    ring.revoke(&kid("b"), "it leaked").unwrap();
    let seen = join(others);
    if seen == [2, 3] {
        reach("one after the other");
    }
    let set = ring.load();
    assert!(is_revoked(&set, "b") && has(&set, "c") && has(&set, "d"), "a change was lost");
    assert_eq!(set.generation(), 4);
    assert_eq!(set.primary(now()).unwrap().kid(), kid("a"));
    assert_eq!(reported.counts(), [2, 1, 0], "reported");
}

fn revocation_outlives_a_manifest() {
    let (ring, reported) = ring();
    let applier = {
        let ring = ring.clone();
        thread::spawn(move || MANIFESTS.second.apply_to(&ring).unwrap())
    };
    let reader = {
        let ring = ring.clone();
        thread::spawn(move || {
            let sets = [ring.load(), ring.load()];
            for set in &sets {
                assert_eq!(has(set, "c"), set.revision() == 2, "the reader sees two generations");
            }
            assert!(
                !is_revoked(&sets[0], "b") || is_revoked(&sets[1], "b"),
                "the revocation was lost"
            );
            assert!(sets[0].revision() <= sets[1].revision(), "the manifest was undone");
        })
    };
    ring.revoke(&kid("b"), "it leaked").unwrap();
    let at_revocation = ring.load();
    assert!(is_revoked(&at_revocation, "b"), "the revocation was lost");
    reach(match at_revocation.revision() {
        1 => "revoked before the manifest",
        _ => "revoked after the manifest",
    });
    assert!(applier.join().unwrap());
    reader.join().unwrap();
    let set = ring.load();
    assert!(is_revoked(&set, "b"), "the revocation was lost");
    assert!(has(&set, "c") && set.revision() == 2, "the manifest was lost");
    assert_eq!(set.generation(), 3);
    assert_eq!(reported.counts(), [1, 1, 2], "reported");
}

fn refused_manifest_revokes() {
    let (ring, reported) = ring();
    let applier = {
        let ring = ring.clone();
        thread::spawn(move || MANIFESTS.second.apply_to(&ring))
    };
    let rival = MANIFESTS.rival.apply_to(&ring);
    let revoked_at_once = is_revoked(&ring.load(), "b");
    assert!(revoked_at_once, "the rival did not revoke");
    let second = applier.join().unwrap();
    let set = ring.load();
    assert!(is_revoked(&set, "b"), "the revocation was lost");
    match (second, rival) {
        (Ok(true), Err(Error::TwoOfOneRevision { revision: 2 })) => {
            reach("the rival is refused");
            assert!(has(&set, "c"), "the manifest was lost");
            assert_eq!(reported.counts(), [1, 1, 2], "reported");
        }
        (Err(Error::TwoOfOneRevision { revision: 2 }), Ok(true)) => {
            reach("the rival is first");
            assert!(!has(&set, "c"));
            assert_eq!(reported.counts(), [0, 1, 2], "reported");
        }
        both => panic!("the results of two manifests of one revision: {both:?}"),
    }
}

fn later_manifest_wins() {
    let (ring, reported) = ring();
    let earlier = {
        let ring = ring.clone();
        thread::spawn(move || MANIFESTS.second.apply_to(&ring))
    };
    let revoker = {
        let ring = ring.clone();
        thread::spawn(move || ring.revoke(&kid("b"), "it leaked"))
    };
    assert!(MANIFESTS.third.apply_to(&ring).unwrap());
    assert_eq!(ring.load().revision(), 3, "an earlier manifest was applied");
    let revisions = match earlier.join().unwrap() {
        Ok(true) => {
            reach("both are applied");
            2 + 3
        }
        Err(Error::Older { held: 3, found: 2 }) => {
            reach("the earlier is refused");
            3
        }
        other => panic!("the result of an earlier manifest: {other:?}"),
    };
    revoker.join().unwrap().unwrap();
    let set: Arc<_> = ring.load();
    assert_eq!(set.revision(), 3, "an earlier manifest was applied");
    assert!(has(&set, "d") && is_revoked(&set, "b"), "a change was lost");
    assert_eq!(reported.counts(), [2, 1, revisions], "reported");
}
