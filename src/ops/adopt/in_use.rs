//! The values of a secret that a service uses, although the store of the secret holds none.

use std::path::PathBuf;

use crate::manifest::Manifest;
use crate::ops::error::OpsError;
use crate::ops::inventory::{Item, Place, Project};
use crate::secret::Secret;
use crate::source::Listing;

/// The endings of the variables with keys that sign or verify.
pub(super) const SIGNING: [&str; 4] = ["", "_NEW", "_OLD", "_BACKUP"];

/// A variable with a value that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InUse {
    /// The variable.
    pub variable: String,
    /// The file that sets it; `None` for the environment of this process.
    pub file: Option<PathBuf>,
}

impl InUse {
    /// Returns the place where it is set, in words.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.file {
            Some(path) => path.display().to_string(),
            None => "the environment".to_owned(),
        }
    }

    /// The command that takes the value of the secret `name` over.
    pub(crate) fn command(&self, name: &str) -> String {
        let from = if self.file.is_some() { "" } else { " --from-env" };
        format!("dualkey adopt {name}{from}")
    }
}

/// The files with the variables of the environment of `project`, beside its inventory.
pub(super) fn files(project: &Project) -> Vec<PathBuf> {
    let (inventory, environment) = (project.inventory(), project.environment_name());
    let own = inventory.path(&format!(".env.{environment}"), environment);
    let common = inventory.path(".env", environment);
    match environment == inventory.environment {
        true => vec![common, own],
        false => vec![own],
    }
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
    Ok(found(project, project.inventory().secret(name)?)?.map(|(own, _)| own))
}

/// The command that makes the key of the audit trail: where there is a `.env` file, the one that takes
/// its values over as well.
pub(crate) fn begin_command(project: &Project) -> String {
    match files(project).iter().any(|path| path.exists()) {
        true => "dualkey adopt".to_owned(),
        false => format!("dualkey generate {} --store", project.inventory().audit.secret),
    }
}

/// Fails if a value of `item` is in use and is not the primary of `first`.
pub(crate) fn check_not_in_use(
    project: &Project,
    item: &Item,
    first: &Manifest,
) -> Result<(), OpsError> {
    let Some((found, value)) = found(project, item)? else { return Ok(()) };
    let kid = first.primary(project.now());
    let secret = first.key(&kid).and_then(|own| own.secret());
    let is_same = item
        .purpose
        .decode(value)
        .is_ok_and(|own| secret.is_some_and(|secret| Secret::expose(secret) == own.expose()));
    match is_same {
        true => Ok(()),
        false => Err(OpsError::InUse { name: item.name.clone(), found }),
    }
}

/// Fails if the store of the secret `name` holds nothing, and a value of it is in use.
#[cfg(feature = "cli")]
pub(crate) async fn check_adopted(project: &Project, name: &str) -> Result<(), OpsError> {
    let item = project.inventory().secret(name)?;
    let Ok(store) = project.store(name) else { return Ok(()) };
    if !matches!(store.load().await, Err(crate::source::StoreError::Missing { .. })) {
        return Ok(());
    }
    match found(project, item)? {
        Some((found, _)) => Err(OpsError::NotAdopted { name: name.to_owned(), found }),
        None => Ok(()),
    }
}

/// The first variable of `item` that is set, with its value.
fn found(project: &Project, item: &Item) -> Result<Option<(InUse, String)>, OpsError> {
    let environment = project.environment_name();
    let mut paths = files(project);
    if let Place::Dotenv(path) = &item.store {
        paths.insert(0, project.inventory().path(path, environment));
    }
    let names = SIGNING.map(|ending| format!("{}{ending}", item.name));
    for path in paths {
        let Some(listing) = Listing::read(&path)? else { continue };
        if let Some(own) = names.iter().find_map(|name| listing.get(name)) {
            let found = InUse { variable: own.name.clone(), file: Some(path) };
            return Ok(Some((found, own.value.as_str().to_owned())));
        }
    }
    for variable in names {
        if let Some(value) = project.value(&variable)? {
            return Ok(Some((InUse { variable, file: None }, value)));
        }
    }
    Ok(None)
}
