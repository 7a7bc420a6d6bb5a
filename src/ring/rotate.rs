//! The transitions of a ring: each computes the next generation from the current
//! one, and swaps it in.

use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use super::KeyRing;
use super::admit::{only_fallbacks_end, prepare, scheduled};
use super::key_set::{KeySet, KeyState, overlap_end};
use crate::error::Error;
use crate::key::{Key, KeyMaterial, NewKey, Revocation, Signs};
use crate::kid::Kid;
use crate::observer::Event;
use crate::verified::Role;

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
    /// With [`signs_from`](NewKey::signs_from) it promotes itself at that moment,
    /// on every instance that was told.
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
    /// assert_eq!(set.state(&kid, SystemTime::now()), Some(KeyState::Active(Role::Staged)));
    /// assert_eq!(set.primary(tomorrow).kid(), kid);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the builder refuses; [`Error::Revoked`] if the secret was revoked
    /// before; [`Error::NotAhead`] if its `signs_from` is not ahead. The ring stays
    /// as it is.
    pub fn stage(&self, key: impl Into<NewKey<K>>) -> Result<Kid, Error> {
        let (new, signs_from) = self.prepare_new(&key.into())?;
        self.change(|set, now| {
            let mut key = new.clone();
            key.signs = match signs_from {
                Some(moment) => scheduled(&key, moment, now)?,
                None => Signs::Unscheduled,
            };
            key.sequence = next_sequence(set);
            Ok(Some([set.keys(), &[key]].concat()))
        })?;
        let kid = new.kid();
        self.inner.tell(Event::Staged { ring: self.name(), kid, signs_from });
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
    /// assert_eq!(ring.primary(), kid);
    /// assert!(promotion.verifies_until.is_some()); // come back then
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::Revoked`], [`Error::Retired`] if it has come
    /// to its end, or [`Error::TooShortToSign`] if it is a short fallback that was let
    /// in. The ring stays as it is.
    pub fn promote(&self, kid: &Kid) -> Result<Promotion, Error> {
        let mut superseded = *kid;
        let set = self.change(|set, now| {
            let index = find(set, kid)?;
            superseded = set.primary(now).kid();
            match set.state(kid, now) {
                Some(KeyState::Active(Role::Primary)) => return Ok(None),
                Some(KeyState::Retired) => return Err(Error::Retired { kid: *kid }),
                _ => {}
            }
            promoted(set, index, now).map(Some)
        })?;
        if superseded != *kid {
            self.inner.tell(Event::Promoted { ring: self.name(), kid: *kid });
        }
        Ok(Promotion { kid: *kid, superseded, verifies_until: set.ends_at(&superseded) })
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
    /// [`Error::NothingToRollBack`]. The ring stays as it is.
    pub fn rollback(&self) -> Result<Promotion, Error> {
        let mut kids = None;
        let set = self.change(|set, now| {
            let primary = set.primary(now);
            let previous = (0..set.keys().len())
                .filter(|index| set.keys()[*index].kid() != primary.kid())
                .filter(|index| set.keys()[*index].revoked.is_none())
                .filter_map(|index| Some((set.keys()[index].begun(now)?, index)))
                .max()
                .ok_or(Error::NothingToRollBack { kid: primary.kid() })?
                .1;
            kids = Some((set.keys()[previous].kid(), primary.kid()));
            promoted(set, previous, now).map(Some)
        })?;
        let (kid, superseded) = kids.expect("a change that succeeded has named its keys");
        self.inner.tell(Event::RolledBack { ring: self.name(), kid });
        Ok(Promotion { kid, superseded, verifies_until: set.ends_at(&superseded) })
    }

    /// Settles when the key `kid` stops verifying, and returns that moment: the end
    /// of its overlap; for a key whose past is not known, counted from when it came
    /// into the ring; for one that never signed, now.
    ///
    /// It never cuts an overlap short: for a key that is compromised there is
    /// [`revoke`](Self::revoke). Once that moment has come, the key does not come
    /// back, not even if the one that took over is revoked.
    ///
    /// An encryption key has no end until it is retired, and what it sealed cannot be
    /// opened after it: retire it once nothing that is stored needs it.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::cookie::CookieKey;
    /// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
    /// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
    /// let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build()?;
    /// let before = ring.primary();
    /// let kid = ring.stage(Secret::from(new))?;
    /// let promotion = ring.promote(&kid)?;
    ///
    /// assert_eq!(Some(ring.retire(&before)?), promotion.verifies_until);
    /// assert!(ring.retire(&kid).is_err()); // it is the primary
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::Revoked`], or [`Error::IsPrimary`]. The ring
    /// stays as it is.
    pub fn retire(&self, kid: &Kid) -> Result<SystemTime, Error> {
        let mut ends = SystemTime::UNIX_EPOCH;
        self.change(|set, now| {
            let index = find(set, kid)?;
            let key = &set.keys()[index];
            let due = match (set.state(kid, now), key.signs) {
                (Some(KeyState::Active(Role::Primary)), _) => {
                    return Err(Error::IsPrimary { kid: *kid });
                }
                (Some(KeyState::Active(Role::Staged)), _) => now,
                (_, Signs::Never) => {
                    key.added_at().checked_add(self.overlap()).map_or(now, |due| due.max(now))
                }
                _ => overlap_end(set.keys(), index, self.overlap()).unwrap_or(now),
            };
            ends = key.retire_at.map_or(due, |earlier| earlier.min(due));
            let mut keys = set.keys().to_vec();
            keys[index].retire_at = Some(ends);
            if set.state(kid, now) == Some(KeyState::Active(Role::Staged)) {
                // Withdrawn: an end that it would have given to others is not to be.
                keys[index].signs = Signs::Never;
            }
            Ok(Some(keys))
        })?;
        self.inner.tell(Event::Retired { ring: self.name(), kid: *kid, ends });
        Ok(ends)
    }

    /// Declares the key `kid` compromised: it verifies nothing from the next load
    /// on, for good. If it was the primary, the one before it takes over again, as
    /// far as that has not come to its end.
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
    /// let leaked = ring.primary();
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
    /// signs: then [`revoke_and_replace`](Self::revoke_and_replace) is what you
    /// want. The ring stays as it is.
    pub fn revoke(&self, kid: &Kid, reason: &str) -> Result<(), Error> {
        let mut changed = false;
        self.change(|set, now| {
            let mut next = revoked(set, kid, reason, now)?;
            changed = next.is_some();
            // Who takes over signs, and is to verify what it signs: an end that was
            // settled while it had a successor no longer holds.
            let heir = next
                .iter_mut()
                .flatten()
                .filter(|key| key.revoked.is_none() && key.retire_at.is_none_or(|end| now < end))
                .filter_map(|key| Some((key.begun(now)?, key)))
                .max_by_key(|(begun, _)| *begun);
            if let Some((_, heir)) = heir {
                heir.retire_at = None;
            }
            Ok(next)
        })?;
        if changed {
            self.inner.tell(Event::Revoked { ring: self.name(), kid: *kid, reason });
        }
        Ok(())
    }

    /// Revokes the key `kid` and makes `replacement` the primary, in one swap: it signs
    /// from now on, whatever its [`signs_from`](NewKey::signs_from).
    ///
    /// Instances that do not know the replacement refuse what it signs until they
    /// are told. Where there is a moment for it, stage the replacement everywhere
    /// first, promote it, and revoke then.
    ///
    /// ```
    /// # use dualkey::{KeyRing, Secret};
    /// # use dualkey::cookie::CookieKey;
    /// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
    /// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
    /// let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build()?;
    /// let leaked = ring.primary();
    /// let kid = ring.revoke_and_replace(&leaked, "in a public log", Secret::from(new))?;
    /// assert_eq!(ring.primary(), kid);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`revoke`](Self::revoke) and [`stage`](Self::stage). The ring stays
    /// as it is.
    pub fn revoke_and_replace(
        &self,
        kid: &Kid,
        reason: &str,
        replacement: impl Into<NewKey<K>>,
    ) -> Result<Kid, Error> {
        let (new, _) = self.prepare_new(&replacement.into())?;
        self.change(|set, now| {
            let mut keys = revoked(set, kid, reason, now)?.unwrap_or_else(|| set.keys().to_vec());
            let mut key = new.clone();
            (key.signs, key.sequence) = (Signs::From(now), next_sequence(set));
            keys.push(key);
            Ok(Some(keys))
        })?;
        self.inner.tell(Event::Revoked { ring: self.name(), kid: *kid, reason });
        self.inner.tell(Event::Promoted { ring: self.name(), kid: new.kid() });
        Ok(new.kid())
    }

    /// Checks and prepares outside of the swap, which may run more than once.
    fn prepare_new(&self, new: &NewKey<K>) -> Result<(Key<K>, Option<SystemTime>), Error> {
        let label = new.label(|| "the new key".to_owned());
        only_fallbacks_end(new, &label)?;
        let ordinal = self.inner.ordinal.fetch_add(1, Relaxed);
        let now = self.inner.clock.now();
        let key = prepare(new, &label, false, &self.inner.rules, ordinal, now)?;
        Ok((key, new.signs_from))
    }

    /// Swaps in the keys that `step` makes of the current set; `None` leaves it.
    /// The set that holds afterwards is returned.
    fn change(
        &self,
        mut step: impl FnMut(&KeySet<K>, SystemTime) -> Result<Option<Vec<Key<K>>>, Error>,
    ) -> Result<std::sync::Arc<KeySet<K>>, Error> {
        self.inner.set.update(|set| {
            // A clock that jumped back does not put a change before the last one.
            let now = self.inner.clock.now().max(set.as_of());
            let next = step(set, now)?
                .map(|keys| {
                    KeySet::new(keys, set.generation() + 1, now, self.overlap(), self.name())
                })
                .transpose()?;
            Ok::<_, Error>((next, ()))
        })?;
        Ok(self.load())
    }
}

fn find<K: KeyMaterial>(set: &KeySet<K>, kid: &Kid) -> Result<usize, Error> {
    let index = set.keys().iter().position(|key| key.kid() == *kid);
    let index = index.ok_or(Error::UnknownKey { kid: *kid })?;
    match set.keys()[index].revoked {
        Some(_) => Err(Error::Revoked { kid: *kid }),
        None => Ok(index),
    }
}

fn next_sequence<K: KeyMaterial>(set: &KeySet<K>) -> u64 {
    set.keys().iter().map(|key| key.sequence).max().unwrap_or(0) + 1
}

fn promoted<K: KeyMaterial>(
    set: &KeySet<K>,
    index: usize,
    now: SystemTime,
) -> Result<Vec<Key<K>>, Error> {
    let mut keys = set.keys().to_vec();
    if keys[index].is_short() {
        return Err(Error::TooShortToSign { kid: keys[index].kid() });
    }
    keys[index].signs = Signs::From(now);
    keys[index].sequence = next_sequence(set);
    // To sign with a key is to decide that it stays.
    keys[index].retire_at = None;
    Ok(keys)
}

/// The keys with `kid` revoked; `None` if it is so already.
fn revoked<K: KeyMaterial>(
    set: &KeySet<K>,
    kid: &Kid,
    reason: &str,
    now: SystemTime,
) -> Result<Option<Vec<Key<K>>>, Error> {
    let index = match find(set, kid) {
        Err(Error::Revoked { .. }) => return Ok(None),
        found => found?,
    };
    let mut keys = set.keys().to_vec();
    keys[index].revoked = Some(Revocation { at: now, reason: reason.to_owned() });
    Ok(Some(keys))
}
