//! The result of a step, and steps that force a refusal.

use std::time::SystemTime;

use super::{ForcedStep, Manifest};
use crate::error::{Error, Obstacle};
use crate::evidence::Report;
use crate::kid::Kid;
use crate::lifecycle::{KeyState, Policy, RolloutEffect};

/// The result of a step on a manifest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Change {
    /// The next manifest, of the next revision; the same, if nothing had to change.
    pub manifest: Manifest,
    /// What was done.
    pub action: ChangeAction,
    /// The key that it was done to: the new one, the one that signs now, the one that ends.
    pub kid: Kid,
    /// What that key was before; nothing, if it was not there.
    pub from: Option<KeyState>,
    /// What it is now.
    pub to: KeyState,
    /// Of an emergency, the compromised key, which was revoked with it.
    pub revoked: Option<Kid>,
    /// When the key that no longer signs stops verifying: come back then. Of a retirement,
    /// when the key does.
    pub verifies_until: Option<SystemTime>,
    /// Effect on instances that have not reloaded yet.
    pub effect: RolloutEffect,
}

/// What is done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeAction {
    /// Added: it verifies, and does not sign yet.
    Stage,
    /// Made the primary.
    Promote,
    /// Made the primary again.
    Rollback,
    /// Given its end.
    Retire,
    /// Declared compromised.
    Revoke,
    /// Made the primary because the one before was compromised.
    EmergencyRotate,
    /// Wiped.
    Destroy,
    /// Added again after it had expired: it verifies, and does not sign yet.
    Restage,
    /// Nothing: the policy of all keys was set.
    SetPolicy,
    /// Nothing: the times of a manifest that was written with a wrong clock were corrected.
    RepairClock,
}

/// Steps that are taken although a check refuses them. The key keeps a record of each.
#[derive(Debug, Clone, Copy)]
#[must_use = "nothing is forced until one of its steps is taken"]
pub struct Force<'m> {
    pub(super) manifest: &'m Manifest,
    pub(super) reason: &'m str,
}

/// Steps of an operator who knows that every instance holds the manifest, although none reports.
/// Missing reports count as agreement, and contradicting ones do not.
#[derive(Debug, Clone, Copy)]
#[must_use = "no step is taken until `promote` is called"]
pub struct AssumedDeployed<'m> {
    pub(super) manifest: &'m Manifest,
    pub(super) reason: &'m str,
}

impl AssumedDeployed<'_> {
    /// [`Manifest::promote`] without a report that agrees. The key keeps the reason.
    ///
    /// # Errors
    /// The errors of [`Manifest::promote`], except [`Error::NotAgreed`] with
    /// [`Obstacle::NoInstance`] alone, and [`Error::ClockDisagrees`] because of old reports.
    pub fn promote(self, kid: &Kid, reports: &[Report], now: SystemTime) -> Result<Change, Error> {
        let change = match self.manifest.promote(kid, reports, now) {
            Err(Error::NotAgreed { obstacles, .. }) if obstacles == [Obstacle::NoInstance] => {
                let change = self.manifest.apply_promotion(kid, now, true, false)?;
                self.manifest.check_clock_but_silence(reports, now)?;
                change
            }
            change => return change,
        };
        Ok(record_force(change, self.manifest, self.reason))
    }
}

impl Force<'_> {
    /// [`Manifest::promote`], whatever the instances hold and whenever the key expires.
    /// [`Change::effect`] says what they reject.
    ///
    /// # Errors
    /// The errors of [`Manifest::promote`], except [`Error::NotAgreed`] and
    /// [`Error::ExpiresSoon`].
    pub fn promote(self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        let mut change = self.manifest.apply_promotion(kid, now, false, true)?;
        // It also overrides contradicting reports.
        change.effect.new_rejected = change.has_changed(self.manifest);
        self.record_force(change)
    }

    /// [`Manifest::rollback`] to a key that some instances may not hold yet, or that expires
    /// soon. [`Change::effect`] says whether they reject what it signs.
    ///
    /// # Errors
    /// The errors of [`Manifest::rollback`], except [`Error::AddedRecently`] and
    /// [`Error::ExpiresSoon`]. An expired key does not sign again: [`Error::Expired`].
    pub fn rollback(self, now: SystemTime) -> Result<Change, Error> {
        self.record_force(self.manifest.apply_rollback(now, false, true)?)
    }

    /// [`Manifest::restage`], for every purpose.
    ///
    /// # Security
    /// Tokens and sessions that this key signed, and that have not reached their own end, are
    /// valid again.
    ///
    /// # Errors
    /// The errors of [`Manifest::restage`], except [`Error::RestageNeedsForce`].
    pub fn restage(self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        self.record_force(self.manifest.apply_restage(kid, now)?)
    }

    /// Ends the key `kid` at once, whatever the verdict: what it signed is refused, and what
    /// it sealed cannot be opened.
    ///
    /// # Errors
    /// As for [`Manifest::retire`], but for [`Error::Blocked`].
    pub fn retire(self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        self.record_force(
            self.manifest.apply_retirement(kid, now, |steps| steps.cut(kid).map(Some))?,
        )
    }

    /// [`Manifest::destroy`], whatever the verdict: **what an encryption key sealed is lost.**
    ///
    /// # Errors
    /// [`Error::UnknownKey`], [`Error::Destroyed`], or [`Error::InUse`] if it is neither
    /// revoked nor retired.
    pub fn destroy(self, kid: &Kid, now: SystemTime) -> Result<Change, Error> {
        self.record_force(self.manifest.apply_destruction(kid, now)?)
    }

    /// [`Manifest::set_policy`], also with an observation window that is shorter than the interval in
    /// which instances report: for a demonstration, whose instances refresh all the time. The
    /// primary keeps the reason.
    ///
    /// # Errors
    /// The errors of [`Manifest::set_policy`], except [`Error::ObservationTooShort`].
    pub fn set_policy(self, policy: Policy, now: SystemTime) -> Result<Manifest, Error> {
        let mut next = self.manifest.with_policy(policy, now)?;
        if next.revision != self.manifest.revision {
            let (kid, at) = (next.primary(next.changed_at), next.changed_at);
            let action = ChangeAction::SetPolicy.as_str().to_owned();
            let key = next.keys.iter_mut().find(|key| key.life.kid == kid);
            if let Some(key) = key {
                key.forced_steps.push(ForcedStep { at, action, reason: self.reason.to_owned() });
            }
        }
        Ok(next)
    }

    fn record_force(self, change: Change) -> Result<Change, Error> {
        Ok(record_force(change, self.manifest, self.reason))
    }
}

/// Records in the key of `change` that a refusal was forced, and why.
fn record_force(mut change: Change, before: &Manifest, reason: &str) -> Change {
    if change.has_changed(before) {
        let at = change.manifest.changed_at;
        let (action, reason) = (change.action.as_str().to_owned(), reason.to_owned());
        let key = change.manifest.keys.iter_mut().find(|key| key.life.kid == change.kid);
        if let Some(key) = key {
            key.forced_steps.push(ForcedStep { at, action, reason });
        }
    }
    change
}

impl Change {
    /// Whether there is anything to store.
    #[must_use]
    pub fn has_changed(&self, before: &Manifest) -> bool {
        self.manifest.revision != before.revision
    }
}

impl ChangeAction {
    /// A stable name for records and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Promote => "promote",
            Self::Rollback => "rollback",
            Self::Retire => "retire",
            Self::Revoke => "revoke",
            Self::EmergencyRotate => "emergency_rotate",
            Self::Destroy => "destroy",
            Self::Restage => "restage",
            Self::SetPolicy => "set_policy",
            Self::RepairClock => "repair_clock",
        }
    }
}
