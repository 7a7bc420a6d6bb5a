//! The replay of loads through a ring that follows a store.
//!
//! Each report must name the keys of the ring, and a store that fails or goes back changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use dualkey::manifest::Manifest;
use dualkey::source::{KeyStore, StoreError, StoreFuture};
use dualkey::{Fingerprint, KeyRing, ManualClock, Report};

use super::adapter::Adapter;
use super::documents::{Broken, Documents, at, ticks};
use super::property::Property;

/// A store that shows one manifest, or nothing.
#[derive(Clone)]
struct OneManifestStore {
    shown: Arc<Mutex<Option<Manifest>>>,
    reports: Arc<Mutex<BTreeMap<String, Report>>>,
}

impl OneManifestStore {
    fn new(manifest: &Manifest) -> Self {
        Self { shown: Arc::new(Mutex::new(Some(manifest.clone()))), reports: Arc::default() }
    }

    fn show(&self, manifest: Option<&Manifest>) {
        *self.shown.lock().unwrap() = manifest.cloned();
    }

    /// Returns the fingerprint that the instance has reported.
    fn reported(&self) -> Option<Fingerprint> {
        self.reports.lock().unwrap().values().next().map(|report| report.fingerprint)
    }
}

impl fmt::Debug for OneManifestStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneManifestStore")
    }
}

impl KeyStore for OneManifestStore {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(async {
            let shown = self.shown.lock().unwrap().clone();
            let store = "memory".to_owned();
            shown.ok_or_else(|| StoreError::Client { store, source: "no answer".into() })
        })
    }

    fn compare_and_swap<'a>(&'a self, _: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        self.show(Some(next));
        Box::pin(async { Ok(()) })
    }

    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        Box::pin(async { Ok(self.reports.lock().unwrap().values().cloned().collect()) })
    }

    fn save_report<'a>(&'a self, report: &'a Report) -> StoreFuture<'a, ()> {
        self.reports.lock().unwrap().insert(report.instance.clone(), report.clone());
        Box::pin(async { Ok(()) })
    }
}

/// Checks P2 on a ring that has lost its store: it serves nothing once its manifest is too old.
fn check_staleness<A: Adapter>(held: &Manifest, now: u64) -> Result<(), Broken> {
    let clock = ManualClock::new(at(now));
    let store = OneManifestStore::new(held);
    let builder = KeyRing::<A::Key>::builder().name("R").environment("test");
    let builder = builder.clock(clock.clone()).max_staleness(ticks(1));
    let following = builder.follow(store.clone()).on_demand();
    let following =
        following.map_err(|error| (Property::P3, format!("a ring cannot follow: {error}")))?;
    let adapter = A::with_ring(following.ring().clone());
    let value = adapter.make();
    let value = value.map_err(|error| (Property::P3, format!("a ring cannot sign: {error}")))?;
    store.show(None);
    let is_refreshed = following.refresh().is_ok();
    clock.set(at(now + 1));
    let is_accepted = adapter.check(&value).is_ok();
    if is_refreshed || is_accepted || adapter.make().is_ok() {
        return Err((Property::P2, "a ring serves although its manifest is too old".to_owned()));
    }
    Ok(())
}

/// Checks a ring that follows the held manifest and loads the next one.
///
/// # Errors
/// The property that does not hold.
pub fn check<A: Adapter>(
    documents: &Documents,
    held: u32,
    loaded: u32,
    now: u64,
) -> Result<(), Broken> {
    let (held, loaded) = (&documents.get(held).manifest, &documents.get(loaded).manifest);
    let store = OneManifestStore::new(held);
    let builder = KeyRing::<A::Key>::builder().name("R").environment("test");
    let builder = builder.clock(ManualClock::new(at(now)));
    let following = builder.follow(store.clone()).instance("instance-0").on_demand();
    let following =
        following.map_err(|error| (Property::P3, format!("a ring cannot follow: {error}")))?;
    let ring = following.ring();
    // From its start on, an instance reports the keys that it holds.
    let check_report = |when: &str| {
        if store.reported() == Some(ring.fingerprint()) {
            Ok(())
        } else {
            Err((
                Property::P4,
                format!("{when}, the report is of other keys than those of the ring"),
            ))
        }
    };
    check_report("at the start")?;
    let state = || (ring.fingerprint(), ring.load().generation(), ring.primary());

    let before = state();
    store.show(None);
    if following.refresh().is_ok() || state() != before {
        return Err((Property::P6, "a store that fails changes the ring".to_owned()));
    }
    check_report("after a failure")?;

    store.show(Some(loaded));
    if !matches!(following.refresh(), Ok(true)) {
        return Err((Property::P1, "a later manifest is not applied".to_owned()));
    }
    check_report("after a reload")?;

    let before = state();
    store.show(Some(held));
    if following.refresh().is_ok() || state() != before {
        return Err((Property::P6, "a store that goes back changes the ring".to_owned()));
    }
    check_report("after a store that went back")?;
    check_staleness::<A>(held, now)?;
    // A ring that follows a store takes no steps itself.
    for key in loaded.keys() {
        if ring.promote(&key.kid()).is_ok() || state() != before {
            return Err((
                Property::P6,
                "a ring that follows a store is changed by a step".to_owned(),
            ));
        }
    }
    Ok(())
}
