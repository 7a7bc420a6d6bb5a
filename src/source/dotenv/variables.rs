//! Between a manifest and the variables of a `.env` file.

use zeroize::Zeroizing;

use super::lines::Lines;
use super::{DotenvStore, SUFFIXES};
use crate::key::Signs;
use crate::manifest::{Entry, Manifest};
use crate::ring::KeyState;
use crate::secret::Secret;
use crate::source::error::StoreError;
use crate::verified::Role;

impl DotenvStore {
    /// Writes the variables of `next` into `lines`.
    pub(super) fn render(&self, next: &Manifest, lines: &mut Lines) -> Result<(), StoreError> {
        let wanted = self.variables(next)?;
        let names: Vec<_> =
            SUFFIXES.iter().map(|suffix| format!("{}{suffix}", self.ring)).collect();
        let after: Vec<_> = names.iter().map(String::as_str).collect();
        // New ones first, which look like the others, and come after them.
        for (variable, text) in &wanted {
            lines.set(variable, text, &after).map_err(|unclear| self.unclear(variable, unclear))?;
        }
        for variable in names.iter().filter(|own| wanted.iter().all(|(other, _)| other != *own)) {
            lines.remove(variable).map_err(|unclear| self.unclear(variable, unclear))?;
        }
        Ok(())
    }

    pub(super) fn is_rendered(&self, next: &Manifest, lines: &Lines) -> bool {
        let Ok(wanted) = self.variables(next) else { return false };
        SUFFIXES.iter().all(|suffix| {
            let variable = format!("{}{suffix}", self.ring);
            let found = lines.value(&variable).ok().flatten().filter(|own| !own.is_empty());
            let own = wanted.iter().find(|(other, _)| *other == variable);
            found.as_deref() == own.map(|(_, text)| &**text)
        })
    }

    /// The variables of `next`, with their values.
    fn variables(&self, next: &Manifest) -> Result<Vec<(String, Zeroizing<String>)>, StoreError> {
        let unfit = |problem| Err(StoreError::Unfit { store: self.name(), problem });
        let now = next.changed_at();
        let (mut verifying, mut staged) = (Vec::new(), Vec::new());
        for key in next.keys().iter().filter(|key| key.secret().is_some()) {
            match next.state(&key.kid(), now) {
                Some(KeyState::Active(Role::Staged)) => staged.push(key),
                // One that has come to its end stands there until it is destroyed.
                Some(KeyState::Active(_) | KeyState::Retired) => verifying.push(key),
                Some(KeyState::Revoked) | None => {}
            }
        }
        if verifying.len() > 3 {
            return unfit("there is room for two fallbacks, X_OLD and X_BACKUP: retire one first");
        }
        if staged.len() > 1 {
            return unfit("there is room for one staged key, X_NEXT: promote or retire it first");
        }
        if staged.iter().any(|key| matches!(key.signs(), Signs::From(_))) {
            return unfit("a key in it cannot promote itself: stage it without a moment");
        }
        verifying.sort_by_key(|key| std::cmp::Reverse(key.life.begun(now)));
        let named = ["", "_OLD", "_BACKUP"].into_iter().zip(verifying);
        let all = named.chain(staged.into_iter().map(|key| ("_NEXT", key)));
        all.map(|(suffix, key)| self.variable(suffix, key)).collect()
    }

    fn variable(
        &self,
        suffix: &str,
        key: &Entry,
    ) -> Result<(String, Zeroizing<String>), StoreError> {
        let secret = key.secret().map(Secret::expose).unwrap_or_default();
        let text = self.purpose.encode(secret);
        Ok((format!("{}{suffix}", self.ring), text))
    }
}
