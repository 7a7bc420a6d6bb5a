//! What a rotation needs to be told.

use std::time::Duration;

/// What a rotation needs to be told: how long what is signed lives, how long a change takes
/// to reach everybody, and how much silence says that an old key is not needed.
///
/// ```
/// use dualkey::Policy;
/// use std::time::Duration;
///
/// let mut policy = Policy::default();
/// policy.longest_life = Duration::from_secs(3600);
/// policy.rollout_window = Duration::from_secs(600);
/// policy.skew = Duration::from_secs(60);
/// assert_eq!(policy.overlap(), Duration::from_secs(4260));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Policy {
    /// The longest life of what the keys sign: seven days unless set. Too short, and valid
    /// tokens are refused.
    pub longest_life: Duration,
    /// The longest time between the first instance's promotion and the last's: one hour
    /// unless set, a rolling deploy with room to spare.
    pub rollout_window: Duration,
    /// The largest difference between the clocks of two instances: five minutes unless set.
    pub skew: Duration,
    /// How long an old key must not have been used before it may go: one day unless set.
    pub observation: Duration,
    /// How many values must have verified under the primary in that time, for the silence of
    /// the old key to mean something: 1,000 unless set. If none of them needed the old key,
    /// then with 95 % confidence less than 3 in 1,000 do (the rule of three).
    pub enough_traffic: u64,
    /// The least length of a secret, in bytes, where the default of the purpose must not do.
    /// It is never less than the standards ask for.
    pub min_secret_bytes: Option<usize>,
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
    /// How long a superseded key still verifies: the longest life, the rollout window and
    /// the skew together.
    #[must_use]
    pub fn overlap(&self) -> Duration {
        self.longest_life.saturating_add(self.window())
    }

    /// The longest time from a step until the last instance acts on it, by any clock.
    pub(crate) fn window(&self) -> Duration {
        self.rollout_window.saturating_add(self.skew)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            // What the sessions and tokens of most backends live.
            longest_life: Duration::from_secs(7 * 24 * 60 * 60),
            rollout_window: Duration::from_secs(60 * 60),
            skew: Duration::from_secs(5 * 60),
            observation: Duration::from_secs(24 * 60 * 60),
            enough_traffic: 1_000,
            min_secret_bytes: None,
            schedule: None,
        }
    }
}
