//! A manifest that goes on as an environment does which is read again.

use std::time::SystemTime;

use super::{Entry, Manifest, NewEntry};
use crate::error::Error;
use crate::key::Signs;
use crate::secret::Secret;

impl Manifest {
    /// The manifest after `signing`, of which the first is the primary, and the staged `next`
    /// are all that there is. It is the same if that is no news.
    pub(crate) fn with_found(
        &self,
        signing: &[(String, Secret)],
        next: Option<&(String, Secret)>,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let now = now.max(self.changed_at);
        let mut manifest = self.clone();
        let found = || signing.iter().chain(next).map(|(_, secret)| secret);
        manifest.keys.retain(|key| found().any(|secret| is_of(key, secret)));
        for (place, (variable, secret)) in signing.iter().enumerate() {
            let index = manifest.place_of(variable, secret, place > 0, now)?;
            let life = &mut manifest.keys[index].life;
            if place == 0 && life.kid != self.primary(now) {
                life.signs = Signs::From(now);
                life.sequence =
                    self.keys.iter().map(|key| key.life.sequence).max().unwrap_or(0) + 1;
            } else if place > 0 && life.signs == Signs::Unscheduled {
                life.signs = Signs::Never;
            }
        }
        if let Some((variable, secret)) = next {
            let index = manifest.place_of(variable, secret, false, now)?;
            if manifest.keys[index].life.signs == Signs::Never {
                manifest.keys[index].life.signs = Signs::Unscheduled;
            }
        }
        if manifest.lives() == self.lives() {
            return Ok(manifest);
        }
        manifest.revision = self.revision.saturating_add(1);
        manifest.changed_at = now;
        manifest.checked()
    }

    /// The place of the key with `secret`, which is added if it is new.
    fn place_of(
        &mut self,
        variable: &str,
        secret: &Secret,
        is_fallback: bool,
        now: SystemTime,
    ) -> Result<usize, Error> {
        if let Some(index) = self.keys.iter().position(|key| is_of(key, secret)) {
            return Ok(index);
        }
        let new = NewEntry::new(secret.clone()).label(variable);
        let key = self.admitted(new, is_fallback)?;
        self.keys.push(key.only_verifying(now));
        Ok(self.keys.len() - 1)
    }
}

fn is_of(key: &Entry, secret: &Secret) -> bool {
    // Both are of this process, so that the time of the comparison tells nobody anything.
    key.secret.as_ref().is_some_and(|own| own.expose() == secret.expose())
}
