//! The steps that an agent takes without an operator.

use super::facts::{Facts, Fleet};
use super::next_step;
use super::old_keys::first_to_retire;
use super::step::{Deployment, NextStep};
use crate::kid::Kid;

/// A step that an agent takes without an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AutomaticStep {
    /// Promote the staged key, which no instance objects to.
    Promote { kid: Kid },
    /// Retire the old key. If it has expired, this records its end.
    Retire { kid: Kid },
    /// Stage a new key if the checks before a rotation pass.
    Stage,
    /// Only report the checks that fail: a rotation is due, and an instance must reload before it.
    Check,
}

/// Returns the step of a ring that an agent takes now: the next step, if it needs no operator.
///
/// Three rules keep an agent more careful than the next step:
/// - It destroys no secret. It only records the end of a key that has expired, and a key whose step is
///   left to an operator delays no retirement of another.
/// - It retires before it stages: so each end is recorded by its own step, and there is room for the new
///   key.
/// - While a key is restaged, it takes no step but the promotion of another: the operator who restaged
///   the key has not finished.
pub(crate) fn automatic_step(facts: &Facts<'_>) -> Option<AutomaticStep> {
    let retire = || first_to_retire(facts).map(|kid| AutomaticStep::Retire { kid });
    match next_step(facts) {
        NextStep::SetClock | NextStep::RepairClock => {
            // Each step checks the clock, and its refusal is reported: without a step, none is.
            let fleet = Fleet { is_clock_behind: false, ..facts.fleet.clone() };
            automatic_step(&Facts { changed_at: facts.now, fleet, ..facts.clone() })
        }
        NextStep::Promote { staged, deployment: Deployment::Reported } => {
            Some(AutomaticStep::Promote { kid: staged.kid })
        }
        NextStep::Promote { deployment: Deployment::Unreported | Deployment::File, .. }
        | NextStep::AwaitReload { staged: Some(_), .. }
        | NextStep::AwaitStart { .. }
        | NextStep::Nothing => None,
        _ if facts.keys.iter().any(|key| key.is_restaged) => None,
        NextStep::AwaitReload { staged: None, .. } => facts.is_due.then_some(AutomaticStep::Check),
        NextStep::Rotate { .. } if facts.is_due => retire().or(Some(AutomaticStep::Stage)),
        NextStep::Rotate { .. } => None,
        NextStep::Retire { .. }
        | NextStep::Destroy { .. }
        | NextStep::Rewrap { .. }
        | NextStep::Restage { .. }
        | NextStep::Withdraw { .. }
        | NextStep::Keep { .. }
        | NextStep::Force { .. }
        | NextStep::TakeOutOfFile { .. } => {
            let has_no_room = facts.is_due && !facts.has_room();
            retire().or(has_no_room.then_some(AutomaticStep::Check))
        }
    }
}
