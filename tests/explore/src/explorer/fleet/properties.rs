//! The checks of P1 to P5 on each state.

use super::super::documents::KEYS;
use super::super::engine::violation;
use super::super::property::Property;
use super::{Fleet, Found, Serving, State};

impl Fleet {
    /// Checks P1 to P5 on a state.
    pub(super) fn check(&mut self, state: &State) -> Result<(), Found> {
        for index in 0..self.world.slots() {
            if let Some(serving) = self.serving(state, index) {
                self.check_instance(state, index, &serving)?;
            }
        }
        self.check_verdicts(state)
    }

    /// Checks P1, P2, P3 and P5 on an instance that serves.
    fn check_instance(&self, state: &State, index: usize, serving: &Serving) -> Result<(), Found> {
        if serving.primaries != 1 {
            let details = format!("instance {index} has {} primaries", serving.primaries);
            return violation(Property::P3, details);
        }
        let instance = &state.instances[index];
        let revoked_by_held = self.documents.get(serving.document).revoked;
        let revoked_by_latest = self.documents.get(state.history.latest()).revoked;
        for key in 0..KEYS {
            let bit = 1 << key;
            let is_live = serving.live & bit != 0;
            if revoked_by_held & bit != 0 && is_live {
                let details =
                    format!("instance {index} accepts k{key}, which its manifest revokes");
                return violation(Property::P2, details);
            }
            if instance.revoked & bit != 0 && is_live {
                let details = format!("instance {index} accepts k{key}, which it revoked");
                return violation(Property::P5, details);
            }
            let is_late = (1..=state.now).contains(&state.gone_by[key]);
            if is_late && is_live {
                let details =
                    format!("instance {index} accepts k{key} for too long after its revocation");
                return violation(Property::P2, details);
            }
            let is_valid = serving.clock < state.valid_until[key].into();
            let is_exempt = state.history.may_reject(instance.holds, key)
                || (revoked_by_latest | instance.revoked) & bit != 0;
            if is_valid && !is_live && !is_exempt {
                return violation(
                    Property::P1,
                    format!("instance {index} rejects a valid value of k{key}"),
                );
            }
        }
        Ok(())
    }

    /// Checks P4: no verdict is `Safe` on a key that an instance signs with, or that a valid value needs.
    fn check_verdicts(&mut self, state: &State) -> Result<(), Found> {
        let (latest, reports) = (state.history.latest(), self.collect_reports(state));
        let revoked = self.documents.get(latest).revoked;
        let mut signing = 0;
        for index in 0..self.world.slots() {
            let primary = self.serving(state, index).and_then(|serving| serving.primary);
            signing |= primary.map_or(0, |key| 1 << key);
        }
        let slowest = (0..self.world.slots()).map(|index| self.clock(state, index)).min();
        let slowest = slowest.unwrap_or(u64::from(state.now));
        for operator in 0..self.world.operators {
            let clock = self.operator_clock(state, operator);
            for key in 0..KEYS {
                let bit = 1 << key;
                let is_needed = slowest < state.valid_until[key].into() || signing & bit != 0;
                let is_exempt = revoked & bit != 0 || state.history.is_ended_by_force(key);
                if !is_needed || is_exempt {
                    continue;
                }
                if self.documents.is_safe(latest, clock, &reports, key) {
                    let until = state.valid_until[key];
                    let details = format!(
                        "the verdict on k{key} is `Safe`, and its values are valid for {} h",
                        u64::from(until).saturating_sub(slowest)
                    );
                    return violation(Property::P4, details);
                }
            }
        }
        Ok(())
    }
}
