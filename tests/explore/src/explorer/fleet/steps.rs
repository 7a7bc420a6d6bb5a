//! The steps of operators.

use super::super::documents::{AcceptedStep, KEYS, Step};
use super::super::engine::{Violation, violation};
use super::super::property::Property;
use super::super::step_kinds::list_steps;
use super::{Action, Fleet, Found, State};

impl Fleet {
    /// Adds each step that an operator can take, and the store of each pending step.
    pub(super) fn add_steps(
        &mut self,
        state: &State,
        next: &mut Vec<(Action, State)>,
    ) -> Result<(), Found> {
        for operator in 0..self.world.operators {
            if let Some(place) = state.pending[operator].checked_sub(1) {
                let accepted = self.pending[place as usize];
                let computed_at = state.computed_at[operator];
                // The rollout window begins when the step is computed.
                let is_in_time = state.now < computed_at + accepted.rollout;
                if is_in_time && state.steps < self.world.steps {
                    let stored = self.store(state, &accepted, computed_at)?;
                    next.push((Action::Store { operator, step: accepted.step }, stored));
                }
            } else if state.steps < self.world.steps {
                self.add_steps_of(operator, state, next)?;
            }
        }
        Ok(())
    }

    fn add_steps_of(
        &mut self,
        operator: usize,
        state: &State,
        next: &mut Vec<(Action, State)>,
    ) -> Result<(), Found> {
        let (latest, clock) = (state.history.latest(), self.operator_clock(state, operator));
        let reports = self.collect_reports(state);
        let world = &self.world;
        let list = |document: &_| list_steps(world.step_kinds, document, world.keys);
        let accepted = self.documents.take_all(latest, clock, &reports, list);
        if let Some(((property, details), step)) = self.documents.broken.take() {
            let action = Some(Action::Step { operator, step });
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
            let action = Action::Step { operator, step };
            let stored = self.store(state, accepted, state.now);
            let stored = stored.map_err(|found| Violation { action: Some(action), ..found })?;
            next.push((action, stored));
            if self.world.has_delays {
                let mut later = *state;
                later.pending[operator] = self.intern_pending(accepted);
                later.computed_at[operator] = state.now;
                next.push((Action::Compute { operator, step }, later));
            }
        }
        Ok(())
    }

    /// Stores a step that was computed at the tick `computed_at`.
    ///
    /// # Errors
    /// P2, if an instance accepts a key that the step revokes, and the step declares that none does.
    fn store(
        &mut self,
        state: &State,
        accepted: &AcceptedStep,
        computed_at: u8,
    ) -> Result<State, Found> {
        let (before, document) = (state.history.latest(), accepted.document);
        let mut next = *state;
        let due = computed_at + accepted.rollout + self.world.deviations.later;
        next.history.push(document, due);
        next.steps += 1;
        // A pending step of the other operator conflicts from now on.
        (next.pending, next.computed_at) = ([0; 2], [0; 2]);
        if accepted.effect.new_rejected && !self.world.deviations.has_no_gate {
            let changed_at = self.documents.get(document).changed_at;
            if let Some(primary) = self.documents.roles(document, changed_at).primary {
                next.history.declare_rejection(primary);
            }
        }
        if let Some(key) = accepted.ended_by_force {
            next.history.declare_end(key);
        }
        if let Step::Restage(key) = accepted.step {
            next.history.declare_restage(key);
        }
        let revoked = self.documents.get(document).revoked & !self.documents.get(before).revoked;
        for key in (0..KEYS).filter(|key| revoked & 1 << key != 0) {
            // An instance that loses its store serves until its manifest is too old.
            let propagation = accepted.rollout.max(self.world.max_staleness.unwrap_or(0));
            next.gone_by[key] = computed_at + propagation;
            if accepted.effect.compromised_accepted {
                continue;
            }
            for index in 0..self.world.slots() {
                let serving = self.serving(state, index);
                if serving.is_some_and(|serving| serving.live & 1 << key != 0) {
                    let details = format!(
                        "instance {index} accepts k{key}, and the step says that none does"
                    );
                    return violation(Property::P2, details);
                }
            }
        }
        Ok(next)
    }

    /// Returns one more than the place of a step among those that may be stored later.
    fn intern_pending(&mut self, accepted: &AcceptedStep) -> u32 {
        let is_same = |other: &AcceptedStep| {
            (other.document, other.effect, other.rollout, other.ended_by_force)
                == (accepted.document, accepted.effect, accepted.rollout, accepted.ended_by_force)
        };
        // An equal step is usually near the end.
        let known = self.pending.iter().rposition(is_same);
        let place = known.unwrap_or_else(|| {
            self.pending.push(*accepted);
            self.pending.len() - 1
        });
        place as u32 + 1
    }
}
