//! The kinds of steps that the operators of a fleet take.

use std::collections::BTreeSet;
use std::fmt;

use super::documents::{Declared, Document, Step};

/// A kind of step. Operators take it on each key to which it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    Stage,
    /// Stages a key that starts to sign after the rollout window and the skew, plus this number of ticks.
    /// The number may be negative.
    Schedule(i8),
    Promote,
    ForcePromote,
    AssumeDeployed,
    Rollback,
    ForceRollback,
    Retire,
    ForceRetire,
    Restage,
    Revoke,
    EmergencyRotate,
    Destroy,
    ForceDestroy,
    SetPolicy(Declared),
}

/// Lists the steps of these kinds on a manifest with up to `max_keys` keys.
pub fn list_steps(step_kinds: &[StepKind], document: &Document, max_keys: usize) -> Vec<Step> {
    let count = document.key_count();
    let has_room = count < max_keys;
    let on_each_key = |step: fn(usize) -> Step| (0..count).map(step).collect::<Vec<_>>();
    let steps = |kind: &StepKind| match *kind {
        StepKind::Stage if has_room => vec![Step::Stage],
        StepKind::Schedule(more) if has_room => {
            let window = document.rollout(document.changed_at) + document.declared.skew;
            vec![Step::Schedule(window.saturating_add_signed(more.into()))]
        }
        StepKind::Stage | StepKind::Schedule(_) => Vec::new(),
        StepKind::Promote => on_each_key(Step::Promote),
        StepKind::ForcePromote => on_each_key(Step::ForcePromote),
        StepKind::AssumeDeployed => on_each_key(Step::AssumeDeployed),
        StepKind::Rollback => vec![Step::Rollback],
        StepKind::ForceRollback => vec![Step::ForceRollback],
        StepKind::Retire => on_each_key(Step::Retire),
        StepKind::ForceRetire => on_each_key(Step::ForceRetire),
        StepKind::Restage => on_each_key(Step::Restage),
        StepKind::Revoke => on_each_key(Step::Revoke),
        StepKind::EmergencyRotate => on_each_key(Step::EmergencyRotate),
        StepKind::Destroy => on_each_key(Step::Destroy),
        StepKind::ForceDestroy => on_each_key(Step::ForceDestroy),
        StepKind::SetPolicy(declared) if declared != document.declared => {
            vec![Step::SetPolicy(declared)]
        }
        StepKind::SetPolicy(_) => Vec::new(),
    };
    step_kinds.iter().flat_map(steps).collect()
}

/// Returns the names of steps or of kinds of steps, without keys and numbers.
pub fn names<S: fmt::Debug>(steps: impl IntoIterator<Item = S>) -> BTreeSet<String> {
    let name = |step: S| format!("{step:?}").split('(').next().map(str::to_owned);
    steps.into_iter().filter_map(name).collect()
}
