//! A manifest that goes on as an environment does which is read again.

use std::time::SystemTime;

use super::{Entry, Manifest, NewEntry, json};
use crate::error::Error;
use crate::key::Signs;
use crate::ring::Timeline;
use crate::secret::Secret;

impl Manifest {
    /// What a document without secrets says of those that are `signing` and `next`, which are all
    /// that there is.
    pub(crate) fn from_marked(
        text: &[u8],
        signing: &[(String, Secret)],
        next: Option<&(String, Secret)>,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let found: Vec<_> = signing.iter().chain(next).map(|(_, secret)| secret).collect();
        let (mut own, is_less) = json::read_marked(text, &found)?;
        if is_less {
            // Somebody took a variable away: that is a change as well.
            own.revision = own.revision.saturating_add(1);
            own.changed_at = now.max(own.changed_at);
        }
        own.with_found(signing, next, now)?.checked()
    }

    /// The revision of a document, whatever else it holds.
    pub(crate) fn revision_of(text: &[u8]) -> Option<u64> {
        json::read_marked(text, &[]).ok().map(|(own, _)| own.revision)
    }

    /// The document, in which marks stand for the secrets.
    pub(crate) fn to_marked(&self) -> Result<Secret, Error> {
        json::write_marked(self)
    }

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
        // Of what was destroyed the record stays, so that it does not come back.
        let is_kept = |key: &Entry| key.secret.is_none() || found().any(|own| is_of(key, own));
        manifest.keys.retain(is_kept);
        // None, where the one that signed is gone already.
        let timeline = Timeline::new(&self.lives(), self.changed_at, &self.terms(), &self.ring);
        let primary =
            timeline.ok().and_then(|own| own.primary(now)).map(|own| self.keys[own].life.kid);
        for (place, (variable, secret)) in signing.iter().enumerate() {
            let index = manifest.place_of(variable, secret, place > 0, now)?;
            let life = &mut manifest.keys[index].life;
            if place == 0 && Some(life.kid) != primary {
                (life.signs, life.retire_at) = (Signs::From(now), None);
                life.sequence =
                    self.keys.iter().map(|key| key.life.sequence).max().unwrap_or(0) + 1;
            } else if place > 0 && life.signs == Signs::Unscheduled {
                life.signs = Signs::Never;
            }
        }
        if let Some((variable, secret)) = next {
            let index = manifest.place_of(variable, secret, false, now)?;
            let life = &mut manifest.keys[index].life;
            (life.signs, life.retire_at) = (Signs::Unscheduled, None);
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
