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

    /// How long a superseded key is kept where a step takes up to `window` until the last instance acts
    /// on it. A rewrap replaces the overlap of an encryption key, and counts once no instance seals with
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
