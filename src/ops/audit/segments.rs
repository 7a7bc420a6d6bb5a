//! The files of a trail: the newest, and those that were put aside.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::AuditError;
use super::file::FileTrail;
use super::record::Record;
use super::verify::End;
use crate::source::disk::{self, beside};

/// The longest line, with room to spare: each of its texts has at most 1 KiB, and an escape
/// at most eight times that.
pub(super) const MAX_LINE: u64 = 64 * 1024;

/// The largest file of a trail, unless more is set with `max_bytes`: 512 MiB. A file is put aside at
/// 16 MiB unless set, and one append may add what an import of 64 MiB becomes.
const MAX_SEGMENT: u64 = 512 * 1024 * 1024;

impl FileTrail {
    /// Puts a broken trail aside, all of it, and begins a new one with `record`. Returns where
    /// the old one is; `None` if there was none.
    ///
    /// # Errors
    /// [`AuditError::Io`], [`AuditError::Locked`].
    pub fn restart(&self, record: &Record) -> Result<Option<PathBuf>, AuditError> {
        let aside = {
            let _lock = self.lock_at(&beside(&self.path, ".lock"))?;
            let stamp = jiff::Timestamp::try_from(record.at).unwrap_or_default();
            let aside =
                beside(&self.path, &format!(".broken-{}", stamp.strftime("%Y%m%dT%H%M%SZ")));
            let aside = make_new_folder(aside).map_err(|source| self.io(source))?;
            let paths = self.segment_paths()?.into_iter();
            let mut has_moved = false;
            for path in paths.chain([self.path.clone(), self.head_path()]) {
                let Some(name) = path.file_name() else { continue };
                match fs::rename(&path, aside.join(name)) {
                    Ok(()) => has_moved = true,
                    Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                    Err(source) => return Err(self.io(source)),
                }
            }
            if !has_moved {
                fs::remove_dir(&aside).map_err(|source| self.io(source))?;
            }
            has_moved.then_some(aside)
        };
        self.write(std::slice::from_ref(record))?;
        Ok(aside)
    }

    /// The end of the newest file that holds anything.
    pub(super) fn tail(&self) -> Result<Vec<u8>, AuditError> {
        let Some((path, length)) = self.newest()? else { return Ok(Vec::new()) };
        let read = || {
            let mut file = disk::open(&path)?;
            file.seek(SeekFrom::Start(length.saturating_sub(2 * MAX_LINE)))?;
            let mut bytes = Vec::new();
            file.take(2 * MAX_LINE).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|source| AuditError::Io { path: path.clone(), source })
    }

    /// The newest file that holds anything, and its length.
    pub(super) fn newest(&self) -> Result<Option<(PathBuf, u64)>, AuditError> {
        for path in std::iter::once(self.path.clone()).chain(self.segment_paths()?.pop()) {
            match disk::open(&path).and_then(|file| file.metadata()) {
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(AuditError::Io { path, source }),
                Ok(own) if own.len() > 0 => return Ok(Some((path, own.len()))),
                Ok(_) => {}
            }
        }
        Ok(None)
    }

    /// Returns whether a file of the trail holds anything.
    pub(super) fn has_text(&self) -> Result<bool, AuditError> {
        Ok(self.newest()?.is_some())
    }

    /// The files that were put aside, the oldest first.
    pub(super) fn segment_paths(&self) -> Result<Vec<PathBuf>, AuditError> {
        let Some(name) = self.path.file_name() else { return Ok(Vec::new()) };
        let prefix = format!("{}.", name.to_string_lossy());
        let entries = match fs::read_dir(disk::folder(&self.path)) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| self.io(source))?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| self.io(source))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let number = name.as_deref().and_then(|name| name.strip_prefix(&prefix));
            if number.is_some_and(|own| own.len() == 12 && own.bytes().all(|b| b.is_ascii_digit()))
            {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// All files as they are at one moment, the oldest first, and where the trail ends then:
    /// what is put aside or appended afterwards changes nothing of what is read.
    pub(super) fn open_all(&self) -> Result<(Vec<Segment>, End), AuditError> {
        let _lock = self.lock_to_read()?;
        let end = End::of(self.head())?;
        Ok((self.segments()?, end))
    }

    /// The lock, as far as it can be had: who may only read does so without it, and might see
    /// a trail in the moment at which a file is put aside.
    pub(super) fn lock_to_read(&self) -> Result<Option<File>, AuditError> {
        use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
        let path = beside(&self.path, ".lock");
        // Made by the first writer. To read changes nothing.
        if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == NotFound) {
            return Ok(None);
        }
        match self.lock_at(&path) {
            Err(AuditError::Io { source, .. })
                if matches!(source.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem) =>
            {
                Ok(None)
            }
            lock => lock.map(Some),
        }
    }

    pub(super) fn segments(&self) -> Result<Vec<Segment>, AuditError> {
        let mut segments = Vec::new();
        for path in self.segment_paths()?.into_iter().chain([self.path.clone()]) {
            let most = self.max_bytes.max(MAX_SEGMENT);
            match Segment::open(&path, most) {
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(AuditError::Io { path, source }),
                Ok(segment) => segments.push(segment),
            }
        }
        Ok(segments)
    }
}

/// Makes the folder at `path`, or beside it under the first number that is free.
fn make_new_folder(path: PathBuf) -> io::Result<PathBuf> {
    let mut own = path.clone();
    for number in 2_u64.. {
        match fs::create_dir(&own) {
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                own = beside(&path, &format!("-{number}"));
            }
            made => return made.map(|()| own),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A file as it was when it was opened.
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Segment {
    fn open(path: &Path, most: u64) -> io::Result<Self> {
        let file = disk::open(path)?;
        let length = file.metadata()?.len();
        match length > most {
            true => Err(io::Error::other(format!("it has more than {most} bytes"))),
            false => Ok(Self { path: path.to_owned(), file, length }),
        }
    }

    pub(super) fn text(&mut self) -> Result<Vec<u8>, AuditError> {
        let mut text = Vec::with_capacity(usize::try_from(self.length).unwrap_or_default());
        let read = (&mut self.file).take(self.length).read_to_end(&mut text);
        read.map_err(|source| AuditError::Io { path: self.path.clone(), source })?;
        Ok(text)
    }
}

/// The lines of `text`, the last one first, and what is after the last line end.
pub(super) fn lines_back(text: &[u8]) -> (impl Iterator<Item = &[u8]>, &[u8]) {
    let at = text.iter().rposition(|byte| *byte == b'\n');
    let rest = &text[at.map_or(0, |at| at + 1)..];
    let lines = at.map(|at| text[..at].rsplit(|byte| *byte == b'\n'));
    (lines.into_iter().flatten(), rest)
}

/// A line as text. One that is not UTF-8 was never a record, and none is made of it.
pub(super) fn as_text(line: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(format!("\u{fffd} {}", String::from_utf8_lossy(line))),
    }
}
