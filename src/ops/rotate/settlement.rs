//! The outcome of a step whose operator was stopped, found by what is stored, and recorded.

use super::context::RotationContext;
use super::past_steps::unfinished_step;
use crate::manifest::Manifest;
use crate::ops::audit::{Guard, Outcome, Record};
use crate::ops::error::OpsError;
use crate::source::StoreError;

/// The name of the lock of a secret.
pub(super) fn lock_name(environment: &str, ring: &str) -> String {
    format!("{environment}/{ring}")
}

/// Takes the lock of a secret, and records the outcome of a step that was left; no lock in a dry run.
pub(super) async fn lock_and_settle(
    context: &RotationContext,
    ring: &str,
    environment: &str,
) -> Result<Option<Guard>, OpsError> {
    if context.is_dry_run {
        return Ok(None);
    }
    let guard = context.trail.lock(&lock_name(environment, ring)).await?;
    settle(context, ring, environment).await?;
    Ok(Some(guard))
}

/// Records the outcome of a step that was started and left, under the lock that the caller holds.
pub(super) async fn settle(
    context: &RotationContext,
    ring: &str,
    environment: &str,
) -> Result<Option<Outcome>, OpsError> {
    let Some(started) = unfinished_step(&*context.trail, ring, environment).await? else {
        return Ok(None);
    };
    let outcome = match context.store.load().await {
        Ok(manifest) => outcome_of(&started, &manifest),
        Err(StoreError::Missing { .. }) => Outcome::Abandoned,
        Err(error) => return Err(error.into()),
    };
    let mut record = started;
    (record.at, record.clock_given) = (context.now(), context.is_clock_given);
    context.append(&record, outcome).await?;
    Ok(Some(outcome))
}

/// The outcome of the step that `started` records, by the manifest that is stored.
pub(super) fn outcome_of(started: &Record, stored: &Manifest) -> Outcome {
    let Some(revision) = started.revision else { return Outcome::Unknown };
    if stored.revision() < revision {
        return Outcome::Abandoned;
    }
    if stored.revision() > revision {
        return Outcome::Unknown;
    }
    let is_same = started.fingerprint == Some(stored.fingerprint());
    // A `.env` file keeps nothing of a key that is revoked.
    let state = started.kid.and_then(|kid| stored.state(&kid, stored.changed_at()));
    let is_so = state.map(|state| state.as_str().to_owned()) == started.to;
    if is_same || is_so { Outcome::Success } else { Outcome::Abandoned }
}
