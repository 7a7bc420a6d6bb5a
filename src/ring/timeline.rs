//! From the times of keys to their roles, for every moment at once.
//!
//! What is stored of a key's time is its [`Life`]; the rest is derived here, for a ring in
//! memory and for a manifest in a store alike.

use std::time::{Duration, SystemTime};

use super::key_set::KeyState;
use super::policy::Policy;
use crate::error::Error;
use crate::key::{Revocation, Signs};
use crate::kid::Kid;
use crate::purpose::Purpose;
use crate::verified::Role;

/// What is stored of the times of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) kid: Kid,
    pub(crate) signs: Signs,
    /// Which of two keys that sign from the same moment is the later one.
    pub(crate) sequence: u64,
    pub(crate) added_at: SystemTime,
    pub(crate) retire_at: Option<SystemTime>,
    pub(crate) revoked: Option<Revocation>,
    /// When its secret was wiped.
    pub(crate) destroyed_at: Option<SystemTime>,
    /// Whether its secret is shorter than a key's that signs.
    pub(crate) is_short: bool,
}

/// The terms that a ring's keys live by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) purpose: Purpose,
    pub(crate) policy: Policy,
}

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
    pub(super) from: SystemTime,
    /// The keys that verify, by their place in the set; the primary is the first.
    pub(super) verifying: Vec<(usize, Role)>,
}

/// Nothing verifies.
pub(super) static NOTHING: Phase = Phase { from: SystemTime::UNIX_EPOCH, verifying: Vec::new() };

impl Life {
    pub(crate) fn new(kid: Kid, added_at: SystemTime) -> Self {
        Self {
            kid,
            signs: Signs::Unscheduled,
            sequence: 0,
            added_at,
            retire_at: None,
            revoked: None,
            destroyed_at: None,
            is_short: false,
        }
    }

    /// Since when it signs or will, and which of two of one moment is the later.
    pub(crate) fn start(&self) -> Option<(SystemTime, u64)> {
        match self.signs {
            Signs::From(moment) => Some((moment, self.sequence)),
            Signs::Never | Signs::Unscheduled => None,
        }
    }

    /// Since when it signs, once it does. A key from the beginning of time was added when its
    /// ring was first stored.
    pub(crate) fn signing_since(&self) -> SystemTime {
        self.start().map_or(self.added_at, |(from, _)| from.max(self.added_at))
    }

    /// Its start, if that has come and it may sign: a short fallback never does.
    pub(crate) fn begun(&self, now: SystemTime) -> Option<(SystemTime, u64)> {
        self.start().filter(|(from, _)| *from <= now && !self.is_short)
    }

    /// Whether it may ever verify again.
    pub(crate) fn is_alive(&self) -> bool {
        self.revoked.is_none() && self.destroyed_at.is_none()
    }
}

impl Timeline {
    /// Validates `lives` for `as_of` and for every moment after it.
    pub(crate) fn new(
        lives: &[Life],
        as_of: SystemTime,
        terms: &Terms,
        ring: &str,
    ) -> Result<Self, Error> {
        let ends: Vec<_> = (0..lives.len()).map(|index| end(lives, index, terms)).collect();

        let mut moments: Vec<_> = lives
            .iter()
            .filter(|life| life.is_alive())
            .filter_map(|life| life.start().map(|(from, _)| from))
            .chain(ends.iter().copied().flatten())
            // What lies behind is not kept: a clock that jumps back undoes nothing.
            .filter(|moment| *moment > as_of)
            .chain([as_of])
            .collect();
        moments.sort_unstable();
        moments.dedup();

        let mut phases: Vec<Phase> = Vec::with_capacity(moments.len());
        for from in moments {
            let verifying = verifying(lives, &ends, from);
            if verifying.first().is_none_or(|(_, role)| *role != Role::Primary) {
                return Err(Error::NoPrimary {
                    ring: ring.to_owned(),
                    mend: match from == as_of {
                        true => {
                            "promote another key first, or give the replacement in the same call"
                        }
                        false => {
                            "at a moment ahead nothing would be left that signs; promote or \
                                  stage another key first"
                        }
                    }
                    .to_owned(),
                });
            }
            let cap = terms.purpose.cap();
            if verifying.len() > cap {
                let (ring, count) = (ring.to_owned(), verifying.len());
                return Err(Error::TooManyKeys { ring, count, cap });
            }
            phases.push(Phase { from, verifying });
        }
        Ok(Self { phases, ends, as_of })
    }

    pub(crate) fn as_of(&self) -> SystemTime {
        self.as_of
    }

    /// Whether the roles depend on the time.
    pub(super) fn is_timed(&self) -> bool {
        self.phases.len() > 1
    }

    pub(super) fn phase(&self, now: SystemTime) -> &Phase {
        let later = self.phases.iter().skip(1);
        later.take_while(|phase| phase.from <= now).last().unwrap_or(&self.phases[0])
    }

    /// The place of the key that signs at `now`.
    pub(crate) fn primary(&self, now: SystemTime) -> usize {
        self.phase(now).verifying[0].0
    }

    /// When the key at `index` stops verifying, as far as that is known.
    pub(crate) fn ends_at(&self, index: usize) -> Option<SystemTime> {
        self.ends[index]
    }

    /// The next moment after `now` at which a role changes by itself.
    pub(crate) fn next_transition(&self, now: SystemTime) -> Option<SystemTime> {
        self.phases.iter().map(|phase| phase.from).find(|from| *from > now)
    }

    /// What the key at `index`, whose life is `life`, is at `now`.
    pub(crate) fn state(&self, index: usize, life: &Life, now: SystemTime) -> KeyState {
        self.phase(now).state(index, life)
    }
}

impl Phase {
    pub(super) fn state(&self, index: usize, life: &Life) -> KeyState {
        let own = self.verifying.iter().find(|(own, _)| *own == index);
        match own {
            Some((_, role)) => KeyState::Active(*role),
            None if life.revoked.is_some() => KeyState::Revoked,
            None => KeyState::Retired,
        }
    }
}

/// When a key stops verifying: the start of the next later signer that is not
/// revoked, plus the overlap; or its `retire_at`, if earlier.
pub(super) fn end(lives: &[Life], index: usize, terms: &Terms) -> Option<SystemTime> {
    let by_time = terms.purpose.ends_by_time();
    let superseded = if by_time { overlap_end(lives, index, terms.policy.overlap()) } else { None };
    [superseded, lives[index].retire_at].into_iter().flatten().min()
}

/// When nothing new can come from a superseded key any more, and what it signed is dead.
pub(super) fn overlap_end(lives: &[Life], index: usize, overlap: Duration) -> Option<SystemTime> {
    // An end beyond what the clock can show is none.
    superseded_at(lives, index)?.checked_add(overlap)
}

/// When the next later signer began, or will, of those that count.
pub(super) fn superseded_at(lives: &[Life], index: usize) -> Option<SystemTime> {
    let own = lives[index].start()?;
    lives
        .iter()
        // A ring holds nothing of those that were destroyed.
        .filter(|other| other.is_alive())
        .filter_map(Life::start)
        .filter(|other| *other > own)
        .min()
        .map(|(start, _)| start)
}

/// The keys that verify at `now`, the primary first.
fn verifying(lives: &[Life], ends: &[Option<SystemTime>], now: SystemTime) -> Vec<(usize, Role)> {
    let mut active: Vec<_> = (0..lives.len())
        .filter(|index| lives[*index].is_alive())
        .filter(|index| ends[*index].is_none_or(|end| now < end))
        .collect();
    // Those that signed last come first; those that never signed, last.
    active.sort_by_key(|index| std::cmp::Reverse(lives[*index].begun(now)));
    active
        .into_iter()
        .enumerate()
        .map(|(place, index)| {
            let role = match lives[index].signs {
                _ if place == 0 && lives[index].begun(now).is_some() => Role::Primary,
                Signs::Unscheduled => Role::Staged,
                Signs::From(moment) if moment > now => Role::Staged,
                Signs::Never | Signs::From(_) => Role::Fallback,
            };
            (index, role)
        })
        .collect()
}
