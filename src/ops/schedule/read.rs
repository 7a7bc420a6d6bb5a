//! The states of the secrets of a project, read from its stores and its trail.

use std::sync::Arc;

use super::standing::{Advice, Standing, State};
use super::trail_facts::TrailFacts;
use crate::ops::adopt::{first_audit_key_command, in_use};
use crate::ops::audit::{Outcome, Query, Trail};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Item, Place, Project};
use crate::ops::rotate::facts::reports;
use crate::ops::rotate::{check_new, unfinished_step};
use crate::ops::warnings::encrypted;
use crate::source::StoreError;

/// How every secret of the environment stands, in the order of the inventory.
///
/// # Errors
/// None of one secret, which stands as [`State::Unread`]; only where the trail cannot be read
/// is nothing known of those that are rotated by hand.
pub async fn standings(project: &Project) -> Result<Vec<Standing>, OpsError> {
    let trail = project.trail().await;
    let mut all = Vec::new();
    for item in project.secrets() {
        all.push(standing(project, item, &trail).await);
    }
    Ok(all)
}

/// How the secret `name` stands.
///
/// # Errors
/// [`OpsError::UnknownSecret`], [`OpsError::OtherEnvironment`]. One that cannot be read stands as
/// [`State::Unread`].
pub async fn standing_of(project: &Project, name: &str) -> Result<Standing, OpsError> {
    let item = project.inventory().secret(name)?;
    item.check_environment(project.environment_name())?;
    let trail = project.trail().await;
    Ok(standing(project, item, &trail).await)
}

async fn standing(
    project: &Project,
    item: &Item,
    trail: &Result<Arc<dyn Trail>, OpsError>,
) -> Standing {
    let name = (item, project.environment_name());
    let trail = match trail {
        Ok(trail) => Some(&**trail),
        // Nothing is decided by a trail that is missing or cannot be read, nor without it.
        Err(error @ OpsError::Audit(_)) => return Standing::unread(name, error),
        Err(_) => None,
    };
    let standing = read(project, item, trail).await;
    let mut standing = standing.unwrap_or_else(|error| Standing::unread(name, &error));
    let encrypted = encrypted(project, item, name.1);
    standing.warnings.extend(encrypted.map(|file| format!("{}; {}", file.found(), file.remedy())));
    if standing.state == State::Absent {
        standing.next = advise_adoption(project, &item.name, standing.next);
    }
    standing
}

async fn read(
    project: &Project,
    item: &Item,
    trail: Option<&dyn Trail>,
) -> Result<Standing, OpsError> {
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
        return Ok(Standing::by_hand((item, environment), last, now, ahead));
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
        None => TrailFacts::unknown(item, &manifest, now),
    };
    let mut standing = Standing::with_trail_facts(item, &manifest, &reports, now, (ahead, &past));
    if let Some(record) = unfinished {
        let why = format!("{} began {}, and has not said how it went", record.actor, record.action);
        standing.state = standing.state.max(State::Stuck { why });
    }
    Ok(standing)
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
