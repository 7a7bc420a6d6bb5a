//! "May the old key go now?", answered with its evidence.

use std::time::SystemTime;

use super::key_set::KeyState;
use super::policy::Policy;
use super::report::is_ahead;
use super::timeline::{Life, Terms, Timeline, superseded_at};
use crate::error::Error;
use crate::key::Signs;
use crate::kid::Kid;
use crate::purpose::Purpose;
use crate::verdict::{Obstacle, Verdict};
use crate::verified::Role;

/// Result of a rewrap that opened every row: the report that an encryption key may go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// When it began.
    pub started_at: SystemTime,
    /// When it had seen the last row.
    pub finished_at: SystemTime,
    /// The rows that did not open.
    pub unreadable: u64,
    /// The tables in which nothing is sealed, although something should be: such a rewrap may have
    /// gone over the wrong table, and is no evidence.
    pub nothing_sealed: u64,
    /// How many rows each key is needed for, after it.
    pub rows: Vec<(Kid, u64)>,
}

/// What was seen of a key and its ring within the observation window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Since when there has been somebody to see it.
    pub(crate) since: Option<SystemTime>,
    /// When the key was last used as a fallback.
    pub(crate) last_as_fallback: Option<SystemTime>,
    /// What verified under a primary.
    pub(crate) under_primary: u64,
    /// What instances say that speaks against it.
    pub(crate) objections: Vec<Obstacle>,
}

/// The verdict on the key at `index` of `lives`.
pub(crate) fn verdict(
    lives: &[Life],
    index: usize,
    timeline: &Timeline,
    terms: &Terms,
    seen: Seen,
    sweep: Option<&Sweep>,
    now: SystemTime,
) -> Verdict {
    let life = &lives[index];
    match timeline.state(index, life, now) {
        KeyState::Active(Role::Primary) => return Verdict::Blocked(vec![Obstacle::IsPrimary]),
        KeyState::Active(Role::Staged) => return Verdict::Blocked(vec![Obstacle::IsStaged]),
        KeyState::Revoked if is_dead_when_revoked(terms.purpose) => return Verdict::Safe,
        _ if life.destroyed_at.is_some() => return Verdict::Safe,
        _ => {}
    }
    let policy = &terms.policy;
    let mut obstacles = seen.objections;
    // What is not known to have been superseded counts from when the ring knew it.
    let began = superseded_at(lives, index).unwrap_or(match life.signs {
        Signs::Never | Signs::Unscheduled => life.added_at,
        Signs::From(_) => now,
    });
    if terms.purpose.needs_sweep() {
        let sweep = sweep.filter(|own| !is_ahead(own.finished_at, policy, now));
        obstacles.extend(rows(life.kid, began, terms, sweep));
    }
    let until = due(began, seen.since.unwrap_or(now), policy);
    // What was signed under a longer policy.
    let until = until.map(|until| life.kept_until.map_or(until, |kept| until.max(kept)));
    if until.is_none_or(|until| now < until) {
        let until = until.unwrap_or(now);
        if obstacles.is_empty() {
            return Verdict::Wait { until };
        }
        obstacles.push(Obstacle::TooEarly { until });
        return Verdict::Blocked(obstacles);
    }
    // Evidence is asked for once the time has passed: until then a use is what the overlap
    // is for.
    let window = now.checked_sub(policy.observation);
    if let Some(last) = seen.last_as_fallback
        && window.is_none_or(|from| last >= from)
    {
        obstacles.push(Obstacle::UsedAsFallback { last });
    }
    // Never safe on an empty denominator, whatever the policy says is enough.
    let enough = policy.enough_traffic.max(1);
    if seen.under_primary < enough {
        obstacles.push(Obstacle::TooLittleTraffic { seen: seen.under_primary, enough });
    }
    match obstacles.is_empty() {
        true => Verdict::Safe,
        false => Verdict::Blocked(obstacles),
    }
}

/// Whether nothing that is valid can need a key that is revoked: data under it is still to be
/// rescued, and what it vouched for in an audit is still to be looked at.
fn is_dead_when_revoked(purpose: Purpose) -> bool {
    !matches!(purpose, Purpose::Envelope | Purpose::Audit)
}

impl Verdict {
    /// Until when the key has to verify yet; that it may not go at all is the error.
    pub(crate) fn until(self, kid: &Kid) -> Result<Option<SystemTime>, Error> {
        match self {
            Self::Safe => Ok(None),
            Self::Wait { until } => Ok(Some(until)),
            Self::Blocked(obstacles) => Err(Error::Blocked { kid: *kid, obstacles }),
        }
    }
}

/// When what it signed is dead, and silence has been watched for long enough; `None` if the
/// clock cannot show that.
fn due(began: SystemTime, watched: SystemTime, policy: &Policy) -> Option<SystemTime> {
    let dead = began.checked_add(policy.overlap())?;
    Some(dead.max(watched.checked_add(policy.observation)?))
}

/// What the sweep says against it.
fn rows(kid: Kid, began: SystemTime, terms: &Terms, sweep: Option<&Sweep>) -> Vec<Obstacle> {
    let Some(sweep) = sweep else {
        return vec![Obstacle::NotSwept];
    };
    let mut obstacles = Vec::new();
    // Until then another instance may have sealed with it behind the sweep's back.
    if let Some(not_before) = began.checked_add(terms.window(began))
        && sweep.started_at < not_before
    {
        obstacles.push(Obstacle::SweptTooEarly { started_at: sweep.started_at, not_before });
    }
    let rows = sweep.rows.iter().filter(|(own, _)| *own == kid).map(|(_, rows)| *rows);
    let rows = rows.fold(0, u64::saturating_add);
    if rows > 0 {
        obstacles.push(Obstacle::RowsLeft { rows });
    }
    if sweep.unreadable > 0 {
        obstacles.push(Obstacle::RowsUnreadable { rows: sweep.unreadable });
    }
    if sweep.nothing_sealed > 0 {
        obstacles.push(Obstacle::NothingSealed { tables: sweep.nothing_sealed });
    }
    obstacles
}
