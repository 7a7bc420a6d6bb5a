//! A manifest whose secrets are in a `.env` file, as services that know nothing of this crate
//! read it.
//!
//! ```text
//! .env                              JWT_SECRET=…  JWT_SECRET_OLD=…  JWT_SECRET_NEXT=…
//! .env.dualkey/JWT_SECRET.json      since when which of them signs, and what was revoked; no
//!                                   secret
//! .env.dualkey/JWT_SECRET.json.next the same, of a change that is about to be made
//! .env.lock                         held by the writer
//! ```
//!
//! It guarantees:
//!
//! - Only the lines of this secret are touched; the rest stays byte for byte as it is.
//! - A file, a record or a folder of records that other users can write is refused. The owner of
//!   its folder counts as one of ours. Others may read a `.env`, as services under other users do,
//!   and this process's own group, or that of the folder, may write it.
//! - A reader finds the file before a change or after it, whole.
//! - A change that was interrupted was made or was not. If the file was edited before the next
//!   reading, the keys that it revoked or destroyed are revoked and destroyed.
//! - An edit by hand counts when two readings in a row show it. The first reading of a process
//!   counts, and so does a reading that is exactly what was written with the record. Until then
//!   [`load`](KeyStore::load) returns [`StoreError::Unconfirmed`], and no change is written over
//!   the edit.
//! - The file decides: an edit can make an expired key live again. The revision never goes back
//!   in a process.
//! - A revocation is written into every file that can be read. In a file with four keys that sign or
//!   verify, in `X_NEW`, `X`, `X_OLD` and `X_BACKUP`, the new key gets `X_NEW`. A fifth variable that is
//!   left out, `X_BACKUP`, gives way to the keys that verify, and is removed.
//! - A revocation is final. The record keeps a recogniser of each secret that was revoked or
//!   destroyed, and a file that holds such a secret is refused, under every variable and with
//!   the kid in the error. Remove it: put another secret in the variable. A ring that runs keeps
//!   its keys, and a service that starts refuses to.
//!
//! The values are those of [`mod@crate::ring::env`]: `X` signs, `X_OLD` and `X_BACKUP`
//! verify, `X_NEXT` is staged.
//!
//! # Readers of the file
//!
//! A value that it reads or writes is the same to npm's `dotenv`, `node --env-file`, python-dotenv,
//! dotenvy, a shell that sources the file, and systemd's `EnvironmentFile=`; or it is refused, with
//! the line and the remedy. A written value is bare if it can be: in letters, digits and
//! `_-+/=.:@%^,?!*`. To `docker --env-file` a bare value is the same too. A value in quotes is not:
//! docker takes the quotes for a part of it. Some lines have fewer readers:
//!
//! - With a comment behind the value: systemd and docker take it for a part of the value. A new
//!   value is written without the comment.
//! - With `export`: systemd ignores the line, and docker refuses the file.
//! - With `&` in a bare value, as in the URL of a database: a shell ends the command there, and
//!   does not set the variable. A new value with `&` is written in single quotes.
//! - In a file with the line ends of Windows: a shell takes `\r` for a part of each value. Do not
//!   source such a file.
//!
//! Ciphertext and references to secrets in other places are refused by name. No secret is written in
//! the clear into a file that sops or dotenvx encrypts.
//!
//! It does not guarantee:
//!
//! - That the first reading of a process is whole, if an editor writes at that moment.
//! - That a revoked secret is recognised by a process that starts after the record was removed,
//!   or was put back to what it was before together with the file.
//! - That a change which was interrupted between its two files counts as made after the file was
//!   put back to what it was before: nothing differs then from a change that was not made.
//! - That services have read it: they read a `.env` when they start, and report nothing.
//!
//! # Security
//!
//! The record holds no secret and has mode 0600. A mark of a live key has 16 bits where the
//! secret may be guessed, too few to confirm a guess. A recogniser is an HMAC-SHA-256 with a salt
//! of 16 bytes: a reader of the record can test guesses of a weak revoked secret offline, as a
//! reader of the `.env` beside it can read the secrets that are in use.

mod assign;
mod lines;
#[cfg_attr(not(feature = "full"), allow(dead_code, reason = "operators use it, behind a feature"))]
pub(crate) mod listing;
mod load;
pub(crate) mod problem;
mod slots;
mod variables;
mod words;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::lines::Lines;
use self::problem::{LineProblem, Unclear};
use super::disk::{self, LockError, beside, file_name};
use super::error::StoreError;
use super::reading::{Readings, RevocationOutcome};
use super::store::{KeyStore, StoreFuture};
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::Policy;
use crate::manifest::{Entry, Manifest};
use crate::purpose::Purpose;
use crate::secret::Secret;
use crate::variable_names::BACKUP;

/// The most that a `.env` file or a record may have: either is a page of text.
const MAX_BYTES: usize = 1024 * 1024;

/// Returns whether two values, the first of them in use, are not of one secret.
type IsApart = fn(&[u8], &[u8]) -> bool;

/// The manifest of one secret in a `.env` file.
///
/// ```
/// use dualkey::manifest::NewEntry;
/// use dualkey::source::{DotenvStore, KeyStore, update};
/// use dualkey::{Purpose, Secret};
/// use std::time::SystemTime;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join(".env");
/// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
/// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
/// std::fs::write(&path, format!("PORT=3000\nJWT_SECRET='{old}'\n"))?;
/// let store = DotenvStore::new(&path, "JWT_SECRET", Purpose::Jwt, "production");
/// # pollster::block_on(async {
/// update(&store, |manifest| manifest.stage(Secret::from(new), SystemTime::now())).await?;
/// # Ok::<_, dualkey::source::StoreError>(()) })?;
///
/// let text = std::fs::read_to_string(&path)?;
/// assert_eq!(
///     text,
///     format!("PORT=3000\nJWT_SECRET='{old}'\nJWT_SECRET_NEXT='{new}'\n"),
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct DotenvStore {
    path: PathBuf,
    ring: String,
    purpose: Purpose,
    environment: String,
    policy: Policy,
    clock: Arc<dyn Clock>,
    with_backup: bool,
    readings: Readings,
    /// Whether a value belongs to something else than that of the primary.
    is_apart: Option<IsApart>,
}

impl DotenvStore {
    /// The secret `ring` in the file at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, ring: &str, purpose: Purpose, environment: &str) -> Self {
        Self {
            path: path.into(),
            ring: ring.to_owned(),
            purpose,
            environment: environment.to_owned(),
            policy: Policy::default(),
            clock: Arc::new(SystemClock),
            with_backup: false,
            readings: Readings::default(),
            is_apart: None,
        }
    }

    /// Sets the policy of the keys until the first change. The default of a [`Policy`] unless set.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the clock that dates an edit by hand, which counts from its second reading. The
    /// system's clock unless set.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Keeps a copy of the file as it was before each change, beside it, with the time in its
    /// name. It holds the secrets too.
    #[must_use]
    pub fn backup(mut self) -> Self {
        self.with_backup = true;
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Manifest, StoreError> {
        let mut memory = self.readings.lock();
        let mut texts = match self.read_texts() {
            Ok(texts) => texts,
            Err(error) => {
                memory.drop_pending();
                return Err(error);
            }
        };
        let taken =
            self.parse_texts(&mut texts).and_then(|reading| self.take(&mut memory, &reading));
        let refusal = match taken {
            Ok(Some(manifest)) => return Ok(manifest),
            Ok(None) => StoreError::Unconfirmed { store: self.name() },
            Err(error) => {
                memory.drop_pending();
                error
            }
        };
        // The revocations of a reading that does not count are final all the same.
        match self.revoke(&mut memory, &texts) {
            RevocationOutcome::Nothing => Err(refusal),
            RevocationOutcome::Some(manifest) => Ok(*manifest),
            RevocationOutcome::Last(revocations) => Err(StoreError::OnlyRevocations {
                store: self.name(),
                source: Box::new(Error::NothingSigns),
                revocations: Box::new(revocations),
            }),
        }
    }

    fn swap(&self, expected: u64, next: &Manifest) -> Result<(), StoreError> {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(StoreError::Link { path: self.path.clone() });
        }
        let path = beside(&self.path, ".lock");
        let _lock = disk::lock(&path).map_err(|error| match error {
            LockError::Held => StoreError::Locked { path },
            LockError::Io(source) => self.io_error(source),
        })?;
        let mut texts = self.read_texts()?;
        let mut memory = self.readings.lock();
        // A file that holds no such secret yet takes its first.
        let (mut lines, found) = match self.parse_texts(&mut texts) {
            Ok(reading) => {
                let current = self.take(&mut memory, &reading)?;
                let current =
                    current.ok_or_else(|| StoreError::Unconfirmed { store: self.name() })?;
                next.check_same(&current)?;
                self.check_known(&current, next)?;
                // A revocation does not wait for it: its key verifies nothing.
                if reading.is_backup_left_out() && !is_revocation(&current, next) {
                    let variable = self.variable(BACKUP);
                    let line = reading.lines.number_of(&variable);
                    let problem = LineProblem::LeftOut;
                    return Err(self.line_error(Unclear { line, variable, problem }));
                }
                (reading.lines, current.revision())
            }
            Err(StoreError::Missing { .. }) if !self.has_final(&texts)? => (texts.lines(), 0),
            Err(StoreError::Missing { .. }) => {
                let problem = "its record holds keys that are revoked or destroyed, and must not \
                               be replaced: put a new secret in the variable by hand";
                return Err(StoreError::Unfit { store: self.name(), problem });
            }
            Err(error) => return Err(error),
        };
        if found != expected || next.revision() <= expected {
            return Err(StoreError::Conflict { store: self.name(), expected, found });
        }
        self.render(next, &mut lines)?;
        let record = next.to_marked().map_err(|source| self.manifest_error(source))?;
        self.write(&lines, &record).map_err(|source| self.io_error(source))
    }

    /// Fails if `current` has a key that `next` does not have: another writer added it after the load.
    fn check_known(&self, current: &Manifest, next: &Manifest) -> Result<(), StoreError> {
        let stranger = current.keys().iter().find(|key| next.key(&key.kid()).is_none());
        match stranger {
            None => Ok(()),
            Some(_) => Err(StoreError::Conflict {
                store: self.name(),
                expected: next.revision().saturating_sub(1),
                found: current.revision(),
            }),
        }
    }

    fn write(&self, lines: &Lines, record: &Secret) -> io::Result<()> {
        let folder = self.folder();
        disk::make_folder(&folder)?;
        disk::check_folder(&folder)?;
        disk::remove_temporary_files(&self.path);
        let metadata = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            found => Some(found?),
        };
        if self.with_backup && metadata.is_some() {
            let stamp = jiff::Timestamp::try_from(self.clock.now()).unwrap_or_default();
            let copy = beside(&self.path, &format!(".{}.bak", stamp.strftime("%Y%m%dT%H%M%SZ")));
            disk::write_copy(&copy, &disk::read_bounded(&self.path, MAX_BYTES)?, &self.path)?;
        }
        let next = self.record_path(".json.next");
        disk::write(&next, record.expose(), true)?;
        disk::write_like(&self.path, lines.text().as_bytes(), metadata.as_ref())?;
        fs::rename(next, self.record_path(".json"))?;
        disk::sync_folder(&self.record_path(".json"))
    }

    fn folder(&self) -> PathBuf {
        beside(&self.path, ".dualkey")
    }

    fn record_path(&self, ending: &str) -> PathBuf {
        self.folder().join(file_name(&self.ring) + ending)
    }

    /// Returns the variable of this secret with `suffix`.
    fn variable(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.ring)
    }

    fn line_error(&self, unclear: Unclear) -> StoreError {
        unclear.error(&self.path)
    }

    fn name(&self) -> String {
        format!("{} in {}", self.ring, self.path.display())
    }

    fn io_error(&self, source: io::Error) -> StoreError {
        StoreError::Io { store: self.path.display().to_string(), source }
    }

    fn manifest_error(&self, source: Error) -> StoreError {
        StoreError::Manifest { store: self.name(), source: Box::new(source) }
    }
}

/// Returns whether `next` revokes a key that is not revoked in `current`.
fn is_revocation(current: &Manifest, next: &Manifest) -> bool {
    let is_revoked = |manifest: &Manifest, kid: &Kid| {
        manifest.key(kid).is_some_and(|key| key.revoked().is_some())
    };
    next.keys()
        .iter()
        .map(Entry::kid)
        .any(|kid| is_revoked(next, &kid) && !is_revoked(current, &kid))
}

impl KeyStore for DotenvStore {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(async { self.read() })
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.swap(expected, next) })
    }

    fn has_steps(&self, _: &Manifest) -> bool {
        [".json", ".json.next"].into_iter().any(|ending| self.record_path(ending).exists())
    }
}

impl fmt::Debug for DotenvStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DotenvStore")
            .field("path", &self.path)
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}
