//! The actions of instances, and the passing of time.

use super::super::engine::Violation;
use super::super::history::NO_REPORT;
use super::state::Instance;
use super::{Found, REWRAPS, RowAction, RowState, Rows};

impl Rows {
    /// Adds each action of an instance except its rewraps.
    pub(super) fn add_instances(
        &mut self,
        state: &RowState,
        next: &mut Vec<(RowAction, RowState)>,
    ) -> Result<(), Found> {
        let can_disturb = state.disturbed < self.world.disturbances;
        for index in 0..self.world.slots() {
            if state.instances[index].is_running() {
                self.add_reloads(state, index, next)?;
                self.add_report(state, index, next);
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
        state: &RowState,
        index: usize,
        next: &mut Vec<(RowAction, RowState)>,
    ) -> Result<(), Found> {
        let latest = state.history.latest_place();
        let first = state.instances[index].holds + 1;
        for place in first.max(state.history.oldest_shown(state.now))..=latest {
            let mut after = *state;
            let instance = &mut after.instances[index];
            instance.holds = place;
            if !self.world.options.reports_later {
                instance.reported = place;
            }
            let action = RowAction::Reload { instance: index, behind: latest - place };
            next.push((action, after));
            let held = state.history.get(state.instances[index].holds);
            let (loaded, clock) = (state.history.get(place), self.clock(state, index));
            self.replay.check(&mut self.documents, held, loaded, clock).map_err(
                |(property, details)| Violation { property, details, action: Some(action) },
            )?;
        }
        Ok(())
    }

    fn add_report(&self, state: &RowState, index: usize, next: &mut Vec<(RowAction, RowState)>) {
        let mut after = *state;
        after.instances[index].report();
        if after.instances[index] != state.instances[index] {
            next.push((RowAction::Report { instance: index }, after));
        }
    }

    /// Kills an instance. Its rewraps end, and what it has not reported is lost.
    fn add_stop(&self, state: &RowState, index: usize, next: &mut Vec<(RowAction, RowState)>) {
        let mut after = *state;
        let Instance { reported, reported_rewrap, .. } = state.instances[index];
        let stopped_at = self.clock(state, index) as u8;
        after.instances[index] =
            Instance { reported, reported_rewrap, stopped_at, ..Instance::ABSENT };
        after.disturbed += 1;
        for place in 0..REWRAPS {
            if usize::from(after.rewraps[place].owner) == index {
                after.end_rewrap(place);
            }
        }
        next.push((RowAction::Stop { instance: index }, after));
    }

    fn add_starts(&self, state: &RowState, index: usize, next: &mut Vec<(RowAction, RowState)>) {
        let Instance { reported, reported_rewrap, .. } = state.instances[index];
        let loses_report = self.world.deviations.loses_first_report && reported == NO_REPORT;
        let latest = state.history.latest_place();
        for place in state.history.oldest_shown(state.now)..=latest {
            let mut after = *state;
            after.instances[index] = Instance {
                holds: place,
                reported: if loses_report { NO_REPORT } else { place },
                stopped_at: 0,
                // An instance continues from its last report.
                rewrap: reported_rewrap,
                reported_rewrap,
            };
            after.disturbed += 1;
            next.push((RowAction::Start { instance: index, behind: latest - place }, after));
        }
    }

    /// Returns the state a tick later, or `None` if an instance or a command must end its use of an old
    /// manifest first.
    pub(super) fn pass_time(&self, state: &RowState) -> Option<RowState> {
        let mut next = *state;
        next.now += 1;
        let is_over = next.now >= self.world.declared.first_tick() + self.world.horizon;
        // An instance may load the store at the last moment.
        let is_overdue = |holds: u8| state.history.is_overdue(holds, state.now);
        let mut commands = state.rewraps.iter().filter(|rewrap| rewrap.is_command());
        let must_end = !self.world.deviations.keeps_document
            && commands.any(|command| is_overdue(command.holds));
        let must_load = state.running().any(|instance| is_overdue(instance.holds));
        if is_over || must_end || must_load { None } else { Some(next) }
    }
}
