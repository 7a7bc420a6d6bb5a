//! The first key of a secret.

use super::facts::check_missing;
use super::operator::Operator;
use crate::manifest::{Manifest, NewEntry};
use crate::ops::adopt::check_not_in_use;
use crate::ops::audit::{Action, Sink, Trail};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, Project};
use crate::source::disk;

/// In whose name a first key is made, and why.
///
/// ```
/// use dualkey::ops::rotate::CreateOptions;
///
/// let by = CreateOptions::new("ada@example.com").reason("the service is new");
/// # let _ = by;
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "it is for `create`"]
pub struct CreateOptions<'a> {
    actor: &'a str,
    reason: Option<&'a str>,
    is_forced: bool,
    is_dry_run: bool,
}

impl<'a> CreateOptions<'a> {
    /// In the name of `actor`.
    pub fn new(actor: &'a str) -> Self {
        Self { actor, reason: None, is_forced: false, is_dry_run: false }
    }

    /// Why, for the trail. A blank reason is none.
    pub fn reason(mut self, reason: &'a str) -> Self {
        self.reason = Some(reason).filter(|reason| !reason.trim().is_empty());
        self
    }

    /// Creates it even though there was one before, by the trail, or a value of it is in use: what
    /// that signed is refused, what it sealed stays closed. Needs a [`reason`](Self::reason).
    pub fn force(mut self) -> Self {
        self.is_forced = true;
        self
    }

    /// Makes none: finds out whether it would be refused, and changes and records nothing.
    pub fn dry_run(mut self) -> Self {
        self.is_dry_run = true;
        self
    }
}

/// Makes the first key of the secret `name`, where its store holds none. The key of the audit
/// itself is told to the trail that it begins.
///
/// # Errors
/// As for [`Operator::create`]; [`OpsError::HasKeys`]; [`OpsError::InUse`] if a value of it is in use, which is not that of
/// `first`, unless [forced](CreateOptions::force). Of the key of the audit [`OpsError::WasThere`] is not gone over:
/// without the key that signed it, a trail is put aside by hand.
pub async fn create(
    project: &Project,
    name: &str,
    by: CreateOptions<'_>,
    first: NewEntry,
) -> Result<Manifest, OpsError> {
    let inventory = project.inventory();
    let item = inventory.secret(name)?;
    let (store, environment) = (project.store(name)?, project.environment_name());
    let now = project.now();
    let manifest = Manifest::new(name, item.purpose, environment, item.policy, first.clone(), now)
        .map_err(|error| item.explain(error))?;
    if !by.is_forced {
        check_not_in_use(project, item, &manifest)?;
    }
    check_missing(&*store, name, environment).await.map_err(|error| item.explain(error))?;
    if let Place::File { path, .. } = &item.store
        && !by.is_dry_run
    {
        let path = inventory.path(path, environment);
        disk::make_folder(&disk::folder(&path)).map_err(OpsError::for_path(path))?;
    }
    if name != inventory.audit.secret {
        let mut operator = match Operator::for_project(project, name, by.actor).await {
            // A dry run of the first keys has made none of them, and no trail.
            Err(OpsError::NoAuditKey { .. }) if by.is_dry_run => return Ok(manifest),
            operator => operator?,
        };
        if let Some(reason) = by.reason {
            operator = operator.reason(reason);
        }
        if by.is_forced {
            operator = operator.force();
        }
        if by.is_dry_run {
            operator = operator.dry_run();
        }
        return operator.create(name, item.purpose, environment, item.policy, first).await;
    }
    begin_trail(project, name, by, &manifest).await?;
    Ok(manifest)
}

/// Stores `manifest`, the first of the key of the audit trail, and begins the trail with the record
/// of it.
///
/// # Errors
/// As for [`create`].
pub(crate) async fn begin_trail(
    project: &Project,
    name: &str,
    by: CreateOptions<'_>,
    manifest: &Manifest,
) -> Result<(), OpsError> {
    let trail = project.trail_under(manifest)?;
    if !trail.is_empty().await? {
        return Err(OpsError::WasThere {
            secret: name.to_owned(),
            environment: manifest.environment().to_owned(),
            remedy: "bring it back; without it the records cannot be checked. Else \
                   put the trail aside by hand, and begin a new one",
        });
    }
    if by.is_dry_run {
        return Ok(());
    }
    let item = project.inventory().secret(name)?;
    let store = project.store_in(item, manifest.environment())?;
    store.compare_and_swap(0, manifest).await.map_err(|error| item.explain(error))?;
    let kid = manifest.primary(project.now());
    let mut record = project.record(name, Action::CREATED, by.actor).kid(kid);
    record.environment = manifest.environment().to_owned();
    record.reason = by.reason.map(str::to_owned);
    record.fingerprint = Some(manifest.fingerprint());
    record.revision = Some(manifest.revision());
    trail.append(&[record]).await.map_err(|source| OpsError::Unsettled { source })
}
