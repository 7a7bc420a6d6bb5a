//! A record of what was done outside of this crate.

use crate::ops::audit::{Action, Record, Sink};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, Project};

/// Records what was done elsewhere to a secret: anything if it is rotated by hand, otherwise only what
/// is no step of a rotation, because the operator who takes a step records it.
///
/// # Errors
/// [`OpsError::NotByHand`]; [`OpsError::Audit`].
pub async fn record(project: &Project, record: &Record) -> Result<(), OpsError> {
    let item = project.inventory().secret(&record.secret)?;
    item.check_environment(&record.environment)?;
    let is_step = Action::STEPS.contains(&record.action) || record.action == Action::REMINDED;
    if is_step && !matches!(item.store, Place::Manual(_)) {
        let (name, action) = (item.name.clone(), record.action.clone());
        return Err(OpsError::NotByHand { name, action });
    }
    Ok(project.trail().await?.append(std::slice::from_ref(record)).await?)
}
