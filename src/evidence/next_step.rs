//! The next step of a ring: the one place that decides what should be done, for the command line,
//! reminders and the status page, which phrase the [`NextStep`] in their own words, and for the agent,
//! which takes it if it is [automatic](automatic::automatic_step).
//!
//! A pure function of [`Facts`], which hold no key material.

pub(crate) mod automatic;
pub(crate) mod facts;
mod old_keys;
pub(crate) mod stall;
pub(crate) mod step;
#[cfg(test)]
mod tests;

use facts::{Facts, KeyFacts};
use old_keys::first_old_step;
use stall::is_stalled;
use step::{Deployment, NextStep, Staged};

/// Decides the next step.
///
/// The first of these counts: a clock that is wrong, a staged key, an old key, an instance that holds
/// other keys, the schedule. A rotation that is due comes before an old key, unless something stalls
/// or there is no room for a new key.
pub(crate) fn next_step(facts: &Facts<'_>) -> NextStep {
    // If the reports contradict the clock, only setting it helps.
    if facts.fleet.is_clock_behind {
        return NextStep::SetClock;
    }
    if facts.is_clock_behind() {
        return NextStep::RepairClock;
    }
    if let Some(staged) = facts.staged() {
        return step_of_staged(staged, facts);
    }
    let is_due = facts.is_due && facts.has_room() && !is_stalled(facts);
    match first_old_step(facts) {
        Some((_, step)) if !is_due => return step,
        _ => {}
    }
    if let Some(obstacle) = facts.fleet.objection.clone() {
        let gone_at = facts.fleet.objections_end;
        return NextStep::AwaitReload { staged: None, obstacle, gone_at };
    }
    facts.due.map_or(NextStep::Nothing, |due| NextStep::Rotate { due })
}

/// The step of a staged key. One that waits for a step comes before one that waits for its moment.
fn step_of_staged(key: &KeyFacts, facts: &Facts<'_>) -> NextStep {
    let fleet = &facts.fleet;
    let staged = Staged { kid: key.kid, is_one_of_several: facts.staged_keys().count() > 1 };
    if let Some(at) = key.signs_from {
        // The step of an old key may come before.
        return match (&fleet.objection, first_old_step(facts)) {
            (None, Some((_, step))) if step.from() < Some(at) => step,
            (obstacle, _) => NextStep::AwaitStart { kid: key.kid, at, obstacle: obstacle.clone() },
        };
    }
    let deployment = match &fleet.objection {
        _ if facts.is_file => Deployment::File,
        // The promotion is refused until then.
        Some(obstacle) => {
            let (obstacle, gone_at) = (obstacle.clone(), fleet.objections_end);
            return NextStep::AwaitReload { staged: Some(staged), obstacle, gone_at };
        }
        None if !fleet.is_reported && facts.purpose.needs_agreement() => Deployment::Unreported,
        None => Deployment::Reported,
    };
    NextStep::Promote { staged, deployment }
}
