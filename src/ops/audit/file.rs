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

use super::chain::Chain;
use super::error::{AuditError, Problem, Verification};
use super::key::{AuditKey, hash, hash_of, is_genuine, sign};
use super::line::{self, Link};
use super::query::{Entry, Listing, Query};
use super::record::Record;
use super::search::{Late, Search};
use super::segments::{as_text, lines_back};
use super::sink::{AuditFuture, Guard, Sink, Trail};
use super::torn::is_torn;
use super::verify::{End, Head, Walk};
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
        let mut end = self.end()?;
        let mut text = String::new();
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

    /// The records that `query` asks for, the newest first: each with its MAC, its number and
    /// its place in the chain verified, from the signed end of the trail back. Those that only a
    /// revoked key vouches for are not among them.
    ///
    /// # Errors
    /// [`AuditError::Broken`] if records that were asked for may be among those that were
    /// removed or changed; [`AuditError::Io`], [`AuditError::Locked`].
    pub fn find(&self, query: &Query) -> Result<Vec<Entry>, AuditError> {
        self.read(&query.vouched())?.into_records()
    }

    /// Reads as [`find`](Self::find) does, with the lines between them that are no records, and
    /// with what can be known of a trail that is broken.
    ///
    /// # Errors
    /// [`AuditError::Io`], [`AuditError::Locked`].
    pub fn read(&self, query: &Query) -> Result<Listing, AuditError> {
        let late = match Late::is_needed(&self.ring) {
            true => Late::of(&self.ring, &self.search(&Late::query(&self.ring), &Late::default())?),
            false => Late::default(),
        };
        self.search(query, &late)
    }

    fn search(&self, query: &Query, late: &Late) -> Result<Listing, AuditError> {
        let (segments, end) = self.open_all()?;
        let mut search = Search::new(&self.ring, end, query, late);
        let mut rest = None;
        for mut segment in segments.into_iter().rev() {
            let text = segment.text()?;
            let (lines, own) = lines_back(&text);
            // What is after the last line end of the newest file may be half a record.
            let is_newest = rest.is_none() && !text.is_empty();
            if is_newest && line::parse(&as_text(own)).is_none() {
                rest = Some(own.to_vec());
            } else if !own.is_empty() {
                search.line(&as_text(own));
            }
            if is_newest {
                rest.get_or_insert_default();
            }
            for own in lines {
                if search.is_done() {
                    return Ok(search.finish(false, &[]));
                }
                search.line(&as_text(own));
            }
        }
        Ok(search.finish(true, &rest.unwrap_or_default()))
    }

    /// Checks whether everything is as it was written.
    ///
    /// # Errors
    /// [`AuditError::Io`], [`AuditError::Locked`].
    pub fn check(&self) -> Result<Verification, AuditError> {
        let (segments, end) = self.open_all()?;
        let mut walk = Walk::new(&self.ring, end);
        let mut rest = Vec::new();
        for mut segment in segments {
            let text = segment.text()?;
            if text.is_empty() {
                continue;
            }
            let at = text.iter().rposition(|byte| *byte == b'\n');
            // One by one, because a file may have as many lines as bytes.
            let lines = at.map(|at| text[..at].split(|byte| *byte == b'\n'));
            let last = &text[at.map_or(0, |at| at + 1)..];
            // Only the newest file may end within a line.
            let before = std::mem::replace(&mut rest, last.to_vec());
            let before = Some(&before[..]).filter(|own| !own.is_empty());
            for own in before.into_iter().chain(lines.into_iter().flatten()) {
                if !walk.line(&as_text(own)) {
                    return Ok(walk.finish(&[]));
                }
            }
        }
        Ok(walk.finish(&rest))
    }

    /// Returns whether there is no record.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn is_empty(&self) -> Result<bool, AuditError> {
        match End::of(self.head())? {
            End::Unreadable => Ok(false),
            End::Missing => Ok(!self.has_text()?),
            End::At(head) if head.n > 0 => Ok(false),
            // The text after an empty trail may be forged, or half a record.
            End::At(_) => {
                let listing = self.read(&Query::new().with_begun().take(1))?;
                Ok(listing.records.is_empty() && listing.problem.is_none())
            }
        }
    }

    /// Returns where the trail ends. What a writer that was killed left after it is cut off.
    fn end(&self) -> Result<Head, AuditError> {
        let head = self.head()?;
        if head.is_none() && !self.has_text()? {
            // Before the first record, so that it cannot be taken away later.
            self.write_head(Head::default())?;
            return Ok(Head::default());
        }
        let (end, rest) = match self.end_by_tail(head)? {
            Some(found) => found,
            None => self.end_by_chain(head)?,
        };
        if rest.is_empty() {
            return Ok(end);
        }
        let next = Link { n: end.n.saturating_add(1), prev: end.hash };
        let text = as_text(&rest);
        if line::parse(&text).is_some_and(|own| own.link == next) && is_genuine(&self.ring, &text) {
            // A record of which only the line end is missing.
            self.change_newest(|file, _| (&*file).write_all(b"\n"))?;
            return Ok(Head { n: next.n, hash: Some(hash(&text)), revoked: None });
        }
        match is_torn(&rest, next) {
            true => {
                let length = rest.len() as u64;
                self.change_newest(|file, all| file.set_len(all.saturating_sub(length)))?;
                Ok(end)
            }
            false => Err(AuditError::Broken { problem: Problem::Forged { after: end.n } }),
        }
    }

    /// The same by the last line alone, if that is the one that the head names.
    fn end_by_tail(&self, head: Option<Head>) -> Result<Option<(Head, Vec<u8>)>, AuditError> {
        let Some(head) = head else { return Ok(None) };
        let tail = self.tail()?;
        let (mut lines, rest) = lines_back(&tail);
        let is_head = lines.next().is_some_and(|own| head.hash == Some(hash_of(own)));
        Ok(is_head.then(|| (Head { revoked: None, ..head }, rest.to_vec())))
    }

    fn end_by_chain(&self, head: Option<Head>) -> Result<(Head, Vec<u8>), AuditError> {
        let mut chain = Chain::new(&self.ring, End::from(head));
        let mut rest = None;
        for mut segment in self.segments()?.into_iter().rev() {
            let text = segment.text()?;
            let (lines, own) = lines_back(&text);
            match &rest {
                None if text.is_empty() => {}
                None => rest = Some(own.to_vec()),
                Some(_) if own.is_empty() => {}
                Some(_) => chain.line(&as_text(own), &mut |_| {}),
            }
            for own in lines {
                if chain.end().is_none() {
                    chain.line(&as_text(own), &mut |_| {});
                }
            }
        }
        let problem = chain.finish(chain.end().is_none(), &mut |_| {});
        let forged = chain.forged.first().map(|own| Problem::Forged { after: own.after });
        match (chain.end(), forged.or(problem)) {
            (Some(end), None) => Ok((end, rest.unwrap_or_default())),
            (_, problem) => Err(AuditError::Broken { problem: problem.unwrap_or(Problem::NoHead) }),
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

    /// Changes the newest file that holds anything, of which the length is passed, and syncs it.
    fn change_newest(
        &self,
        change: impl FnOnce(&File, u64) -> io::Result<()>,
    ) -> Result<(), AuditError> {
        let Some((path, length)) = self.newest()? else { return Ok(()) };
        let mut options = OpenOptions::new();
        options.append(true);
        disk::set_patience(&mut options);
        let file = options.open(&path).map_err(|source| self.io(source))?;
        change(&file, length).and_then(|()| file.sync_all()).map_err(|source| self.io(source))
    }

    pub(super) fn head_path(&self) -> PathBuf {
        beside(&self.path, ".head")
    }

    pub(super) fn head(&self) -> Result<Option<Head>, AuditError> {
        let path = self.head_path();
        match disk::read_text(&path, MAX_HEAD_BYTES) {
            Ok(text) => match Head::read(&self.ring, &text) {
                Some(head) => Ok(Some(head)),
                None => Err(AuditError::Broken { problem: Problem::NoHead }),
            },
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            // It is no text: another wrote it. What is no file, or too long, is named as that.
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
            LockError::Io(source) => AuditError::Io { path: path.to_owned(), source },
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
    fn read<'a>(&'a self, query: &'a Query) -> AuditFuture<'a, Listing> {
        Box::pin(async move { FileTrail::read(self, query) })
    }

    fn is_empty(&self) -> AuditFuture<'_, bool> {
        Box::pin(async { FileTrail::is_empty(self) })
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
