//! The checks of P3, R1 and R2 on each state.

use super::super::documents::KEYS;
use super::super::engine::violation;
use super::super::property::Property;
use super::{Found, RowState, Rows};

impl Rows {
    /// Checks P3, R1 and R2 on a state.
    pub(super) fn check(&mut self, state: &RowState) -> Result<(), Found> {
        let mut sealing = 0;
        for index in 0..self.world.slots() {
            sealing |= self.check_instance(state, index)?;
        }
        self.check_verdicts(state, sealing)
    }

    /// Checks P3 and R1 on an instance, and returns the key that it seals with, by bit.
    fn check_instance(&mut self, state: &RowState, index: usize) -> Result<u8, Found> {
        let Some((_, roles)) = self.serving(state, index) else { return Ok(0) };
        let Some(primary) = roles.primary else {
            return violation(Property::P3, format!("instance {index} has no primary"));
        };
        if roles.primaries != 1 {
            let details = format!("instance {index} has {} primaries", roles.primaries);
            return violation(Property::P3, details);
        }
        let holds = state.instances[index].holds;
        let latest = self.documents.get(state.history.latest());
        let under = state.keys_of_rows();
        for key in (0..KEYS).filter(|key| under & 1 << key != 0) {
            let bit = 1 << key;
            if state.history.is_ended_by_force(key) {
                continue;
            }
            if latest.revoked & bit != 0 {
                if latest.present & bit == 0 {
                    let details = format!("k{key}, which a row is under, is destroyed");
                    return violation(Property::R1, details);
                }
            } else if roles.live & bit == 0 && !state.history.may_reject(holds, key) {
                let details = format!("instance {index} cannot open a row under k{key}");
                return violation(Property::R1, details);
            }
        }
        Ok(1 << primary)
    }

    /// Checks R2.
    fn check_verdicts(&mut self, state: &RowState, sealing: u8) -> Result<(), Found> {
        let (latest, under) = (state.history.latest(), state.keys_of_rows());
        let reports = self.collect_reports(state);
        for operator in 0..self.world.operators {
            let clock = self.operator_clock(state, operator);
            for key in 0..self.documents.get(latest).key_count() {
                let bit = 1 << key;
                if (under | sealing) & bit == 0 || state.history.is_ended_by_force(key) {
                    continue;
                }
                if self.documents.is_safe(latest, clock, &reports, key) {
                    let reason = if sealing & bit == 0 {
                        "a row is under it"
                    } else {
                        "an instance seals with it"
                    };
                    let details = format!("the verdict on k{key} is `Safe`, and {reason}");
                    return violation(Property::R2, details);
                }
            }
        }
        Ok(())
    }
}
