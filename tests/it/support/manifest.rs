//! The manifests of the tests, and a file with one.

use std::path::Path;
use std::time::{Duration, SystemTime};

use dualkey::envelope::AesKey;
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{FileStore, KeyStore};
use dualkey::{
    KeyRing, KeyState, Kid, ManualClock, Obstacle, Policy, Purpose, RewrapRecord, Secret, Verdict,
};
use pollster::block_on;

use super::secret;

pub fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

pub fn entry(seed: u64, kid: &str) -> NewEntry {
    NewEntry::new(Secret::from(secret(seed))).kid(kid.parse().unwrap())
}

pub fn first() -> Manifest {
    Manifest::new(
        "SESSION_SECRET",
        Purpose::Cookie,
        "test",
        Policy::default(),
        entry(0, "a"),
        at(0),
    )
    .unwrap()
}

pub fn states(manifest: &Manifest, now: SystemTime) -> Vec<(String, KeyState)> {
    let state = |kid: Kid| (kid.to_string(), manifest.state(&kid, now).unwrap());
    manifest.keys().iter().map(|key| state(key.kid())).collect()
}

pub fn stored(path: &Path, manifest: &Manifest) -> FileStore {
    let store = FileStore::new(path);
    block_on(store.compare_and_swap(0, manifest)).unwrap();
    store
}

/// Returns the start of the first rewrap that counts for an encryption key.
pub fn rewrap_counts_from(manifest: &Manifest, kid: &Kid) -> SystemTime {
    let builder = KeyRing::<AesKey>::builder().environment(manifest.environment());
    let now = manifest.changed_at() + Duration::from_secs(30 * 86_400);
    let mut report =
        manifest.build_ring(builder.clock(ManualClock::new(now))).unwrap().report("one");
    // One that is certainly too early.
    let (started_at, finished_at) = (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH);
    let rows = Vec::new();
    report.rewrap =
        Some(RewrapRecord { started_at, finished_at, unreadable: 0, nothing_sealed: 0, rows });
    match manifest.retirement(kid, &[report], now).unwrap() {
        Verdict::Blocked(all) => match all[..] {
            [Obstacle::RewrapTooEarly { not_before, .. }] => not_before,
            _ => panic!("{all:?}"),
        },
        verdict => panic!("{verdict:?}"),
    }
}
