//! The steps of operators, and the library's result of each.

use std::fmt;
use std::time::SystemTime;

use dualkey::manifest::{Change, Manifest, RolloutEffect};
use dualkey::{Error, Purpose, Report};

use super::keys::{kid, new_entry};
use super::policy::{Declared, ticks};

/// A step of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Stage,
    /// Stages a key that starts to sign this number of ticks later.
    Schedule(u64),
    Promote(usize),
    ForcePromote(usize),
    AssumeDeployed(usize),
    Rollback,
    ForceRollback,
    /// Retires a key, or withdraws a staged one.
    Retire(usize),
    ForceRetire(usize),
    Restage(usize),
    Revoke(usize),
    EmergencyRotate(usize),
    Destroy(usize),
    ForceDestroy(usize),
    SetPolicy(Declared),
}

impl Step {
    /// Returns whether the result depends on the reports.
    pub fn needs_reports(self) -> bool {
        match self {
            Self::Promote(_)
            | Self::AssumeDeployed(_)
            | Self::Rollback
            | Self::Retire(_)
            | Self::Destroy(_) => true,
            Self::Stage
            | Self::Schedule(_)
            | Self::ForcePromote(_)
            | Self::ForceRollback
            | Self::ForceRetire(_)
            | Self::Restage(_)
            | Self::Revoke(_)
            | Self::EmergencyRotate(_)
            | Self::ForceDestroy(_)
            | Self::SetPolicy(_) => false,
        }
    }

    /// Returns whether the step may declare that instances without it reject the new primary. A revocation
    /// may do so: an earlier key takes over, and its end may be near.
    pub fn can_declare_rejection(self) -> bool {
        matches!(
            self,
            Self::ForcePromote(_)
                | Self::ForceRollback
                | Self::Revoke(_)
                | Self::EmergencyRotate(_)
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage => f.write_str("stage a key"),
            Self::Schedule(lead) => write!(f, "stage a key that signs {lead} h later"),
            Self::Promote(key) => write!(f, "promote k{key}"),
            Self::ForcePromote(key) => write!(f, "force the promotion of k{key}"),
            Self::AssumeDeployed(key) => write!(f, "promote k{key}, assumed deployed"),
            Self::Rollback => f.write_str("roll back"),
            Self::ForceRollback => f.write_str("force a rollback"),
            Self::Retire(key) => write!(f, "retire k{key}"),
            Self::ForceRetire(key) => write!(f, "force the retirement of k{key}"),
            Self::Restage(key) => write!(f, "restage k{key}"),
            Self::Revoke(key) => write!(f, "revoke k{key}"),
            Self::EmergencyRotate(key) => write!(f, "emergency-rotate k{key}"),
            Self::Destroy(key) => write!(f, "destroy k{key}"),
            Self::ForceDestroy(key) => write!(f, "force the destruction of k{key}"),
            Self::SetPolicy(declared) => write!(f, "set the policy: {declared}"),
        }
    }
}

/// The result of an accepted step.
pub(super) enum Computed {
    Change(Change),
    Policy(Manifest),
}

impl Computed {
    /// Returns the next manifest, and the declared effect on instances that still hold the former one.
    pub(super) fn into_manifest(self) -> (Manifest, RolloutEffect) {
        match self {
            Self::Change(change) => (change.manifest, change.effect),
            Self::Policy(next) => (next, RolloutEffect::NONE),
        }
    }
}

/// Computes a step with the library.
pub(super) fn compute(
    manifest: &Manifest,
    step: Step,
    reports: &[Report],
    now: SystemTime,
) -> Result<Computed, Error> {
    let count = manifest.keys().len();
    let new = || new_entry(count);
    let force = manifest.force("because");
    let change = match step {
        Step::Stage => manifest.stage(new(), now)?,
        Step::Schedule(lead) => {
            let from = now.max(manifest.changed_at()) + ticks(lead);
            manifest.stage(new().signs_from(from), now)?
        }
        Step::Promote(index) => manifest.promote(&kid(index), reports, now)?,
        Step::ForcePromote(index) => force.promote(&kid(index), now)?,
        Step::AssumeDeployed(index) => {
            manifest.assume_deployed("because").promote(&kid(index), reports, now)?
        }
        Step::Rollback => manifest.rollback(reports, now)?,
        Step::ForceRollback => force.rollback(now)?,
        Step::Retire(index) => manifest.retire(&kid(index), reports, now)?,
        Step::ForceRetire(index) => force.retire(&kid(index), now)?,
        Step::Restage(index) if manifest.purpose() == Purpose::Envelope => {
            manifest.restage(&kid(index), now)?
        }
        Step::Restage(index) => force.restage(&kid(index), now)?,
        Step::Revoke(index) => manifest.revoke(&kid(index), "leaked", now)?,
        Step::EmergencyRotate(index) => {
            manifest.emergency_rotate(&kid(index), "leaked", new(), now)?
        }
        Step::Destroy(index) => manifest.destroy(&kid(index), reports, now)?,
        Step::ForceDestroy(index) => force.destroy(&kid(index), now)?,
        Step::SetPolicy(declared) => {
            return manifest.set_policy(declared.policy(), now).map(Computed::Policy);
        }
    };
    Ok(Computed::Change(change))
}

/// Computes a step that changes keys.
///
/// # Errors
/// The refusal of the library, or [`Error::UnknownKey`] for a change of the policy.
pub fn compute_change(
    manifest: &Manifest,
    step: Step,
    reports: &[Report],
    now: SystemTime,
) -> Result<Change, Error> {
    match compute(manifest, step, reports, now)? {
        Computed::Change(change) => Ok(change),
        Computed::Policy(_) => Err(Error::UnknownKey { kid: kid(0) }),
    }
}
