//! When the store is asked next.

use std::time::Duration;

pub(super) use crate::lifecycle::policy::REPORT_EVERY;

const SHORTEST: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(super) struct PollDelay {
    poll: Duration,
}

impl PollDelay {
    pub(super) fn new(poll: Duration) -> Self {
        Self { poll: poll.clamp(SHORTEST, REPORT_EVERY) }
    }

    /// How long to wait after so many failures in a row; `random` spreads instances apart.
    ///
    /// Failures make it shorter than the poll, and then longer up to it: so that a store is
    /// found again within one interval of its return.
    pub(super) fn next(self, failures: u64, random: u64) -> Duration {
        let base = match failures {
            0 => self.poll,
            failures => {
                let doubled = 1 << (failures - 1).min(16);
                SHORTEST.saturating_mul(doubled).min(self.poll)
            }
        };
        spread(base, random)
    }

    /// The wait before a change that was seen once is read again.
    pub(super) fn soon(self, random: u64) -> Duration {
        spread(SHORTEST, random)
    }
}

/// From three quarters of `base`, which is at most [`REPORT_EVERY`], to five.
fn spread(base: Duration, random: u64) -> Duration {
    let most = base.saturating_mul(random as u32 % 1024) / 2048;
    (base.saturating_mul(3) / 4).saturating_add(most)
}

impl Default for PollDelay {
    fn default() -> Self {
        Self::new(Duration::from_secs(30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_followed_by_a_growing_delay_up_to_the_poll() {
        let poll_delay = PollDelay::new(Duration::from_secs(30));
        let seconds: Vec<_> =
            (0..9).map(|failures| poll_delay.next(failures, 512).as_secs()).collect();
        assert_eq!(seconds, [30, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(poll_delay.next(u64::MAX, 512).as_secs(), 30);
    }

    #[test]
    fn instances_do_not_ask_as_one() {
        let poll_delay = PollDelay::new(Duration::from_secs(100));
        for random in 0..5000 {
            let delay = poll_delay.next(0, random);
            assert!((75..125).contains(&delay.as_secs()), "{delay:?}");
        }
        assert_ne!(poll_delay.next(0, 1), poll_delay.next(0, 2));
    }
}
