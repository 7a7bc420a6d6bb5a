//! The operator of one secret, and the options with which it takes steps.

use std::fmt;
use std::sync::Arc;

use super::context::RotationContext;
use super::first_manifest::{record_first, store_first};
use crate::clock::Clock;
use crate::evidence::Report;
use crate::lifecycle::Policy;
use crate::manifest::{Manifest, NewEntry};
use crate::ops::audit::Trail;
use crate::ops::error::OpsError;
use crate::ops::inventory::Project;
use crate::purpose::Purpose;
use crate::source::KeyStore;

/// Takes the steps of one secret, and tells each to an audit trail.
///
/// A step is told twice: before anything changes
/// ([`Outcome::Started`](crate::ops::audit::Outcome::Started)), so that none goes through
/// unaudited where the trail cannot be written; and how it went. Who is killed in between
/// leaves the second to who comes next: [`settle`](Self::settle), with which every step begins.
/// A lock of the trail keeps two operators from one secret; who goes past it, at the store
/// itself, is met by the revision.
///
/// ```
/// use dualkey::manifest::NewEntry;
/// use dualkey::ops::audit::{AuditKey, FileTrail, Query, Trail};
/// use dualkey::ops::rotate::Operator;
/// use dualkey::source::FileStore;
/// use dualkey::{KeyRing, Policy, Purpose, Secret};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
/// # pollster::block_on(async {
/// let signer = KeyRing::<AuditKey>::builder().primary(Secret::from(secret)).build()?;
/// let trail = FileTrail::new(folder.path().join("audit.log"), signer);
/// let store = FileStore::new(folder.path().join("jwt.json"));
/// let operator = Operator::new(store, trail.clone(), "ada@example.com").reason("the quarter");
///
/// let first = NewEntry::generate(Purpose::Jwt)?;
/// operator.create("JWT_SECRET", Purpose::Jwt, "production", Policy::default(), first).await?;
/// let staged = operator.stage(NewEntry::generate(Purpose::Jwt)?).await?;
/// assert_eq!(staged.kid, operator.load().await?.keys()[1].kid());
///
/// // No instance has said that it holds the key: it may not sign yet.
/// assert!(operator.promote(None).await.is_err());
/// let recorded = trail.find(&Query::new())?;
/// let recorded: Vec<_> = recorded.iter().map(|entry| (entry.record.action.as_str(), entry.record.outcome.as_str())).collect();
/// assert_eq!(recorded, [("ROTATED", "FAILED"), ("STAGED", "SUCCESS"), ("CREATED", "SUCCESS")]);
/// # Ok::<(), dualkey::ops::OpsError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Operator {
    pub(super) context: RotationContext,
}

impl Operator {
    /// Takes steps at `store` in the name of `actor`, and tells them to `trail`.
    #[must_use]
    pub fn new(store: impl KeyStore, trail: impl Trail, actor: &str) -> Self {
        Self { context: RotationContext::new(store, trail, actor) }
    }

    /// Takes steps of the secret `name` of `project` in the name of `actor`, by its clock.
    ///
    /// # Errors
    /// As for [`Project::store`] and [`Project::trail`].
    pub async fn for_project(project: &Project, name: &str, actor: &str) -> Result<Self, OpsError> {
        let mut operator = Self::new(project.store(name)?, project.trail().await?, actor);
        let item = project.inventory().secret(name)?.clone();
        operator.context.item = Some((item, project.environment_name().to_owned()));
        Ok(match project.given_clock() {
            Some(clock) => operator.clock(clock),
            None => operator,
        })
    }

    /// Why the steps are taken, in the operator's words, for the trail and for a revocation. A blank
    /// reason is none.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.context.reason = Some(reason.into()).filter(|reason| !reason.trim().is_empty());
        self
    }

    /// Where the time comes from, which the records then say. The system's clock unless set.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        (self.context.clock, self.context.is_clock_given) = (Arc::new(clock), true);
        self
    }

    /// Takes no step: says what each would do, and changes and records nothing.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.context.is_dry_run = true;
        self
    }

    /// Goes over a refusal of [`create`](Self::create), [`promote`](Self::promote),
    /// [`rollback`](Self::rollback), [`retire`](Self::retire), [`restage`](Self::restage) and
    /// [`destroy`](Self::destroy). Needs a
    /// [`reason`](Self::reason), which the key keeps.
    #[must_use]
    pub fn force(mut self) -> Self {
        self.context.is_forced = true;
        self
    }

    /// Says that every instance holds the staged key, where none reports what it holds: goes over
    /// that silence in [`promote`](Self::promote), and over nothing that an instance says. It is
    /// the [`reason`](Self::reason) of the step, unless another is given.
    #[must_use]
    pub fn assume_deployed(mut self) -> Self {
        self.context.is_deployed = true;
        self.context.reason.get_or_insert_with(|| "deployed everywhere".to_owned());
        self
    }

    /// Trusts this clock, whatever the instances report: one with a wrong clock may
    /// have left a report from the future, or all instances are gone.
    #[must_use]
    pub fn trust_clock(mut self) -> Self {
        self.context.trusts_clock = true;
        self
    }

    /// Whether it takes no step.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.context.is_dry_run
    }

    /// Whether it goes over refusals.
    pub(crate) fn is_forced(&self) -> bool {
        self.context.is_forced
    }

    /// The manifest as it is stored now.
    ///
    /// # Errors
    /// [`OpsError::Store`].
    pub async fn load(&self) -> Result<Manifest, OpsError> {
        self.context.load().await
    }

    /// What the instances say; nothing, where the store keeps no reports.
    ///
    /// # Errors
    /// [`OpsError::Store`].
    pub async fn reports(&self) -> Result<Vec<Report>, OpsError> {
        self.context.reports().await
    }

    /// Makes the first manifest of a ring, where there is none.
    ///
    /// # Errors
    /// As for [`Manifest::new`]; [`StoreError::Conflict`](crate::source::StoreError::Conflict) if there is one,
    /// or [`OpsError::HasKeys`] of a secret of an inventory; [`OpsError::WasThere`] if there was one, by
    /// the trail, unless [forced](Self::force); [`OpsError::Audit`].
    pub async fn create(
        &self,
        ring: &str,
        purpose: Purpose,
        environment: &str,
        policy: Policy,
        first: NewEntry,
    ) -> Result<Manifest, OpsError> {
        if self.context.is_forced && self.context.reason.is_none() {
            return Err(OpsError::NoReason { what: "to make a first key again" });
        }
        let now = self.context.now();
        let manifest = Manifest::new(ring, purpose, environment, policy, first, now)
            .map_err(|error| self.context.explain(error))?;
        self.store_first(&manifest).await.map_err(|error| self.context.explain(error))?;
        Ok(manifest)
    }

    /// Stores `manifest`, the first of a ring, where there is none.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub(crate) async fn store_first(&self, manifest: &Manifest) -> Result<(), OpsError> {
        store_first(&self.context, manifest).await
    }

    /// Records `manifest`, which its store holds already, as the first of a ring that the trail
    /// does not know.
    ///
    /// # Errors
    /// [`OpsError::Audit`]; [`OpsError::Store`].
    pub(crate) async fn record_first(&self, manifest: &Manifest) -> Result<(), OpsError> {
        record_first(&self.context, manifest).await
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator")
            .field("store", &self.context.store)
            .field("actor", &self.context.actor)
            .finish_non_exhaustive()
    }
}
