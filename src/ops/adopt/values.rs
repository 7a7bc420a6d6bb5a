//! The values in use: read, checked, and made into a first manifest.

use std::path::Path;

use zeroize::Zeroizing;

use super::in_use::{SIGNING, env_files};
use super::refusal::unfit;
use super::source::Source;
use crate::manifest::Manifest;
use crate::ops::address::is_elsewhere;
use crate::ops::error::OpsError;
use crate::ops::inventory::{Project, SecretSpec};
use crate::purpose::Purpose;
use crate::reference::Reference;
use crate::secret::Secret;
use crate::source::dotenv::listing::Listing;
use crate::source::reading::ValuesInUse;
use crate::variable_names::NEXT;

/// The values in use: of files, or of the environment of this process.
pub(super) struct Values<'a> {
    pub(super) project: &'a Project,
    pub(super) source: &'a Source,
    listings: Vec<Listing>,
}

impl<'a> Values<'a> {
    /// Reads the files of `source`.
    pub(super) fn read(project: &'a Project, source: &'a Source) -> Result<Self, OpsError> {
        let (paths, is_named) = match source {
            Source::Beside => (env_files(project), false),
            Source::Files(paths) => (paths.clone(), true),
            Source::Environment => (Vec::new(), false),
        };
        let mut listings = Vec::new();
        for path in paths {
            match Listing::read(&path)? {
                Some(listing) => listings.push(listing),
                None if is_named => {
                    let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
                    return Err(OpsError::for_path(path)(missing));
                }
                None => {}
            }
        }
        Ok(Self { project, source, listings })
    }

    /// The values of `item`, and the place where they are.
    pub(super) fn find(
        &self,
        item: &SecretSpec,
    ) -> Result<Option<(ValuesInUse, String)>, OpsError> {
        let (name, purpose) = (item.name.as_str(), item.purpose);
        if *self.source == Source::Environment {
            let project = self.project;
            for suffix in SIGNING.into_iter().chain([NEXT]) {
                let variable = format!("{name}{suffix}");
                if let Some(why) =
                    project.value(&variable)?.and_then(|value| Reference::recognise(&value))
                {
                    return Err(unfit(item, &variable, refusal_of(&why)));
                }
            }
            let found = ValuesInUse::read(purpose, name, |variable| project.lookup(variable))?;
            found.as_ref().map_or(Ok(()), |found| check_database(item, found))?;
            return Ok(found.map(|found| (found, "the environment".to_owned())));
        }
        let sets = |listing: &&Listing| {
            SIGNING.iter().any(|suffix| listing.get(&format!("{name}{suffix}")).is_some())
        };
        let mut listings = self.listings.iter().filter(sets);
        let Some(listing) = listings.next() else { return Ok(None) };
        if let Some(other) = listings.next() {
            let (one, other) = (self.display_path(&listing.path), self.display_path(&other.path));
            let why = format!("it is set in {one} and in {other}: name one with `--from`");
            return Err(unfit(item, name, why));
        }
        check_clear(item, listing)?;
        let value = |variable: &str| {
            Ok(listing.get(variable).map(|variable| variable.value.as_str().to_owned()))
        };
        let found = ValuesInUse::read(purpose, name, value)?;
        found.as_ref().map_or(Ok(()), |found| check_database(item, found))?;
        Ok(found.map(|found| (found, self.display_path(&listing.path))))
    }

    /// The first manifest of `item`, with the keys of `found`.
    pub(super) fn manifest(
        &self,
        item: &SecretSpec,
        environment: &str,
        found: &ValuesInUse,
    ) -> Result<Manifest, OpsError> {
        let (name, now) = ((item.name.as_str(), environment), self.project.now());
        let algorithm = item.algorithm.as_deref();
        Ok(found.manifest(name, item.purpose, item.policy, algorithm, now)?)
    }

    /// The path as the inventory would name it.
    pub(super) fn display_path(&self, path: &Path) -> String {
        let inventory = &self.project.inventory().path;
        let root = inventory.parent().filter(|folder| !folder.as_os_str().is_empty());
        let shown = root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path);
        shown.display().to_string()
    }

    /// The reason to refuse an item of which no value is found.
    pub(super) fn explain_missing(&self, item: &SecretSpec) -> String {
        let places: Vec<_> = match self.source {
            Source::Environment => vec!["the environment".to_owned()],
            Source::Files(paths) => paths.iter().map(|path| self.display_path(path)).collect(),
            Source::Beside => {
                env_files(self.project).iter().map(|path| self.display_path(path)).collect()
            }
        };
        let project = self.project;
        let is_in_environment = SIGNING
            .iter()
            .any(|suffix| matches!(project.value(&format!("{}{suffix}", item.name)), Ok(Some(_))));
        let remedy = if *self.source != Source::Environment && is_in_environment {
            "pass `--from-env`: it is set in the environment".to_owned()
        } else {
            format!(
                "name its file with `--from`, or make a new key (`dualkey generate {} --store`)",
                item.name
            )
        };
        format!("it is not set in {}: {remedy}", places.join(" or "))
    }
}

/// Fails for a variable of `item` whose value is not the secret itself, or not clear.
pub(super) fn check_clear(item: &SecretSpec, listing: &Listing) -> Result<(), OpsError> {
    for suffix in SIGNING.into_iter().chain([NEXT]) {
        let Some(variable) = listing.get(&format!("{}{suffix}", item.name)) else { continue };
        if let Some(why) = Reference::recognise(&variable.value) {
            return Err(unfit(item, &variable.name, refusal_of(&why)));
        }
        if let Some(unclear) = &variable.problem {
            return Err(unclear.clone().error(&listing.path).into());
        }
    }
    Ok(())
}

fn refusal_of(reference: &Reference) -> String {
    format!("{reference}, or {}", Reference::WAY_OUT)
}

/// Fails for a variable of `item` that is of another server or database than the first: a failover
/// to it would write there.
fn check_database(item: &SecretSpec, found: &ValuesInUse) -> Result<(), OpsError> {
    if item.purpose != Purpose::Credential || item.other_databases {
        return Ok(());
    }
    let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).into_owned();
    let mut all = found.all().map(|(variable, secret)| (variable, Zeroizing::new(text(secret))));
    let Some((_, first)) = all.next() else { return Ok(()) };
    match all.find(|(_, value)| is_elsewhere(&first, value)) {
        None => Ok(()),
        Some((variable, _)) => {
            let why = "it is of another server or database, and not an old value: rename it, or set \
                       `other_databases = true`";
            Err(unfit(item, variable, why.to_owned()))
        }
    }
}
