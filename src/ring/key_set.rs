//! `KeySet<K>`: one immutable, validated generation of a ring.
//!
//! From the keys' times everything else is derived, for every moment at once: the
//! set is cut into phases, in each of which every role is fixed. A reader finds its
//! phase by the clock, and reads the clock only if there is more than one.

use std::cmp::Ordering;
use std::fmt;
use std::time::SystemTime;

use crate::error::{Error, Reason};
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::lifecycle::identity::check_unique;
use crate::lifecycle::life::Life;
use crate::lifecycle::policy::is_ahead;
use crate::lifecycle::terms::Terms;
use crate::lifecycle::timeline::{NOTHING, Phase, Timeline};
use crate::lifecycle::{KeyState, Policy, Role};
use crate::ring::status::KeyStatus;
use crate::ring::{Key, KeyMaterial};

/// One generation of a ring: what a reader sees for one unit of work.
///
/// It never changes; [`KeyRing::load`](crate::KeyRing::load) hands one out.
pub struct KeySet<K> {
    keys: Vec<Key<K>>,
    timeline: Timeline,
    policy: Policy,
    generation: u64,
    /// When the ring was last changed, by the clock that changed it.
    changed_at: SystemTime,
    origin: Origin,
}

/// Of which manifest a set is, and until when it may be served.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin {
    revision: u64,
    /// Its identity, which is not shown.
    manifest: Option<Fingerprint>,
    pub(crate) fresh_until: Option<SystemTime>,
}

impl<K: KeyMaterial> KeySet<K> {
    /// Validates `keys` for `changed_at` and for every moment after it.
    pub(super) fn new(
        keys: Vec<Key<K>>,
        generation: u64,
        changed_at: SystemTime,
        policy: Policy,
        ring: &str,
    ) -> Result<Self, Error> {
        check_names(&keys)?;
        let timeline = Timeline::new(&lives(&keys), changed_at, &terms::<K>(policy), ring)?;
        Ok(Self { keys, timeline, policy, generation, changed_at, origin: Origin::default() })
    }

    /// The set that a store's `keys` make on an instance whose clock shows `now`.
    pub(crate) fn from_stored(
        keys: Vec<Key<K>>,
        generation: u64,
        (policy, changed_at): (Policy, SystemTime),
        now: SystemTime,
        ring: &str,
    ) -> Result<Self, Error> {
        check_names(&keys)?;
        let timeline = evaluate(&lives(&keys), changed_at, now, &terms::<K>(policy), ring)?;
        Ok(Self { keys, timeline, policy, generation, changed_at, origin: Origin::default() })
    }

    /// The set with the roles of `now`, where those that it has are of another moment: a clock
    /// was corrected, or a transition has passed. `None`, if it has them already.
    pub(super) fn reevaluate(&self, now: SystemTime, ring: &str) -> Option<Self> {
        let (lives, terms) = (self.lives(), self.terms());
        let timeline = evaluate(&lives, self.changed_at, now, &terms, ring)
            // A ring that serves nothing stays so.
            .unwrap_or_else(|_| Timeline::new_unchecked(&lives, now.max(self.changed_at), &terms));
        let is_news = !timeline.is_same(&self.timeline);
        is_news.then(|| Self { keys: self.keys.clone(), timeline, ..*self })
    }

    /// The set after a step at `now` that may leave it without a primary: a revocation.
    pub(super) fn apply_revocation(&self, lives: Vec<Life>, now: SystemTime) -> Self {
        let timeline = Timeline::new_unchecked(&lives, now, &self.terms());
        let keys = self.keys.iter().zip(lives).map(|(key, life)| key.with_life(life)).collect();
        Self { keys, timeline, generation: self.generation + 1, ..*self }
    }

    /// When the ring was last changed, by the clock that changed it.
    pub(crate) fn changed_at(&self) -> SystemTime {
        self.changed_at
    }

    /// When the manifest that it is of was changed, if that lies ahead of a clock that shows
    /// `now` by more than the skew: one of both clocks is wrong.
    pub(crate) fn changed_ahead(&self, now: SystemTime) -> Option<SystemTime> {
        is_ahead(self.changed_at, &self.policy, now).then_some(self.changed_at)
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

    /// Returns the key that signs at `now`; `None` if no key can, so that the ring serves
    /// nothing.
    #[must_use]
    pub fn primary(&self, now: SystemTime) -> Option<&Key<K>> {
        self.timeline.primary(now).map(|index| &self.keys[index])
    }

    /// What the key `kid` is at `now`; `None` if there is no such key.
    #[must_use]
    pub fn state(&self, kid: &Kid, now: SystemTime) -> Option<KeyState> {
        let index = self.position(kid.as_bytes())?;
        Some(self.timeline.state(index, &self.keys[index].life, now))
    }

    /// When the key `kid` stops verifying, as far as that is known: the start of
    /// the next later signer plus the overlap, or the moment that was set for it.
    #[must_use]
    pub fn verifies_until(&self, kid: &Kid) -> Option<SystemTime> {
        self.timeline.verifies_until(self.position(kid.as_bytes())?)
    }

    /// The next moment after `now` at which a role changes without a step.
    #[must_use]
    pub fn next_transition(&self, now: SystemTime) -> Option<SystemTime> {
        self.timeline.next_transition(now)
    }

    /// Returns the [`Policy`] of this set.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The revision of the manifest that it is of; 0, if it is of none.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.origin.revision
    }

    /// Until when it may be served, if there is a bound: the last time at which it was known
    /// to be the latest, plus the ring's `max_staleness`.
    #[must_use]
    pub fn fresh_until(&self) -> Option<SystemTime> {
        self.origin.fresh_until
    }

    /// All keys with what they are at `now`, in the order in which they came.
    pub(crate) fn statuses(&self, now: SystemTime) -> Vec<KeyStatus> {
        let status = |(index, key): (usize, &Key<K>)| KeyStatus {
            kid: key.kid(),
            variable: key.variable().map(str::to_owned),
            state: self.timeline.state(index, &key.life, now),
            signing_start: key.signing_start(),
            added_at: key.added_at(),
            verifies_until: self.timeline.verifies_until(index),
            is_retired: key.life.retire_at.is_some(),
            revoked: key.revoked().cloned(),
            usage: key.usage(),
        };
        self.keys.iter().enumerate().map(status).collect()
    }

    /// The same set, in the place of `before`: of its origin, and, where that is a manifest, of
    /// the same last change.
    pub(super) fn inherit_origin(mut self, before: &Self) -> Self {
        self.origin = before.origin;
        if before.origin.manifest.is_some() {
            self.changed_at = before.changed_at;
        }
        self
    }

    /// The same set, of `origin`.
    pub(crate) fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// A copy of this set, of `origin`, whose keys are `keys`: the same ones, read from other
    /// variables.
    pub(crate) fn refresh(&self, origin: Origin, keys: Vec<Key<K>>) -> Self {
        Self { keys, timeline: self.timeline.clone(), origin, ..*self }
    }

    /// Whether it is of the manifest that `other` is of; an older one, or another of the
    /// same number, is the error.
    pub(crate) fn is_of(&self, other: &Origin) -> Result<bool, Error> {
        let held = self.origin.revision;
        match other.revision.cmp(&held) {
            Ordering::Less => Err(Error::Older { held, found: other.revision }),
            Ordering::Greater => Ok(false),
            Ordering::Equal if self.origin.manifest == other.manifest => Ok(true),
            Ordering::Equal => Err(Error::TwoOfOneRevision { revision: held }),
        }
    }

    /// The roles at `now`: none, if the set is too old to be served.
    pub(super) fn phase(&self, now: SystemTime) -> &Phase {
        match self.origin.fresh_until {
            Some(end) if now >= end => &NOTHING,
            _ => self.timeline.phase(now),
        }
    }

    /// Whether it is too old to be served.
    pub(crate) fn is_stale(&self, now: SystemTime) -> bool {
        self.origin.fresh_until.is_some_and(|end| now >= end)
    }

    /// Whether the roles depend on the time.
    pub(super) fn is_timed(&self) -> bool {
        self.timeline.is_timed() || self.origin.fresh_until.is_some()
    }

    pub(super) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    pub(super) fn lives(&self) -> Vec<Life> {
        lives(&self.keys)
    }

    pub(super) fn terms(&self) -> Terms {
        terms::<K>(self.policy)
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
        let former = || self.keys.iter().position(|key| key.has_former_name(name));
        let index = self.position(name).or_else(former).ok_or(Reason::UnknownKid)?;
        match phase.role(index) {
            Some(role) => Ok((&self.keys[index], role)),
            None if self.keys[index].revoked().is_some() => Err(Reason::RevokedKey),
            None => Err(Reason::ExpiredKey),
        }
    }

    /// The place of the key with this kid or alias.
    fn position(&self, name: &[u8]) -> Option<usize> {
        self.keys.iter().position(|key| key.is_named(name))
    }
}

impl Origin {
    /// The origin of a set from the manifest of this revision and identity, which is served until
    /// `fresh_until`.
    pub(crate) fn new(
        revision: u64,
        identity: Fingerprint,
        fresh_until: Option<SystemTime>,
    ) -> Self {
        Self { revision, manifest: Some(identity), fresh_until }
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

/// The roles that `lives` have on an instance whose clock shows `now`: by its own time, but not
/// before the last change. A change that lies ahead by more than the skew was made with a wrong
/// clock, and does not count as time, unless without it no key would sign.
fn evaluate(
    lives: &[Life],
    changed_at: SystemTime,
    now: SystemTime,
    terms: &Terms,
    ring: &str,
) -> Result<Timeline, Error> {
    if is_ahead(changed_at, &terms.policy, now) {
        let timeline = Timeline::new_unchecked(lives, now, terms);
        if timeline.primary(now).is_some() {
            return Ok(timeline);
        }
    }
    Timeline::new(lives, now.max(changed_at), terms, ring)
}

fn lives<K>(keys: &[Key<K>]) -> Vec<Life> {
    keys.iter().map(|key| key.life.clone()).collect()
}

fn terms<K: KeyMaterial>(policy: Policy) -> Terms {
    Terms::new(K::PURPOSE, policy)
}

/// Refuses a kid, an alias or a secret that two keys have.
fn check_names<K>(keys: &[Key<K>]) -> Result<(), Error> {
    let identities: Vec<_> = keys.iter().map(Key::identity).collect();
    check_unique(&identities)
}
