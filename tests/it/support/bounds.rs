//! Policies and moments at their bounds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dualkey::{Policy, Schedule};

pub const DAY: Duration = Duration::from_secs(86_400);

/// 100 years.
pub const MAX: Duration = Duration::from_secs(36_525 * 86_400);

pub const MAX_COUNT: u64 = (1 << 53) - 1;

/// Every policy with each duration at its bounds.
pub fn extreme() -> Vec<Policy> {
    let lengths = [Duration::ZERO, Duration::from_secs(1), MAX];
    let schedules = [None, Some(Schedule::Days(0)), Some(Schedule::Days(36_525))];
    let mut all = Vec::new();
    for place in 0..3_usize.pow(5) {
        let digit = |power| place / 3_usize.pow(power) % 3;
        let mut policy = Policy::default();
        policy.max_lifetime = lengths[digit(0)];
        policy.rollout_window = lengths[digit(1)];
        policy.skew = lengths[digit(2)];
        policy.observation_window = [Duration::from_secs(120), DAY, MAX][digit(3)];
        policy.schedule = schedules[digit(4)];
        policy.min_observed_verifications = [0, 1, MAX_COUNT][digit(4)];
        all.push(policy);
    }
    all
}

/// The first and the last moments of the calendar, and one between them.
pub fn moments() -> [SystemTime; 4] {
    let last = 253_402_207_200;
    [0, 1, 1_800_000_000, last].map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds))
}
