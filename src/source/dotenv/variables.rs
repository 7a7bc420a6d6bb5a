//! Between a manifest and the variables of a `.env` file.

use zeroize::Zeroizing;

use super::DotenvStore;
use super::lines::Lines;
use super::problem::{LineProblem, Unclear};
use crate::error::Error;
use crate::lifecycle::Role;
use crate::lifecycle::SigningStart;
use crate::lifecycle::{KeyState, admission};
use crate::manifest::{Entry, Manifest};
use crate::secret::Secret;
use crate::source::error::StoreError;
use crate::variable_names::{NEW, NEXT, SUFFIXES};

impl DotenvStore {
    /// Writes the variables of `next` into `lines`.
    pub(super) fn render(&self, next: &Manifest, lines: &mut Lines) -> Result<(), StoreError> {
        let written = self.read_values(lines)?;
        let text_of = |(variable, key)| self.text_of(variable, key, &written);
        let wanted = self.variables(next, &self.current_secrets(lines))?;
        let wanted: Vec<_> = wanted.into_iter().map(text_of).collect::<Result<_, _>>()?;
        self.check_shared(lines, &wanted, &written)?;
        let names: Vec<_> = SUFFIXES.iter().map(|suffix| self.variable(suffix)).collect();
        let after: Vec<_> = names.iter().map(String::as_str).collect();
        // New ones first, which look like the others, and come after them.
        for (variable, text) in &wanted {
            lines.set(variable, text, &after).map_err(|unclear| self.line_error(unclear))?;
        }
        for variable in names.iter().filter(|name| wanted.iter().all(|(other, _)| other != *name)) {
            lines.remove(variable).map_err(|unclear| self.line_error(unclear))?;
        }
        Ok(())
    }

    /// Fails if a value is new in a file that a tool encrypts. Each edit of another program breaks
    /// the MAC of sops.
    fn check_shared(
        &self,
        lines: &Lines,
        wanted: &[(String, Zeroizing<String>)],
        written: &[Zeroizing<String>],
    ) -> Result<(), StoreError> {
        let Some(shared) = lines.find_shared() else { return Ok(()) };
        let is_new = |(_, text): &&(String, Zeroizing<String>)| {
            shared.tool == "sops" || !written.contains(text)
        };
        let Some((variable, _)) = wanted.iter().find(is_new) else { return Ok(()) };
        let (tool, marker, marker_line) = (shared.tool, shared.variable, shared.line);
        Err(self.line_error(Unclear {
            line: None,
            variable: variable.clone(),
            problem: LineProblem::Shared { tool, marker, marker_line },
        }))
    }

    /// The variables of `next`, with their keys, after `current`.
    pub(super) fn variables<'m>(
        &self,
        next: &'m Manifest,
        current: &[(String, Secret)],
    ) -> Result<Vec<(String, &'m Entry)>, StoreError> {
        let unfit = |problem| Err(StoreError::Unfit { store: self.name(), problem });
        let now = next.changed_at();
        let (mut verifying, mut staged) = (Vec::new(), Vec::new());
        for key in next.keys().iter().filter(|key| key.secret().is_some()) {
            match next.state(&key.kid(), now) {
                Some(KeyState::Live(Role::Staged)) => staged.push(key),
                // An expired key keeps its variable until it is destroyed.
                Some(KeyState::Live(_) | KeyState::Expired) => verifying.push(key),
                Some(KeyState::Revoked | KeyState::Destroyed) | None => {}
            }
        }
        // Services that read `X_NEW` are there, if it is set.
        let new = self.variable(NEW);
        let has_new = current.iter().any(|(variable, _)| *variable == new);
        if verifying.len() > 4 || verifying.len() > 3 && !has_new {
            return unfit(
                "there is room for two fallbacks, X_OLD and X_BACKUP: retire one first, or revoke a \
                 compromised key without a new one (`dualkey revoke`)",
            );
        }
        if staged.len() > 1 {
            return unfit("there is room for one staged key, X_NEXT: promote or retire it first");
        }
        if staged.iter().any(|key| matches!(key.signing_start(), SigningStart::From(_))) {
            return unfit("a key in it cannot promote itself: stage it without a moment");
        }
        verifying.sort_by_key(|key| std::cmp::Reverse(key.life.past_start(now)));
        let named = self.assign_slots(verifying, current).into_iter();
        let all = named.chain(staged.into_iter().map(|key| (NEXT, key)));
        Ok(all.map(|(suffix, key)| (self.variable(suffix), key)).collect())
    }

    /// The values of the variables as they are written, the first that is set first.
    fn read_values(&self, lines: &Lines) -> Result<Vec<Zeroizing<String>>, StoreError> {
        let mut written = Vec::new();
        for suffix in SUFFIXES {
            let variable = self.variable(suffix);
            let value = lines.value(&variable).map_err(|unclear| self.line_error(unclear))?;
            written.extend(value.filter(|value| !value.is_empty()));
        }
        Ok(written)
    }

    /// The text of a key: as it is written already, or in the form of the others, which is the
    /// form that the readers of the file know.
    fn text_of(
        &self,
        variable: String,
        key: &Entry,
        written: &[Zeroizing<String>],
    ) -> Result<(String, Zeroizing<String>), StoreError> {
        let secret = key.secret().map(Secret::expose).unwrap_or_default();
        let is_same = |text: &&Zeroizing<String>| {
            let decoded = self.purpose.decode(text.as_str().to_owned());
            decoded.is_ok_and(|known| known.expose() == secret)
        };
        let text = match written.iter().find(is_same) {
            Some(text) => text.clone(),
            None => self.purpose.encode_like(secret, written.first().map(|text| text.as_str())),
        };
        // The next reading would refuse it, and with it the whole file.
        match admission::form_of(&text, &variable, self.purpose) {
            Some(form) => Err(StoreError::Refused(Error::NotASecret { key: variable, form })),
            None => Ok((variable, text)),
        }
    }
}
