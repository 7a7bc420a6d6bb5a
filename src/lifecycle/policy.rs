//! The policy of a ring.

use std::time::{Duration, SystemTime};

use crate::error::Error;

/// The longest duration of a policy: 100 years, more than any backend runs, and little enough that a
/// sum of several of them is a moment of the calendar, and of every clock.
pub(crate) const MAX_DAYS: u16 = 36_525;

/// The same as a length of time.
pub(crate) const MAX: Duration = Duration::from_secs(MAX_DAYS as u64 * 24 * 60 * 60);

/// The largest count of a policy, 2^53 - 1: larger numbers of JSON lose digits in many readers
/// (RFC 8259 section 6).
pub(crate) const MAX_COUNT: u64 = (1 << 53) - 1;

/// An instance reports at least so often: half the gap at which an observation starts again.
pub(crate) const REPORT_EVERY: Duration = Duration::from_secs(120);

/// The largest `min_secret_bytes`: the command line reads no secret that is longer.
pub(crate) const MAX_SECRET_BYTES: usize = 64 * 1024;

/// The settings of a rotation: the longest lifetime of what is signed, the longest time until a change
/// has reached every instance, and how much silence shows that an old key is not needed.
///
/// ```
/// use dualkey::Policy;
/// use std::time::{Duration, SystemTime};
///
/// let mut policy = Policy::default();
/// policy.max_lifetime = Duration::from_secs(3600);
/// policy.rollout_window = Duration::from_secs(600);
/// policy.skew = Duration::from_secs(60);
/// assert_eq!(policy.overlap(), Duration::from_secs(4320));
/// ```
///
/// Each duration, and the days of a [`Schedule`], are at most 100 years (36,525 days), each count at
/// most 2^53 - 1, and `min_secret_bytes` at most 64 KiB: a ring or a manifest refuses a policy beyond
/// that with [`Error::PolicyBounds`]. What must never end has a life of 100 years. A manifest refuses an
/// `observation_window` below two minutes with [`Error::ObservationTooShort`], because instances report every
/// two minutes. A ring that is built in code counts its own uses, and takes any window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Policy {
    /// The max lifetime of what the keys sign: seven days unless set. Too short, and valid
    /// tokens are refused.
    pub max_lifetime: Duration,
    /// The longest time between the first instance's promotion and the last's: one hour
    /// unless set, a rolling deploy with room to spare.
    pub rollout_window: Duration,
    /// The largest difference between the clocks of two instances: five minutes unless set.
    pub skew: Duration,
    /// The observation window: how long an old key must not have been used before it may be retired.
    /// One day unless set. In a manifest, at least the two minutes in which an instance reports.
    pub observation_window: Duration,
    /// How many values must have verified under the primary within the observation window, for the
    /// silence of the old key to mean something: 1,000 unless set. If none of them needed the old
    /// key, then with 95 % confidence less than 3 in 1,000 do (the rule of three).
    ///
    /// This is a guard against a lifetime that was declared too short, after the overlap is over.
    /// Time is such a guard as well, for a service with few users: a key that was not used for seven
    /// observation windows, each with a verification under the primary, counts as unused however
    /// few they were. With the default window of a day that is a week, in which every client
    /// appears that comes weekly. Windows without a verification count for nothing, and every
    /// use of the key starts again from zero. A client that comes less often than this, with a value
    /// that lives longer than `max_lifetime` says, is not found by either guard.
    ///
    /// Neither guard applies to an encryption key: a rewrap finds what needs it.
    pub min_observed_verifications: u64,
    /// The least length of a secret, in bytes, where the default of the purpose must not do.
    /// It is never less than the standards ask for.
    pub min_secret_bytes: Option<usize>,
    /// The least length of a secret, in bytes, below the floor of the purpose: for a manifest with
    /// a weak secret that is in use and has to sign until the first rotation. It replaces
    /// `min_secret_bytes`. A service that follows such a manifest admits the secret only if its
    /// ring permits it with
    /// [`dangerous().min_secret_bytes`](crate::Dangerous::min_secret_bytes).
    ///
    /// # Security
    /// A short secret can be searched for by an attacker who holds one signed value. RFC 7518
    /// §3.2 forbids it.
    pub dangerous_min_secret_bytes: Option<usize>,
    /// When a new key is due.
    pub schedule: Option<Schedule>,
}

/// When a secret is rotated. Days begin at midnight, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Schedule {
    /// So many days after the primary began to sign.
    Days(u16),
    /// On the 15th of January, April, July and October.
    Quarterly,
    /// On the 15th of January and July.
    SemiAnnual,
    /// On the 15th of January.
    Annual,
}

impl Policy {
    /// Returns how long a superseded key still verifies: the max lifetime, the rollout window, and the skew
    /// twice.
    ///
    /// The skew counts once for the clocks of an instance that signs and of one that verifies. It counts
    /// once more for the clocks of two operators: one superseded the key, and another takes a step when
    /// the overlap ends.
    #[must_use]
    pub fn overlap(&self) -> Duration {
        self.overlap_after(self.window())
    }

    /// The overlap where a step takes up to `window` until the last instance acts on it.
    pub(crate) fn overlap_after(&self, window: Duration) -> Duration {
        self.max_lifetime.saturating_add(window).saturating_add(self.skew)
    }

    /// The longest time from a step until the last instance acts on it, by any clock.
    pub(crate) fn window(&self) -> Duration {
        self.rollout_window.saturating_add(self.skew)
    }

    /// Checks that instances can report on a whole observation window. A stored manifest with a
    /// shorter one is read all the same: a ring is not lost for it.
    pub(crate) fn check_observation_window(&self) -> Result<(), Error> {
        if self.observation_window < REPORT_EVERY {
            return Err(Error::ObservationTooShort {
                observation_window: self.observation_window,
                report_interval: REPORT_EVERY,
            });
        }
        Ok(())
    }

    /// Checks that each field is within its bounds.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let is_long = |length: Duration| length > MAX;
        let days = match self.schedule {
            Some(Schedule::Days(days)) => days,
            _ => 0,
        };
        let bounds = [
            (is_long(self.max_lifetime), "`max_lifetime` is more than 36525 days"),
            (is_long(self.rollout_window), "`rollout_window` is more than 36525 days"),
            (is_long(self.skew), "`skew` is more than 36525 days"),
            (is_long(self.observation_window), "`observation_window` is more than 36525 days"),
            (days > MAX_DAYS, "the days of `schedule` are more than 36525"),
            (
                self.min_observed_verifications > MAX_COUNT,
                "`min_observed_verifications` is more than 2^53 - 1",
            ),
            (
                self.min_secret_bytes.is_some_and(|bytes| bytes > MAX_SECRET_BYTES),
                "`min_secret_bytes` is more than 65536",
            ),
            (
                self.dangerous_min_secret_bytes.is_some_and(|bytes| bytes > MAX_SECRET_BYTES),
                "`dangerous_min_secret_bytes` is more than 65536",
            ),
            (
                self.min_secret_bytes.is_some() && self.dangerous_min_secret_bytes.is_some(),
                "`min_secret_bytes` and `dangerous_min_secret_bytes` exclude each other",
            ),
        ];
        match bounds.into_iter().find(|(is_out, _)| *is_out) {
            Some((_, what)) => Err(Error::PolicyBounds { what }),
            None => Ok(()),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            // What the sessions and tokens of most backends live.
            max_lifetime: Duration::from_secs(7 * 24 * 60 * 60),
            rollout_window: Duration::from_secs(60 * 60),
            skew: Duration::from_secs(5 * 60),
            observation_window: Duration::from_secs(24 * 60 * 60),
            min_observed_verifications: 1_000,
            min_secret_bytes: None,
            dangerous_min_secret_bytes: None,
            schedule: None,
        }
    }
}

/// Whether `moment` is in the future by more than two clocks may differ.
pub(crate) fn is_ahead(moment: SystemTime, policy: &Policy, now: SystemTime) -> bool {
    now.checked_add(policy.skew).is_some_and(|latest| moment > latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_refused_beyond_its_bound_and_not_at_it() {
        // A hundred years of 365.25 days.
        let century = Duration::from_secs(3_155_760_000);
        let longer = century + Duration::from_nanos(1);
        let policy = Policy::default;
        let cases = [
            (
                "max_lifetime",
                Policy { max_lifetime: century, ..policy() },
                Policy { max_lifetime: longer, ..policy() },
            ),
            (
                "rollout_window",
                Policy { rollout_window: century, ..policy() },
                Policy { rollout_window: longer, ..policy() },
            ),
            ("skew", Policy { skew: century, ..policy() }, Policy { skew: longer, ..policy() }),
            (
                "observation_window",
                Policy { observation_window: century, ..policy() },
                Policy { observation_window: longer, ..policy() },
            ),
            (
                "schedule",
                Policy { schedule: Some(Schedule::Days(36_525)), ..policy() },
                Policy { schedule: Some(Schedule::Days(36_526)), ..policy() },
            ),
            (
                "min_observed_verifications",
                Policy { min_observed_verifications: 9_007_199_254_740_991, ..policy() },
                Policy { min_observed_verifications: 9_007_199_254_740_992, ..policy() },
            ),
            (
                "min_secret_bytes",
                Policy { min_secret_bytes: Some(65_536), ..policy() },
                Policy { min_secret_bytes: Some(65_537), ..policy() },
            ),
            (
                "dangerous_min_secret_bytes",
                Policy { dangerous_min_secret_bytes: Some(65_536), ..policy() },
                Policy { dangerous_min_secret_bytes: Some(65_537), ..policy() },
            ),
        ];
        for (field, at_bound, beyond) in cases {
            assert!(at_bound.check().is_ok(), "{field}");
            match beyond.check() {
                Err(Error::PolicyBounds { what }) => {
                    assert!(what.contains(&format!("`{field}`")), "{field}: {what}");
                }
                other => panic!("{field}: {other:?}"),
            }
        }
        let both =
            Policy { min_secret_bytes: Some(16), dangerous_min_secret_bytes: Some(16), ..policy() };
        assert!(
            matches!(both.check(), Err(Error::PolicyBounds { what }) if what.contains("exclude"))
        );
    }

    #[test]
    fn an_observation_window_has_room_for_a_report() {
        let check = |observation_window| {
            Policy { observation_window, ..Policy::default() }.check_observation_window()
        };
        let two_minutes = Duration::from_secs(120);
        assert!(check(two_minutes).is_ok());
        assert!(check(two_minutes - Duration::from_nanos(1)).is_err());
    }
}
