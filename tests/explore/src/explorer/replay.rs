//! Loads of the search, replayed once each through real rings.
//!
//! A ring that is built of the held manifest and changed to the loaded one must have the roles that the
//! search gives it, and accept exactly what its live keys signed.

use std::collections::{HashMap, HashSet};

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::{Error, KeyRing, KeyState, ManualClock, NewKey, Role};

use super::documents::{Broken, Documents, KEYS, Roles, at, kid, secret};
use super::engine::QuickBuild;
use super::following;

/// How many ticks after a load the roles are compared.
const LOOKED_AHEAD: u64 = 8;
/// One in so many loads is also one of a ring that follows a store.
const FOLLOWED: usize = 16;
/// After so many ticks every key is tried again.
const VERIFIED_AHEAD: u64 = 3;

/// What the keys of a search sign, and the loads that were replayed.
pub struct Replay {
    clock: ManualClock,
    signers: Vec<CookieSigner>,
    /// By tick: what each key signs then.
    cookies: HashMap<u64, Vec<String>, QuickBuild>,
    seen: HashSet<(u32, u32), QuickBuild>,
    /// The number of pairs of manifests.
    pub pairs: usize,
    /// Those that a ring also loaded which follows a store.
    pub followed: usize,
}

impl Default for Replay {
    fn default() -> Self {
        let clock = ManualClock::new(at(0));
        let signer = |index: usize| {
            let key = NewKey::new(secret(index)).kid(kid(index));
            let builder = KeyRing::<CookieKey>::builder().min_secret_bytes(32);
            let ring = builder.clock(clock.clone()).primary(key).build().unwrap();
            CookieSigner::new(ring)
        };
        Self {
            signers: (0..KEYS).map(signer).collect(),
            clock,
            cookies: HashMap::default(),
            seen: HashSet::default(),
            pairs: 0,
            followed: 0,
        }
    }
}

impl Replay {
    /// Replays a load, unless the same pair of manifests was.
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
        let ring = build(documents, held, &clock)?;
        self.compare(documents, &ring, &clock, held, now)?;
        let next = documents.get(loaded).manifest.clone();
        match next.apply_to(&ring) {
            Ok(true) => {}
            other => return broken("P1", format!("a later manifest is not applied: {other:?}")),
        }
        self.compare(documents, &ring, &clock, loaded, now)?;

        // P6: an older manifest is refused, and changes nothing.
        let before = (ring.fingerprint(), ring.load().generation());
        match documents.get(held).manifest.apply_to(&ring) {
            Err(Error::Older { .. }) => {}
            other => return broken("P6", format!("an older manifest is not refused: {other:?}")),
        }
        if (ring.fingerprint(), ring.load().generation()) != before {
            return broken("P6", "a refused manifest changes the ring".to_owned());
        }
        self.compare(documents, &ring, &clock, loaded, now)?;
        self.check_from_the_future(documents, held, loaded)?;
        if self.pairs % FOLLOWED == 1 {
            self.followed += 1;
            following::check(documents, held, loaded, now)?;
        }
        self.check_revocations(documents, held, loaded, (&clock, now))
    }

    /// P2: a manifest that is refused, because its change lies ahead, still delivers what it revokes.
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
        let ring = build(documents, held, &ManualClock::new(at(now)))?;
        let applied = after.manifest.apply_to(&ring);
        let set = ring.load();
        for index in (0..before.key_count()).filter(|index| revoked & 1 << index != 0) {
            let state = set.state(&kid(index), at(now));
            let is_gone = state.is_none() && after.present & 1 << index == 0;
            if state != Some(KeyState::Revoked) && !is_gone {
                let what =
                    format!("a manifest from the future, {applied:?}, leaves k{index} {state:?}");
                return broken("P2", what);
            }
        }
        Ok(())
    }

    /// What each key signs at a tick.
    fn cookies(&mut self, tick: u64) -> &[String] {
        let (clock, signers) = (&self.clock, &self.signers);
        self.cookies.entry(tick).or_insert_with(|| {
            clock.set(at(tick));
            let sign = |signer: &CookieSigner| signer.sign("session", "user-42").unwrap();
            signers.iter().map(sign).collect()
        })
    }

    /// P5: what the ring itself was told to revoke stays revoked, whatever it loads.
    fn check_revocations(
        &mut self,
        documents: &Documents,
        held: u32,
        loaded: u32,
        (clock, now): (&ManualClock, u64),
    ) -> Result<(), Broken> {
        let next = &documents.get(loaded).manifest;
        // Another key for each pair.
        let count = documents.get(held).key_count();
        for index in [self.pairs % count] {
            let ring = build(documents, held, clock)?;
            let before = (ring.fingerprint(), ring.load().generation());
            if ring.revoke(&kid(index), "leaked").is_err() {
                // P6: of the only key that signs it is refused, and changes nothing.
                if (ring.fingerprint(), ring.load().generation()) != before {
                    return broken(
                        "P6",
                        format!("a refused revocation of k{index} changes the ring"),
                    );
                }
                continue;
            }
            // Without a key that signs it is refused, and delivers what it revokes.
            let applied = next.apply_to(&ring);
            let state = ring.load().state(&kid(index), at(0).max(next.changed_at()));
            let is_gone = state.is_none() && next.keys()[index].secret().is_none();
            if state != Some(KeyState::Revoked) && !is_gone {
                let what =
                    format!("k{index} was revoked by the ring, and is {state:?}: {applied:?}");
                return broken("P5", what);
            }
            let verified = CookieSigner::new(ring).verify("session", &self.cookies(now)[index]);
            if verified.is_ok() {
                return broken("P5", format!("the ring accepts k{index}, which it revoked"));
            }
        }
        Ok(())
    }

    /// Whether `ring` has the roles of `document`, now and for some ticks, and verifies by them.
    fn compare(
        &mut self,
        documents: &mut Documents,
        ring: &KeyRing<CookieKey>,
        clock: &ManualClock,
        document: u32,
        now: u64,
    ) -> Result<(), Broken> {
        let signer = CookieSigner::new(ring.clone());
        for tick in now..=now + LOOKED_AHEAD {
            clock.set(at(tick));
            let expected = documents.roles(document, tick);
            let keys = ring.keys();
            let all = |is: &dyn Fn(&KeyState) -> bool| {
                let matching = keys.iter().filter(|key| is(&key.state));
                let index =
                    |key: &dualkey::KeyStatus| (0..KEYS + 1).find(|place| kid(*place) == key.kid);
                matching.filter_map(index).collect::<Vec<_>>()
            };
            let primaries = all(&|state| *state == KeyState::Live(Role::Primary));
            let live = all(&|state| matches!(state, KeyState::Live(_)));
            let found = Roles {
                live: live.iter().fold(0, |all, index| all | 1 << index),
                primary: primaries.first().copied(),
                primaries: primaries.len(),
            };
            if found != expected {
                let what =
                    format!("at {tick} h a ring has {found:?}, and its manifest {expected:?}");
                return broken("P3", what);
            }
            // What is verified follows from the roles.
            if tick != now && tick != now + VERIFIED_AHEAD {
                continue;
            }
            for (index, cookie) in self.cookies(tick).iter().enumerate() {
                let verified = signer.verify("session", cookie);
                let is_accepted = verified.is_ok();
                if is_accepted != (expected.live & 1 << index != 0) {
                    let what = format!(
                        "at {tick} h a cookie of k{index} is accepted: {is_accepted}, {:?}",
                        verified.map(drop)
                    );
                    return broken("P1", what);
                }
            }
        }
        clock.set(at(now));
        Ok(())
    }
}

fn build(
    documents: &Documents,
    document: u32,
    clock: &ManualClock,
) -> Result<KeyRing<CookieKey>, Broken> {
    let builder = KeyRing::<CookieKey>::builder().name("R").environment("test");
    let manifest = &documents.get(document).manifest;
    let built = manifest.build_ring(builder.clock(clock.clone()));
    built.map_err(|error| ("P3", format!("a ring cannot be built: {error}")))
}

fn broken<T>(property: &'static str, what: String) -> Result<T, Broken> {
    Err((property, what))
}
