//! What keeps a record from being written or read.

use std::io;
use std::path::PathBuf;

use super::problem::Problem;
use crate::error::Error;

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
