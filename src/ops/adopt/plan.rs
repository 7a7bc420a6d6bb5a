//! The plan of an adoption, made before anything is written.

use std::path::Path;

use zeroize::Zeroizing;

use super::in_use::{self, SIGNING};
use super::{Adopter, Refusal, Source};
use crate::error::Error;
use crate::kid::Kid;
use crate::manifest::Manifest;
use crate::ops::audit::Trail;
use crate::ops::error::OpsError;
use crate::ops::generate::Generated;
use crate::ops::inventory::{Item, Place};
use crate::ops::recognise::{Short, is_elsewhere};
use crate::ops::rotate::{By, begin_trail, check_new};
use crate::purpose::Purpose;
use crate::reference::Reference;
use crate::secret::Secret;
use crate::source::{InUse, Listing, StoreError};

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

/// The values in use: of files, or of the environment of this process.
struct Values<'a> {
    adopter: &'a Adopter<'a>,
    listings: Vec<Listing>,
}

/// The plans for `names`, in the order of the inventory; the trail's first.
pub(super) async fn plans(
    adopter: &Adopter<'_>,
    names: &[String],
) -> Result<Vec<(String, Plan)>, OpsError> {
    let project = adopter.project;
    let (inventory, environment) = (project.inventory(), project.environment_name());
    for name in names {
        inventory.secret(name)?.check_environment(environment)?;
    }
    let values = Values::read(adopter)?;
    let (mut plans, mut refusals) = (Vec::new(), Vec::new());
    let audit = inventory.audit.secret.clone();
    let trail = match project.trail().await {
        Ok(trail) => Some(trail),
        Err(OpsError::NoAuditKey { .. }) => {
            match values.trail(inventory.secret(&audit)?).await {
                Ok(plan) => plans.push((audit.clone(), plan)),
                Err(error) => refusals.push(values.refusal(inventory.secret(&audit)?, &error)),
            }
            None
        }
        Err(error) => return Err(error),
    };
    let is_asked = |item: &&Item| names.is_empty() || names.contains(&item.name);
    for item in project.secrets().filter(is_asked).filter(|item| item.name != audit) {
        match values.plan(item, trail.as_deref()).await {
            Ok(Plan::NotSet) if !names.is_empty() => {
                let problem = values.not_set(item);
                refusals.push(Refusal { secret: item.name.clone(), problem });
            }
            Ok(plan) => plans.push((item.name.clone(), plan)),
            Err(error) => refusals.push(values.refusal(item, &error)),
        }
    }
    if trail.is_some() && names.contains(&audit) {
        plans.push((audit, Plan::Already(Vec::new())));
    }
    match refusals.is_empty() {
        true => Ok(plans),
        false => Err(OpsError::Adopt { refusals }),
    }
}

impl<'a> Values<'a> {
    fn read(adopter: &'a Adopter<'a>) -> Result<Self, OpsError> {
        let (paths, is_named) = match &adopter.source {
            Source::Beside => (in_use::files(adopter.project), false),
            Source::Files(paths) => (paths.clone(), true),
            Source::Environment => (Vec::new(), false),
        };
        let mut listings = Vec::new();
        for path in paths {
            match Listing::read(&path)? {
                Some(listing) => listings.push(listing),
                None if is_named => {
                    let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
                    return Err(OpsError::io(path)(missing));
                }
                None => {}
            }
        }
        Ok(Self { adopter, listings })
    }

    /// The plan for the key of the trail, which has none.
    async fn trail(&self, item: &Item) -> Result<Plan, OpsError> {
        let adopter = self.adopter;
        let now = adopter.project.now();
        // One trail for all environments, and one key.
        let environment = adopter.project.inventory().environment.as_str();
        let (manifest, from) = match self.found(item)? {
            Some((found, from)) => (self.manifest(item, environment, &found)?, Some(from)),
            None => {
                let first = Generated::new(Purpose::Audit)?.entry();
                let (name, policy) = (&item.name, item.policy);
                (Manifest::new(name, Purpose::Audit, environment, policy, first, now)?, None)
            }
        };
        let by = By::new(adopter.actor).dry_run();
        begin_trail(adopter.project, &item.name, by, &manifest).await?;
        Ok(Plan::Trail(manifest, from))
    }

    async fn plan(&self, item: &Item, trail: Option<&dyn Trail>) -> Result<Plan, OpsError> {
        if let Place::Manual(place) = &item.store {
            return Ok(Plan::ByHand(place.clone()));
        }
        let project = self.adopter.project;
        let environment = project.environment_name();
        let own_path = match &item.store {
            Place::Dotenv(path) => Some(project.inventory().path(path, environment)),
            _ => None,
        };
        if let Some(path) = &own_path
            && let Some(listing) = Listing::read(path)?
        {
            check(item, &listing)?;
        }
        let stored = match project.store(&item.name)?.load().await {
            Ok(stored) => Some(stored),
            Err(StoreError::Missing { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        // A `.env` file that is the store itself is not compared with another one unasked.
        let is_own =
            own_path.is_some() && stored.is_some() && self.adopter.source == Source::Beside;
        let found = if is_own { None } else { self.found(item)? };
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
                Ok(Plan::Store(self.manifest(item, environment, &found)?, from))
            }
            (Some(stored), found) => {
                let revoked = match &found {
                    Some((found, from)) => revoked(item, &stored, found, from)?,
                    None => Vec::new(),
                };
                match own_path.filter(|_| !is_recorded) {
                    Some(path) => Ok(Plan::Record(stored, self.shown(&path))),
                    None => Ok(Plan::Already(revoked)),
                }
            }
        }
    }

    /// The values of `item`, and the place where they are.
    fn found(&self, item: &Item) -> Result<Option<(InUse, String)>, OpsError> {
        let (name, purpose) = (item.name.as_str(), item.purpose);
        if self.adopter.source == Source::Environment {
            let project = self.adopter.project;
            for ending in SIGNING.into_iter().chain(["_NEXT"]) {
                let variable = format!("{name}{ending}");
                if let Some(why) =
                    project.value(&variable)?.and_then(|own| Reference::recognise(&own))
                {
                    return Err(unfit(item, &variable, refusal_of(&why)));
                }
            }
            let found = InUse::read(purpose, name, |variable| project.lookup(variable))?;
            found.as_ref().map_or(Ok(()), |found| check_place(item, found))?;
            return Ok(found.map(|found| (found, "the environment".to_owned())));
        }
        let sets = |listing: &&Listing| {
            SIGNING.iter().any(|ending| listing.get(&format!("{name}{ending}")).is_some())
        };
        let mut listings = self.listings.iter().filter(sets);
        let Some(listing) = listings.next() else { return Ok(None) };
        if let Some(other) = listings.next() {
            let (one, other) = (self.shown(&listing.path), self.shown(&other.path));
            let why = format!("it is set in {one} and in {other}: name one with `--from`");
            return Err(unfit(item, name, why));
        }
        check(item, listing)?;
        let value =
            |variable: &str| Ok(listing.get(variable).map(|own| own.value.as_str().to_owned()));
        let found = InUse::read(purpose, name, value)?;
        found.as_ref().map_or(Ok(()), |found| check_place(item, found))?;
        Ok(found.map(|found| (found, self.shown(&listing.path))))
    }

    fn manifest(
        &self,
        item: &Item,
        environment: &str,
        found: &InUse,
    ) -> Result<Manifest, OpsError> {
        let (name, now) = ((item.name.as_str(), environment), self.adopter.project.now());
        let algorithm = item.algorithm.as_deref();
        Ok(found.manifest(name, item.purpose, item.policy, algorithm, now)?)
    }

    /// The path as the inventory would name it.
    fn shown(&self, path: &Path) -> String {
        let inventory = &self.adopter.project.inventory().path;
        let root = inventory.parent().filter(|own| !own.as_os_str().is_empty());
        let shown = root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path);
        shown.display().to_string()
    }

    fn not_set(&self, item: &Item) -> String {
        let places: Vec<_> = match &self.adopter.source {
            Source::Environment => vec!["the environment".to_owned()],
            Source::Files(paths) => paths.iter().map(|own| self.shown(own)).collect(),
            Source::Beside => {
                in_use::files(self.adopter.project).iter().map(|own| self.shown(own)).collect()
            }
        };
        let project = self.adopter.project;
        let is_in_environment = SIGNING
            .iter()
            .any(|ending| matches!(project.value(&format!("{}{ending}", item.name)), Ok(Some(_))));
        let remedy = match self.adopter.source != Source::Environment && is_in_environment {
            true => "pass `--from-env`: it is set in the environment".to_owned(),
            false => format!(
                "name its file with `--from`, or make a new key (`dualkey generate {} --store`)",
                item.name
            ),
        };
        format!("it is not set in {}: {remedy}", places.join(" or "))
    }

    fn refusal(&self, item: &Item, error: &OpsError) -> Refusal {
        // It is worded already.
        if let OpsError::Adopt { refusals } = error
            && let [own] = &refusals[..]
        {
            return own.clone();
        }
        let source = match error {
            OpsError::Refused(source) | OpsError::Store(StoreError::Refused(source)) => {
                Some(source)
            }
            OpsError::Store(StoreError::Manifest { source, .. }) => Some(&**source),
            _ => None,
        };
        let problem = source.and_then(|source| remedy(item, source));
        let problem = problem.unwrap_or_else(|| error.to_string());
        Refusal { secret: item.name.clone(), problem }
    }
}

/// Fails for a variable of `item` whose value is not the secret itself, or not clear.
fn check(item: &Item, listing: &Listing) -> Result<(), OpsError> {
    for ending in SIGNING.into_iter().chain(["_NEXT"]) {
        let Some(own) = listing.get(&format!("{}{ending}", item.name)) else { continue };
        if let Some(why) = Reference::recognise(&own.value) {
            return Err(unfit(item, &own.name, refusal_of(&why)));
        }
        if let Some(unclear) = &own.problem {
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
fn check_place(item: &Item, found: &InUse) -> Result<(), OpsError> {
    if item.purpose != Purpose::Credential || item.other_databases {
        return Ok(());
    }
    let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).into_owned();
    let mut all = found.all().map(|(variable, secret)| (variable, Zeroizing::new(text(secret))));
    let Some((_, first)) = all.next() else { return Ok(()) };
    match all.find(|(_, own)| is_elsewhere(&first, own)) {
        None => Ok(()),
        Some((variable, _)) => {
            let why = "it is of another server or database, and not an old value: rename it, or set \
                       `other_databases = true`";
            Err(unfit(item, variable, why.to_owned()))
        }
    }
}

/// The kids of revoked keys that a variable still holds; a value that no key of `stored` has is an
/// error.
fn revoked(
    item: &Item,
    stored: &Manifest,
    found: &InUse,
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

fn unfit(item: &Item, variable: &str, why: String) -> OpsError {
    let problem = if variable == item.name { why } else { format!("`{variable}`: {why}") };
    OpsError::Adopt { refusals: vec![Refusal { secret: item.name.clone(), problem }] }
}

/// The problem with a value in use, and what an operator does about it.
fn remedy(item: &Item, error: &Error) -> Option<String> {
    let name = &item.name;
    Some(match error {
        Error::ShortSecret { key, length, minimum, .. } => {
            let setting = Short::of(item.purpose, item.algorithm.as_deref(), *length).setting()?;
            format!(
                "`{key}` has {length} bytes, and the minimum is {minimum}: add `{setting}` to `{name}` \
                 in the inventory, so that it signs until the first rotation"
            )
        }
        Error::Placeholder { key, why, .. } => format!(
            "`{key}` is a placeholder ({why}), which attackers know: replace it (`dualkey generate \
             {name} --print`), restart the service, and adopt again; what it signed has to be refused"
        ),
        Error::WrongLength { key, .. } | Error::Encoding { key, .. }
            if item.purpose == Purpose::Envelope =>
        {
            format!(
                "`{key}` is no AES-256 key (64 hexadecimal digits, or base64 of 32 bytes): write `store = \
                 {{ manual = \"the service\" }}` in the inventory, or pass the 32 bytes that the service \
                 makes of it to `dualkey generate {name} --store --value-from FILE`"
            )
        }
        Error::AsymmetricKey { key, what } => format!(
            "`{key}` is {what}, and no shared secret: take `{name}` out of the inventory, and rotate it \
             with the public key"
        ),
        _ => return None,
    })
}
