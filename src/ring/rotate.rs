//! The transitions of a ring: each computes the next generation from the current
//! one, and swaps it in.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use super::KeyRing;
use super::evidence::verdict_in;
use super::key_set::KeySet;
use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::admission::numbered_kid;
use crate::lifecycle::transitions::Steps;
use crate::lifecycle::{KeyState, Role};
use crate::observer::Event;
use crate::ring::prepare::{check_no_end, prepare};
use crate::ring::{Key, KeyMaterial, NewKey};

/// What a promotion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Promotion {
    /// The primary from now on.
    pub kid: Kid,
    /// The primary until now; `kid` itself, if that was it already.
    pub superseded: Kid,
    /// Until when the superseded key verifies: come back then.
    pub verifies_until: Option<SystemTime>,
}

impl<K: KeyMaterial> KeyRing<K> {
    /// Adds a key that verifies from now on, and does not sign yet.
    ///
    /// With [`signs_from`](NewKey::signs_from) it begins to sign at that moment,
    /// on every instance that holds it.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::cookie::CookieKey;
    /// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
    /// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
    /// use dualkey::{KeyState, NewKey, Role};
    /// use std::time::{Duration, SystemTime};
    ///
    /// let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build()?;
    /// let tomorrow = SystemTime::now() + Duration::from_secs(24 * 60 * 60);
    /// let kid = ring.stage(NewKey::new(Secret::from(new)).signs_from(tomorrow))?;
    ///
    /// let set = ring.load();
    /// assert_eq!(set.state(&kid, SystemTime::now()), Some(KeyState::Live(Role::Staged)));
    /// assert_eq!(set.primary(tomorrow).map(|key| key.kid()), Some(kid));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the builder refuses; [`Error::Revoked`] if the secret was revoked
    /// before; [`Error::NotAhead`] if its `signs_from` is not ahead. The ring stays
    /// as it is.
    pub fn stage(&self, key: impl Into<NewKey<K>>) -> Result<Kid, Error> {
        let (new, signs_from) = self.prepare_new(&key.into())?;
        self.change(Some(&new), |_, steps| steps.stage(new.life.clone(), signs_from))?;
        let kid = new.kid();
        self.inner.emit(Event::Staged { ring: self.name(), kid, signs_from });
        Ok(kid)
    }

    /// Makes the key `kid` the primary, from now on. Of the primary itself, it
    /// changes nothing.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::cookie::CookieKey;
    /// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
    /// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
    /// let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build()?;
    /// let kid = ring.stage(Secret::from(new))?;
    /// let promotion = ring.promote(&kid)?;
    /// assert_eq!(ring.primary(), Some(kid));
    /// assert!(promotion.verifies_until.is_some()); // come back then
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::Revoked`], [`Error::Expired`] if it has expired,
    /// [`Error::ExpiresSoon`] if it expires within the rollout window and the skew, or
    /// [`Error::TooShortToSign`] if it is a short fallback that was admitted. The ring stays
    /// as it is.
    pub fn promote(&self, kid: &Kid) -> Result<Promotion, Error> {
        self.apply_promotion(kid, false)
    }

    /// Takes a step that a check refuses. The observer gets `reason`.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::cookie::CookieKey;
    /// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
    /// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
    /// let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build()?;
    /// let before = ring.primary().unwrap();
    /// let kid = ring.stage(Secret::from(new))?;
    /// ring.promote(&kid)?;
    /// assert!(ring.retire(&before)?.is_some(), "it ends with its overlap");
    ///
    /// ring.force("a former employee has it").retire(&before)?;
    /// assert_eq!(ring.primary(), Some(kid));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    pub fn force<'r>(&'r self, reason: &'r str) -> ForceRing<'r, K> {
        ForceRing { ring: self, reason }
    }

    fn apply_promotion(&self, kid: &Kid, forced: bool) -> Result<Promotion, Error> {
        self.check_unfollowed()?;
        let (set, superseded) = self.change(None, |_, steps| steps.promote(kid, forced))?;
        if superseded != *kid {
            self.inner.emit(Event::Promoted { ring: self.name(), kid: *kid });
        }
        Ok(Promotion { kid: *kid, superseded, verifies_until: set.verifies_until(&superseded) })
    }

    /// Makes the key the primary that was so before the current one. What the
    /// current one signed verifies until its overlap is over.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::cookie::CookieKey;
    /// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
    /// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
    /// let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build()?;
    /// let before = ring.primary();
    /// let kid = ring.stage(Secret::from(new))?;
    /// ring.promote(&kid)?;
    ///
    /// ring.rollback()?;
    /// assert_eq!(ring.primary(), before);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NothingToRollBack`]; [`Error::Expired`] if the key before has expired, which no
    /// rollback undoes; [`Error::ExpiresSoon`] if it expires within the rollout window and the
    /// skew. The ring stays as it is.
    pub fn rollback(&self) -> Result<Promotion, Error> {
        self.apply_rollback(false)
    }

    fn apply_rollback(&self, forced: bool) -> Result<Promotion, Error> {
        self.check_unfollowed()?;
        let (set, (kid, superseded)) = self.change(None, |_, steps| steps.rollback(forced))?;
        self.inner.emit(Event::RolledBack { ring: self.name(), kid });
        Ok(Promotion { kid, superseded, verifies_until: set.verifies_until(&superseded) })
    }

    /// Settles when the key `kid` stops verifying, and returns that moment: the end
    /// of its overlap; for a key whose past is not known, counted from when it came
    /// into the ring; for one that never signed, now.
    ///
    /// A scheduled key that is nearer to its start than the rollout window and the skew may
    /// sign on an instance that has not reloaded. So it verifies for an overlap, and an
    /// encryption key stays a fallback without an end, which is `None`.
    ///
    /// It never cuts an overlap short: for a key that is compromised there is
    /// [`revoke`](Self::revoke). Once that moment has come it is final: only
    /// [`restage`](Self::restage) makes the key live again.
    ///
    /// An encryption key has no end until it is retired, and what it sealed cannot be
    /// opened after it: retire it once a [rewrap](Self::record_rewrap) found that nothing which
    /// is stored needs it.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::cookie::CookieKey;
    /// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
    /// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
    /// let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build()?;
    /// let before = ring.primary().unwrap();
    /// let kid = ring.stage(Secret::from(new))?;
    /// let promotion = ring.promote(&kid)?;
    ///
    /// assert_eq!(ring.retire(&before)?, promotion.verifies_until);
    /// assert!(ring.retire(&kid).is_err()); // it is the primary
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Blocked`] with all reasons, if the [verdict](Self::retirement) is that;
    /// [`Error::UnknownKey`], [`Error::Revoked`], or [`Error::IsPrimary`]. The ring stays
    /// as it is.
    pub fn retire(&self, kid: &Kid) -> Result<Option<SystemTime>, Error> {
        self.check_unfollowed()?;
        let now = self.inner.clock.now();
        let usage_window = self.sample(&self.load(), now).clone();
        let (_, verifies_until) = self.change(None, |set, steps| {
            // What was only staged has signed nothing, and what has ended needs no verdict.
            let until = match set.state(kid, now) {
                Some(KeyState::Live(Role::Fallback)) => {
                    verdict_in(set, kid, &usage_window, now)?.check_unblocked(kid)?
                }
                _ => None,
            };
            steps.retire(kid, until)
        })?;
        if let Some(verifies_until) = verifies_until {
            self.inner.emit(Event::Retired { ring: self.name(), kid: *kid, verifies_until });
        }
        Ok(verifies_until)
    }

    /// Makes an expired key staged again, as if it had just been added: it verifies from now
    /// on, and signs once it is promoted.
    ///
    /// # Errors
    /// [`Error::RestageNeedsForce`] for keys of tokens and sessions: use
    /// [`force`](Self::force). [`Error::UnknownKey`], [`Error::Revoked`],
    /// [`Error::IsPrimary`], [`Error::TooShortToSign`], or [`Error::NotExpired`] if it is live.
    /// The ring stays as it is.
    pub fn restage(&self, kid: &Kid) -> Result<(), Error> {
        if K::PURPOSE.has_revivable_values() {
            return Err(Error::RestageNeedsForce { kid: *kid });
        }
        self.apply_restage(kid)
    }

    fn apply_restage(&self, kid: &Kid) -> Result<(), Error> {
        self.check_unfollowed()?;
        self.change(None, |_, steps| steps.restage(kid))?;
        self.inner.emit(Event::Staged { ring: self.name(), kid: *kid, signs_from: None });
        Ok(())
    }

    /// Declares the key `kid` compromised: it verifies nothing from the next load
    /// on, for good. If it was the primary, the one before it takes over again, unless that
    /// has expired.
    ///
    /// The revocation holds for this ring, in this process: a restart forgets it,
    /// so take the secret out of where it is stored as well.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::cookie::CookieKey;
    /// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
    /// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
    /// use dualkey::{Error, Reason};
    /// use dualkey::cookie::CookieSigner;
    ///
    /// let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build()?;
    /// let leaked = ring.primary().unwrap();
    /// let signer = CookieSigner::new(ring.clone());
    /// let value = signer.sign("session", "user-42")?;
    ///
    /// // Nothing else signs yet, so it is refused.
    /// assert!(matches!(ring.revoke(&leaked, "in a public log"), Err(Error::NoPrimary { .. })));
    /// let kid = ring.stage(Secret::from(new))?;
    /// ring.promote(&kid)?;
    /// ring.revoke(&leaked, "in a public log")?;
    /// assert_eq!(signer.verify("session", &value).unwrap_err().reason(), Reason::RevokedKey);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownKey`], or [`Error::NoPrimary`] if nothing would be left that
    /// signs: then [`emergency_rotate`](Self::emergency_rotate) is what you
    /// want. The ring stays as it is.
    pub fn revoke(&self, kid: &Kid, reason: &str) -> Result<(), Error> {
        let (_, is_news) = self.change(None, |_, steps| steps.revoke(kid, reason))?;
        if is_news {
            self.inner.emit(Event::Revoked { ring: self.name(), kid: *kid, reason });
        }
        Ok(())
    }

    /// Revokes the key `kid` and makes `replacement` the primary, in one swap: it signs
    /// from now on, whatever its [`signs_from`](NewKey::signs_from).
    ///
    /// Instances that do not know the replacement refuse what it signs until they
    /// reload. If there is time, stage the replacement everywhere
    /// first, promote it, and revoke then.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::cookie::CookieKey;
    /// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
    /// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
    /// let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build()?;
    /// let leaked = ring.primary().unwrap();
    /// let kid = ring.emergency_rotate(&leaked, "in a public log", Secret::from(new))?;
    /// assert_eq!(ring.primary(), Some(kid));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownKey`]; [`Error::Revoked`] if it is so already; and as for
    /// [`stage`](Self::stage). The ring stays as it is.
    pub fn emergency_rotate(
        &self,
        kid: &Kid,
        reason: &str,
        replacement: impl Into<NewKey<K>>,
    ) -> Result<Kid, Error> {
        let (new, _) = self.prepare_new(&replacement.into())?;
        self.change(Some(&new), |_, steps| {
            steps.find(kid)?;
            steps.replace(new.life.clone());
            steps.revoke(kid, reason)
        })?;
        self.inner.emit(Event::Revoked { ring: self.name(), kid: *kid, reason });
        self.inner.emit(Event::Promoted { ring: self.name(), kid: new.kid() });
        Ok(new.kid())
    }

    /// Checks and prepares outside of the swap, which may run more than once.
    fn prepare_new(&self, new: &NewKey<K>) -> Result<(Key<K>, Option<SystemTime>), Error> {
        let label = new.label(|| "the new key".to_owned());
        check_no_end(new, &label)?;
        let set = self.load();
        let number = || loop {
            let number = self.inner.ordinal.fetch_add(1, Relaxed).saturating_add(1);
            let name = numbered_kid(K::PURPOSE, number);
            if !set.keys().iter().any(|key| key.is_named(name.as_bytes())) && !new.is_named(&name) {
                break number;
            }
        };
        let now = self.inner.clock.now();
        self.check_unfollowed()?;
        let (options, rules) = (&self.inner.options, &self.inner.rules);
        let key = prepare(new, &label, false, options, rules, number, now)?;
        Ok((key, new.signs_from))
    }

    /// Whether it is this ring that is changed, and not a manifest in a store.
    fn check_unfollowed(&self) -> Result<(), Error> {
        if self.inner.is_followed.load(Relaxed) {
            Err(Error::Followed { ring: self.name().to_owned() })
        } else {
            Ok(())
        }
    }

    /// Swaps in what `step` makes of the current set, with `added` as its last key if there
    /// is one, unless nothing changed. The set that holds afterwards is returned.
    fn change<R>(
        &self,
        added: Option<&Key<K>>,
        mut step: impl FnMut(&KeySet<K>, &mut Steps<'_>) -> Result<R, Error>,
    ) -> Result<(Arc<KeySet<K>>, R), Error> {
        let (result, [_, after]) = self.inner.set.update_generations(|set| {
            let (lives, terms) = (set.lives(), set.terms());
            let mut steps = Steps::new(lives, set.timeline(), &terms, self.inner.clock.now());
            let result = step(set, &mut steps)?;
            let now = steps.now();
            let Some(lives) = steps.finish() else { return Ok((None, result)) };
            let keys = set.keys().iter().chain(added).zip(lives);
            let keys = keys.map(|(key, life)| key.with_life(life)).collect();
            let next = KeySet::new(keys, set.generation() + 1, now, *set.policy(), self.name())?;
            Ok::<_, Error>((Some(next.inherit_origin(set)), result))
        })?;
        Ok((after, result))
    }
}

/// Steps that are taken although a check refuses them: see [`KeyRing::force`].
#[derive(Debug)]
#[must_use = "nothing is forced until one of its steps is taken"]
pub struct ForceRing<'r, K: KeyMaterial> {
    ring: &'r KeyRing<K>,
    reason: &'r str,
}

impl<K: KeyMaterial> ForceRing<'_, K> {
    /// Makes the key `kid` the primary although it expires soon, and reports the reason to the
    /// observer: instances that have not reloaded by then reject what it signs.
    ///
    /// # Errors
    /// As for [`promote`](KeyRing::promote), except [`Error::ExpiresSoon`].
    pub fn promote(self, kid: &Kid) -> Result<Promotion, Error> {
        let promotion = self.ring.apply_promotion(kid, true)?;
        if promotion.superseded != *kid {
            self.ring.inner.emit(Event::Forced {
                ring: self.ring.name(),
                kid: *kid,
                reason: self.reason,
            });
        }
        Ok(promotion)
    }

    /// Rolls back although the key before expires soon, and reports the reason to the observer:
    /// instances that have not reloaded by then reject what it signs.
    ///
    /// # Errors
    /// As for [`rollback`](KeyRing::rollback), except [`Error::ExpiresSoon`].
    pub fn rollback(self) -> Result<Promotion, Error> {
        let promotion = self.ring.apply_rollback(true)?;
        let kid = promotion.kid;
        self.ring.inner.emit(Event::Forced { ring: self.ring.name(), kid, reason: self.reason });
        Ok(promotion)
    }

    /// Ends the key `kid` at once, whatever the verdict on it, and reports the reason to the observer:
    /// what it signed is refused, and what it sealed cannot be opened.
    ///
    /// # Errors
    /// As for [`retire`](KeyRing::retire), but for [`Error::Blocked`].
    pub fn retire(self, kid: &Kid) -> Result<(), Error> {
        self.ring.check_unfollowed()?;
        let (_, verifies_until) = self.ring.change(None, |_, steps| steps.cut(kid))?;
        self.ring.inner.emit(Event::Forced {
            ring: self.ring.name(),
            kid: *kid,
            reason: self.reason,
        });
        self.ring.inner.emit(Event::Retired { ring: self.ring.name(), kid: *kid, verifies_until });
        Ok(())
    }

    /// [`KeyRing::restage`], for every purpose.
    ///
    /// # Security
    /// Tokens and sessions that this key signed, and that have not reached their own end, are
    /// valid again.
    ///
    /// # Errors
    /// As for [`restage`](KeyRing::restage), except [`Error::RestageNeedsForce`].
    pub fn restage(self, kid: &Kid) -> Result<(), Error> {
        self.ring.apply_restage(kid)?;
        self.ring.inner.emit(Event::Forced {
            ring: self.ring.name(),
            kid: *kid,
            reason: self.reason,
        });
        Ok(())
    }
}
