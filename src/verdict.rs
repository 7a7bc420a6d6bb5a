//! The answer to "may the old key go now?", with everything that speaks against it.

use std::fmt;
use std::time::SystemTime;

use crate::fingerprint::Fingerprint;
use crate::text::Plain;

/// Whether an old key may go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "a verdict that is not looked at is a guess"]
pub enum Verdict {
    /// Nothing that is valid needs it: it may be retired, and its secret wiped.
    Safe,
    /// Not yet, and nothing is wrong: ask again at `until`.
    Wait {
        /// When the time that it has to verify, and to be watched, is over.
        until: SystemTime,
    },
    /// Something speaks against it that time alone does not mend.
    Blocked(Vec<Obstacle>),
}

/// Why a key may not go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// It signs.
    IsPrimary,
    /// It is to sign.
    IsStaged,
    /// What it signed may still be valid, or it was not watched for long enough.
    TooEarly {
        /// When the time is over.
        until: SystemTime,
    },
    /// Something needed it within the observation window, although what it signed should
    /// be dead: it lives longer than the policy says, or somebody else signs with it.
    UsedAsFallback {
        /// When that was last.
        last: SystemTime,
    },
    /// Too little was verified under the primary within the observation window for the
    /// silence of this key to mean something.
    TooLittleTraffic {
        /// How many values were.
        seen: u64,
        /// How many would do.
        enough: u64,
    },
    /// No instance has reported within the observation window.
    NoInstance,
    /// An instance holds other keys than the manifest: it may still sign with this one.
    OtherKeys {
        /// The name of the instance.
        instance: String,
        /// What it holds.
        fingerprint: Fingerprint,
        /// When it said so.
        reported_at: SystemTime,
    },
    /// The report of an instance cannot be read: it may hold other keys than the manifest. It
    /// objects for one observation window after the store received it.
    UnreadableReport {
        /// The name of the instance.
        instance: String,
        /// Why it cannot be read.
        problem: String,
    },
    /// Nothing has gone through the data that this key may have sealed.
    NotSwept,
    /// The sweep began before every instance had stopped sealing with this key.
    SweptTooEarly {
        /// When it began.
        started_at: SystemTime,
        /// When it may begin.
        not_before: SystemTime,
    },
    /// Rows are left that need the key.
    RowsLeft {
        /// How many.
        rows: u64,
    },
    /// Rows could not be read: they may need the key.
    RowsUnreadable {
        /// How many.
        rows: u64,
    },
    /// The rewrap found tables in which nothing is sealed: they may be the wrong tables.
    NothingSealed {
        /// Number of tables.
        tables: u64,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safe => f.write_str("safe"),
            Self::Wait { .. } => f.write_str("wait"),
            Self::Blocked(obstacles) => {
                f.write_str("blocked: ")?;
                for (place, obstacle) in obstacles.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "; " };
                    write!(f, "{comma}{obstacle}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IsPrimary => f.write_str("it is the primary"),
            Self::IsStaged => f.write_str("it is staged, and has not signed yet"),
            Self::TooEarly { .. } => f.write_str("what it signed may still be valid"),
            Self::UsedAsFallback { .. } => {
                f.write_str("it verified something within the observation window")
            }
            Self::TooLittleTraffic { seen, enough } => write!(
                f,
                "only {seen} values verified under the primary within the observation window, \
                 {enough} would say something"
            ),
            Self::NoInstance => f.write_str("no instance has reported lately"),
            Self::OtherKeys { instance, fingerprint, .. } => {
                write!(f, "the instance `{}` holds other keys ({fingerprint})", Plain(instance))
            }
            Self::UnreadableReport { instance, problem } => write!(
                f,
                "cannot read the report of the instance `{}`: {}; update the instance, or delete the \
                 report if it is gone",
                Plain(instance),
                Plain(problem)
            ),
            Self::NotSwept => f.write_str("no sweep has looked for what it sealed"),
            Self::SweptTooEarly { .. } => {
                f.write_str("the sweep began before every instance had stopped sealing with it")
            }
            Self::RowsLeft { rows } => write!(f, "{rows} rows need it"),
            Self::RowsUnreadable { rows } => write!(f, "{rows} rows could not be read"),
            Self::NothingSealed { tables: 1 } => f.write_str(
                "the rewrap found nothing sealed in one table: check its name and schema",
            ),
            Self::NothingSealed { tables } => write!(
                f,
                "the rewrap found nothing sealed in {tables} tables: check their names and schemas"
            ),
        }
    }
}
