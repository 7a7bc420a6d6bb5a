//! The assignment of keys to the variables of a `.env` file.

use super::DotenvStore;
use super::lines::Lines;
use crate::kid::Kid;
use crate::manifest::Entry;
use crate::secret::Secret;
use crate::variable_names::{SIGNING, SUFFIXES};

impl DotenvStore {
    /// Has a key that `is_apart` from the primary keep its variable: it belongs to something else
    /// that reads the file.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "operators use it, behind a feature")
    )]
    pub(crate) fn keep_variable_if(mut self, is_apart: fn(&[u8], &[u8]) -> bool) -> Self {
        self.is_apart = Some(is_apart);
        self
    }

    /// The variable whose value is `secret`, as the file is now.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "operators use it, behind a feature")
    )]
    pub(crate) fn variable_of(&self, secret: &[u8]) -> Option<String> {
        let text = crate::source::disk::read_edited(self.path(), super::MAX_BYTES).ok()?;
        let lines = Lines::parse(&text);
        let mut names = SUFFIXES.iter().map(|suffix| self.variable(suffix));
        names.find(|name| {
            let value = lines.value(name).ok().flatten();
            let value = value.and_then(|value| self.purpose.decode(value.as_str().to_owned()).ok());
            value.is_some_and(|value| value.expose() == secret)
        })
    }

    /// The secrets of the variables, as `lines` have them.
    pub(super) fn current_secrets(&self, lines: &Lines) -> Vec<(String, Secret)> {
        let all = SUFFIXES.iter().filter_map(|suffix| {
            let variable = self.variable(suffix);
            let value = lines.value(&variable).ok().flatten()?;
            let secret = self.purpose.decode(value.as_str().to_owned()).ok()?;
            Some((variable, secret))
        });
        all.collect()
    }

    /// Which of the keys in `verifying`, of which the first is the primary, gets which variable,
    /// where `current` are those of now.
    pub(super) fn assign_slots<'m>(
        &self,
        verifying: Vec<&'m Entry>,
        current: &[(String, Secret)],
    ) -> Vec<(&'static str, &'m Entry)> {
        // `X_NEW` is for a fourth alone.
        let slots = &SIGNING[usize::from(verifying.len() < SIGNING.len())..];
        let secret = |key: &&'m Entry| key.secret().map(Secret::expose);
        let primary = verifying.first().and_then(secret);
        let slot_of = |key: &&'m Entry| {
            let value = secret(key)?;
            let is_apart =
                self.is_apart.zip(primary).is_some_and(|(apart, first)| apart(first, value));
            let place = current.iter().find(|(_, other)| is_apart && other.expose() == value)?;
            let kept = place.0.strip_prefix(self.ring.as_str())?;
            slots.iter().copied().skip(1).find(|slot| *slot == kept)
        };
        let kept: Vec<(Kid, &'static str)> =
            verifying.iter().skip(1).filter_map(|key| Some((key.kid(), slot_of(key)?))).collect();
        let is_free = |slot: &&'static str| kept.iter().all(|(_, taken)| taken != slot);
        let mut free = slots.iter().copied().filter(is_free);
        let slot = |key: &'m Entry| {
            let held = kept.iter().find(|(kid, _)| *kid == key.kid()).map(|(_, slot)| *slot);
            Some((held.or_else(|| free.next())?, key))
        };
        let mut all: Vec<_> = verifying.into_iter().filter_map(slot).collect();
        all.sort_by_key(|(slot, _)| SIGNING.iter().position(|known| known == slot));
        all
    }
}
