//! The plan of an adoption, made before anything is written.

use super::outcome::Refusal;
use super::refusal::{refusal, unfit};
use super::source::Source;
use super::values::{Values, check_clear};
use crate::kid::Kid;
use crate::manifest::Manifest;
use crate::ops::audit::Trail;
use crate::ops::error::OpsError;
use crate::ops::generate::Generated;
use crate::ops::inventory::{Place, SecretSpec};
use crate::ops::rotate::{CreateOptions, begin_trail, check_new};
use crate::purpose::Purpose;
use crate::source::StoreError;
use crate::source::dotenv::listing::Listing;
use crate::source::reading::ValuesInUse;

/// The plan for one secret.
pub(super) enum Plan {
    /// Its manifest is the first of the key of the trail; with the place of the value, if it is not
    /// a new one.
    Trail(Manifest, Option<String>),
    /// The manifest is stored, where there is none.
    Store(Manifest, String),
    /// The store holds the values already, and the trail gets the record.
    Record(Manifest, String),
    Already(Vec<Kid>),
    NotSet,
    ByHand(String),
}

/// Plans the adoption of `names` in the name of `actor`, in the order of the inventory; the key of the
/// trail comes first.
pub(super) async fn plan_all(
    values: &Values<'_>,
    actor: &str,
    names: &[String],
) -> Result<Vec<(String, Plan)>, OpsError> {
    let project = values.project;
    let inventory = project.inventory();
    let (mut plans, mut refusals) = (Vec::new(), Vec::new());
    let audit = inventory.audit.secret.clone();
    let trail = match project.trail().await {
        Ok(trail) => Some(trail),
        Err(OpsError::NoAuditKey { .. }) => {
            match plan_trail(values, actor, inventory.secret(&audit)?).await {
                Ok(plan) => plans.push((audit.clone(), plan)),
                Err(error) => refusals.push(refusal(inventory.secret(&audit)?, &error)),
            }
            None
        }
        Err(error) => return Err(error),
    };
    let is_asked = |item: &&SecretSpec| names.is_empty() || names.contains(&item.name);
    for item in project.secrets().filter(is_asked).filter(|item| item.name != audit) {
        match plan_secret(values, item, trail.as_deref()).await {
            Ok(Plan::NotSet) if !names.is_empty() => {
                let problem = values.explain_missing(item);
                refusals.push(Refusal { secret: item.name.clone(), problem });
            }
            Ok(plan) => plans.push((item.name.clone(), plan)),
            Err(error) => refusals.push(refusal(item, &error)),
        }
    }
    if trail.is_some() && names.contains(&audit) {
        plans.push((audit, Plan::Already(Vec::new())));
    }
    if refusals.is_empty() { Ok(plans) } else { Err(OpsError::Adopt { refusals }) }
}

/// The plan for the key of the trail, which has none.
async fn plan_trail(values: &Values<'_>, actor: &str, item: &SecretSpec) -> Result<Plan, OpsError> {
    let project = values.project;
    let now = project.now();
    // One trail for all environments, and one key.
    let environment = project.inventory().environment.as_str();
    let (manifest, from) = match values.find(item)? {
        Some((found, from)) => (values.manifest(item, environment, &found)?, Some(from)),
        None => {
            let first = Generated::new(Purpose::Audit)?.entry();
            let (name, policy) = (&item.name, item.policy);
            (Manifest::new(name, Purpose::Audit, environment, policy, first, now)?, None)
        }
    };
    let by = CreateOptions::new(actor).dry_run();
    begin_trail(project, &item.name, by, &manifest).await?;
    Ok(Plan::Trail(manifest, from))
}

/// The plan for `item`.
async fn plan_secret(
    values: &Values<'_>,
    item: &SecretSpec,
    trail: Option<&dyn Trail>,
) -> Result<Plan, OpsError> {
    if let Place::Manual(place) = &item.store {
        return Ok(Plan::ByHand(place.clone()));
    }
    let project = values.project;
    let environment = project.environment_name();
    let store_path = match &item.store {
        Place::Dotenv(path) => Some(project.inventory().path(path, environment)),
        _ => None,
    };
    if let Some(path) = &store_path
        && let Some(listing) = Listing::read(path)?
    {
        check_clear(item, &listing)?;
    }
    let stored = match project.store(&item.name)?.load().await {
        Ok(stored) => Some(stored),
        Err(StoreError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    // A `.env` file that is the store itself is not compared with another one unasked.
    let is_its_store = store_path.is_some() && stored.is_some() && *values.source == Source::Beside;
    let found = if is_its_store { None } else { values.find(item)? };
    if stored.is_none() && found.is_none() {
        return Ok(Plan::NotSet);
    }
    let is_recorded = match trail {
        Some(trail) => match check_new(trail, &item.name, environment).await {
            Ok(()) => false,
            Err(OpsError::WasThere { .. }) if stored.is_some() => true,
            Err(error) => return Err(error),
        },
        None => false,
    };
    match (stored, found) {
        (None, None) => Ok(Plan::NotSet),
        (None, Some((found, from))) => {
            Ok(Plan::Store(values.manifest(item, environment, &found)?, from))
        }
        (Some(stored), found) => {
            let revoked = match &found {
                Some((found, from)) => revoked_kids(item, &stored, found, from)?,
                None => Vec::new(),
            };
            match store_path.filter(|_| !is_recorded) {
                Some(path) => Ok(Plan::Record(stored, values.display_path(&path))),
                None => Ok(Plan::Already(revoked)),
            }
        }
    }
}

/// The kids of revoked keys that a variable still holds; a value that no key of `stored` has is an
/// error.
fn revoked_kids(
    item: &SecretSpec,
    stored: &Manifest,
    found: &ValuesInUse,
    from: &str,
) -> Result<Vec<Kid>, OpsError> {
    let mut kids = Vec::new();
    for (variable, secret) in found.all() {
        let Some(key) = stored.find(secret) else {
            let why = format!(
                "its value in {from} is not that of a key in its store: stage it (`dualkey stage {} \
                 --value-from FILE`), or remove the variable",
                item.name
            );
            return Err(unfit(item, variable, why));
        };
        if key.revoked().is_some() || key.destroyed_at().is_some() {
            kids.push(key.kid());
        }
    }
    Ok(kids)
}
