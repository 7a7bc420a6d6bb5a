//! From the times of keys to their roles, for every moment at once.
//!
//! A key's [`Life`] is stored; the rest is derived here, for a ring in memory and for a manifest in a
//! store alike.

use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::lifecycle::life::Life;
use crate::lifecycle::terms::Terms;
use crate::lifecycle::{KeyState, Role, SigningStart};

/// Every role of every key, from a moment on.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    phases: Vec<Phase>,
    ends: Vec<Option<SystemTime>>,
    as_of: SystemTime,
}

/// A span of time in which no role changes.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    pub(crate) from: SystemTime,
    /// The keys that verify, by their place in the set. The primary is the first: without a
    /// primary, no key verifies.
    pub(crate) verifying: Vec<(usize, Role)>,
    /// The live keys of a phase without a primary.
    idle: Vec<(usize, Role)>,
}

/// Nothing verifies.
pub(crate) static NOTHING: Phase =
    Phase { from: SystemTime::UNIX_EPOCH, verifying: Vec::new(), idle: Vec::new() };

impl Timeline {
    /// Validates `lives` for `as_of` and for every moment after it.
    pub(crate) fn new(
        lives: &[Life],
        as_of: SystemTime,
        terms: &Terms,
        ring: &str,
    ) -> Result<Self, Error> {
        let timeline = Self::new_unchecked(lives, as_of, terms);
        timeline.check(terms, ring)?;
        Ok(timeline)
    }

    /// The same, for a ring that may be left without a primary, and serves nothing then: a
    /// revocation is never refused.
    pub(crate) fn new_unchecked(lives: &[Life], as_of: SystemTime, terms: &Terms) -> Self {
        let ends: Vec<_> = (0..lives.len()).map(|index| end(lives, index, terms)).collect();

        let mut moments: Vec<_> = lives
            .iter()
            .filter(|life| life.is_alive())
            .filter_map(|life| life.start().map(|(from, _)| from))
            .chain(ends.iter().copied().flatten())
            // What lies behind is not kept: where no transition lies ahead, no reader asks the
            // clock.
            .filter(|moment| *moment > as_of)
            .chain([as_of])
            .collect();
        moments.sort_unstable();
        moments.dedup();
        let phases = moments.into_iter().map(|from| Phase::new(from, lives, &ends)).collect();
        Self { phases, ends, as_of }
    }

    /// Whether there is a primary at every moment, and never too many keys.
    fn check(&self, terms: &Terms, ring: &str) -> Result<(), Error> {
        let max_live_keys = terms.purpose.max_live_keys();
        for phase in &self.phases {
            if phase.verifying.is_empty() {
                return Err(Error::NoPrimary {
                    ring: ring.to_owned(),
                    remedy: if phase.from == self.as_of {
                        "promote another key first, or give the replacement in the same call"
                    } else {
                        "at a moment ahead nothing would be left that signs; promote or \
                             stage another key first"
                    }
                    .to_owned(),
                });
            }
            let count = phase.verifying.len();
            if count > max_live_keys {
                return Err(Error::TooManyKeys { ring: ring.to_owned(), count, max_live_keys });
            }
        }
        Ok(())
    }

    /// Whether both have the same roles at every moment from now on.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let roles = |timeline: &Self| {
            let later = timeline.phases.iter().skip(1).map(|phase| phase.from);
            let roles =
                timeline.phases.iter().map(|phase| (phase.verifying.clone(), phase.idle.clone()));
            (later.collect::<Vec<_>>(), roles.collect::<Vec<_>>())
        };
        roles(self) == roles(other)
    }

    pub(crate) fn as_of(&self) -> SystemTime {
        self.as_of
    }

    /// Whether the roles depend on the time.
    pub(crate) fn is_timed(&self) -> bool {
        self.phases.len() > 1
    }

    pub(crate) fn phase(&self, now: SystemTime) -> &Phase {
        let later = self.phases.iter().skip(1);
        later.take_while(|phase| phase.from <= now).last().unwrap_or(&self.phases[0])
    }

    /// The place of the key that signs at `now`; `None`, if none does.
    pub(crate) fn primary(&self, now: SystemTime) -> Option<usize> {
        self.phase(now).verifying.first().map(|(index, _)| *index)
    }

    /// When the key at `index` stops verifying, as far as that is known.
    pub(crate) fn verifies_until(&self, index: usize) -> Option<SystemTime> {
        self.ends[index]
    }

    /// The next moment after `now` at which a role changes without a step.
    pub(crate) fn next_transition(&self, now: SystemTime) -> Option<SystemTime> {
        self.phases.iter().map(|phase| phase.from).find(|from| *from > now)
    }

    /// What the key at `index`, whose life is `life`, is at `now`.
    pub(crate) fn state(&self, index: usize, life: &Life, now: SystemTime) -> KeyState {
        self.phase(now).state(index, life)
    }
}

impl Phase {
    fn new(from: SystemTime, lives: &[Life], ends: &[Option<SystemTime>]) -> Self {
        let live = live(lives, ends, from);
        match live.first() {
            Some((_, Role::Primary)) => Self { from, verifying: live, idle: Vec::new() },
            _ => Self { from, verifying: Vec::new(), idle: live },
        }
    }

    pub(crate) fn state(&self, index: usize, life: &Life) -> KeyState {
        let mut live = self.verifying.iter().chain(&self.idle);
        match live.find(|(place, _)| *place == index) {
            Some((_, role)) => KeyState::Live(*role),
            None if life.revoked.is_some() => KeyState::Revoked,
            None if life.destroyed_at.is_some() => KeyState::Destroyed,
            None => KeyState::Expired,
        }
    }

    /// The role in which the key at `index` verifies.
    pub(crate) fn role(&self, index: usize) -> Option<Role> {
        self.verifying.iter().find(|(place, _)| *place == index).map(|(_, role)| *role)
    }
}

/// When a key stops verifying: when it was superseded plus the overlap, or its `retire_at`, if
/// that is earlier.
pub(crate) fn end(lives: &[Life], index: usize, terms: &Terms) -> Option<SystemTime> {
    let by_time = terms.purpose.has_expiry_by_time();
    let superseded = if by_time { overlap_end(lives, index, terms.policy.overlap()) } else { None };
    [superseded, lives[index].retire_at].into_iter().flatten().min()
}

/// When nothing new can come from a superseded key any more, and what it signed is dead.
pub(crate) fn overlap_end(lives: &[Life], index: usize, overlap: Duration) -> Option<SystemTime> {
    // An end beyond what the clock can show is no end.
    let end = superseded_at(lives, index)?.checked_add(overlap)?;
    Some(lives[index].kept_until.map_or(end, |kept| end.max(kept)))
}

/// When another key took over, or will: as a step recorded it, or else the start of the next
/// later signer that is neither revoked nor destroyed.
pub(crate) fn superseded_at(lives: &[Life], index: usize) -> Option<SystemTime> {
    lives[index].superseded_at.or_else(|| {
        let start = lives[index].start()?;
        lives
            .iter()
            .filter(|other| other.is_alive())
            .filter_map(Life::start)
            .filter(|other| *other > start)
            .min()
            .map(|(start, _)| start)
    })
}

/// The moment at which the key at `index` was superseded or revoked: an instance that holds that step
/// does not sign with it. A key of unknown past counts from `added_at`. A key that was revoked before its
/// start counts from its revocation.
pub(crate) fn superseded_since(lives: &[Life], index: usize, now: SystemTime) -> SystemTime {
    let life = &lives[index];
    let superseded_at = superseded_at(lives, index).or(match life.signing_start {
        SigningStart::Never | SigningStart::Unscheduled => Some(life.added_at),
        SigningStart::From(_) => None,
    });
    let revoked_at = life.revoked.as_ref().map(|revocation| revocation.at);
    [superseded_at, revoked_at].into_iter().flatten().min().unwrap_or(now)
}

/// The live keys at `now`, the primary first.
fn live(lives: &[Life], ends: &[Option<SystemTime>], now: SystemTime) -> Vec<(usize, Role)> {
    let mut active: Vec<_> = (0..lives.len())
        .filter(|index| lives[*index].is_alive())
        .filter(|index| ends[*index].is_none_or(|end| now < end))
        .collect();
    // Those that signed last come first; those that never signed, last.
    active.sort_by_key(|index| std::cmp::Reverse(lives[*index].past_start(now)));
    active
        .into_iter()
        .enumerate()
        .map(|(place, index)| {
            let role = match lives[index].signing_start {
                _ if place == 0 && lives[index].past_start(now).is_some() => Role::Primary,
                SigningStart::Unscheduled => Role::Staged,
                SigningStart::From(moment) if moment > now => Role::Staged,
                SigningStart::Never | SigningStart::From(_) => Role::Fallback,
            };
            (index, role)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kid::Kid;
    use crate::lifecycle::Policy;
    use crate::lifecycle::life::Revocation;
    use crate::purpose::Purpose;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(hours: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + HOUR * 10_000 + HOUR * hours
    }

    fn life(name: &str, signing_start: SigningStart) -> Life {
        Life { signing_start, ..Life::new(Kid::new(name).unwrap(), at(0)) }
    }

    fn terms() -> Terms {
        Terms::new(Purpose::Jwt, Policy::default())
    }

    #[test]
    fn roles_depend_on_the_time_only_while_a_transition_lies_ahead() {
        let lives =
            [life("one", SigningStart::From(at(0))), life("two", SigningStart::From(at(5)))];
        let end = at(5) + Policy::default().overlap();
        for (as_of, next) in [
            (at(4), Some(at(5))),
            (at(5), Some(end)),
            (end - Duration::from_nanos(1), Some(end)),
            (end, None),
            (end + HOUR, None),
        ] {
            let timeline = Timeline::new(&lives, as_of, &terms(), "ring").unwrap();
            assert_eq!(timeline.is_timed(), next.is_some(), "{as_of:?}");
            assert_eq!(timeline.next_transition(as_of), next, "{as_of:?}");
        }
    }

    #[test]
    fn a_missing_primary_is_reported_as_of_now_or_of_a_moment_ahead() {
        let mut primary = life("one", SigningStart::From(at(0)));
        primary.retire_at = Some(at(5));
        let remedy =
            |as_of| match Timeline::new(std::slice::from_ref(&primary), as_of, &terms(), "ring") {
                Err(Error::NoPrimary { remedy, .. }) => remedy,
                other => panic!("{other:?}"),
            };
        assert!(remedy(at(4)).starts_with("at a moment ahead"), "{}", remedy(at(4)));
        assert!(remedy(at(5)).starts_with("promote another key first"), "{}", remedy(at(5)));
    }

    #[test]
    fn a_key_is_superseded_by_the_next_signer_or_by_its_revocation() {
        let (never, unscheduled) = (SigningStart::Never, SigningStart::Unscheduled);
        let from = |hour| SigningStart::From(at(hour));
        // The columns are the start of the key, its revocation, and the moment from which it counts as
        // superseded. The next key signs from 10, and now is 20.
        for (signing_start, revoked, expected) in [
            (from(5), None, 10),
            (from(5), Some(8), 8),
            (from(5), Some(12), 10),
            // It was revoked before its start, which is past or lies ahead.
            (from(5), Some(3), 3),
            (from(30), Some(3), 3),
            // It is the latest signer.
            (from(15), None, 20),
            (from(15), Some(17), 17),
            // It was added at 0.
            (never, None, 0),
            (unscheduled, None, 0),
            (never, Some(3), 0),
        ] {
            let mut key = life("one", signing_start);
            key.revoked = revoked.map(|hour| Revocation { at: at(hour), reason: String::new() });
            let lives = [key, life("two", from(10))];
            let since = superseded_since(&lives, 0, at(20));
            assert_eq!(since, at(expected), "{signing_start:?}, {revoked:?}");
        }
    }
}
