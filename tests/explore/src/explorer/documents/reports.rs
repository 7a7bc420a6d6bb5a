//! The reports of instances and of rewrap commands.

use dualkey::{Fingerprint, Report, RewrapRecord, UsageBucket, UsageCounts};

use super::keys::{KEYS, kid};
use super::policy::{TICK, at, ticks};

/// The most instances of a search.
pub const INSTANCES: usize = 4;

/// The last reports of all instances, and of a rewrap command.
pub type Reports = [Reported; INSTANCES + 1];

/// The last report of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reported {
    /// False if there is no report.
    pub is_present: bool,
    /// The tick of the report, by the clock of the instance.
    pub at: u8,
    /// True if the fingerprint is that of the latest manifest.
    pub agrees: bool,
    /// The last rewrap that the instance knows of. Only encryption rings have rewraps.
    pub rewrap: Option<FinishedRewrap>,
}

/// The record of a finished rewrap, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FinishedRewrap {
    pub started: u8,
    pub finished: u8,
    /// The keys that rows are under after it, by bit.
    pub left: u8,
    pub unreadable: u8,
    /// True if a command ran it. The report of a command contains no other evidence.
    pub by_command: bool,
}

/// Builds the report of an instance that has observed for long, has enough traffic and has never used an
/// old key. No other evidence is nearer to a verdict of `Safe`.
pub(super) fn build_report(
    instance: usize,
    reported: &Reported,
    fingerprint: Fingerprint,
) -> Report {
    let end = at(reported.at.into());
    let mut report = Report::for_unreadable(format!("instance-{instance}"), end, "");
    report.problem = None;
    report.ring = "R".to_owned();
    report.fingerprint = if reported.agrees { fingerprint } else { other_fingerprint() };
    report.observed_since = at(0) - ticks(100);
    let uses = UsageCounts { verified_as_primary: 10, ..UsageCounts::default() };
    let bucket = |age: u32| UsageBucket {
        from: end - TICK * (age + 1),
        to: end - TICK * age,
        uses: vec![(kid(0), uses)],
    };
    report.buckets = (0..4).rev().map(bucket).collect();
    report.rewrap = reported.rewrap.map(|rewrap| RewrapRecord {
        started_at: at(rewrap.started.into()),
        finished_at: at(rewrap.finished.into()),
        unreadable: rewrap.unreadable.into(),
        nothing_sealed: 0,
        rows: (0..KEYS)
            .filter(|index| rewrap.left & 1 << index != 0)
            .map(|index| (kid(index), 1))
            .collect(),
    });
    if reported.rewrap.is_some_and(|rewrap| rewrap.by_command) {
        (report.has_stopped, report.observed_since) = (true, end);
        report.buckets.clear();
    }
    report
}

/// Returns the fingerprint of other keys.
fn other_fingerprint() -> Fingerprint {
    "AAAAAAAAAAAAAAAA".parse().expect("it is a fingerprint")
}
