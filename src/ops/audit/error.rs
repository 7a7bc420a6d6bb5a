//! What keeps a record from being written or read.

use std::path::PathBuf;
use std::{fmt, io};

use super::line::Escaped;
use crate::error::Error;
use crate::kid::Kid;

/// So many characters of a forged line are shown.
const MAX_SHOWN: usize = 200;

/// What keeps a record from being written, or a trail from being read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The trail cannot be written or read: a full disk, a missing folder.
    #[error("the audit trail {} cannot be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// Another process holds the lock.
    #[error("the audit trail {} is locked: another process has been writing for seconds", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },

    /// The trail is not as it was written: nothing is decided by it or written after it.
    #[error(
        "cannot use the audit trail: {problem}; look at it with `dualkey audit verify`, and begin \
         a new one, which records that, with `dualkey audit restart \
         --reason WHY`"
    )]
    Broken {
        /// What is wrong with it.
        problem: Problem,
    },

    /// A record that cannot be written.
    #[error("the audit record cannot be written: {problem}")]
    Unwritable {
        /// What is wrong with it.
        problem: String,
    },

    /// A line of a log that is to be imported.
    #[error(
        "line {line} cannot be read: it should be as in `2026-01-15 10:00:00 UTC | JWT_SECRET | ROTATED | user@example.com | prod | SUCCESS`; nothing was imported"
    )]
    Import {
        /// Its number, from 1.
        line: usize,
    },

    /// The ring of the audit cannot sign.
    #[error(transparent)]
    Ring(#[from] Error),

    /// What the database said.
    #[error("the audit trail in the database cannot be used: {source}")]
    Client {
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What is wrong with a trail: the first thing that is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A record is not as it was written.
    #[error("record {n} was changed")]
    Changed {
        /// Its number.
        n: u64,
    },
    /// A record is missing.
    #[error("record {n} was removed")]
    Removed {
        /// Its number.
        n: u64,
    },
    /// A record stands in another place than where it was written.
    #[error("record {n} was moved")]
    Moved {
        /// Its number.
        n: u64,
    },
    /// The trail ends before its last record.
    #[error("it ends after record {found}, and had {expected}: record {} was removed", found + 1)]
    Truncated {
        /// How many there were.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// The signed end of the trail is missing, or was changed.
    #[error("its signed end was removed or changed")]
    NoHead,
    /// A line that is no record was put between the records, or after the last one.
    #[error("a line after record {after} is forged")]
    Forged {
        /// The number of the record before it; 0 is the beginning.
        after: u64,
    },
    /// There is no record, although steps were taken.
    #[error("it has no record, although keys are stored whose steps it records")]
    Missing,
    /// A record is under a key that the ring does not hold.
    #[error("record {n} is under the key `{kid}`, which the ring of the audit does not hold")]
    UnknownKey {
        /// Its number.
        n: u64,
        /// The key.
        kid: Kid,
    },
    /// Nothing but a key that is compromised vouches for the records from this one on.
    #[error("only the revoked key `{kid}` vouches for record {n}, and what comes after it")]
    RevokedKey {
        /// Its number.
        n: u64,
        /// The key.
        kid: Kid,
    },
}

/// A line of a trail that is no record of it.
///
/// Its text is an attacker's: [`Display`](fmt::Display) escapes it, and cuts it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forged {
    /// The number of the record before it; 0 is the beginning of the trail.
    pub after: u64,
    /// The line, as it is.
    pub line: String,
}

impl fmt::Display for Forged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start: String = self.line.chars().take(MAX_SHOWN).collect();
        let rest = if start.len() < self.line.len() { " …" } else { "" };
        write!(f, "FORGED, after record {}: {}{rest}", self.after, Escaped(&start))
    }
}

/// How many records hold, and the first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "a trail that is not looked at proves nothing"]
pub struct Verification {
    /// The number of records that hold.
    pub records: u64,
    /// What is wrong, if anything is.
    pub problem: Option<Problem>,
    /// True if half a record is at the end: its writer was killed, or another put it there. It
    /// is no record, and the next record takes its place.
    pub is_torn: bool,
    /// The lines that are no records, at most 100.
    pub forged: Vec<Forged>,
}

impl Verification {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.problem.is_none()
    }
}
