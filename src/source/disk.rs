//! Files that are written whole, and locks that no killed process holds.

use std::fs::{self, File, FileType, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

/// How long a writer waits for another, who holds the lock for milliseconds: ten seconds. Who
/// writes one record after the other leaves microseconds between them, so that with longer
/// pauses another would miss them all.
const LOCK_ATTEMPTS: u32 = 10_000;
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// Of the files that are written beside their place.
pub(crate) const SUFFIX: &str = ".tmp";

/// What keeps somebody from holding a lock.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds it, and has for seconds.
    Held,
    Io(io::Error),
}

/// An advisory lock on the file at `path`: held until it is dropped, and by nobody once a
/// process is gone.
pub(crate) fn lock(path: &Path) -> Result<File, LockError> {
    let file = lock_file(path).map_err(LockError::Io)?;
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(LockError::Io(source)),
        }
    }
    Err(LockError::Held)
}

/// The file of a lock, which is never removed: another might hold the one before.
pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Why a path cannot be read: it leads to something else than a file.
#[derive(Debug, thiserror::Error)]
#[error("it is {0}, not a file")]
pub(crate) struct NotAFile(&'static str);

/// Opens a file to be read. A pipe, a device, a socket or a folder is refused with [`NotAFile`]: a
/// pipe waits for a writer, and a device might never end.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Before it is opened, because to open a device may have an effect.
    check_file(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    set_patience(&mut options);
    let file = options.open(path)?;
    // Of what was opened, which may be something else than a moment ago.
    check_file(&file.metadata()?)?;
    Ok(file)
}

/// Reads the file at `path`, which has at most `most` bytes: as [`open`], into memory that is wiped.
pub(crate) fn read_bounded(path: &Path, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    read_open(&mut open(path)?, most)
}

/// The same, of a file that holds text.
pub(crate) fn read_text(path: &Path, most: usize) -> io::Result<Zeroizing<String>> {
    let mut bytes = read_bounded(path, most)?;
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
        }
    }
}

/// Reads what was opened to its end, and no more than `most` bytes, whatever its length is said to be.
pub(crate) fn read_open(file: &mut File, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let too_large = || io::Error::other(format!("it has more than {most} bytes"));
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > most {
        return Err(too_large());
    }
    let mut bytes = Zeroizing::new(vec![0; length.saturating_add(1)]);
    let mut read = 0;
    loop {
        if read == bytes.len() {
            // By hand, because a vector that grows leaves its bytes behind unwiped.
            let room = read.saturating_mul(2).min(most.saturating_add(1));
            let mut more = Zeroizing::new(vec![0; room]);
            more[..read].copy_from_slice(&bytes);
            bytes = more;
        }
        match file.read(&mut bytes[read..]) {
            Ok(0) => break,
            Ok(count) => read = read.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if read > most {
            return Err(too_large());
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// Whether an error of [`open`] is that the path leads to something else than a file.
pub(crate) fn is_no_file(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|own| own.is::<NotAFile>())
}

fn check_file(own: &Metadata) -> io::Result<()> {
    match own.is_file() {
        true => Ok(()),
        false => Err(io::Error::other(NotAFile(kind(own.file_type())))),
    }
}

#[cfg(unix)]
fn kind(own: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match own {
        _ if own.is_dir() => "a folder",
        _ if own.is_fifo() => "a pipe",
        _ if own.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
fn kind(own: FileType) -> &'static str {
    if own.is_dir() { "a folder" } else { "something else" }
}

/// Has to open return at once, also where a pipe was put in the place of a file.
#[cfg(unix)]
pub(crate) fn set_patience(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;
    // `O_CLOEXEC` is set by the standard library.
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
}

#[cfg(not(unix))]
pub(crate) fn set_patience(_: &mut OpenOptions) {}

/// Writes `text` beside `path` and puts it in its place in one step.
pub(crate) fn write(path: &Path, text: &[u8], is_durable: bool) -> io::Result<()> {
    put(path, text, None, is_durable)
}

/// The same, with the owner and the permissions that `before` shows, and so that it survives a
/// crash.
pub(crate) fn write_like(path: &Path, text: &[u8], before: Option<&Metadata>) -> io::Result<()> {
    put(path, text, before, true)
}

fn put(path: &Path, text: &[u8], before: Option<&Metadata>, is_durable: bool) -> io::Result<()> {
    let folder = folder(path);
    let mut builder = tempfile::Builder::new();
    let prefix = prefix(path).unwrap_or_default();
    // Made with mode 0600, whatever the umask.
    let mut file = builder.prefix(&prefix).suffix(SUFFIX).tempfile_in(&folder)?;
    file.write_all(text)?;
    if let Some(before) = before {
        own_as(file.as_file(), before)?;
        file.as_file().set_permissions(before.permissions())?;
    }
    if is_durable {
        file.as_file().sync_all()?;
    }
    file.persist(path).map_err(|error| error.error)?;
    if is_durable {
        sync_folder(path)?;
    }
    Ok(())
}

/// Root edits the files of others, who go on reading them.
#[cfg(unix)]
fn own_as(file: &File, before: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let own = file.metadata()?;
    match (own.uid(), own.gid()) == (before.uid(), before.gid()) {
        true => Ok(()),
        false => fchown(file, Some(before.uid()), Some(before.gid())),
    }
}

#[cfg(not(unix))]
fn own_as(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Writes `text` to a file that was not there, mode 0600, whole or not at all.
#[cfg(feature = "ops")]
pub(crate) fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    let prefix = prefix(path).unwrap_or_default();
    let mut file = builder.prefix(&prefix).suffix(SUFFIX).tempfile_in(folder(path))?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    sync_folder(path)
}

/// Makes the folder, where it is not there, for this user alone.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Has what was made or renamed at `path` survive a crash.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match cfg!(unix) {
        true => File::open(folder(path))?.sync_all(),
        false => Ok(()),
    }
}

/// Removes what writers left that were killed: it may hold secrets. Under the lock, no other
/// writes.
pub(crate) fn sweep_up(path: &Path) {
    let Some(prefix) = prefix(path) else { return };
    for entry in fs::read_dir(folder(path)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(SUFFIX) {
            // It is in nobody's way: the next writer tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Where the file at `path` lies.
pub(crate) fn folder(path: &Path) -> PathBuf {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => folder.to_owned(),
        None => PathBuf::from("."),
    }
}

/// Of the files that are written beside `path`.
fn prefix(path: &Path) -> Option<String> {
    Some(format!(".{}.", path.file_name()?.to_string_lossy()))
}

/// The path with `ending` after it.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A name for every `instance`, of letters that every system takes, and never two of one.
pub(crate) fn file_name(instance: &str) -> String {
    let mut name = String::with_capacity(instance.len() + 5);
    for byte in instance.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

/// The instance whose [`file_name`] is `name`; the name itself, if it is of none.
pub(crate) fn instance_of(name: &str) -> String {
    let decoded = decoded(name).and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.filter(|own| file_name(own) == name).unwrap_or_else(|| name.to_owned())
}

fn decoded(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    Some(bytes)
}
