//! Explores families of fleets on several threads.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use dualkey::cookie::CookieSigner;

use super::documents::Step;
use super::engine::{Counterexample, Model, explore};
use super::fleet::{Fleet, World};
use super::operators::check_pairs;
use super::replay::Replay;
use super::step_kinds::names;
use super::worlds::Family;

/// The totals of a family.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub states: usize,
    pub depth: usize,
    /// The sum of the times of all fleets, over all threads.
    pub elapsed: Duration,
    pub manifests: usize,
    /// The number of pairs of manifests that were replayed through real rings.
    pub replayed: usize,
    /// The number of pairs that a ring that follows a store replayed as well.
    pub followed: usize,
    /// The number of pairs of steps that two operators took at once.
    pub pairs: u64,
    /// The number of pairs of which the second step was refused.
    pub refused: u64,
    /// The names of the steps that the library accepted.
    pub accepted: BTreeSet<String>,
    pub found: Option<Counterexample>,
}

/// The number of manifests of a fleet on which two operators take steps at once.
pub const COMPARED: usize = 4;

/// Explores each family, replays every load, and takes pairs of steps of two operators at once.
pub fn run(families: &[Family], threads: usize) -> Vec<Totals> {
    let tasks: Vec<_> = families
        .iter()
        .enumerate()
        .flat_map(|(family, it)| it.worlds().into_iter().map(move |world| (family, world)))
        .collect();
    let next = Mutex::new(tasks.into_iter());
    let totals = Mutex::new(vec![Totals::default(); families.len()]);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let task = next.lock().unwrap().next();
                    let Some((family, world)) = task else { break };
                    let more = run_world(world, COMPARED);
                    totals.lock().unwrap()[family].add(more);
                }
            });
        }
    });
    totals.into_inner().unwrap()
}

impl Totals {
    /// Adds the totals of another fleet.
    pub fn add(&mut self, more: Self) {
        self.states += more.states;
        self.depth = self.depth.max(more.depth);
        self.elapsed += more.elapsed;
        self.manifests += more.manifests;
        self.replayed += more.replayed;
        self.followed += more.followed;
        self.pairs += more.pairs;
        self.refused += more.refused;
        self.accepted.extend(more.accepted);
        self.found = self.found.take().or(more.found);
    }
}

/// Returns a fleet whose loads are replayed.
fn new_fleet(world: World) -> (Fleet, Rc<RefCell<Replay<CookieSigner>>>) {
    let mut fleet = Fleet::new(world);
    let replay = Rc::new(RefCell::new(Replay::default()));
    let shared = Rc::clone(&replay);
    fleet.on_load = Some(Box::new(move |documents, held, loaded, clock| {
        shared.borrow_mut().check(documents, held, loaded, clock)
    }));
    (fleet, replay)
}

/// Explores one fleet, replays every load, and takes pairs of steps on `compared` of its manifests.
pub fn run_world(world: World, compared: usize) -> Totals {
    let started = std::time::Instant::now();
    let (mut fleet, replay) = new_fleet(world.clone());
    let mut exploration = explore(&mut fleet, usize::MAX);
    if exploration.found.is_some() {
        // In the run that is shown, each instance keeps its number.
        let (mut fleet, _) = new_fleet(World { keeps_names: true, ..world });
        exploration.found = explore(&mut fleet, usize::MAX).found.or(exploration.found);
    }
    let mut totals = Totals {
        states: exploration.states,
        depth: exploration.depth,
        manifests: fleet.documents.all.len(),
        replayed: replay.borrow().pairs,
        followed: replay.borrow().followed,
        accepted: names(fleet.documents.accepted_steps()),
        found: exploration.found,
        ..Totals::default()
    };
    let steps: Vec<_> = (0..3)
        .flat_map(|key| {
            [Step::Promote(key), Step::ForcePromote(key), Step::AssumeDeployed(key)]
                .into_iter()
                .chain([Step::Revoke(key), Step::EmergencyRotate(key), Step::Restage(key)])
                .chain([Step::Retire(key), Step::ForceRetire(key)])
                .chain([Step::Destroy(key), Step::ForceDestroy(key)])
        })
        .chain([Step::Stage, Step::Schedule(4), Step::Rollback, Step::ForceRollback])
        .collect();
    let distance = fleet.documents.all.len().div_ceil(compared.max(1));
    for document in (0..fleet.documents.all.len()).step_by(distance).take(compared) {
        let changed_at = fleet.documents.all[document].changed_at;
        let clocks = [changed_at + 1, changed_at + 2];
        match check_pairs(&mut fleet.documents, document as u32, &steps, clocks) {
            Ok(compared) => {
                totals.pairs += compared.pairs;
                totals.refused += compared.refused;
            }
            Err((property, details)) => {
                let fleet = fleet.describe();
                totals.found.get_or_insert(Counterexample {
                    property,
                    details,
                    fleet,
                    run: Vec::new(),
                });
            }
        }
    }
    totals.elapsed = started.elapsed();
    totals
}
