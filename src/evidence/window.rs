//! What this process, and those before it in its place, saw of each key over time.
//!
//! Counters only ever grow; how much there was within a window comes from the difference
//! between two samples of them. A sample is taken with every report and every verdict.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, SystemTime};

use crate::evidence::counts::count_under_primary;
use crate::evidence::key_evidence::KeyEvidence;
use crate::evidence::silence::{KEPT_WINDOWS, Silence};
use crate::evidence::{KeyUsage, Report, RewrapRecord, UsageBucket, UsageCounts};
use crate::kid::Kid;

/// A window is watched in so many pieces: the least that is dropped at once.
const PIECES: u32 = 24;
/// Windows before the last one are kept in so many pieces.
const OLDER_PIECES: u32 = 4;
/// The most buckets of processes before this one.
const MOST_INHERITED: usize = 500;

#[derive(Debug, Clone)]
pub(crate) struct UsageWindow {
    pub(crate) since: SystemTime,
    sampled_at: SystemTime,
    last: BTreeMap<Kid, KeyUsage>,
    buckets: VecDeque<UsageBucket>,
    /// Of processes before this one: when each key was last used as a fallback, and how
    /// much it has signed.
    inherited: BTreeMap<Kid, (Option<SystemTime>, u64)>,
    pub(crate) rewrap: Option<RewrapRecord>,
}

impl UsageWindow {
    pub(crate) fn new(now: SystemTime) -> Self {
        Self {
            since: now,
            sampled_at: now,
            last: BTreeMap::new(),
            buckets: VecDeque::new(),
            inherited: BTreeMap::new(),
            rewrap: None,
        }
    }

    /// Takes a sample of the counters, which are of the keys of a ring.
    pub(crate) fn sample(
        &mut self,
        usages: impl IntoIterator<Item = (Kid, KeyUsage)>,
        now: SystemTime,
        window: Duration,
    ) {
        let now = now.max(self.sampled_at);
        let uses: Vec<_> = usages
            .into_iter()
            .filter_map(|(kid, usage)| {
                let before = self.last.insert(kid, usage).unwrap_or_default();
                let uses = UsageCounts {
                    verified_as_primary: usage
                        .verified_as_primary
                        .saturating_sub(before.verified_as_primary),
                    verified_as_fallback: usage
                        .verified_as_fallback
                        .saturating_sub(before.verified_as_fallback),
                    signed: usage.signed.saturating_sub(before.signed),
                };
                (uses != UsageCounts::default()).then_some((kid, uses))
            })
            .collect();
        let span = window / PIECES;
        let from = std::mem::replace(&mut self.sampled_at, now);
        // Samples in quick succession share a bucket, so that their number is bounded.
        let current = self.buckets.back_mut().filter(|bucket| {
            bucket.to == from && now.duration_since(bucket.from).is_ok_and(|length| length <= span)
        });
        match current {
            Some(bucket) => {
                bucket.to = now;
                for (kid, more) in uses {
                    bucket.add(kid, more);
                }
            }
            None => self.buckets.push_back(UsageBucket { from, to: now, uses }),
        }
        // One that reaches into the windows is kept whole.
        let begin = window.checked_mul(KEPT_WINDOWS).and_then(|kept| now.checked_sub(kept));
        if let Some(begin) = begin {
            self.buckets.retain(|bucket| bucket.to >= begin);
        }
        self.thin_out(now, window);
    }

    /// Joins buckets of windows before the last one: a long silence needs fewer pieces.
    fn thin_out(&mut self, now: SystemTime, window: Duration) {
        let Some(begin) = now.checked_sub(window) else { return };
        let longest = window / OLDER_PIECES;
        let is_short = |first: &UsageBucket, second: &UsageBucket| {
            second.to < begin
                && second.to.duration_since(first.from).is_ok_and(|length| length <= longest)
        };
        let mut joined: VecDeque<UsageBucket> = VecDeque::with_capacity(self.buckets.len());
        for bucket in self.buckets.drain(..) {
            match joined.back_mut().filter(|last| is_short(last, &bucket)) {
                Some(last) => {
                    (last.from, last.to) = (last.from.min(bucket.from), bucket.to);
                    for (kid, more) in bucket.uses {
                        last.add(kid, more);
                    }
                }
                None => joined.push_back(bucket),
            }
        }
        self.buckets = joined;
    }

    pub(crate) fn buckets(&self) -> impl Iterator<Item = &UsageBucket> {
        self.buckets.iter()
    }

    /// When each key was last used as a fallback, by this process or one before it.
    pub(crate) fn last_as_fallback(&self) -> Vec<(Kid, SystemTime)> {
        self.kids().filter_map(|kid| Some((kid, self.last_used(&kid)?))).collect()
    }

    /// How much each key has ever signed, here or before.
    pub(crate) fn signed(&self) -> Vec<(Kid, u64)> {
        let signed = |kid: Kid| {
            let here = self.last.get(&kid).map_or(0, |usage| usage.signed);
            let before = self.inherited.get(&kid).map_or(0, |(_, signed)| *signed);
            (kid, here.saturating_add(before))
        };
        self.kids().map(signed).filter(|(_, signed)| *signed > 0).collect()
    }

    fn kids(&self) -> impl Iterator<Item = Kid> {
        let kids: BTreeSet<_> = self.last.keys().chain(self.inherited.keys()).copied().collect();
        kids.into_iter()
    }

    fn last_used(&self, kid: &Kid) -> Option<SystemTime> {
        let here = self.last.get(kid).and_then(|usage| usage.last_seen_as_fallback);
        here.max(self.inherited.get(kid).and_then(|(seen, _)| *seen))
    }

    /// Continues from the uses that an earlier process of this instance counted.
    pub(crate) fn inherit(&mut self, report: &Report) {
        if report.problem.is_some() {
            return;
        }
        // What it says of the time after this process began is not of this clock.
        let before: Vec<_> =
            report.buckets.iter().filter(|bucket| bucket.to <= self.since).cloned().collect();
        for bucket in before.into_iter().rev() {
            self.buckets.push_front(bucket);
        }
        self.bound_inherited();
        self.since = self.since.min(report.observed_since);
        self.absorb(report);
    }

    /// Keeps of another instance, which is gone, what was used when. Together with it, instances have
    /// watched without a gap since `since`: a long silence outlives many instances.
    pub(crate) fn continue_watch(&mut self, report: &Report, since: SystemTime) {
        let mut all: Vec<_> =
            report.buckets.iter().cloned().chain(self.buckets.drain(..)).collect();
        all.sort_by_key(|bucket| bucket.to);
        self.buckets = all.into();
        self.bound_inherited();
        self.since = self.since.min(since);
    }

    /// Keeps of another instance, which is gone, what has no end.
    pub(crate) fn absorb(&mut self, report: &Report) {
        for (kid, seen) in &report.last_as_fallback {
            // A date that is later than both the report and now is of a clock that was ahead: the use
            // was no later than the report. Deliberately not bounded by now alone: the clock of a
            // process that has just started may be behind.
            let seen = (*seen).min(self.sampled_at.max(report.reported_at));
            let last = &mut self.inherited.entry(*kid).or_default().0;
            *last = (*last).max(Some(seen));
        }
        for (kid, signed) in &report.signed {
            let total = &mut self.inherited.entry(*kid).or_default().1;
            *total = total.saturating_add(*signed);
        }
        self.record_rewrap(report.rewrap.as_ref());
    }

    /// Joins the oldest buckets where there are too many. Each restart adds some, and a report must
    /// not outgrow its bound.
    fn bound_inherited(&mut self) {
        while self.buckets.len() > MOST_INHERITED {
            let (Some(first), Some(second)) = (self.buckets.pop_front(), self.buckets.front_mut())
            else {
                break;
            };
            second.from = first.from;
            for (kid, more) in first.uses {
                second.add(kid, more);
            }
        }
    }

    /// Keeps the latest rewrap.
    pub(crate) fn record_rewrap(&mut self, rewrap: Option<&RewrapRecord>) {
        let is_later = |new: &&RewrapRecord| {
            self.rewrap.as_ref().is_none_or(|held| held.finished_at <= new.finished_at)
        };
        if let Some(rewrap) = rewrap.filter(is_later) {
            self.rewrap = Some(rewrap.clone());
        }
    }

    /// The evidence for a verdict on `kid`, which was superseded at `began`.
    pub(crate) fn key_evidence(
        &self,
        kid: &Kid,
        began: SystemTime,
        now: SystemTime,
        window: Duration,
    ) -> KeyEvidence {
        let (since, last) = (Some(self.since), self.last_used(kid));
        let counted_since = Some(self.since.max(began));
        KeyEvidence {
            since,
            last_as_fallback: last,
            counted_since,
            under_primary: count_under_primary(self.buckets(), began, now, window),
            silence: Silence::new(self.buckets(), counted_since, last, now, window),
            objections: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(hours: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + HOUR * 1000 + HOUR * hours
    }

    fn usage(primary: u64) -> [(Kid, KeyUsage); 1] {
        let kid = Kid::new("k").unwrap();
        [(kid, KeyUsage { verified_as_primary: primary, ..KeyUsage::default() })]
    }

    #[test]
    fn only_what_was_surely_within_the_window_counts() {
        let mut usage_window = UsageWindow::new(at(0));
        usage_window.sample(usage(100), at(30), DAY);
        // All hundred may have been in the first hour.
        assert_eq!(count_under_primary(usage_window.buckets(), at(0), at(30), DAY), 0);
        usage_window.sample(usage(150), at(31), DAY);
        assert_eq!(count_under_primary(usage_window.buckets(), at(0), at(31), DAY), 50);
        assert_eq!(count_under_primary(usage_window.buckets(), at(0), at(54), DAY), 50);
        assert_eq!(count_under_primary(usage_window.buckets(), at(0), at(55), DAY), 0);
    }

    #[test]
    fn samples_in_quick_succession_do_not_pile_up() {
        let mut usage_window = UsageWindow::new(at(0));
        for minute in 1..=60 * 72 {
            usage_window.sample(usage(minute), at(0) + HOUR / 60 * minute as u32, DAY);
        }
        assert!(usage_window.buckets.len() <= 36, "{}", usage_window.buckets.len());
        let counted = count_under_primary(usage_window.buckets(), at(0), at(72), DAY);
        assert!((23 * 60..=24 * 60).contains(&counted), "{counted}");
    }

    #[test]
    fn uses_add_up_to_the_most_that_can_be_counted() {
        let most = UsageCounts {
            verified_as_primary: u64::MAX,
            verified_as_fallback: u64::MAX,
            signed: u64::MAX,
        };
        assert_eq!(most.saturating_add(most), most);
        let one = UsageCounts { verified_as_primary: 1, verified_as_fallback: 2, signed: 3 };
        let two = UsageCounts { verified_as_primary: 2, verified_as_fallback: 4, signed: 6 };
        assert_eq!(one.saturating_add(one), two);
    }

    #[test]
    fn a_clock_that_jumps_back_loses_no_use() {
        let mut usage_window = UsageWindow::new(at(10));
        usage_window.sample(usage(5), at(11), DAY);
        usage_window.sample(usage(9), at(2), DAY);
        assert_eq!(count_under_primary(usage_window.buckets(), at(0), at(11), DAY), 9);
    }

    fn spans(usage_window: &UsageWindow) -> Vec<(SystemTime, SystemTime)> {
        usage_window.buckets().map(|bucket| (bucket.from, bucket.to)).collect()
    }

    fn signed(count: u64) -> [(Kid, KeyUsage); 1] {
        [(Kid::new("k").unwrap(), KeyUsage { signed: count, ..KeyUsage::default() })]
    }

    #[test]
    fn uses_are_kept_for_fourteen_windows() {
        let mut usage_window = UsageWindow::new(at(0));
        for day in 1..=15 {
            usage_window.sample(usage(day), at(0) + DAY * day as u32, DAY);
        }
        // The first day ends where the fourteen windows begin.
        let days = |first: u32| (first..15).map(|day| (at(day * 24), at(day * 24 + 24)));
        assert_eq!(spans(&usage_window), days(0).collect::<Vec<_>>());
        let now = at(15 * 24) + Duration::from_nanos(1);
        usage_window.sample(usage(16), now, DAY);
        let expected: Vec<_> = days(1).chain([(at(15 * 24), now)]).collect();
        assert_eq!(spans(&usage_window), expected);
    }

    #[test]
    fn hours_before_the_last_window_are_joined_to_quarters_of_a_window() {
        let hours = |from: u32, to: u32| (from..to).map(|hour| (at(hour), at(hour + 1)));
        let mut usage_window = UsageWindow::new(at(0));
        for now in 1..=40 {
            usage_window.sample(usage(now.into()), at(now), DAY);
            let joined = match now {
                // The second hour ends where the last window begins.
                26 => vec![(0, 1)],
                27 => vec![(0, 2)],
                31 => vec![(0, 6)],
                32 => vec![(0, 6), (6, 7)],
                33 => vec![(0, 6), (6, 8)],
                37 => vec![(0, 6), (6, 12)],
                _ => continue,
            };
            let end = joined.last().unwrap().1;
            let expected = joined.into_iter().map(|(from, to)| (at(from), at(to)));
            let expected: Vec<_> = expected.chain(hours(end, now)).collect();
            assert_eq!(spans(&usage_window), expected, "{now}");
            assert_eq!(
                count_under_primary(usage_window.buckets(), at(0), at(now), DAY * 2),
                u64::from(now)
            );
        }
    }

    #[test]
    fn at_most_five_hundred_spans_of_earlier_instances_are_kept_and_no_use_is_lost() {
        let uses = UsageCounts { verified_as_primary: 1, ..UsageCounts::default() };
        for count in [499, 500, 501, 502] {
            let mut report = Report::for_unreadable("gone", at(count), "");
            report.problem = None;
            report.observed_since = at(0);
            report.buckets = (0..count)
                .map(|hour| UsageBucket {
                    from: at(hour),
                    to: at(hour + 1),
                    uses: vec![(Kid::new("k").unwrap(), uses)],
                })
                .collect();
            let mut successor = UsageWindow::new(at(count));
            successor.inherit(&report);
            let mut other = UsageWindow::new(at(count));
            other.continue_watch(&report, at(7));
            for (usage_window, since) in [(successor, at(0)), (other, at(7))] {
                let kept: Vec<_> = usage_window.buckets().collect();
                assert_eq!(kept.len(), count.min(500) as usize, "{count}");
                // The oldest are joined.
                let joined = count.saturating_sub(500) + 1;
                assert_eq!((kept[0].from, kept[0].to), (at(0), at(joined)), "{count}");
                let window = HOUR * count;
                let counted = count_under_primary(kept.into_iter(), at(0), at(count), window);
                assert_eq!(counted, u64::from(count));
                assert_eq!(usage_window.since, since);
            }
        }
    }

    /// The instance watched until after this process had started.
    #[test]
    fn the_watch_of_an_instance_that_is_gone_is_put_in_order_with_that_of_this_process() {
        let mut report = Report::for_unreadable("gone", at(3), "");
        report.problem = None;
        let bucket = |from, to| UsageBucket { from: at(from), to: at(to), uses: Vec::new() };
        report.buckets = vec![bucket(0, 1), bucket(1, 3)];
        let mut usage_window = UsageWindow::new(at(1));
        usage_window.sample(usage(1), at(2), DAY);
        usage_window.sample(usage(2), at(4), DAY);
        usage_window.continue_watch(&report, at(9));
        let expected = [(0, 1), (1, 2), (1, 3), (2, 4)].map(|(from, to)| (at(from), at(to)));
        assert_eq!(spans(&usage_window), expected);
        // Its watch began after this process started, so the start of the observation does not change.
        assert_eq!(usage_window.since, at(1));
    }

    #[test]
    fn only_keys_that_have_signed_are_counted_as_signers() {
        let kid = Kid::new("k").unwrap();
        let mut usage_window = UsageWindow::new(at(0));
        usage_window.sample(usage(5), at(1), DAY);
        assert_eq!(usage_window.signed(), []);
        usage_window.sample(signed(1), at(2), DAY);
        assert_eq!(usage_window.signed(), [(kid, 1)]);
        let mut report = Report::for_unreadable("before", at(0), "");
        report.problem = None;
        report.signed = vec![(kid, 10)];
        usage_window.inherit(&report);
        assert_eq!(usage_window.signed(), [(kid, 11)]);
    }
}
