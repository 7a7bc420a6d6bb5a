//! Problems of a trail, and the lines in it that are forged.

use std::fmt;

use super::escape::Escaped;
use crate::kid::Kid;

/// The number of forged lines that are kept. One is enough to act on.
pub(super) const MAX_FORGED: usize = 100;
/// So many characters of a forged line are shown.
const MAX_SHOWN: usize = 200;

/// The first thing that is wrong with a trail.
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

/// The number of records that hold, and the first thing that is wrong.
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
