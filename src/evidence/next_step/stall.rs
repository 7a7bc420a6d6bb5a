//! The reasons for which a rotation has stopped midway.

use std::time::{Duration, SystemTime};

use super::facts::{Facts, KeyFacts};
use super::old_keys::first_old_step;
use super::step::NextStep;
use crate::error::Obstacle;
use crate::evidence::Verdict;
use crate::evidence::old_key::needs_key;
use crate::kid::Kid;
use crate::lifecycle::KeyState;

/// The shortest time for which a step may be left before it counts as stalled.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The reason for which a rotation has stopped midway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stall {
    /// The last change lies ahead of the clock.
    ClockBehind,
    /// A staged key signs soon, and an instance does not hold it.
    NotDeployed { kid: Kid, obstacle: Obstacle },
    /// A key is staged, and was not promoted.
    NotPromoted { kid: Kid },
    /// A key was superseded long ago, and cannot be retired.
    NotRetirable { kid: Kid, verdict: Verdict },
    /// A key has expired, and is still in its file.
    LeftInFile { kid: Kid },
    /// A key has expired, and rows may need it.
    NeededByRows { kid: Kid, step: NextStep },
}

/// Returns whether the rotation has stopped midway.
pub(super) fn is_stalled(facts: &Facts<'_>) -> bool {
    !stalls(facts).is_empty()
}

/// The reasons for which the rotation has stopped midway.
pub(crate) fn stalls(facts: &Facts<'_>) -> Vec<Stall> {
    if facts.is_clock_behind() {
        return vec![Stall::ClockBehind];
    }
    if facts.staged().is_some() {
        return stall_of_staged(facts).into_iter().collect();
    }
    let all = [stall_of_fallback(facts), stall_in_file(facts), stall_of_expired(facts)];
    all.into_iter().flatten().collect()
}

/// Returns whether a rotation is under way.
pub(crate) fn is_underway(facts: &Facts<'_>) -> bool {
    let old = first_old_step(facts);
    let is_left = |key: &KeyFacts| facts.is_file && key.state == KeyState::Expired;
    facts.staged().is_some()
        || facts.fallback().is_some()
        || facts.keys.iter().any(KeyFacts::is_rescue)
        || old.as_ref().is_some_and(|(key, _)| is_left(key))
        || (old.is_none() && facts.fleet.objection.is_some())
}

fn is_late(facts: &Facts<'_>, since: SystemTime, by: Duration) -> bool {
    facts.now.duration_since(since).is_ok_and(|age| age > by.max(PATIENCE))
}

fn stall_of_staged(facts: &Facts<'_>) -> Option<Stall> {
    let staged = facts.staged()?;
    let (kid, policy) = (staged.kid, facts.policy);
    let Some(at) = staged.signs_from else {
        let is_left = is_late(facts, staged.added_at, policy.rollout_window.saturating_mul(2));
        return is_left.then_some(Stall::NotPromoted { kid });
    };
    let obstacle = facts.fleet.objection.clone()?;
    let is_near = at.duration_since(facts.now).is_ok_and(|left| left < policy.window());
    is_near.then_some(Stall::NotDeployed { kid, obstacle })
}

fn stall_of_fallback(facts: &Facts<'_>) -> Option<Stall> {
    // A key that has an end waits for no step.
    let fallback = facts.fallback().filter(|key| key.verifies_until.is_none())?;
    let verdict =
        fallback.verdict.clone().filter(|verdict| matches!(verdict, Verdict::Blocked(_)))?;
    let since = facts.signing_since.unwrap_or(fallback.added_at);
    let is_left = is_late(facts, since, facts.policy.overlap().saturating_mul(2));
    is_left.then_some(Stall::NotRetirable { kid: fallback.kid, verdict })
}

/// A service that reads the file accepts an expired key for as long as it is there.
fn stall_in_file(facts: &Facts<'_>) -> Option<Stall> {
    let (key, _) = first_old_step(facts).filter(|_| facts.is_file)?;
    let window = facts.policy.rollout_window.saturating_mul(2);
    let is_left = key.state == KeyState::Expired
        && key.verifies_until.is_none_or(|ends| is_late(facts, ends, window));
    is_left.then_some(Stall::LeftInFile { kid: key.kid })
}

/// Rows under an expired key cannot be opened until it is restaged.
fn stall_of_expired(facts: &Facts<'_>) -> Option<Stall> {
    let (key, step) = first_old_step(facts).filter(|_| !facts.is_file)?;
    let Some(Verdict::Blocked(obstacles)) = &key.verdict else { return None };
    let is_needed = key.state == KeyState::Expired && obstacles.iter().any(needs_key);
    is_needed.then_some(Stall::NeededByRows { kid: key.kid, step })
}
