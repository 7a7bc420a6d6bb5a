//! The steps that the library accepts, and the check that they keep what is final.

use dualkey::manifest::{Manifest, RolloutEffect};
use dualkey::{KeyState, Report};

use super::super::property::Property;
use super::document::Document;
use super::keys::kid;
use super::policy::{at, tick_of};
use super::step::{Step, compute};
use super::{Broken, Documents};

/// A step that was accepted.
#[derive(Debug, Clone, Copy)]
pub struct AcceptedStep {
    pub step: Step,
    pub document: u32,
    pub effect: RolloutEffect,
    /// The ticks within which every instance acts on it.
    pub rollout: u8,
    /// The key that the step ended by force.
    pub ended_by_force: Option<usize>,
}

impl Documents {
    /// Takes a step, and checks that the result keeps what is final. Returns `None` if the library refuses
    /// the step, or if it changes nothing.
    pub fn take(
        &mut self,
        document: u32,
        clock: u64,
        reports: &[Report],
        step: Step,
    ) -> Option<AcceptedStep> {
        let before = &self.all[document as usize];
        let manifest = &before.manifest;
        let computed = compute(manifest, step, reports, at(clock)).ok()?;
        let (next, effect) = computed.into_manifest();
        // An emergency adds a key, for which the search may have no room.
        if next.keys().len() > self.max_keys || next.revision() == manifest.revision() {
            return None;
        }
        let dated = tick_of(next.changed_at());
        let broken = check_final(before, &next, dated, step);
        if let Some(broken) = broken.or_else(|| check_effect(before, &next, effect, step)) {
            self.broken.get_or_insert((broken, step));
        }
        let in_force = before.rollout(dated);
        let (declared, earlier_rollout) = match step {
            Step::SetPolicy(declared) => {
                let until = dated + in_force + before.declared.skew;
                (declared, (in_force > declared.rollout).then_some((in_force, until)))
            }
            _ => (before.declared, before.earlier_rollout.filter(|(_, until)| dated < *until)),
        };
        let ended_by_force = match step {
            Step::ForceRetire(index) | Step::ForceDestroy(index) => Some(index),
            _ => None,
        };
        let rollout = in_force.max(declared.rollout) as u8;
        let document = self.intern(next, declared, earlier_rollout);
        Some(AcceptedStep { step, document, effect, rollout, ended_by_force })
    }
}

/// Checks P1 and P2: a step declares no effect that it cannot have. What it declares exempts instances from
/// these properties.
fn check_effect(
    before: &Document,
    after: &Manifest,
    effect: RolloutEffect,
    step: Step,
) -> Option<Broken> {
    if effect.new_rejected && !step.can_declare_rejection() {
        let details = "the step declares that instances reject the new primary".to_owned();
        return Some((Property::P1, details));
    }
    let mut keys = after.keys().iter().enumerate();
    let revokes =
        keys.any(|(index, key)| key.revoked().is_some() && before.revoked & 1 << index == 0);
    if effect.compromised_accepted && !revokes {
        let details = "the step revokes no key, and declares that one is accepted".to_owned();
        return Some((Property::P2, details));
    }
    None
}

/// Checks P5: a key that had ended at the moment of a step has still ended after it, unless the step
/// restages the key.
fn check_final(before: &Document, after: &Manifest, dated: u64, step: Step) -> Option<Broken> {
    let has_ended = |state: &KeyState| !matches!(state, KeyState::Live(_));
    for (index, was) in before.states(dated).into_iter().enumerate() {
        let Some(is) = after.state(&kid(index), at(dated)) else {
            return Some((Property::P5, format!("k{index} was {was:?}, and is gone")));
        };
        let is_restaged = step == Step::Restage(index) && was == KeyState::Expired;
        if has_ended(&was) && !has_ended(&is) && !is_restaged {
            return Some((Property::P5, format!("k{index} was {was:?}, and is {is:?}")));
        }
        if before.revoked & 1 << index != 0 && after.keys()[index].revoked().is_none() {
            return Some((Property::P5, format!("the revocation of k{index} is gone")));
        }
    }
    None
}
