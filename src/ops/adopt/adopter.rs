//! The adoption: first a plan for every secret, then its steps.

use super::outcome::{Adopted, Taken};
use super::plan::{self, Plan};
use super::source::Source;
use super::values::Values;
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::Manifest;
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, Project};
use crate::ops::rotate::{CreateOptions, Operator, begin_trail, unfinished_step};
use crate::source::disk;

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
        let (inventory, environment) = (self.project.inventory(), self.project.environment_name());
        for name in names {
            inventory.secret(name)?.check_environment(environment)?;
        }
        let values = Values::read(self.project, &self.source)?;
        let plans = plan::plan_all(&values, self.actor, names).await?;
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
                let mut by = CreateOptions::new(self.actor);
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
        let operator = Operator::for_project(self.project, name, self.actor).await?;
        Ok(operator.reason(self.reason_with_kids(from, manifest)))
    }

    /// The reason in the record: where the values were, and which keys there are but the primary.
    fn reason_with_kids(&self, from: &str, manifest: &Manifest) -> String {
        let now = self.project.now();
        let mut text = format!("adopted from {from}");
        for (role, word) in [(Role::Fallback, "fallback"), (Role::Staged, "staged")] {
            let is_it = |kid: &Kid| manifest.state(kid, now) == Some(KeyState::Live(role));
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
        if unfinished_step(&*trail, name, self.project.environment_name()).await?.is_some() {
            Operator::for_project(self.project, name, self.actor).await?.settle().await?;
        }
        Ok(())
    }

    fn make_folder(&self, name: &str, manifest: &Manifest) -> Result<(), OpsError> {
        let (inventory, environment) = (self.project.inventory(), manifest.environment());
        if let Place::File { path, .. } = &inventory.secret(name)?.store {
            let path = inventory.path(path, environment);
            disk::make_folder(&disk::folder(&path)).map_err(OpsError::for_path(path))?;
        }
        Ok(())
    }
}
