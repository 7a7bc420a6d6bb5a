//! Rows under the keys of an encryption ring, and the rewraps that seal them again with new keys.
//!
//! Each serving instance seals a row with its primary at each tick, and receives every row. Rows never
//! expire: only a rewrap seals them with another key. A rewrap visits the rows of each key in any order.
//! Until it ends, instances seal more rows, both among those that it has visited and among the others. The
//! instance that runs a rewrap knows its result. Operators learn it from the next report of that instance.
//!
//! No instance uses an old key after a rewrap. Such a use would only add an obstacle to a retirement.
//!
//! A rewrap of an instance uses the manifest that the instance holds when it visits a row. A rewrap
//! command uses the manifest with which it started, and ends within the rollout window of the next step.

mod action;
mod bounds;
mod instances;
mod normal;
mod properties;
mod rewraps;
mod state;
mod steps;
mod world;
mod worlds;

use dualkey::Purpose;
use dualkey::envelope::Sealer;

use super::documents::{Documents, INSTANCES, Reported, Reports, Roles};
use super::engine::{Model, Violation};
use super::history::{History, NO_REPORT, OLD_REPORT};
use super::replay::Replay;
pub use action::RowAction;
pub use bounds::row_bounds;
pub use state::RowState;
use state::{Instance, RunningRewrap};
pub use world::RowWorld;
pub use worlds::row_worlds;

/// The most rewraps at one time.
const REWRAPS: usize = 2;
/// The owner of a rewrap that does not run.
const IDLE: u8 = u8::MAX;
/// The owner of a rewrap that is a command.
const COMMAND: u8 = INSTANCES as u8;
/// The index of the set of rows that no rewrap visits.
const UNVISITED: usize = 1 << REWRAPS;

/// A fleet with stored rows, and all manifests that it has had.
pub struct Rows {
    pub world: RowWorld,
    pub documents: Documents,
    pub replay: Replay<Sealer>,
}

type Found = Violation<RowAction>;

impl Rows {
    pub fn new(world: RowWorld) -> Self {
        let documents = Documents::new(Purpose::Envelope, world.keys);
        Self { world, documents, replay: Replay::default() }
    }

    fn clock(&self, state: &RowState, instance: usize) -> u64 {
        u64::from(state.now) + u64::from(self.world.clocks[instance])
    }

    fn operator_clock(&self, state: &RowState, operator: usize) -> u64 {
        u64::from(state.now) + u64::from(self.world.operator_clocks[operator])
    }

    /// Returns the manifest and the roles with which an instance serves. Returns `None` if it does not run
    /// or must load the store first.
    fn serving(&mut self, state: &RowState, index: usize) -> Option<(u32, Roles)> {
        let instance = &state.instances[index];
        if !instance.is_running() || state.history.is_overdue(instance.holds, state.now) {
            return None;
        }
        let document = state.history.get(instance.holds);
        let clock = self.clock(state, index);
        Some((document, self.documents.roles(document, clock)))
    }

    /// Collects the reports that operators read: those of the instances, and that of the last command.
    fn collect_reports(&self, state: &RowState) -> Reports {
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
            let is_running = instance.is_running();
            let at = if is_running { self.clock(state, index) as u8 } else { instance.stopped_at };
            let rewrap = instance.reported_rewrap;
            reports[index] = Reported { is_present: true, at, agrees, rewrap };
        }
        if let Some(rewrap) = state.command {
            let at = rewrap.finished;
            let rewrap = Some(rewrap);
            reports[INSTANCES] = Reported { is_present: true, at, agrees: false, rewrap };
        }
        reports
    }
}

impl Model for Rows {
    type State = RowState;
    type Action = RowAction;

    fn describe(&self) -> String {
        self.world.to_string()
    }

    fn starts(&mut self) -> Vec<RowState> {
        let document = self.documents.add_first(self.world.declared, 0);
        let mut instances = [Instance::ABSENT; INSTANCES];
        for instance in &mut instances[..self.world.running] {
            (instance.holds, instance.reported) = (0, 0);
        }
        let state = RowState {
            history: History::new(document),
            now: self.world.declared.first_tick(),
            steps: 0,
            disturbed: 0,
            rewrapped: 0,
            instances,
            rewraps: [RunningRewrap::NONE; REWRAPS],
            command: None,
            rows: [0; UNVISITED + 1],
        };
        vec![self.normalize(state)]
    }

    fn expand(
        &mut self,
        state: &RowState,
        next: &mut Vec<(RowAction, RowState)>,
    ) -> Result<(), Found> {
        self.check(state)?;
        if let Some(later) = self.pass_time(state) {
            next.push((RowAction::PassTime, later));
        }
        self.add_steps(state, next)?;
        self.add_instances(state, next)?;
        self.add_rewraps(state, next);
        for (_, state) in next.iter_mut() {
            *state = self.normalize(*state);
        }
        Ok(())
    }
}
