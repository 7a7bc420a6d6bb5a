//! The state of a secret: its keys, its schedule, and the step that comes next.

use std::time::SystemTime;

use crate::evidence::Verdict;
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::ops::inventory::Priority;
use crate::purpose::Purpose;

/// How a secret stands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SecretStatus {
    /// Its name.
    pub name: String,
    /// The environment.
    pub environment: String,
    /// What it is for.
    pub purpose: Purpose,
    /// How much hangs on it.
    pub priority: Priority,
    /// The key that signs, where there is a manifest.
    pub primary: Option<Kid>,
    /// The variable that this key was read from, if it was.
    pub variable: Option<String>,
    /// Since when it signs, or since when the secret is what it is.
    pub since: Option<SystemTime>,
    /// True if it may have signed for longer: a key that was in a `.env` file before its first step has
    /// the earliest moment that is known, which is that of its adoption or of the last edit of the file.
    pub is_since_at_least: bool,
    /// All other keys that still verify, or that should not.
    pub others: Vec<OtherKey>,
    /// When the next rotation is due.
    pub due: Option<SystemTime>,
    /// How it stands.
    pub state: ScheduleState,
    /// What comes next.
    pub next: Advice,
    /// What is wrong with the reports of its instances: one that cannot be read, one from the
    /// future. And the dangers that its variables show.
    pub warnings: Vec<String>,
}

/// A key beside the primary.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OtherKey {
    /// Its kid.
    pub kid: Kid,
    /// The variable that it was read from, if it was.
    pub variable: Option<String>,
    /// What it is.
    pub state: KeyState,
    /// Since when it is in the manifest.
    pub added_at: SystemTime,
    /// The moment from which it signs.
    pub signs_from: Option<SystemTime>,
    /// When it stops verifying by its times, if that is known. A revoked key verifies nothing, even before
    /// that.
    pub verifies_until: Option<SystemTime>,
    /// Whether its end was set by a retirement, and does not only follow from its overlap.
    pub is_retired: bool,
    /// True if it is staged because it was added again after it had expired: to read what is still
    /// under it, and not to sign.
    pub is_restaged: bool,
    /// The verdict on it, where a step depends on that: on a fallback, on an expired key of a purpose
    /// that does not end by time, and on a revoked encryption key.
    pub verdict: Option<Verdict>,
}

/// How a secret stands, from nothing to do to what cannot wait.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ScheduleState {
    /// Nothing is to be done.
    UpToDate,
    /// A rotation is under way.
    Underway,
    /// A rotation is due within the days ahead.
    Soon {
        /// In so many days.
        days: u32,
    },
    /// A rotation is due today.
    Due,
    /// A rotation was due.
    Overdue {
        /// So many days ago.
        days: u32,
    },
    /// A rotation has stopped midway.
    Stuck {
        /// Where.
        why: String,
    },
    /// Its store holds nothing yet.
    Absent,
    /// It cannot be read.
    Unread {
        /// Why not.
        why: String,
    },
}

/// The next step in words and as a command, with its moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Advice {
    /// The step in words.
    pub what: String,
    /// The command that does it.
    pub command: Option<String>,
    /// The moment from which it is accepted.
    pub at: Option<SystemTime>,
}

impl ScheduleState {
    /// A stable name.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::UpToDate => "up-to-date",
            Self::Underway => "underway",
            Self::Soon { .. } => "soon",
            Self::Due => "due",
            Self::Overdue { .. } => "overdue",
            Self::Stuck { .. } => "stuck",
            Self::Absent => "absent",
            Self::Unread { .. } => "unread",
        }
    }

    /// What a scheduler is told: 0 for nothing to do, 3 for due, 4 for overdue, 5 for stuck, 1
    /// for what is absent or cannot be read.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::UpToDate | Self::Underway | Self::Soon { .. } => 0,
            Self::Due => 3,
            Self::Overdue { .. } => 4,
            Self::Stuck { .. } => 5,
            Self::Absent | Self::Unread { .. } => 1,
        }
    }
}
