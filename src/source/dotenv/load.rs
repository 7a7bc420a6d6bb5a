//! The file and the records beside it, read at one moment, and the manifest that they make.

use std::fs;
use std::io;

use zeroize::Zeroizing;

use super::lines::Lines;
use super::{DotenvStore, MAX_BYTES};
use crate::manifest::environment::Marked;
use crate::manifest::{Manifest, Revocations};
use crate::ring::env::{EnvSecrets, read};
use crate::secret::Secret;
use crate::source::disk;
use crate::source::error::StoreError;
use crate::source::reading::{FirstManifest, Memory, ReadingDigest, RevocationOutcome};
use crate::variable_names::SUFFIXES;

/// The number of attempts to read all while another process writes.
const ATTEMPTS: usize = 100;

/// The texts of the file and of its records, all of one moment.
pub(super) struct FileTexts {
    text: Result<Zeroizing<String>, StoreError>,
    records: Records,
    /// Set if the record of a change that was interrupted is in force for what it revoked.
    is_carried: bool,
}

#[derive(PartialEq, Eq)]
struct Records {
    json: Option<Vec<u8>>,
    next: Option<Vec<u8>>,
}

impl Records {
    fn all(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.json.iter().chain(&self.next)
    }
}

/// The secrets of the file, with the record that is in force.
pub(super) struct Reading {
    pub(super) lines: Lines,
    found: EnvSecrets,
    record: Option<Vec<u8>>,
    /// The manifest of the record, if exactly its keys were found in exactly its variables: so
    /// both were written together.
    whole: Option<Manifest>,
}

impl Reading {
    /// Whether `X_BACKUP` is set, and no key of it was made.
    pub(super) fn is_backup_left_out(&self) -> bool {
        self.found.is_backup_left_out
    }
}

impl FileTexts {
    /// The lines of the file; none, if there is no file.
    pub(super) fn lines(&self) -> Lines {
        Lines::parse(self.text.as_ref().map_or("", |text| text))
    }
}

impl DotenvStore {
    /// Reads all. A writer replaces the file between two changes of the records, so a text
    /// between two equal readings of the records is of the same moment.
    pub(super) fn read_texts(&self) -> Result<FileTexts, StoreError> {
        let mut records = self.read_records()?;
        for _ in 0..ATTEMPTS {
            let text = self.read_text();
            let after = self.read_records()?;
            if after == records {
                return Ok(FileTexts { text, records, is_carried: false });
            }
            records = after;
        }
        Err(StoreError::Unconfirmed { store: self.name() })
    }

    /// Takes the variables out of the text, and chooses the record.
    pub(super) fn parse_texts(&self, texts: &mut FileTexts) -> Result<Reading, StoreError> {
        let lines = match &mut texts.text {
            Ok(text) => Lines::parse(text),
            Err(error) => {
                let missing = StoreError::Missing { store: self.name() };
                return Err(std::mem::replace(error, missing));
            }
        };
        let Records { json, next } = &texts.records;
        let next = next.as_ref().filter(|next| self.is_next(next, json.as_deref()));
        // Until the file, which can be read, is known to be as it was before that change.
        texts.is_carried = next.is_some();
        let found = self.find_secrets(&lines)?;
        // Of a writer that was killed: in force if the file is as it is after that change.
        if let Some(next) = next
            && let Ok((_, Some(whole))) = self.read_whole(next, &found)
        {
            return Ok(Reading { lines, found, record: Some(next.clone()), whole: Some(whole) });
        }
        let whole = match json {
            Some(json) => self.read_whole(json, &found)?.1,
            None => None,
        };
        texts.is_carried &= whole.is_none();
        // Of a later version: a step would overwrite what it revokes.
        if let Some(next) = next.filter(|next| Revocations::is_manifest(next))
            && let Err(source) = Marked::read(next, &[], None)
        {
            let path = self.record_path(".json.next");
            let store = format!(
                "{}, the record of an interrupted change (delete it if the change was not made)",
                path.display()
            );
            return Err(StoreError::Manifest { store, source: Box::new(source) });
        }
        // The file was edited since, so that nothing says whether the change was made: what it
        // revoked or destroyed is final.
        if let Some(next) = next
            && whole.is_none()
            && self.ends_more(next, json.as_deref())
        {
            return Ok(Reading { lines, found, record: Some(next.clone()), whole: None });
        }
        Ok(Reading { lines, found, record: json.clone(), whole })
    }

    /// Whether the record `next` is not older than `json`, the record in force.
    fn is_next(&self, next: &[u8], json: Option<&[u8]>) -> bool {
        let is_later = |json| self.revision(next).is_some_and(|next| self.is_later(json, next));
        !json.is_some_and(is_later)
    }

    fn revision(&self, text: &[u8]) -> Option<u64> {
        Marked::read(text, &[], None).ok().map(|marked| marked.partial().revision())
    }

    /// Returns `true` if the record `next` revokes or destroys a key that the record `json` does not.
    fn ends_more(&self, next: &[u8], json: Option<&[u8]>) -> bool {
        let Ok(next) = Marked::read(next, &[], None) else { return false };
        let json = json.and_then(|json| Marked::read(json, &[], None).ok());
        next.partial().ends_more_than(json.as_ref().map(Marked::partial))
    }

    /// The revision of the record `text`, and its manifest if the file is exactly what was
    /// written with it.
    fn read_whole(
        &self,
        text: &[u8],
        found: &EnvSecrets,
    ) -> Result<(u64, Option<Manifest>), StoreError> {
        let marked = self.read_marked(text, found)?;
        let is_written = |manifest: &Manifest| {
            let current: Vec<_> = found.all().cloned().collect();
            let Ok(wanted) = self.variables(manifest, &current) else { return false };
            let mut wanted = wanted.into_iter();
            let is_next = |(variable, secret): &(String, Secret)| {
                wanted.next().is_some_and(|(name, key)| {
                    name == *variable
                        && key.secret().is_some_and(|known| known.expose() == secret.expose())
                })
            };
            found.all().all(is_next) && wanted.next().is_none()
        };
        Ok((marked.partial().revision(), marked.whole().filter(is_written)))
    }

    fn is_later(&self, text: &[u8], revision: u64) -> bool {
        let marked = Marked::read(text, &[], None);
        marked.is_ok_and(|marked| marked.partial().revision() >= revision)
    }

    fn read_marked(&self, text: &[u8], found: &EnvSecrets) -> Result<Marked, StoreError> {
        Marked::read(text, &found.signing, found.next.as_ref())
            .map_err(|source| self.manifest_error(source))
    }

    /// The manifest that is accepted now; none, if the reading does not count yet.
    pub(super) fn take(
        &self,
        memory: &mut Memory,
        reading: &Reading,
    ) -> Result<Option<Manifest>, StoreError> {
        let digest = ReadingDigest::new(&reading.found, reading.record.as_deref());
        let accepted = match memory.recall(&digest) {
            Some(accepted) => Some(accepted),
            None => {
                let next = self.derive_next(memory, reading, &digest)?;
                memory.take(digest, next, reading.whole.is_some())
            }
        };
        let found = &reading.found;
        Ok(accepted.map(|manifest| manifest.with_variables(found.all(), found.warnings.clone())))
    }

    /// The manifest that comes after the accepted one, if this reading counts.
    fn derive_next(
        &self,
        memory: &Memory,
        reading: &Reading,
        digest: &ReadingDigest,
    ) -> Result<Manifest, StoreError> {
        let (found, now) = (&reading.found, self.clock.now());
        let (signing, staged) = (&found.signing[..], found.next.as_ref());
        let held = memory.accepted();
        let marked = match &reading.record {
            Some(text) => Some(self.read_marked(text, found)?),
            None => None,
        };
        for manifest in marked.iter().map(Marked::partial).chain(held) {
            if let Some((variable, refusal)) = manifest.find_final(signing, staged) {
                let store = format!("{variable} in {}", self.path.display());
                return Err(StoreError::Manifest { store, source: Box::new(refusal) });
            }
        }
        let is_news = !memory.has_record_of(digest) || reading.whole.is_some();
        let next = match (marked.filter(|_| held.is_none() || is_news), held) {
            (Some(marked), held) => {
                let recorded = match &reading.whole {
                    Some(whole) => Ok(whole.clone()),
                    None => marked.with_found(signing, staged, now),
                };
                recorded.and_then(|recorded| match held {
                    Some(held) => recorded.continue_from(held, now),
                    None => Ok(recorded),
                })
            }
            (None, Some(held)) => held.with_found(signing, staged, now),
            (None, None) => self.build_first(found),
        };
        next.map_err(|source| self.manifest_error(source))
    }

    fn build_first(&self, found: &EnvSecrets) -> Result<Manifest, crate::error::Error> {
        // The file says since when at the latest its secrets are there.
        let changed = fs::metadata(&self.path).and_then(|metadata| metadata.modified());
        let now = self.clock.now();
        let since = changed.map_or(now, |changed| changed.min(now));
        let (ring, environment) = (&self.ring, &self.environment);
        FirstManifest {
            ring,
            purpose: self.purpose,
            environment,
            policy: self.policy,
            algorithm: None,
        }
        .build_manifest(found, since)
    }

    /// Revokes what a record says is revoked although the file cannot be taken as it is, and
    /// returns the accepted manifest if that was news.
    pub(super) fn revoke(&self, memory: &mut Memory, texts: &FileTexts) -> RevocationOutcome {
        let Records { json, next } = &texts.records;
        let next = next.as_ref().filter(|_| texts.is_carried);
        let mut outcome = RevocationOutcome::Nothing;
        for record in json.iter().chain(next) {
            match self.revoke_by(memory, record) {
                RevocationOutcome::Nothing => {}
                news => outcome = news,
            }
        }
        outcome
    }

    fn revoke_by(&self, memory: &mut Memory, record: &[u8]) -> RevocationOutcome {
        let now = self.clock.now();
        let is_of_ring = |record: &Manifest| {
            record.ring() == self.ring && record.environment() == self.environment
        };
        match (Marked::read(record, &[], None), Revocations::read(record)) {
            (Ok(record), _) if is_of_ring(record.partial()) => memory.revoke(record.partial(), now),
            // Of another version, or with something that cannot be read.
            (Err(_), Some(revocations)) if revocations.is_of(&self.ring, &self.environment) => {
                memory.revoke_all(revocations.keys, now)
            }
            _ => RevocationOutcome::Nothing,
        }
    }

    /// Whether the record holds a key that was revoked or destroyed.
    pub(super) fn has_final(&self, texts: &FileTexts) -> Result<bool, StoreError> {
        for record in texts.records.all() {
            let record =
                Marked::read(record, &[], None).map_err(|source| self.manifest_error(source))?;
            if record.partial().ends_more_than(None) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn find_secrets(&self, lines: &Lines) -> Result<EnvSecrets, StoreError> {
        // All first, so that a variable that cannot be read is not passed over.
        for suffix in SUFFIXES {
            let variable = self.variable(suffix);
            lines.value(&variable).map_err(|unclear| self.line_error(unclear))?;
        }
        let value = |variable: &str| {
            Ok(lines.value(variable).ok().flatten().map(|value| value.as_str().to_owned()))
        };
        let found = read(self.purpose, &self.ring, &value)?;
        if found.signing.is_empty() {
            return Err(StoreError::Missing { store: self.name() });
        }
        Ok(found)
    }

    /// The text of the file, whole.
    fn read_text(&self) -> Result<Zeroizing<String>, StoreError> {
        disk::read_edited(&self.path, MAX_BYTES).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { store: self.name() },
            _ if disk::is_no_file(&source) => StoreError::NotAFile { path: self.path.clone() },
            _ => StoreError::from_path(&self.path, source),
        })
    }

    fn read_records(&self) -> Result<Records, StoreError> {
        let folder = self.folder();
        match disk::check_folder(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            checked => checked.map_err(|source| StoreError::from_path(&folder, source))?,
        }
        Ok(Records { json: self.read_record(".json")?, next: self.read_record(".json.next")? })
    }

    fn read_record(&self, ending: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.record_path(ending);
        match disk::read_trusted(&path, MAX_BYTES) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::from_path(&path, source)),
            Ok(mut text) => Ok(Some(std::mem::take(&mut *text))),
        }
    }
}
