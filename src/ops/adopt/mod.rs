//! Takes over the values that a service uses: into the stores of an inventory, in the roles that
//! their variables give them.
//!
//! It guarantees: nothing is written unless every value can be taken; the primary of a secret is the
//! value that signs now, so that what was signed and sealed with it stays valid; no variable is
//! changed or removed; each secret has a record in the audit trail; a run that was interrupted is
//! continued by the next one, and one that finds nothing to do changes nothing.
//!
//! It does not know when a fallback was superseded: its overlap counts from the adoption.

mod in_use;
mod plan;

use std::path::PathBuf;

#[cfg(feature = "cli")]
pub(crate) use self::in_use::check_adopted;
pub use self::in_use::{InUse, in_use};
pub(crate) use self::in_use::{begin_command, check_not_in_use};
use self::plan::Plan;
use super::error::OpsError;
use super::inventory::{Place, Project};
use super::rotate::{By, Operator, begin_trail, begun};
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::Manifest;
use crate::source::disk;

/// The place of the values in use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Source {
    /// The `.env` file beside the inventory, and `.env.ENVIRONMENT`.
    #[default]
    Beside,
    /// These `.env` files.
    Files(Vec<PathBuf>),
    /// The environment of this process.
    Environment,
}

/// Takes over the values in use.
///
/// ```
/// use dualkey::ops::adopt::{Adopter, Taken};
/// use dualkey::ops::inventory::{Inventory, Project};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let (new, old) = ("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU",
/// #     "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki");
/// # let env = format!("JWT_SECRET={new}\nJWT_SECRET_OLD={old}\n");
/// std::fs::write(folder.path().join(".env"), env)?;
/// let inventory = Inventory::parse(Inventory::TEMPLATE, folder.path().join("dualkey.toml"))?;
/// let project = Project::new(inventory);
/// # pollster::block_on(async {
/// let adopted = Adopter::new(&project, "ada@example.com").run(&["JWT_SECRET".to_owned()]).await?;
/// // The audit trail has no key yet, so that it is made first.
/// assert!(matches!(adopted[0].taken, Taken::Created(_)));
/// let Taken::Adopted { manifest, .. } = &adopted[1].taken else { panic!() };
/// assert_eq!(manifest.keys().len(), 2);
///
/// let again = Adopter::new(&project, "ada@example.com").run(&["JWT_SECRET".to_owned()]).await?;
/// assert!(matches!(again[0].taken, Taken::Already(_)));
/// # Ok::<(), dualkey::ops::OpsError>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "it adopts nothing until `run`"]
pub struct Adopter<'a> {
    project: &'a Project,
    actor: &'a str,
    reason: Option<&'a str>,
    source: Source,
    is_dry_run: bool,
}

/// A secret, and what became of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Adopted {
    /// The secret.
    pub secret: String,
    /// The result.
    pub taken: Taken,
}

/// The result of an adoption for one secret. Under a dry run: the result that it would have.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Taken {
    /// The key of the audit trail was made.
    Created(Manifest),
    /// The values in use are in its store.
    Adopted {
        /// The keys, in the roles of their variables.
        manifest: Manifest,
        /// The place of the values.
        from: String,
        /// True if the store is that place: then only the trail has a new record.
        is_in_place: bool,
    },
    /// They were adopted before. The kids are those of revoked keys that a variable still holds.
    Already(Vec<Kid>),
    /// No value of it is set.
    NotSet,
    /// It is rotated by hand, in this place.
    ByHand(String),
}

/// A secret that cannot be adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The secret.
    pub secret: String,
    /// The variable, what is wrong with it, and the remedy.
    pub problem: String,
}

impl<'a> Adopter<'a> {
    /// Takes over the values of the secrets of `project` in the name of `actor`.
    pub fn new(project: &'a Project, actor: &'a str) -> Self {
        Self { project, actor, reason: None, source: Source::Beside, is_dry_run: false }
    }

    /// Sets the reason, for the trail.
    pub fn reason(mut self, reason: &'a str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Sets where the values are. Beside the inventory unless set.
    pub fn source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// Finds out what would be done, and changes and records nothing.
    pub fn dry_run(mut self) -> Self {
        self.is_dry_run = true;
        self
    }

    /// Adopts the secrets `names`; all of the environment, if none is named. The key of the audit
    /// trail is made first, if there is none.
    ///
    /// # Errors
    /// [`OpsError::Adopt`] with every secret that cannot be adopted: then nothing was changed; and
    /// what keeps a store or the trail from being written: then the next run continues.
    pub async fn run(&self, names: &[String]) -> Result<Vec<Adopted>, OpsError> {
        let plans = plan::plans(self, names).await?;
        let mut all = Vec::new();
        for (secret, plan) in plans {
            let taken = self.take(&secret, plan).await?;
            all.push(Adopted { secret, taken });
        }
        Ok(all)
    }

    async fn take(&self, name: &str, plan: Plan) -> Result<Taken, OpsError> {
        Ok(match plan {
            Plan::Trail(manifest, from) => {
                let mut by = By::new(self.actor);
                let reason = from.map(|from| self.reason_with_kids(&from, &manifest));
                if let Some(reason) = reason.as_deref().or(self.reason) {
                    by = by.reason(reason);
                }
                if self.is_dry_run {
                    by = by.dry_run();
                } else {
                    self.make_folder(name, &manifest)?;
                }
                begin_trail(self.project, name, by, &manifest).await?;
                Taken::Created(manifest)
            }
            Plan::Store(manifest, from) => {
                if !self.is_dry_run {
                    self.make_folder(name, &manifest)?;
                    let operator = self.operator(name, &from, &manifest).await?;
                    operator.store_first(&manifest).await?;
                }
                Taken::Adopted { manifest, from, is_in_place: false }
            }
            Plan::Record(manifest, from) => {
                if !self.is_dry_run {
                    let operator = self.operator(name, &from, &manifest).await?;
                    operator.record_first(&manifest).await?;
                }
                Taken::Adopted { manifest, from, is_in_place: true }
            }
            Plan::Already(revoked) => {
                if !self.is_dry_run {
                    self.settle(name).await?;
                }
                Taken::Already(revoked)
            }
            Plan::NotSet => Taken::NotSet,
            Plan::ByHand(place) => Taken::ByHand(place),
        })
    }

    async fn operator(
        &self,
        name: &str,
        from: &str,
        manifest: &Manifest,
    ) -> Result<Operator, OpsError> {
        let operator = Operator::of(self.project, name, self.actor).await?;
        Ok(operator.reason(self.reason_with_kids(from, manifest)))
    }

    /// The reason in the record: where the values were, and which keys there are but the primary.
    fn reason_with_kids(&self, from: &str, manifest: &Manifest) -> String {
        let now = self.project.now();
        let mut text = format!("adopted from {from}");
        for (role, word) in [(Role::Fallback, "fallback"), (Role::Staged, "staged")] {
            let is_it = |kid: &Kid| manifest.state(kid, now) == Some(KeyState::Active(role));
            for kid in manifest.keys().iter().map(|key| key.kid()).filter(is_it) {
                text += &format!(", {word} {kid}");
            }
        }
        match self.reason {
            Some(reason) => format!("{text}: {reason}"),
            None => text,
        }
    }

    /// Records the outcome of a step that was started and left.
    async fn settle(&self, name: &str) -> Result<(), OpsError> {
        if name == self.project.inventory().audit.secret {
            return Ok(());
        }
        let trail = self.project.trail().await?;
        if begun(&*trail, name, self.project.environment_name()).await?.is_some() {
            Operator::of(self.project, name, self.actor).await?.settle().await?;
        }
        Ok(())
    }

    fn make_folder(&self, name: &str, manifest: &Manifest) -> Result<(), OpsError> {
        let (inventory, environment) = (self.project.inventory(), manifest.environment());
        if let Place::File { path, .. } = &inventory.secret(name)?.store {
            let path = inventory.path(path, environment);
            disk::make_folder(&disk::folder(&path)).map_err(OpsError::io(path))?;
        }
        Ok(())
    }
}
