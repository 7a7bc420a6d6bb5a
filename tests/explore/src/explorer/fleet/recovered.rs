//! The fleet after its recovery.

use super::super::documents::KEYS;
use super::super::engine::Violation;
use super::state::Instance;
use super::{Action, Fleet, State};

impl Fleet {
    /// Returns the state in which every instance runs, holds the latest manifest, and has reported it.
    pub fn recover(&mut self, state: &State) -> State {
        let mut after = *state;
        let latest = after.history.latest_place();
        for index in 0..self.world.slots() {
            let (read_at, reported_at) =
                (self.read_at(state, index), self.reported_at(state, index));
            let instance = &mut after.instances[index];
            *instance =
                Instance { holds: latest, reported: latest, read_at, reported_at, ..*instance };
        }
        (after.pending, after.computed_at, after.disturbed) = ([0; 2], [0; 2], 0);
        self.normalize(after)
    }

    /// Returns the primary of the latest manifest, or [`KEYS`] if there is none.
    pub fn primary(&mut self, state: &State) -> usize {
        let clock = self.operator_clock(state, 0);
        self.documents.roles(state.history.latest(), clock).primary.unwrap_or(KEYS)
    }

    /// Returns the keys that any instance accepts by the latest manifest, by bit.
    pub fn live(&mut self, state: &State) -> u8 {
        (0..self.world.slots()).fold(0, |all, index| {
            let clock = self.clock(state, index);
            all | self.documents.roles(state.history.latest(), clock).live
        })
    }

    /// Returns the actions after a recovery, each with the state after it: a tick passes, or an operator
    /// takes a step if `takes_steps` is true.
    pub fn steps_and_time(
        &mut self,
        state: &State,
        takes_steps: bool,
    ) -> Result<Vec<(Action, State)>, Violation<Action>> {
        let mut next = Vec::new();
        if takes_steps {
            self.add_steps(state, &mut next)?;
        }
        next.extend(self.pass_time(state).map(|later| (Action::PassTime, later)));
        Ok(next)
    }

    /// Describes the keys of the latest manifest.
    pub fn describe_keys(&self, state: &State) -> String {
        let latest = self.documents.get(state.history.latest());
        let states = latest.states(self.operator_clock(state, 0)).into_iter().enumerate();
        states.map(|(key, state)| format!("k{key} {state:?}")).collect::<Vec<_>>().join(", ")
    }
}
