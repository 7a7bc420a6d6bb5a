//! The normal form of a state. States that differ only in facts without an effect have the same normal
//! form.

use super::super::history::{LONG_AGO, NO_REPORT, shift_report};
use super::{RowState, Rows, UNVISITED};

impl Rows {
    /// Lets every serving instance seal rows, and removes the facts that have no effect any more.
    pub(super) fn normalize(&mut self, mut state: RowState) -> RowState {
        self.seal(&mut state);
        shift(&mut state);
        let now = state.now;
        state.history.forget_past(now);
        let latest = self.documents.get(state.history.latest()).declared;
        let age = latest.report_age(self.world.declared);
        for instance in &mut state.instances {
            if instance.is_running() {
                instance.stopped_at = 0;
            } else if instance.reported != NO_REPORT && instance.stopped_at + age <= now {
                instance.stopped_at = LONG_AGO;
            }
        }
        state
    }

    /// Seals rows with the primary of every serving instance, both among the rows that each rewrap has
    /// visited and among the others.
    fn seal(&mut self, state: &mut RowState) {
        let running = state.rewraps.iter().enumerate().filter(|(_, rewrap)| rewrap.is_running());
        let running = running.fold(0, |all, (place, _)| all | 1 << place);
        for index in 0..self.world.slots() {
            let Some((_, roles)) = self.serving(state, index) else { continue };
            let sealed = roles.primary.map_or(0, |key| 1 << key);
            for set in (0..UNVISITED).filter(|set| set & !running == 0) {
                state.rows[set] |= sealed;
            }
            if self.world.deviations.misses_table {
                state.rows[UNVISITED] |= sealed;
            }
        }
    }
}

/// Removes the manifests that no instance and no command holds, and that no instance can load any more.
fn shift(state: &mut RowState) {
    let commands = state.rewraps.iter().filter(|rewrap| rewrap.is_command());
    let instances = state.running().map(|instance| instance.holds);
    let oldest = instances.chain(commands.map(|command| command.holds)).min().unwrap_or(0);
    state.history.remove_before(oldest);
    for instance in &mut state.instances {
        if instance.is_running() {
            instance.holds -= oldest;
        }
        instance.reported = shift_report(instance.reported, oldest);
    }
    for rewrap in state.rewraps.iter_mut().filter(|rewrap| rewrap.is_command()) {
        rewrap.holds -= oldest;
    }
}
