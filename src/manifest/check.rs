//! What a manifest must be, and what may come into it.

use super::{Entry, Manifest, NewEntry, bounds, entry};
use crate::error::Error;
use crate::lifecycle::admission::{Rules, check, is_below_floor};
use crate::lifecycle::timeline::Timeline;
use crate::lifecycle::{Policy, SigningStart};
use crate::purpose::Purpose;
use crate::text::is_hidden;

impl Manifest {
    /// Whether it is of this ring, this environment and this purpose.
    pub(crate) fn check_is(
        &self,
        ring: &str,
        environment: &str,
        purpose: Purpose,
    ) -> Result<(), Error> {
        for (what, expected, found) in [
            ("ring", ring, self.ring()),
            ("environment", environment, self.environment()),
            ("purpose", purpose.as_str(), self.purpose().as_str()),
        ] {
            if expected != found {
                let (expected, found) = (expected.to_owned(), found.to_owned());
                return Err(Error::Foreign { what, expected, found });
            }
        }
        Ok(())
    }

    /// Whether it is of what `current` is of, so that it may take its place.
    pub(crate) fn check_same(&self, current: &Self) -> Result<(), Error> {
        self.check_is(current.ring(), current.environment(), current.purpose())
    }

    /// Checks that a ring can be made of it, now and at every moment ahead.
    pub(super) fn validate(self) -> Result<Self, Error> {
        for (what, name) in [("ring", &self.ring), ("environment", &self.environment)] {
            if name.is_empty() || name.len() > 128 || name.chars().any(is_hidden) {
                return Err(Error::manifest(format!(
                    "the name of the {what} must have 1 to 128 bytes, and no character that is not \
                     shown"
                )));
            }
        }
        bounds::check(&self)?;
        entry::check_all(&self.keys, self.changed_at)?;
        Timeline::new(&self.lives(), self.changed_at, &self.terms(), &self.ring)?;
        Ok(self)
    }

    /// Sets another policy, and checks every secret by it.
    pub(super) fn apply_policy(mut self, policy: Policy) -> Result<Self, Error> {
        self.policy = policy;
        for key in &mut self.keys {
            let Some(secret) = &key.secret else { continue };
            let label = format!("the key `{}`", key.life.kid);
            // A staged key is to sign, and is admitted as one that does.
            let is_fallback = key.life.signing_start == SigningStart::Never;
            let algorithm = key.algorithm.as_deref();
            let rules = lenient_rules(&policy, is_fallback);
            key.life.is_short =
                check(secret, &label, is_fallback, self.purpose, algorithm, &rules)?;
            key.life.is_guessable =
                key.life.is_short || is_below_floor(secret, self.purpose, algorithm);
        }
        Ok(self)
    }

    /// Admits a new key.
    pub(super) fn admit(&self, new: NewEntry, is_fallback: bool) -> Result<Entry, Error> {
        new.admit(self.purpose, &lenient_rules(&self.policy, is_fallback), is_fallback, |first| {
            self.free_number(first)
        })
    }
}

/// The rules of admission to a manifest: no placeholder, and old keys of any length.
fn lenient_rules(policy: &Policy, is_fallback: bool) -> Rules {
    Rules { allow_short_fallbacks: is_fallback, ..Rules::from_policy(policy) }
}
