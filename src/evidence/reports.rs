//! The conclusions from the reports of all instances together.

use std::time::{Duration, SystemTime};

use crate::error::Obstacle;
use crate::evidence::counts::count_under_primary;
use crate::evidence::key_evidence::KeyEvidence;
use crate::evidence::silence::Silence;
use crate::evidence::{Report, RewrapRecord};
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::lifecycle::Policy;
use crate::lifecycle::policy::is_ahead;

/// The longest time without a report that is no gap in the observation: twice the interval in which
/// a follower reports.
pub(crate) const LONGEST_GAP: Duration = Duration::from_secs(5 * 60);

/// Collects the evidence of all `reports` on the key `kid`, which was superseded at `began`. The
/// manifest in the store has the fingerprint `expected` and was last changed at `changed_at`.
pub(crate) fn collect_evidence(
    reports: &[Report],
    (kid, began): (&Kid, SystemTime),
    expected: Fingerprint,
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> KeyEvidence {
    // Deliberately not bounded by the moment of the report or by now: a clock that was ahead dated the
    // use too late, so its own date is never before the use.
    let uses = reports.iter().flat_map(|report| &report.last_as_fallback);
    let last_as_fallback = uses.filter(|(used, _)| used == kid).map(|(_, seen)| *seen).max();
    let since = observed_since(reports, policy, changed_at, now);
    let mut objections: Vec<_> = reports
        .iter()
        .filter(|report| is_objection_possible(report, policy, changed_at, now))
        .filter_map(|report| mismatch(report, expected))
        .collect();
    if since.is_none() {
        objections.insert(0, Obstacle::NoInstance);
    }
    let sane = || reports.iter().filter(|report| !is_ahead(report.reported_at, policy, now));
    let buckets = sane().flat_map(|report| &report.buckets);
    let counted_since = since.map(|since| since.max(began));
    let window = policy.observation_window;
    KeyEvidence {
        since,
        last_as_fallback,
        counted_since,
        under_primary: sane()
            .map(|report| count_under_primary(report.buckets.iter(), began, now, window))
            .fold(0, u64::saturating_add),
        silence: Silence::new(buckets, counted_since, last_as_fallback, now, window),
        objections,
    }
}

/// The rewraps that `reports` know of, the latest first. One that finished after `now` was recorded with
/// a wrong clock, and proves nothing.
pub(crate) fn rewraps<'r>(
    reports: &'r [Report],
    policy: &Policy,
    now: SystemTime,
) -> Vec<&'r RewrapRecord> {
    let rewraps = reports.iter().filter_map(|report| report.rewrap.as_ref());
    let mut all: Vec<_> =
        rewraps.filter(|rewrap| !is_ahead(rewrap.finished_at, policy, now)).collect();
    all.sort_by_key(|rewrap| std::cmp::Reverse(rewrap.finished_at));
    all
}

/// The instances that may be running and hold other keys than `expected`, or whose report cannot be
/// read.
///
/// One that has not reported for the observation window counts as gone. One that fell silent
/// with these keys holds them.
pub(crate) fn disagreement(
    reports: &[Report],
    expected: Fingerprint,
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> Vec<Obstacle> {
    let object = |report| objection(report, expected, policy, changed_at, now);
    reports.iter().filter_map(object).collect()
}

/// The objection of one report to the keys that `expected` names.
pub(crate) fn objection(
    report: &Report,
    expected: Fingerprint,
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> Option<Obstacle> {
    if is_recent(report, policy, changed_at, now) { mismatch(report, expected) } else { None }
}

/// Returns whether a report may object to a retirement. One from the future may until its own moment
/// is one observation window ago: its instance may be running, with a clock that is ahead.
fn is_objection_possible(
    report: &Report,
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> bool {
    let is_of_future = !report.has_stopped && is_ahead(report.reported_at, policy, now);
    is_of_future || is_recent(report, policy, changed_at, now)
}

/// The difference between the keys of an instance and those that `expected` names.
fn mismatch(report: &Report, expected: Fingerprint) -> Option<Obstacle> {
    let instance = || report.instance.clone();
    match &report.problem {
        Some(problem) => {
            Some(Obstacle::UnreadableReport { instance: instance(), problem: problem.clone() })
        }
        None if report.fingerprint == expected => None,
        None => Some(Obstacle::KeySetMismatch {
            instance: instance(),
            fingerprint: report.fingerprint,
            reported_at: report.reported_at,
        }),
    }
}

/// Whether an instance may still be there, by a report that can be read.
pub(crate) fn is_possibly_running(
    report: &Report,
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> bool {
    report.problem.is_none() && is_recent(report, policy, changed_at, now)
}

/// Whether a report was made within the observation window, by an instance that has not stopped.
fn is_recent(report: &Report, policy: &Policy, changed_at: SystemTime, now: SystemTime) -> bool {
    let gone = end_of(made_at(report, policy, changed_at, now), policy);
    !report.has_stopped && gone.is_none_or(|gone| now < gone)
}

/// The end of the observation window of what was reported at `moment`.
pub(crate) fn end_of(moment: SystemTime, policy: &Policy) -> Option<SystemTime> {
    // An instance that cannot reach its store for a rollout window is still there.
    let reload = policy.window().saturating_add(LONGEST_GAP);
    moment.checked_add(policy.observation_window.max(reload))
}

/// The latest moment at which the objections of `reports` to the keys that `expected` names are over, if
/// those instances are gone.
pub(crate) fn disagreement_end(
    reports: &[Report],
    expected: Fingerprint,
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> Option<SystemTime> {
    let objects = |report: &&Report| objection(report, expected, policy, changed_at, now).is_some();
    let end = |report: &Report| end_of(made_at(report, policy, changed_at, now), policy);
    reports.iter().filter(objects).filter_map(end).max()
}

/// When a report was made. One from the future was made with a wrong clock, at an unknown time: it
/// counts as made when the manifest was last changed. So it objects to a promotion for at most one
/// observation window after a change, and proves neither agreement nor observation beyond that. To a
/// retirement it objects for longer: see [`may_object`].
pub(crate) fn made_at(
    report: &Report,
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> SystemTime {
    if is_ahead(report.reported_at, policy, now) { changed_at.min(now) } else { report.reported_at }
}

/// Since when an instance has been watching at every moment until now: instances come and go, and
/// those that were there before count. `None` if none is.
pub(crate) fn observed_since(
    reports: &[Report],
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> Option<SystemTime> {
    let gap = LONGEST_GAP.saturating_add(policy.skew);
    // A report from a rewrap run does not count as an observing instance.
    let has_watched = |report: &&Report| {
        report.problem.is_none()
            && (!report.has_stopped || report.observed_since < report.reported_at)
    };
    let watches: Vec<_> = reports
        .iter()
        .filter(has_watched)
        .map(|report| {
            let end = made_at(report, policy, changed_at, now);
            (report.observed_since.min(end), end)
        })
        .collect();
    let reaches =
        |end: SystemTime, moment: SystemTime| end.checked_add(gap).is_none_or(|end| end >= moment);
    // Backwards from now, as far as one report reaches into the next.
    let mut since = now;
    loop {
        let reaching = watches.iter().filter(|(_, end)| reaches(*end, since));
        let earlier = reaching.map(|(begin, _)| *begin).min()?;
        if earlier >= since {
            return Some(since);
        }
        since = earlier;
    }
}

/// A problem of a clock that the reports show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockProblem {
    /// Every instance that may be running reports from the future: the clock is behind.
    Behind {
        /// When the newest report was made.
        newest: SystemTime,
    },
    /// No instance has reported within the observation window: no clock confirms this one.
    Silent {
        /// When the newest report was made.
        newest: SystemTime,
    },
}

/// Returns the problem of a clock that shows `now`.
///
/// One report from the future beside another of this time is the wrong clock of its instance, and no
/// problem of this one.
pub(crate) fn clock_problem(
    reports: &[Report],
    policy: &Policy,
    now: SystemTime,
) -> Option<ClockProblem> {
    let is_over = |moment| end_of(moment, policy).is_some_and(|end| end <= now);
    let readable = || reports.iter().filter(|report| report.problem.is_none());
    let newest = readable().map(|report| report.reported_at).max()?;
    let mut recent =
        readable().filter(|report| !report.has_stopped && !is_over(report.reported_at));
    if is_over(newest) {
        return Some(ClockProblem::Silent { newest });
    }
    let last = recent.clone().map(|report| report.reported_at).max()?;
    let is_behind = recent.all(|report| is_ahead(report.reported_at, policy, now));
    is_behind.then_some(ClockProblem::Behind { newest: last })
}

#[cfg(test)]
mod tests;
