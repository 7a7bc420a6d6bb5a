//! What an instance says of itself, and what many of them say together.

use std::time::{Duration, SystemTime};

use super::history::{Bucket, under_primary};
use super::policy::Policy;
use super::retirement::{Seen, Sweep};
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
    /// The name of the instance: of a host or a pod.
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
    /// What was used when, within the observation window.
    pub buckets: Vec<Bucket>,
    /// When each key was last used as a fallback.
    pub last_as_fallback: Vec<(Kid, SystemTime)>,
    /// How many values each key has ever signed or sealed here: over a fleet, what a key of
    /// AES wears out by (SP 800-38D section 8.3).
    pub signed: Vec<(Kid, u64)>,
    /// The latest sweep that it knows of.
    pub sweep: Option<Sweep>,
}

/// How long nobody may have reported, before the observation has a gap: twice the time in
/// which a follower reports.
pub(crate) const LONGEST_GAP: Duration = Duration::from_secs(5 * 60);

/// What `reports` say together of the key `kid`, to an operator who sees the fingerprint
/// `expected` in the store.
pub(crate) fn seen(
    reports: &[Report],
    kid: &Kid,
    expected: Fingerprint,
    policy: &Policy,
    now: SystemTime,
) -> Seen {
    let last = |report: &Report| {
        report.last_as_fallback.iter().filter(|(own, _)| own == kid).map(|(_, seen)| *seen).max()
    };
    let since = observed_since(reports, policy, now);
    let mut objections = disagreement(reports, expected, policy, now);
    if since.is_none() {
        objections.insert(0, Obstacle::NoInstance);
    }
    Seen {
        since,
        last_as_fallback: reports.iter().filter_map(last).max(),
        under_primary: reports
            .iter()
            .map(|report| under_primary(report.buckets.iter(), now, policy.observation))
            .fold(0, u64::saturating_add),
        objections,
    }
}

/// The latest sweep of all.
pub(crate) fn sweep(reports: &[Report]) -> Option<&Sweep> {
    reports.iter().filter_map(|report| report.sweep.as_ref()).max_by_key(|own| own.finished_at)
}

/// The instances that may be running and hold other keys than `expected`.
///
/// One that has not reported for the observation window counts as gone. One that fell silent
/// with these keys holds them.
pub(crate) fn disagreement(
    reports: &[Report],
    expected: Fingerprint,
    policy: &Policy,
    now: SystemTime,
) -> Vec<Obstacle> {
    reports
        .iter()
        .filter(|report| may_run(report, policy, now) && report.fingerprint != expected)
        .map(|report| Obstacle::OtherKeys {
            instance: report.instance.clone(),
            fingerprint: report.fingerprint,
            reported_at: report.reported_at,
        })
        .collect()
}

/// Whether an instance may still be there.
pub(crate) fn may_run(report: &Report, policy: &Policy, now: SystemTime) -> bool {
    let gone = report.reported_at.checked_add(policy.observation.max(LONGEST_GAP));
    !report.has_stopped && gone.is_none_or(|gone| now < gone)
}

/// Since when somebody has been watching all the time until now: instances come and go, and
/// those that were there before count. `None` if nobody is.
fn observed_since(reports: &[Report], policy: &Policy, now: SystemTime) -> Option<SystemTime> {
    let gap = LONGEST_GAP.saturating_add(policy.skew);
    let reaches = |report: &Report, moment: SystemTime| {
        report.reported_at.checked_add(gap).is_none_or(|end| end >= moment)
    };
    // Backwards from now, as far as one report reaches into the next.
    let mut since = now;
    let mut is_watched = false;
    // What tells of a sweep and is gone has watched nothing.
    let has_watched = |own: &&Report| !own.has_stopped || own.observed_since < own.reported_at;
    loop {
        let earlier = reports
            .iter()
            .filter(has_watched)
            .filter(|report| report.observed_since < since || !is_watched)
            .filter(|report| reaches(report, since))
            .map(|report| report.observed_since)
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
