//! The reasons why a store cannot give or take a manifest.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::disk::Untrusted;
use crate::error::Error;
use crate::kid::ParseKidError;
use crate::manifest::Revocations;
use crate::reference::Reference;

/// The reason why a store cannot give or take a manifest. It names the store and the remedy, never
/// a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing is there. That is not an empty ring: what a ring holds stays.
    #[error(
        "{store} holds no manifest: make the first one with `dualkey generate NAME --store`, or with \
         `dualkey adopt` from a value in use"
    )]
    Missing {
        /// The store: a path, a name.
        store: String,
    },

    /// It is there, and cannot be read or written.
    #[error("{store} cannot be used: {source}")]
    Io {
        /// The store: a path.
        store: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// Others may read the file, or write it.
    #[error(
        "{} may be read or written by others (mode {mode:04o}): `chmod 0600` it, and rotate its \
         secrets, which may be known", path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// The mode that it has.
        mode: u32,
    },

    /// Other users may write the file or the folder, so that what it holds cannot be trusted.
    #[error(
        "cannot use {}: others may write it (mode {mode:04o}); run `chmod go-w` on it, and check \
         what it holds", path.display()
    )]
    Writable {
        /// The file or the folder.
        path: PathBuf,
        /// The mode that it has.
        mode: u32,
    },

    /// The file or the folder is of another user.
    #[error(
        "cannot use {}: it belongs to the user {owner}, and not to this process's user or to root; \
         run `chown` on it, or run as that user", path.display()
    )]
    Owner {
        /// The file or the folder.
        path: PathBuf,
        /// The id of its owner.
        owner: u32,
    },

    /// Something else than a file is there.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },

    /// The file is a symbolic link: another program puts it there.
    #[error(
        "{} is a symbolic link, so something else manages it: change the manifest there", path.display()
    )]
    Link {
        /// The path.
        path: PathBuf,
    },

    /// Another process holds the lock.
    #[error("{} is locked: another process has been writing for seconds", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },

    /// What it holds cannot be used.
    #[error("{store}: {source}")]
    Manifest {
        /// The store: a path, a name.
        store: String,
        /// What is wrong.
        #[source]
        source: Box<Error>,
    },

    /// What it holds cannot be used, and revokes keys: a ring that follows it applies that.
    #[error("cannot use {store}: {source}; a ring that follows it applies its revocations")]
    OnlyRevocations {
        /// The store: a path, a name.
        store: String,
        /// What is wrong.
        #[source]
        source: Box<Error>,
        /// What it revokes.
        revocations: Box<Revocations>,
    },

    /// It was to be sealed and is not, or does not open under the keys, as the manifest of the
    /// ring and the environment, that the store was given.
    #[error("cannot open {store}: {problem}")]
    Sealed {
        /// The store: a path, a name.
        store: String,
        /// The reason, and the remedy.
        problem: &'static str,
    },

    /// Another writer was faster: load it again.
    #[error("{store} was changed by another: expected revision {expected}, found {found}")]
    Conflict {
        /// The store: a path, a name.
        store: String,
        /// The revision that was to be replaced; 0 for nothing.
        expected: u64,
        /// The revision that is there; 0 for nothing.
        found: u64,
    },

    /// It cannot be written through this store.
    #[error("{store} is read-only: {remedy}")]
    ReadOnly {
        /// The store: a path, a name.
        store: String,
        /// What to do instead.
        remedy: &'static str,
    },

    /// It has no place for what is to be stored.
    #[error("{store} cannot hold that: {problem}")]
    Unfit {
        /// The store: a path, a name.
        store: String,
        /// What there is no place for, and what to do instead.
        problem: &'static str,
    },

    /// A line of a `.env` file that different readers take for different things.
    #[error("cannot use {variable} in {}{}: {problem}", path.display(), in_line(*line))]
    Dotenv {
        /// The file.
        path: PathBuf,
        /// The line, from 1. `None` for a variable that has none yet.
        line: Option<usize>,
        /// The variable of that line.
        variable: String,
        /// The reason, and the remedy.
        problem: String,
    },

    /// A variable of a `.env` file that holds ciphertext of a tool, or a reference to a secret.
    #[error(
        "cannot use {variable} in {}{}: {reference}, or {}",
        path.display(), in_line(*line), Reference::WAY_OUT
    )]
    Reference {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: Option<usize>,
        /// The variable.
        variable: String,
        /// The value, without anything secret.
        reference: Reference,
    },

    /// A source that is edited by hand has changed. A reading counts once it was seen twice
    /// unchanged, because an edit may be seen half-written (V9).
    #[error(
        "cannot take the change of {store} yet: it was seen once and may be half-written; it counts \
         when the next reading is the same"
    )]
    Unconfirmed {
        /// The store: a path, a name.
        store: String,
    },

    /// A call to the store did not answer in time: see
    /// [`FollowBuilder::timeout`](crate::source::FollowBuilder::timeout).
    #[error(
        "cannot reach {store}: no answer within {after:?}; check the store and the way to it, or set a \
         longer `FollowBuilder::timeout`"
    )]
    TimedOut {
        /// The store: a path, a name.
        store: String,
        /// The time that the call was given.
        after: Duration,
    },

    /// A call to the store panicked, or code that used its answer did.
    #[error("cannot use {store}: a call panicked; read the panic message on standard error")]
    Panicked {
        /// The store: a path, a name.
        store: String,
    },

    /// Two values of one credential name different databases or services.
    #[error(
        "cannot use `{ring}`: {other} {differs}, so it is no other value of the same secret; correct \
         it, or rename it if it belongs to something else, or set `other_databases = true` for \
         `{ring}` in the inventory"
    )]
    OtherDatabase {
        /// The secret.
        ring: String,
        /// The variable or the key in question.
        other: String,
        /// In what it differs, with the variable or the key of the primary.
        differs: String,
    },

    /// It keeps no reports of instances.
    #[error("{store} keeps no reports")]
    NoReports {
        /// The store: a path, a name.
        store: String,
    },

    /// What a client of the store's said.
    #[error("{store}: {source}")]
    Client {
        /// The store: a path, a name.
        store: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A step was refused, or a ring cannot be made of what is there.
    #[error(transparent)]
    Refused(#[from] Error),
}

impl From<ParseKidError> for StoreError {
    fn from(error: ParseKidError) -> Self {
        Self::Refused(error.into())
    }
}

impl StoreError {
    /// Makes the error of the file or the folder at `path` of what `source` says.
    pub(super) fn from_path(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match Untrusted::from_io(&source) {
            Some(Untrusted::Writable { mode }) => Self::Writable { path, mode },
            Some(Untrusted::Owner { owner }) => Self::Owner { path, owner },
            None => Self::Io { store: path.display().to_string(), source },
        }
    }

    /// A stable name for metric labels.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Io { .. } => "io",
            Self::Permissions { .. } => "permissions",
            Self::Writable { .. } => "writable",
            Self::Owner { .. } => "owner",
            Self::NotAFile { .. } => "not_a_file",
            Self::Link { .. } => "link",
            Self::Locked { .. } => "locked",
            Self::Manifest { .. } | Self::OnlyRevocations { .. } => "manifest",
            Self::Sealed { .. } => "sealed",
            Self::Conflict { .. } => "conflict",
            Self::ReadOnly { .. } => "read_only",
            Self::Unfit { .. } => "unfit",
            Self::Dotenv { .. } => "dotenv",
            Self::Reference { .. } => "reference",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::TimedOut { .. } => "timed_out",
            Self::Panicked { .. } => "panicked",
            Self::OtherDatabase { .. } => "other_database",
            Self::NoReports { .. } => "no_reports",
            Self::Client { .. } => "client",
            Self::Refused(_) => "refused",
        }
    }
}

fn in_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}
