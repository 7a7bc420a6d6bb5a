//! The steps of an operator, each recorded in the trail before it is taken and after it.

use std::time::SystemTime;

use super::facts::{is_silence, no_fallback, retirable_keys, with_role};
use super::operator::Operator;
use super::settlement::{lock_name, settle};
use super::transaction::{self, Compute, Step};
use crate::error::Error;
use crate::evidence::Report;
use crate::kid::Kid;
use crate::lifecycle::Role;
use crate::lifecycle::{KeyState, Policy};
use crate::manifest::{self, Change, Manifest, NewEntry, RolloutEffect};
use crate::ops::audit::{Action, Outcome};
use crate::ops::error::OpsError;
use crate::ops::inventory::kids_apart;

impl Operator {
    /// Adds a key: [`Manifest::stage`].
    ///
    /// # Errors
    /// As there; [`OpsError::Store`], [`OpsError::Audit`].
    pub async fn stage(&self, key: impl Into<NewEntry>) -> Result<Change, OpsError> {
        let key = key.into();
        self.step(Action::STAGED, &mut |current, _, now| current.stage(key.clone(), now)).await
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
            .step(Action::STAGED, &mut |current, _, now| {
                is_other = !with_role(current, Role::Staged, now).is_empty();
                if is_other {
                    return Err(Error::manifest("a key is staged already"));
                }
                current.stage(key.clone(), now)
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
        let kid = self.find_key(kid, Role::Staged, "staged key").await?;
        let promoted = self.promote_key(kid).await;
        match (promoted, &self.context.item) {
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
        let context = &self.context;
        self.step_or_force(
            "to go over a refusal",
            Action::ROTATED,
            |current, reports, now, forced| match (forced, &context.reason) {
                (Some(reason), _) => current.force(reason).promote(&kid, now),
                (None, Some(reason)) if context.is_deployed => {
                    current.assume_deployed(reason).promote(&kid, reports, now)
                }
                (None, _) => current.promote(&kid, reports, now),
            },
        )
        .await
    }

    /// Makes the key before the primary again: [`Manifest::rollback`].
    ///
    /// # Errors
    /// As there.
    pub async fn rollback(&self) -> Result<Change, OpsError> {
        self.step_or_force(
            "to force a refused step",
            Action::ROLLED_BACK,
            |current, reports, now, forced| match forced {
                Some(reason) => current.force(reason).rollback(now),
                None => current.rollback(reports, now),
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
            None => self.find_old_key().await?,
        };
        self.step_or_force(
            "to go over a verdict",
            Action::RETIRED,
            |current, reports, now, forced| match forced {
                Some(reason) => current.force(reason).retire(&kid, now),
                None => current.retire(&kid, reports, now),
            },
        )
        .await
    }

    /// Makes the expired key `kid` staged again: [`Manifest::restage`].
    ///
    /// # Errors
    /// As there; keys of tokens and sessions need [`force`](Self::force).
    pub async fn restage(&self, kid: &Kid) -> Result<Change, OpsError> {
        self.step_or_force("to restage", Action::RESTAGED, |current, _, now, forced| match forced {
            Some(reason) => current.force(reason).restage(kid, now),
            None => current.restage(kid, now),
        })
        .await
    }

    /// Corrects a manifest that was written with a wrong clock: [`Manifest::repair_clock`].
    ///
    /// # Errors
    /// As there.
    pub async fn repair_clock(&self) -> Result<Change, OpsError> {
        self.step(Action::CLOCK_REPAIRED, &mut |current, reports, now| {
            current.repair_clock(reports, now)
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
        Ok(manifest.check_clock(&reports, self.context.now())?)
    }

    /// Declares the key `kid` compromised: [`Manifest::revoke`].
    ///
    /// # Errors
    /// As there; [`OpsError::NoReason`].
    pub async fn revoke(&self, kid: &Kid) -> Result<Change, OpsError> {
        let reason =
            self.context.reason.clone().ok_or(OpsError::NoReason { what: "a revocation" })?;
        self.step(Action::REVOKED, &mut |current, _, now| current.revoke(kid, &reason, now)).await
    }

    /// Revokes the primary, or the key `kid`, and makes another the primary at once:
    /// [`Manifest::emergency_rotate`].
    ///
    /// # Errors
    /// As there; [`OpsError::NoReason`].
    pub async fn emergency_rotate(
        &self,
        kid: Option<Kid>,
        replacement: impl Into<NewEntry>,
    ) -> Result<Change, OpsError> {
        let reason =
            self.context.reason.clone().ok_or(OpsError::NoReason { what: "an emergency" })?;
        let replacement = replacement.into();
        // As it is when the operator says so: of two at once, the second must not revoke what
        // the first has just made.
        let kid = match kid {
            Some(kid) => kid,
            None => self.load().await?.primary(self.context.now()),
        };
        self.step(Action::EMERGENCY_ROTATED, &mut |current, _, now| {
            current.emergency_rotate(&kid, &reason, replacement.clone(), now)
        })
        .await
    }

    /// Wipes the secret of the key `kid`: [`Manifest::destroy`].
    ///
    /// # Errors
    /// As there.
    pub async fn destroy(&self, kid: &Kid) -> Result<Change, OpsError> {
        self.step_or_force(
            "to go over a verdict",
            Action::DESTROYED,
            |current, reports, now, forced| match forced {
                Some(reason) => current.force(reason).destroy(kid, now),
                None => current.destroy(kid, reports, now),
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
        let kid = manifest.primary(self.context.now());
        self.step(Action::POLICY_SET, &mut |current, _, now| {
            current.set_policy(policy, now).map(|next| policy_change(current, next, kid, now))
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
        let _guard = self.context.trail.lock(&lock_name(environment, ring)).await?;
        settle(&self.context, ring, environment).await
    }

    /// The key `kid`, or the one that there is of `role`.
    async fn find_key(
        &self,
        kid: Option<Kid>,
        role: Role,
        what: &'static str,
    ) -> Result<Kid, OpsError> {
        if let Some(kid) = kid {
            return Ok(kid);
        }
        let manifest = self.load().await?;
        let found = with_role(&manifest, role, self.context.now());
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
    async fn find_old_key(&self) -> Result<Kid, OpsError> {
        let (manifest, now) = (self.load().await?, self.context.now());
        // What belongs to something else is retired by its kid alone.
        let apart = self.context.item.as_ref().map(|(item, _)| kids_apart(item, &manifest, now));
        let apart = apart.unwrap_or_default();
        let mut old = retirable_keys(&manifest, false, now);
        old.retain(|kid| !apart.contains(kid));
        match old[..] {
            [kid] => Ok(kid),
            _ => Err(no_fallback(&manifest, &old, now)),
        }
    }

    /// Takes the step that `compute` computes. With [`force`](Self::force), `compute` gets the reason;
    /// `what` says in an error what needs one.
    async fn step_or_force(
        &self,
        what: &'static str,
        action: Action,
        compute: impl Fn(&Manifest, &[Report], SystemTime, Option<&str>) -> Result<Change, Error>
        + Send
        + Sync,
    ) -> Result<Change, OpsError> {
        let reason = match (self.context.is_forced, &self.context.reason) {
            (false, _) => None,
            (true, Some(reason)) => Some(reason.as_str()),
            (true, None) => return Err(OpsError::NoReason { what }),
        };
        self.step(action, &mut |current, reports, now| compute(current, reports, now, reason)).await
    }

    async fn step<'s>(
        &'s self,
        action: Action,
        compute: &'s mut Compute<'s>,
    ) -> Result<Change, OpsError> {
        transaction::take(&self.context, Step { action, compute }).await
    }
}

/// The change of a policy, which changes no key: it is recorded with the primary, `kid`.
fn policy_change(before: &Manifest, next: Manifest, kid: Kid, now: SystemTime) -> Change {
    let to = next.state(&kid, now).unwrap_or(KeyState::Live(Role::Primary));
    Change {
        action: manifest::ChangeAction::SetPolicy,
        kid,
        from: before.state(&kid, now),
        to,
        revoked: None,
        verifies_until: None,
        effect: RolloutEffect::NONE,
        manifest: next,
    }
}
