//! The replay of loads through real rings, once for each pair of manifests.
//!
//! A ring is built from the held manifest and then applies the loaded one. Before and after, it must have
//! the roles that the search computes, and accept exactly the values of its live keys: cookies or envelopes.

use std::collections::{HashMap, HashSet};

use dualkey::{Error, KeyRing, KeyState, KeyStatus, ManualClock, NewKey};

use super::adapter::Adapter;
use super::documents::{Broken, Documents, KEYS, Roles, at, kid, secret};
use super::engine::FastBuildHasher;
use super::following;
use super::property::Property;

/// The ticks after a load for which the roles are compared.
const LOOKED_AHEAD: u64 = 8;
/// The interval, in loads, at which a ring that follows a store replays one as well.
const FOLLOWED: usize = 16;
/// The ticks after a load at which the value of every key is checked again.
const CHECKED_AHEAD: u64 = 3;

/// The values of all keys, and the loads that were replayed.
pub struct Replay<A: Adapter> {
    clock: ManualClock,
    adapters: Vec<A>,
    /// By tick: the value of each key.
    values: HashMap<u64, Vec<A::Value>, FastBuildHasher>,
    seen: HashSet<(u32, u32), FastBuildHasher>,
    /// The number of pairs of manifests.
    pub pairs: usize,
    /// The number of pairs that a ring that follows a store replayed as well.
    pub followed: usize,
}

impl<A: Adapter> Default for Replay<A> {
    fn default() -> Self {
        let clock = ManualClock::new(at(0));
        let adapter = |index: usize| {
            let key = NewKey::new(secret(index)).kid(kid(index));
            let builder = KeyRing::<A::Key>::builder().min_secret_bytes(32);
            A::with_ring(builder.clock(clock.clone()).primary(key).build().unwrap())
        };
        Self {
            adapters: (0..KEYS).map(adapter).collect(),
            clock,
            values: HashMap::default(),
            seen: HashSet::default(),
            pairs: 0,
            followed: 0,
        }
    }
}

impl<A: Adapter> Replay<A> {
    /// Replays a load, unless the same pair of manifests was replayed before.
    ///
    /// # Errors
    /// The property that does not hold.
    pub fn check(
        &mut self,
        documents: &mut Documents,
        held: u32,
        loaded: u32,
        now: u64,
    ) -> Result<(), Broken> {
        if !self.seen.insert((held, loaded)) {
            return Ok(());
        }
        self.pairs += 1;
        let clock = ManualClock::new(at(now));
        let ring = build::<A>(documents, held, &clock)?;
        self.compare(documents, &ring, &clock, held, now)?;
        let next = documents.get(loaded).manifest.clone();
        match next.apply_to(&ring) {
            Ok(true) => {}
            other => {
                return broken(Property::P1, format!("a later manifest is not applied: {other:?}"));
            }
        }
        self.compare(documents, &ring, &clock, loaded, now)?;

        // P6: an older manifest is refused, and changes nothing.
        let before = (ring.fingerprint(), ring.load().generation());
        match documents.get(held).manifest.apply_to(&ring) {
            Err(Error::Older { .. }) => {}
            other => {
                return broken(
                    Property::P6,
                    format!("an older manifest is not refused: {other:?}"),
                );
            }
        }
        if (ring.fingerprint(), ring.load().generation()) != before {
            return broken(Property::P6, "a refused manifest changes the ring".to_owned());
        }
        self.compare(documents, &ring, &clock, loaded, now)?;
        self.check_from_the_future(documents, held, loaded)?;
        if self.pairs % FOLLOWED == 1 {
            self.followed += 1;
            following::check::<A>(documents, held, loaded, now)?;
        }
        self.check_revocations(documents, held, loaded, (&clock, now))
    }

    /// Checks P2: a manifest that is refused because its change is in the future still delivers its
    /// revocations.
    fn check_from_the_future(
        &self,
        documents: &Documents,
        held: u32,
        loaded: u32,
    ) -> Result<(), Broken> {
        let (before, after) = (documents.get(held), documents.get(loaded));
        let revoked = after.revoked & !before.revoked;
        let Some(now) = after.changed_at.checked_sub(after.declared.skew + 1) else {
            return Ok(());
        };
        if revoked == 0 || now < before.changed_at {
            return Ok(());
        }
        let ring = build::<A>(documents, held, &ManualClock::new(at(now)))?;
        let applied = after.manifest.apply_to(&ring);
        let set = ring.load();
        for index in (0..before.key_count()).filter(|index| revoked & 1 << index != 0) {
            let state = set.state(&kid(index), at(now));
            let is_gone = state.is_none() && after.present & 1 << index == 0;
            if state != Some(KeyState::Revoked) && !is_gone {
                let details =
                    format!("a manifest from the future, {applied:?}, leaves k{index} {state:?}");
                return broken(Property::P2, details);
            }
        }
        Ok(())
    }

    /// Returns the value that each key makes at a tick.
    fn values(&mut self, tick: u64) -> &[A::Value] {
        let (clock, adapters) = (&self.clock, &self.adapters);
        self.values.entry(tick).or_insert_with(|| {
            clock.set(at(tick));
            adapters.iter().map(|adapter| adapter.make().unwrap()).collect()
        })
    }

    /// Checks P5: a key that the ring revoked itself stays revoked, whatever it loads.
    fn check_revocations(
        &mut self,
        documents: &Documents,
        held: u32,
        loaded: u32,
        (clock, now): (&ManualClock, u64),
    ) -> Result<(), Broken> {
        let next = &documents.get(loaded).manifest;
        // Consecutive pairs check different keys.
        let count = documents.get(held).key_count();
        let index = self.pairs % count;
        let ring = build::<A>(documents, held, clock)?;
        let before = (ring.fingerprint(), ring.load().generation());
        if ring.revoke(&kid(index), "leaked").is_err() {
            // P6: the revocation of the primary is refused, and changes nothing.
            if (ring.fingerprint(), ring.load().generation()) != before {
                return broken(
                    Property::P6,
                    format!("a refused revocation of k{index} changes the ring"),
                );
            }
            return Ok(());
        }
        // A manifest without a primary is refused, and delivers its revocations.
        let applied = next.apply_to(&ring);
        let state = ring.load().state(&kid(index), at(0).max(next.changed_at()));
        let is_gone = state.is_none() && next.keys()[index].secret().is_none();
        if state != Some(KeyState::Revoked) && !is_gone {
            let details =
                format!("k{index} was revoked by the ring, and is {state:?}: {applied:?}");
            return broken(Property::P5, details);
        }
        if A::with_ring(ring).check(&self.values(now)[index]).is_ok() {
            return broken(Property::P5, format!("the ring accepts k{index}, which it revoked"));
        }
        Ok(())
    }

    /// Checks that `ring` has the roles of `document` now and in the next ticks, and verifies by them.
    fn compare(
        &mut self,
        documents: &mut Documents,
        ring: &KeyRing<A::Key>,
        clock: &ManualClock,
        document: u32,
        now: u64,
    ) -> Result<(), Broken> {
        let adapter = A::with_ring(ring.clone());
        for tick in now..=now + LOOKED_AHEAD {
            clock.set(at(tick));
            let expected = documents.roles(document, tick);
            let keys = ring.keys();
            let index_of = |key: &KeyStatus| (0..=KEYS).find(|index| kid(*index) == key.kid);
            let states: Vec<_> =
                keys.iter().filter_map(|key| Some((index_of(key)?, key.state))).collect();
            let found = Roles::from_states(&states);
            if found != expected {
                let details =
                    format!("at {tick} h a ring has {found:?}, and its manifest {expected:?}");
                return broken(Property::P3, details);
            }
            // The roles decide which values are accepted, so few ticks are enough.
            if tick != now && tick != now + CHECKED_AHEAD {
                continue;
            }
            for (index, value) in self.values(tick).iter().enumerate() {
                let checked = adapter.check(value);
                let is_accepted = checked.is_ok();
                if is_accepted != (expected.live & 1 << index != 0) {
                    let details = format!(
                        "at {tick} h a value of k{index} is accepted: {is_accepted}, {checked:?}"
                    );
                    return broken(Property::P1, details);
                }
            }
        }
        clock.set(at(now));
        Ok(())
    }
}

fn build<A: Adapter>(
    documents: &Documents,
    document: u32,
    clock: &ManualClock,
) -> Result<KeyRing<A::Key>, Broken> {
    let builder = KeyRing::<A::Key>::builder().name("R").environment("test");
    let manifest = &documents.get(document).manifest;
    let built = manifest.build_ring(builder.clock(clock.clone()));
    built.map_err(|error| (Property::P3, format!("a ring cannot be built: {error}")))
}

fn broken<T>(property: Property, details: String) -> Result<T, Broken> {
    Err((property, details))
}
