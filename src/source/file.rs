//! A manifest in a file.
//!
//! It promises: a reader sees one whole generation, whatever becomes of a writer; a change
//! that was stored survives a crash; what others could read or have written is refused; of two
//! writers at the same time, one gets a conflict.
//!
//! A change is written to a file beside it, mode 0600, synced, and renamed; then the folder is
//! synced. Writers, and they alone, hold an advisory lock on `NAME.lock`. A reader opens the
//! path once, so that a link that is switched during the read (as Kubernetes does with a
//! mounted secret) shows it one generation or the other.
//!
//! Reports are kept in the folder `NAME.reports`, which only this process's user and root may
//! write; else it is refused with [`StoreError::Writable`] or [`StoreError::Owner`], for writing and
//! as evidence. A single report that others may write is unreadable.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::codec::Codec;
use super::disk::{self, LockError, beside, file_name, write};
use super::error::StoreError;
use super::store::{KeyStore, StoreFuture};
#[cfg(feature = "notify")]
use super::store::{Wake, Watch};
#[cfg(feature = "envelope")]
use crate::envelope::AesKey;
use crate::error::Error;
use crate::evidence::Report;
use crate::manifest::Manifest;
#[cfg(feature = "envelope")]
use crate::ring::KeyRing;

/// A manifest has at most 1 MiB, and a sealed one four thirds of that.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// A report has at most 1 MiB.
const MAX_REPORT_BYTES: usize = 1024 * 1024;

/// A manifest in a file, which is `0600` and belongs to this process's user or to root.
///
/// Reading takes a moment, writing as long as the disk takes to sync: in an async service,
/// write from where that does not hurt.
///
/// ```
/// use dualkey::manifest::{Manifest, NewEntry};
/// use dualkey::source::{FileStore, KeyStore, StoreError};
/// use dualkey::{Policy, Purpose};
/// use std::time::SystemTime;
///
/// # pollster::block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// let store = FileStore::new(folder.path().join("jwt.json"));
/// assert!(matches!(store.load().await, Err(StoreError::Missing { .. })));
///
/// let key = NewEntry::generate(Purpose::Jwt)?;
/// let now = SystemTime::now();
/// let first = Manifest::new("JWT_SECRET", Purpose::Jwt, "production", Policy::default(), key, now)?;
/// store.compare_and_swap(0, &first).await?;
/// assert_eq!(store.load().await?.fingerprint(), first.fingerprint());
///
/// // The later of two writers gets a conflict.
/// let late = store.compare_and_swap(0, &first).await;
/// assert!(matches!(late, Err(StoreError::Conflict { expected: 0, found: 1, .. })));
/// # Ok::<(), StoreError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct FileStore {
    path: PathBuf,
    codec: Codec,
    group_reads: bool,
}

impl FileStore {
    /// The manifest at `path`, of which the folder must be there.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), codec: Codec::default(), group_reads: false }
    }

    /// Seals the manifest of `ring` in `environment` under the primary of `kek`, and takes none
    /// that is not sealed, or is sealed for another ring or environment.
    ///
    /// ```
    /// use dualkey::envelope::AesKey;
    /// use dualkey::manifest::{Manifest, NewEntry};
    /// use dualkey::source::{FileStore, KeyStore, StoreError};
    /// use dualkey::{KeyRing, Policy, Purpose, Secret};
    /// use std::time::SystemTime;
    ///
    /// # pollster::block_on(async {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("jwt.json");
    /// # let bytes: Vec<u8> = (1..=32).collect();
    /// let kek = KeyRing::<AesKey>::builder().primary(Secret::from(bytes)).build()?;
    /// let store = FileStore::new(&path).sealed(kek.clone(), "USER_JWT", "production");
    /// let (key, now) = (NewEntry::generate(Purpose::Jwt)?, SystemTime::now());
    /// let first = Manifest::new("USER_JWT", Purpose::Jwt, "production", Policy::default(), key, now)?;
    /// store.compare_and_swap(0, &first).await?;
    /// assert_eq!(store.load().await?.fingerprint(), first.fingerprint());
    ///
    /// // Copied into the place of another, it does not open.
    /// let other = FileStore::new(&path).sealed(kek, "ADMIN_JWT", "production");
    /// assert!(matches!(other.load().await, Err(StoreError::Sealed { .. })));
    /// # Ok::<(), StoreError>(())
    /// # }).unwrap();
    /// ```
    #[cfg(feature = "envelope")]
    #[must_use]
    pub fn sealed(mut self, kek: KeyRing<AesKey>, ring: &str, environment: &str) -> Self {
        self.codec = Codec::sealed(kek, ring, environment);
        self
    }

    /// Also takes a file that its group may read (mode 0640 or 0440), as a secret that
    /// Kubernetes mounts for a pod with an `fsGroup`.
    #[must_use]
    pub fn allow_group_read(mut self) -> Self {
        self.group_reads = true;
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Manifest, StoreError> {
        let mut file = disk::open(&self.path).map_err(|source| self.read_error(source))?;
        // Of what was opened, which may be another file than a moment ago.
        self.check(&file.metadata().map_err(|source| self.io_error(source))?)?;
        let text = disk::read_open(&mut file, MAX_BYTES).map_err(|source| self.io_error(source))?;
        self.codec.decode(&text, &self.name())
    }

    #[cfg(unix)]
    fn check(&self, metadata: &fs::Metadata) -> Result<(), StoreError> {
        use std::os::unix::fs::MetadataExt;
        let path = || self.path.clone();
        let mode = metadata.mode() & 0o7777;
        let others = if self.group_reads { 0o037 } else { 0o077 };
        if mode & others != 0 {
            return Err(StoreError::Permissions { path: path(), mode });
        }
        let user = rustix::process::geteuid().as_raw();
        match metadata.uid() {
            owner if owner == user || owner == 0 => Ok(()),
            owner => Err(StoreError::Owner { path: path(), owner }),
        }
    }

    #[cfg(not(unix))]
    fn check(&self, _: &fs::Metadata) -> Result<(), StoreError> {
        Ok(())
    }

    fn swap(&self, expected: u64, next: &Manifest) -> Result<(), StoreError> {
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) if metadata.is_symlink() => {
                return Err(StoreError::Link { path: self.path.clone() });
            }
            _ => {}
        }
        let _lock = self.lock()?;
        // What cannot be read is not written over.
        let found = match self.read() {
            Ok(current) => {
                next.check_same(&current)?;
                current.revision()
            }
            Err(StoreError::Missing { .. }) => 0,
            Err(error) => return Err(error),
        };
        if found != expected || next.revision() <= expected {
            return Err(StoreError::Conflict { store: self.name(), expected, found });
        }
        let text = self.codec.encode(next, &self.name())?;
        disk::remove_temporary_files(&self.path);
        write(&self.path, text.expose(), true).map_err(|source| self.io_error(source))
    }

    fn lock(&self) -> Result<File, StoreError> {
        let path = beside(&self.path, ".lock");
        disk::lock(&path).map_err(|error| match error {
            LockError::Held => StoreError::Locked { path },
            LockError::Io(source) => self.io_error(source),
        })
    }

    fn reports_folder(&self) -> PathBuf {
        beside(&self.path, ".reports")
    }

    /// Returns whether there is a folder of reports, which no other user can write.
    fn has_reports(&self) -> Result<bool, StoreError> {
        let folder = self.reports_folder();
        match disk::check_folder(&folder) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::from_path(&folder, error)),
        }
    }

    fn read_reports(&self) -> Result<Vec<Report>, StoreError> {
        if !self.has_reports()? {
            return Ok(Vec::new());
        }
        let entries = match fs::read_dir(self.reports_folder()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| self.io_error(source))?,
        };
        let mut reports = Vec::new();
        for entry in entries {
            let path = entry.map_err(|source| self.io_error(source))?.path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            reports.extend(self.read_report(&path)?);
        }
        reports.sort_by(|one, other| one.instance.cmp(&other.instance));
        Ok(reports)
    }

    /// The report at `path`; none, if it was forgotten before it was read. What cannot be read is an
    /// unreadable report, so that it does not hide the others.
    fn read_report(&self, path: &Path) -> Result<Option<Report>, StoreError> {
        let problem = match disk::read_trusted(path, MAX_REPORT_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => error.to_string(),
            Ok(text) => match Report::from_json(&text) {
                Ok(report) => return Ok(Some(report)),
                Err(Error::Manifest { problem }) => problem,
                Err(error) => error.to_string(),
            },
        };
        // The link itself, where it leads in a circle.
        let metadata = fs::metadata(path).or_else(|_| fs::symlink_metadata(path));
        let received_at = match metadata.and_then(|metadata| metadata.modified()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            modified => modified.map_err(|source| self.io_error(source))?,
        };
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Some(Report::for_unreadable(disk::instance_of(&name), received_at, problem)))
    }

    fn write_report(&self, report: &Report) -> Result<(), StoreError> {
        let folder = self.reports_folder();
        disk::make_folder(&folder).map_err(|source| StoreError::from_path(&folder, source))?;
        self.has_reports()?;
        let text = report.to_json()?;
        // Not synced: one that is lost is written again in two minutes.
        write(&folder.join(report_name(&report.instance)), text.as_bytes(), false)
            .map_err(|source| self.io_error(source))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn io_error(&self, source: io::Error) -> StoreError {
        StoreError::Io { store: self.name(), source }
    }

    fn read_error(&self, source: io::Error) -> StoreError {
        match source.kind() {
            io::ErrorKind::NotFound => StoreError::Missing { store: self.name() },
            _ if disk::is_no_file(&source) => StoreError::NotAFile { path: self.path.clone() },
            _ => self.io_error(source),
        }
    }
}

impl KeyStore for FileStore {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(async { self.read() })
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.swap(expected, next) })
    }

    #[cfg(feature = "notify")]
    fn watch(&self, wake: Wake) -> StoreFuture<'_, Option<Watch>> {
        Box::pin(async move {
            let watch = super::watch::watch(&self.path, wake);
            watch.map(Some).map_err(|source| self.io_error(source))
        })
    }

    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        Box::pin(async { self.read_reports() })
    }

    fn save_report<'a>(&'a self, report: &'a Report) -> StoreFuture<'a, ()> {
        Box::pin(async { self.write_report(report) })
    }

    fn forget_report<'a>(&'a self, instance: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async {
            if !self.has_reports()? {
                return Ok(());
            }
            let path = self.reports_folder().join(report_name(instance));
            let removed = match fs::remove_file(&path) {
                // It is no report, and keeps the others from being forgotten.
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir(&path),
                removed => removed,
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io_error(error)),
                _ => Ok(()),
            }
        })
    }
}

fn report_name(instance: &str) -> String {
    file_name(instance) + ".json"
}
