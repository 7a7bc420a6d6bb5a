//! The verdict on an old key: whether it can be retired now, and every obstacle.

use std::fmt;
use std::time::SystemTime;

use crate::error::{Blocked, Error, Obstacle};
use crate::kid::Kid;
use crate::moment::NotBefore;

/// The verdict on an old key.
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
    /// Obstacles that time alone does not remove.
    Blocked(Vec<Obstacle>),
}

impl Verdict {
    /// Checks that no obstacle blocks the key `kid`, and returns the moment until which it must verify.
    pub(crate) fn check_unblocked(self, kid: &Kid) -> Result<Option<SystemTime>, Error> {
        match self {
            Self::Safe => Ok(None),
            Self::Wait { until } => Ok(Some(until)),
            Self::Blocked(obstacles) => Err(Error::Blocked { kid: *kid, obstacles }),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safe => f.write_str("safe"),
            Self::Wait { until } => write!(
                f,
                "wait until {}: the key is still needed, or was not observed for long enough",
                NotBefore(*until)
            ),
            Self::Blocked(obstacles) => Blocked(obstacles).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_verdict_shows_its_moment_or_its_obstacles() {
        // 2026-12-03 16:13:01 UTC: a moment ahead is shown as the minute after it.
        let until = UNIX_EPOCH + Duration::from_secs(1_796_314_381);
        let wait = Verdict::Wait { until }.to_string();
        assert!(wait.starts_with("wait until 2026-12-03 16:14 UTC: "), "{wait}");
        let blocked = Verdict::Blocked(vec![Obstacle::IsPrimary, Obstacle::NoInstance]).to_string();
        assert_eq!(blocked, format!("blocked: {}; {}", Obstacle::IsPrimary, Obstacle::NoInstance));
    }
}
