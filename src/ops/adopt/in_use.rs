//! The search for values of a secret that a service uses.

use std::path::PathBuf;

use super::value_in_use::InUse;
use crate::manifest::{Entry, Manifest};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, Project, SecretSpec};
use crate::source::dotenv::listing::Listing;
use crate::variable_names::{BACKUP, CURRENT, NEW, OLD};

/// The suffixes of the variables with keys that sign or verify, in the order of the search: the
/// current key is named first.
pub(super) const SIGNING: [&str; 4] = [CURRENT, NEW, OLD, BACKUP];

/// The files with the variables of the environment of `project`, beside its inventory.
pub(super) fn env_files(project: &Project) -> Vec<PathBuf> {
    let (inventory, environment) = (project.inventory(), project.environment_name());
    let of_environment = inventory.path(&format!(".env.{environment}"), environment);
    if environment != inventory.environment {
        return vec![of_environment];
    }
    vec![inventory.path(".env", environment), of_environment]
}

/// Returns where a value of `item` is in use: in its own `.env` file, in one beside the inventory, or
/// in the environment of this process.
///
/// ```
/// use dualkey::ops::adopt::in_use;
/// use dualkey::ops::inventory::{Inventory, Project};
///
/// # let folder = tempfile::tempdir()?;
/// let inventory = Inventory::parse(Inventory::TEMPLATE, folder.path().join("dualkey.toml"))?;
/// let project = Project::new(inventory).variables(|_| None);
/// assert_eq!(in_use(&project, "JWT_SECRET")?, None);
///
/// std::fs::write(folder.path().join(".env"), "JWT_SECRET=kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5\n")?;
/// assert_eq!(in_use(&project, "JWT_SECRET")?.unwrap().variable, "JWT_SECRET");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`OpsError::UnknownSecret`]; [`OpsError::Store`] for a file that cannot be read: it may hold one.
pub fn in_use(project: &Project, name: &str) -> Result<Option<InUse>, OpsError> {
    Ok(find_value(project, project.inventory().secret(name)?)?.map(|(found, _)| found))
}

/// The command that makes the key of the audit trail: where there is a `.env` file, the one that takes
/// its values over as well.
pub(crate) fn first_audit_key_command(project: &Project) -> String {
    if env_files(project).iter().any(|path| path.exists()) {
        return "dualkey adopt".to_owned();
    }
    format!("dualkey generate {} --store", project.inventory().audit.secret)
}

/// Fails if a value of `item` is in use and is not the primary of `first`.
pub(crate) fn check_not_in_use(
    project: &Project,
    item: &SecretSpec,
    first: &Manifest,
) -> Result<(), OpsError> {
    let Some((found, value)) = find_value(project, item)? else { return Ok(()) };
    let kid = first.primary(project.now());
    let secret = first.key(&kid).and_then(Entry::secret);
    let is_same = item
        .purpose
        .decode(value)
        .is_ok_and(|value| secret.is_some_and(|secret| secret.expose() == value.expose()));
    if is_same { Ok(()) } else { Err(OpsError::InUse { name: item.name.clone(), found }) }
}

/// Fails if the store of the secret `name` holds nothing, and a value of it is in use.
#[allow(dead_code, reason = "the command line uses it, behind a feature")]
pub(crate) async fn check_adopted(project: &Project, name: &str) -> Result<(), OpsError> {
    let item = project.inventory().secret(name)?;
    let Ok(store) = project.store(name) else { return Ok(()) };
    if !matches!(store.load().await, Err(crate::source::StoreError::Missing { .. })) {
        return Ok(());
    }
    match find_value(project, item)? {
        Some((found, _)) => Err(OpsError::NotAdopted { name: name.to_owned(), found }),
        None => Ok(()),
    }
}

/// The first variable of `item` that is set, with its value.
fn find_value(project: &Project, item: &SecretSpec) -> Result<Option<(InUse, String)>, OpsError> {
    let environment = project.environment_name();
    let mut paths = env_files(project);
    if let Place::Dotenv(path) = &item.store {
        paths.insert(0, project.inventory().path(path, environment));
    }
    let names = SIGNING.map(|suffix| format!("{}{suffix}", item.name));
    for path in paths {
        let Some(listing) = Listing::read(&path)? else { continue };
        if let Some(variable) = names.iter().find_map(|name| listing.get(name)) {
            let found = InUse { variable: variable.name.clone(), file: Some(path) };
            return Ok(Some((found, variable.value.as_str().to_owned())));
        }
    }
    for variable in names {
        if let Some(value) = project.value(&variable)? {
            return Ok(Some((InUse { variable, file: None }, value)));
        }
    }
    Ok(None)
}
