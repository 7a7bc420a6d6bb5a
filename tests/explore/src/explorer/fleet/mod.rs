//! A small fleet: instances that follow one store, and operators who change it.
//!
//! Each serving instance signs with its primary at each tick, and receives every value that any instance
//! has signed. A reader of the store gets any manifest that the store may still show: an older one only
//! within the rollout window of the next one. Operators take any step at any tick. A step may be stored
//! later than it was computed, and conflicts if another operator was faster. Clocks differ by up to the
//! skew, and keep their difference for a whole run.

mod action;
mod instances;
mod normal;
mod properties;
mod recovered;
mod state;
mod steps;
mod world;

use dualkey::Purpose;

use super::documents::{AcceptedStep, Broken, Documents, INSTANCES, KEYS, Reported, Reports};
use super::engine::{Model, Violation};
use super::history::{History, NO_REPORT, OLD_REPORT};
pub use action::Action;
use state::Instance;
pub use state::State;
pub use world::{Deviations, EVERY_STEP, World};

/// A fleet, and all manifests that it has had.
pub struct Fleet {
    pub world: World,
    pub documents: Documents,
    /// The steps that may be stored later than they were computed.
    pending: Vec<AcceptedStep>,
    /// Called for each load.
    pub on_load: Option<LoadCheck>,
}

/// A check of a load. The arguments are the held manifest, the loaded one and the clock.
pub type LoadCheck = Box<dyn FnMut(&mut Documents, u32, u32, u64) -> Result<(), Broken>>;

type Found = Violation<Action>;

/// The manifest and the keys with which an instance serves.
struct Serving {
    document: u32,
    /// The tick that its clock shows.
    clock: u64,
    /// The keys that it accepts, by bit.
    live: u8,
    primary: Option<usize>,
    /// The number of primaries of its manifest.
    primaries: usize,
}

impl Fleet {
    pub fn new(world: World) -> Self {
        let documents = Documents::new(Purpose::Cookie, world.keys);
        Self { world, documents, pending: Vec::new(), on_load: None }
    }

    fn clock(&self, state: &State, instance: usize) -> u64 {
        u64::from(state.now) + u64::from(self.world.clocks[instance])
    }

    fn operator_clock(&self, state: &State, operator: usize) -> u64 {
        u64::from(state.now) + u64::from(self.world.operator_clocks[operator])
    }

    /// Returns the time of a read of the store, or 0 if it makes no difference.
    fn read_at(&self, state: &State, instance: usize) -> u8 {
        if self.world.max_staleness.is_some() { self.clock(state, instance) as u8 } else { 0 }
    }

    /// Returns the time of a report of a running instance, or 0 if its reports always have the present time.
    fn reported_at(&self, state: &State, instance: usize) -> u8 {
        if self.world.report_lag > 0 { self.clock(state, instance) as u8 } else { 0 }
    }

    /// Returns whether an instance serves nothing because of `max_staleness`.
    fn is_stale(&self, state: &State, instance: usize) -> bool {
        let read_at = u64::from(state.instances[instance].read_at);
        let age = self.world.max_staleness;
        age.is_some_and(|age| self.clock(state, instance) >= read_at + u64::from(age))
    }

    /// Returns the manifest and the keys with which an instance serves. Returns `None` if it does not run,
    /// must load the store first, is stale, or has revoked its primary.
    fn serving(&mut self, state: &State, index: usize) -> Option<Serving> {
        let instance = &state.instances[index];
        if !instance.is_running() || self.is_stale(state, index) {
            return None;
        }
        let is_overdue = state.history.is_overdue(instance.holds, state.now);
        if is_overdue && !self.world.deviations.can_lose_store {
            return None;
        }
        let (document, clock) = (state.history.get(instance.holds), self.clock(state, index));
        let roles = self.documents.roles(document, clock);
        let live = roles.live & !instance.still_revoked;
        let has_primary = roles.primary.is_none_or(|key| live & 1 << key != 0);
        has_primary.then_some(Serving {
            document,
            clock,
            live,
            primary: roles.primary,
            primaries: roles.primaries,
        })
    }

    /// Collects the reports that operators read.
    fn collect_reports(&self, state: &State) -> Reports {
        let latest = self.documents.get(state.history.latest()).fingerprint;
        let mut reports = Reports::default();
        for (index, instance) in state.instances.iter().enumerate() {
            if instance.reported == NO_REPORT {
                continue;
            }
            let agrees = instance.reported != OLD_REPORT && {
                let reported = state.history.get(instance.reported);
                self.documents.get(reported).fingerprint == latest
            };
            let is_present_time = instance.is_running() && self.world.report_lag == 0;
            let at =
                if is_present_time { self.clock(state, index) as u8 } else { instance.reported_at };
            reports[index] = Reported { is_present: true, at, agrees, rewrap: None };
        }
        // The names of instances have no effect on a step.
        reports.sort_unstable_by_key(|report| (report.is_present, report.at, report.agrees));
        reports
    }
}

impl Model for Fleet {
    type State = State;
    type Action = Action;

    fn describe(&self) -> String {
        self.world.to_string()
    }

    fn starts(&mut self) -> Vec<State> {
        let document = self.documents.add_first(self.world.declared, 0);
        let mut state = State {
            history: History::new(document),
            pending: [0; 2],
            computed_at: [0; 2],
            now: self.world.declared.first_tick(),
            steps: 0,
            disturbed: 0,
            instances: [Instance::ABSENT; INSTANCES],
            valid_until: [0; KEYS],
            gone_by: [0; KEYS],
        };
        for index in 0..self.world.running {
            let (read_at, reported_at) =
                (self.read_at(&state, index), self.reported_at(&state, index));
            state.instances[index] =
                Instance { holds: 0, reported: 0, read_at, reported_at, ..Instance::ABSENT };
        }
        vec![self.normalize(state)]
    }

    fn expand(&mut self, state: &State, next: &mut Vec<(Action, State)>) -> Result<(), Found> {
        self.check(state)?;
        if let Some(later) = self.pass_time(state) {
            next.push((Action::PassTime, later));
        }
        self.add_steps(state, next)?;
        self.add_instances(state, next)?;
        for (_, state) in next.iter_mut() {
            *state = self.normalize(*state);
        }
        Ok(())
    }
}
