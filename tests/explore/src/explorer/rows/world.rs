//! The bounds that a fleet with stored rows declares, and its deviations from them.

use std::fmt;

use super::super::documents::{Declared, INSTANCES, describe_clocks};
use super::super::step_kinds::StepKind;

/// The bounds of a fleet with stored rows, and of its runs.
#[derive(Debug, Clone)]
pub struct RowWorld {
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
    /// The most rewraps.
    pub rewraps: u8,
    /// The most rewraps at one time.
    pub at_once: usize,
    /// The number of ticks of a run, the first and the last one included.
    pub horizon: u8,
    /// The kinds of steps that operators take.
    pub step_kinds: &'static [StepKind],
    pub options: RewrapOptions,
    pub deviations: RowDeviations,
}

/// The ways in which a rewrap runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RewrapOptions {
    /// True if a command may run it, and not only an instance.
    pub by_command: bool,
    /// True if it may open rows under revoked keys.
    pub rescues: bool,
    /// True if it may seal every row again, also those under a staged key.
    pub renews_all: bool,
    /// True if it may read the rows and write none.
    pub reads_only: bool,
    /// True if another instance may continue it from its checkpoint.
    pub has_checkpoints: bool,
    /// True if an instance may delay the report of its manifest and of the result of its rewrap.
    pub reports_later: bool,
}

/// The deviations of a fleet from what it declares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowDeviations {
    /// True if no rewrap visits one of the tables.
    pub misses_table: bool,
    /// The ticks by which an instance may act on a step after the rollout window.
    pub later: u8,
    /// True if the first report of an instance that joins is lost.
    pub loses_first_report: bool,
    /// True if a command keeps its manifest for longer than the rollout window after a step.
    pub keeps_document: bool,
}

impl RowWorld {
    /// Returns the number of instances, including those that may join.
    pub(super) fn slots(&self) -> usize {
        self.running + self.joining
    }

    /// Returns the most hours that pass in a run.
    pub fn hours(&self) -> u8 {
        self.horizon - 1
    }
}

impl fmt::Display for RowWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instances = describe_clocks(&self.clocks[..self.slots()]);
        let operators = describe_clocks(&self.operator_clocks[..self.operators]);
        write!(f, "policy: {}; clocks of the instances: {instances}; ", self.declared)?;
        write!(f, "clocks of the operators: {operators}")
    }
}
