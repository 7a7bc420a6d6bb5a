//! The step that an old key needs next, and the moment from which it is accepted: the one place that
//! decides this, for the command line, reminders, the agent and the status page.

use std::time::{Duration, SystemTime};

use crate::error::Obstacle;
use crate::evidence::Verdict;
use crate::evidence::reports::end_of;
use crate::lifecycle::{KeyState, Policy, Role};
use crate::purpose::Purpose;

/// A key that signs no more, and whose secret is still there.
#[derive(Debug, Clone)]
pub(crate) struct OldKey<'a> {
    pub(crate) state: KeyState,
    /// Whether its end was set by a retirement.
    pub(crate) is_retired: bool,
    pub(crate) verifies_until: Option<SystemTime>,
    pub(crate) verdict: Option<&'a Verdict>,
    /// The start of the first rewrap that counts for it.
    pub(crate) rewrap_from: Option<SystemTime>,
}

/// The next step of an old key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OldKeyStep {
    /// Retire it, from that moment on.
    Retire {
        from: Option<SystemTime>,
        /// Why not before, if that is not the time alone.
        because: Option<Obstacle>,
    },
    /// Destroy its secret, from that moment on.
    Destroy { from: Option<SystemTime>, because: Option<Obstacle> },
    /// Rewrap what it sealed, from that moment on.
    Rewrap { from: Option<SystemTime>, obstacle: Obstacle },
    /// Restage it: it has expired, and rows under it cannot be opened.
    Restage { obstacle: Obstacle },
    /// Wait for something of which no moment is known.
    Wait { obstacle: Obstacle },
}

impl OldKey<'_> {
    /// Returns the next step of the key; `None` if it needs no step, as a key that signs.
    pub(crate) fn next_step(
        &self,
        purpose: Purpose,
        policy: &Policy,
        now: SystemTime,
    ) -> Option<OldKeyStep> {
        let ahead = |moment: Option<SystemTime>| moment.filter(|moment| now < *moment);
        let has_expiry_by_time = purpose.has_expiry_by_time();
        let retire = |from, because| OldKeyStep::Retire { from: ahead(from), because };
        let destroy = |from, because| OldKeyStep::Destroy { from: ahead(from), because };
        Some(match (self.state, self.verdict) {
            // It expires by time, whatever is known of its use: a step then only records that.
            (KeyState::Live(Role::Fallback), _) if self.is_retired && has_expiry_by_time => {
                destroy(self.verifies_until, None)
            }
            (KeyState::Live(Role::Fallback), verdict)
                if has_expiry_by_time && self.verifies_until.is_some() =>
            {
                let because = verdict.and_then(first_obstacle).cloned();
                retire(self.verifies_until, because)
            }
            (KeyState::Live(Role::Fallback), verdict) if self.is_retired => {
                self.gate_on_verdict(verdict, policy, now, &|from, because| {
                    destroy(from.max(self.verifies_until), because)
                })
            }
            (KeyState::Live(Role::Fallback), verdict) => {
                self.gate_on_verdict(verdict, policy, now, &retire)
            }
            (KeyState::Expired, _) if has_expiry_by_time => destroy(None, None),
            (KeyState::Expired, verdict) => {
                match self.gate_on_verdict(verdict, policy, now, &destroy) {
                    // A rewrap opens no row under it.
                    OldKeyStep::Rewrap { obstacle, .. } if needs_key(&obstacle) => {
                        OldKeyStep::Restage { obstacle }
                    }
                    step => step,
                }
            }
            // What the compromised key sealed is rescued first.
            (KeyState::Revoked, verdict) if purpose.needs_rewrap() => {
                self.gate_on_verdict(verdict, policy, now, &destroy)
            }
            _ => return None,
        })
    }

    /// Returns the step that `make` makes, once the verdict allows it.
    fn gate_on_verdict(
        &self,
        verdict: Option<&Verdict>,
        policy: &Policy,
        now: SystemTime,
        make: &dyn Fn(Option<SystemTime>, Option<Obstacle>) -> OldKeyStep,
    ) -> OldKeyStep {
        let obstacles = match verdict {
            None | Some(Verdict::Safe) => return make(None, None),
            Some(Verdict::Wait { until }) => return make(Some(*until), None),
            Some(Verdict::Blocked(obstacles)) => obstacles,
        };
        let rewrap = obstacles.iter().find(|obstacle| is_of_rewrap(obstacle));
        // An instance reloads within seconds: no date is known, unless something else has one.
        let is_of_reload =
            |obstacle: &&Obstacle| matches!(obstacle, Obstacle::KeySetMismatch { .. });
        let is_endless = |obstacle: &&Obstacle| over_at(obstacle, policy).is_none();
        let endless = if obstacles.iter().all(|obstacle| is_of_reload(&obstacle)) {
            obstacles.first()
        } else {
            obstacles.iter().find(is_endless)
        };
        match (rewrap, endless) {
            (Some(obstacle), _) => OldKeyStep::Rewrap {
                from: self.rewrap_from.max(rewrap_from(obstacles)).filter(|from| now < *from),
                obstacle: obstacle.clone(),
            },
            (None, Some(obstacle)) => OldKeyStep::Wait { obstacle: obstacle.clone() },
            (None, None) => {
                let from = obstacles.iter().filter_map(|obstacle| over_at(obstacle, policy)).max();
                make(from, obstacles.first().cloned())
            }
        }
    }
}

/// Returns whether a retirement of the key may be asked for: the key is a fallback, or it has expired, and
/// its end is not recorded. In a file, an expired key is to be taken out, recorded or not.
pub(crate) fn is_retirable(state: KeyState, is_retired: bool, is_file: bool) -> bool {
    match state {
        KeyState::Live(Role::Fallback) => true,
        KeyState::Expired => is_file || !is_retired,
        _ => false,
    }
}

/// The obstacle to name: not the time alone, which the moment says.
fn first_obstacle(verdict: &Verdict) -> Option<&Obstacle> {
    match verdict {
        Verdict::Blocked(all) => {
            all.iter().find(|obstacle| !matches!(obstacle, Obstacle::TooEarly { .. }))
        }
        _ => None,
    }
}

/// Whether only a rewrap removes the obstacle.
pub(crate) fn is_of_rewrap(obstacle: &Obstacle) -> bool {
    matches!(
        obstacle,
        Obstacle::NotRewrapped
            | Obstacle::RewrapTooEarly { .. }
            | Obstacle::UsedAfterRewrap { .. }
            | Obstacle::RowsLeft { .. }
            | Obstacle::RowsUnreadable { .. }
            | Obstacle::NothingSealed { .. }
    )
}

/// Returns whether the obstacle is rows that may be under the key.
pub(crate) fn needs_key(obstacle: &Obstacle) -> bool {
    matches!(
        obstacle,
        Obstacle::RowsLeft { .. }
            | Obstacle::RowsUnreadable { .. }
            | Obstacle::UsedAfterRewrap { .. }
    )
}

/// The start of the first rewrap that counts, by the obstacles that name one.
fn rewrap_from(obstacles: &[Obstacle]) -> Option<SystemTime> {
    let moments = obstacles.iter().filter_map(|obstacle| match obstacle {
        Obstacle::RewrapTooEarly { not_before, .. }
        | Obstacle::UsedAfterRewrap { not_before, .. } => Some(*not_before),
        _ => None,
    });
    moments.max()
}

/// When the obstacle is over, if time alone removes it and nothing new happens.
fn over_at(obstacle: &Obstacle, policy: &Policy) -> Option<SystemTime> {
    match obstacle {
        Obstacle::TooEarly { until } => Some(*until),
        // The last use is known to the second.
        Obstacle::UsedAsFallback { last } => {
            last.checked_add(policy.observation_window)?.checked_add(Duration::from_secs(1))
        }
        Obstacle::TooLittleTraffic { from, .. } => *from,
        // An instance that reports no more counts as gone then.
        Obstacle::KeySetMismatch { reported_at, .. } => end_of(*reported_at, policy),
        _ => None,
    }
}
