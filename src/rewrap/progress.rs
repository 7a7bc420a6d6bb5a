//! How fast a rewrap goes, and how long it will take.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::checkpoint::Checkpoint;

/// How far a rewrap is: told after each batch that was committed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// How many rows were seen; of a rewrap that was resumed, since then.
    pub rows: u64,
    /// How many there are, or about how many, where that could be told.
    pub total: Option<u64>,
    /// Since when.
    pub elapsed: Duration,
    /// How many rows in a second.
    pub rows_per_second: f64,
    /// How long it will take yet, if it goes on like this.
    pub remaining: Option<Duration>,
    /// Where to go on after a kill.
    pub checkpoint: Checkpoint,
}

/// Keeps a rewrap to its rate.
pub(super) struct ProgressMeter {
    rate: Option<NonZeroU32>,
    start: Instant,
    rows: u64,
    total: Option<u64>,
}

impl ProgressMeter {
    pub(super) fn new(rate: Option<NonZeroU32>, total: Option<u64>) -> Self {
        Self { rate, start: Instant::now(), rows: 0, total }
    }

    /// Waits until the rows that were taken may have been.
    pub(super) async fn wait(&self) {
        if let Some(rate) = self.rate {
            let due = Duration::from_secs(self.rows) / rate.get();
            if let Some(until) = self.start.checked_add(due) {
                tokio::time::sleep_until(until).await;
            }
        }
    }

    pub(super) fn add(&mut self, rows: u64) {
        self.rows += rows;
    }

    pub(super) fn progress(&self, checkpoint: Checkpoint) -> Progress {
        let elapsed = self.start.elapsed();
        let rows_per_second = self.rows as f64 / elapsed.as_secs_f64().max(f64::EPSILON);
        let remaining =
            self.total.map(|total| total.saturating_sub(self.rows) as f64 / rows_per_second);
        Progress {
            rows: self.rows,
            total: self.total,
            elapsed,
            rows_per_second,
            remaining: remaining.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            checkpoint,
        }
    }
}
