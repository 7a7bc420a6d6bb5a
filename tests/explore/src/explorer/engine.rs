//! A breadth-first search. The first run that breaks a property is therefore a shortest one.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::{Duration, Instant};

use indexmap::IndexSet;

use super::property::Property;

/// A transition system. [`explore`] visits each reachable state.
pub trait Model {
    type State: Copy + Eq + Hash;
    type Action: fmt::Display;

    /// Describes the bounds that a reader of a run needs.
    fn describe(&self) -> String;

    /// Returns the states in which a run starts.
    fn starts(&mut self) -> Vec<Self::State>;

    /// Adds each action that is enabled in `state` to `next`, with the state after it.
    ///
    /// # Errors
    /// The property that `state` or an action breaks.
    fn expand(
        &mut self,
        state: &Self::State,
        next: &mut Vec<(Self::Action, Self::State)>,
    ) -> Result<(), Violation<Self::Action>>;
}

/// A property that does not hold.
#[derive(Debug)]
pub struct Violation<A> {
    pub property: Property,
    /// The facts that break it.
    pub details: String,
    /// The action that breaks it, or `None` if the state does.
    pub action: Option<A>,
}

/// Returns the violation of a property.
///
/// # Errors
/// Always.
pub fn violation<T, A>(property: Property, details: String) -> Result<T, Violation<A>> {
    Err(Violation { property, details, action: None })
}

/// A shortest run that breaks a property.
#[derive(Debug, Clone)]
pub struct Counterexample {
    pub property: Property,
    pub details: String,
    /// The bounds of the fleet, in words.
    pub fleet: String,
    /// The actions from the start, in words.
    pub run: Vec<String>,
}

/// The result of a search.
#[derive(Debug, Clone, Default)]
pub struct Exploration {
    /// The number of distinct states.
    pub states: usize,
    /// The most actions that are needed to reach a state from a start.
    pub depth: usize,
    pub elapsed: Duration,
    pub found: Option<Counterexample>,
}

/// A hash function of few instructions. With the standard one, a search spends most of its time there.
#[derive(Default, Clone)]
pub struct FastHasher(u64);

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 29
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

pub type FastBuildHasher = BuildHasherDefault<FastHasher>;

/// The states that a search has visited, in order, each with the state before it.
pub struct Visited<S> {
    pub states: IndexSet<S, FastBuildHasher>,
    parents: Vec<u32>,
}

const NO_PARENT: u32 = u32::MAX;

impl<S: Copy + Eq + Hash> Visited<S> {
    fn new() -> Self {
        Self { states: IndexSet::default(), parents: Vec::new() }
    }

    /// Adds a state unless it is there, and returns its place.
    fn insert(&mut self, state: S, parent: u32) -> u32 {
        let (place, is_new) = self.states.insert_full(state);
        if is_new {
            self.parents.push(parent);
        }
        place as u32
    }

    /// Returns the places of the states from a start to the one at `place`.
    fn path(&self, place: usize) -> Vec<usize> {
        let mut path = vec![place];
        let mut parent = self.parents[place];
        while parent != NO_PARENT {
            path.push(parent as usize);
            parent = self.parents[parent as usize];
        }
        path.reverse();
        path
    }
}

/// Visits every state, up to `limit` of them, until a property is broken.
pub fn explore<M: Model>(model: &mut M, limit: usize) -> Exploration {
    explore_all(model, limit, None).0
}

/// Visits every state like [`explore`], and returns the states. Adds the places of both states of each
/// action to `edges`.
pub fn explore_all<M: Model>(
    model: &mut M,
    limit: usize,
    mut edges: Option<&mut Vec<(u32, u32)>>,
) -> (Exploration, Visited<M::State>) {
    let started = Instant::now();
    let mut visited = Visited::new();
    for state in model.starts() {
        visited.insert(state, NO_PARENT);
    }
    let mut exploration = Exploration::default();
    let (mut place, mut layer_end) = (0, visited.states.len());
    let mut next = Vec::new();
    while let Some(state) = visited.states.get_index(place).copied() {
        if place == layer_end {
            exploration.depth += 1;
            layer_end = visited.states.len();
        }
        next.clear();
        let expanded = model.expand(&state, &mut next);
        if let Err(violation) = expanded {
            exploration.found = Some(build_counterexample(model, &visited, place, violation));
            break;
        }
        if visited.states.len() >= limit {
            break;
        }
        for (_, state) in next.drain(..) {
            let child = visited.insert(state, place as u32);
            if let Some(edges) = &mut edges {
                edges.push((place as u32, child));
            }
        }
        place += 1;
    }
    exploration.states = visited.states.len();
    exploration.elapsed = started.elapsed();
    (exploration, visited)
}

/// Builds the counterexample that ends in the state at `place`.
fn build_counterexample<M: Model>(
    model: &mut M,
    visited: &Visited<M::State>,
    place: usize,
    violation: Violation<M::Action>,
) -> Counterexample {
    let mut run = run_to(model, visited, place);
    run.extend(violation.action.map(|action| action.to_string()));
    let Violation { property, details, .. } = violation;
    Counterexample { property, details, fleet: model.describe(), run }
}

/// Returns the actions that lead to the state at `place`, in words. Takes them again to name them.
pub fn run_to<M: Model>(model: &mut M, visited: &Visited<M::State>, place: usize) -> Vec<String> {
    let path = visited.path(place);
    let mut run = Vec::new();
    for pair in path.windows(2) {
        let mut next = Vec::new();
        // The states on the way break nothing.
        let _ = model.expand(&visited.states[pair[0]], &mut next);
        let taken = next.into_iter().find(|(_, state)| *state == visited.states[pair[1]]);
        run.extend(taken.map(|(action, _)| action.to_string()));
    }
    run
}
