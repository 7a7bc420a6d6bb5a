//! The steps of operators.

use super::super::documents::{AcceptedStep, Step};
use super::super::engine::{Violation, violation};
use super::super::property::Property;
use super::super::step_kinds::list_steps;
use super::{Found, RowAction, RowState, Rows};

impl Rows {
    /// Adds each step that an operator can take.
    pub(super) fn add_steps(
        &mut self,
        state: &RowState,
        next: &mut Vec<(RowAction, RowState)>,
    ) -> Result<(), Found> {
        if state.steps >= self.world.steps || state.history.is_full() {
            return Ok(());
        }
        let (latest, reports) = (state.history.latest(), self.collect_reports(state));
        for operator in 0..self.world.operators {
            let clock = self.operator_clock(state, operator);
            let world = &self.world;
            let list = |document: &_| list_steps(world.step_kinds, document, world.keys);
            let accepted = self.documents.take_all(latest, clock, &reports, list);
            if let Some(((property, details), step)) = self.documents.broken.take() {
                let action = Some(RowAction::Step { operator, step });
                return Err(Violation { property, details, action });
            }
            let place = state.history.latest_place();
            let is_deployed = state.running().all(|instance| instance.holds == place);
            for accepted in accepted.iter().flat_map(|accepted| accepted.iter()) {
                let step = accepted.step;
                // Operators assume a deployment only if it is complete.
                if matches!(step, Step::AssumeDeployed(_)) && !is_deployed {
                    continue;
                }
                let action = RowAction::Step { operator, step };
                let stored = self.store(state, accepted);
                let stored = stored.map_err(|found| Violation { action: Some(action), ..found })?;
                next.push((action, stored));
            }
        }
        Ok(())
    }

    /// Stores a step.
    ///
    /// # Errors
    /// R3, if the step destroys a key that a row is under.
    fn store(&mut self, state: &RowState, accepted: &AcceptedStep) -> Result<RowState, Found> {
        let mut next = *state;
        let due = state.now + accepted.rollout + self.world.deviations.later;
        next.history.push(accepted.document, due);
        next.steps += 1;
        if accepted.effect.new_rejected {
            let changed_at = self.documents.get(accepted.document).changed_at;
            if let Some(primary) = self.documents.roles(accepted.document, changed_at).primary {
                next.history.declare_rejection(primary);
            }
        }
        if let Some(key) = accepted.ended_by_force {
            next.history.declare_end(key);
        }
        if let Step::Restage(key) = accepted.step {
            next.history.declare_restage(key);
        }
        if let Step::Destroy(key) = accepted.step {
            let has_rows = state.keys_of_rows() & 1 << key != 0;
            if has_rows && !state.history.is_ended_by_force(key) {
                return violation(
                    Property::R3,
                    format!("k{key}, which a row is under, is destroyed"),
                );
            }
        }
        Ok(next)
    }
}
