//! A whole follower: its driver, the worker thread that calls the store, a watch, and its end.

use std::future::ready;
use std::planted::Fault;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use dualkey::manifest::Manifest;
use dualkey::source::{KeyStore, StoreFuture, Wake, Watch};
use dualkey::{Event, Observer};

use crate::ring::{MANIFESTS, builder, is_revoked, kid};
use crate::runner::{Model, reach};

pub(crate) const MODELS: &[Model] = &[Model {
    name: "follower: a change of the store reaches the ring",
    bound: Some(2),
    reaches: &["revoked before the manifest", "revoked after the manifest"],
    faults: &[Fault::ReplacesWithoutComparing, Fault::WakesNoThread],
    run: change_reaches_the_ring,
}];

/// A store in memory that reports its changes.
#[derive(Debug)]
struct Memory {
    manifest: Mutex<&'static Manifest>,
    wake: Mutex<Option<Wake>>,
}

impl Memory {
    fn replace(&self, manifest: &'static Manifest) {
        *self.manifest.lock().unwrap() = manifest;
        if let Some(wake) = &*self.wake.lock().unwrap() {
            wake.wake();
        }
    }
}

impl KeyStore for Memory {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        let manifest = *self.manifest.lock().unwrap();
        Box::pin(ready(Ok(manifest.clone())))
    }

    fn compare_and_swap<'a>(&'a self, _: u64, _: &'a Manifest) -> StoreFuture<'a, ()> {
        unreachable!("a follower writes no manifest")
    }

    fn watch(&self, wake: Wake) -> StoreFuture<'_, Option<Watch>> {
        *self.wake.lock().unwrap() = Some(wake);
        Box::pin(ready(Ok(Some(Watch::new(())))))
    }
}

/// The last revision that a ring has reloaded.
#[derive(Debug, Clone, Default)]
struct Reloads(Arc<(Mutex<u64>, Condvar)>);

impl Reloads {
    fn wait_for(&self, wanted: u64) {
        let (revision, changed) = &*self.0;
        let guard = revision.lock().unwrap();
        drop(changed.wait_while(guard, |revision| *revision < wanted));
    }
}

impl Observer for Reloads {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Reloaded { revision, .. } = event {
            *self.0.0.lock().unwrap() = *revision;
            self.0.1.notify_all();
        }
    }
}

fn change_reaches_the_ring() {
    let store = Arc::new(Memory { manifest: Mutex::new(&MANIFESTS.first), wake: Mutex::default() });
    let reloads = Reloads::default();
    let following =
        builder().observer(reloads.clone()).follow(Arc::clone(&store)).spawn_thread().unwrap();
    let operator = thread::spawn(move || store.replace(&MANIFESTS.second));
    let ring = following.ring().clone();
    ring.revoke(&kid("b"), "it leaked").unwrap();
    let at_revocation = ring.load();
    assert!(is_revoked(&at_revocation, "b"), "the revocation was lost");
    reach(match at_revocation.revision() {
        1 => "revoked before the manifest",
        _ => "revoked after the manifest",
    });
    reloads.wait_for(2);
    drop(following);
    operator.join().unwrap();
    let set = ring.load();
    assert_eq!(set.revision(), 2, "the manifest was lost");
    assert!(is_revoked(&set, "b"), "the revocation was lost");
}
