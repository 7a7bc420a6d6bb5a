//! The access of a store to a ring: it replaces the keys, and reports the changes.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::admission::Rules;
use crate::lifecycle::transitions::Steps;
use crate::lifecycle::{KeyState, Role};
use crate::observer::Event;
use crate::ring::builder::primary_unclear;
use crate::ring::key::{Key, KeyMaterial};
use crate::ring::key_set::KeySet;
use crate::ring::swap::Changed;
use crate::ring::{KeyRing, RingBuilder};

impl<K: KeyMaterial> RingBuilder<K> {
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

    pub(crate) fn check_without_keys(&self, ring: &str) -> Result<(), Error> {
        if self.keys.is_empty() && self.failed.is_none() {
            Ok(())
        } else {
            Err(primary_unclear(ring, "its keys are those of the manifest: give the builder none"))
        }
    }
}

impl<K: KeyMaterial> KeyRing<K> {
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
            let next = steps.finish().map(|lives| set.apply_revocation(lives, now));
            Ok::<_, Error>((next, done))
        });
        for (kid, reason) in done.unwrap_or_default() {
            self.inner.emit(Event::Revoked { ring: self.name(), kid, reason });
        }
    }

    /// Corrects the roles to those of `now`.
    pub(crate) fn reevaluate(&self, now: SystemTime) {
        if self.load().reevaluate(now, self.name()).is_some() {
            let update = |set: &KeySet<K>| Ok((set.reevaluate(now, self.name()), ()));
            let _: Result<(), Error> = self.inner.set.update(update);
        }
    }

    /// From now on only what a store says, and revocations, change this ring.
    pub(crate) fn set_followed(&self) {
        self.inner.is_followed.store(true, Relaxed);
    }

    /// Replaces the set in one swap, as `change` says, and returns the sets before and after; see
    /// [`Swap::update_generations`](super::swap::Swap::update_generations).
    pub(crate) fn update<R, E>(
        &self,
        change: impl FnMut(&KeySet<K>) -> Result<(Option<KeySet<K>>, R), E>,
    ) -> Result<Changed<R, KeySet<K>>, E> {
        self.inner.set.update_generations(change)
    }

    /// Returns the environment that the ring belongs to.
    pub(crate) fn environment(&self) -> Option<&str> {
        self.inner.environment.as_deref()
    }

    pub(crate) fn options(&self) -> &K::Options {
        &self.inner.options
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    pub(crate) fn max_staleness(&self) -> Option<Duration> {
        self.inner.max_staleness
    }

    /// Reports the dangers that variables show, unless they were reported.
    pub(crate) fn warn(&self, warnings: &[(String, &'static str)]) {
        {
            let mut reported = self.inner.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            if *reported == warnings {
                return;
            }
            *reported = warnings.to_vec();
        }
        for (variable, warning) in warnings {
            self.inner.emit(Event::EnvironmentWarning { ring: self.name(), variable, warning });
        }
    }

    /// Reports the changes of a reload, as if they had been made here.
    pub(crate) fn emit_changes(&self, before: &KeySet<K>, after: &KeySet<K>, now: SystemTime) {
        let ring = self.name();
        for key in after.keys() {
            let (kid, old) = (key.kid(), before.key(&key.kid()));
            if let Some(revocation) =
                key.revoked().filter(|_| old.is_none_or(|old| old.revoked().is_none()))
            {
                self.inner.emit(Event::Revoked { ring, kid, reason: &revocation.reason });
                continue;
            }
            let state = after.state(&kid, now);
            let was_expired = before.state(&kid, now) == Some(KeyState::Expired);
            if was_expired && matches!(state, Some(KeyState::Live(_))) {
                self.inner.emit(Event::LiveAgain { ring, kid });
            }
            if old.is_none() && state == Some(KeyState::Live(Role::Staged)) {
                let signs_from = key.life.start().map(|(from, _)| from);
                self.inner.emit(Event::Staged { ring, kid, signs_from });
            }
            if let Some(verifies_until) = key.retire_at()
                && old.is_none_or(|old| old.retire_at() != Some(verifies_until))
            {
                self.inner.emit(Event::Retired { ring, kid, verifies_until });
            }
        }
        let primary = |set: &KeySet<K>| set.primary(now).map(Key::kid);
        if let Some(kid) = primary(after)
            && primary(before) != Some(kid)
        {
            self.inner.emit(Event::Promoted { ring, kid });
        }
    }
}
