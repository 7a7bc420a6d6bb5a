//! A manifest, and the facts that follow from it.

use dualkey::manifest::Manifest;
use dualkey::{Fingerprint, KeyState, Role};

use super::keys::{collect_bits, kid};
use super::policy::{Declared, at, tick_of};

/// A manifest, and the facts that follow from it.
pub struct Document {
    pub manifest: Manifest,
    pub changed_at: u64,
    pub declared: Declared,
    /// The longer rollout window of an earlier policy, and the tick until which it is in force.
    pub(super) earlier_rollout: Option<(u64, u64)>,
    pub fingerprint: Fingerprint,
    /// The revoked keys, by bit.
    pub revoked: u8,
    /// The keys that have a secret, by bit.
    pub present: u8,
    /// The roles of the keys, by clock.
    roles: Vec<Option<Roles>>,
}

/// The roles of all keys at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// The keys that verify or open, by bit.
    pub live: u8,
    /// The live keys that are neither staged nor primary, by bit.
    pub fallbacks: u8,
    /// The first primary.
    pub primary: Option<usize>,
    /// The number of primaries.
    pub primaries: usize,
}

impl Roles {
    /// Collects the roles of keys from the state of each, in the order of the keys.
    pub fn from_states(states: &[(usize, KeyState)]) -> Self {
        let has_state = |index: usize, is_wanted: &dyn Fn(&KeyState) -> bool| {
            states.iter().any(|(key, state)| *key == index && is_wanted(state))
        };
        let end = states.iter().map(|(key, _)| key + 1).max().unwrap_or(0);
        let bits = |is_wanted: &dyn Fn(&KeyState) -> bool| {
            collect_bits(end, |index| has_state(index, is_wanted))
        };
        let primaries = bits(&|state| *state == KeyState::Live(Role::Primary));
        Self {
            live: bits(&|state| matches!(state, KeyState::Live(_))),
            fallbacks: bits(&|state| *state == KeyState::Live(Role::Fallback)),
            primary: (0..end).find(|index| primaries & 1 << index != 0),
            primaries: primaries.count_ones() as usize,
        }
    }
}

impl Document {
    pub(super) fn new(
        manifest: Manifest,
        declared: Declared,
        earlier_rollout: Option<(u64, u64)>,
    ) -> Self {
        let keys = manifest.keys();
        let revoked = collect_bits(keys.len(), |index| keys[index].revoked().is_some());
        let present = collect_bits(keys.len(), |index| keys[index].secret().is_some());
        Self {
            changed_at: tick_of(manifest.changed_at()),
            fingerprint: manifest.fingerprint(),
            declared,
            earlier_rollout,
            revoked,
            present,
            roles: Vec::new(),
            manifest,
        }
    }

    /// Returns the rollout window that is in force at a tick: the time within which a step reaches every
    /// instance.
    pub fn rollout(&self, tick: u64) -> u64 {
        let earlier = self.earlier_rollout.filter(|(_, until)| tick < *until);
        earlier.map_or(self.declared.rollout, |(rollout, _)| rollout.max(self.declared.rollout))
    }

    /// Returns the number of keys.
    pub fn key_count(&self) -> usize {
        self.manifest.keys().len()
    }

    /// Returns the state of each key on an instance whose clock shows `clock`. An instance evaluates a
    /// manifest at its own time, but never before the last change.
    pub fn states(&self, clock: u64) -> Vec<KeyState> {
        let now = at(clock.max(self.changed_at));
        let state = |index| self.manifest.state(&kid(index), now).expect("it has the key");
        (0..self.key_count()).map(state).collect()
    }

    /// Returns the roles of the keys on an instance whose clock shows `clock`.
    pub(super) fn roles(&mut self, clock: u64) -> Roles {
        let place = clock as usize;
        if let Some(Some(roles)) = self.roles.get(place) {
            return *roles;
        }
        let states: Vec<_> = self.states(clock).into_iter().enumerate().collect();
        let roles = Roles::from_states(&states);
        self.roles.resize(self.roles.len().max(place + 1), None);
        self.roles[place] = Some(roles);
        roles
    }
}
