//! Files that are written whole, and locks that no killed process holds.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// The number of attempts of a writer to take the lock: ten seconds, while another writer holds it for
/// milliseconds. A process that writes one record after the other leaves microseconds between them.
/// With longer pauses, another writer would miss all of these gaps.
const LOCK_ATTEMPTS: u32 = 10_000;
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// A temporary file of `NAME` is `.NAME.~R.tmp`, where `R` are [`RANDOM`] letters and digits. Both
/// ends have a fixed length, so no other name has a temporary file of this name.
const MARK: &str = ".~";
const RANDOM: usize = 12;
const SUFFIX: &str = ".tmp";

/// The reason why a process cannot take a lock.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds it, and has for seconds.
    Held,
    Io(io::Error),
}

/// Takes an advisory lock on the file at `path`. The lock ends when it is dropped, and when its
/// process ends.
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

/// The file of a lock, which is never removed: another might hold the one before. Deliberately not
/// through a symbolic link, which could make a file anywhere.
fn lock_file(path: &Path) -> io::Result<File> {
    let bad = |what| io::Error::other(BadLock { path: path.to_owned(), what });
    let check = |metadata: &Metadata| {
        if metadata.is_file() { Ok(()) } else { Err(bad(kind(metadata.file_type()))) }
    };
    // Before it is opened, because to open a device may have an effect.
    if let Ok(metadata) = fs::symlink_metadata(path) {
        check(&metadata)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    set_patience(&mut options);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => bad(kind(metadata.file_type())),
        _ => error,
    })?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Something else than a file in the place of a lock.
#[derive(Debug, thiserror::Error)]
#[error("cannot lock {}: it is {what}, not a file; remove it", path.display())]
struct BadLock {
    path: PathBuf,
    what: &'static str,
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
    set_flags(&mut options, false);
    let file = options.open(path)?;
    // Of what was opened, which may be something else than a moment ago.
    check_file(&file.metadata()?)?;
    Ok(file)
}

/// Reads the file at `path`, which has at most `most` bytes: as [`open`], into memory that is wiped.
pub(crate) fn read_bounded(path: &Path, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    read_open(&mut open(path)?, most)
}

/// The same, of a file that no other user can write: see [`check_writers`].
pub(crate) fn read_trusted(path: &Path, most: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = open(path)?;
    check_writers(path, &file.metadata()?)?;
    read_open(&mut file, most)
}

/// The same as [`read_bounded`], of a file that holds text.
#[cfg_attr(not(feature = "full"), allow(dead_code, reason = "operators use it, behind a feature"))]
pub(crate) fn read_text(path: &Path, most: usize) -> io::Result<Zeroizing<String>> {
    into_text(read_bounded(path, most)?)
}

/// The same as [`read_trusted`], of a file that holds text.
#[cfg_attr(not(feature = "full"), allow(dead_code, reason = "operators use it, behind a feature"))]
pub(crate) fn read_trusted_text(path: &Path, most: usize) -> io::Result<Zeroizing<String>> {
    into_text(read_trusted(path, most)?)
}

/// The text of a file that people edit: this process's own group, or that of the folder, may write
/// it too. With the usual umask of a user who has a group of their own, 002, every file is so.
pub(crate) fn read_edited(path: &Path, most: usize) -> io::Result<Zeroizing<String>> {
    let mut file = open(path)?;
    let metadata = file.metadata()?;
    if !is_writable_by_own_group_alone(path, &metadata) {
        check_writers(path, &metadata)?;
    }
    into_text(read_open(&mut file, most)?)
}

fn into_text(mut bytes: Zeroizing<Vec<u8>>) -> io::Result<Zeroizing<String>> {
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

/// Returns `true` if an error of [`open`] is that the path leads to something else than a file.
pub(crate) fn is_no_file(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NotAFile>())
}

fn check_file(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(io::Error::other(NotAFile(kind(metadata.file_type()))))
    }
}

#[cfg(unix)]
fn kind(file_type: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match file_type {
        _ if file_type.is_symlink() => "a symbolic link",
        _ if file_type.is_dir() => "a folder",
        _ if file_type.is_fifo() => "a pipe",
        _ if file_type.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
fn kind(file_type: FileType) -> &'static str {
    if file_type.is_dir() { "a folder" } else { "something else" }
}

/// A file or a folder that another user can change, so that what it holds cannot be trusted.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(crate) enum Untrusted {
    #[error(
        "others may write it (mode {mode:04o}); run `chmod go-w` on it, and check what it holds"
    )]
    Writable { mode: u32 },
    #[error(
        "it belongs to the user {owner}, and not to this process's user, to root or to the owner of its folder; run `chown` on it"
    )]
    Owner { owner: u32 },
}

impl Untrusted {
    /// The reason that `error` holds, if it is one.
    pub(crate) fn from_io(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
    }
}

/// Checks that only this process's user, root, and the owner of the folder, who can replace it
/// anyway, can write the file at `path`, which `metadata` describes. Others may read it.
#[cfg(unix)]
fn check_writers(path: &Path, metadata: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    check_owner(path, metadata)?;
    let mode = metadata.mode() & 0o7777;
    match mode & 0o022 {
        0 => Ok(()),
        _ => Err(io::Error::other(Untrusted::Writable { mode })),
    }
}

#[cfg(unix)]
fn is_writable_by_own_group_alone(path: &Path, metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let group = metadata.gid();
    let is_of_folder = || fs::metadata(folder(path)).is_ok_and(|folder| folder.gid() == group);
    let is_trusted_group = group == rustix::process::getegid().as_raw() || is_of_folder();
    check_owner(path, metadata).is_ok() && is_trusted_group && metadata.mode() & 0o002 == 0
}

#[cfg(not(unix))]
fn is_writable_by_own_group_alone(_: &Path, _: &Metadata) -> bool {
    true
}

#[cfg(not(unix))]
fn check_writers(_: &Path, _: &Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn check_owner(path: &Path, metadata: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid().as_raw();
    let is_of_folder = |owner| fs::metadata(folder(path)).is_ok_and(|folder| folder.uid() == owner);
    match metadata.uid() {
        owner if owner == user || owner == 0 || is_of_folder(owner) => Ok(()),
        owner => Err(io::Error::other(Untrusted::Owner { owner })),
    }
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Checks the same of the folder at `path`, also where a symbolic link leads to it. The error is [`io::ErrorKind::NotFound`] if nothing is there.
pub(crate) fn check_folder(path: &Path) -> io::Result<()> {
    let link = fs::symlink_metadata(path)?;
    check_owner(path, &link)?;
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(io::Error::other("it is a symbolic link that leads nowhere; remove it"));
        }
        found => found?,
    };
    if metadata.is_dir() {
        check_writers(path, &metadata)
    } else {
        let kind = kind_of(&metadata);
        Err(io::Error::other(format!("it is {kind}, not a folder; remove it")))
    }
}

fn kind_of(metadata: &Metadata) -> &'static str {
    if metadata.is_file() { "a file" } else { kind(metadata.file_type()) }
}

/// Has to open return at once, also where a pipe was put in the place of a file, and never leads to
/// another place through a symbolic link: for a file that is written.
pub(crate) fn set_patience(options: &mut OpenOptions) {
    set_flags(options, true);
}

#[cfg(unix)]
fn set_flags(options: &mut OpenOptions, is_written: bool) {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;
    // `O_CLOEXEC` is set by the standard library.
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    flags.set(OFlags::NOFOLLOW, is_written);
    options.custom_flags(flags.bits().cast_signed());
}

#[cfg(not(unix))]
fn set_flags(_: &mut OpenOptions, _: bool) {}

/// Writes `text` beside `path` and puts it in its place in one step.
pub(crate) fn write(path: &Path, text: &[u8], is_durable: bool) -> io::Result<()> {
    put(path, text, None, is_durable, path)
}

/// The same, with the owner and the permissions that `before` shows, and so that it survives a
/// crash.
pub(crate) fn write_like(path: &Path, text: &[u8], before: Option<&Metadata>) -> io::Result<()> {
    put(path, text, before, true, path)
}

/// Writes a copy of the file at `path` to `copy`. What a killed writer leaves of it is a temporary
/// file of `path`, which [`remove_temporary_files`] removes.
pub(crate) fn write_copy(copy: &Path, text: &[u8], path: &Path) -> io::Result<()> {
    put(copy, text, None, true, path)
}

fn put(
    path: &Path,
    text: &[u8],
    before: Option<&Metadata>,
    is_durable: bool,
    under: &Path,
) -> io::Result<()> {
    let mut file = create_temporary(under)?;
    file.write_all(text)?;
    if let Some(before) = before {
        copy_owner(file.as_file(), before)?;
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

/// A temporary file of `path`, beside it: made with mode 0600, whatever the umask.
fn create_temporary(path: &Path) -> io::Result<NamedTempFile> {
    let prefix = prefix(path).unwrap_or_default();
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM).tempfile_in(folder(path))
}

/// Gives `file` the owner that `before` shows. Root edits the files of other users, who must still be
/// able to read them.
#[cfg(unix)]
fn copy_owner(file: &File, before: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let current = file.metadata()?;
    if (current.uid(), current.gid()) == (before.uid(), before.gid()) {
        Ok(())
    } else {
        fchown(file, Some(before.uid()), Some(before.gid()))
    }
}

#[cfg(not(unix))]
fn copy_owner(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Writes `text` to a file that was not there, mode 0600, whole or not at all.
#[cfg_attr(not(feature = "full"), allow(dead_code, reason = "operators use it, behind a feature"))]
pub(crate) fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = create_temporary(path)?;
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
    if cfg!(unix) { File::open(folder(path))?.sync_all() } else { Ok(()) }
}

/// Removes what writers of `path` left that were killed: it may hold secrets. Under the lock, no
/// other writes. The temporary files of other names stay: their writers have other locks.
pub(crate) fn remove_temporary_files(path: &Path) {
    let Some(prefix) = prefix(path) else { return };
    for entry in fs::read_dir(folder(path)).into_iter().flatten().flatten() {
        let is_file = entry.file_type().is_ok_and(|file_type| file_type.is_file());
        if is_file && is_temporary(&entry.file_name(), &prefix) {
            // A file that stays does no harm: the next writer tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Returns `true` if `name` is `prefix`, as many letters and digits as are random, and the suffix.
fn is_temporary(name: &OsStr, prefix: &OsStr) -> bool {
    let rest = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
    let random = rest.and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
    random.is_some_and(|random| {
        random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric)
    })
}

/// Where the file at `path` lies.
pub(crate) fn folder(path: &Path) -> PathBuf {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => folder.to_owned(),
        None => PathBuf::from("."),
    }
}

/// The beginning of the names of the temporary files of `path`. Deliberately not through UTF-8,
/// which would give two names of other bytes one beginning.
fn prefix(path: &Path) -> Option<OsString> {
    let mut prefix = OsString::from(".");
    prefix.push(path.file_name()?);
    prefix.push(MARK);
    Some(prefix)
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
    let decoded = decode_name(name).and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.filter(|instance| file_name(instance) == name).unwrap_or_else(|| name.to_owned())
}

fn decode_name(name: &str) -> Option<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_is_of_one_name_alone() {
        let is_of = |name: &str, path: &str| {
            is_temporary(OsStr::new(name), &prefix(Path::new(path)).unwrap())
        };
        let random = "0123456789aZ";
        // Each name is the beginning of another, and one looks like a temporary file itself.
        let leftover = format!(".a.~{random}.tmp");
        let names =
            [".env", ".env.production", ".env.~0", "a", "a.~0123456789aZ.tmp", &leftover, ".~"];
        for one in names {
            for other in names {
                let name = format!(".{one}.~{random}.tmp");
                assert_eq!(is_of(&name, other), one == other, "{name} of {other}");
            }
        }
        for name in
            ["..env.~0123456789a.tmp", "..env.~0123456789aZb.tmp", "..env.~0123456789a_.tmp"]
        {
            assert!(!is_of(name, ".env"), "{name}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let file = create_temporary(&path).unwrap();
        let name = file.path().file_name().unwrap();
        assert!(is_temporary(name, &prefix(&path).unwrap()), "{name:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_that_is_longer_than_it_says_is_read_to_the_bound_alone() {
        let path = Path::new("/proc/self/maps");
        assert_eq!(fs::metadata(path).unwrap().len(), 0);
        assert!(read_bounded(path, 16).is_err());
        assert!(!read_bounded(path, 1 << 24).unwrap().is_empty());
    }
}
