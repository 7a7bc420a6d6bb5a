//! P7: two operators at once, through the library's own loop of load, step and compare-and-swap.
//!
//! Both operators take a step on the same manifest. The compare-and-swap of the second operator conflicts,
//! and its step runs again on the result of the first one. The store must then hold the result of one
//! step after the other, or the second step is refused.
//!
//! The answer of a compare-and-swap may be lost. The store then holds the result of the step, and a
//! second attempt has the same result as taking the step twice.

use std::fmt;
use std::sync::Mutex;

use dualkey::Report;
use dualkey::manifest::Manifest;
use dualkey::source::{KeyStore, StoreError, StoreFuture, update};
use pollster::block_on;

use super::documents::{Broken, Documents, Step, at, compute_change, digest};
use super::property::Property;

/// A store in memory, with the faults of its next compare-and-swap.
struct MemoryStore {
    held: Mutex<Manifest>,
    /// The manifest that another operator stores before the next swap.
    faster: Mutex<Option<Manifest>>,
    /// True if the next swap succeeds and its answer is lost.
    loses_answer: Mutex<bool>,
}

impl MemoryStore {
    fn new(manifest: &Manifest) -> Self {
        let held = Mutex::new(manifest.clone());
        Self { held, faster: Mutex::new(None), loses_answer: Mutex::new(false) }
    }

    fn held(&self) -> Manifest {
        self.held.lock().unwrap().clone()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore")
    }
}

impl KeyStore for MemoryStore {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(async { Ok(self.held()) })
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut held = self.held.lock().unwrap();
            if let Some(faster) = self.faster.lock().unwrap().take() {
                *held = faster;
            }
            let (found, store) = (held.revision(), "memory".to_owned());
            if found != expected {
                return Err(StoreError::Conflict { store, expected, found });
            }
            *held = next.clone();
            if std::mem::take(&mut *self.loses_answer.lock().unwrap()) {
                return Err(StoreError::Client { store, source: "no answer".into() });
            }
            Ok(())
        })
    }
}

/// The pairs of steps that were compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compared {
    pub pairs: u64,
    /// The pairs of which the second step was refused after the first one.
    pub refused: u64,
}

/// Takes each pair of `steps` on a document, one step by each operator, and compares the results. Both read
/// the reports of instances that hold the document.
///
/// # Errors
/// The property that does not hold.
pub fn check_pairs(
    documents: &mut Documents,
    document: u32,
    steps: &[Step],
    clocks: [u64; 2],
) -> Result<Compared, Broken> {
    let mut compared = Compared::default();
    let manifest = documents.get(document).manifest.clone();
    let now = clocks.map(at);
    let reports = documents.agreeing_reports(document, clocks[0]);
    let reports = reports.as_slice();
    for first in steps {
        let Ok(first_done) = compute_change(&manifest, *first, reports, now[0]) else { continue };
        if !first_done.has_changed(&manifest) {
            continue;
        }
        check_lost_answer(&manifest, *first, &first_done.manifest, (reports, now[0]))?;
        for second in steps {
            // A step that changes nothing does not conflict.
            match compute_change(&manifest, *second, reports, now[1]) {
                Ok(change) if change.has_changed(&manifest) => {}
                _ => continue,
            }
            compared.pairs += 1;
            let store = MemoryStore::new(&manifest);
            *store.faster.lock().unwrap() = Some(first_done.manifest.clone());
            let taken =
                block_on(update(&store, |held| compute_change(held, *second, reports, now[1])));
            let serial = compute_change(&first_done.manifest, *second, reports, now[1]);
            let left = store.held();
            let expected = match (&taken, serial) {
                (Ok(_), Ok(serial)) => serial.manifest,
                (Err(StoreError::Refused(_)), Err(_)) => {
                    compared.refused += 1;
                    first_done.manifest.clone()
                }
                (taken, serial) => {
                    let details = format!(
                        "{first}, then {second}: at once {:?}, one after the other {:?}",
                        taken.as_ref().map(drop),
                        serial.map(drop)
                    );
                    return Err((Property::P7, details));
                }
            };
            if digest(&left) != digest(&expected) {
                let details = format!(
                    "{first} and {second} at once leave a result that neither order leaves"
                );
                return Err((Property::P7, details));
            }
        }
    }
    Ok(compared)
}

/// Checks a step whose answer is lost: the step is stored, and a second attempt has the same result as
/// taking the step twice.
fn check_lost_answer(
    manifest: &Manifest,
    step: Step,
    once: &Manifest,
    (reports, now): (&[Report], std::time::SystemTime),
) -> Result<(), Broken> {
    let store = MemoryStore::new(manifest);
    *store.loses_answer.lock().unwrap() = true;
    let answer = block_on(update(&store, |held| compute_change(held, step, reports, now)));
    if answer.is_ok() {
        return Err((Property::P7, format!("{step}: a lost answer counts as success")));
    }
    if digest(&store.held()) != digest(once) {
        return Err((Property::P7, format!("{step}: a lost answer loses the step")));
    }
    let again = block_on(update(&store, |held| compute_change(held, step, reports, now)));
    let twice = compute_change(once, step, reports, now);
    let expected = twice.as_ref().map_or(once, |twice| &twice.manifest);
    if again.is_ok() != twice.is_ok() || digest(&store.held()) != digest(expected) {
        return Err((
            Property::P7,
            format!("{step}: a second attempt after a lost answer has another result"),
        ));
    }
    Ok(())
}
