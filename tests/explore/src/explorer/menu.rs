//! The steps that the operators of a fleet take.

use super::documents::{Declared, Document, Step};

/// A kind of step. Operators take it on each key to which it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Stage,
    /// Stages a key that signs later: after the rollout window, the skew and so many more ticks; fewer, if
    /// the number is negative.
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

/// Lists the steps of a menu on a manifest, which may have up to `max_keys` keys.
pub fn list_steps(menu: &[Kind], document: &Document, max_keys: usize) -> Vec<Step> {
    let count = document.key_count();
    let has_room = count < max_keys;
    let on_each_key = |step: fn(usize) -> Step| (0..count).map(step).collect::<Vec<_>>();
    let steps = |kind: &Kind| match *kind {
        Kind::Stage if has_room => vec![Step::Stage],
        Kind::Schedule(more) if has_room => {
            let window = document.rollout(document.changed_at) + document.declared.skew;
            vec![Step::Schedule(window.saturating_add_signed(more.into()))]
        }
        Kind::Stage | Kind::Schedule(_) => Vec::new(),
        Kind::Promote => on_each_key(Step::Promote),
        Kind::ForcePromote => on_each_key(Step::ForcePromote),
        Kind::AssumeDeployed => on_each_key(Step::AssumeDeployed),
        Kind::Rollback => vec![Step::Rollback],
        Kind::ForceRollback => vec![Step::ForceRollback],
        Kind::Retire => on_each_key(Step::Retire),
        Kind::ForceRetire => on_each_key(Step::ForceRetire),
        Kind::Restage => on_each_key(Step::Restage),
        Kind::Revoke => on_each_key(Step::Revoke),
        Kind::EmergencyRotate => on_each_key(Step::EmergencyRotate),
        Kind::Destroy => on_each_key(Step::Destroy),
        Kind::ForceDestroy => on_each_key(Step::ForceDestroy),
        Kind::SetPolicy(declared) if declared != document.declared => {
            vec![Step::SetPolicy(declared)]
        }
        Kind::SetPolicy(_) => Vec::new(),
    };
    menu.iter().flat_map(steps).collect()
}
