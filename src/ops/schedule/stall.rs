//! The state of a secret whose rotation is under way or has stopped midway.

use super::status::{Advice, ScheduleState};
use crate::evidence::next_step::facts::Facts;
use crate::evidence::next_step::stall::{Stall, is_underway, stalls};
use crate::evidence::next_step::step::NextStep;

/// The state that follows from the schedule, `schedule_state`, and from `facts`. `phrase` has the words of a
/// step.
pub(super) fn state_of(
    schedule_state: ScheduleState,
    facts: &Facts<'_>,
    phrase: impl Fn(&NextStep) -> Advice,
) -> ScheduleState {
    let mut state = match schedule_state {
        // A rotation that was started is due no more.
        ScheduleState::Soon { .. } if facts.staged().is_some() => ScheduleState::Underway,
        state => state,
    };
    if is_underway(facts) {
        state = state.max(ScheduleState::Underway);
    }
    let stuck =
        stalls(facts).into_iter().map(|stall| ScheduleState::Stuck { why: why(stall, &phrase) });
    stuck.fold(state, ScheduleState::max)
}

fn why(stall: Stall, phrase: &impl Fn(&NextStep) -> Advice) -> String {
    match stall {
        Stall::ClockBehind => "its last change lies ahead of this clock".to_owned(),
        Stall::NotDeployed { kid, obstacle } => format!("`{kid}` is about to sign, and {obstacle}"),
        Stall::NotPromoted { kid } => format!("`{kid}` is staged, and was not promoted"),
        Stall::NotRetirable { kid, verdict } => {
            format!("`{kid}` cannot be retired, although it is long superseded: {verdict}")
        }
        Stall::LeftInFile { kid } => format!("`{kid}` has expired, and is still in the file"),
        Stall::NeededByRows { kid, step } => {
            format!("`{kid}` has expired, and rows may need it: {}", phrase(&step).what)
        }
    }
}
