//! The rewraps of instances and of commands.

use super::super::documents::{FinishedRewrap, KEYS, Roles};
use super::state::{Mode, RunningRewrap, choose_later};
use super::{COMMAND, IDLE, RowAction, RowState, Rows, UNVISITED};

/// The keys with which a rewrap opens rows.
#[derive(Clone, Copy)]
struct Opening {
    roles: Roles,
    /// The revoked keys whose secret is present, by bit.
    rescued: u8,
    /// The tick that the clock of its owner shows.
    clock: u64,
}

impl Rows {
    /// Adds each start of a rewrap, and each action of a rewrap that runs.
    pub(super) fn add_rewraps(&mut self, state: &RowState, next: &mut Vec<(RowAction, RowState)>) {
        let free = (0..self.world.at_once).find(|place| !state.rewraps[*place].is_running());
        if let Some(place) = free.filter(|_| state.rewrapped < self.world.rewraps) {
            self.add_rewrap_starts(state, place, next);
        }
        for place in 0..self.world.at_once {
            let owner = state.rewraps[place].owner;
            if owner == IDLE {
                continue;
            }
            let mut killed = *state;
            killed.end_rewrap(place);
            next.push((RowAction::KillRewrap { owner, place }, killed));
            if self.world.options.has_checkpoints {
                self.add_continuations(state, place, next);
            }
            if let Some(opening) = self.opening(state, place) {
                self.add_visits(state, place, opening, next);
            }
        }
    }

    fn add_rewrap_starts(
        &mut self,
        state: &RowState,
        place: usize,
        next: &mut Vec<(RowAction, RowState)>,
    ) {
        let options = self.world.options;
        let modes = [
            (true, Mode::Plain),
            (options.rescues, Mode::Rescues),
            (options.renews_all, Mode::RenewsAll),
            (options.reads_only, Mode::ReadsOnly),
        ];
        let mut starts = Vec::new();
        for index in 0..self.world.slots() {
            if let Some((_, roles)) = self.serving(state, index) {
                starts.push((index as u8, roles, self.clock(state, index)));
            }
        }
        if options.by_command {
            let clock = self.operator_clock(state, 0);
            starts.push((COMMAND, self.documents.roles(state.history.latest(), clock), clock));
        }
        for (owner, roles, clock) in starts {
            let Some(primary) = roles.primary else { continue };
            for (_, mode) in modes.into_iter().filter(|(is_possible, _)| *is_possible) {
                let mut started = *state;
                started.rewrapped += 1;
                started.rewraps[place] = RunningRewrap {
                    owner,
                    holds: if owner == COMMAND { state.history.latest_place() } else { 0 },
                    primary: primary as u8,
                    started: clock as u8,
                    left: 0,
                    has_unreadable: false,
                    mode,
                };
                next.push((RowAction::StartRewrap { owner, place, mode }, started));
            }
        }
    }

    /// Adds each other instance that can continue a rewrap, because it has the same primary.
    fn add_continuations(
        &mut self,
        state: &RowState,
        place: usize,
        next: &mut Vec<(RowAction, RowState)>,
    ) {
        let rewrap = state.rewraps[place];
        for index in 0..self.world.slots() {
            let Some((_, roles)) = self.serving(state, index) else { continue };
            let has_same_primary = roles.primary == Some(rewrap.primary.into());
            if has_same_primary && usize::from(rewrap.owner) != index {
                let mut continued = *state;
                continued.rewraps[place] = RunningRewrap { owner: index as u8, holds: 0, ..rewrap };
                next.push((RowAction::Continue { instance: index, place }, continued));
            }
        }
    }

    /// Returns the keys with which a rewrap opens rows. Returns `None` if its owner serves nothing, or if
    /// it is a command that must end.
    fn opening(&mut self, state: &RowState, place: usize) -> Option<Opening> {
        let rewrap = state.rewraps[place];
        let (document, roles, clock) = if rewrap.is_command() {
            let is_overdue = state.history.is_overdue(rewrap.holds, state.now);
            if is_overdue && !self.world.deviations.keeps_document {
                return None;
            }
            let (document, clock) =
                (state.history.get(rewrap.holds), self.operator_clock(state, 0));
            (document, self.documents.roles(document, clock), clock)
        } else {
            let owner = usize::from(rewrap.owner);
            let (document, roles) = self.serving(state, owner)?;
            (document, roles, self.clock(state, owner))
        };
        let document = self.documents.get(document);
        Some(Opening { roles, rescued: document.revoked & document.present, clock })
    }

    /// Adds a visit for each key with unvisited rows, and the end of the rewrap.
    fn add_visits(
        &self,
        state: &RowState,
        place: usize,
        opening: Opening,
        next: &mut Vec<(RowAction, RowState)>,
    ) {
        let RunningRewrap { owner, .. } = state.rewraps[place];
        let unvisited = (0..UNVISITED).filter(|set| set & 1 << place == 0);
        let unvisited = unvisited.fold(0, |all, set| all | state.rows[set]);
        let mut ended = *state;
        for key in (0..KEYS).filter(|key| unvisited & 1 << key != 0) {
            let mut visited = *state;
            visit(&mut visited, place, key, opening);
            next.push((RowAction::Visit { owner, place, key }, visited));
            visit(&mut ended, place, key, opening);
        }
        let RunningRewrap { started, left, has_unreadable, .. } = ended.rewraps[place];
        let record = FinishedRewrap {
            started,
            finished: opening.clock as u8,
            left,
            unreadable: has_unreadable.into(),
            by_command: owner == COMMAND,
        };
        if owner == COMMAND {
            ended.command = choose_later(ended.command, record);
        } else {
            let instance = &mut ended.instances[usize::from(owner)];
            instance.rewrap = choose_later(instance.rewrap, record);
            if !self.world.options.reports_later {
                instance.report();
            }
        }
        ended.end_rewrap(place);
        next.push((RowAction::EndRewrap { owner, place }, ended));
    }
}

/// Visits the rows under a key that the rewrap at `place` has not visited. Seals them again if the mode of
/// the rewrap requires it.
fn visit(state: &mut RowState, place: usize, key: usize, opening: Opening) {
    let (bit, key_bit) = (1 << place, 1 << key);
    let Opening { roles, rescued, .. } = opening;
    let rewrap = &mut state.rewraps[place];
    let is_live = roles.live & key_bit != 0;
    let is_sealed_again = match rewrap.mode {
        Mode::ReadsOnly => false,
        Mode::Plain => roles.fallbacks & key_bit != 0,
        Mode::Rescues => (roles.fallbacks | rescued) & key_bit != 0,
        Mode::RenewsAll => is_live,
    };
    let after = if is_sealed_again {
        roles.primary.map_or(key_bit, |primary| 1 << primary)
    } else {
        key_bit
    };
    if is_sealed_again || is_live {
        rewrap.left |= after;
    } else {
        rewrap.has_unreadable = true;
    }
    for set in (0..UNVISITED).filter(|set| set & bit == 0) {
        if state.rows[set] & key_bit != 0 {
            state.rows[set] &= !key_bit;
            state.rows[set | bit] |= after;
        }
    }
}
