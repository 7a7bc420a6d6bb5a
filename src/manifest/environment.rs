//! A manifest that continues with each reading of a source that is edited by hand.
//!
//! It guarantees: the source decides which keys there are and which of them signs, but the
//! secret of a revoked or destroyed key is refused under every name; the next manifest has a
//! higher revision than the one before, or is the same.

use std::time::SystemTime;

use super::bounds::next_revision;
use super::recogniser::Candidate;
use super::{Entry, Manifest, NewEntry, json};
use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::Role;
use crate::lifecycle::admission::numbered_kid;
use crate::lifecycle::timeline::Timeline;
use crate::lifecycle::transitions::Steps;
use crate::secret::Secret;

/// A secret with the name of its variable.
type Named = (String, Secret);

/// A document without secrets, joined with the secrets that were found.
pub(crate) struct Marked {
    /// Not checked yet: the keys of which no secret was found are left out.
    manifest: Manifest,
    is_less: bool,
}

impl Marked {
    pub(crate) fn read(
        text: &[u8],
        signing: &[Named],
        next: Option<&Named>,
    ) -> Result<Self, Error> {
        let found: Vec<_> = signing.iter().chain(next).map(|(_, secret)| secret).collect();
        let (manifest, is_less) = json::read_marked(text, &found)?;
        Ok(Self { manifest, is_less })
    }

    /// The manifest that was written, if every secret of it was found.
    pub(crate) fn whole(&self) -> Option<Manifest> {
        self.manifest.clone().validate().ok().filter(|_| !self.is_less)
    }

    /// The keys that were found, and the records of the others.
    pub(crate) fn partial(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest after `signing` and `next`, which are all that there is.
    pub(crate) fn with_found(
        &self,
        signing: &[Named],
        next: Option<&Named>,
        now: SystemTime,
    ) -> Result<Manifest, Error> {
        let mut manifest = self.manifest.with_found(signing, next, now)?;
        if self.is_less && manifest.revision == self.manifest.revision {
            // The removal of a variable is a change as well.
            manifest.revision = next_revision(self.manifest.revision)?;
            manifest.changed_at = now.max(manifest.changed_at);
        }
        manifest.validate()
    }
}

impl Manifest {
    /// Writes the document with marks in the place of the secrets.
    pub(crate) fn to_marked(&self) -> Result<Secret, Error> {
        json::write_marked(self)
    }

    /// The manifest after `signing`, of which the first is the primary, and the staged `next`
    /// are all that there is. It is the same if that is no news.
    ///
    /// The source decides: a key that had expired becomes live again in the role of the
    /// variable that it was moved to.
    pub(crate) fn with_found(
        &self,
        signing: &[Named],
        next: Option<&Named>,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let now = now.max(self.changed_at);
        if let Some((_, refusal)) = self.find_final(signing, next) {
            return Err(refusal);
        }
        let (lives, terms) = (self.lives(), self.terms());
        // Without a primary, where the one that signed is gone already.
        let timeline = Timeline::new_unchecked(&lives, self.changed_at, &terms);
        let mut steps = Steps::new(lives, &timeline, &terms, now);
        let mut manifest = self.clone();
        let primary = signing.iter().take(1).map(|named| (named, Role::Primary));
        let fallbacks = signing.iter().skip(1).map(|named| (named, Role::Fallback));
        let staged = next.map(|named| (named, Role::Staged));
        for ((variable, secret), role) in primary.chain(fallbacks).chain(staged) {
            let is_fallback = role == Role::Fallback;
            let index = manifest.find_or_add(variable, secret, is_fallback, now)?;
            if index == steps.lives.len() {
                steps.lives.push(manifest.keys[index].life.clone());
            }
            steps.assign_role(index, role);
        }
        let (lives, recorded) = steps.finish_assignment();
        let mut manifest = manifest.with_lives(lives);
        // Deliberately after new keys came in, so that none gets the number of one that is
        // left out. The record of a revoked or destroyed key stays: it does not come back.
        let found = || signing.iter().chain(next).map(|(_, secret)| secret);
        let is_kept = |key: &Entry| is_final(key) || found().any(|secret| is_of(key, secret));
        manifest.keys.retain(is_kept);
        if manifest.lives() == recorded {
            return Ok(self.clone());
        }
        manifest.finish_change(self.revision, now)
    }

    /// This manifest with the variables of its keys, which are those of `found`, and with the dangers
    /// that they show.
    pub(crate) fn with_variables<'f>(
        mut self,
        found: impl Iterator<Item = &'f Named> + Clone,
        warnings: Vec<(String, &'static str)>,
    ) -> Self {
        for key in &mut self.keys {
            let source = found.clone().find(|(_, secret)| is_of(key, secret));
            key.variable = source.map(|(variable, _)| variable.clone());
        }
        self.warnings = warnings;
        self
    }

    /// The first variable that holds the secret of a revoked or destroyed key of this manifest,
    /// and the refusal, which names the kid.
    pub(crate) fn find_final<'f>(
        &self,
        signing: &'f [Named],
        next: Option<&'f Named>,
    ) -> Option<(&'f str, Error)> {
        let ended: Vec<_> = self.keys.iter().filter(|key| is_final(key)).collect();
        signing.iter().chain(next).find_map(|(variable, secret)| {
            let candidate = Candidate::new(secret);
            let is_own = |key: &&&Entry| key.is_wiped_secret(&candidate) || is_of(key, secret);
            Some((variable.as_str(), ended.iter().find(is_own)?.refusal()))
        })
    }

    /// This manifest in the place of `held`: with a higher revision, or `held` itself if both
    /// are the same but for that. It keeps the records of revoked and destroyed keys.
    pub(crate) fn continue_from(mut self, held: &Self, now: SystemTime) -> Result<Self, Error> {
        for key in held.keys.iter().filter(|key| is_final(key)) {
            let is_known = key.names().any(|name| self.key(&name).is_some());
            if !is_known {
                self.keys.push(key.clone());
            }
        }
        if self.revision > held.revision {
            return self.validate();
        }
        if self.is_like(held) {
            return Ok(held.clone());
        }
        self.revision = next_revision(held.revision)?;
        self.changed_at = now.max(held.changed_at).max(self.changed_at);
        self.validate()
    }

    /// Returns `true` if a key is revoked or destroyed here that is neither in `other`.
    pub(crate) fn ends_more_than(&self, other: Option<&Self>) -> bool {
        let is_final_there =
            |key: &Entry| other.and_then(|other| other.key(&key.life.kid)).is_some_and(is_final);
        self.keys.iter().any(|key| is_final(key) && !is_final_there(key))
    }

    /// The live keys of this manifest that `record` says are revoked, with the reasons. A
    /// record that has a recogniser is compared by the secret, because a kid that was counted
    /// differs between processes.
    pub(crate) fn revoked_by(&self, record: &Self) -> Vec<(Kid, String)> {
        let revoked = record.keys.iter().filter_map(|key| Some((key, key.revoked()?)));
        let found = revoked.filter_map(|(entry, revocation)| {
            let is_own = |key: &&Entry| match (&entry.recogniser, &key.secret) {
                _ if is_final(key) => false,
                (Some(recogniser), Some(secret)) => recogniser.is_match(&Candidate::new(secret)),
                _ => key.life.kid == entry.life.kid,
            };
            let held = self.keys.iter().find(is_own)?;
            Some((held.life.kid, revocation.reason.clone()))
        });
        found.collect()
    }

    /// Whether both hold the same keys with the same times, whatever the revision.
    fn is_like(&self, other: &Self) -> bool {
        let is_same = |(one, other): (&Entry, &Entry)| {
            let secrets = (&one.secret, &other.secret);
            one.life == other.life
                && one.aliases == other.aliases
                && one.algorithm == other.algorithm
                && one.forced_steps == other.forced_steps
                && one.recogniser.is_some() == other.recogniser.is_some()
                && match secrets {
                    (Some(secret), Some(_)) => is_of(other, secret),
                    (secret, other) => secret.is_none() == other.is_none(),
                }
        };
        self.policy == other.policy
            && self.keys.len() == other.keys.len()
            && self.keys.iter().zip(&other.keys).all(is_same)
    }

    /// The number of the next key that is numbered: from `first`, or else from its place, the
    /// first that no key has.
    pub(super) fn free_number(&self, first: Option<usize>) -> usize {
        let is_free = |number: &usize| {
            let name = numbered_kid(self.purpose, *number);
            !self.keys.iter().flat_map(Entry::names).any(|kid| kid.as_str() == name)
        };
        let first = first.unwrap_or(self.keys.len() + 1);
        (first..).find(is_free).unwrap_or(first)
    }

    /// The place of the key with `secret`, which is added if it is new.
    fn find_or_add(
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
        let key = self.admit(new, is_fallback)?;
        self.keys.push(key.verify_only(now));
        Ok(self.keys.len() - 1)
    }
}

/// Whether the key is revoked or destroyed, and so never verifies again.
fn is_final(key: &Entry) -> bool {
    !key.life.is_alive()
}

fn is_of(key: &Entry, secret: &Secret) -> bool {
    // Both are of this process, so that the time of the comparison reveals nothing to others.
    key.secret.as_ref().is_some_and(|held| held.expose() == secret.expose())
}
