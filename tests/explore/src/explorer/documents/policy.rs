//! The time of a search, in ticks, and the policy of a manifest.

use std::fmt;
use std::time::{Duration, SystemTime};

use dualkey::Policy;

/// The length of a tick: one hour. No result depends on it.
pub const TICK: Duration = Duration::from_secs(3600);

/// The observation window of every policy, in ticks.
pub const OBSERVATION: u64 = 1;

/// Returns the moment of a tick. A search starts some ticks after 0, so no moment lies before tick 0.
pub fn at(tick: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + TICK * tick as u32
}

/// Returns the tick of a moment. A moment between two ticks belongs to the later one.
pub fn tick_of(moment: SystemTime) -> u64 {
    let since = moment.duration_since(at(0)).unwrap_or_default();
    since.as_secs().div_ceil(TICK.as_secs())
}

/// Returns the length of `count` ticks.
pub fn ticks(count: u64) -> Duration {
    TICK * count as u32
}

/// The bounds that a fleet declares in its policy, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Declared {
    pub lifetime: u64,
    pub rollout: u64,
    pub skew: u64,
}

impl Declared {
    /// Returns the policy of a manifest.
    pub fn policy(self) -> Policy {
        let mut policy = Policy::default();
        policy.max_lifetime = ticks(self.lifetime);
        policy.rollout_window = ticks(self.rollout);
        policy.skew = ticks(self.skew);
        policy.observation_window = ticks(OBSERVATION);
        policy.min_observed_verifications = 1;
        policy.min_secret_bytes = Some(32);
        policy
    }

    /// The longest time from a step until the last instance acts on it, by any clock.
    pub fn window(self) -> u64 {
        self.rollout + self.skew
    }

    /// The tick at which a run starts. Every instance has held the first manifest for a window, and no
    /// report or bucket of counters lies before tick 0.
    pub fn first_tick(self) -> u8 {
        // The clocks of a fleet may differ by more than it declares.
        self.window().max(OBSERVATION) as u8 + 2
    }

    /// The age in ticks from which the report of a stopped instance has no effect. The fleet started with
    /// the policy `first`, and now has this one.
    pub fn report_age(self, first: Self) -> u8 {
        let longest = self.window().max(first.window() + 2).max(OBSERVATION);
        longest as u8 + 3
    }
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lifetime, rollout, skew } = self;
        write!(f, "lifetime {lifetime} h, rollout window {rollout} h, skew {skew} h")
    }
}

/// Describes the clocks of instances or operators.
pub fn describe_clocks(clocks: &[u8]) -> String {
    let clocks = clocks.iter().map(|ahead| match ahead {
        0 => "right".to_owned(),
        hours => format!("{hours} h ahead"),
    });
    clocks.collect::<Vec<_>>().join(", ")
}
