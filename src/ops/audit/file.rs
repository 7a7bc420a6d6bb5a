//! A trail in a file: appended, synced, and cut into segments by size.
//!
//! ```text
//! audit.log                 the newest records
//! audit.log.000000005000    those before, up to record 5,000
//! audit.log.head            how many there are, and the hash of the last: signed
//! audit.log.lock            held by who writes
//! ```

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use super::chain::Chain;
use super::error::AuditError;
use super::head::{Head, TrailEnd};
use super::key::{AuditKey, hash, hash_of, is_genuine, sign};
use super::line::{self, Link};
use super::lines::{as_text, lines_back, lines_forward};
use super::problem::{Problem, Verification};
use super::query::{Entry, Listing, Query};
use super::record::Record;
use super::search::{Late, Search};
use super::segments::{Segment, TrailFiles};
use super::sink::{AuditFuture, Guard, Sink, Trail};
use super::torn::is_torn;
use super::verify::Walk;
use crate::ring::KeyRing;
use crate::source::disk::{self, beside};

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
    files: TrailFiles,
    ring: KeyRing<AuditKey>,
}

impl FileTrail {
    /// The trail at `path`, signed by the primary of `ring`. Its folder must be there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, ring: KeyRing<AuditKey>) -> Self {
        Self { files: TrailFiles::new(path.into()), ring }
    }

    /// How large a file may become, in bytes, before it is put aside: 16 MiB unless set.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.files = self.files.max_bytes(bytes);
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// Appends `records`, all or none, and returns once they survive a crash. A kill in the midst
    /// may leave the first of them, each whole.
    ///
    /// # Errors
    /// [`AuditError::Io`], for one if the disk is full: then nothing was appended.
    /// [`AuditError::Broken`], if the trail does not end where it did: nothing is built on it.
    pub fn write(&self, records: &[Record]) -> Result<(), AuditError> {
        let _lock = self.files.lock()?;
        let mut end = self.end()?;
        let mut text = String::new();
        for record in records {
            let link = Link { n: end.n.saturating_add(1), prev: end.hash };
            let line = sign(&self.ring, record, link)?;
            end = Head { n: link.n, hash: Some(hash(&line)), revoked: None };
            text.push_str(&line);
            text.push('\n');
        }
        if end.n == 0 {
            return Ok(());
        }
        self.files.append(&text, end.n.saturating_sub(records.len() as u64))?;
        self.write_head(end)
    }

    /// Puts a broken trail aside, all of it, and begins a new one with `record`. Returns where
    /// the old one is; `None` if there was none.
    ///
    /// # Errors
    /// [`AuditError::Io`], [`AuditError::Locked`].
    pub fn restart(&self, record: &Record) -> Result<Option<PathBuf>, AuditError> {
        let aside = self.files.put_all_aside(record.at)?;
        self.write(std::slice::from_ref(record))?;
        Ok(aside)
    }

    /// The records that `query` asks for, the newest first: each with its MAC, its number and
    /// its place in the chain verified, from the signed end of the trail back. Those that only a
    /// revoked key vouches for are not among them.
    ///
    /// # Errors
    /// [`AuditError::Broken`] if records that were asked for may be among those that were
    /// removed or changed; [`AuditError::Io`], [`AuditError::Locked`].
    pub fn find(&self, query: &Query) -> Result<Vec<Entry>, AuditError> {
        self.read(&query.require_voucher())?.into_records()
    }

    /// Reads as [`find`](Self::find) does, with the lines between them that are no records, and
    /// with what can be known of a trail that is broken.
    ///
    /// # Errors
    /// [`AuditError::Io`], [`AuditError::Locked`].
    pub fn read(&self, query: &Query) -> Result<Listing, AuditError> {
        let mut late = Late::default();
        if Late::is_needed(&self.ring) {
            let revocations = self.search(&Late::query(&self.ring), &late)?;
            late = Late::from_listing(&self.ring, &revocations);
        }
        self.search(query, &late)
    }

    fn search(&self, query: &Query, late: &Late) -> Result<Listing, AuditError> {
        let (segments, end) = self.open_all()?;
        let mut search = Search::new(&self.ring, end, query, late);
        let mut rest = None;
        for mut segment in segments.into_iter().rev() {
            let text = segment.text()?;
            let (lines, last) = lines_back(&text);
            // What is after the last line end of the newest file may be half a record.
            let is_newest = rest.is_none() && !text.is_empty();
            if is_newest && line::parse(&as_text(last)).is_none() {
                rest = Some(last.to_vec());
            } else if !last.is_empty() {
                search.take_line(&as_text(last));
            }
            if is_newest {
                rest.get_or_insert_default();
            }
            for line in lines {
                if search.is_done() {
                    return Ok(search.finish(false, &[]));
                }
                search.take_line(&as_text(line));
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
            let before = std::mem::take(&mut rest);
            let (lines, last) = lines_forward(&text);
            // Only the newest file may end within a line.
            rest = last.to_vec();
            let before = Some(&before[..]).filter(|line| !line.is_empty());
            for line in before.into_iter().chain(lines) {
                if !walk.take_line(&as_text(line)) {
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
        match TrailEnd::from_read(self.head())? {
            TrailEnd::Unreadable => Ok(false),
            TrailEnd::Missing => Ok(!self.files.has_text()?),
            TrailEnd::At(head) if head.n > 0 => Ok(false),
            // The text after an empty trail may be forged, or half a record.
            TrailEnd::At(_) => {
                let listing = self.read(&Query::new().with_started().take(1))?;
                Ok(listing.records.is_empty() && listing.problem.is_none())
            }
        }
    }

    /// Returns where the trail ends. What a writer that was killed left after it is cut off.
    fn end(&self) -> Result<Head, AuditError> {
        let head = self.head()?;
        if head.is_none() && !self.files.has_text()? {
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
        if line::parse(&text).is_some_and(|line| line.link == next) && is_genuine(&self.ring, &text)
        {
            // A record of which only the line end is missing.
            self.files.change_newest(|file, _| (&*file).write_all(b"\n"))?;
            return Ok(Head { n: next.n, hash: Some(hash(&text)), revoked: None });
        }
        if !is_torn(&rest, next) {
            return Err(AuditError::Broken { problem: Problem::Forged { after: end.n } });
        }
        let length = rest.len() as u64;
        self.files.change_newest(|file, all| file.set_len(all.saturating_sub(length)))?;
        Ok(end)
    }

    /// The same by the last line alone, if that is the one that the head names.
    fn end_by_tail(&self, head: Option<Head>) -> Result<Option<(Head, Vec<u8>)>, AuditError> {
        let Some(head) = head else { return Ok(None) };
        let tail = self.files.tail()?;
        let (mut lines, rest) = lines_back(&tail);
        let is_head = lines.next().is_some_and(|line| head.hash == Some(hash_of(line)));
        Ok(is_head.then(|| (Head { revoked: None, ..head }, rest.to_vec())))
    }

    fn end_by_chain(&self, head: Option<Head>) -> Result<(Head, Vec<u8>), AuditError> {
        let mut chain = Chain::new(&self.ring, TrailEnd::from(head));
        let mut rest = None;
        for mut segment in self.files.segments()?.into_iter().rev() {
            let text = segment.text()?;
            let (lines, last) = lines_back(&text);
            match &rest {
                None if text.is_empty() => {}
                None => rest = Some(last.to_vec()),
                Some(_) if last.is_empty() => {}
                Some(_) => chain.take_line(&as_text(last), &mut |_| {}),
            }
            for line in lines {
                if chain.end().is_none() {
                    chain.take_line(&as_text(line), &mut |_| {});
                }
            }
        }
        let problem = chain.finish(chain.end().is_none(), &mut |_| {});
        let forged = chain.forged.first().map(|line| Problem::Forged { after: line.after });
        match (chain.end(), forged.or(problem)) {
            (Some(end), None) => Ok((end, rest.unwrap_or_default())),
            (_, problem) => Err(AuditError::Broken { problem: problem.unwrap_or(Problem::NoHead) }),
        }
    }

    /// Opens all files as they are at one moment, the oldest first, and reads where the trail ends
    /// then: what is put aside or appended afterwards changes nothing of what is read.
    fn open_all(&self) -> Result<(Vec<Segment>, TrailEnd), AuditError> {
        let _lock = self.files.lock_to_read()?;
        let end = TrailEnd::from_read(self.head())?;
        Ok((self.files.segments()?, end))
    }

    fn head(&self) -> Result<Option<Head>, AuditError> {
        let path = self.files.head_path();
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
        disk::write(&self.files.head_path(), text.as_bytes(), true)
            .map_err(|source| self.files.io(source))
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
        let path = beside(self.path(), &format!(".{}.lock", disk::file_name(secret)));
        Box::pin(async move {
            // It is held over what others wait for: whoever waits for it must not keep a thread
            // of the runtime from them.
            let held = match Handle::try_current() {
                Err(_) => self.files.lock_at(&path),
                Ok(runtime) => {
                    let files = self.files.clone();
                    let lock = runtime.spawn_blocking(move || files.lock_at(&path));
                    lock.await.map_err(|error| self.files.io(error.into()))?
                }
            };
            held.map(Guard::new)
        })
    }
}
