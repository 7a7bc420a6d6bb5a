//! The steps of keys that sign no more, each accepted at the moment that it names.

use std::time::SystemTime;

use super::facts::{Facts, KeyFacts};
use super::step::{Ground, NextStep, Removal, RewrapScope};
use crate::error::Obstacle;
use crate::evidence::Verdict;
use crate::evidence::old_key::{OldKey, OldKeyStep, is_of_rewrap, is_retirable};
use crate::evidence::reports::end_of;
use crate::kid::Kid;
use crate::lifecycle::{KeyState, Policy, Role};
use crate::purpose::Purpose;

/// The step of the old keys that is accepted first, with its key.
pub(super) fn first_old_step<'f>(facts: &'f Facts<'_>) -> Option<(&'f KeyFacts, NextStep)> {
    let steps = steps(facts);
    // A step that can be taken comes before a wait; of two with one moment, the older key. Rows that no
    // key opens come before a key that nothing needs.
    let is_wait = |step: &NextStep| matches!(step, NextStep::Keep { .. });
    steps.min_by_key(|(key, step)| (is_wait(step), step.from(), !key.is_rescue()))
}

/// The first old key whose retirement is accepted now. If it has expired, its retirement records its end,
/// and leaves its secret. Of a purpose that does not expire by time there is none: when such a key is
/// retired, an operator decides.
pub(super) fn first_to_retire(facts: &Facts<'_>) -> Option<Kid> {
    let is_accepted = |(key, step): &(&KeyFacts, NextStep)| match step {
        NextStep::Retire { from, .. } => from.is_none(),
        NextStep::Destroy { from, .. } => from.is_none() && key.state == KeyState::Expired,
        _ => false,
    };
    let is_retirable = |key: &KeyFacts| is_retirable(key.state, key.is_retired, facts.is_file);
    let mut steps = steps(facts).filter(|(key, _)| is_retirable(key));
    let first = steps.find(is_accepted).filter(|_| facts.purpose.has_expiry_by_time());
    first.map(|(key, _)| key.kid)
}

/// The steps of the old keys, each with its key.
fn steps<'f>(facts: &'f Facts<'_>) -> impl Iterator<Item = (&'f KeyFacts, NextStep)> {
    let is_kept =
        |key: &KeyFacts| key.is_apart || (key.is_fallback() && facts.purpose == Purpose::Audit);
    let keys = facts.keys.iter().filter(move |key| !is_kept(key));
    keys.filter_map(|key| Some((key, step_of(key, facts)?)))
}

fn step_of(key: &KeyFacts, facts: &Facts<'_>) -> Option<NextStep> {
    if facts.is_file {
        return step_in_file(key, facts);
    }
    if key.is_restaged {
        return Some(step_of_restaged(key, facts));
    }
    let (kid, policy) = (key.kid, facts.policy);
    let verdict = key.expected_verdict();
    let old = OldKey {
        state: key.state,
        is_retired: key.is_retired,
        verifies_until: key.verifies_until,
        verdict: verdict.as_ref(),
        rewrap_from: key.rewrap_from,
    };
    Some(match old.next_step(facts.purpose, policy, facts.now)? {
        OldKeyStep::Retire { from, because } => NextStep::Retire { kid, from, because },
        OldKeyStep::Destroy { from, because } => {
            let verifies_until =
                key.verifies_until.filter(|_| matches!(key.state, KeyState::Live(_)));
            NextStep::Destroy { kid, from, because, verifies_until }
        }
        OldKeyStep::Rewrap { from, obstacle } if key.state == KeyState::Revoked => {
            // Deliberately at once, although the first one may not count for the destruction.
            let from = from.filter(|_| is_after_the_revocation(&obstacle, policy));
            NextStep::Rewrap { kid, scope: RewrapScope::Revoked, from, obstacle }
        }
        OldKeyStep::Rewrap { from, obstacle } => {
            NextStep::Rewrap { kid, scope: RewrapScope::Old, from, obstacle }
        }
        OldKeyStep::Restage { obstacle } => NextStep::Restage { kid, obstacle },
        OldKeyStep::Wait { obstacle } => match contradiction(verdict.as_ref()) {
            None if is_unobserved(&obstacle) => force_step(key, facts, obstacle),
            contradiction => {
                let obstacle = contradiction.cloned().unwrap_or(obstacle);
                NextStep::Keep { kid, gone_at: gone_at(&obstacle, policy), obstacle }
            }
        },
    })
}

/// The obstacle that shows a use of the key or an instance that holds others, so that force would do harm.
fn contradiction(verdict: Option<&Verdict>) -> Option<&Obstacle> {
    let Some(Verdict::Blocked(obstacles)) = verdict else { return None };
    obstacles.iter().find(|obstacle| {
        matches!(
            obstacle,
            Obstacle::UsedAsFallback { .. }
                | Obstacle::KeySetMismatch { .. }
                | Obstacle::UnreadableReport { .. }
        )
    })
}

/// Returns whether nothing that is seen of the key shows that it is unused, and no time changes that.
fn is_unobserved(obstacle: &Obstacle) -> bool {
    matches!(obstacle, Obstacle::NoInstance | Obstacle::TooLittleTraffic { from: None, .. })
}

/// The moment at which the instance of an obstacle counts as gone, if it reports no more.
fn gone_at(obstacle: &Obstacle, policy: &Policy) -> Option<SystemTime> {
    match obstacle {
        Obstacle::KeySetMismatch { reported_at, .. } => end_of(*reported_at, policy),
        _ => None,
    }
}

/// Returns whether the rewrap that started too early started after the key was revoked.
fn is_after_the_revocation(obstacle: &Obstacle, policy: &Policy) -> bool {
    let Obstacle::RewrapTooEarly { started_at, not_before } = obstacle else { return false };
    let counts_from = started_at.checked_add(policy.window());
    counts_from.is_none_or(|from| from >= *not_before)
}

/// The step of a key that was restaged to read what is under it: a rewrap, then its withdrawal. It is
/// not to sign.
fn step_of_restaged(key: &KeyFacts, facts: &Facts<'_>) -> NextStep {
    let kid = key.kid;
    let obstacle = key.after_withdrawal.iter().find(|obstacle| is_of_rewrap(obstacle));
    match obstacle.filter(|_| facts.purpose.needs_rewrap()) {
        // Without its scope, what is under a staged key stays as it is.
        Some(obstacle) => NextStep::Rewrap {
            kid,
            scope: RewrapScope::All,
            from: key.rewrap_from.filter(|from| facts.now < *from),
            obstacle: obstacle.clone(),
        },
        None => NextStep::Withdraw { kid },
    }
}

/// The step of an old key of which nothing is seen: by force, once its time is over.
fn force_step(key: &KeyFacts, facts: &Facts<'_>, obstacle: Obstacle) -> NextStep {
    let (ground, from) = if facts.purpose.needs_rewrap() {
        let finished = facts.fleet.rewrapped_at;
        let from =
            finished.and_then(|finished| finished.checked_add(facts.policy.observation_window));
        (Ground::Rewrapped, from)
    } else {
        (Ground::OverlapOver, overlap_end(key, facts.policy))
    };
    let removal = match key.state {
        KeyState::Live(_) if !key.is_retired => Removal::Retire,
        _ => Removal::Destroy,
    };
    // A live key is not destroyed.
    let end = key.verifies_until.filter(|_| removal == Removal::Destroy);
    let from = from.max(end).filter(|from| facts.now < *from);
    NextStep::Force { kid: key.kid, removal, ground, from, obstacle }
}

/// The end of the overlap; of a key of unknown past, counted from when it was first seen.
fn overlap_end(key: &KeyFacts, policy: &Policy) -> Option<SystemTime> {
    key.overlap_end.or_else(|| key.added_at.checked_add(policy.overlap()))
}

/// The step of an old key in a `.env` file: its readers report nothing and end no key, so that a
/// retirement takes the key out of the file, when its time is over.
fn step_in_file(key: &KeyFacts, facts: &Facts<'_>) -> Option<NextStep> {
    let ahead = |moment: Option<SystemTime>| moment.filter(|moment| facts.now < *moment);
    let (from, forced) = match key.state {
        KeyState::Expired => (None, None),
        KeyState::Live(Role::Fallback) if key.verifies_until.is_some() => {
            (ahead(key.verifies_until), None)
        }
        KeyState::Live(Role::Fallback) if facts.purpose.needs_rewrap() => {
            (ahead(key.rewrap_from), Some(Ground::Rewrapped))
        }
        KeyState::Live(Role::Fallback) => {
            (ahead(overlap_end(key, facts.policy)), Some(Ground::OverlapOver))
        }
        _ => return None,
    };
    Some(NextStep::TakeOutOfFile { kid: key.kid, from, forced })
}
