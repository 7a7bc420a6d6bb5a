//! The bounds that a fleet declares, and its deviations from them.

use super::super::documents::{Declared, INSTANCES};
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
    /// The number of ticks of a run.
    pub horizon: u8,
    pub step_kinds: &'static [StepKind],
    /// True if a step may be stored later than it was computed.
    pub has_delays: bool,
    /// The ticks after its last read of the store from which an instance serves nothing.
    pub max_staleness: Option<u8>,
    /// True if each instance keeps its number. Otherwise instances with equal clocks are exchanged, which
    /// leaves fewer states, but an action in a run may name another instance than the one before.
    pub keeps_names: bool,
    pub deviations: Deviations,
}

/// The deviations of a fleet from what it declares, and the faults that it has to survive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deviations {
    /// The ticks by which a signed value lives longer than the policy says.
    pub longer_lifetime: u8,
    /// The ticks after the rollout window within which an instance acts on a step.
    pub later: u8,
    /// An instance may lose its store for ever.
    pub can_lose_store: bool,
    /// No step declares that instances without it may reject values: a forced promotion counts as one
    /// that the reports allow.
    pub has_no_gate: bool,
    /// The first report of an instance that joins is lost.
    pub loses_first_report: bool,
    /// A process that starts may read an older manifest than any instance holds.
    pub starts_go_back: bool,
    /// A reload removes the revocations that an instance made itself.
    pub forgets_revocations: bool,
    /// An instance may revoke a key itself, without its store.
    pub revokes_locally: bool,
}

/// Every step, with the policies to which a fleet of 2 h, 1 h and 1 h changes.
pub const EVERY_STEP: &[StepKind] = &[
    StepKind::Stage,
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
    /// The number of instances, with those that may join.
    pub(super) fn slots(&self) -> usize {
        self.running + self.joining
    }
}
