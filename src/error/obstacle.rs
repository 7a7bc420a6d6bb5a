//! The reasons for which a step is refused.

use std::fmt;
use std::time::SystemTime;

use crate::fingerprint::Fingerprint;
use crate::moment::{At, NotBefore};
use crate::text::Plain;

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
    /// be dead: it lives longer than the policy says, or another party signs with it.
    UsedAsFallback {
        /// When that was last. A use that a clock dates in the future counts until its own date plus
        /// the observation window.
        last: SystemTime,
    },
    /// Something was opened under this encryption key after the end of the rewrap, which therefore did
    /// not find it. No time removes this obstacle: another complete rewrap must start after that use.
    UsedAfterRewrap {
        /// When that was last.
        last: SystemTime,
        /// The start of the first rewrap that counts.
        not_before: SystemTime,
    },
    /// Too little was verified under the primary within the observation window for the
    /// silence of this key to mean something.
    TooLittleTraffic {
        /// How many values were.
        seen: u64,
        /// How many would do: [`min_observed_verifications`](crate::Policy::min_observed_verifications) of the policy.
        enough: u64,
        /// From when the key counts as unused without them, if it stays unused and each observation
        /// window until then has a verification under the primary. `None`, if there is none now.
        from: Option<SystemTime>,
    },
    /// No instance has reported within the observation window.
    NoInstance,
    /// An instance holds other keys than the manifest: it may still sign with this one.
    KeySetMismatch {
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
    /// No rewrap of the data that this key may have sealed is recorded.
    NotRewrapped,
    /// The rewrap started before every instance had stopped sealing with this key.
    RewrapTooEarly {
        /// When it started.
        started_at: SystemTime,
        /// The start of the first rewrap that counts.
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

/// Shows every moment and every number that it holds. A moment from which something is so is rounded
/// up to the minute, so that it is so at the moment that is shown.
impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IsPrimary => f.write_str("it is the primary"),
            Self::IsStaged => f.write_str("it is staged, and has not signed yet"),
            Self::TooEarly { until } => write!(
                f,
                "what it signed may still be valid, or it was not observed for long enough, until {}",
                NotBefore(*until)
            ),
            Self::UsedAsFallback { last } => {
                write!(f, "it was used at {}, within the observation window", At(*last))
            }
            Self::UsedAfterRewrap { last, not_before } => write!(
                f,
                "it was used at {}, after the rewrap, which did not find everything; one that starts at \
                 or after {} counts",
                At(*last),
                NotBefore(*not_before)
            ),
            Self::TooLittleTraffic { seen, enough, from } => {
                write!(
                    f,
                    "{seen} verifications under the primary within the observation window are too few, \
                     `min_observed_verifications` of the policy is {enough}"
                )?;
                match from {
                    Some(from) => {
                        write!(f, "; without them it must stay unused until {}", NotBefore(*from))
                    }
                    None => Ok(()),
                }
            }
            Self::NoInstance => f.write_str("no instance has reported lately"),
            Self::KeySetMismatch { instance, fingerprint, reported_at } => write!(
                f,
                "the instance `{}` holds other keys ({fingerprint}), as it reported at {}",
                Plain(instance),
                At(*reported_at)
            ),
            Self::UnreadableReport { instance, problem } => write!(
                f,
                "cannot read the report of the instance `{}`: {}; delete the report if the instance is \
                 gone",
                Plain(instance),
                Plain(problem)
            ),
            Self::NotRewrapped => f.write_str("no rewrap of what it sealed is recorded"),
            Self::RewrapTooEarly { started_at, not_before } => write!(
                f,
                "this rewrap started at {}, before every instance had stopped sealing with the key; \
                 one that starts at or after {} counts",
                At(*started_at),
                NotBefore(*not_before)
            ),
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

/// Every obstacle, in one line.
pub(crate) struct Blocked<'a>(pub(crate) &'a [Obstacle]);

impl fmt::Display for Blocked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("blocked: ")?;
        for (place, obstacle) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}{obstacle}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn after(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Every variant that has a moment or a number shows it.
    #[test]
    fn what_is_shown_has_every_moment_and_every_number() {
        // 2026-12-03 16:13:01 UTC, and the minute after it.
        let (moment, past, ahead) =
            (after(1_796_314_381), "2026-12-03 16:13 UTC", "2026-12-03 16:14 UTC");
        let instance = "pod-1".to_owned();
        let cases: [(Obstacle, &[&str]); 12] = [
            (Obstacle::TooEarly { until: moment }, &[ahead]),
            (Obstacle::UsedAsFallback { last: moment }, &[past]),
            (Obstacle::UsedAfterRewrap { last: moment, not_before: moment }, &[past, ahead]),
            (
                Obstacle::TooLittleTraffic { seen: 7, enough: 1000, from: Some(moment) },
                &["7 ", "1000", ahead, "`min_observed_verifications`"],
            ),
            (
                Obstacle::TooLittleTraffic { seen: 0, enough: 9, from: None },
                &["0 ", "9", "`min_observed_verifications`"],
            ),
            (
                Obstacle::KeySetMismatch {
                    instance,
                    fingerprint: Fingerprint::NONE,
                    reported_at: moment,
                },
                &["pod-1", past],
            ),
            (Obstacle::RewrapTooEarly { started_at: moment, not_before: moment }, &[past, ahead]),
            (Obstacle::RowsLeft { rows: 17 }, &["17"]),
            (Obstacle::RowsUnreadable { rows: 18 }, &["18"]),
            (Obstacle::NothingSealed { tables: 1 }, &["one table"]),
            (Obstacle::NothingSealed { tables: 19 }, &["19"]),
            (Obstacle::NoInstance, &["no instance"]),
        ];
        for (obstacle, parts) in cases {
            let text = Blocked(std::slice::from_ref(&obstacle)).to_string();
            assert_eq!(text, format!("blocked: {obstacle}"));
            for part in parts {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
}
