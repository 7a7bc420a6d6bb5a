//! What an instance says of itself, and what many of them say together.

use std::time::{Duration, SystemTime};

#[cfg(feature = "store")]
use sha2::{Digest, Sha256};

use super::history::{Bucket, under_primary};
use super::policy::Policy;
use super::retirement::{Seen, Sweep};
use super::silence::Silence;
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::verdict::Obstacle;

/// What an instance says of its ring: which keys it holds, and what it saw of them.
///
/// Reports are kept beside the manifest, so that a restart does not begin the observation
/// anew, and so that a whole fleet can be asked whether an old key may go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The name of the instance: of a host or a pod. A report is stored only under a name of 1 to
    /// 128 characters of `A-Z a-z 0-9 - _ . : / @ + =`; that of an [unreadable](Self::unreadable)
    /// one may be anything.
    pub instance: String,
    /// The name of the ring.
    pub ring: String,
    /// Which keys it holds.
    pub fingerprint: Fingerprint,
    /// Of the manifest that its ring was made of.
    pub revision: u64,
    /// Since when this instance, or one before it in its place, has been watching.
    pub observed_since: SystemTime,
    /// When it said this.
    pub reported_at: SystemTime,
    /// Whether it has said good-bye: it holds nothing any more.
    pub has_stopped: bool,
    /// What was used when, within the last 14 observation windows. Those before the last one are in
    /// larger pieces.
    pub buckets: Vec<Bucket>,
    /// When each key was last used as a fallback.
    pub last_as_fallback: Vec<(Kid, SystemTime)>,
    /// How many values each key has ever signed or sealed here: over a fleet, what a key of
    /// AES wears out by (SP 800-38D section 8.3).
    pub signed: Vec<(Kid, u64)>,
    /// The latest sweep that it knows of.
    pub sweep: Option<Sweep>,
    /// Why the report cannot be read, if it cannot: see [`unreadable`](Self::unreadable). It is not
    /// part of the text of a report.
    pub problem: Option<String>,
}

#[cfg(feature = "store")]
impl Report {
    /// A report that cannot be read: it is damaged, too large, or of another version.
    ///
    /// A store returns it in the place of an error, so that one such report does not hide the
    /// others. Its `reported_at` is when the store received it. It objects to a promotion and a
    /// retirement ([`Obstacle::UnreadableReport`]) for one observation window from then on, because
    /// its instance may hold other keys. It proves no agreement and no observation.
    #[must_use]
    pub fn unreadable(
        instance: impl Into<String>,
        received_at: SystemTime,
        problem: impl Into<String>,
    ) -> Self {
        Self {
            instance: instance.into(),
            ring: String::new(),
            fingerprint: Fingerprint::NONE,
            revision: 0,
            observed_since: received_at,
            reported_at: received_at,
            has_stopped: false,
            buckets: Vec::new(),
            last_as_fallback: Vec::new(),
            signed: Vec::new(),
            sweep: None,
            problem: Some(problem.into()),
        }
    }
}

/// The longest name of an instance, in bytes. The longest label of a host name has 63 (RFC 1035
/// section 2.3.4), an ARN of an ECS task about 100.
#[cfg(feature = "store")]
const MAX_NAME: usize = 128;

/// Returns whether a report may be stored under `name`.
#[cfg(feature = "store")]
pub(crate) fn is_instance_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(is_of_name)
}

#[cfg(feature = "store")]
fn is_of_name(own: char) -> bool {
    own.is_ascii_alphanumeric() || "-_.:/@+=".contains(own)
}

/// The name of an instance that is called `name`: that itself, if a report may be stored under it.
/// Else each other character becomes `-`, the rest is cut off, and a digest of the whole is
/// appended, so that two such names stay two. An empty name stays empty: it is that of no
/// instance.
#[cfg(feature = "store")]
pub(crate) fn instance_name(name: String) -> String {
    /// The length of the digest in hexadecimal digits, with a `-` before it.
    const SUFFIX: usize = 1 + 12;
    if name.is_empty() || is_instance_name(&name) {
        return name;
    }
    let kept = name.chars().map(|own| if is_of_name(own) { own } else { '-' });
    let digest = Sha256::digest(name.as_bytes());
    let digits = digest.iter().take(6).map(|byte| format!("{byte:02x}"));
    kept.take(MAX_NAME - SUFFIX).chain(['-']).collect::<String>() + &digits.collect::<String>()
}

/// How long nobody may have reported, before the observation has a gap: twice the time in
/// which a follower reports.
pub(crate) const LONGEST_GAP: Duration = Duration::from_secs(5 * 60);

/// What `reports` say together of the key `kid`, which was superseded at `began`, to an operator who sees the fingerprint
/// `expected` in the store, which was last changed at `changed_at`.
pub(crate) fn seen(
    reports: &[Report],
    (kid, began): (&Kid, SystemTime),
    expected: Fingerprint,
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> Seen {
    // Deliberately not bounded by the moment of the report or by now: a clock that was ahead dated the
    // use too late, so its own date is never before the use.
    let uses = reports.iter().flat_map(|report| &report.last_as_fallback);
    let last_as_fallback = uses.filter(|(own, _)| own == kid).map(|(_, seen)| *seen).max();
    let since = observed_since(reports, policy, changed_at, now);
    let mut objections: Vec<_> = reports
        .iter()
        .filter(|report| may_object(report, policy, changed_at, now))
        .filter_map(|report| mismatch(report, expected))
        .collect();
    if since.is_none() {
        objections.insert(0, Obstacle::NoInstance);
    }
    let sane = || reports.iter().filter(|report| !is_ahead(report.reported_at, policy, now));
    let buckets = sane().flat_map(|report| &report.buckets);
    let counted_since = since.map(|since| since.max(began));
    let window = policy.observation;
    Seen {
        since,
        last_as_fallback,
        counted_since,
        under_primary: sane()
            .map(|report| under_primary(report.buckets.iter(), began, now, window))
            .fold(0, u64::saturating_add),
        silence: Silence::new(buckets, counted_since, last_as_fallback, now, window),
        objections,
    }
}

/// The rewraps that `reports` know of, the latest first. One that finished after `now` was recorded with
/// a wrong clock, and proves nothing.
pub(crate) fn sweeps<'r>(
    reports: &'r [Report],
    policy: &Policy,
    now: SystemTime,
) -> Vec<&'r Sweep> {
    let sweeps = reports.iter().filter_map(|report| report.sweep.as_ref());
    let mut all: Vec<_> = sweeps.filter(|own| !is_ahead(own.finished_at, policy, now)).collect();
    all.sort_by_key(|own| std::cmp::Reverse(own.finished_at));
    all
}

/// The instances that may be running and hold other keys than `expected`, or whose report cannot be
/// read.
///
/// One that has not reported for the observation window counts as gone. One that fell silent
/// with these keys holds them.
#[cfg(any(test, feature = "store"))]
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
#[cfg(any(test, feature = "store", feature = "status"))]
pub(crate) fn objection(
    report: &Report,
    expected: Fingerprint,
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> Option<Obstacle> {
    match is_recent(report, policy, changed_at, now) {
        true => mismatch(report, expected),
        false => None,
    }
}

/// Returns whether a report may object to a retirement. One from the future may until its own moment
/// is one observation window ago: its instance may be running, with a clock that is ahead.
fn may_object(report: &Report, policy: &Policy, changed_at: SystemTime, now: SystemTime) -> bool {
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
        None => Some(Obstacle::OtherKeys {
            instance: instance(),
            fingerprint: report.fingerprint,
            reported_at: report.reported_at,
        }),
    }
}

/// Whether an instance may still be there, by a report that can be read.
#[cfg(any(test, feature = "store"))]
pub(crate) fn may_run(
    report: &Report,
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> bool {
    report.problem.is_none() && is_recent(report, policy, changed_at, now)
}

/// Whether `moment` is in the future by more than two clocks may differ.
pub(crate) fn is_ahead(moment: SystemTime, policy: &Policy, now: SystemTime) -> bool {
    now.checked_add(policy.skew).is_some_and(|latest| moment > latest)
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
    moment.checked_add(policy.observation.max(reload))
}

/// The latest moment at which the objections of `reports` to the keys that `expected` names are over, if
/// those instances are gone.
#[cfg(feature = "store")]
#[cfg_attr(not(feature = "ops"), allow(dead_code))]
pub(crate) fn disagreement_ends(
    reports: &[Report],
    expected: Fingerprint,
    policy: &Policy,
    changed_at: SystemTime,
    now: SystemTime,
) -> Option<SystemTime> {
    let objects = |own: &&Report| objection(own, expected, policy, changed_at, now).is_some();
    let end = |own: &Report| end_of(made_at(own, policy, changed_at, now), policy);
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
    match is_ahead(report.reported_at, policy, now) {
        true => changed_at.min(now),
        false => report.reported_at,
    }
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
    // What tells of a sweep and is gone has watched nothing.
    let has_watched = |own: &&Report| {
        own.problem.is_none() && (!own.has_stopped || own.observed_since < own.reported_at)
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
    let mut is_watched = false;
    loop {
        let earlier = watches
            .iter()
            .filter(|(begin, _)| *begin < since || !is_watched)
            .filter(|(_, end)| reaches(*end, since))
            .map(|(begin, _)| *begin)
            .min();
        match earlier {
            Some(earlier) => {
                is_watched = true;
                if earlier >= since {
                    return Some(since);
                }
                since = earlier;
            }
            None => return is_watched.then_some(since),
        }
    }
}

/// What is wrong with a clock, by the reports.
#[cfg(feature = "store")]
#[cfg_attr(not(feature = "ops"), allow(dead_code))]
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

/// What speaks against a clock that shows `now`.
///
/// One report from the future beside another of this time is the wrong clock of its instance, and no
/// problem of this one.
#[cfg(feature = "store")]
#[cfg_attr(not(feature = "ops"), allow(dead_code))]
pub(crate) fn clock_problem(
    reports: &[Report],
    policy: &Policy,
    now: SystemTime,
) -> Option<ClockProblem> {
    let is_over = |moment| end_of(moment, policy).is_some_and(|end| end <= now);
    let readable = || reports.iter().filter(|own| own.problem.is_none());
    let newest = readable().map(|own| own.reported_at).max()?;
    let mut recent = readable().filter(|own| !own.has_stopped && !is_over(own.reported_at));
    if is_over(newest) {
        return Some(ClockProblem::Silent { newest });
    }
    let last = recent.clone().map(|own| own.reported_at).max()?;
    let is_behind = recent.all(|own| is_ahead(own.reported_at, policy, now));
    is_behind.then_some(ClockProblem::Behind { newest: last })
}

#[cfg(all(test, feature = "store"))]
mod tests;
