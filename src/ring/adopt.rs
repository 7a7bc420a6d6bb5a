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

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use super::admit::{Rules, check};
use super::builder::unclear;
use super::key_set::{KeySet, Origin};
use super::report::is_ahead;
use super::steps::Steps;
use super::{KeyRing, KeyState, RingBuilder};
use crate::error::Error;
use crate::key::{Key, KeyMaterial, NewKey};
use crate::kid::Kid;
use crate::manifest::{Entry, Manifest, Revocations};
use crate::observer::Event;
use crate::verified::Role;

impl<K: KeyMaterial> RingBuilder<K> {
    /// Makes the ring of `manifest`, which brings its keys and its policy; to follow the
    /// store that it came from, see [`source`](crate::source).
    ///
    /// The caller vouches for the manifest. So a [`name`](Self::name) is optional here: without one
    /// the ring takes the name that the manifest has. With one, it refuses the manifest of another
    /// ring.
    ///
    /// ```
    /// use dualkey::{KeyRing, Policy, Purpose};
    /// use dualkey::jwt::JwtKey;
    /// use dualkey::manifest::{Manifest, NewEntry};
    /// use std::time::SystemTime;
    ///
    /// let key = NewEntry::generate(Purpose::Jwt)?;
    /// let manifest =
    ///     Manifest::new("JWT_SECRET", Purpose::Jwt, "production", Policy::default(), key, SystemTime::now())?;
    /// let builder = || KeyRing::<JwtKey>::builder().environment("production");
    /// let ring = builder().build_from(&manifest)?;
    /// assert_eq!(ring.name(), "JWT_SECRET");
    /// assert_eq!(ring.fingerprint(), manifest.fingerprint());
    ///
    /// // One of another environment is refused.
    /// assert!(builder().environment("staging").build_from(&manifest).is_err());
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`build`](Self::build); [`Error::NoEnvironment`] if the builder was not told
    /// of one; [`Error::Foreign`] if the manifest is of another environment, purpose or
    /// ring.
    pub fn build_from(mut self, manifest: &Manifest) -> Result<KeyRing<K>, Error> {
        let name = self.name.clone().unwrap_or_else(|| manifest.ring().to_owned());
        self.check_without_keys(&name)?;
        self.name = Some(name.clone());
        self.policy = *manifest.policy();
        check_identity::<K>(manifest, &name, self.environment.as_deref())?;
        let now = self.clock.now();
        let keys = keys(manifest, &[], &self.options, &self.rules, now)?;
        let origin = Origin::of(manifest, self.max_staleness, now);
        let set = KeySet::of_manifest(keys, 1, manifest, now, &name)?.from(origin);
        let ring = self.ring(set, name);
        ring.warn(manifest);
        Ok(ring)
    }

    /// Checks, before a store is asked, that the builder knows whose manifest it is to take.
    pub(crate) fn check_follows(&self) -> Result<(), Error> {
        let purpose = K::PURPOSE.as_str();
        self.check_without_keys(self.name.as_deref().unwrap_or(purpose))?;
        let ring = self.name.clone().ok_or(Error::NoName { purpose })?;
        match &self.environment {
            Some(_) => Ok(()),
            None => Err(Error::NoEnvironment { ring }),
        }
    }

    fn check_without_keys(&self, ring: &str) -> Result<(), Error> {
        match self.keys.is_empty() && self.failed.is_none() {
            true => Ok(()),
            false => {
                Err(unclear(ring, "its keys are those of the manifest: give the builder none"))
            }
        }
    }
}

impl<K: KeyMaterial> KeyRing<K> {
    /// Changes the ring to `manifest`, in one swap, and says whether that was news. Keys that
    /// the ring holds already are kept, with their counters.
    ///
    /// Before the swap the manifest is checked as by
    /// [`build_from`](RingBuilder::build_from), and every new key signs and verifies, or
    /// seals and opens. What the ring knows to be revoked stays so.
    ///
    /// # Errors
    /// As there; [`Error::Older`] if the ring has seen a later revision,
    /// [`Error::TwoOfOneRevision`], [`Error::SelfTest`]; [`Error::FromTheFuture`] if it was
    /// changed at a moment ahead of the clock by more than the skew, unless without it no key
    /// would sign. The ring stays as it is, but for keys that the manifest says are revoked:
    /// they are, even if the ring then serves nothing.
    pub fn apply(&self, manifest: &Manifest) -> Result<bool, Error> {
        check_identity::<K>(manifest, self.name(), self.inner.environment.as_deref())?;
        let now = self.inner.clock.now();
        self.reevaluate(now);
        let is_future = is_ahead(manifest.changed_at(), manifest.policy(), now);
        if is_future && self.load().revision() < manifest.revision() {
            self.revoke_all(revocations(manifest));
            if self.load().primary(now).is_some() {
                let changed_at = manifest.changed_at();
                return Err(Error::FromTheFuture { changed_at, now });
            }
        }
        let applied = self.applied(manifest);
        if applied.is_err() {
            self.revoke_all(revocations(manifest));
        }
        applied
    }

    /// Applies the revocations of a document that cannot be used otherwise.
    pub(crate) fn apply_revocations(&self, revocations: &Revocations) {
        let is_own = revocations.ring == self.name()
            && Some(revocations.environment.as_str()) == self.inner.environment.as_deref();
        if is_own {
            self.revoke_all(revocations.keys.clone());
        }
    }

    /// Revokes the keys of this ring that are among `revoked`: a revocation is never refused. If
    /// no key is left that can sign, the ring serves nothing.
    pub(crate) fn revoke_all(&self, revoked: Vec<(Kid, String)>) {
        let is_news = |set: &KeySet<K>, kid: &Kid| {
            set.keys().iter().any(|key| key.kid() == *kid && key.revoked().is_none())
        };
        if !revoked.iter().any(|(kid, _)| is_news(&self.load(), kid)) {
            return;
        }
        let done = self.inner.set.update(|set| {
            let (now, terms) = (self.inner.clock.now(), set.terms());
            let mut steps = Steps::new(set.lives(), set.timeline(), &terms, now);
            let mut done = Vec::new();
            for (kid, reason) in revoked.iter().filter(|(kid, _)| is_news(set, kid)) {
                steps.revoke(kid, reason)?;
                done.push((*kid, reason.as_str()));
            }
            let now = steps.now();
            let next = steps.finish().map(|lives| set.after_revocation(lives, now));
            Ok::<_, Error>((next, done))
        });
        for (kid, reason) in done.unwrap_or_default() {
            self.inner.tell(Event::Revoked { ring: self.name(), kid, reason });
        }
    }

    /// Corrects the roles to those of `now`.
    fn reevaluate(&self, now: SystemTime) {
        if self.load().reevaluated(now, self.name()).is_some() {
            let update = |set: &KeySet<K>| Ok((set.reevaluated(now, self.name()), ()));
            let _: Result<(), Error> = self.inner.set.update(update);
        }
    }

    /// From now on only what a store says, and revocations, change this ring.
    pub(crate) fn set_followed(&self) {
        self.inner.is_followed.store(true, Relaxed);
    }

    fn applied(&self, manifest: &Manifest) -> Result<bool, Error> {
        let now = self.inner.clock.now();
        let held = self.load();
        let origin = Origin::of(manifest, self.inner.max_staleness, now);
        let is_known = held.is_of(&origin)?;
        let keys = match is_known {
            true => Vec::new(),
            false => keys(manifest, held.keys(), &self.inner.options, &self.inner.rules, now)?,
        };
        let is_news = self.inner.set.update(|set| {
            if set.is_of(&origin)? {
                // Only how fresh it is has changed, or the names of its variables.
                let next = set.fresh_until() != origin.fresh_until || !set.is_read_from(manifest);
                return Ok((next.then(|| set.refreshed(origin, manifest)), false));
            }
            let mut keys = keys.clone();
            for revoked in set.keys().iter().filter(|key| key.revoked().is_some()) {
                let entry = manifest.keys().iter().find(|entry| entry.kid() == revoked.kid());
                // Of one that was destroyed nothing is kept: its kid does not come back.
                if entry.is_some_and(|entry| entry.destroyed_at().is_some()) {
                    continue;
                }
                match keys.iter_mut().find(|key| key.kid() == revoked.kid()) {
                    Some(key) => {
                        key.life.revoked.get_or_insert_with(|| {
                            revoked.life.revoked.clone().expect("it was filtered by that")
                        });
                    }
                    None => keys.push(revoked.clone()),
                }
            }
            let generation = set.generation() + 1;
            let next = KeySet::of_manifest(keys, generation, manifest, now, self.name())?;
            Ok::<_, Error>((Some(next.from(origin)), true))
        })?;
        if is_news {
            let set = self.load();
            self.tell_changes(&held, &set, now);
            self.inner.tell(Event::Reloaded {
                ring: self.name(),
                revision: set.revision(),
                generation: set.generation(),
                fingerprint: set.fingerprint(),
            });
        }
        self.warn(manifest);
        Ok(is_news)
    }

    /// Reports the dangers that the variables of `manifest` show, unless they were reported.
    fn warn(&self, manifest: &Manifest) {
        {
            let mut reported = self.inner.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            if *reported == manifest.warnings {
                return;
            }
            reported.clone_from(&manifest.warnings);
        }
        for (variable, warning) in &manifest.warnings {
            self.inner.tell(Event::EnvironmentWarning { ring: self.name(), variable, warning });
        }
    }
}

impl<K: KeyMaterial> KeyRing<K> {
    /// Tells what a reload did, as if it had been done here.
    fn tell_changes(&self, before: &KeySet<K>, after: &KeySet<K>, now: SystemTime) {
        let ring = self.name();
        for key in after.keys() {
            let (kid, old) = (key.kid(), before.key(&key.kid()));
            if let Some(own) =
                key.revoked().filter(|_| old.is_none_or(|old| old.revoked().is_none()))
            {
                self.inner.tell(Event::Revoked { ring, kid, reason: &own.reason });
                continue;
            }
            let state = after.state(&kid, now);
            let was_expired = before.state(&kid, now) == Some(KeyState::Retired);
            if was_expired && matches!(state, Some(KeyState::Active(_))) {
                self.inner.tell(Event::LiveAgain { ring, kid });
            }
            if old.is_none() && state == Some(KeyState::Active(Role::Staged)) {
                let signs_from = key.life.start().map(|(from, _)| from);
                self.inner.tell(Event::Staged { ring, kid, signs_from });
            }
            if let Some(ends) = key.retire_at()
                && old.is_none_or(|old| old.retire_at() != Some(ends))
            {
                self.inner.tell(Event::Retired { ring, kid, ends });
            }
        }
        let primary = |set: &KeySet<K>| set.primary(now).map(Key::kid);
        if let Some(kid) = primary(after)
            && primary(before) != Some(kid)
        {
            self.inner.tell(Event::Promoted { ring, kid });
        }
    }
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
fn keys<K: KeyMaterial>(
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
        let is_fallback = !matches!(state, Some(KeyState::Active(Role::Primary | Role::Staged)));
        let rules = match state {
            Some(KeyState::Active(_)) => rules,
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
        keys.push(key.living(life).read_from(entry.variable()));
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
    use super::*;
    use crate::key::sealed;
    use crate::manifest::NewEntry;
    use crate::purpose::Purpose;
    use crate::ring::Policy;
    use crate::secret::Secret;

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
            !self.0
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
        let error = builder().build_from(&new(entry("bad", "a"))).unwrap_err();
        assert!(matches!(error, Error::SelfTest { .. }), "{error}");

        let manifest = new(entry("good", "a"));
        let ring = builder().build_from(&manifest).unwrap();
        let next = manifest.stage(entry("bad", "b"), now).unwrap().manifest;
        let error = ring.apply(&next).unwrap_err();
        assert!(matches!(error, Error::SelfTest { kid } if kid == *"b"), "{error}");
        assert_eq!((ring.fingerprint(), ring.keys().len()), (manifest.fingerprint(), 1));
    }
}
