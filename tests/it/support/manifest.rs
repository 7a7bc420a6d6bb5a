//! The manifests of the tests, and a file with one.

use std::path::Path;
use std::time::{Duration, SystemTime};

use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{FileStore, KeyStore};
use dualkey::{KeyState, Kid, Policy, Purpose, Secret};
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
