//! The bounds that a fleet declares, and its deviations from them.

use std::fmt;

use super::super::documents::{Declared, INSTANCES, describe_clocks};
use super::super::step_kinds::StepKind;

/// The bounds of a fleet and of its runs.
#[derive(Debug, Clone)]
pub struct World {
    pub declared: Declared,
    /// The number of instances that run at the start.
    pub running: usize,
    /// The number of instances that may join.
    pub joining: usize,
    pub operators: usize,
    /// The most keys of a manifest.
    pub keys: usize,
    /// The ticks by which the clock of each instance is ahead of the right time.
    pub clocks: [u8; INSTANCES],
    pub operator_clocks: [u8; 2],
    /// The most steps.
    pub steps: u8,
    /// The most starts and stops of instances.
    pub disturbances: u8,
    /// The number of ticks of a run, the first and the last one included.
    pub horizon: u8,
    /// The kinds of steps that operators take.
    pub step_kinds: &'static [StepKind],
    /// True if a step may be stored later than it was computed.
    pub has_delays: bool,
    /// The ticks after its last read of the store from which an instance serves nothing.
    pub max_staleness: Option<u8>,
    /// The ticks by which the last report of a running instance may be old. With 0, it always has the present
    /// time.
    pub report_lag: u8,
    /// True if each instance keeps its number. Otherwise instances with equal clocks are interchangeable:
    /// there are fewer states, but the number of an instance may change between the actions of a run.
    pub keeps_names: bool,
    pub deviations: Deviations,
}

/// The deviations of a fleet from what it declares, and the faults that it has to survive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deviations {
    /// The ticks by which a value is valid for longer than the policy declares.
    pub longer_lifetime: u8,
    /// The ticks by which an instance may act on a step after the rollout window.
    pub later: u8,
    /// True if an instance may lose its store for ever.
    pub can_lose_store: bool,
    /// True if P1 also applies to instances that have not loaded a forced promotion.
    pub has_no_gate: bool,
    /// True if the first report of an instance that joins is lost.
    pub loses_first_report: bool,
    /// True if a process that starts may read an older manifest than any instance holds.
    pub starts_go_back: bool,
    /// True if a reload removes the revocations that an instance made itself.
    pub forgets_revocations: bool,
    /// True if an instance may revoke a key itself, without its store.
    pub revokes_locally: bool,
}

/// Every kind of step. The changes of the policy are from a lifetime of 2 h, a rollout window of 1 h and a
/// skew of 1 h.
pub const EVERY_STEP: &[StepKind] = &[
    StepKind::Stage,
    StepKind::Schedule(-1),
    StepKind::Schedule(0),
    StepKind::Schedule(3),
    StepKind::Promote,
    StepKind::ForcePromote,
    StepKind::AssumeDeployed,
    StepKind::Rollback,
    StepKind::ForceRollback,
    StepKind::Retire,
    StepKind::ForceRetire,
    StepKind::Restage,
    StepKind::Revoke,
    StepKind::EmergencyRotate,
    StepKind::Destroy,
    StepKind::ForceDestroy,
    StepKind::SetPolicy(Declared { lifetime: 1, rollout: 1, skew: 1 }),
    StepKind::SetPolicy(Declared { lifetime: 1, rollout: 2, skew: 1 }),
    StepKind::SetPolicy(Declared { lifetime: 4, rollout: 1, skew: 1 }),
];

impl World {
    /// Returns the number of instances, including those that may join.
    pub(super) fn slots(&self) -> usize {
        self.running + self.joining
    }

    /// Returns the most hours that pass in a run.
    pub fn hours(&self) -> u8 {
        self.horizon - 1
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instances = describe_clocks(&self.clocks[..self.slots()]);
        let operators = describe_clocks(&self.operator_clocks[..self.operators]);
        write!(f, "policy: {}; clocks of the instances: {instances}; ", self.declared)?;
        write!(f, "clocks of the operators: {operators}")
    }
}
