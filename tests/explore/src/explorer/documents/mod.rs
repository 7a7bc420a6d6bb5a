//! The manifests of a search, each held once, with the steps that the library accepts on it.
//!
//! The library computes every step, role and verdict. The model repeats one rule of the library, because
//! that rule bounds what instances do: after a change of the policy, the longer rollout window stays in
//! force until the change has reached every instance.

mod accepted;
mod digest;
mod document;
mod keys;
mod policy;
mod reports;
mod step;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use dualkey::manifest::Manifest;
use dualkey::{Purpose, Report, Verdict};

use super::engine::FastBuildHasher;
use super::property::Property;
pub use accepted::AcceptedStep;
pub use digest::digest;
pub use document::{Document, Roles};
pub use keys::{KEYS, kid, secret};
pub use policy::{Declared, at, describe_clocks, ticks};
pub use reports::{FinishedRewrap, INSTANCES, Reported, Reports};
pub use step::{Step, compute_change};

/// A property that does not hold, and the details.
pub type Broken = (Property, String);

type AcceptedSteps = Rc<[AcceptedStep]>;

/// All manifests of a search.
pub struct Documents {
    purpose: Purpose,
    max_keys: usize,
    pub all: Vec<Document>,
    by_digest: HashMap<[u64; 2], u32, FastBuildHasher>,
    /// The accepted steps that need no reports, by document and clock of the operator.
    without_reports: HashMap<(u32, u8), AcceptedSteps, FastBuildHasher>,
    /// The accepted steps that need reports, by document, clock of the operator and reports.
    with_reports: HashMap<(u32, u8, Reports), AcceptedSteps, FastBuildHasher>,
    /// True if the verdict is `Safe`, by document, clock of the operator, reports and key.
    safe: HashMap<(u32, u8, Reports, u8), bool, FastBuildHasher>,
    /// The first step that broke a property.
    pub broken: Option<(Broken, Step)>,
}

impl Documents {
    /// Creates an empty collection of manifests with up to `max_keys` keys each.
    pub fn new(purpose: Purpose, max_keys: usize) -> Self {
        Self {
            purpose,
            max_keys,
            all: Vec::new(),
            by_digest: HashMap::default(),
            without_reports: HashMap::default(),
            with_reports: HashMap::default(),
            safe: HashMap::default(),
            broken: None,
        }
    }

    /// Adds the manifest of one key, which has always been the primary.
    pub fn add_first(&mut self, declared: Declared, tick: u64) -> u32 {
        let (policy, key) = (declared.policy(), keys::new_entry(0));
        let manifest = Manifest::new("R", self.purpose, "test", policy, key, at(tick));
        self.intern(manifest.expect("the policy and the key are valid"), declared, None)
    }

    /// Allows up to `max_keys` keys in each manifest from now on.
    pub fn set_max_keys(&mut self, max_keys: usize) {
        self.max_keys = max_keys;
    }

    /// Removes the accepted steps from the cache, because operators take other steps from now on.
    pub fn forget_steps(&mut self) {
        self.without_reports.clear();
        self.with_reports.clear();
    }

    /// Returns every step that the library accepted on a manifest.
    pub fn accepted_steps(&self) -> impl Iterator<Item = Step> {
        let accepted = self.without_reports.values().chain(self.with_reports.values());
        accepted.flat_map(|steps| steps.iter()).map(|accepted| accepted.step)
    }

    pub fn get(&self, document: u32) -> &Document {
        &self.all[document as usize]
    }

    /// Returns the number of a manifest. Adds the manifest unless an equal one is known.
    fn intern(
        &mut self,
        manifest: Manifest,
        declared: Declared,
        earlier_rollout: Option<(u64, u64)>,
    ) -> u32 {
        let place = self.all.len() as u32;
        match self.by_digest.entry(digest::digest_with(&manifest, earlier_rollout)) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(free) => free.insert(place),
        };
        self.all.push(Document::new(manifest, declared, earlier_rollout));
        place
    }

    /// Returns the roles of the keys of a document, by the clock of an instance.
    pub fn roles(&mut self, document: u32, clock: u64) -> Roles {
        self.all[document as usize].roles(clock)
    }

    /// Takes each of `steps`, by the clock of an operator who reads `reports`. Returns the accepted ones:
    /// first those that need no reports, then those that do.
    pub fn take_all(
        &mut self,
        document: u32,
        clock: u64,
        reports: &Reports,
        steps: impl Fn(&Document) -> Vec<Step>,
    ) -> [AcceptedSteps; 2] {
        let key = (document, clock as u8);
        let without_reports = match self.without_reports.get(&key) {
            Some(accepted) => Rc::clone(accepted),
            None => {
                let steps =
                    steps(self.get(document)).into_iter().filter(|step| !step.needs_reports());
                let accepted = self.take_each(document, clock, &[], steps);
                self.without_reports.insert(key, Rc::clone(&accepted));
                accepted
            }
        };
        let key = (document, clock as u8, *reports);
        let with_reports = match self.with_reports.get(&key) {
            Some(accepted) => Rc::clone(accepted),
            None => {
                let reports = self.build_reports(document, reports);
                let steps =
                    steps(self.get(document)).into_iter().filter(|step| step.needs_reports());
                let accepted = self.take_each(document, clock, &reports, steps);
                self.with_reports.insert(key, Rc::clone(&accepted));
                accepted
            }
        };
        [without_reports, with_reports]
    }

    fn take_each(
        &mut self,
        document: u32,
        clock: u64,
        reports: &[Report],
        steps: impl Iterator<Item = Step>,
    ) -> AcceptedSteps {
        steps.filter_map(|step| self.take(document, clock, reports, step)).collect()
    }

    /// Returns whether the verdict on a key is `Safe`.
    pub fn is_safe(&mut self, document: u32, clock: u64, reports: &Reports, key: usize) -> bool {
        let place = (document, clock as u8, *reports, key as u8);
        if let Some(is_safe) = self.safe.get(&place) {
            return *is_safe;
        }
        let built = self.build_reports(document, reports);
        let held = self.get(document);
        let now = at(clock.max(held.changed_at));
        let verdict = held.manifest.retirement(&kid(key), &built, now);
        let is_safe = verdict.is_ok_and(|verdict| verdict == Verdict::Safe);
        self.safe.insert(place, is_safe);
        is_safe
    }

    /// Returns the reports of two instances that hold a document and report it at a tick.
    pub fn agreeing_reports(&self, document: u32, tick: u64) -> Vec<Report> {
        let agreeing =
            Reported { is_present: true, at: tick as u8, agrees: true, ..Reported::default() };
        let mut reports = Reports::default();
        reports[..2].fill(agreeing);
        self.build_reports(document, &reports)
    }

    fn build_reports(&self, document: u32, reports: &Reports) -> Vec<Report> {
        let fingerprint = self.get(document).fingerprint;
        let present = reports.iter().enumerate().filter(|(_, reported)| reported.is_present);
        let build = |(instance, reported)| reports::build_report(instance, reported, fingerprint);
        present.map(build).collect()
    }
}
