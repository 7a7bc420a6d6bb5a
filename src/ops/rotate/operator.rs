//! Steps, each told to the trail before it is taken and after it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::taking::{check_missing, check_new, lock_name, reports, to_retire, with_role};
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::evidence::Report;
use crate::kid::Kid;
use crate::lifecycle::Role;
use crate::lifecycle::{KeyState, Policy};
use crate::manifest::{Change, Manifest, NewEntry};
use crate::ops::address::kids_apart;
use crate::ops::audit::{self, Outcome, Trail};
use crate::ops::error::OpsError;
use crate::ops::explain::is_silence;
use crate::ops::inventory::{Item, Project};
use crate::purpose::Purpose;
use crate::source::{KeyStore, StoreError};

/// Takes the steps of one secret, and tells each to an audit trail.
///
/// A step is told twice: before anything changes ([`Outcome::Begun`]), so that none goes through
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
/// let told = trail.find(&Query::new())?;
/// let told: Vec<_> = told.iter().map(|own| (own.record.action.as_str(), own.record.outcome.as_str())).collect();
/// assert_eq!(told, [("ROTATED", "FAILED"), ("STAGED", "SUCCESS"), ("CREATED", "SUCCESS")]);
/// # Ok::<(), dualkey::ops::OpsError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Operator {
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) trail: Arc<dyn Trail>,
    pub(super) actor: String,
    pub(super) reason: Option<String>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) is_clock_given: bool,
    pub(super) is_rehearsal: bool,
    pub(super) forces: bool,
    pub(super) is_deployed: bool,
    pub(super) trusts_clock: bool,
    /// The secret of the inventory whose rules new keys keep, with its environment.
    pub(super) item: Option<(Item, String)>,
}

impl Operator {
    /// Takes steps at `store` in the name of `actor`, and tells them to `trail`.
    #[must_use]
    pub fn new(store: impl KeyStore, trail: impl Trail, actor: &str) -> Self {
        Self {
            store: Arc::new(store),
            trail: Arc::new(trail),
            actor: actor.to_owned(),
            reason: None,
            clock: Arc::new(SystemClock),
            is_clock_given: false,
            is_rehearsal: false,
            forces: false,
            is_deployed: false,
            trusts_clock: false,
            item: None,
        }
    }

    /// Takes steps of the secret `name` of `project` in the name of `actor`, by its clock.
    ///
    /// # Errors
    /// As for [`Project::store`] and [`Project::trail`].
    pub async fn of(project: &Project, name: &str, actor: &str) -> Result<Self, OpsError> {
        let mut own = Self::new(project.store(name)?, project.trail().await?, actor);
        let item = project.inventory().secret(name)?.clone();
        own.item = Some((item, project.environment_name().to_owned()));
        Ok(match project.given_clock() {
            Some(clock) => own.clock(clock),
            None => own,
        })
    }

    /// Why the steps are taken, in the operator's words, for the trail and for a revocation.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Where the time comes from, which the records then say. The system's clock unless set.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        (self.clock, self.is_clock_given) = (Arc::new(clock), true);
        self
    }

    /// Takes no step: says what each would do, and changes and records nothing.
    #[must_use]
    pub fn dry_run(mut self) -> Self {
        self.is_rehearsal = true;
        self
    }

    /// Goes over a refusal of [`create`](Self::create), [`promote`](Self::promote),
    /// [`rollback`](Self::rollback), [`retire`](Self::retire), [`restage`](Self::restage) and
    /// [`destroy`](Self::destroy). Needs a
    /// [`reason`](Self::reason), which the key keeps.
    #[must_use]
    pub fn force(mut self) -> Self {
        self.forces = true;
        self
    }

    /// Says that every instance holds the staged key, where none reports what it holds: goes over
    /// that silence in [`promote`](Self::promote), and over nothing that an instance says. It is
    /// the [`reason`](Self::reason) of the step, unless another is given.
    #[must_use]
    pub fn deployed(mut self) -> Self {
        self.is_deployed = true;
        self.reason.get_or_insert_with(|| "deployed everywhere".to_owned());
        self
    }

    /// Trusts this clock, whatever the instances report: one with a wrong clock may
    /// have left a report from the future, or all instances are gone.
    #[must_use]
    pub fn trust_clock(mut self) -> Self {
        self.trusts_clock = true;
        self
    }

    /// Whether it takes no step.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.is_rehearsal
    }

    /// Whether it goes over refusals.
    pub(crate) fn is_forced(&self) -> bool {
        self.forces
    }

    /// The manifest as it is stored now.
    ///
    /// # Errors
    /// [`OpsError::Store`].
    pub async fn load(&self) -> Result<Manifest, OpsError> {
        match (self.store.load().await, &self.item) {
            (Err(error @ StoreError::Missing { .. }), Some((item, environment))) => {
                // An empty place of a secret that had keys needs another remedy.
                check_new(&*self.trail, &item.name, environment).await?;
                Err(item.explain(error))
            }
            (Err(error), Some((item, _))) => Err(item.explain(error)),
            (loaded, _) => Ok(loaded?),
        }
    }

    /// What the instances say; nothing, where the store keeps no reports.
    ///
    /// # Errors
    /// [`OpsError::Store`].
    pub async fn reports(&self) -> Result<Vec<Report>, OpsError> {
        reports(&*self.store).await
    }

    /// Makes the first manifest of a ring, where there is none.
    ///
    /// # Errors
    /// As for [`Manifest::new`]; [`StoreError::Conflict`] if there is one, or
    /// [`OpsError::HasKeys`] of a secret of an inventory; [`OpsError::WasThere`] if there was one, by the trail, unless [forced](Self::force);
    /// [`OpsError::Audit`].
    pub async fn create(
        &self,
        ring: &str,
        purpose: Purpose,
        environment: &str,
        policy: Policy,
        first: NewEntry,
    ) -> Result<Manifest, OpsError> {
        if self.forces && self.reason.is_none() {
            return Err(OpsError::NoReason { what: "to make a first key again" });
        }
        let now = self.clock.now();
        let manifest = Manifest::new(ring, purpose, environment, policy, first, now)
            .map_err(|error| self.explain(error))?;
        self.store_first(&manifest).await.map_err(|error| self.explain(error))?;
        Ok(manifest)
    }

    /// Stores `manifest`, the first of a ring, where there is none.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub(crate) async fn store_first(&self, manifest: &Manifest) -> Result<(), OpsError> {
        let (ring, environment) = (manifest.ring(), manifest.environment());
        let record = self.first_record(manifest);
        let _guard = self.guard(ring, environment).await?;
        check_missing(&*self.store, ring, environment).await?;
        if !self.forces {
            check_new(&*self.trail, ring, environment).await?;
        }
        if self.is_rehearsal {
            return Ok(());
        }
        self.tell(&record, Outcome::Begun).await?;
        let stored = self.store.compare_and_swap(0, manifest).await;
        self.conclude(&record, manifest, stored).await
    }

    /// Records `manifest`, which its store holds already, as the first of a ring that the trail
    /// does not know.
    ///
    /// # Errors
    /// [`OpsError::Audit`]; [`OpsError::Store`].
    pub(crate) async fn record_first(&self, manifest: &Manifest) -> Result<(), OpsError> {
        let (ring, environment) = (manifest.ring(), manifest.environment());
        let _guard = self.guard(ring, environment).await?;
        match check_new(&*self.trail, ring, environment).await {
            Ok(()) if self.is_rehearsal => Ok(()),
            Ok(()) => self.tell(&self.first_record(manifest), Outcome::Success).await,
            // Another operator was faster.
            Err(OpsError::WasThere { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn first_record(&self, manifest: &Manifest) -> audit::Record {
        let now = self.clock.now();
        let kid = manifest.primary(now);
        let mut record = self.record(manifest, audit::Action::CREATED, now).kid(kid);
        record.fingerprint = Some(manifest.fingerprint());
        record.revision = Some(manifest.revision());
        record.to = Some(KeyState::Active(Role::Primary).as_str().to_owned());
        record
    }

    /// Adds a key: [`Manifest::stage`].
    ///
    /// # Errors
    /// As there; [`OpsError::Store`], [`OpsError::Audit`].
    pub async fn stage(&self, key: impl Into<NewEntry>) -> Result<Change, OpsError> {
        let key = key.into();
        self.step(audit::Action::STAGED, &mut |own, _, now| own.stage(key.clone(), now)).await
    }

    /// The same, unless a key is staged already: so that of two that follow one calendar one
    /// stages. `None`, if it was the other.
    ///
    /// # Errors
    /// As for [`stage`](Self::stage).
    pub async fn stage_if_none(
        &self,
        key: impl Into<NewEntry>,
    ) -> Result<Option<Change>, OpsError> {
        let key = key.into();
        let mut is_other = false;
        let step = self
            .step(audit::Action::STAGED, &mut |own, _, now| {
                is_other = !with_role(own, Role::Staged, now).is_empty();
                match is_other {
                    true => Err(Error::manifest("a key is staged already")),
                    false => own.stage(key.clone(), now),
                }
            })
            .await;
        match step {
            Err(_) if is_other => Ok(None),
            step => step.map(Some),
        }
    }

    /// Makes the staged key the primary, or the key `kid`: [`Manifest::promote`], by the
    /// reports of the instances.
    ///
    /// # Errors
    /// As there; [`OpsError::NoKey`] if none is named, and not exactly one is staged;
    /// [`OpsError::NoReports`] if no instance of a secret of an inventory reports.
    pub async fn promote(&self, kid: Option<Kid>) -> Result<Change, OpsError> {
        let given = kid;
        let kid = self.named(kid, Role::Staged, "staged key").await?;
        let promoted = self.promote_key(kid).await;
        match (promoted, &self.item) {
            (Err(OpsError::Refused(Error::NotAgreed { obstacles, .. })), Some((item, _)))
                if is_silence(&obstacles) =>
            {
                let option = given.map_or_else(String::new, |kid| format!(" --kid {kid}"));
                let command = format!("dualkey promote {} --assume-deployed{option}", item.name);
                Err(OpsError::NoReports { kid, command })
            }
            (promoted, _) => promoted,
        }
    }

    async fn promote_key(&self, kid: Kid) -> Result<Change, OpsError> {
        self.forced("to go over a refusal", audit::Action::ROTATED, |own, reports, now, reason| {
            match (reason, &self.reason) {
                (Some(reason), _) => own.force(reason).promote(&kid, now),
                (None, Some(reason)) if self.is_deployed => {
                    own.assume_deployed(reason).promote(&kid, reports, now)
                }
                (None, _) => own.promote(&kid, reports, now),
            }
        })
        .await
    }

    /// Makes the key before the primary again: [`Manifest::rollback`].
    ///
    /// # Errors
    /// As there.
    pub async fn rollback(&self) -> Result<Change, OpsError> {
        self.forced(
            "to force a refused step",
            audit::Action::ROLLED_BACK,
            |own, reports, now, reason| match reason {
                Some(reason) => own.force(reason).rollback(now),
                None => own.rollback(reports, now),
            },
        )
        .await
    }

    /// Gives the fallback its end, or the key `kid`: [`Manifest::retire`], by the verdict.
    ///
    /// # Errors
    /// As there; [`OpsError::NoKey`] if none is named, and there is not exactly one.
    pub async fn retire(&self, kid: Option<Kid>) -> Result<Change, OpsError> {
        let kid = match kid {
            Some(kid) => kid,
            None => self.old().await?,
        };
        self.forced("to go over a verdict", audit::Action::RETIRED, |own, reports, now, reason| {
            match reason {
                Some(reason) => own.force(reason).retire(&kid, now),
                None => own.retire(&kid, reports, now),
            }
        })
        .await
    }

    /// Makes the expired key `kid` staged again: [`Manifest::restage`].
    ///
    /// # Errors
    /// As there; keys of tokens and sessions need [`force`](Self::force).
    pub async fn restage(&self, kid: &Kid) -> Result<Change, OpsError> {
        self.forced("to restage", audit::Action::RESTAGED, |own, _, now, reason| match reason {
            Some(reason) => own.force(reason).restage(kid, now),
            None => own.restage(kid, now),
        })
        .await
    }

    /// Corrects a manifest that was written with a wrong clock: [`Manifest::repair_clock`].
    ///
    /// # Errors
    /// As there.
    pub async fn repair_clock(&self) -> Result<Change, OpsError> {
        self.step(audit::Action::CLOCK_REPAIRED, &mut |own, reports, now| {
            own.repair_clock(reports, now)
        })
        .await
    }

    /// Checks that this clock agrees with the last change and the reports:
    /// [`Manifest::check_clock`].
    ///
    /// # Errors
    /// As there; [`OpsError::Store`].
    pub async fn check_clock(&self) -> Result<(), OpsError> {
        let (manifest, reports) = (self.load().await?, self.reports().await?);
        Ok(manifest.check_clock(&reports, self.clock.now())?)
    }

    /// Declares the key `kid` compromised: [`Manifest::revoke`].
    ///
    /// # Errors
    /// As there; [`OpsError::NoReason`].
    pub async fn revoke(&self, kid: &Kid) -> Result<Change, OpsError> {
        let reason = self.reason.clone().ok_or(OpsError::NoReason { what: "a revocation" })?;
        self.step(audit::Action::REVOKED, &mut |own, _, now| own.revoke(kid, &reason, now)).await
    }

    /// Revokes the primary, or the key `kid`, and makes another the primary at once:
    /// [`Manifest::emergency_rotate`].
    ///
    /// # Errors
    /// As there; [`OpsError::NoReason`].
    pub async fn emergency(
        &self,
        kid: Option<Kid>,
        replacement: impl Into<NewEntry>,
    ) -> Result<Change, OpsError> {
        let reason = self.reason.clone().ok_or(OpsError::NoReason { what: "an emergency" })?;
        let replacement = replacement.into();
        // As it is when the operator says so: of two at once, the second must not revoke what
        // the first has just made.
        let kid = match kid {
            Some(kid) => kid,
            None => self.load().await?.primary(self.clock.now()),
        };
        self.step(audit::Action::EMERGENCY_ROTATED, &mut |own, _, now| {
            own.emergency_rotate(&kid, &reason, replacement.clone(), now)
        })
        .await
    }

    /// Wipes the secret of the key `kid`: [`Manifest::destroy`].
    ///
    /// # Errors
    /// As there.
    pub async fn destroy(&self, kid: &Kid) -> Result<Change, OpsError> {
        self.forced(
            "to go over a verdict",
            audit::Action::DESTROYED,
            |own, reports, now, reason| match reason {
                Some(reason) => own.force(reason).destroy(kid, now),
                None => own.destroy(kid, reports, now),
            },
        )
        .await
    }

    /// Sets what the keys live by: [`Manifest::set_policy`]. False, if it is that already.
    ///
    /// # Errors
    /// As there.
    pub async fn set_policy(&self, policy: Policy) -> Result<bool, OpsError> {
        let manifest = self.load().await?;
        if *manifest.policy() == policy {
            return Ok(false);
        }
        let kid = manifest.primary(self.clock.now());
        self.step(audit::Action::POLICY_SET, &mut |own, _, now| {
            own.set_policy(policy, now).map(|next| Change::of_policy(own, next, kid, now))
        })
        .await?;
        Ok(true)
    }

    /// Says of a step that was begun by somebody who is gone whether it was taken. Every step
    /// begins with it.
    ///
    /// # Errors
    /// [`OpsError::Store`], [`OpsError::Audit`].
    pub async fn settle(&self) -> Result<Option<Outcome>, OpsError> {
        let manifest = self.load().await?;
        let (ring, environment) = (manifest.ring(), manifest.environment());
        let _guard = self.trail.lock(&lock_name(environment, ring)).await?;
        self.settle_held(ring, environment).await
    }

    /// The key `kid`, or the one that there is of `role`.
    async fn named(
        &self,
        kid: Option<Kid>,
        role: Role,
        what: &'static str,
    ) -> Result<Kid, OpsError> {
        if let Some(kid) = kid {
            return Ok(kid);
        }
        let manifest = self.load().await?;
        let found = with_role(&manifest, role, self.clock.now());
        match found[..] {
            [kid] => Ok(kid),
            _ => Err(OpsError::NoKey {
                secret: manifest.ring().to_owned(),
                what,
                kids: found.iter().map(Kid::to_string).collect(),
            }),
        }
    }

    /// The one key that is to be retired: a fallback, or one whose end has come by itself and
    /// was not settled.
    async fn old(&self) -> Result<Kid, OpsError> {
        let (manifest, now) = (self.load().await?, self.clock.now());
        // What belongs to something else is retired by its kid alone.
        let apart = self.item.as_ref().map(|(item, _)| kids_apart(item, &manifest, now));
        let apart = apart.unwrap_or_default();
        let old: Vec<_> =
            to_retire(&manifest, now).into_iter().filter(|kid| !apart.contains(kid)).collect();
        match old[..] {
            [kid] => Ok(kid),
            _ => Err(no_fallback(&manifest, &old, now)),
        }
    }

    /// The error with the remedy for the secret of the inventory.
    pub(super) fn explain(&self, error: impl Into<OpsError>) -> OpsError {
        match &self.item {
            Some((item, _)) => item.explain(error),
            None => error.into(),
        }
    }

    async fn forced(
        &self,
        what: &'static str,
        action: audit::Action,
        step: impl Fn(&Manifest, &[Report], SystemTime, Option<&str>) -> Result<Change, Error>
        + Send
        + Sync,
    ) -> Result<Change, OpsError> {
        let reason = match (self.forces, &self.reason) {
            (false, _) => None,
            (true, Some(reason)) => Some(reason.as_str()),
            (true, None) => return Err(OpsError::NoReason { what }),
        };
        self.step(action, &mut |own, reports, now| step(own, reports, now, reason)).await
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator")
            .field("store", &self.store)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

/// The refusal of a retirement that names no key, where not exactly one of `old` may be meant.
pub(super) fn no_fallback(manifest: &Manifest, old: &[Kid], now: SystemTime) -> OpsError {
    let secret = manifest.ring().to_owned();
    match (old, &with_role(manifest, Role::Staged, now)[..]) {
        ([], [staged, ..]) => OpsError::NoFallback { secret, staged: *staged },
        _ => {
            let kids = old.iter().map(Kid::to_string).collect();
            OpsError::NoKey { secret, what: "fallback", kids }
        }
    }
}
