//! Rows under the keys of an encryption ring, and the rewraps that bring them under new ones.
//!
//! Each running instance seals a row with its primary at each moment, and is shown every row. Rows never
//! end: only a rewrap brings them under another key. A rewrap looks at the rows of each key in any order,
//! while instances seal more of them, before it and behind it. What it has found is known to the instance
//! that ran it, and to the operators from the next report of that on.
//!
//! No instance ever uses an old key after a rewrap: such a use is one more obstacle to a retirement, so
//! the run without it comes nearest to a loss.
//!
//! Three properties hold, but where a step was forced or has declared its effect:
//! - R1: each running instance can open each row. The secret of a revoked key is there for as long as a
//!   row is under it.
//! - R2: the verdict is `Safe` only for a key that no row is under and that no instance seals with.
//! - R3: no key is destroyed that a row is under.
//!
//! A rewrap of an instance uses the document that the instance holds when it looks at a row. A rewrap
//! command uses the one with which it started, and is over within the rollout window of the next step.

use std::fmt;

use dualkey::{KeyState, Purpose, Role};

use super::documents::{
    Declared, Document, Documents, INSTANCES, KEYS, OBSERVATION, Reports, Rewrap, Said, Step, Taken,
};
use super::engine::{Model, Violation};
use super::fleet::Kind;

/// The most documents of a state, from the oldest that an instance or a rewrap holds.
const HISTORY: usize = 6;
/// The most instances. The last report is that of a rewrap command.
const SLOTS: usize = INSTANCES - 1;
/// The place of an instance that does not run.
const DOWN: u8 = u8::MAX;
/// There is no report.
const NO_REPORT: u8 = u8::MAX;
/// The report is of a document that is held no more.
const OLD_REPORT: u8 = u8::MAX - 1;
/// Every instance may reject what the key sealed: the step that ended it was forced.
const EVERYWHERE: u8 = u8::MAX;
/// A moment that is over, whatever the clock.
const LONG_AGO: u8 = 1;
/// The most rewraps at one time.
const REWRAPS: usize = 2;
/// The owner of a rewrap that does not run.
const IDLE: u8 = u8::MAX;
/// The owner of a rewrap that is a command: it keeps the document with which it started.
const COMMAND: u8 = SLOTS as u8;
/// The rows that no rewrap looks at.
const UNSEEN: usize = 1 << REWRAPS;

/// What a fleet with stored rows declares, and what really happens to it.
#[derive(Debug, Clone)]
pub struct RowWorld {
    pub declared: Declared,
    /// The instances that run at the start, and those that may join.
    pub running: usize,
    pub joining: usize,
    pub operators: usize,
    /// The most keys.
    pub keys: usize,
    /// So far each clock is ahead of the right time.
    pub clocks: [u8; SLOTS],
    pub operator_clocks: [u8; 2],
    /// The most steps, the most starts and stops of instances, and the most rewraps.
    pub steps: u8,
    pub disturbances: u8,
    pub rewraps: u8,
    /// The most rewraps at one time.
    pub at_once: usize,
    /// The tick at which a run ends, counted from its start.
    pub horizon: u8,
    pub menu: &'static [Kind],
    pub runs: Runs,
    pub happens: RowHappens,
}

/// The ways in which a rewrap runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Runs {
    /// A command runs it as well as an instance.
    pub by_command: bool,
    /// It may open rows under revoked keys.
    pub rescues: bool,
    /// It may seal every row again, also under a staged key.
    pub renews_all: bool,
    /// It may look at the rows, and write none.
    pub looks: bool,
    /// Another instance may continue it from its checkpoint.
    pub has_checkpoints: bool,
    /// An instance may report later than at once what it holds and what its rewrap has found.
    pub reports_later: bool,
}

/// What happens beyond what is declared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowHappens {
    /// No rewrap looks at one of the tables.
    pub misses_table: bool,
    /// An instance acts on a step later than within the rollout window, by so many ticks.
    pub later: u8,
    /// The first report of an instance that joins is lost.
    pub loses_first_report: bool,
    /// A command runs for longer than the rollout window after a step.
    pub keeps_document: bool,
}

impl RowWorld {
    fn menu(&self, document: &Document) -> Vec<Step> {
        let count = document.key_count();
        let keys = |step: fn(usize) -> Step| (0..count).map(step).collect::<Vec<_>>();
        let steps = |kind: &Kind| match *kind {
            Kind::Stage | Kind::Schedule(_) if count == self.keys => Vec::new(),
            Kind::Stage => vec![Step::Stage],
            Kind::Schedule(more) => {
                let window = document.rollout(document.changed_at) + document.declared.skew;
                vec![Step::Schedule(window.saturating_add_signed(more.into()))]
            }
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
            Kind::SetPolicy(declared) if declared == document.declared => Vec::new(),
            Kind::SetPolicy(declared) => vec![Step::SetPolicy(declared)],
        };
        self.menu.iter().flat_map(steps).collect()
    }

    fn slots(&self) -> usize {
        self.running + self.joining
    }
}

/// A state of the fleet and of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowState {
    /// The documents in order, from the oldest that is held.
    documents: [u32; HISTORY],
    /// By document: the tick at which every instance holds it.
    due: [u8; HISTORY],
    length: u8,
    now: u8,
    steps: u8,
    disturbed: u8,
    rewrapped: u8,
    instances: [Instance; SLOTS],
    rewraps: [Running; REWRAPS],
    /// The record of the last command.
    command: Option<Rewrap>,
    /// The keys that rows are under, by bit: by the rewraps that have looked at those rows, by bit.
    /// Then those of the rows that none looks at.
    rows: [u8; UNSEEN + 1],
    /// By key: an instance that holds an older document than this one may reject what it sealed,
    /// because the step said so.
    declared: [u8; KEYS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Instance {
    /// The place of its document.
    holds: u8,
    /// The place of the document of its last report.
    reported: u8,
    /// When it was stopped, by its clock.
    stopped_at: u8,
    /// The last rewrap that it knows of.
    known: Option<Rewrap>,
    /// The one of its last report.
    said: Option<Rewrap>,
}

impl Instance {
    fn is_running(&self) -> bool {
        self.holds != DOWN
    }

    /// It keeps the record that finished last.
    fn record(&mut self, rewrap: Rewrap) {
        self.known = later_of(self.known, rewrap);
    }
}

fn later_of(held: Option<Rewrap>, new: Rewrap) -> Option<Rewrap> {
    held.filter(|held| new.finished < held.finished).or(Some(new))
}

/// A rewrap that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Running {
    /// The instance that runs it, or [`COMMAND`], or [`IDLE`].
    owner: u8,
    /// The place of the document of a command.
    holds: u8,
    /// The primary with which it started.
    primary: u8,
    started: u8,
    /// The keys that rows are under behind it, by bit.
    left: u8,
    has_unreadable: bool,
    mode: Mode,
}

/// What a rewrap does besides bringing rows under fallbacks to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    Plain,
    Rescues,
    RenewsAll,
    /// Brings no row under another key.
    Looks,
}

/// The roles of the keys, by bit.
#[derive(Debug, Clone, Copy)]
struct Roles {
    live: u8,
    fallbacks: u8,
    primary: Option<usize>,
}

const NO_REWRAP: Running = Running {
    owner: IDLE,
    holds: 0,
    primary: 0,
    started: 0,
    left: 0,
    has_unreadable: false,
    mode: Mode::Plain,
};

impl Running {
    fn is_running(&self) -> bool {
        self.owner != IDLE
    }
}

impl RowState {
    fn latest(&self) -> u32 {
        self.documents[usize::from(self.length) - 1]
    }

    fn document(&self, place: u8) -> u32 {
        self.documents[usize::from(place)]
    }

    /// The oldest place that the store may still show.
    fn oldest_shown(&self) -> u8 {
        let is_overdue = |place: &u8| self.due[usize::from(*place)] <= self.now;
        (1..self.length).rev().find(is_overdue).unwrap_or(0)
    }

    fn running(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| instance.is_running())
    }

    /// The places of the documents that are held.
    fn held(&self) -> impl Iterator<Item = u8> {
        let commands = self.rewraps.iter().filter(|rewrap| rewrap.owner == COMMAND);
        self.running().map(|instance| instance.holds).chain(commands.map(|command| command.holds))
    }

    /// The keys that rows are under, by bit.
    fn under(&self) -> u8 {
        self.rows.iter().fold(0, |all, rows| all | rows)
    }

    /// Returns whether a step after the document at `holds` is overdue at `tick`.
    fn is_overdue(&self, holds: u8, tick: u8) -> bool {
        (holds + 1..self.length).any(|place| self.due[usize::from(place)] <= tick)
    }

    /// Ends the rewrap at `place`: what is behind it is not apart any more.
    fn clear(&mut self, place: usize) {
        self.rewraps[place] = NO_REWRAP;
        let bit = 1 << place;
        for class in (0..UNSEEN).filter(|class| class & bit != 0) {
            self.rows[class ^ bit] |= self.rows[class];
            self.rows[class] = 0;
        }
    }
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowAction {
    Time,
    Step { operator: usize, step: Step },
    Reload { instance: usize, behind: u8 },
    Report { instance: usize },
    Start { instance: usize, behind: u8 },
    Stop { instance: usize },
    StartRewrap { owner: u8, place: usize, mode: Mode },
    Visit { owner: u8, place: usize, key: usize },
    EndRewrap { owner: u8, place: usize },
    KillRewrap { owner: u8, place: usize },
    Continue { instance: usize, place: usize },
}

struct Owner(u8);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            COMMAND => f.write_str("a command"),
            instance => write!(f, "instance {instance}"),
        }
    }
}

impl fmt::Display for RowAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let latest = |behind: u8| match behind {
            0 => "the latest manifest".to_owned(),
            behind => format!("the manifest {behind} before the latest"),
        };
        match *self {
            Self::Time => f.write_str("an hour passes"),
            Self::Step { operator, step } => write!(f, "operator {operator}: {step}"),
            Self::Reload { instance, behind } => {
                write!(f, "instance {instance} loads {}", latest(behind))
            }
            Self::Report { instance } => write!(f, "instance {instance} reports"),
            Self::Start { instance, behind } => {
                write!(f, "instance {instance} starts with {}", latest(behind))
            }
            Self::Stop { instance } => write!(f, "instance {instance} stops"),
            Self::StartRewrap { owner, place, mode } => {
                let how = match mode {
                    Mode::Plain => "",
                    Mode::Rescues => ", which opens rows under revoked keys",
                    Mode::RenewsAll => " of all rows",
                    Mode::Looks => ", which writes nothing",
                };
                write!(f, "{} starts rewrap {place}{how}", Owner(owner))
            }
            Self::Visit { owner, place, key } => {
                write!(f, "rewrap {place}, of {}, looks at the rows under k{key}", Owner(owner))
            }
            Self::EndRewrap { owner, place } => {
                write!(
                    f,
                    "rewrap {place}, of {}, looks at all rows that are left and ends",
                    Owner(owner)
                )
            }
            Self::KillRewrap { owner, place } => {
                write!(f, "rewrap {place}, of {}, is killed", Owner(owner))
            }
            Self::Continue { instance, place } => {
                write!(f, "instance {instance} continues rewrap {place} from its checkpoint")
            }
        }
    }
}

/// A fleet with stored rows, and all manifests that it has had.
pub struct Rows {
    pub world: RowWorld,
    pub documents: Documents,
    /// By document and clock.
    roles: Vec<Vec<Option<Roles>>>,
    /// The retirements and destructions that were accepted without force.
    pub retired: u64,
    pub destroyed: u64,
}

type Found = Violation<RowAction>;

impl Rows {
    pub fn new(world: RowWorld) -> Self {
        let documents = Documents::new(Purpose::Envelope, world.keys);
        Self { world, documents, roles: Vec::new(), retired: 0, destroyed: 0 }
    }

    /// The roles of the keys of a document, at the clock of an instance.
    fn roles(&mut self, document: u32, clock: u64) -> Roles {
        let place = document as usize;
        self.roles.resize(self.roles.len().max(place + 1), Vec::new());
        let by_clock = &mut self.roles[place];
        by_clock.resize(by_clock.len().max(clock as usize + 1), None);
        *by_clock[clock as usize].get_or_insert_with(|| {
            let states = self.documents.get(document).states(clock);
            let bits = |is: fn(Role) -> bool| {
                let is = |state: &KeyState| matches!(state, KeyState::Live(role) if is(*role));
                let keys = (0..states.len()).filter(|key| is(&states[*key]));
                keys.fold(0, |all, key| all | 1 << key)
            };
            let primary = bits(|role| role == Role::Primary);
            let primary = (0..states.len()).find(|key| primary & 1 << key != 0);
            let fallbacks = bits(|role| role == Role::Fallback);
            Roles { live: bits(|_| true), fallbacks, primary }
        })
    }

    /// The tick at which a run starts: every instance has held the first manifest for a window, and no
    /// report lies before tick 0.
    fn first_tick(&self) -> u8 {
        self.world.declared.window().max(OBSERVATION) as u8 + 2
    }

    fn clock(&self, state: &RowState, instance: usize) -> u64 {
        u64::from(state.now) + u64::from(self.world.clocks[instance])
    }

    fn operator_clock(&self, state: &RowState, operator: usize) -> u64 {
        u64::from(state.now) + u64::from(self.world.operator_clocks[operator])
    }

    /// The document and the roles with which an instance serves. `None`, if it does not run or must
    /// load the store first.
    fn serving(&mut self, state: &RowState, index: usize) -> Option<(u32, Roles)> {
        let instance = &state.instances[index];
        if !instance.is_running() || state.is_overdue(instance.holds, state.now) {
            return None;
        }
        let document = state.document(instance.holds);
        let clock = self.clock(state, index);
        Some((document, self.roles(document, clock)))
    }

    /// The same of the one that runs a rewrap, with its clock.
    fn rewrapping(&mut self, state: &RowState, place: usize) -> Option<(u32, Roles, u64)> {
        let rewrap = state.rewraps[place];
        match rewrap.owner {
            IDLE => None,
            COMMAND => {
                let (document, clock) =
                    (state.document(rewrap.holds), self.operator_clock(state, 0));
                let is_late =
                    !self.world.happens.keeps_document && state.is_overdue(rewrap.holds, state.now);
                (!is_late).then(|| (document, self.roles(document, clock), clock))
            }
            owner => {
                let (document, roles) = self.serving(state, owner.into())?;
                Some((document, roles, self.clock(state, owner.into())))
            }
        }
    }

    /// What the operators read of the instances, and of the last command.
    fn reports(&self, state: &RowState) -> Reports {
        let latest = self.documents.get(state.latest()).fingerprint;
        let mut reports = Reports::default();
        for (index, instance) in state.instances.iter().enumerate() {
            if instance.reported == NO_REPORT {
                continue;
            }
            let agrees = instance.reported != OLD_REPORT
                && self.documents.get(state.document(instance.reported)).fingerprint == latest;
            let is_running = instance.is_running();
            let at = if is_running { self.clock(state, index) as u8 } else { instance.stopped_at };
            reports[index] = Said { is_there: true, at, agrees, rewrap: instance.said };
        }
        if let Some(rewrap) = state.command {
            let at = rewrap.finished;
            reports[SLOTS] = Said { is_there: true, at, agrees: false, rewrap: Some(rewrap) };
        }
        reports
    }

    /// Lets every running instance seal, and removes what makes no difference any more.
    fn normal(&mut self, mut state: RowState) -> RowState {
        let looked = state.rewraps.iter().enumerate().filter(|(_, rewrap)| rewrap.is_running());
        let looked = looked.fold(0, |all, (place, _)| all | 1 << place);
        for index in 0..self.world.slots() {
            let Some((_, roles)) = self.serving(&state, index) else { continue };
            let sealed = roles.primary.map_or(0, |key| 1 << key);
            // Before each rewrap and behind it.
            for class in (0..UNSEEN).filter(|class| class & !looked == 0) {
                state.rows[class] |= sealed;
            }
            if self.world.happens.misses_table {
                state.rows[UNSEEN] |= sealed;
            }
        }
        self.shift(&mut state);
        let now = state.now;
        for due in &mut state.due[..usize::from(state.length)] {
            *due = if *due <= now { LONG_AGO } else { *due };
        }
        state.due[0] = LONG_AGO;
        state.due[usize::from(state.length)..].fill(0);
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
        state
    }

    /// Drops the documents that are held no more and that none can load.
    fn shift(&self, state: &mut RowState) {
        let oldest = state.held().min().unwrap_or(0);
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
        for rewrap in state.rewraps.iter_mut().filter(|rewrap| rewrap.owner == COMMAND) {
            rewrap.holds -= oldest;
        }
        for place in state.declared.iter_mut().filter(|place| **place != EVERYWHERE) {
            *place = place.saturating_sub(oldest);
        }
    }

    /// R1 and R2.
    fn check(&mut self, state: &RowState) -> Result<(), Found> {
        let (latest, under) = (state.latest(), state.under());
        let (revoked, present) = {
            let latest = self.documents.get(latest);
            (latest.revoked, latest.present)
        };
        let mut sealing = 0;
        for index in 0..self.world.slots() {
            let Some((_, roles)) = self.serving(state, index) else { continue };
            let holds = state.instances[index].holds;
            let Some(primary) = roles.primary else {
                return violation("R1", format!("instance {index} has no primary"));
            };
            sealing |= 1 << primary;
            for key in (0..KEYS).filter(|key| under & 1 << key != 0) {
                let bit = 1 << key;
                let declared = state.declared[key];
                if declared == EVERYWHERE {
                    continue;
                }
                if revoked & bit != 0 {
                    if present & bit == 0 {
                        let what = format!("k{key}, which a row is under, is destroyed");
                        return violation("R1", what);
                    }
                } else if roles.live & bit == 0 && holds >= declared {
                    let what = format!("instance {index} cannot open a row under k{key}");
                    return violation("R1", what);
                }
            }
        }
        let reports = self.reports(state);
        for operator in 0..self.world.operators {
            let clock = self.operator_clock(state, operator);
            let primary = self.roles(latest, clock).primary;
            for key in 0..self.documents.get(latest).key_count() {
                let bit = 1 << key;
                let is_exempt = state.declared[key] == EVERYWHERE || primary == Some(key);
                if (under | sealing) & bit == 0 || is_exempt {
                    continue;
                }
                if self.documents.is_safe(latest, clock, &reports, key) {
                    let why = match sealing & bit {
                        0 => "a row is under it",
                        _ => "an instance seals with it",
                    };
                    return violation("R2", format!("the verdict on k{key} is `Safe`, and {why}"));
                }
            }
        }
        Ok(())
    }

    /// The state after `taken` was stored. R3.
    fn push(&mut self, state: &RowState, taken: &Taken) -> Result<RowState, Found> {
        let mut next = *state;
        let place = next.length;
        next.documents[usize::from(place)] = taken.document;
        next.due[usize::from(place)] = state.now + taken.rollout + self.world.happens.later;
        next.length += 1;
        next.steps += 1;
        let changed_at = self.documents.get(taken.document).changed_at;
        if taken.effect.new_rejected
            && let Some(key) = self.roles(taken.document, changed_at).primary
        {
            next.declared[key] = next.declared[key].max(place);
        }
        if let Some(key) = taken.cut {
            next.declared[key] = EVERYWHERE;
        }
        match taken.step {
            Step::Retire(_) => self.retired += 1,
            Step::Destroy(key) => {
                self.destroyed += 1;
                if state.under() & 1 << key != 0 && state.declared[key] != EVERYWHERE {
                    return violation("R3", format!("k{key}, which a row is under, is destroyed"));
                }
            }
            _ => {}
        }
        Ok(next)
    }

    fn add_steps(
        &mut self,
        state: &RowState,
        next: &mut Vec<(RowAction, RowState)>,
    ) -> Result<(), Found> {
        if state.steps >= self.world.steps || usize::from(state.length) == HISTORY {
            return Ok(());
        }
        let reports = self.reports(state);
        for operator in 0..self.world.operators {
            let clock = self.operator_clock(state, operator);
            let world = &self.world;
            let accepted = self
                .documents
                .take_all(state.latest(), clock, &reports, |document| world.menu(document));
            if let Some(((property, what), step)) = self.documents.broken.take() {
                let action = Some(RowAction::Step { operator, step });
                return Err(Violation { property, what, action });
            }
            let is_deployed = state.running().all(|instance| instance.holds + 1 == state.length);
            for taken in accepted.iter().flat_map(|taken| taken.iter()) {
                let step = taken.step;
                // An operator who says so knows it.
                if matches!(step, Step::AssumeDeployed(_)) && !is_deployed {
                    continue;
                }
                let action = RowAction::Step { operator, step };
                let pushed = self
                    .push(state, taken)
                    .map_err(|found| Violation { action: Some(action), ..found })?;
                next.push((action, pushed));
            }
        }
        Ok(())
    }

    fn add_instances(&mut self, state: &RowState, next: &mut Vec<(RowAction, RowState)>) {
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
            if instance.is_running() {
                for place in (instance.holds + 1).max(state.oldest_shown())..=latest {
                    let reported =
                        if self.world.runs.reports_later { instance.reported } else { place };
                    let loaded = Instance { holds: place, reported, ..instance };
                    add(RowAction::Reload { instance: index, behind: latest - place }, loaded, 0);
                }
                if (instance.reported, instance.said) != (instance.holds, instance.known) {
                    let (reported, said) = (instance.holds, instance.known);
                    let reported = Instance { reported, said, ..instance };
                    add(RowAction::Report { instance: index }, reported, 0);
                }
                if has_room {
                    // It is killed: what it has not reported is gone, and its rewraps with it.
                    let mut after = *state;
                    after.instances[index] =
                        Instance { holds: DOWN, stopped_at: clock as u8, known: None, ..instance };
                    after.disturbed += 1;
                    for place in 0..REWRAPS {
                        if usize::from(after.rewraps[place].owner) == index {
                            after.clear(place);
                        }
                    }
                    next.push((RowAction::Stop { instance: index }, after));
                }
            } else if has_room {
                for place in state.oldest_shown()..=latest {
                    let loses_it =
                        self.world.happens.loses_first_report && instance.reported == NO_REPORT;
                    let reported = if loses_it { NO_REPORT } else { place };
                    // It continues from its last report.
                    let known = instance.said;
                    let started =
                        Instance { holds: place, reported, stopped_at: 0, known, said: known };
                    add(RowAction::Start { instance: index, behind: latest - place }, started, 1);
                }
            }
        }
    }

    fn add_rewraps(&mut self, state: &RowState, next: &mut Vec<(RowAction, RowState)>) {
        let free = (0..self.world.at_once).find(|place| !state.rewraps[*place].is_running());
        if let Some(place) = free.filter(|_| state.rewrapped < self.world.rewraps) {
            self.add_rewrap_starts(state, place, next);
        }
        for place in 0..self.world.at_once {
            let rewrap = state.rewraps[place];
            let owner = rewrap.owner;
            if !rewrap.is_running() {
                continue;
            }
            let mut killed = *state;
            killed.clear(place);
            next.push((RowAction::KillRewrap { owner, place }, killed));
            if self.world.runs.has_checkpoints {
                self.add_continuations(state, place, next);
            }
            let Some((document, roles, clock)) = self.rewrapping(state, place) else { continue };
            let (revoked, present) = {
                let document = self.documents.get(document);
                (document.revoked, document.present)
            };
            let visit = |state: &mut RowState, key: usize| {
                visit(state, place, key, roles, revoked & present);
            };
            let bit = 1 << place;
            let ahead = (0..UNSEEN).filter(|class| class & bit == 0);
            let ahead = ahead.fold(0, |all, class| all | state.rows[class]);
            let mut ended = *state;
            for key in (0..KEYS).filter(|key| ahead & 1 << key != 0) {
                let mut visited = *state;
                visit(&mut visited, key);
                next.push((RowAction::Visit { owner, place, key }, visited));
                visit(&mut ended, key);
            }
            let Running { started, left, has_unreadable, .. } = ended.rewraps[place];
            let record = Rewrap {
                started,
                finished: clock as u8,
                left,
                unreadable: has_unreadable.into(),
                by_command: owner == COMMAND,
            };
            if owner == COMMAND {
                ended.command = later_of(ended.command, record);
            } else {
                let instance = &mut ended.instances[usize::from(owner)];
                instance.record(record);
                if !self.world.runs.reports_later {
                    (instance.reported, instance.said) = (instance.holds, instance.known);
                }
            }
            ended.clear(place);
            next.push((RowAction::EndRewrap { owner, place }, ended));
        }
    }

    fn add_rewrap_starts(
        &mut self,
        state: &RowState,
        place: usize,
        next: &mut Vec<(RowAction, RowState)>,
    ) {
        let runs = self.world.runs;
        let modes = [
            (true, Mode::Plain),
            (runs.rescues, Mode::Rescues),
            (runs.renews_all, Mode::RenewsAll),
            (runs.looks, Mode::Looks),
        ];
        let mut starts = Vec::new();
        for index in 0..self.world.slots() {
            if let Some((_, roles)) = self.serving(state, index) {
                starts.push((index as u8, roles, self.clock(state, index)));
            }
        }
        if runs.by_command {
            let clock = self.operator_clock(state, 0);
            starts.push((COMMAND, self.roles(state.latest(), clock), clock));
        }
        for (owner, roles, clock) in starts {
            let Some(primary) = roles.primary else { continue };
            for (_, mode) in modes.into_iter().filter(|(is_run, _)| *is_run) {
                let mut started = *state;
                started.rewrapped += 1;
                started.rewraps[place] = Running {
                    owner,
                    holds: if owner == COMMAND { state.length - 1 } else { 0 },
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

    /// Another instance continues the rewrap, if it has the same primary.
    fn add_continuations(
        &mut self,
        state: &RowState,
        place: usize,
        next: &mut Vec<(RowAction, RowState)>,
    ) {
        let rewrap = state.rewraps[place];
        for index in 0..self.world.slots() {
            let Some((_, roles)) = self.serving(state, index) else { continue };
            let is_same = roles.primary == Some(rewrap.primary.into());
            if is_same && usize::from(rewrap.owner) != index {
                let mut continued = *state;
                continued.rewraps[place] = Running { owner: index as u8, holds: 0, ..rewrap };
                next.push((RowAction::Continue { instance: index, place }, continued));
            }
        }
    }

    /// The state an hour later; `None`, if an instance must load the store before.
    fn later(&self, state: &RowState) -> Option<RowState> {
        let mut next = *state;
        next.now += 1;
        let is_over = next.now >= self.first_tick() + self.world.horizon;
        // It may load the store at the last moment.
        let is_late = |holds: u8| state.is_overdue(holds, state.now);
        let keeps = self.world.happens.keeps_document;
        let is_late_command =
            |rewrap: &Running| rewrap.owner == COMMAND && !keeps && is_late(rewrap.holds);
        let is_bound = state.running().any(|instance| is_late(instance.holds))
            || state.rewraps.iter().any(is_late_command);
        (!is_over && !is_bound).then_some(next)
    }
}

/// The rewrap at `place` looks at the rows under a key that it has not looked at: `rescued` are the
/// revoked keys that it can open.
fn visit(state: &mut RowState, place: usize, key: usize, roles: Roles, rescued: u8) {
    let (bit, key_bit) = (1 << place, 1 << key);
    let primary = roles.primary.map_or(0, |primary| 1 << primary);
    let rewrap = &mut state.rewraps[place];
    let is_due = roles.fallbacks & key_bit != 0
        || rescued & key_bit != 0 && rewrap.mode == Mode::Rescues
        || roles.live & key_bit != 0 && rewrap.mode == Mode::RenewsAll;
    let after = match () {
        () if rewrap.mode == Mode::Looks && roles.live & key_bit != 0 => key_bit,
        () if is_due => primary,
        () if roles.live & key_bit != 0 => key_bit,
        () => {
            rewrap.has_unreadable = true;
            0
        }
    };
    rewrap.left |= after;
    let after = if after == 0 { key_bit } else { after };
    for class in (0..UNSEEN).filter(|class| class & bit == 0) {
        if state.rows[class] & key_bit != 0 {
            state.rows[class] &= !key_bit;
            state.rows[class | bit] |= after;
        }
    }
}

fn violation<T>(property: &'static str, what: String) -> Result<T, Found> {
    Err(Violation { property, what, action: None })
}

impl Model for Rows {
    type State = RowState;
    type Action = RowAction;

    fn starts(&mut self) -> Vec<RowState> {
        let document = self.documents.first(self.world.declared, 0);
        let down =
            Instance { holds: DOWN, reported: NO_REPORT, stopped_at: 0, known: None, said: None };
        let mut instances = [down; SLOTS];
        for instance in &mut instances[..self.world.running] {
            (instance.holds, instance.reported) = (0, 0);
        }
        let mut documents = [0; HISTORY];
        documents[0] = document;
        let state = RowState {
            documents,
            due: [0; HISTORY],
            length: 1,
            now: self.first_tick(),
            steps: 0,
            disturbed: 0,
            rewrapped: 0,
            instances,
            rewraps: [NO_REWRAP; REWRAPS],
            command: None,
            rows: [0; UNSEEN + 1],
            declared: [0; KEYS],
        };
        vec![self.normal(state)]
    }

    fn expand(
        &mut self,
        state: &RowState,
        next: &mut Vec<(RowAction, RowState)>,
    ) -> Result<(), Found> {
        self.check(state)?;
        if let Some(later) = self.later(state) {
            next.push((RowAction::Time, later));
        }
        self.add_steps(state, next)?;
        self.add_instances(state, next);
        self.add_rewraps(state, next);
        for (_, state) in next.iter_mut() {
            *state = self.normal(*state);
        }
        Ok(())
    }
}

/// A fleet with a name.
pub struct Named {
    pub name: &'static str,
    pub world: RowWorld,
}

const DECLARED: Declared = Declared { lifetime: 1, rollout: 1, skew: 1 };

const ROTATION: &[Kind] = &[Kind::Stage, Kind::Promote, Kind::Retire, Kind::Destroy];

/// Every step, with the policies to which a fleet of 1 h, 1 h and 1 h changes.
pub const EVERY_ROW_STEP: &[Kind] = &[
    Kind::Stage,
    Kind::Schedule(0),
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
    Kind::SetPolicy(Declared { lifetime: 1, rollout: 2, skew: 1 }),
];

/// Two instances whose clocks differ by the skew, and an operator who takes `menu`.
fn world(menu: &'static [Kind]) -> RowWorld {
    RowWorld {
        declared: DECLARED,
        running: 2,
        joining: 0,
        operators: 1,
        keys: KEYS,
        clocks: [0, 1, 0],
        operator_clocks: [0, 1],
        steps: 4,
        disturbances: 0,
        rewraps: 1,
        at_once: 1,
        horizon: 7,
        menu,
        runs: Runs::default(),
        happens: RowHappens::default(),
    }
}

const LEAK: &[Kind] =
    &[Kind::Stage, Kind::Promote, Kind::Revoke, Kind::EmergencyRotate, Kind::Retire, Kind::Destroy];

const BACK: &[Kind] = &[Kind::Stage, Kind::Promote, Kind::Rollback];

const POLICIES: &[Kind] = &[
    Kind::Stage,
    Kind::Promote,
    Kind::SetPolicy(Declared { lifetime: 1, rollout: 1, skew: 0 }),
    Kind::SetPolicy(Declared { lifetime: 2, rollout: 1, skew: 0 }),
];

/// Two instances with equal clocks, and an operator who takes `menu`.
fn even(menu: &'static [Kind]) -> RowWorld {
    RowWorld {
        declared: Declared { skew: 0, ..DECLARED },
        clocks: [0; SLOTS],
        operator_clocks: [0; 2],
        steps: 3,
        horizon: 4,
        ..world(menu)
    }
}

/// Within the declared bounds, in a few seconds each.
pub fn small_worlds() -> Vec<Named> {
    let looks = Runs { looks: true, ..Runs::default() };
    let rescues = Runs { rescues: true, ..Runs::default() };
    vec![
        Named {
            name: "a rotation, with clocks that differ",
            world: RowWorld { steps: 3, horizon: 5, ..world(ROTATION) },
        },
        Named {
            name: "a rotation, with a rewrap that writes nothing",
            world: RowWorld { runs: looks, ..even(ROTATION) },
        },
        Named { name: "a leak", world: RowWorld { runs: rescues, steps: 2, ..even(LEAK) } },
        Named { name: "a rollback", world: RowWorld { steps: 4, keys: 2, ..even(BACK) } },
    ]
}

/// Within the declared bounds, in minutes.
pub fn full_worlds() -> Vec<Named> {
    let late = Runs { reports_later: true, ..Runs::default() };
    let all = Runs { rescues: true, looks: true, has_checkpoints: true, ..Runs::default() };
    vec![
        Named { name: "every step", world: even(EVERY_ROW_STEP) },
        Named {
            name: "every step, with clocks that differ",
            world: RowWorld { steps: 2, horizon: 5, operators: 2, ..world(EVERY_ROW_STEP) },
        },
        Named {
            name: "a policy that becomes shorter",
            world: RowWorld {
                declared: Declared { lifetime: 1, rollout: 2, skew: 0 },
                steps: 4,
                ..even(POLICIES)
            },
        },
        Named { name: "a whole rotation", world: RowWorld { steps: 4, ..even(ROTATION) } },
        Named { name: "late reports", world: RowWorld { runs: late, ..even(ROTATION) } },
        Named {
            name: "two rewraps at once",
            world: RowWorld { rewraps: 2, at_once: 2, keys: 2, ..even(ROTATION) },
        },
        Named { name: "every way to rewrap", world: RowWorld { runs: all, ..even(LEAK) } },
        Named {
            name: "instances that stop and start",
            world: RowWorld { joining: 1, disturbances: 2, steps: 2, ..even(ROTATION) },
        },
        Named {
            name: "three instances",
            world: RowWorld { running: 3, steps: 2, ..even(ROTATION) },
        },
        Named {
            name: "a command",
            world: RowWorld { runs: COMMANDS, rewraps: 2, at_once: 2, keys: 2, ..even(BACK) },
        },
    ]
}

const COMMANDS: Runs = Runs {
    by_command: true,
    rescues: false,
    renews_all: false,
    looks: false,
    has_checkpoints: false,
    reports_later: false,
};

/// A bound of the rows, and the fleet in which it matters.
pub struct RowBound {
    /// The name of the bound.
    pub name: &'static str,
    /// What happens once it is lifted.
    pub lifted_by: &'static str,
    pub within: RowWorld,
    pub beyond: RowWorld,
    /// The property that breaks, and the number of actions of the shortest run.
    pub breaks: (&'static str, usize),
}

/// Every declared bound that rows need.
pub fn row_bounds() -> Vec<RowBound> {
    let rotation = even(ROTATION);
    let skewed = RowWorld { steps: 3, horizon: 5, ..world(ROTATION) };
    let joining = RowWorld { running: 1, joining: 1, disturbances: 1, ..rotation.clone() };
    let back =
        RowWorld { runs: COMMANDS, rewraps: 2, at_once: 2, keys: 2, horizon: 3, ..even(BACK) };
    let renews = Runs { renews_all: true, ..COMMANDS };
    let renews = RowWorld { menu: ROTATION, runs: renews, steps: 2, ..back.clone() };
    let with = |world: &RowWorld, happens| RowWorld { happens, ..world.clone() };
    let none = RowHappens::default();
    let keeps = RowHappens { keeps_document: true, ..none };
    let mut all = Vec::new();
    let mut add = |name, lifted_by, within: &RowWorld, beyond: RowWorld, breaks| {
        all.push(RowBound { name, lifted_by, within: within.clone(), beyond, breaks });
    };
    add(
        "rewrap of all tables",
        "no rewrap looks at one of the tables",
        &rotation,
        with(&rotation, RowHappens { misses_table: true, ..none }),
        ("R2", 10),
    );
    add(
        "rollout window before a rewrap",
        "an instance acts on the promotion an hour later than within the window",
        &rotation,
        with(&rotation, RowHappens { later: 1, ..none }),
        ("R2", 10),
    );
    add(
        "skew before a rewrap",
        "the clock of the instance that rewraps is ahead by twice the skew",
        &skewed,
        RowWorld { clocks: [0, 2, 0], ..skewed.clone() },
        ("R2", 11),
    );
    add(
        "report at the start",
        "the first report of an instance is lost, which then counts as agreement",
        &joining,
        with(&joining, RowHappens { loses_first_report: true, ..none }),
        ("R1", 5),
    );
    add(
        "rewrap command within the rollout window of a rollback",
        "a command that started before a rollback runs beside the rewrap after it",
        &back,
        with(&back, keeps),
        ("R2", 13),
    );
    add(
        "rewrap command within the rollout window of a promotion",
        "a command that renews all rows runs beside the rewrap after a promotion",
        &renews,
        with(&renews, keeps),
        ("R2", 12),
    );
    all
}
