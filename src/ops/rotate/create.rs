//! The first key of a secret.

use super::operator::Operator;
use crate::manifest::{Manifest, NewEntry};
use crate::ops::audit::{Action, Query, Record, Sink, Trail};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, Project};
use crate::source::disk;

/// In whose name a first key is made, and why.
///
/// ```
/// use dualkey::ops::rotate::By;
///
/// let by = By::new("ada@example.com").reason("the service is new");
/// # let _ = by;
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "it is for `create`"]
pub struct By<'a> {
    actor: &'a str,
    reason: Option<&'a str>,
    is_forced: bool,
    is_clock_given: bool,
}

impl<'a> By<'a> {
    /// In the name of `actor`.
    pub fn new(actor: &'a str) -> Self {
        Self { actor, reason: None, is_forced: false, is_clock_given: false }
    }

    /// Why, for the trail.
    pub fn reason(mut self, reason: &'a str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Although there was one before, by the trail: what that signed is refused, what it sealed
    /// stays closed. Needs a [`reason`](Self::reason).
    pub fn force(mut self) -> Self {
        self.is_forced = true;
        self
    }

    /// Has its record say that the clock of the project is not the system's.
    pub fn clock_given(mut self) -> Self {
        self.is_clock_given = true;
        self
    }
}

/// Makes the first key of the secret `name`, where its store holds none. The key of the audit
/// itself is told to the trail that it begins.
///
/// # Errors
/// As for [`Operator::create`]. Of the key of the audit [`OpsError::WasThere`] is not gone over:
/// without the key that signed it, a trail is put aside by hand.
pub async fn create(
    project: &Project,
    name: &str,
    by: By<'_>,
    first: NewEntry,
) -> Result<Manifest, OpsError> {
    let inventory = project.inventory();
    let item = inventory.secret(name)?;
    let (store, environment) = (project.store(name)?, project.environment_name());
    if let Place::File { path, .. } = &item.store {
        let path = inventory.path(path, environment);
        disk::make_folder(&disk::folder(&path)).map_err(OpsError::io(path))?;
    }
    if name != inventory.audit.secret {
        let mut operator = Operator::new(store, project.trail().await?, by.actor);
        if let Some(reason) = by.reason {
            operator = operator.reason(reason);
        }
        if by.is_forced {
            operator = operator.force();
        }
        if by.is_clock_given {
            operator = operator.clock(project.shared_clock());
        }
        return operator.create(name, item.purpose, environment, item.policy, first).await;
    }
    let now = project.now();
    let manifest = Manifest::new(name, item.purpose, environment, item.policy, first, now)?;
    let trail = project.trail_under(&manifest)?;
    if !trail.query(&Query::new().with_begun().take(1)).await?.is_empty() {
        return Err(OpsError::WasThere {
            secret: name.to_owned(),
            environment: environment.to_owned(),
            mend: "bring it back; without it nobody can say whether the records are whole. Else \
                   put the trail aside by hand, and begin a new one",
        });
    }
    store.compare_and_swap(0, &manifest).await?;
    let record = Record::new(now, name, Action::CREATED, by.actor, environment);
    let mut record = record.kid(manifest.primary(now));
    (record.clock_given, record.reason) = (by.is_clock_given, by.reason.map(str::to_owned));
    record.fingerprint = Some(manifest.fingerprint());
    record.revision = Some(manifest.revision());
    trail.append(&[record]).await.map_err(|source| OpsError::Unsettled { source })?;
    Ok(manifest)
}
