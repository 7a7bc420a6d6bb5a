//! The states of the secrets of a project, read from its stores and its trail.

use std::sync::Arc;

use super::status::{Advice, ScheduleState, SecretStatus};
use super::trail_facts::TrailFacts;
use crate::ops::adopt::{first_audit_key_command, in_use};
use crate::ops::audit::{Outcome, Query, Trail};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, Project, SecretSpec};
use crate::ops::rotate::facts::reports;
use crate::ops::rotate::{check_new, unfinished_step};
use crate::ops::warnings::find_encrypted_file;
use crate::source::StoreError;

/// How every secret of the environment stands, in the order of the inventory.
///
/// # Errors
/// None of one secret, which stands as [`ScheduleState::Unread`]; only where the trail cannot be read
/// is nothing known of those that are rotated by hand.
pub async fn secret_statuses(project: &Project) -> Result<Vec<SecretStatus>, OpsError> {
    let trail = project.trail().await;
    let mut all = Vec::new();
    for item in project.secrets() {
        all.push(status(project, item, &trail).await);
    }
    Ok(all)
}

/// How the secret `name` stands.
///
/// # Errors
/// [`OpsError::UnknownSecret`], [`OpsError::OtherEnvironment`]. One that cannot be read stands as
/// [`ScheduleState::Unread`].
pub async fn secret_status(project: &Project, name: &str) -> Result<SecretStatus, OpsError> {
    let item = project.inventory().secret(name)?;
    item.check_environment(project.environment_name())?;
    let trail = project.trail().await;
    Ok(status(project, item, &trail).await)
}

async fn status(
    project: &Project,
    item: &SecretSpec,
    trail: &Result<Arc<dyn Trail>, OpsError>,
) -> SecretStatus {
    let name = (item, project.environment_name());
    let trail = match trail {
        Ok(trail) => Some(&**trail),
        // Nothing is decided by a trail that is missing or cannot be read, nor without it.
        Err(error @ OpsError::Audit(_)) => return SecretStatus::for_unreadable(name, error),
        Err(_) => None,
    };
    let status = read(project, item, trail).await;
    let mut status = status.unwrap_or_else(|error| SecretStatus::for_unreadable(name, &error));
    let encrypted = find_encrypted_file(project, item, name.1);
    status.warnings.extend(encrypted.map(|file| format!("{}; {}", file.problem(), file.remedy())));
    if status.state == ScheduleState::Absent {
        status.next = advise_adoption(project, &item.name, status.next);
    }
    status
}

async fn read(
    project: &Project,
    item: &SecretSpec,
    trail: Option<&dyn Trail>,
) -> Result<SecretStatus, OpsError> {
    let (now, environment) = (project.now(), project.environment_name());
    let ahead = project.inventory().remind.days_ahead;
    if let Place::Manual(_) = item.store {
        let Some(trail) = trail else {
            let secret = project.inventory().audit.secret.clone();
            return Err(OpsError::NoAuditKey { secret });
        };
        let query = Query::new().secret(&item.name).environment(environment);
        let query = query.rotations().outcome(Outcome::Success).take(1);
        let last = trail.query(&query).await?.pop().map(|entry| entry.record.at);
        return Ok(SecretStatus::for_manual((item, environment), last, now, ahead));
    }
    let store = project.store(&item.name)?;
    let manifest = match (store.load().await, trail) {
        (Err(error @ StoreError::Missing { .. }), Some(trail)) => {
            check_new(trail, &item.name, environment).await?;
            return Err(error.into());
        }
        (manifest, _) => manifest.map_err(|error| match error {
            StoreError::Missing { .. } => error.into(),
            error => item.explain(error),
        })?,
    };
    let reports = reports(&*store).await?;
    let unfinished = match trail {
        Some(trail) => unfinished_step(trail, &item.name, environment).await?,
        None => None,
    };
    let past = match trail {
        Some(trail) => TrailFacts::read(trail, item, &manifest, now).await?,
        None => TrailFacts::for_manifest(item, &manifest, now),
    };
    let mut status = SecretStatus::for_trail_facts(item, &manifest, &reports, now, (ahead, &past));
    if let Some(record) = unfinished {
        let why = format!("{} began {}, and has not said how it went", record.actor, record.action);
        status.state = status.state.max(ScheduleState::Stuck { why });
    }
    Ok(status)
}

/// The advice for a secret whose store holds no key: to adopt a value that is in use, if there is one,
/// because a new key would refuse what that one signed. Otherwise `other`.
fn advise_adoption(project: &Project, name: &str, other: Advice) -> Advice {
    match in_use(project, name) {
        Ok(Some(found)) => Advice {
            what: format!(
                "take over the value in use: {} is set in {}",
                found.variable,
                found.place()
            ),
            command: Some(found.command(name)),
            ..other
        },
        Ok(None) if name == project.inventory().audit.secret => {
            Advice { command: Some(first_audit_key_command(project)), ..other }
        }
        Ok(None) => other,
        // It may hold a value that is in use.
        Err(error) => Advice { what: format!("fix the file: {error}"), command: None, ..other },
    }
}
