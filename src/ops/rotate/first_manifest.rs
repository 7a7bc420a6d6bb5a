//! The first manifest of a ring, stored and recorded.

use super::context::RotationContext;
use super::facts::check_missing;
use super::past_steps::check_new;
use super::settlement::lock_and_settle;
use super::transaction::commit;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::Manifest;
use crate::ops::audit::{Action, Outcome, Record};
use crate::ops::error::OpsError;

/// Stores `manifest`, the first of a ring, where there is none.
pub(super) async fn store_first(
    context: &RotationContext,
    manifest: &Manifest,
) -> Result<(), OpsError> {
    let (ring, environment) = (manifest.ring(), manifest.environment());
    let record = first_record(context, manifest);
    let _guard = lock_and_settle(context, ring, environment).await?;
    check_missing(&*context.store, ring, environment).await?;
    if !context.is_forced {
        check_new(&*context.trail, ring, environment).await?;
    }
    if context.is_dry_run {
        return Ok(());
    }
    commit(context, &record, 0, manifest).await
}

/// Records `manifest`, which its store holds already, as the first of a ring that the trail does not
/// know.
pub(super) async fn record_first(
    context: &RotationContext,
    manifest: &Manifest,
) -> Result<(), OpsError> {
    let (ring, environment) = (manifest.ring(), manifest.environment());
    let _guard = lock_and_settle(context, ring, environment).await?;
    match check_new(&*context.trail, ring, environment).await {
        Ok(()) if context.is_dry_run => Ok(()),
        Ok(()) => context.append(&first_record(context, manifest), Outcome::Success).await,
        // Another operator was faster.
        Err(OpsError::WasThere { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn first_record(context: &RotationContext, manifest: &Manifest) -> Record {
    let now = context.now();
    let kid = manifest.primary(now);
    let mut record = context.record(manifest, Action::CREATED, now).kid(kid);
    record.fingerprint = Some(manifest.fingerprint());
    record.revision = Some(manifest.revision());
    record.to = Some(KeyState::Live(Role::Primary).as_str().to_owned());
    record
}
