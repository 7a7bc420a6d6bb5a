//! The actions of instances, and the passing of time.

use super::super::documents::KEYS;
use super::super::engine::Violation;
use super::super::history::NO_REPORT;
use super::state::Instance;
use super::{Action, Fleet, Found, State};

impl Fleet {
    /// Adds each action of an instance.
    pub(super) fn add_instances(
        &mut self,
        state: &State,
        next: &mut Vec<(Action, State)>,
    ) -> Result<(), Found> {
        let can_disturb = state.disturbed < self.world.disturbances;
        for index in 0..self.world.slots() {
            if state.instances[index].is_running() {
                self.add_reloads(state, index, next)?;
                self.add_report(state, index, next);
                if self.world.deviations.revokes_locally {
                    self.add_local_revocations(state, index, next);
                }
                if can_disturb {
                    self.add_stop(state, index, next);
                }
            } else if can_disturb {
                self.add_starts(state, index, next);
            }
        }
        Ok(())
    }

    fn add_reloads(
        &mut self,
        state: &State,
        index: usize,
        next: &mut Vec<(Action, State)>,
    ) -> Result<(), Found> {
        let instance = state.instances[index];
        let (clock, read_at) = (self.clock(state, index), self.read_at(state, index));
        let still_revoked =
            if self.world.deviations.forgets_revocations { 0 } else { instance.still_revoked };
        // A second load of the same manifest only resets its age.
        let first = instance.holds + u8::from(read_at == instance.read_at);
        let (first, latest) =
            (first.max(state.history.oldest_shown(state.now)), state.history.latest_place());
        for place in first..=latest {
            let action = Action::Reload { instance: index, behind: latest - place };
            let loaded = Instance { holds: place, read_at, still_revoked, ..instance };
            next.push((action, state.with_instance(index, loaded)));
            if place == instance.holds {
                continue;
            }
            if let Some(check) = &mut self.on_load {
                let (held, loaded) = (state.history.get(instance.holds), state.history.get(place));
                check(&mut self.documents, held, loaded, clock).map_err(
                    |(property, details)| Violation { property, details, action: Some(action) },
                )?;
            }
        }
        Ok(())
    }

    fn add_report(&self, state: &State, index: usize, next: &mut Vec<(Action, State)>) {
        let instance = state.instances[index];
        let reported_at = self.reported_at(state, index);
        let reported = Instance { reported: instance.holds, reported_at, ..instance };
        if reported != instance {
            next.push((Action::Report { instance: index }, state.with_instance(index, reported)));
        }
    }

    fn add_local_revocations(
        &mut self,
        state: &State,
        index: usize,
        next: &mut Vec<(Action, State)>,
    ) {
        let instance = state.instances[index];
        let clock = self.clock(state, index);
        let roles = self.documents.roles(state.history.get(instance.holds), clock);
        // A ring does not revoke its primary.
        let keys = roles.live & !instance.still_revoked & !roles.primary.map_or(0, |key| 1 << key);
        for key in (0..KEYS).filter(|key| keys & 1 << key != 0) {
            let revoked = instance.revoked | 1 << key;
            let still_revoked = instance.still_revoked | 1 << key;
            let changed = Instance { revoked, still_revoked, ..instance };
            let action = Action::RevokeLocally { instance: index, key };
            next.push((action, state.with_instance(index, changed)));
        }
    }

    fn add_stop(&self, state: &State, index: usize, next: &mut Vec<(Action, State)>) {
        let Instance { reported, reported_at, .. } = state.instances[index];
        let is_late = self.world.report_lag > 0;
        let reported_at = if is_late { reported_at } else { self.clock(state, index) as u8 };
        let stopped = Instance { reported, reported_at, ..Instance::ABSENT };
        let mut after = state.with_instance(index, stopped);
        after.disturbed += 1;
        next.push((Action::Stop { instance: index }, after));
    }

    fn add_starts(&self, state: &State, index: usize, next: &mut Vec<(Action, State)>) {
        let is_first = state.instances[index].reported == NO_REPORT;
        let loses_report = self.world.deviations.loses_first_report && is_first;
        let (read_at, reported_at) = (self.read_at(state, index), self.reported_at(state, index));
        let latest = state.history.latest_place();
        for place in state.history.oldest_shown(state.now)..=latest {
            let reported = if loses_report { NO_REPORT } else { place };
            let started =
                Instance { holds: place, reported, read_at, reported_at, ..Instance::ABSENT };
            let mut after = state.with_instance(index, started);
            after.disturbed += 1;
            next.push((Action::Start { instance: index, behind: latest - place }, after));
        }
    }

    /// Returns the state a tick later, or `None` if an instance must load the store or report first.
    pub(super) fn pass_time(&mut self, state: &State) -> Option<State> {
        let mut next = *state;
        // Instances sign until the next tick.
        self.sign(&mut next, 1);
        next.now += 1;
        let is_over = next.now >= self.world.declared.first_tick() + self.world.horizon;
        // An instance may load the store at the last moment.
        let must_load = !self.world.deviations.can_lose_store
            && state.running().any(|instance| state.history.is_overdue(instance.holds, state.now));
        if is_over || must_load || self.must_report(state) {
            return None;
        }
        for operator in 0..2 {
            // An operator stores a step within the rollout window, or not at all.
            if let Some(place) = state.pending[operator].checked_sub(1) {
                let accepted = &self.pending[place as usize];
                if state.computed_at[operator] + accepted.rollout <= next.now {
                    (next.pending[operator], next.computed_at[operator]) = (0, 0);
                }
            }
        }
        Some(next)
    }
}

impl Fleet {
    /// Returns whether the last report of a running instance would be too old a tick later.
    fn must_report(&self, state: &State) -> bool {
        let lag = u64::from(self.world.report_lag);
        let running = (0..self.world.slots()).filter(|index| state.instances[*index].is_running());
        let ages = running
            .map(|index| self.clock(state, index) - u64::from(state.instances[index].reported_at));
        lag > 0 && ages.max().is_some_and(|oldest| oldest >= lag)
    }
}

impl State {
    /// Returns the state with one instance changed.
    fn with_instance(&self, index: usize, instance: Instance) -> Self {
        let mut after = *self;
        after.instances[index] = instance;
        after
    }
}
