//! The report of a rewrap, left where the verdict on the old key looks for it.

use std::time::SystemTime;

use crate::envelope::AesKey;
use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::Verdict;
use crate::manifest::Entry;
use crate::ops::error::OpsError;
use crate::ops::inventory::Project;
use crate::rewrap::RewrapReport;
use crate::ring::KeyRing;
use crate::source::{KeyStore, StoreError};

/// What the report of a rewrap is kept under, among those of the instances.
pub const INSTANCE: &str = "dualkey-rewrap";

/// Leaves the report where the verdict looks for it: of a rewrap that failed, how much it sealed.
pub(super) async fn leave_report(
    project: &Project,
    store: &dyn KeyStore,
    ring: &KeyRing<AesKey>,
    rewrapped: &mut [(String, RewrapReport)],
) -> Result<(), OpsError> {
    let all = rewrapped.iter().map(|(_, table)| table.clone()).reduce(RewrapReport::merge);
    let before = match store.reports().await {
        Ok(reports) => reports,
        // Such a store keeps none, and retires by force.
        Err(StoreError::NoReports { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if let Some(last) = before.iter().find(|report| report.instance == INSTANCE) {
        // The counts of sealed messages go on from the last rewrap.
        ring.absorb(last);
    }
    if let Some(all) = all {
        match next_rewrap_from(project, store, &before, &all).await? {
            // It may miss the same row: the rewrap before stays the evidence, and another one must
            // follow.
            Some(not_before) => {
                for (_, table) in rewrapped {
                    table.counts_from = table.counts_from.max(Some(not_before));
                }
            }
            None => ring.record_rewrap(&all.record()),
        }
    }
    let mut report = ring.report(INSTANCE);
    report.has_stopped = true;
    report.observed_since = report.reported_at;
    // It has gone through what there is, and says nothing of who uses it.
    (report.buckets, report.last_as_fallback) = (Vec::new(), Vec::new());
    Ok(store.save_report(&report).await?)
}

/// The start of the first rewrap that counts, if a key was used after the rewrap before, and this one
/// started before that use.
async fn next_rewrap_from(
    project: &Project,
    store: &dyn KeyStore,
    before: &[Report],
    rewrapped: &RewrapReport,
) -> Result<Option<SystemTime>, OpsError> {
    let (manifest, now) = (store.load().await?, project.now());
    let obstacles = |key: &Entry| match manifest.retirement(&key.kid(), before, now) {
        Ok(Verdict::Blocked(obstacles)) => obstacles,
        _ => Vec::new(),
    };
    let moments =
        manifest.keys().iter().flat_map(obstacles).filter_map(|obstacle| match obstacle {
            Obstacle::UsedAfterRewrap { not_before, .. } => Some(not_before),
            _ => None,
        });
    Ok(moments
        .max()
        .filter(|not_before| rewrapped.started_at < *not_before && rewrapped.is_complete()))
}
