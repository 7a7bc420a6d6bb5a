//! The files of a trail: the newest, and those that were put aside.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::AuditError;
use super::line::MAX_LINE;
use crate::source::disk::{self, LockError, beside};

/// Beyond this size a file is put aside: it can be read as a whole.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The largest file of a trail, unless more is set with `max_bytes`: 512 MiB. A file is put aside at
/// 16 MiB unless set, and one append may add what an import of 64 MiB becomes.
const MAX_SEGMENT: u64 = 512 * 1024 * 1024;

/// The files of a trail, as bytes.
#[derive(Debug, Clone)]
pub(super) struct TrailFiles {
    /// The newest one.
    path: PathBuf,
    max_bytes: u64,
}

impl TrailFiles {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, max_bytes: MAX_BYTES }
    }

    pub(super) fn max_bytes(self, bytes: u64) -> Self {
        Self { max_bytes: bytes, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn head_path(&self) -> PathBuf {
        beside(&self.path, ".head")
    }

    /// Takes the lock of a writer.
    pub(super) fn lock(&self) -> Result<File, AuditError> {
        self.lock_at(&beside(&self.path, ".lock"))
    }

    pub(super) fn lock_at(&self, path: &Path) -> Result<File, AuditError> {
        disk::lock(path).map_err(|error| match error {
            LockError::Held => AuditError::Locked { path: path.to_owned() },
            LockError::Io(source) => AuditError::Io { path: path.to_owned(), source },
        })
    }

    /// Takes the lock, if that is possible. A process that may only read does without it, and might
    /// see a trail in the moment at which a file is put aside.
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

    /// Appends `text` to the newest file, all of it or nothing; `last` is the last record before.
    pub(super) fn append(&self, text: &str, last: u64) -> Result<(), AuditError> {
        self.put_aside(text.len() as u64, last)?;
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
            metadata => metadata.map_err(|source| self.io(source))?.len(),
        };
        if length == 0 || length.saturating_add(more) <= self.max_bytes {
            return Ok(());
        }
        let aside = beside(&self.path, &format!(".{last:012}"));
        fs::rename(&self.path, aside).map_err(|source| self.io(source))
    }

    /// Changes the newest file that holds anything, of which the length is passed, and syncs it.
    pub(super) fn change_newest(
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

    /// Puts the whole trail aside, in a folder that is named after `at`. Returns that folder;
    /// `None` if there was no trail.
    pub(super) fn put_all_aside(&self, at: SystemTime) -> Result<Option<PathBuf>, AuditError> {
        let _lock = self.lock()?;
        let stamp = jiff::Timestamp::try_from(at).unwrap_or_default();
        let aside = beside(&self.path, &format!(".broken-{}", stamp.strftime("%Y%m%dT%H%M%SZ")));
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
        Ok(has_moved.then_some(aside))
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
    fn newest(&self) -> Result<Option<(PathBuf, u64)>, AuditError> {
        for path in std::iter::once(self.path.clone()).chain(self.segment_paths()?.pop()) {
            match disk::open(&path).and_then(|file| file.metadata()) {
                Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(AuditError::Io { path, source }),
                Ok(metadata) if metadata.len() > 0 => return Ok(Some((path, metadata.len()))),
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
    fn segment_paths(&self) -> Result<Vec<PathBuf>, AuditError> {
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
            let is_number =
                |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
            if number.is_some_and(is_number) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// All files as they are at one moment, the oldest first.
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

    pub(super) fn io(&self, source: io::Error) -> AuditError {
        AuditError::Io { path: self.path.clone(), source }
    }
}

/// Makes the folder at `path`, or beside it under the first number that is free.
fn make_new_folder(path: PathBuf) -> io::Result<PathBuf> {
    let mut free = path.clone();
    for number in 2_u64.. {
        match fs::create_dir(&free) {
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
                free = beside(&path, &format!("-{number}"));
            }
            made => return made.map(|()| free),
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
        if length > most {
            return Err(io::Error::other(format!("it has more than {most} bytes")));
        }
        Ok(Self { path: path.to_owned(), file, length })
    }

    pub(super) fn text(&mut self) -> Result<Vec<u8>, AuditError> {
        let mut text = Vec::with_capacity(usize::try_from(self.length).unwrap_or_default());
        let read = (&mut self.file).take(self.length).read_to_end(&mut text);
        read.map_err(|source| AuditError::Io { path: self.path.clone(), source })?;
        Ok(text)
    }
}
