//! A trail in a file: appended, synced, and cut into segments by size.
//!
//! ```text
//! audit.log                 the newest records
//! audit.log.000000005000    those before, up to record 5,000
//! audit.log.head            how many there are, and the hash of the last: signed
//! audit.log.lock            held by who writes
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use super::error::{AuditError, Problem, Verification};
use super::key::{AuditKey, hash, sign};
use super::line::{self, Link};
use super::query::{Entry, Query, merged};
use super::record::Record;
use super::sink::{AuditFuture, Guard, Sink, Trail};
use super::verify::{Head, Walk, join};
use crate::ring::KeyRing;
use crate::source::disk::{self, LockError, beside};

/// Beyond this size a file is put aside: it can be read as a whole.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// A head is a line of a few hundred bytes.
const MAX_HEAD_BYTES: usize = 4 * 1024;

/// A trail in a file.
///
/// ```
/// use dualkey::{KeyRing, Secret};
/// use dualkey::ops::audit::{Action, AuditKey, FileTrail, Query, Record, Trail};
/// use std::time::SystemTime;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
/// let ring = KeyRing::<AuditKey>::builder().primary(Secret::from(secret)).build()?;
/// let trail = FileTrail::new(folder.path().join("audit.log"), ring);
/// trail.write(&[Record::new(SystemTime::now(), "JWT_SECRET", Action::ROTATED, "ada", "prod")])?;
///
/// assert_eq!(trail.find(&Query::new().actor("ada"))?.len(), 1);
/// assert!(trail.check()?.is_whole());
///
/// // Somebody edits it.
/// let text = std::fs::read_to_string(trail.path())?.replace("ada", "bob");
/// std::fs::write(trail.path(), text)?;
/// assert_eq!(trail.check()?.problem.unwrap().to_string(), "record 1 was changed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FileTrail {
    pub(super) path: PathBuf,
    ring: KeyRing<AuditKey>,
    pub(super) max_bytes: u64,
}

impl FileTrail {
    /// The trail at `path`, signed by the primary of `ring`. Its folder must be there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, ring: KeyRing<AuditKey>) -> Self {
        Self { path: path.into(), ring, max_bytes: MAX_BYTES }
    }

    /// How large a file may become, in bytes, before it is put aside: 16 MiB unless set.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends `records`, all or none, and returns once they survive a crash. A kill in the midst
    /// may leave the first of them, each whole.
    ///
    /// # Errors
    /// [`AuditError::Io`], for one if the disk is full: then nothing was appended.
    /// [`AuditError::Broken`], if the trail does not end where it did: nothing is built on it.
    pub fn write(&self, records: &[Record]) -> Result<(), AuditError> {
        let _lock = self.lock_at(&beside(&self.path, ".lock"))?;
        let (mut end, was_torn) = self.end()?;
        let mut text = String::new();
        if was_torn {
            // What a killed writer left stays, as a line that is none.
            text.push('\n');
        }
        for record in records {
            let link = Link { n: end.n.saturating_add(1), prev: end.hash };
            let own = sign(&self.ring, record, link)?;
            end = Head { n: link.n, hash: Some(hash(&own)), revoked: None };
            text.push_str(&own);
            text.push('\n');
        }
        if end.n == 0 {
            return Ok(());
        }
        self.append(&text, end.n.saturating_sub(records.len() as u64))?;
        self.write_head(end)
    }

    /// The records that `query` asks for, the newest first.
    ///
    /// # Errors
    /// [`AuditError::Io`], [`AuditError::Locked`].
    pub fn find(&self, query: &Query) -> Result<Vec<Entry>, AuditError> {
        let (compiled, take) = (query.compiled(), query.take.unwrap_or(usize::MAX));
        // What was imported happened before what was written after it.
        let (mut found, mut imported) = (Vec::new(), Vec::new());
        'all: for mut segment in self.open_all()?.into_iter().rev() {
            let text = segment.text()?;
            // What is not UTF-8 was no record.
            for own in text.split(|byte| *byte == b'\n').rev() {
                if found.len() == take {
                    break 'all;
                }
                let entry = std::str::from_utf8(own)
                    .ok()
                    .filter(|own| compiled.matches(own))
                    .and_then(line::parse);
                let Some(line::Line { record, link, .. }) = entry else { continue };
                let is_asked = !query.is_of_steps || record.revision.is_some();
                let into = match record.imported_at {
                    None => &mut found,
                    Some(_) => &mut imported,
                };
                if is_asked {
                    into.push(Entry { n: link.n, record });
                }
            }
        }
        Ok(merged(found, imported, take))
    }

    /// Whether it is as it was written.
    ///
    /// # Errors
    /// [`AuditError::Io`], [`AuditError::Locked`].
    pub fn check(&self) -> Result<Verification, AuditError> {
        let (segments, head) = {
            let _lock = self.lock_to_read()?;
            let head = match self.head() {
                Err(AuditError::Broken { .. }) => None,
                head => head?,
            };
            (self.segments()?, head)
        };
        let mut walk = Walk::new(&self.ring, head);
        let mut is_torn = false;
        for mut segment in segments {
            let text = segment.text()?;
            let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
            is_torn = lines.pop().is_some_and(|rest| !rest.is_empty());
            for own in lines {
                // As it is changed into: no record of ours.
                if !walk.line(std::str::from_utf8(own).unwrap_or_default()) {
                    return Ok(walk.finish(false));
                }
            }
        }
        Ok(walk.finish(is_torn))
    }

    /// Where the trail ends, and whether an unfinished line stands after it.
    fn end(&self) -> Result<(Head, bool), AuditError> {
        let head = self.head()?;
        let (tail, is_torn) = self.tail()?;
        match join(&self.ring, head, tail.as_deref())? {
            Some(end) => Ok((end, is_torn)),
            None if is_torn => Err(AuditError::Broken { problem: Problem::NoHead }),
            None => {
                // Before the first record, so that it cannot be taken away later.
                self.write_head(Head::default())?;
                Ok((Head::default(), false))
            }
        }
    }

    fn append(&self, text: &str, before: u64) -> Result<(), AuditError> {
        self.put_aside(text.len() as u64, before)?;
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        disk::set_patience(&mut options);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.path).map_err(|source| self.io(source))?;
        let length = file.metadata().map_err(|source| self.io(source))?.len();
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        if let Err(source) = written {
            // Half a record is none. If this fails too, the next writer finds it torn.
            let _ = file.set_len(length);
            return Err(self.io(source));
        }
        match length {
            0 => disk::sync_folder(&self.path).map_err(|source| self.io(source)),
            _ => Ok(()),
        }
    }

    /// Puts the file aside, if `more` would make it too large; `last` is its last record.
    fn put_aside(&self, more: u64, last: u64) -> Result<(), AuditError> {
        let length = match fs::metadata(&self.path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            own => own.map_err(|source| self.io(source))?.len(),
        };
        if length == 0 || length.saturating_add(more) <= self.max_bytes {
            return Ok(());
        }
        let aside = beside(&self.path, &format!(".{last:012}"));
        fs::rename(&self.path, aside).map_err(|source| self.io(source))
    }

    pub(super) fn head_path(&self) -> PathBuf {
        beside(&self.path, ".head")
    }

    fn head(&self) -> Result<Option<Head>, AuditError> {
        let path = self.head_path();
        match disk::read_text(&path, MAX_HEAD_BYTES) {
            Ok(text) => match Head::read(&self.ring, &text) {
                Some(head) => Ok(Some(head)),
                None => Err(AuditError::Broken { problem: Problem::NoHead }),
            },
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) if source.kind() == io::ErrorKind::InvalidData => {
                Err(AuditError::Broken { problem: Problem::NoHead })
            }
            Err(source) => Err(AuditError::Io { path, source }),
        }
    }

    /// Synced: one that lags behind is brought up by the next record, but one that a crash of
    /// the machine leaves empty would stop all that come after it.
    fn write_head(&self, head: Head) -> Result<(), AuditError> {
        let text = head.write(&self.ring)? + "\n";
        disk::write(&self.head_path(), text.as_bytes(), true).map_err(|source| self.io(source))
    }

    pub(super) fn lock_at(&self, path: &Path) -> Result<File, AuditError> {
        disk::lock(path).map_err(|error| match error {
            LockError::Held => AuditError::Locked { path: path.to_owned() },
            LockError::Io(source) => self.io(source),
        })
    }

    pub(super) fn io(&self, source: io::Error) -> AuditError {
        AuditError::Io { path: self.path.clone(), source }
    }
}

impl Sink for FileTrail {
    fn append<'a>(&'a self, records: &'a [Record]) -> AuditFuture<'a, ()> {
        Box::pin(async move { self.write(records) })
    }
}

impl Trail for FileTrail {
    fn query<'a>(&'a self, query: &'a Query) -> AuditFuture<'a, Vec<Entry>> {
        Box::pin(async move { self.find(query) })
    }

    fn verify(&self) -> AuditFuture<'_, Verification> {
        Box::pin(async { self.check() })
    }

    fn ring(&self) -> &KeyRing<AuditKey> {
        &self.ring
    }

    fn lock<'a>(&'a self, secret: &'a str) -> AuditFuture<'a, Guard> {
        let path = beside(&self.path, &format!(".{}.lock", disk::file_name(secret)));
        Box::pin(async move {
            // It is held over what others wait for: whoever waits for it must not keep a thread
            // of the runtime from them.
            let held = match Handle::try_current() {
                Err(_) => self.lock_at(&path),
                Ok(runtime) => {
                    let own = self.clone();
                    let lock = runtime.spawn_blocking(move || own.lock_at(&path));
                    lock.await.map_err(|error| self.io(error.into()))?
                }
            };
            held.map(Guard::new)
        })
    }
}
