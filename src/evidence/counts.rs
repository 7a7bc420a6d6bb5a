//! Counts of uses, by key and span of time.

use std::time::{Duration, SystemTime};

use crate::kid::Kid;

/// What was used between two looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBucket {
    /// When the look before was taken.
    pub from: SystemTime,
    /// When this one was.
    pub to: SystemTime,
    /// How often each key was used in between.
    pub uses: Vec<(Kid, UsageCounts)>,
}

/// How often a key was used in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageCounts {
    /// Values verified or opened under it as the primary.
    pub verified_as_primary: u64,
    /// Values verified, opened or rewrapped under it as a fallback, or staged.
    pub verified_as_fallback: u64,
    /// Values signed or sealed with it.
    pub signed: u64,
}

impl UsageCounts {
    /// The sum of both.
    pub(crate) fn saturating_add(self, more: Self) -> Self {
        Self {
            verified_as_primary: self.verified_as_primary.saturating_add(more.verified_as_primary),
            verified_as_fallback: self
                .verified_as_fallback
                .saturating_add(more.verified_as_fallback),
            signed: self.signed.saturating_add(more.signed),
        }
    }
}

impl UsageBucket {
    pub(super) fn add(&mut self, kid: Kid, more: UsageCounts) {
        match self.uses.iter_mut().find(|(known, _)| *known == kid) {
            Some((_, counts)) => {
                *counts = counts.saturating_add(more);
            }
            None => self.uses.push((kid, more)),
        }
    }
}

/// The verifications under a primary within the window, since the old key was superseded at `began`:
/// of a bucket that reaches out of that time nothing counts, because it may all have been before.
pub(crate) fn count_under_primary<'b>(
    buckets: impl Iterator<Item = &'b UsageBucket>,
    began: SystemTime,
    now: SystemTime,
    window: Duration,
) -> u64 {
    let begin = Some(now.checked_sub(window).map_or(began, |begin| begin.max(began)));
    buckets
        .filter(|bucket| begin.is_none_or(|begin| bucket.from >= begin) && bucket.to <= now)
        .flat_map(|bucket| &bucket.uses)
        .fold(0, |sum: u64, (_, uses)| sum.saturating_add(uses.verified_as_primary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_counts_each_key_once() {
        let (one, two): (Kid, Kid) = ("one".parse().unwrap(), "two".parse().unwrap());
        let counts =
            |verified_as_primary| UsageCounts { verified_as_primary, ..Default::default() };
        let moment = SystemTime::UNIX_EPOCH;
        let mut bucket = UsageBucket { from: moment, to: moment, uses: Vec::new() };
        for (kid, count) in [(one, 1), (two, 10), (one, 2)] {
            bucket.add(kid, counts(count));
        }
        assert_eq!(bucket.uses, [(one, counts(3)), (two, counts(10))]);
    }
}
