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
    /// When a later key started to sign in its place, once a step has recorded that.
    pub(crate) superseded_at: Option<SystemTime>,
    pub(crate) retire_at: Option<SystemTime>,
    /// A policy that was made shorter does not end the key before this moment.
    pub(crate) kept_until: Option<SystemTime>,
    /// The end that the key has on instances that do not hold the last steps yet.
    pub(crate) earlier_end: Option<EarlierEnd>,
    pub(crate) revoked: Option<Revocation>,
    /// When its secret was wiped.
    pub(crate) destroyed_at: Option<SystemTime>,
    /// Whether its secret is shorter than a key's that signs.
    pub(crate) is_short: bool,
    /// True if its secret is too short by the policy of the manifest, or by the rules of a ring
    /// without one, or below the floor of its purpose, and may be guessed: the same on every
    /// instance, whatever its ring allows.
    pub(crate) is_guessable: bool,
}

/// An end that a step moved. Until every instance holds that step, some still act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EarlierEnd {
    pub(crate) at: SystemTime,
    /// From this moment on every instance holds the step.
    pub(crate) until: SystemTime,
}

/// The terms that a ring's keys live by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) purpose: Purpose,
    pub(crate) policy: Policy,
    pub(crate) earlier_window: Option<EarlierWindow>,
}

/// The rollout window and the skew together, of a policy that allowed more. A step before the
/// change of the policy may take that long to reach an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EarlierWindow {
    pub(crate) length: Duration,
    pub(crate) until: SystemTime,
}

impl Terms {
    pub(crate) fn new(purpose: Purpose, policy: Policy) -> Self {
        Self { purpose, policy, earlier_window: None }
    }

    /// The longest time from a step at `now` until the last instance acts on it, by any clock:
    /// the rollout window and the skew.
    pub(crate) fn window(&self, now: SystemTime) -> Duration {
        let earlier = self.earlier_window.filter(|own| now < own.until).map(|own| own.length);
        earlier.map_or(self.policy.window(), |own| own.max(self.policy.window()))
    }

    /// The terms under `policy`, which is set at `now`.
    #[cfg(feature = "store")]
    pub(crate) fn under(&self, policy: Policy, now: SystemTime) -> Self {
        let length = self.window(now);
        let earlier = now.checked_add(length).map(|until| EarlierWindow { length, until });
        let earlier_window = earlier.filter(|_| length > policy.window());
        Self { purpose: self.purpose, policy, earlier_window }
    }
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
    /// The keys that verify, by their place in the set. The primary is the first: without a
    /// primary, no key verifies.
    pub(super) verifying: Vec<(usize, Role)>,
    /// The live keys of a phase without a primary.
    idle: Vec<(usize, Role)>,
}

/// Nothing verifies.
pub(super) static NOTHING: Phase =
    Phase { from: SystemTime::UNIX_EPOCH, verifying: Vec::new(), idle: Vec::new() };

impl Life {
    pub(crate) fn new(kid: Kid, added_at: SystemTime) -> Self {
        Self {
            kid,
            signs: Signs::Unscheduled,
            sequence: 0,
            added_at,
            superseded_at: None,
            retire_at: None,
            kept_until: None,
            earlier_end: None,
            revoked: None,
            destroyed_at: None,
            is_short: false,
            is_guessable: false,
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
    #[cfg(any(feature = "store", feature = "metrics", feature = "status"))]
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
        let own = Self::unchecked(lives, as_of, terms);
        own.check(terms, ring)?;
        Ok(own)
    }

    /// The same, for a ring that may be left without a primary, and serves nothing then: a
    /// revocation is never refused.
    pub(crate) fn unchecked(lives: &[Life], as_of: SystemTime, terms: &Terms) -> Self {
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
        let cap = terms.purpose.cap();
        for phase in &self.phases {
            if phase.verifying.is_empty() {
                return Err(Error::NoPrimary {
                    ring: ring.to_owned(),
                    mend: match phase.from == self.as_of {
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
            let count = phase.verifying.len();
            if count > cap {
                return Err(Error::TooManyKeys { ring: ring.to_owned(), count, cap });
            }
        }
        Ok(())
    }

    /// Whether both have the same roles at every moment from now on.
    #[cfg(feature = "store")]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let roles = |own: &Self| {
            let later = own.phases.iter().skip(1).map(|phase| phase.from);
            let roles =
                own.phases.iter().map(|phase| (phase.verifying.clone(), phase.idle.clone()));
            (later.collect::<Vec<_>>(), roles.collect::<Vec<_>>())
        };
        roles(self) == roles(other)
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

    /// The place of the key that signs at `now`; `None`, if none does.
    pub(crate) fn primary(&self, now: SystemTime) -> Option<usize> {
        self.phase(now).verifying.first().map(|(index, _)| *index)
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
    fn new(from: SystemTime, lives: &[Life], ends: &[Option<SystemTime>]) -> Self {
        let live = live(lives, ends, from);
        match live.first() {
            Some((_, Role::Primary)) => Self { from, verifying: live, idle: Vec::new() },
            _ => Self { from, verifying: Vec::new(), idle: live },
        }
    }

    pub(super) fn state(&self, index: usize, life: &Life) -> KeyState {
        let mut live = self.verifying.iter().chain(&self.idle);
        match live.find(|(own, _)| *own == index) {
            Some((_, role)) => KeyState::Active(*role),
            None if life.revoked.is_some() => KeyState::Revoked,
            None => KeyState::Retired,
        }
    }

    /// The role in which the key at `index` verifies.
    pub(super) fn role(&self, index: usize) -> Option<Role> {
        self.verifying.iter().find(|(own, _)| *own == index).map(|(_, role)| *role)
    }
}

/// When a key stops verifying: when it was superseded plus the overlap, or its `retire_at`, if
/// that is earlier.
pub(super) fn end(lives: &[Life], index: usize, terms: &Terms) -> Option<SystemTime> {
    let by_time = terms.purpose.ends_by_time();
    let superseded = if by_time { overlap_end(lives, index, terms.policy.overlap()) } else { None };
    [superseded, lives[index].retire_at].into_iter().flatten().min()
}

/// When nothing new can come from a superseded key any more, and what it signed is dead.
pub(crate) fn overlap_end(lives: &[Life], index: usize, overlap: Duration) -> Option<SystemTime> {
    // An end beyond what the clock can show is none.
    let end = superseded_at(lives, index)?.checked_add(overlap)?;
    Some(lives[index].kept_until.map_or(end, |kept| end.max(kept)))
}

/// When another key took over, or will: as a step recorded it, or else the start of the next
/// later signer that is neither revoked nor destroyed.
pub(super) fn superseded_at(lives: &[Life], index: usize) -> Option<SystemTime> {
    lives[index].superseded_at.or_else(|| {
        let own = lives[index].start()?;
        lives
            .iter()
            .filter(|other| other.is_alive())
            .filter_map(Life::start)
            .filter(|other| *other > own)
            .min()
            .map(|(start, _)| start)
    })
}

/// The live keys at `now`, the primary first.
fn live(lives: &[Life], ends: &[Option<SystemTime>], now: SystemTime) -> Vec<(usize, Role)> {
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
