//! The verdict on an old key, from its evidence.

use std::time::{Duration, SystemTime};

use crate::error::Obstacle;
use crate::evidence::key_evidence::KeyEvidence;
use crate::evidence::silence::Silence;
use crate::evidence::{RewrapRecord, Verdict};
use crate::kid::Kid;
use crate::lifecycle::life::Life;
use crate::lifecycle::policy::is_ahead;
use crate::lifecycle::terms::Terms;
use crate::lifecycle::timeline::{Timeline, superseded_since};
use crate::lifecycle::{KeyState, Policy, Role};
use crate::purpose::Purpose;

/// Decides the verdict on the key at `index` of `lives`. The first of `rewraps` is the latest.
pub(crate) fn decide_verdict(
    lives: &[Life],
    index: usize,
    timeline: &Timeline,
    terms: &Terms,
    evidence: KeyEvidence,
    rewraps: &[&RewrapRecord],
    now: SystemTime,
) -> Verdict {
    let life = &lives[index];
    match timeline.state(index, life, now) {
        KeyState::Live(Role::Primary) => return Verdict::Blocked(vec![Obstacle::IsPrimary]),
        KeyState::Live(Role::Staged) => return Verdict::Blocked(vec![Obstacle::IsStaged]),
        KeyState::Revoked if is_dead_when_revoked(terms.purpose) => return Verdict::Safe,
        _ if life.destroyed_at.is_some() => return Verdict::Safe,
        _ => {}
    }
    let policy = &terms.policy;
    if terms.purpose.needs_rewrap() {
        let counts_from = rewrap_counts_from(lives, index, policy, now);
        return decide_for_encryption_key(life.kid, counts_from, policy, evidence, rewraps, now);
    }
    let began = superseded_since(lives, index, now);
    let mut obstacles = evidence.objections;
    let until = due(began, evidence.since.unwrap_or(now), policy);
    // What was signed under a longer policy.
    let until = until.map(|until| life.kept_until.map_or(until, |kept| until.max(kept)));
    if until.is_none_or(|until| now < until) {
        return wait_or_block(obstacles, until.unwrap_or(now));
    }
    // Evidence is asked for once the time has passed: until then a use is what the overlap
    // is for.
    obstacles.extend(recent_use(evidence.last_as_fallback, policy, now));
    obstacles.extend(too_little_traffic(evidence.under_primary, &evidence.silence, policy, now));
    allow_or_block(obstacles)
}

/// Decides the verdict on an encryption key. A complete rewrap replaces the overlap and `min_observed_verifications`;
/// from its end on, the key must be unused for one observation window. A use after its end proves that
/// it was not complete: then another one must start after that use.
///
/// A use while the first rewrap runs does not count: the rewrap itself uses the key, and services read
/// rows that it has not reached yet.
fn decide_for_encryption_key(
    kid: Kid,
    counts_from: Option<SystemTime>,
    policy: &Policy,
    evidence: KeyEvidence,
    rewraps: &[&RewrapRecord],
    now: SystemTime,
) -> Verdict {
    let mut sane =
        rewraps.iter().copied().filter(|rewrap| !is_ahead(rewrap.finished_at, policy, now));
    let rewrap = sane.next();
    let mut obstacles = evidence.objections;
    let against = rewrap_obstacles(kid, counts_from, rewrap);
    let Some(rewrap) = rewrap.filter(|_| against.is_empty()) else {
        // No time replaces the rewrap.
        obstacles.extend(against);
        return Verdict::Blocked(obstacles);
    };
    let (finished, last) = (rewrap.finished_at, evidence.last_as_fallback);
    let is_complete =
        |rewrap: &&RewrapRecord| rewrap_obstacles(kid, counts_from, Some(rewrap)).is_empty();
    // The first complete one: a use after it is of a row that it did not find, and a later one counts if
    // it started after that use.
    let first = sane.rfind(is_complete).map_or(finished, |rewrap| rewrap.finished_at);
    let is_missed = |last: &SystemTime| {
        first < *last && rewrap.started_at < last.checked_add(SECOND).unwrap_or(*last)
    };
    if let Some(last) = last.filter(|last| finished < *last || is_missed(last)) {
        let not_before = last.checked_add(SECOND).unwrap_or(last);
        obstacles.push(Obstacle::UsedAfterRewrap { last, not_before });
        return Verdict::Blocked(obstacles);
    }
    // Uses are known to the second: the rewrap itself may have used the key in the second in which
    // it finished, and a reader after it.
    let unused = last.and_then(|last| last.checked_add(SECOND)).unwrap_or(finished).max(finished);
    let until = unused.max(evidence.since.unwrap_or(now)).checked_add(policy.observation_window);
    if until.is_none_or(|until| now < until) {
        wait_or_block(obstacles, until.unwrap_or(now))
    } else {
        allow_or_block(obstacles)
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn wait_or_block(mut obstacles: Vec<Obstacle>, until: SystemTime) -> Verdict {
    if obstacles.is_empty() {
        return Verdict::Wait { until };
    }
    obstacles.push(Obstacle::TooEarly { until });
    Verdict::Blocked(obstacles)
}

fn allow_or_block(obstacles: Vec<Obstacle>) -> Verdict {
    if obstacles.is_empty() { Verdict::Safe } else { Verdict::Blocked(obstacles) }
}

/// Returns the obstacle that a use at `last` is, if that is within the observation window.
fn recent_use(last: Option<SystemTime>, policy: &Policy, now: SystemTime) -> Option<Obstacle> {
    let window = now.checked_sub(policy.observation_window);
    let last = last.filter(|last| window.is_none_or(|from| *last >= from))?;
    Some(Obstacle::UsedAsFallback { last })
}

/// The objection that so little was `seen` under the primary within the observation window that the
/// silence of the key means nothing, unless that silence is long.
fn too_little_traffic(
    seen: u64,
    silence: &Silence,
    policy: &Policy,
    now: SystemTime,
) -> Option<Obstacle> {
    // Never safe on an empty denominator, whatever the policy says is enough.
    let enough = policy.min_observed_verifications.max(1);
    let is_enough = seen >= enough || silence.is_long(now, policy.observation_window);
    let from = silence.long_from(now, policy.observation_window);
    (!is_enough).then_some(Obstacle::TooLittleTraffic { seen, enough, from })
}

/// The obstacle [`Obstacle::TooLittleTraffic`] that is expected once the time is over, by what was
/// `seen` so far: with the verifications of a whole window, at the rate until now.
pub(crate) fn expected_traffic(
    evidence: &KeyEvidence,
    policy: &Policy,
    now: SystemTime,
) -> Option<Obstacle> {
    let window = policy.observation_window;
    let watched = now.duration_since(evidence.counted_since?).ok()?.min(window);
    // The first piece of a window says something, the first second does not.
    let is_early = watched < window / 24 || (evidence.under_primary == 0 && watched < window);
    if is_early || watched.is_zero() {
        return None;
    }
    let expected =
        u128::from(evidence.under_primary).checked_mul(window.as_nanos())? / watched.as_nanos();
    let expected = u64::try_from(expected).ok()?;
    too_little_traffic(expected, &evidence.silence, policy, now)
}

/// The start of the first rewrap that counts for the key at `index`: until then an instance may
/// seal with it that has not reloaded.
pub(crate) fn rewrap_counts_from(
    lives: &[Life],
    index: usize,
    policy: &Policy,
    now: SystemTime,
) -> Option<SystemTime> {
    let held = superseded_since(lives, index, now).checked_add(policy.window())?;
    // An earlier policy had a longer rollout window.
    Some(lives[index].kept_until.map_or(held, |kept| held.max(kept)))
}

/// Whether nothing that is valid can need a key that is revoked: data under it is still to be
/// rescued, and what it vouched for in an audit is still to be looked at.
fn is_dead_when_revoked(purpose: Purpose) -> bool {
    !matches!(purpose, Purpose::Envelope | Purpose::Audit)
}

/// When what it signed is dead, and silence has been watched for long enough; `None` if the
/// clock cannot show that.
fn due(began: SystemTime, watched: SystemTime, policy: &Policy) -> Option<SystemTime> {
    let dead = began.checked_add(policy.overlap())?;
    Some(dead.max(watched.checked_add(policy.observation_window)?))
}

/// The obstacles that the rewrap leaves.
fn rewrap_obstacles(
    kid: Kid,
    counts_from: Option<SystemTime>,
    rewrap: Option<&RewrapRecord>,
) -> Vec<Obstacle> {
    let Some(rewrap) = rewrap else {
        return vec![Obstacle::NotRewrapped];
    };
    let mut obstacles = Vec::new();
    // Until then another instance may have sealed with it behind the rewrap.
    if let Some(not_before) = counts_from
        && rewrap.started_at < not_before
    {
        obstacles.push(Obstacle::RewrapTooEarly { started_at: rewrap.started_at, not_before });
    }
    let rows = rewrap.rows.iter().filter(|(named, _)| *named == kid).map(|(_, rows)| *rows);
    let rows = rows.fold(0, u64::saturating_add);
    if rows > 0 {
        obstacles.push(Obstacle::RowsLeft { rows });
    }
    if rewrap.unreadable > 0 {
        obstacles.push(Obstacle::RowsUnreadable { rows: rewrap.unreadable });
    }
    if rewrap.nothing_sealed > 0 {
        obstacles.push(Obstacle::NothingSealed { tables: rewrap.nothing_sealed });
    }
    obstacles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::SigningStart;

    const NANO: Duration = Duration::from_nanos(1);
    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn began() -> SystemTime {
        SystemTime::UNIX_EPOCH + 20_000 * DAY
    }

    /// A key that was superseded at `began()`, and the primary.
    fn lives() -> Vec<Life> {
        let life = |name, sequence, start| Life {
            signing_start: SigningStart::From(start),
            sequence,
            ..Life::new(Kid::new(name).unwrap(), SystemTime::UNIX_EPOCH)
        };
        vec![life("old", 1, SystemTime::UNIX_EPOCH), life("new", 2, began())]
    }

    fn verdict(
        lives: &[Life],
        purpose: Purpose,
        evidence: KeyEvidence,
        rewraps: &[&RewrapRecord],
        now: SystemTime,
    ) -> Verdict {
        let terms = Terms::new(purpose, Policy::default());
        let timeline = Timeline::new(lives, began(), &terms, "ring").unwrap();
        decide_verdict(lives, 0, &timeline, &terms, evidence, rewraps, now)
    }

    fn rewrap(started_at: SystemTime) -> RewrapRecord {
        RewrapRecord {
            started_at,
            finished_at: started_at,
            unreadable: 0,
            nothing_sealed: 0,
            rows: Vec::new(),
        }
    }

    #[test]
    fn a_key_whose_secret_was_wiped_may_be_retired_without_evidence() {
        for purpose in [Purpose::Jwt, Purpose::Envelope, Purpose::Audit] {
            let mut lives = lives();
            let verdict = |lives: &[Life]| {
                verdict(lives, purpose, KeyEvidence::default(), &[], began() + HOUR)
            };
            assert_ne!(verdict(&lives), Verdict::Safe, "{purpose:?}");
            lives[0].destroyed_at = Some(began());
            assert_eq!(verdict(&lives), Verdict::Safe, "{purpose:?}");
        }
    }

    #[test]
    fn a_rewrap_counts_if_it_starts_once_no_instance_seals_with_the_key() {
        // The rollout window and the skew after the key was superseded.
        let held = began() + Duration::from_secs(65 * 60);
        for (kept_until, expected) in
            [(None, held), (Some(held - NANO), held), (Some(held + HOUR), held + HOUR)]
        {
            let mut lives = lives();
            lives[0].kept_until = kept_until;
            let now = began() + 2 * DAY;
            let verdict = |started_at| {
                let evidence = KeyEvidence { since: Some(began()), ..KeyEvidence::default() };
                verdict(&lives, Purpose::Envelope, evidence, &[&rewrap(started_at)], now)
            };
            assert_eq!(verdict(expected), Verdict::Safe);
            let (started_at, not_before) = (expected - NANO, expected);
            let too_early = Obstacle::RewrapTooEarly { started_at, not_before };
            assert_eq!(verdict(started_at), Verdict::Blocked(vec![too_early]));
        }
    }

    #[test]
    fn traffic_is_expected_from_the_first_hour_of_a_day_if_there_was_any() {
        let now = began() + 9 * DAY;
        let expected = |under_primary, watched| {
            let counted_since = Some(now - watched);
            let evidence = KeyEvidence { counted_since, under_primary, ..KeyEvidence::default() };
            match expected_traffic(&evidence, &Policy::default(), now) {
                Some(Obstacle::TooLittleTraffic { seen, .. }) => Some(seen),
                _ => None,
            }
        };
        assert_eq!(expected(10, HOUR - NANO), None);
        assert_eq!(expected(10, HOUR), Some(240));
        assert_eq!(expected(10, 2 * HOUR), Some(120));
        assert_eq!(expected(10, DAY), Some(10));
        // More than a window was watched, and the verifications are of the last one.
        assert_eq!(expected(10, 2 * DAY), Some(10));
        // Nothing was verified: only a whole window shows that.
        assert_eq!(expected(0, HOUR), None);
        assert_eq!(expected(0, DAY - NANO), None);
        assert_eq!(expected(0, DAY), Some(0));
        // A thousand in a day are enough.
        assert_eq!(expected(42, HOUR), None);
        assert_eq!(expected(41, HOUR), Some(984));
    }
}
