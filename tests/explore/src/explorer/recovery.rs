//! The check of P8: from every state that a fleet reaches, a rotation can be completed once its store and
//! its instances recover.
//!
//! The check explores the states after the recovery, and then searches backwards. It marks the states in
//! which a rotation is complete, and each state from which one action leads to a marked state. Operators
//! force no step.

use std::collections::HashSet;

use super::engine::{Counterexample, FastBuildHasher, Model, Violation, explore_all, run_to};
use super::fleet::{Action, Fleet, State, World};
use super::property::Property;
use super::step_kinds::StepKind;

/// The steps of a rotation, after which the former key expires.
const ROTATION: &[StepKind] = &[StepKind::Stage, StepKind::Promote];

/// The most steps of a rotation.
const STEPS: u8 = 2;
/// The most hours of a rotation.
const HOURS: u8 = 20;
/// The hours within which the steps are taken.
const STEP_HOURS: u8 = 3;

/// A state in which every instance holds the latest manifest and has reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Recovered {
    state: State,
    /// The primary at the moment of the recovery.
    former: u8,
    /// The hours since the recovery, up to [`STEP_HOURS`].
    hours: u8,
}

/// The fleet after its recovery.
struct Recovery {
    fleet: Fleet,
    starts: Vec<Recovered>,
}

/// The result of the check.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// The number of distinct states before the recovery.
    pub reached: usize,
    /// The first run that breaks a property, before the recovery or after it, or a run to a state from
    /// which no rotation can be completed.
    pub found: Option<Counterexample>,
    /// The number of distinct states after the recovery.
    pub recovered: usize,
    /// The number of states that were visited until the rotation was complete.
    pub visited: usize,
}

/// Checks P8 in `world`.
pub fn check(world: &World) -> Checked {
    check_with(world, ROTATION)
}

/// Checks P8 with operators who take steps of these kinds after the recovery.
pub fn check_with(world: &World, step_kinds: &'static [StepKind]) -> Checked {
    let mut fleet = Fleet::new(world.clone());
    let (before, reached) = explore_all(&mut fleet, usize::MAX, None);
    fleet.world = World {
        steps: world.steps + STEPS,
        horizon: world.horizon + HOURS,
        keys: world.keys + 1,
        step_kinds,
        has_delays: false,
        ..world.clone()
    };
    fleet.documents.set_max_keys(world.keys + 1);
    fleet.documents.forget_steps();
    let mut starts: HashSet<Recovered, FastBuildHasher> = HashSet::default();
    for state in &reached.states {
        let state = fleet.recover(state);
        starts.insert(Recovered { state, former: fleet.primary(&state) as u8, hours: 0 });
    }
    let starts: Vec<_> = starts.into_iter().collect();
    let recovered = starts.len();
    let mut recovery = Recovery { fleet, starts };
    let mut edges = Vec::new();
    let (after, visited) = explore_all(&mut recovery, usize::MAX, Some(&mut edges));
    // Backwards from the states in which the rotation is complete.
    let mut is_marked: Vec<_> =
        visited.states.iter().map(|state| recovery.is_complete(state)).collect();
    edges.sort_unstable_by_key(|(_, child)| *child);
    let mut open: Vec<_> =
        (0..is_marked.len() as u32).filter(|place| is_marked[*place as usize]).collect();
    while let Some(child) = open.pop() {
        let from = edges.partition_point(|(_, other)| *other < child);
        for (parent, _) in edges[from..].iter().take_while(|(_, other)| *other == child) {
            if !std::mem::replace(&mut is_marked[*parent as usize], true) {
                open.push(*parent);
            }
        }
    }
    let stuck = (0..recovered).find(|place| !is_marked[*place]);
    let stuck = stuck.map(|place| (visited.states[place].state, recovery.describe_keys(place)));
    let found = before.found.or(after.found).or_else(|| {
        let (state, keys) = stuck?;
        let mut fleet = recovery.fleet;
        let place = reached.states.iter().position(|before| fleet.recover(before) == state)?;
        fleet.world = world.clone();
        fleet.documents.forget_steps();
        let run = run_to(&mut fleet, &reached, place);
        let details = format!("no rotation can be completed after a recovery, with {keys}");
        Some(Counterexample { property: Property::P8, details, fleet: world.to_string(), run })
    });
    Checked { reached: before.states, found, recovered, visited: visited.states.len() }
}

impl Recovery {
    /// Describes the keys of the start at `place`.
    fn describe_keys(&self, place: usize) -> String {
        self.fleet.describe_keys(&self.starts[place].state)
    }

    /// Returns whether another key signs and no instance accepts the former one.
    fn is_complete(&mut self, recovered: &Recovered) -> bool {
        let former = usize::from(recovered.former);
        let (primary, live) =
            (self.fleet.primary(&recovered.state), self.fleet.live(&recovered.state));
        primary != former && live & 1 << former == 0
    }
}

impl Model for Recovery {
    type State = Recovered;
    type Action = Action;

    fn describe(&self) -> String {
        format!("{}, after a recovery", self.fleet.world)
    }

    fn starts(&mut self) -> Vec<Recovered> {
        self.starts.clone()
    }

    fn expand(
        &mut self,
        recovered: &Recovered,
        next: &mut Vec<(Action, Recovered)>,
    ) -> Result<(), Violation<Action>> {
        if self.is_complete(recovered) {
            return Ok(());
        }
        let takes_steps = recovered.hours < STEP_HOURS;
        for (action, state) in self.fleet.steps_and_time(&recovered.state, takes_steps)? {
            let state = self.fleet.recover(&state);
            let passed = u8::from(action == Action::PassTime);
            let hours = (recovered.hours + passed).min(STEP_HOURS);
            next.push((action, Recovered { state, hours, ..*recovered }));
        }
        Ok(())
    }
}
