//! A small fleet: instances that follow one store, and operators who change it.
//!
//! Each running instance signs with its primary at each moment, and is shown whatever any of them has
//! signed. An instance reads any document that the store may still show it, within the rollout window of
//! the next one. Operators take any step at any moment; a step may be stored later than it was
//! computed, and then conflicts if another was faster. Clocks are off by up to the skew.

use std::fmt;

use dualkey::Purpose;

use super::documents::{
    Broken, Declared, Document, Documents, INSTANCES, KEYS, OBSERVATION, Reports, Said, Step, Taken,
};
use super::engine::{Model, Violation};

/// The most documents of a state, from the oldest that an instance holds.
const HISTORY: usize = 6;
/// The place of an instance that does not run.
const DOWN: u8 = u8::MAX;
/// There is no report.
const NO_REPORT: u8 = u8::MAX;
/// The report is of a document that no running instance holds any more.
const OLD_REPORT: u8 = u8::MAX - 1;
/// Every instance may reject what the key signed.
const EVERYWHERE: u8 = u8::MAX;
/// A moment that is over, whatever the clock.
const LONG_AGO: u8 = 1;

/// What a fleet declares, and what really happens to it.
#[derive(Debug, Clone)]
pub struct World {
    pub declared: Declared,
    /// The instances that run at the start, and those that may join.
    pub running: usize,
    pub joining: usize,
    pub operators: usize,
    /// The most keys of a manifest.
    pub keys: usize,
    /// So far each clock is ahead of the right time.
    pub clocks: [u8; INSTANCES],
    pub operator_clocks: [u8; 2],
    /// The most steps, and the most starts and stops of instances.
    pub steps: u8,
    pub disturbances: u8,
    /// The tick at which a run ends, counted from its start.
    pub horizon: u8,
    pub menu: &'static [Kind],
    /// True if a step may be stored later than it was computed.
    pub has_delays: bool,
    /// How old what an instance serves may be, in ticks.
    pub max_staleness: Option<u8>,
    /// True if instances that are alike are not exchanged: there are more states, and a run says of
    /// each action which instance takes it.
    pub keeps_names: bool,
    pub happens: Happens,
}

/// What happens beyond what is declared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Happens {
    /// A signed value lives longer than the policy says, by so many ticks.
    pub longer_lifetime: u8,
    /// An instance acts on a step later than within the rollout window, by so many ticks.
    pub later: u8,
    /// An instance may lose its store for ever.
    pub can_lose_store: bool,
    /// A key is promoted whatever the instances report, and no step declares what that does.
    pub has_no_gate: bool,
    /// The first report of an instance that joins is lost.
    pub loses_first_report: bool,
    /// A process that starts may read an older document than any instance holds.
    pub starts_go_back: bool,
    /// Instances are told of a leak on their own, and a reload makes them forget that.
    pub forgets_revocations: bool,
    /// Instances are told of a leak on their own.
    pub revokes_locally: bool,
}

/// The steps that operators take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Stage,
    /// So many ticks more than the rollout window and the skew ahead; less, if that is negative.
    Schedule(i8),
    Promote,
    ForcePromote,
    AssumeDeployed,
    Rollback,
    ForceRollback,
    Retire,
    ForceRetire,
    Restage,
    Revoke,
    EmergencyRotate,
    Destroy,
    ForceDestroy,
    SetPolicy(Declared),
}

/// Every step, with the policies to which a fleet of 2 h, 1 h and 1 h changes.
pub const EVERY_STEP: &[Kind] = &[
    Kind::Stage,
    Kind::Schedule(0),
    Kind::Schedule(3),
    Kind::Promote,
    Kind::ForcePromote,
    Kind::AssumeDeployed,
    Kind::Rollback,
    Kind::ForceRollback,
    Kind::Retire,
    Kind::ForceRetire,
    Kind::Restage,
    Kind::Revoke,
    Kind::EmergencyRotate,
    Kind::Destroy,
    Kind::ForceDestroy,
    Kind::SetPolicy(Declared { lifetime: 1, rollout: 1, skew: 1 }),
    Kind::SetPolicy(Declared { lifetime: 1, rollout: 2, skew: 1 }),
    Kind::SetPolicy(Declared { lifetime: 4, rollout: 1, skew: 1 }),
];

impl World {
    fn menu(&self, document: &Document) -> Vec<Step> {
        let count = document.key_count();
        let keys = |step: fn(usize) -> Step| (0..count).map(step).collect::<Vec<_>>();
        let has_room = count < self.keys;
        let steps = |kind: &Kind| match *kind {
            Kind::Stage if has_room => vec![Step::Stage],
            Kind::Schedule(more) if has_room => {
                let window = document.rollout(document.changed_at) + document.declared.skew;
                vec![Step::Schedule(window.saturating_add_signed(more.into()))]
            }
            Kind::Stage | Kind::Schedule(_) => Vec::new(),
            Kind::Promote => keys(Step::Promote),
            Kind::ForcePromote => keys(Step::ForcePromote),
            Kind::AssumeDeployed => keys(Step::AssumeDeployed),
            Kind::Rollback => vec![Step::Rollback],
            Kind::ForceRollback => vec![Step::ForceRollback],
            Kind::Retire => keys(Step::Retire),
            Kind::ForceRetire => keys(Step::ForceRetire),
            Kind::Restage => keys(Step::Restage),
            Kind::Revoke => keys(Step::Revoke),
            Kind::EmergencyRotate => keys(Step::EmergencyRotate),
            Kind::Destroy => keys(Step::Destroy),
            Kind::ForceDestroy => keys(Step::ForceDestroy),
            Kind::SetPolicy(declared) if declared != document.declared => {
                vec![Step::SetPolicy(declared)]
            }
            Kind::SetPolicy(_) => Vec::new(),
        };
        self.menu.iter().flat_map(steps).collect()
    }

    fn slots(&self) -> usize {
        self.running + self.joining
    }
}

/// A state of the fleet. In a few bytes, as there are millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// The documents in order, from the oldest that an instance holds.
    documents: [u32; HISTORY],
    /// By operator: one more than the place of the step that is computed and not stored.
    pending: [u32; 2],
    pended_at: [u8; 2],
    /// By document: the tick at which every instance holds it.
    due: [u8; HISTORY],
    length: u8,
    pub now: u8,
    pub steps: u8,
    pub disturbed: u8,
    pub instances: [Instance; INSTANCES],
    /// By key: until when what it signed is valid, by any clock.
    valid_until: [u8; KEYS],
    /// By key: an instance that holds an older document than this one may reject what it signs,
    /// because the step said so.
    declared: [u8; KEYS],
    /// By key: when its revocation was stored.
    revoked_at: [u8; KEYS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance {
    /// The place of its document.
    holds: u8,
    /// The place of the document of its last report.
    reported: u8,
    /// When it was stopped, by its clock.
    stopped_at: u8,
    /// When it last read the store, by its clock; 0 where that makes no difference.
    read_at: u8,
    /// The keys of which it was told on its own that they leaked, by bit.
    told: u8,
    /// Those that it still knows.
    kept: u8,
}

impl Instance {
    fn is_running(&self) -> bool {
        self.holds != DOWN
    }
}

impl State {
    fn latest(&self) -> u32 {
        self.documents[usize::from(self.length) - 1]
    }

    fn document(&self, instance: &Instance) -> u32 {
        self.documents[usize::from(instance.holds)]
    }

    /// The oldest place that the store may still show.
    fn oldest_shown(&self) -> u8 {
        let is_overdue = |place: &u8| self.due[usize::from(*place)] <= self.now;
        (1..self.length).rev().find(is_overdue).unwrap_or(0)
    }

    fn running(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| instance.is_running())
    }
}

/// What an instance serves with.
struct Serving {
    document: u32,
    /// What its clock shows.
    clock: u64,
    /// The keys that it accepts, by bit.
    live: u8,
    primary: usize,
    primaries: usize,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Time,
    Step { operator: usize, step: Step },
    Compute { operator: usize, step: Step },
    Store { operator: usize, step: Step },
    Reload { instance: usize, behind: u8 },
    Report { instance: usize },
    Start { instance: usize, behind: u8 },
    Stop { instance: usize },
    Tell { instance: usize, key: usize },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latest = |behind: u8| match behind {
            0 => "the latest manifest".to_owned(),
            behind => format!("the manifest {behind} before the latest"),
        };
        match self {
            Self::Time => f.write_str("an hour passes"),
            Self::Step { operator, step } => write!(f, "operator {operator}: {step}"),
            Self::Compute { operator, step } => {
                write!(f, "operator {operator} computes, and does not store yet: {step}")
            }
            Self::Store { operator, step } => write!(f, "operator {operator} stores: {step}"),
            Self::Reload { instance, behind } => {
                write!(f, "instance {instance} loads {}", latest(*behind))
            }
            Self::Report { instance } => write!(f, "instance {instance} reports"),
            Self::Start { instance, behind } => {
                write!(f, "instance {instance} starts with {}", latest(*behind))
            }
            Self::Stop { instance } => write!(f, "instance {instance} stops"),
            Self::Tell { instance, key } => write!(f, "instance {instance} revokes k{key} itself"),
        }
    }
}

/// A fleet, and all manifests that it has had.
pub struct Fleet {
    pub world: World,
    pub documents: Documents,
    /// The steps that may be stored later.
    changes: Vec<Taken>,
    /// Called with each document that an instance holds, the one that it loads, and its clock.
    pub on_load: Option<LoadCheck>,
}

/// Checks a load: by the documents, the one that is held, the one that is loaded, and the clock.
pub type LoadCheck = Box<dyn FnMut(&mut Documents, u32, u32, u64) -> Result<(), Broken>>;

type Found = Violation<Action>;

impl Fleet {
    pub fn new(world: World) -> Self {
        let documents = Documents::new(Purpose::Cookie, world.keys);
        Self { world, documents, changes: Vec::new(), on_load: None }
    }

    /// The tick at which a run starts: every instance has held the first manifest for a window, and no
    /// report or bucket lies before tick 0.
    fn first_tick(&self) -> u8 {
        let window = self.world.declared.window().max(OBSERVATION) as u8;
        // The clocks may be off by more than what is declared.
        window + 2
    }

    fn clock(&self, state: &State, instance: usize) -> u64 {
        u64::from(state.now) + u64::from(self.world.clocks[instance])
    }

    fn operator_clock(&self, state: &State, operator: usize) -> u64 {
        u64::from(state.now) + u64::from(self.world.operator_clocks[operator])
    }

    /// Returns whether the instance serves nothing, because what it holds is too old.
    fn is_stale(&self, state: &State, instance: usize) -> bool {
        let read_at = u64::from(state.instances[instance].read_at);
        let age = self.world.max_staleness;
        age.is_some_and(|age| self.clock(state, instance) >= read_at + u64::from(age))
    }

    /// What the operators read of the instances.
    fn reports(&self, state: &State) -> Reports {
        let latest = self.documents.get(state.latest()).fingerprint;
        let mut reports = Reports::default();
        for (index, instance) in state.instances.iter().enumerate() {
            if instance.reported == NO_REPORT {
                continue;
            }
            let agrees = instance.reported != OLD_REPORT && {
                let reported = state.documents[usize::from(instance.reported)];
                self.documents.get(reported).fingerprint == latest
            };
            let at = match instance.is_running() {
                true => self.clock(state, index) as u8,
                false => instance.stopped_at,
            };
            reports[index] = Said { is_there: true, at, agrees, rewrap: None };
        }
        // Their names make no difference.
        let key = |said: &Said| (said.is_there, said.at, said.agrees);
        reports.sort_unstable_by_key(key);
        reports
    }

    /// Every instance that serves signs with its primary, until `later` ticks from now.
    fn sign(&mut self, state: &mut State, later: u64) {
        for index in 0..self.world.slots() {
            let Some(serving) = self.serving(state, index) else { continue };
            let lifetime = self.documents.get(serving.document).declared.lifetime;
            let more = u64::from(self.world.happens.longer_lifetime);
            let until = (serving.clock + later + lifetime + more) as u8;
            let valid_until = &mut state.valid_until[serving.primary];
            *valid_until = (*valid_until).max(until);
        }
    }

    /// What an instance serves with. `None`, if it does not run, must load the store first, holds what
    /// is too old, or knows that its primary leaked.
    fn serving(&mut self, state: &State, index: usize) -> Option<Serving> {
        let instance = &state.instances[index];
        if !instance.is_running() || self.is_stale(state, index) {
            return None;
        }
        let mut missing = instance.holds + 1..state.length;
        if missing.any(|place| state.due[usize::from(place)] <= state.now)
            && !self.world.happens.can_lose_store
        {
            return None;
        }
        let (document, clock) = (state.document(instance), self.clock(state, index));
        let roles = self.documents.roles(document, clock);
        let primary = roles.primary.filter(|key| instance.kept & 1 << key == 0)?;
        let live = roles.live & !instance.kept;
        Some(Serving { document, clock, live, primary, primaries: roles.primaries })
    }

    /// Lets every running instance sign, and removes what makes no difference any more.
    fn normal(&mut self, mut state: State) -> State {
        self.sign(&mut state, 0);
        self.shift(&mut state);
        let now = state.now;
        for due in &mut state.due[..usize::from(state.length)] {
            *due = if *due <= now { LONG_AGO } else { *due };
        }
        state.due[0] = LONG_AGO;
        state.due[usize::from(state.length)..].fill(0);
        for until in &mut state.valid_until {
            *until = if *until <= now { 0 } else { *until };
        }
        let bound = self.propagation();
        for revoked_at in &mut state.revoked_at {
            let is_over = *revoked_at != 0 && *revoked_at + bound <= now;
            *revoked_at = if is_over { LONG_AGO } else { *revoked_at };
        }
        // A report of a stopped instance counts for nothing after this.
        let window = self.documents.get(state.latest()).declared.window() as u8;
        let kept = window.max(self.world.declared.window() as u8 + 2).max(OBSERVATION as u8) + 3;
        for instance in &mut state.instances {
            if instance.is_running() {
                instance.stopped_at = 0;
            } else if instance.reported != NO_REPORT && instance.stopped_at + kept <= now {
                instance.stopped_at = LONG_AGO;
            }
        }
        self.sort(&mut state);
        state
    }

    /// Drops the documents that no instance holds and none can load any more.
    fn shift(&self, state: &mut State) {
        let held = state.running().map(|instance| instance.holds).min();
        let mut oldest = held.unwrap_or(0);
        if self.world.happens.starts_go_back {
            oldest = oldest.min(state.oldest_shown());
        }
        let (from, length) = (usize::from(oldest), usize::from(state.length));
        state.documents.copy_within(from..length, 0);
        state.due.copy_within(from..length, 0);
        state.length -= oldest;
        state.documents[usize::from(state.length)..].fill(0);
        for instance in &mut state.instances {
            if instance.is_running() {
                instance.holds -= oldest;
            }
            instance.reported = match instance.reported {
                NO_REPORT | OLD_REPORT => instance.reported,
                place => place.checked_sub(oldest).unwrap_or(OLD_REPORT),
            };
        }
        for place in &mut state.declared {
            if *place != EVERYWHERE {
                *place = place.saturating_sub(oldest);
            }
        }
    }

    /// Instances with equal clocks are alike, and so are operators.
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
            let mut both = [0, 1].map(|place| (state.pending[place], state.pended_at[place]));
            both.sort_unstable();
            state.pending = both.map(|(change, _)| change);
            state.pended_at = both.map(|(_, at)| at);
        }
    }

    /// The time from the storing of a revocation until no instance accepts the key.
    fn propagation(&self) -> u8 {
        let longest = self.world.menu.iter().map(|kind| match kind {
            Kind::SetPolicy(declared) => declared.rollout,
            _ => 0,
        });
        let rollout = longest.max().unwrap_or(0).max(self.world.declared.rollout) as u8;
        rollout.max(self.world.max_staleness.unwrap_or(0))
    }

    /// P1 to P4, of a state.
    fn check(&mut self, state: &State) -> Result<(), Found> {
        let latest = state.latest();
        let known_revoked = self.documents.get(latest).revoked;
        let told = state.instances.iter().fold(0, |all, instance| all | instance.told);
        for index in 0..self.world.slots() {
            let instance = state.instances[index];
            let Some(serving) = self.serving(state, index) else { continue };
            if serving.primaries != 1 {
                let what = format!("instance {index} has {} primaries", serving.primaries);
                return violation("P3", what);
            }
            let held_revoked = self.documents.get(serving.document).revoked;
            for key in 0..KEYS {
                let (bit, is_live) = (1 << key, serving.live & 1 << key != 0);
                if held_revoked & bit != 0 && is_live {
                    let what =
                        format!("instance {index} accepts k{key}, which its manifest revokes");
                    return violation("P2", what);
                }
                if instance.told & bit != 0 && is_live {
                    let what = format!("instance {index} accepts k{key}, which it revoked");
                    return violation("P5", what);
                }
                let revoked_at = state.revoked_at[key];
                let is_late = revoked_at != 0 && revoked_at + self.propagation() <= state.now;
                if is_late && is_live {
                    let what = format!(
                        "instance {index} accepts k{key} for too long after its revocation"
                    );
                    return violation("P2", what);
                }
                let is_valid = serving.clock < state.valid_until[key].into();
                let is_declared =
                    state.declared[key] == EVERYWHERE || instance.holds < state.declared[key];
                if is_valid && !is_live && !is_declared && (known_revoked | told) & bit == 0 {
                    let what = format!("instance {index} rejects what k{key} signed");
                    return violation("P1", what);
                }
            }
        }
        self.check_verdicts(state)
    }

    /// P4.
    fn check_verdicts(&mut self, state: &State) -> Result<(), Found> {
        let (latest, reports) = (state.latest(), self.reports(state));
        let revoked = self.documents.get(latest).revoked;
        let mut signing = 0;
        for index in 0..self.world.slots() {
            signing |= self.serving(state, index).map_or(0, |serving| 1 << serving.primary);
        }
        let slowest = (0..self.world.slots()).map(|index| self.clock(state, index)).min();
        let slowest = slowest.unwrap_or(u64::from(state.now));
        for operator in 0..self.world.operators {
            let clock = self.operator_clock(state, operator);
            let primary = self.documents.roles(latest, clock).primary;
            for key in 0..KEYS {
                let bit = 1 << key;
                let is_needed = slowest < state.valid_until[key].into() || signing & bit != 0;
                let is_exempt = revoked & bit != 0 || state.declared[key] == EVERYWHERE;
                // The verdict on a primary needs no evidence.
                if !is_needed || is_exempt || primary == Some(key) {
                    continue;
                }
                if self.documents.is_safe(latest, clock, &reports, key) {
                    let until = state.valid_until[key];
                    let what = format!(
                        "the verdict on k{key} is `Safe`, and what it signed is valid for {} h",
                        u64::from(until).saturating_sub(slowest)
                    );
                    return violation("P4", what);
                }
            }
        }
        Ok(())
    }

    /// The state after `taken` was stored: computed at the tick `computed_at`.
    fn push(&mut self, state: &State, taken: &Taken, computed_at: u8) -> Result<State, Found> {
        let mut next = *state;
        let place = next.length;
        next.documents[usize::from(place)] = taken.document;
        next.due[usize::from(place)] = computed_at + taken.rollout + self.world.happens.later;
        next.length += 1;
        next.steps += 1;
        // The other operator gets a conflict.
        (next.pending, next.pended_at) = ([0; 2], [0; 2]);
        let (before, document) = (state.latest(), taken.document);
        let changed_at = self.documents.get(document).changed_at;
        if taken.effect.new_rejected && !self.world.happens.has_no_gate {
            let primary = self.documents.roles(document, changed_at).primary;
            if let Some(key) = primary {
                next.declared[key] = next.declared[key].max(place);
            }
        }
        if let Some(key) = taken.cut {
            next.declared[key] = EVERYWHERE;
        }
        let revoked = self.documents.get(document).revoked & !self.documents.get(before).revoked;
        for key in (0..KEYS).filter(|key| revoked & 1 << key != 0) {
            next.revoked_at[key] = computed_at;
            if taken.effect.compromised_accepted {
                continue;
            }
            for index in 0..self.world.slots() {
                let serving = self.serving(state, index);
                if serving.is_some_and(|serving| serving.live & 1 << key != 0) {
                    let what = format!(
                        "instance {index} accepts k{key}, and the step says that none does"
                    );
                    return violation("P2", what);
                }
            }
        }
        Ok(next)
    }

    fn add_steps(&mut self, state: &State, next: &mut Vec<(Action, State)>) -> Result<(), Found> {
        for operator in 0..self.world.operators {
            if let Some(place) = state.pending[operator].checked_sub(1) {
                let taken = self.changes[place as usize];
                let computed_at = state.pended_at[operator];
                // Within the rollout window every instance must hold it.
                if state.now < computed_at + taken.rollout && state.steps < self.world.steps {
                    let pushed = self.push(state, &taken, computed_at)?;
                    next.push((Action::Store { operator, step: taken.step }, pushed));
                }
                continue;
            }
            if state.steps >= self.world.steps {
                continue;
            }
            let clock = self.operator_clock(state, operator);
            let reports = self.reports(state);
            let world = &self.world;
            let accepted = self
                .documents
                .take_all(state.latest(), clock, &reports, |document| world.menu(document));
            if let Some(((property, what), step)) = self.documents.broken.take() {
                let action = Some(Action::Step { operator, step });
                return Err(Violation { property, what, action });
            }
            let is_deployed = state.running().all(|instance| instance.holds + 1 == state.length);
            for taken in accepted.iter().flat_map(|taken| taken.iter()) {
                // An operator who says so knows it.
                if matches!(taken.step, Step::AssumeDeployed(_)) && !is_deployed {
                    continue;
                }
                let step = taken.step;
                let pushed = self.push(state, taken, state.now).map_err(|found| Violation {
                    action: Some(Action::Step { operator, step }),
                    ..found
                })?;
                next.push((Action::Step { operator, step }, pushed));
                if self.world.has_delays {
                    let mut later = *state;
                    later.pending[operator] = self.change(taken);
                    later.pended_at[operator] = state.now;
                    next.push((Action::Compute { operator, step }, later));
                }
            }
        }
        Ok(())
    }

    /// One more than the place of `taken` among the steps that may be stored later.
    fn change(&mut self, taken: &Taken) -> u32 {
        let is_same = |other: &Taken| {
            (other.document, other.effect, other.rollout, other.cut)
                == (taken.document, taken.effect, taken.rollout, taken.cut)
        };
        // Most are found near the end.
        let known = self.changes.iter().rposition(is_same);
        let place = known.unwrap_or_else(|| {
            self.changes.push(*taken);
            self.changes.len() - 1
        });
        place as u32 + 1
    }

    fn add_instances(
        &mut self,
        state: &State,
        next: &mut Vec<(Action, State)>,
    ) -> Result<(), Found> {
        let latest = state.length - 1;
        let has_room = state.disturbed < self.world.disturbances;
        for index in 0..self.world.slots() {
            let instance = state.instances[index];
            let clock = self.clock(state, index);
            let mut add = |action, changed: Instance, disturbed: u8| {
                let mut after = *state;
                after.instances[index] = changed;
                after.disturbed += disturbed;
                next.push((action, after));
            };
            let read_at = if self.world.max_staleness.is_some() { clock as u8 } else { 0 };
            if instance.is_running() {
                // The same document again only counts where its age does.
                let first = instance.holds + u8::from(read_at == instance.read_at);
                let first = first.max(state.oldest_shown());
                for place in first..=latest {
                    let kept =
                        if self.world.happens.forgets_revocations { 0 } else { instance.kept };
                    let loaded = Instance { holds: place, read_at, kept, ..instance };
                    let behind = latest - place;
                    add(Action::Reload { instance: index, behind }, loaded, 0);
                    if place != instance.holds
                        && let Some(mut check) = self.on_load.take()
                    {
                        let (held, loaded) =
                            (state.document(&instance), state.documents[usize::from(place)]);
                        let checked = check(&mut self.documents, held, loaded, clock);
                        self.on_load = Some(check);
                        checked.map_err(|(property, what)| Violation {
                            property,
                            what,
                            action: Some(Action::Reload { instance: index, behind }),
                        })?;
                    }
                }
                if instance.reported != instance.holds {
                    let reported = Instance { reported: instance.holds, ..instance };
                    add(Action::Report { instance: index }, reported, 0);
                }
                if self.world.happens.revokes_locally {
                    let roles = self.documents.roles(state.document(&instance), clock);
                    let keys = (0..KEYS).filter(|key| roles.live & !instance.kept & 1 << key != 0);
                    for key in keys.filter(|key| roles.primary != Some(*key)) {
                        let (told, kept) = (instance.told | 1 << key, instance.kept | 1 << key);
                        let told = Instance { told, kept, ..instance };
                        add(Action::Tell { instance: index, key }, told, 0);
                    }
                }
                if has_room {
                    let stopped = Instance {
                        holds: DOWN,
                        stopped_at: clock as u8,
                        read_at: 0,
                        told: 0,
                        kept: 0,
                        ..instance
                    };
                    add(Action::Stop { instance: index }, stopped, 1);
                }
            } else if has_room {
                for place in state.oldest_shown()..=latest {
                    let loses_it =
                        self.world.happens.loses_first_report && instance.reported == NO_REPORT;
                    let reported = if loses_it { NO_REPORT } else { place };
                    let started = Instance {
                        holds: place,
                        reported,
                        stopped_at: 0,
                        read_at,
                        told: 0,
                        kept: 0,
                    };
                    add(Action::Start { instance: index, behind: latest - place }, started, 1);
                }
            }
        }
        Ok(())
    }

    /// The state in which every instance runs, holds what the store does, and has said so.
    pub fn recover(&mut self, state: &State) -> State {
        let mut after = *state;
        let latest = after.length - 1;
        for index in 0..self.world.slots() {
            let read_at = self.world.max_staleness.map_or(0, |_| self.clock(state, index) as u8);
            let instance = &mut after.instances[index];
            *instance =
                Instance { holds: latest, reported: latest, read_at, stopped_at: 0, ..*instance };
        }
        (after.pending, after.pended_at, after.disturbed) = ([0; 2], [0; 2], 0);
        self.normal(after)
    }

    /// The key that signs, by what the store holds.
    pub fn primary(&mut self, state: &State) -> usize {
        let clock = self.operator_clock(state, 0);
        self.documents.roles(state.latest(), clock).primary.unwrap_or(KEYS)
    }

    /// The keys that any instance accepts, by bit, if each holds what the store does.
    pub fn live(&mut self, state: &State) -> u8 {
        let clocks: Vec<_> =
            (0..self.world.slots()).map(|index| self.clock(state, index)).collect();
        let live = |clock| self.documents.roles(state.latest(), clock).live;
        clocks.into_iter().map(live).fold(0, |all, live| all | live)
    }

    /// An hour, and the steps of operators if they take any, each with the state after it.
    pub fn steps_and_time(&mut self, state: &State, takes_steps: bool) -> Vec<(Action, State)> {
        let mut next = Vec::new();
        if takes_steps {
            // Whatever breaks here is found by the search itself.
            let _ = self.add_steps(state, &mut next);
        }
        next.extend(self.later(state).map(|later| (Action::Time, later)));
        next
    }

    /// A state in words.
    pub fn describe(&self, state: &State) -> String {
        let manifest = &self.documents.get(state.latest()).manifest;
        format!("at {} h: {:?}", state.now, manifest.keys())
    }

    /// The state an hour later; `None`, if an instance must load the store before.
    fn later(&mut self, state: &State) -> Option<State> {
        let mut next = *state;
        // What they sign until then.
        self.sign(&mut next, 1);
        next.now += 1;
        // It may load the store at the last moment.
        let is_late = |instance: &Instance| {
            let mut missing = instance.holds + 1..state.length;
            missing.any(|place| state.due[usize::from(place)] < next.now)
        };
        let is_bound = !self.world.happens.can_lose_store;
        let is_over = next.now >= self.first_tick() + self.world.horizon;
        if is_over || is_bound && state.running().any(is_late) {
            return None;
        }
        for operator in 0..2 {
            // Who waits for longer than the rollout window does not store it.
            if let Some(place) = state.pending[operator].checked_sub(1) {
                let taken = &self.changes[place as usize];
                if state.pended_at[operator] + taken.rollout <= next.now {
                    (next.pending[operator], next.pended_at[operator]) = (0, 0);
                }
            }
        }
        Some(next)
    }
}

fn violation<T>(property: &'static str, what: String) -> Result<T, Found> {
    Err(Violation { property, what, action: None })
}

impl Model for Fleet {
    type State = State;
    type Action = Action;

    fn starts(&mut self) -> Vec<State> {
        let document = self.documents.first(self.world.declared, 0);
        let now = self.first_tick();
        let mut instances = [Instance {
            holds: DOWN,
            reported: NO_REPORT,
            stopped_at: 0,
            read_at: 0,
            told: 0,
            kept: 0,
        }; INSTANCES];
        for (index, instance) in instances[..self.world.running].iter_mut().enumerate() {
            let read_at = self.world.max_staleness.map_or(0, |_| now + self.world.clocks[index]);
            (instance.holds, instance.reported, instance.read_at) = (0, 0, read_at);
        }
        let mut documents = [0; HISTORY];
        documents[0] = document;
        let state = State {
            documents,
            pending: [0; 2],
            pended_at: [0; 2],
            due: [0; HISTORY],
            length: 1,
            now,
            steps: 0,
            disturbed: 0,
            instances,
            valid_until: [0; KEYS],
            declared: [0; KEYS],
            revoked_at: [0; KEYS],
        };
        vec![self.normal(state)]
    }

    fn expand(&mut self, state: &State, next: &mut Vec<(Action, State)>) -> Result<(), Found> {
        self.check(state)?;
        if let Some(later) = self.later(state) {
            next.push((Action::Time, later));
        }
        self.add_steps(state, next)?;
        self.add_instances(state, next)?;
        for (_, state) in next.iter_mut() {
            *state = self.normal(*state);
        }
        Ok(())
    }
}
