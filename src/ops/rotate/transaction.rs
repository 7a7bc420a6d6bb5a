//! A step as a transaction: the record of its start, the compare-and-swap, the record of its outcome.

use std::time::SystemTime;

use super::context::RotationContext;
use super::new_keys::check_new_keys;
use super::settlement::{lock_and_settle, lock_name, outcome_of};
use crate::error::Error;
use crate::evidence::Report;
use crate::manifest::{Change, Manifest};
use crate::ops::audit::{Action, AuditError, Guard, Outcome, Problem, Record};
use crate::ops::error::OpsError;
use crate::purpose::Purpose;
use crate::source::StoreError;
use crate::source::store::retry_conflicts;

/// A step: its name in the trail, and the function that computes it from the manifest that is stored,
/// the reports and the time. It runs again if another operator was faster.
pub(super) struct Step<'s> {
    pub(super) action: Action,
    pub(super) compute: &'s mut Compute<'s>,
}

/// Computes a step.
pub(super) type Compute<'s> =
    dyn FnMut(&Manifest, &[Report], SystemTime) -> Result<Change, Error> + Send + 's;

impl Step<'_> {
    /// Returns whether the step ends the use of a compromised key: it waits for no report, no clock and
    /// no old record.
    fn is_urgent(&self) -> bool {
        [Action::REVOKED, Action::EMERGENCY_ROTATED].contains(&self.action)
    }

    /// Returns whether the step is refused if the clock disagrees with the reports.
    fn needs_clock(&self) -> bool {
        !self.is_urgent() && self.action != Action::CLOCK_REPAIRED
    }
}

/// Takes a step under the lock of its secret.
pub(super) async fn take(
    context: &RotationContext,
    mut step: Step<'_>,
) -> Result<Change, OpsError> {
    let taken = run(context, &mut step).await;
    taken.map_err(|error| context.explain(error))
}

async fn run(context: &RotationContext, step: &mut Step<'_>) -> Result<Change, OpsError> {
    let current = context.load().await?;
    if context.store.has_steps(&current) && context.trail.is_empty().await? {
        return Err(AuditError::Broken { problem: Problem::Missing }.into());
    }
    let (ring, environment) = (current.ring(), current.environment());
    let _guard = lock(context, step, ring, environment).await?;
    let is_conflict =
        |error: &OpsError| matches!(error, OpsError::Store(StoreError::Conflict { .. }));
    // Each attempt loads the manifest: no other operator changes it now, unless past the lock.
    retry_conflicts(is_conflict, async || attempt(context, step).await).await
}

/// The lock of a secret, with everything settled that was left.
async fn lock(
    context: &RotationContext,
    step: &Step<'_>,
    ring: &str,
    environment: &str,
) -> Result<Option<Guard>, OpsError> {
    match lock_and_settle(context, ring, environment).await {
        // The record that comes next is refused, if the trail cannot be written.
        Err(OpsError::Audit(
            AuditError::Broken { .. } | AuditError::Io { .. } | AuditError::Client { .. },
        )) if step.is_urgent() => {
            Ok(Some(context.trail.lock(&lock_name(environment, ring)).await?))
        }
        locked => locked,
    }
}

async fn attempt(context: &RotationContext, step: &mut Step<'_>) -> Result<Change, OpsError> {
    let current = context.load().await?;
    let current = if context.trusts_clock { current.trust_clock() } else { current };
    let reports = if step.is_urgent() { Vec::new() } else { context.reports().await? };
    let now = context.now();
    let computed = (step.compute)(&current, &reports, now).and_then(|change| {
        if step.needs_clock() && change.has_changed(&current) {
            if context.is_deployed {
                current.check_clock_but_silence(&reports, now)?;
            } else {
                current.check_clock(&reports, now)?;
            }
        }
        Ok(change)
    });
    let change = match computed {
        Ok(change) => change,
        Err(refusal) => {
            record_refusal(context, &current, step.action.clone(), &refusal, now).await;
            return Err(refusal.into());
        }
    };
    if let Some((item, _)) = &context.item {
        check_new_keys(item, &current, &change.manifest, now)?;
    }
    if context.is_dry_run || !change.has_changed(&current) {
        return Ok(change);
    }
    let record = context.record(&change.manifest, step.action.clone(), now).change(&change);
    commit(context, &record, current.revision(), &change.manifest).await?;
    Ok(change)
}

/// Records the start of a step, stores `next` in the place of the revision `expected`, and records the
/// outcome.
pub(super) async fn commit(
    context: &RotationContext,
    record: &Record,
    expected: u64,
    next: &Manifest,
) -> Result<(), OpsError> {
    context.append(record, Outcome::Started).await?;
    let stored = context.store.compare_and_swap(expected, next).await;
    let outcome = match &stored {
        Ok(()) => Outcome::Success,
        Err(StoreError::Conflict { .. }) => Outcome::Abandoned,
        // It may have been stored all the same: what the store holds decides.
        Err(_) => match context.store.load().await {
            Ok(found) => match outcome_of(record, &found) {
                Outcome::Success => Outcome::Success,
                _ => Outcome::Failed,
            },
            Err(StoreError::Missing { .. }) => Outcome::Failed,
            // The step stays open, and is settled when the store answers.
            Err(_) => return stored.map_err(OpsError::from),
        },
    };
    if outcome == Outcome::Success && next.purpose() == Purpose::Audit {
        sign_trail_with(context, next)?;
    }
    match (context.append(record, outcome).await, stored) {
        (Ok(()), Err(error)) if outcome != Outcome::Success => Err(error.into()),
        (Ok(()), _) => Ok(()),
        (Err(OpsError::Audit(source)), _) if outcome == Outcome::Success => {
            Err(OpsError::Unsettled { source })
        }
        (Err(error), Ok(())) => Err(error),
        (Err(_), Err(error)) => Err(error.into()),
    }
}

/// Has the trail sign with the keys of `manifest`, if that is the manifest of its own keys.
fn sign_trail_with(context: &RotationContext, manifest: &Manifest) -> Result<(), OpsError> {
    let ring = context.trail.ring();
    if ring.name() == manifest.ring() {
        manifest.apply_to(ring)?;
    }
    Ok(())
}

/// Records that a step was refused. The refusal counts, whether or not it can be recorded.
async fn record_refusal(
    context: &RotationContext,
    current: &Manifest,
    action: Action,
    refusal: &Error,
    now: SystemTime,
) {
    if context.is_dry_run {
        return;
    }
    let mut record = context.record(current, action, now);
    let why: String = refusal.to_string().chars().take(200).collect();
    record.reason = Some(match &context.reason {
        Some(reason) => format!("{reason}; refused: {why}"),
        None => format!("refused: {why}"),
    });
    let _ = context.append(&record, Outcome::Failed).await;
}
