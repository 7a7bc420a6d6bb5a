//! Readings of a source that is edited by hand: variables, and the lines of a `.env` file.
//!
//! Such a source has no atomic change: a reader may find half of an edit, or a value of which
//! the end is missing. So the store remembers the reading that it accepted. It guarantees:
//!
//! - The first reading of a process counts.
//! - A different reading counts when the next reading is the same. Until then the store
//!   answers with [`StoreError::Unconfirmed`](super::StoreError::Unconfirmed), and a ring that follows it stays as it is.
//! - A reading that proves to be whole counts at once.
//! - The revision never goes back in a process, whatever the source holds.
//! - A revocation counts at once, also while the reading is not confirmed.
//!
//! It does not guarantee that the first reading of a process is whole, nor that an editor
//! pauses for less than the time between two readings.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::Policy;
use crate::manifest::{Manifest, NewEntry, Revocations};
use crate::purpose::Purpose;
use crate::ring::env::EnvSecrets;
use crate::secret::Secret;

/// What a store remembers of its readings, shared by its clones.
#[derive(Clone, Default)]
pub(super) struct Readings(Arc<Mutex<Memory>>);

impl Readings {
    pub(super) fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading that was accepted last, and one that was seen once.
#[derive(Default)]
pub(super) struct Memory {
    accepted: Option<(ReadingDigest, Manifest)>,
    pending: Option<ReadingDigest>,
}

/// A digest of one reading: of the variables with their secrets, and of the record beside
/// them. It is kept in memory only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadingDigest {
    variables: [u8; 32],
    record: Option<[u8; 32]>,
}

impl ReadingDigest {
    pub(super) fn new(found: &EnvSecrets, record: Option<&[u8]>) -> Self {
        let mut hash = Sha256::new();
        for (variable, secret) in found.all() {
            for part in [variable.as_bytes(), secret.expose()] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        let record = record.map(|text| Sha256::digest(text).into());
        Self { variables: hash.finalize().into(), record }
    }
}

impl Memory {
    /// Returns the accepted manifest.
    pub(super) fn accepted(&self) -> Option<&Manifest> {
        self.accepted.as_ref().map(|(_, manifest)| manifest)
    }

    /// Returns `true` if the accepted reading had the same record.
    pub(super) fn has_record_of(&self, digest: &ReadingDigest) -> bool {
        self.accepted.as_ref().is_some_and(|(accepted, _)| accepted.record == digest.record)
    }

    /// Returns the accepted manifest if `digest` is that of the accepted reading. Then a pending
    /// reading is dropped.
    pub(super) fn recall(&mut self, digest: &ReadingDigest) -> Option<Manifest> {
        let (_, manifest) = self.accepted.as_ref().filter(|(accepted, _)| accepted == digest)?;
        self.pending = None;
        Some(manifest.clone())
    }

    /// Takes `next`, which was made of the reading `digest`, and returns it if it counts: it is
    /// no news, or the first, or it `is_whole`, or the reading before was the same.
    pub(super) fn take(
        &mut self,
        digest: ReadingDigest,
        next: Manifest,
        is_whole: bool,
    ) -> Option<Manifest> {
        let is_seen = self.pending.take() == Some(digest);
        let is_known =
            self.accepted().is_none_or(|accepted| accepted.revision() == next.revision());
        if !(is_known || is_whole || is_seen) {
            self.pending = Some(digest);
            return None;
        }
        self.accepted = Some((digest, next.clone()));
        Some(next)
    }

    /// Forgets the reading that was seen once, because the next one failed.
    pub(super) fn drop_pending(&mut self) {
        self.pending = None;
    }

    /// Revokes in the accepted manifest what `record` says is revoked.
    pub(super) fn revoke(&mut self, record: &Manifest, now: SystemTime) -> RevocationOutcome {
        let revoked =
            self.accepted().map(|accepted| accepted.revoked_by(record)).unwrap_or_default();
        self.revoke_all(revoked, now)
    }

    /// The same for keys that are named by their kids: of a record that cannot be read whole.
    pub(super) fn revoke_all(
        &mut self,
        revoked: Vec<(Kid, String)>,
        now: SystemTime,
    ) -> RevocationOutcome {
        let Some((_, accepted)) = self.accepted.as_mut() else { return RevocationOutcome::Nothing };
        let is_unrevoked = |kid: &Kid| accepted.key(kid).is_some_and(|key| key.revoked().is_none());
        let revoked: Vec<_> = revoked.into_iter().filter(|(kid, _)| is_unrevoked(kid)).collect();
        let mut next = accepted.clone();
        for (kid, reason) in revoked.clone() {
            match next.revoke(&kid, &reason, now) {
                Ok(change) => next = change.manifest,
                // No manifest is without a key that signs: the ring serves nothing then.
                Err(_) => {
                    return RevocationOutcome::Last(Revocations::new(accepted, revoked));
                }
            }
        }
        if next.revision() == accepted.revision() {
            return RevocationOutcome::Nothing;
        }
        *accepted = next.clone();
        RevocationOutcome::Some(Box::new(next))
    }
}

/// The revocations of a reading that does not count otherwise.
pub(super) enum RevocationOutcome {
    Nothing,
    /// The accepted manifest with them, of the next revision.
    Some(Box<Manifest>),
    /// They leave no key that signs.
    Last(Revocations),
}

/// The manifest that a source makes which has no record: nothing says since when its keys sign.
pub(super) struct FirstManifest<'a> {
    pub(super) ring: &'a str,
    pub(super) purpose: Purpose,
    pub(super) environment: &'a str,
    pub(super) policy: Policy,
    /// The algorithm that its keys are bound to, where the purpose leaves a choice.
    pub(super) algorithm: Option<&'a str>,
}

impl FirstManifest<'_> {
    pub(super) fn build_manifest(
        &self,
        found: &EnvSecrets,
        since: SystemTime,
    ) -> Result<Manifest, Error> {
        let entry = |(variable, secret): &(String, Secret)| {
            let new = NewEntry::new(secret.clone()).label(variable);
            match self.algorithm {
                Some(algorithm) => new.algorithm(algorithm),
                None => new,
            }
        };
        let mut signing = found.signing.iter();
        let Some(primary) = signing.next() else {
            let remedy = format!("set {} to a random secret", self.ring);
            return Err(Error::NoPrimary { ring: self.ring.to_owned(), remedy });
        };
        let (ring, purpose, environment) = (self.ring, self.purpose, self.environment);
        let mut manifest =
            Manifest::new(ring, purpose, environment, self.policy, entry(primary), since)?;
        for fallback in signing {
            manifest = manifest.with_fallback(entry(fallback), since)?;
        }
        match &found.next {
            Some(next) => Ok(manifest.stage(entry(next), since)?.manifest),
            None => Ok(manifest),
        }
    }
}

/// The values of one secret that are in use, by the convention of [`mod@super::env`].
#[cfg_attr(not(feature = "full"), allow(dead_code, reason = "operators use it, behind a feature"))]
pub(crate) struct ValuesInUse(EnvSecrets);

#[cfg_attr(not(feature = "full"), allow(dead_code, reason = "operators use it, behind a feature"))]
impl ValuesInUse {
    /// Reads the variables around `name`; `None` if no variable of a key that signs or verifies is
    /// set.
    ///
    /// # Errors
    /// [`Error::Encoding`] for a value that is no key of the purpose, [`Error::NotUnicode`];
    /// [`Error::TooManyKeys`] if one would be left out.
    pub(crate) fn read(
        purpose: Purpose,
        name: &str,
        lookup: impl Fn(&str) -> Result<Option<String>, crate::ring::env::LookupError>,
    ) -> Result<Option<Self>, Error> {
        let found = crate::ring::env::read(purpose, name, &lookup)?;
        if found.is_backup_left_out {
            // A manifest without this key would reject what it signed, without a warning.
            let (ring, max_live_keys) = (name.to_owned(), purpose.max_live_keys());
            return Err(Error::TooManyKeys { ring, count: max_live_keys + 1, max_live_keys });
        }
        Ok((!found.signing.is_empty()).then_some(Self(found)))
    }

    /// The secrets, with the names of their variables.
    pub(crate) fn all(&self) -> impl Iterator<Item = &(String, Secret)> {
        self.0.all()
    }

    /// The first manifest of the secret: the roles are those of the variables. When a fallback was
    /// superseded is not known, so its overlap counts from `now`.
    ///
    /// # Errors
    /// As for [`Manifest::new`].
    pub(crate) fn manifest(
        &self,
        (ring, environment): (&str, &str),
        purpose: Purpose,
        policy: Policy,
        algorithm: Option<&str>,
        now: SystemTime,
    ) -> Result<Manifest, Error> {
        FirstManifest { ring, purpose, environment, policy, algorithm }.build_manifest(&self.0, now)
    }
}
