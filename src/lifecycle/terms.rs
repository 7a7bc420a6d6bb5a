//! The policy of a ring, with its purpose and with what an earlier policy left behind.

use std::time::{Duration, SystemTime};

use crate::lifecycle::Policy;
use crate::purpose::Purpose;

/// The terms of the keys of a ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) purpose: Purpose,
    pub(crate) policy: Policy,
    pub(crate) earlier_window: Option<EarlierWindow>,
}

/// The rollout window and the skew together, of a policy that allowed more. A step before the
/// change of the policy may take that long to reach an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EarlierWindow {
    pub(crate) length: Duration,
    pub(crate) until: SystemTime,
}

impl Terms {
    pub(crate) fn new(purpose: Purpose, policy: Policy) -> Self {
        Self { purpose, policy, earlier_window: None }
    }

    /// The longest time from a step at `now` until the last instance acts on it, by any clock:
    /// the rollout window and the skew.
    pub(crate) fn window(&self, now: SystemTime) -> Duration {
        let earlier =
            self.earlier_window.filter(|window| now < window.until).map(|window| window.length);
        earlier.map_or(self.policy.window(), |length| length.max(self.policy.window()))
    }

    /// Returns for how long a superseded key is kept, if a step takes up to `window` until the last instance
    /// acts on it. A rewrap replaces the overlap of an encryption key, and counts once no instance seals with
    /// the key.
    pub(crate) fn kept_for(&self, window: Duration) -> Duration {
        if self.purpose.needs_rewrap() { window } else { self.policy.overlap_after(window) }
    }

    /// The terms under `policy`, which is set at `now`.
    pub(crate) fn apply_policy(&self, policy: Policy, now: SystemTime) -> Self {
        let length = self.window(now);
        let earlier = now.checked_add(length).map(|until| EarlierWindow { length, until });
        let earlier_window = earlier.filter(|_| length > policy.window());
        Self { purpose: self.purpose, policy, earlier_window }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A policy with a rollout window of so many minutes, and one minute of skew.
    fn policy(minutes: u32) -> Policy {
        let rollout_window = minutes * MINUTE;
        Policy { rollout_window, skew: MINUTE, max_lifetime: 100 * MINUTE, ..Policy::default() }
    }

    #[test]
    fn a_shorter_policy_leaves_its_window_behind_until_that_is_over() {
        let now = SystemTime::UNIX_EPOCH + 1000 * MINUTE;
        let terms = Terms::new(Purpose::Jwt, policy(60));
        assert_eq!(terms.window(now), 61 * MINUTE);
        // The same and a longer one leave nothing behind.
        for (minutes, earlier) in [(59, true), (60, false), (61, false)] {
            let next = terms.apply_policy(policy(minutes), now);
            let until = now + 61 * MINUTE;
            let left = EarlierWindow { length: 61 * MINUTE, until };
            assert_eq!(next.earlier_window, earlier.then_some(left), "{minutes}");
        }
        let shorter = terms.apply_policy(policy(10), now);
        let until = now + 61 * MINUTE;
        assert_eq!(shorter.window(until - Duration::from_nanos(1)), 61 * MINUTE);
        assert_eq!(shorter.window(until), 11 * MINUTE);
        // A window that is longer than the remaining one applies itself.
        let longer = shorter.apply_policy(policy(90), now);
        assert_eq!(longer.window(now), 91 * MINUTE);
        // The next shorter policy keeps the longer window too.
        let next = shorter.apply_policy(policy(5), now + MINUTE);
        assert_eq!(next.window(until), 61 * MINUTE);
    }

    #[test]
    fn a_rewrap_replaces_the_overlap_of_an_encryption_key() {
        let kept = |purpose| Terms::new(purpose, policy(60)).kept_for(30 * MINUTE);
        assert_eq!(kept(Purpose::Envelope), 30 * MINUTE);
        // The step, the longest lifetime and the skew.
        assert_eq!(kept(Purpose::Jwt), 131 * MINUTE);
    }
}
