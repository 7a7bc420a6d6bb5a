//! From a manifest to a ring: made of one, and changed to the next.
//!
//! Argued once: what is wrong with a manifest is found before the swap, so that a reader sees
//! the old set or the new one, whole. What was revoked stays so, whatever the manifest says:
//! the current set is asked inside the swap, where no revocation can slip by. A manifest that
//! is refused still delivers its revocations, because they are final for every source. If they
//! leave no key that can sign, the ring serves nothing.
//!
//! An instance evaluates a manifest at its own time, but never before the last change. It does
//! so again at each reload, so that a clock that was wrong and is corrected corrects the roles.

use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::admission::{Rules, check};
use crate::lifecycle::policy::is_ahead;
use crate::lifecycle::{KeyState, Role};
use crate::manifest::{Entry, Manifest, Revocations};
use crate::observer::Event;
use crate::ring::key_set::Origin;
use crate::ring::{Key, KeyMaterial, KeyRing, KeySet, NewKey, RingBuilder};

impl Manifest {
    /// Builds the ring of this manifest, which brings its keys and its policy. To follow the store
    /// that the manifest came from, see [`source`](crate::source).
    ///
    /// The caller vouches for the manifest. So a [`name`](RingBuilder::name) is optional here: without
    /// one the ring takes the name that the manifest has. With one, it refuses the manifest of another
    /// ring.
    ///
    /// ```
    /// use dualkey::{KeyRing, Policy, Purpose};
    /// use dualkey::jwt::JwtKey;
    /// use dualkey::manifest::{Manifest, NewEntry};
    /// use std::time::{Duration, SystemTime};
    ///
    /// let key = NewEntry::generate(Purpose::Jwt)?;
    /// let manifest =
    ///     Manifest::new("JWT_SECRET", Purpose::Jwt, "production", Policy::default(), key, SystemTime::now())?;
    /// let builder = || KeyRing::<JwtKey>::builder().environment("production");
    /// let ring = manifest.build_ring(builder())?;
    /// assert_eq!(ring.name(), "JWT_SECRET");
    /// assert_eq!(ring.fingerprint(), manifest.fingerprint());
    ///
    /// // A ring of another environment is refused.
    /// assert!(manifest.build_ring(builder().environment("staging")).is_err());
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`RingBuilder::build`]; [`Error::NoEnvironment`] if the builder has no environment;
    /// [`Error::Foreign`] if the manifest is of another environment, purpose or ring.
    pub fn build_ring<K: KeyMaterial>(
        &self,
        mut builder: RingBuilder<K>,
    ) -> Result<KeyRing<K>, Error> {
        let name = builder.name.clone().unwrap_or_else(|| self.ring().to_owned());
        builder.check_without_keys(&name)?;
        builder.name = Some(name.clone());
        builder.policy = *self.policy();
        check_identity::<K>(self, &name, builder.environment.as_deref())?;
        let now = builder.clock.now();
        let keys = build_keys(self, &[], &builder.options, &builder.rules, now)?;
        let origin = origin(self, builder.max_staleness, now);
        let times = (*self.policy(), self.changed_at());
        let set = KeySet::from_stored(keys, 1, times, now, &name)?.with_origin(origin);
        let ring = builder.ring(set, name);
        ring.warn(&self.warnings);
        Ok(ring)
    }

    /// Changes `ring` to this manifest, in one swap, and returns `true` if that changed the ring. Keys
    /// that the ring holds already are kept, with their counters.
    ///
    /// Before the swap the manifest is checked as by [`build_ring`](Self::build_ring), and every new
    /// key signs and verifies, or seals and opens. A key that the ring knows to be revoked stays
    /// revoked.
    ///
    /// # Errors
    /// As for [`build_ring`](Self::build_ring); [`Error::Older`] if the ring has seen a later revision,
    /// [`Error::TwoOfOneRevision`], [`Error::SelfTest`]; [`Error::FromTheFuture`] if the manifest was
    /// changed at a moment ahead of the clock by more than the skew, unless without it no key
    /// would sign. The ring stays as it is, except for keys that the manifest revokes: they are
    /// revoked, even if the ring then serves nothing.
    pub fn apply_to<K: KeyMaterial>(&self, ring: &KeyRing<K>) -> Result<bool, Error> {
        if let Err(foreign) = check_identity::<K>(self, ring.name(), ring.environment()) {
            // Of another purpose alone: its revocations are of this ring.
            if self.ring() == ring.name() && Some(self.environment()) == ring.environment() {
                ring.revoke_all(revocations(self));
            }
            return Err(foreign);
        }
        let now = ring.now();
        ring.reevaluate(now);
        let is_future = is_ahead(self.changed_at(), self.policy(), now);
        if is_future && ring.load().revision() < self.revision() {
            ring.revoke_all(revocations(self));
            if ring.load().primary(now).is_some() {
                return Err(Error::FromTheFuture { changed_at: self.changed_at(), now });
            }
        }
        let applied = swap_in(self, ring);
        if applied.is_err() {
            ring.revoke_all(revocations(self));
        }
        applied
    }
}

impl Revocations {
    /// Applies the revocations of a document that cannot be used otherwise, if it is the ring's.
    pub(crate) fn apply_to<K: KeyMaterial>(&self, ring: &KeyRing<K>) {
        if ring.environment().is_some_and(|environment| self.is_of(ring.name(), environment)) {
            ring.revoke_all(self.keys.clone());
        }
    }
}

/// Swaps in the keys of `manifest`, and reports the changes.
fn swap_in<K: KeyMaterial>(manifest: &Manifest, ring: &KeyRing<K>) -> Result<bool, Error> {
    let now = ring.now();
    let held = ring.load();
    let origin = origin(manifest, ring.max_staleness(), now);
    let is_known = held.is_of(&origin)?;
    let keys = if is_known {
        Vec::new()
    } else {
        build_keys(manifest, held.keys(), ring.options(), ring.rules(), now)?
    };
    let (is_news, [before, after]) = ring.update(|set| {
        if set.is_of(&origin)? {
            // Only how fresh it is has changed, or the names of its variables.
            let has_changed =
                set.fresh_until() != origin.fresh_until || !is_read_from(set, manifest);
            let next = has_changed.then(|| set.refresh(origin, rename_keys(set, manifest)));
            return Ok((next, false));
        }
        let keys = keep_revocations(keys.clone(), set, manifest);
        let (generation, times) =
            (set.generation() + 1, (*manifest.policy(), manifest.changed_at()));
        let next = KeySet::from_stored(keys, generation, times, now, ring.name())?;
        Ok::<_, Error>((Some(next.with_origin(origin)), true))
    })?;
    if is_news {
        // Deliberately not from `held` to the current set: what another writer changed is reported
        // by that writer.
        ring.emit_changes(&before, &after, now);
        ring.emit(Event::Reloaded {
            ring: ring.name(),
            revision: after.revision(),
            generation: after.generation(),
            fingerprint: after.fingerprint(),
        });
    }
    ring.warn(&manifest.warnings);
    Ok(is_news)
}

/// Returns `keys`, the keys of `manifest`, with every revocation that `set` holds (V8).
fn keep_revocations<K: KeyMaterial>(
    mut keys: Vec<Key<K>>,
    set: &KeySet<K>,
    manifest: &Manifest,
) -> Vec<Key<K>> {
    for (held, revocation) in set.keys().iter().filter_map(|key| Some((key, key.revoked()?))) {
        let entry = manifest.keys().iter().find(|entry| entry.kid() == held.kid());
        // Of a destroyed key nothing is kept: its kid does not come back.
        if entry.is_some_and(|entry| entry.destroyed_at().is_some()) {
            continue;
        }
        match keys.iter_mut().find(|key| key.kid() == held.kid()) {
            Some(key) => {
                key.life.revoked.get_or_insert_with(|| revocation.clone());
            }
            None => keys.push(held.clone()),
        }
    }
    keys
}

/// Returns whether the variables of the keys of `set` are those of `manifest`.
fn is_read_from<K: KeyMaterial>(set: &KeySet<K>, manifest: &Manifest) -> bool {
    set.keys()
        .iter()
        .all(|key| manifest.key(&key.kid()).is_none_or(|entry| entry.variable() == key.variable()))
}

/// Returns the keys of `set` with the names of the variables that `manifest` has.
fn rename_keys<K: KeyMaterial>(set: &KeySet<K>, manifest: &Manifest) -> Vec<Key<K>> {
    let renamed = |key: &Key<K>| {
        let entry = manifest.key(&key.kid());
        let variable = entry.map_or(key.variable(), |entry| entry.variable());
        key.clone().with_variable(variable)
    };
    set.keys().iter().map(renamed).collect()
}

/// Returns the origin of a set from `manifest` that is loaded at `now`.
fn origin(manifest: &Manifest, max_staleness: Option<Duration>, now: SystemTime) -> Origin {
    let fresh_until = max_staleness.and_then(|age| now.checked_add(age));
    Origin::new(manifest.revision(), manifest.identity(), fresh_until)
}

/// The keys that `manifest` revokes, with the reasons.
fn revocations(manifest: &Manifest) -> Vec<(Kid, String)> {
    let revoked = |entry: &Entry| Some((entry.kid(), entry.revoked()?.reason.clone()));
    manifest.keys().iter().filter_map(revoked).collect()
}

/// Whether the manifest is of this ring, this purpose and this environment.
fn check_identity<K: KeyMaterial>(
    manifest: &Manifest,
    ring: &str,
    environment: Option<&str>,
) -> Result<(), Error> {
    let environment = environment.ok_or_else(|| Error::NoEnvironment { ring: ring.to_owned() })?;
    manifest.check_is(ring, environment, K::PURPOSE)
}

/// The keys of the manifest: those of `held` that are the same, and new ones, which have been
/// tested.
fn build_keys<K: KeyMaterial>(
    manifest: &Manifest,
    held: &[Key<K>],
    options: &K::Options,
    rules: &Rules,
    now: SystemTime,
) -> Result<Vec<Key<K>>, Error> {
    let min_secret_bytes = rules.min_secret_bytes.or(manifest.policy().min_secret_bytes);
    let rules = Rules { min_secret_bytes, ..*rules };
    let mut keys = Vec::with_capacity(manifest.keys().len());
    let mut states = manifest.states(now).into_iter();
    for entry in manifest.keys() {
        let state = states.next();
        // One that was destroyed has nothing to verify with.
        let Some(secret) = entry.secret() else { continue };
        let kid = entry.kid();
        let label = format!("the key `{kid}`");
        let options = K::with_algorithm(options, entry.algorithm())
            .map_err(|algorithm| Error::UnsupportedAlgorithm { key: label.clone(), algorithm })?;
        let is_fallback = !matches!(state, Some(KeyState::Live(Role::Primary | Role::Staged)));
        let rules = match state {
            Some(KeyState::Live(_)) => rules,
            // It verifies nothing any more.
            _ => Rules { allow_short_fallbacks: true, allow_placeholders: true, ..rules },
        };
        let algorithm = K::algorithm(&options);
        let algorithm = algorithm.as_deref();
        let is_short = check(secret, &label, is_fallback, K::PURPOSE, algorithm, &rules)?;
        let same = held.iter().find(|key| key.kid() == kid && is_same(key, entry, algorithm));
        let key = match same {
            Some(key) => key.clone(),
            None => {
                let mut new = NewKey::<K>::new(secret.clone()).kid(kid);
                new.aliases = entry.aliases().to_vec();
                let key = new.prepare(kid, &options, is_short, entry.added_at());
                let key = key.map_err(|algorithm| Error::UnsupportedAlgorithm {
                    key: label.clone(),
                    algorithm,
                })?;
                if !key.material().self_test() {
                    return Err(Error::SelfTest { kid });
                }
                key
            }
        };
        let mut life = entry.life.clone();
        life.is_short = is_short;
        keys.push(key.with_life(life).with_variable(entry.variable()));
    }
    Ok(keys)
}

fn is_same<K: KeyMaterial>(key: &Key<K>, entry: &Entry, algorithm: Option<&str>) -> bool {
    key.aliases() == entry.aliases()
        && key.algorithm() == algorithm
        && entry.secret().is_some_and(|secret| key.is_of(secret))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::lifecycle::Policy;
    use crate::manifest::NewEntry;
    use crate::observer::Observer;
    use crate::purpose::Purpose;
    use crate::ring::key::sealed;
    use crate::secret::Secret;

    thread_local! {
        /// The step of another thread during the self-test of a key.
        static DURING_SELF_TEST: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
    }

    /// A key that does not verify what it signs, if its secret says so: as on a machine that
    /// computes wrong.
    #[derive(Debug)]
    struct Shaky(bool);

    impl sealed::Sealed for Shaky {}

    impl KeyMaterial for Shaky {
        const PURPOSE: Purpose = Purpose::Cookie;
        type Options = ();

        fn prepare(secret: &[u8], _: Kid, (): &()) -> Result<Self, String> {
            Ok(Self(secret.starts_with(b"bad")))
        }

        fn self_test(&self) -> bool {
            if let Some(other) = DURING_SELF_TEST.take() {
                other();
            }
            !self.0
        }
    }

    #[derive(Debug, Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Observer for Log {
        fn observe(&self, event: &Event<'_>) {
            let line = match event {
                Event::Staged { kid, .. } => format!("staged {kid}"),
                Event::Revoked { kid, .. } => format!("revoked {kid}"),
                Event::Reloaded { revision, .. } => format!("reloaded {revision}"),
                other => format!("{other:?}"),
            };
            self.0.lock().unwrap().push(line);
        }
    }

    fn entry(text: &str, kid: &str) -> NewEntry {
        let text = format!("{text}-kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUq8WzRkH7vQ2mXw9LrT4nZ8yB1cF6");
        NewEntry::new(Secret::from(text)).kid(kid.parse().unwrap())
    }

    #[test]
    fn a_key_that_fails_its_self_test_is_never_swapped_in() {
        let now = SystemTime::UNIX_EPOCH;
        let policy = Policy::default();
        let new = |key| Manifest::new("X", Purpose::Cookie, "test", policy, key, now).unwrap();
        let builder = || KeyRing::<Shaky>::builder().environment("test");
        let error = new(entry("bad", "a")).build_ring(builder()).unwrap_err();
        assert!(matches!(error, Error::SelfTest { .. }), "{error}");

        let manifest = new(entry("good", "a"));
        let ring = manifest.build_ring(builder()).unwrap();
        let next = manifest.stage(entry("bad", "b"), now).unwrap().manifest;
        let error = next.apply_to(&ring).unwrap_err();
        assert!(matches!(error, Error::SelfTest { kid } if kid == *"b"), "{error}");
        assert_eq!((ring.fingerprint(), ring.keys().len()), (manifest.fingerprint(), 1));
    }

    /// Another writer revokes a key, or applies the next manifest, after this one has looked at the
    /// ring and before it swaps.
    #[test]
    fn a_change_of_another_writer_is_reported_once() {
        let now = SystemTime::UNIX_EPOCH;
        let first =
            Manifest::new("X", Purpose::Cookie, "test", Policy::default(), entry("good", "a"), now);
        let first = first.unwrap().with_fallback(entry("old", "b"), now).unwrap();
        let second = first.stage(entry("next", "c"), now).unwrap().manifest;
        let third = second.stage(entry("last", "d"), now).unwrap().manifest;
        let build = || {
            let log = Log::default();
            let builder = KeyRing::<Shaky>::builder().environment("test").observer(log.clone());
            (first.build_ring(builder).unwrap(), log)
        };

        let (ring, log) = build();
        let other = ring.clone();
        let revoke = move || other.revoke(&"b".parse().unwrap(), "it leaked").unwrap();
        DURING_SELF_TEST.set(Some(Box::new(revoke)));
        assert!(second.apply_to(&ring).unwrap());
        assert_eq!(*log.0.lock().unwrap(), ["revoked b", "staged c", "reloaded 2"]);

        let (ring, log) = build();
        let (other, earlier) = (ring.clone(), second.clone());
        let apply = move || assert!(earlier.apply_to(&other).unwrap());
        DURING_SELF_TEST.set(Some(Box::new(apply)));
        assert!(third.apply_to(&ring).unwrap());
        let lines = log.0.lock().unwrap().clone();
        assert_eq!(lines, ["staged c", "reloaded 2", "staged d", "reloaded 3"]);
    }

    /// The name of a variable is no part of a revision: the file has been edited.
    #[test]
    fn a_renamed_variable_is_read_from_the_same_revision() {
        let now = SystemTime::UNIX_EPOCH;
        let new = |variable: &str| {
            let key = entry("good", "a");
            let policy = Policy::default();
            let mut manifest =
                Manifest::new("X", Purpose::Cookie, "test", policy, key, now).unwrap();
            manifest.keys[0].variable = Some(variable.to_owned());
            manifest
        };
        let ring = new("OLD").build_ring(KeyRing::<Shaky>::builder().environment("test")).unwrap();
        let variable = || ring.load().keys()[0].variable().map(str::to_owned);
        assert_eq!(variable().as_deref(), Some("OLD"));
        assert!(!new("NEW").apply_to(&ring).unwrap());
        assert_eq!(variable().as_deref(), Some("NEW"));
        assert_eq!(ring.load().generation(), 1);
    }
}
