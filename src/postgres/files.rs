//! Files of certificates and keys, checked before a connection is made.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::error::ConnectionStringError;

/// The certificates of all public authorities take less than 1 MiB.
const MAX_BYTES: u64 = 4 << 20;

/// The lines that begin a certificate, and those that begin a key without a password.
pub(super) const CERTIFICATE: &[&str] = &["-----BEGIN CERTIFICATE-----"];
const KEY: &[&str] = &[
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----BEGIN EC PRIVATE KEY-----",
];

/// Checks that a file can be read and holds one of these lines: `sqlx` trusts other authorities
/// alone if a file of roots holds no certificate.
pub(super) fn check(
    name: &'static str,
    path: &Path,
    lines: &[&str],
) -> Result<(), ConnectionStringError> {
    let read = |file: File| {
        // With its room from the start: growing would leave parts of a key behind.
        let length = file.metadata()?.len().min(MAX_BYTES);
        let room = usize::try_from(length).unwrap_or_default() + 1;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        file.take(length).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = File::open(path).and_then(read);
    let bytes = bytes.map_err(|error| wrong(name, path, error.to_string()))?;
    let has_line = |line: &&str| bytes.windows(line.len()).any(|window| window == line.as_bytes());
    if lines.iter().any(has_line) {
        return Ok(());
    }
    let problem = if lines == KEY {
        "it holds no key in PEM without a password"
    } else {
        "it holds no certificate in PEM"
    };
    Err(wrong(name, path, problem.to_owned()))
}

/// Checks that a file holds a key, and that others cannot read it. A file of root may be read by
/// its group, as in libpq.
pub(super) fn check_key(name: &'static str, path: &Path) -> Result<(), ConnectionStringError> {
    check(name, path, KEY)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let metadata =
            std::fs::metadata(path).map_err(|error| wrong(name, path, error.to_string()))?;
        let allowed = if metadata.uid() == 0 { 0o740 } else { 0o700 };
        if metadata.mode() & 0o777 & !allowed != 0 {
            let problem = "others can read or write it: chmod 0600 it".to_owned();
            return Err(wrong(name, path, problem));
        }
    }
    Ok(())
}

fn wrong(name: &'static str, path: &Path, problem: String) -> ConnectionStringError {
    ConnectionStringError::File { name, path: path.to_owned(), problem }
}
