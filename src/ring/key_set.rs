//! `KeySet<K>`: one immutable, validated generation of a ring.
//!
//! From the keys' times everything else is derived, for every moment at once: the
//! set is cut into phases, in each of which every role is fixed. A reader finds its
//! phase by the clock, and reads the clock only if there is more than one.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::error::{Error, Reason};
use crate::key::{Key, KeyMaterial, Signs};
use crate::kid::Kid;
use crate::verified::Role;

/// One generation of a ring: what a reader sees for one unit of work.
///
/// It never changes; [`KeyRing::load`](crate::KeyRing::load) hands one out.
pub struct KeySet<K> {
    keys: Vec<Key<K>>,
    phases: Vec<Phase>,
    ends: Vec<Option<SystemTime>>,
    generation: u64,
    as_of: SystemTime,
}

/// A span of time in which no role changes.
#[derive(Debug)]
pub(crate) struct Phase {
    from: SystemTime,
    /// The keys that verify, by their place in the set; the primary is the first.
    verifying: Vec<(usize, Role)>,
}

/// What a key of a set is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// It verifies, in this role.
    Active(Role),
    /// It has come to its end.
    Retired,
    /// It is compromised, and verifies nothing.
    Revoked,
}

impl<K: KeyMaterial> KeySet<K> {
    /// Validates `keys` for `as_of` and for every moment after it.
    pub(super) fn new(
        keys: Vec<Key<K>>,
        generation: u64,
        as_of: SystemTime,
        overlap: Duration,
        ring: &str,
    ) -> Result<Self, Error> {
        check_names(&keys)?;
        let ends: Vec<_> = (0..keys.len()).map(|index| end(&keys, index, overlap)).collect();

        let mut moments: Vec<_> = keys
            .iter()
            .filter(|key| key.revoked.is_none())
            .filter_map(|key| key.start().map(|(from, _)| from))
            .chain(ends.iter().copied().flatten())
            // What lies behind is not kept: a clock that jumps back undoes nothing.
            .filter(|moment| *moment > as_of)
            .chain([as_of])
            .collect();
        moments.sort_unstable();
        moments.dedup();

        let mut phases: Vec<Phase> = Vec::with_capacity(moments.len());
        for from in moments {
            let verifying = verifying(&keys, &ends, from);
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
            if verifying.len() > K::CAP {
                return Err(Error::TooManyKeys {
                    ring: ring.to_owned(),
                    count: verifying.len(),
                    cap: K::CAP,
                });
            }
            phases.push(Phase { from, verifying });
        }
        Ok(Self { keys, phases, ends, generation, as_of })
    }

    /// All keys, in the order in which they came; revoked and retired ones too.
    #[must_use]
    pub fn keys(&self) -> &[Key<K>] {
        &self.keys
    }

    /// The key that is called `kid`, by its kid or an alias.
    #[must_use]
    pub fn key(&self, kid: &Kid) -> Option<&Key<K>> {
        self.position(kid.as_bytes()).map(|index| &self.keys[index])
    }

    /// How many changes came before this set: 1 for a new ring.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The key that signs at `now`.
    #[must_use]
    pub fn primary(&self, now: SystemTime) -> &Key<K> {
        &self.keys[self.phase(now).verifying[0].0]
    }

    /// What the key `kid` is at `now`; `None` if there is no such key.
    #[must_use]
    pub fn state(&self, kid: &Kid, now: SystemTime) -> Option<KeyState> {
        let index = self.position(kid.as_bytes())?;
        Some(self.state_in(self.phase(now), index))
    }

    /// When the key `kid` stops verifying, as far as that is known: the start of
    /// the next later signer plus the overlap, or the moment that was set for it.
    #[must_use]
    pub fn ends_at(&self, kid: &Kid) -> Option<SystemTime> {
        self.ends[self.position(kid.as_bytes())?]
    }

    /// The next moment after `now` at which a role changes by itself.
    #[must_use]
    pub fn next_transition(&self, now: SystemTime) -> Option<SystemTime> {
        self.phases.iter().map(|phase| phase.from).find(|from| *from > now)
    }

    pub(super) fn as_of(&self) -> SystemTime {
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

    /// The key at this place among those that verify: found without a walk, so that it takes
    /// the same for every place.
    pub(super) fn nth(&self, phase: &Phase, place: usize) -> Option<(&Key<K>, Role)> {
        let (index, role) = phase.verifying.get(place)?;
        Some((&self.keys[*index], *role))
    }

    pub(super) fn verifying<'s>(
        &'s self,
        phase: &'s Phase,
    ) -> impl Iterator<Item = (&'s Key<K>, Role)> {
        phase.verifying.iter().map(|(index, role)| (&self.keys[*index], *role))
    }

    /// The key that a value names, or why it verifies nothing (V2).
    pub(super) fn named(&self, phase: &Phase, name: &[u8]) -> Result<(&Key<K>, Role), Reason> {
        let index = self.position(name).ok_or(Reason::UnknownKid)?;
        match self.state_in(phase, index) {
            KeyState::Active(role) => Ok((&self.keys[index], role)),
            KeyState::Revoked => Err(Reason::RevokedKey),
            KeyState::Retired => Err(Reason::RetiredKey),
        }
    }

    /// The place of the key with this kid or alias.
    fn position(&self, name: &[u8]) -> Option<usize> {
        self.keys.iter().position(|key| key.is_named(name))
    }

    fn state_in(&self, phase: &Phase, index: usize) -> KeyState {
        let own = phase.verifying.iter().find(|(own, _)| *own == index);
        match own {
            Some((_, role)) => KeyState::Active(*role),
            None if self.keys[index].revoked.is_some() => KeyState::Revoked,
            None => KeyState::Retired,
        }
    }
}

impl<K: KeyMaterial> fmt::Debug for KeySet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("generation", &self.generation)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// When a key stops verifying: the start of the next later signer that is not
/// revoked, plus the overlap; or its `retire_at`, if earlier.
fn end<K: KeyMaterial>(keys: &[Key<K>], index: usize, overlap: Duration) -> Option<SystemTime> {
    let superseded = if K::ENDS_BY_TIME { overlap_end(keys, index, overlap) } else { None };
    [superseded, keys[index].retire_at].into_iter().flatten().min()
}

/// When nothing new can come from a superseded key any more, and what it signed is dead.
pub(super) fn overlap_end<K>(
    keys: &[Key<K>],
    index: usize,
    overlap: Duration,
) -> Option<SystemTime> {
    let own = keys[index].start()?;
    keys.iter()
        .filter(|other| other.revoked.is_none())
        .filter_map(Key::start)
        .filter(|other| *other > own)
        .min()
        // An end beyond what the clock can show is none.
        .and_then(|(start, _)| start.checked_add(overlap))
}

/// The keys that verify at `now`, the primary first.
fn verifying<K>(
    keys: &[Key<K>],
    ends: &[Option<SystemTime>],
    now: SystemTime,
) -> Vec<(usize, Role)> {
    let mut active: Vec<_> = (0..keys.len())
        .filter(|index| keys[*index].revoked.is_none())
        .filter(|index| ends[*index].is_none_or(|end| now < end))
        .collect();
    // Those that signed last come first; those that never signed, last.
    active.sort_by_key(|index| std::cmp::Reverse(keys[*index].begun(now)));
    active
        .into_iter()
        .enumerate()
        .map(|(place, index)| {
            let role = match keys[index].signs {
                _ if place == 0 && keys[index].begun(now).is_some() => Role::Primary,
                Signs::Unscheduled => Role::Staged,
                Signs::From(moment) if moment > now => Role::Staged,
                Signs::Never | Signs::From(_) => Role::Fallback,
            };
            (index, role)
        })
        .collect()
}

/// One kid for one key, one key for one secret; a revoked one counts (V8: what is
/// revoked does not come back under another name).
fn check_names<K>(keys: &[Key<K>]) -> Result<(), Error> {
    for (index, key) in keys.iter().enumerate() {
        let mut names: Vec<_> = key.names().collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::DuplicateKid { kid: twice[0] });
        }
        for other in &keys[..index] {
            let taken = key.names().find(|name| other.is_named(name.as_bytes()));
            let same = key.same_secret(other);
            match (taken, same, other.revoked.is_some()) {
                (_, true, true) => {
                    return Err(Error::Revoked { kid: other.kid() });
                }
                (_, true, false) => {
                    return Err(Error::DuplicateSecret {
                        key: format!("the key `{}`", key.kid()),
                        other: format!("the key `{}`", other.kid()),
                    });
                }
                (Some(kid), false, _) => return Err(Error::DuplicateKid { kid }),
                (None, false, _) => {}
            }
        }
    }
    Ok(())
}
