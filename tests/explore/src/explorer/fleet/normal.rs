//! The normal form of a state. States that differ only in facts without an effect have the same normal
//! form.

use super::super::documents::INSTANCES;
use super::super::history::{LONG_AGO, NO_REPORT, shift_report};
use super::{Fleet, State};

impl Fleet {
    /// Lets every serving instance sign, and removes the facts that have no effect any more.
    pub(super) fn normalize(&mut self, mut state: State) -> State {
        self.sign(&mut state, 0);
        self.shift(&mut state);
        let now = state.now;
        state.history.forget_past(now);
        for until in &mut state.valid_until {
            *until = if *until <= now { 0 } else { *until };
        }
        for gone_by in &mut state.gone_by {
            *gone_by = if (1..=now).contains(gone_by) { LONG_AGO } else { *gone_by };
        }
        let latest = self.documents.get(state.history.latest()).declared;
        let age = latest.report_age(self.world.declared);
        for instance in &mut state.instances {
            let is_running = instance.is_running();
            if is_running && self.world.report_lag == 0 {
                instance.reported_at = 0;
            } else if !is_running
                && instance.reported != NO_REPORT
                && instance.reported_at + age <= now
            {
                instance.reported_at = LONG_AGO;
            }
        }
        self.sort(&mut state);
        state
    }

    /// Signs values with the primary of every serving instance, `later` ticks from now.
    pub(super) fn sign(&mut self, state: &mut State, later: u64) {
        for index in 0..self.world.slots() {
            let Some(serving) = self.serving(state, index) else { continue };
            let lifetime = self.documents.get(serving.document).declared.lifetime;
            let more = u64::from(self.world.deviations.longer_lifetime);
            let until = (serving.clock + later + lifetime + more) as u8;
            let Some(primary) = serving.primary else { continue };
            let valid_until = &mut state.valid_until[primary];
            *valid_until = (*valid_until).max(until);
        }
    }

    /// Removes the manifests that no instance holds and that no instance can load any more.
    fn shift(&self, state: &mut State) {
        let mut oldest = state.running().map(|instance| instance.holds).min().unwrap_or(0);
        if self.world.deviations.starts_go_back {
            oldest = oldest.min(state.history.oldest_shown(state.now));
        }
        state.history.remove_before(oldest);
        for instance in &mut state.instances {
            if instance.is_running() {
                instance.holds -= oldest;
            }
            instance.reported = shift_report(instance.reported, oldest);
        }
    }

    /// Sorts instances with equal clocks, and operators with equal clocks: their numbers have no effect.
    fn sort(&self, state: &mut State) {
        if self.world.keeps_names {
            return;
        }
        let clocks = &self.world.clocks;
        let mut begin = 0;
        while begin < INSTANCES {
            let same = clocks[begin..].iter().take_while(|clock| **clock == clocks[begin]).count();
            state.instances[begin..begin + same].sort_unstable();
            begin += same;
        }
        if self.world.operator_clocks[0] == self.world.operator_clocks[1] {
            let mut both = [0, 1].map(|place| (state.pending[place], state.computed_at[place]));
            both.sort_unstable();
            state.pending = both.map(|(step, _)| step);
            state.computed_at = both.map(|(_, at)| at);
        }
    }
}
