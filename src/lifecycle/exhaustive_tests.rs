//! The rules of a key's life, by exhaustion: every run of a small fleet over the real
//! [`Steps`] and [`Timeline`].
//!
//! A ring of up to three keys, two instances, an operator, and up to four steps at any tick.
//! The clocks differ by up to the skew. Each instance reloads at any moment, but within the
//! rollout window of a step. Every instance signs with its primary at each tick, and verifies
//! whatever was signed. Checked at each tick and step:
//! - a value that is valid is rejected only where the step reported that (`new_rejected`);
//! - an expired key becomes live only by `restage`, and a revoked one never;
//! - no key of a compromised one is accepted by an instance that holds the revocation.
//!
//! Deliberately not the rules in other words: a fault is planted around them, and must be
//! found.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use crate::kid::Kid;
use crate::lifecycle::life::{FROM_BEGINNING, Life};
use crate::lifecycle::terms::Terms;
use crate::lifecycle::timeline::Timeline;
use crate::lifecycle::transitions::Steps;
use crate::lifecycle::{KeyState, Policy, Role, RolloutEffect, SigningStart};
use crate::purpose::Purpose;

const SKEW: u64 = 1;
const KEYS: usize = 3;
const STEPS: usize = 4;

/// How much is explored, in ticks.
#[derive(Debug, Clone, Copy)]
struct Size {
    steps: usize,
    horizon: u64,
    lifetime: u64,
    rollout: u64,
}

impl Size {
    fn terms(self) -> Terms {
        Terms::new(Purpose::Cookie, policy(self.lifetime, self.rollout))
    }
}

/// A fault that is planted, each of which must lose a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// A scheduled start lies one rollout window ahead, and not the skew as well.
    LeadWithoutSkew,
    /// Each step settles every end that is known, not only those that are past.
    EndsSettledAhead,
    /// An instance evaluates a manifest at its own time, also before the last change.
    BeforeChangedAt,
    /// A rollback to a key that is near its end is not refused.
    RollbackNearEnd,
    /// A scheduled key that is withdrawn close to its start ends at once.
    WithdrawnAtOnce,
    /// What is known to have come is not recorded before a step.
    NotRecorded,
    /// A shorter policy applies to what was signed under the longer one.
    ShortenedAtOnce,
    /// A shorter rollout window applies to steps that the longer one still delivers.
    WindowShortenedAtOnce,
    /// An end that a step moved does not count, although some instances still act on it.
    EarlierEndForgotten,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ModelStep {
    Stage,
    Schedule(u64),
    Promote(usize),
    Rollback,
    Retire(usize),
    Restage(usize),
    Revoke(usize),
    Emergency(usize),
    /// Another lifetime and rollout window.
    Policy(u64, u64),
}

/// A manifest, as the operator stored it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct ModelDocument {
    lives: Vec<LifePrint>,
    terms: [u64; 4],
    changed_at: u64,
}

/// A [`Life`] in ticks, by which documents are compared.
type LifePrint = [u64; 10];

fn print(life: &Life) -> LifePrint {
    let moment = |moment: Option<SystemTime>| moment.map_or(0, |moment| 1 + tick(moment));
    let signs = match life.signing_start {
        SigningStart::Never => 0,
        SigningStart::Unscheduled => 1,
        SigningStart::From(from) => 2 + tick(from),
    };
    [
        signs,
        life.sequence,
        moment(Some(life.added_at)),
        moment(life.superseded_at),
        moment(life.retire_at),
        moment(life.kept_until),
        moment(life.earlier_end.map(|earlier| earlier.at)),
        moment(life.earlier_end.map(|earlier| earlier.until)),
        u64::from(life.revoked.is_some()),
        u64::from(life.is_short),
    ]
}

fn terms_print(terms: &Terms) -> [u64; 4] {
    let length = |length: Duration| length.as_secs() / 3600;
    let (policy, earlier) = (&terms.policy, terms.earlier_window);
    [
        length(policy.max_lifetime),
        length(policy.rollout_window),
        earlier.map_or(0, |window| length(window.length)),
        earlier.map_or(0, |window| tick(window.until)),
    ]
}

struct Interned {
    lives: Vec<Life>,
    terms: Terms,
    changed_at: u64,
    /// By the clock of an instance: the live keys, and the primary.
    roles: Vec<(u8, Option<usize>)>,
    revoked: u8,
}

/// A state of the fleet. In a few bytes, as there are millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ModelState {
    now: u8,
    steps: u8,
    /// The documents in order, from the oldest that an instance holds: which, and the tick at
    /// which the last instance holds it.
    history: [(u32, u8); STEPS + 1],
    length: u8,
    /// By instance: the place of its document in the history.
    holds: [u8; 2],
    /// By key: until when what it signed is valid, by any clock.
    valid_until: [u8; KEYS],
    /// By key: an instance that holds an older document than this place in the history may
    /// reject what it signs, because the step said so.
    declared: [u8; KEYS],
}

/// The documents that steps make of one, each with its effect, and the rollout window in force.
type TakenSteps = Rc<[(u32, RolloutEffect, u8)]>;

struct Explorer {
    fault: Fault,
    size: Size,
    /// The operator, and the instances: ahead of the right time by so much.
    clocks: [u64; 3],
    documents: Vec<Interned>,
    known: HashMap<ModelDocument, u32, BuildHasherDefault<Quick>>,
    /// By document, clock of the operator and agreement: what each step makes of it.
    taken: HashMap<(u32, u64, bool), TakenSteps, BuildHasherDefault<Quick>>,
    seen: HashSet<ModelState, BuildHasherDefault<Quick>>,
    found: Option<String>,
}

impl ModelState {
    /// Without what makes no difference any more.
    fn normal(mut self, are_alike: bool) -> Self {
        let oldest = self.holds[0].min(self.holds[1]);
        let last = self.length as usize;
        self.history.copy_within(oldest as usize..last, 0);
        self.length -= oldest;
        self.history[self.length as usize..].fill((0, 0));
        self.holds = self.holds.map(|place| place - oldest);
        self.declared = self.declared.map(|place| place.saturating_sub(oldest));
        let held_by_all = self.holds[0].min(self.holds[1]) as usize;
        self.history[..=held_by_all].iter_mut().for_each(|(_, due)| *due = 0);
        self.valid_until = self.valid_until.map(|until| if until <= self.now { 0 } else { until });
        if are_alike {
            self.holds.sort_unstable();
        }
        self
    }

    fn push(&mut self, document: u32, rollout: u8) {
        self.history[self.length as usize] = (document, self.now + rollout);
        self.length += 1;
        self.steps += 1;
    }

    fn documents(&self) -> &[(u32, u8)] {
        &self.history[..self.length as usize]
    }

    fn latest(&self) -> u32 {
        self.history[self.length as usize - 1].0
    }
}

/// A hash of few instructions: of the standard one, most of the time would go there.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
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

/// An hour is a tick: whatever a tick is, it is the same for all.
fn at(tick: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + 3600 * tick)
}

fn tick(moment: SystemTime) -> u64 {
    let since = moment.duration_since(at(0)).unwrap_or_default();
    since.as_secs().div_ceil(3600)
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs(3600 * count)
}

fn policy(lifetime: u64, rollout: u64) -> Policy {
    let mut policy = Policy::default();
    (policy.max_lifetime, policy.rollout_window, policy.skew) =
        (ticks(lifetime), ticks(rollout), ticks(SKEW));
    policy
}

fn kid(index: usize) -> Kid {
    Kid::new(&format!("k{index}")).expect("a letter and a digit are a kid")
}

impl Explorer {
    fn new(fault: Fault, size: Size, clocks: [u64; 3]) -> Self {
        Self {
            fault,
            size,
            clocks,
            documents: Vec::new(),
            known: HashMap::default(),
            taken: HashMap::default(),
            seen: HashSet::default(),
            found: None,
        }
    }

    /// Every run from a ring of one key that has signed for ever.
    fn run(&mut self) {
        let mut first = Life::new(kid(0), at(0));
        first.signing_start = FROM_BEGINNING;
        let document = self.intern(vec![first], self.size.terms(), 0);
        let mut start = ModelState {
            now: (self.size.rollout + SKEW) as u8,
            steps: 0,
            history: [(0, 0); STEPS + 1],
            length: 1,
            holds: [0; 2],
            valid_until: [0; KEYS],
            declared: [0; KEYS],
        };
        start.history[0] = (document, 0);
        let are_alike = self.clocks[1] == self.clocks[2];
        let mut open = vec![start];
        while let Some(state) = open.pop()
            && self.found.is_none()
        {
            let state = state.normal(are_alike);
            if self.seen.insert(state) {
                self.tick(&state, &mut open);
                self.steps(&state, &mut open);
                reloads(&state, &mut open);
            }
        }
    }

    fn intern(&mut self, lives: Vec<Life>, terms: Terms, changed_at: u64) -> u32 {
        let prints = lives.iter().map(print).collect();
        let document = ModelDocument { lives: prints, terms: terms_print(&terms), changed_at };
        if let Some(place) = self.known.get(&document) {
            return *place;
        }
        let as_of = if self.fault == Fault::BeforeChangedAt { 0 } else { changed_at };
        let timeline = Timeline::new_unchecked(&lives, at(as_of), &terms);
        let roles = (0..=self.size.horizon + SKEW + 1)
            .map(|clock| {
                let now = at(clock.max(as_of));
                let state = |index: usize| timeline.state(index, &lives[index], now);
                let is_live = |index: &usize| matches!(state(*index), KeyState::Live(_));
                let live = (0..lives.len()).filter(is_live).fold(0, |all, index| all | 1 << index);
                (live, timeline.primary(now))
            })
            .collect();
        let revoked = (0..lives.len())
            .filter(|index| lives[*index].revoked.is_some())
            .fold(0, |all, index| all | 1 << index);
        self.documents.push(Interned { lives, terms, changed_at, roles, revoked });
        let place = (self.documents.len() - 1) as u32;
        self.known.insert(document, place);
        place
    }

    fn held(&self, state: &ModelState, instance: usize) -> &Interned {
        &self.documents[state.history[state.holds[instance] as usize].0 as usize]
    }

    /// Every instance signs, and verifies what any has signed; then time continues.
    fn tick(&mut self, state: &ModelState, open: &mut Vec<ModelState>) {
        let mut next = *state;
        let clock = |instance: usize| u64::from(state.now) + self.clocks[1 + instance];
        for instance in 0..2 {
            let held = self.held(state, instance);
            if let (_, Some(primary)) = held.roles[clock(instance) as usize] {
                let lifetime = tick(at(0) + held.terms.policy.max_lifetime);
                let until = (clock(instance) + lifetime) as u8;
                next.valid_until[primary] = next.valid_until[primary].max(until);
            }
        }
        let revoked = self.documents[state.latest() as usize].revoked;
        for instance in 0..2 {
            let held = self.held(&next, instance);
            let (live, _) = held.roles[clock(instance) as usize];
            for key in 0..KEYS {
                let is_live = live & 1 << key != 0;
                if held.revoked & 1 << key != 0 && is_live {
                    return self.violation(&next, format!("{instance} accepts the revoked {key}"));
                }
                let is_valid = clock(instance) < next.valid_until[key].into();
                let is_declared = next.holds[instance] < next.declared[key];
                if is_valid && !is_live && !is_declared && revoked & 1 << key == 0 {
                    return self.violation(&next, format!("{instance} rejects what {key} signed"));
                }
            }
        }
        next.now += 1;
        // Within the rollout window each instance holds what was stored.
        let is_late = |holds: u8| {
            let missing = next.documents().iter().skip(usize::from(holds) + 1);
            missing.into_iter().any(|(_, due)| *due <= next.now)
        };
        if u64::from(next.now) < self.size.horizon && !next.holds.into_iter().any(is_late) {
            open.push(next);
        }
    }

    fn steps(&mut self, state: &ModelState, open: &mut Vec<ModelState>) {
        if usize::from(state.steps) == self.size.steps {
            return;
        }
        let current = state.latest();
        let clock = u64::from(state.now) + self.clocks[0];
        // Every instance reports what it holds.
        let agreed = state.holds == [state.length - 1; 2];
        let taken = match self.taken.get(&(current, clock, agreed)) {
            Some(taken) => Rc::clone(taken),
            None => {
                let taken: TakenSteps = self.take_all(current, clock, agreed).into();
                self.taken.insert((current, clock, agreed), Rc::clone(&taken));
                taken
            }
        };
        for (document, effect, rollout) in &*taken {
            let mut next = *state;
            next.push(*document, *rollout);
            if effect.new_rejected {
                let document = &self.documents[*document as usize];
                if let (_, Some(primary)) = document.roles[document.changed_at as usize] {
                    next.declared[primary] = next.length - 1;
                }
            }
            open.push(next);
        }
    }

    fn take_all(
        &mut self,
        current: u32,
        clock: u64,
        agreed: bool,
    ) -> Vec<(u32, RolloutEffect, u8)> {
        let document = &self.documents[current as usize];
        let (count, Size { lifetime, rollout, .. }) = (document.lives.len(), self.size);
        let mut all = vec![ModelStep::Rollback, ModelStep::Policy(lifetime, 1)];
        all.push(ModelStep::Policy(1, rollout + 1));
        all.extend([ModelStep::Policy(1, rollout), ModelStep::Policy(2 * lifetime, rollout)]);
        let window = tick(at(0) + document.terms.window(at(clock.max(document.changed_at))));
        let lead = window - if self.fault == Fault::LeadWithoutSkew { SKEW } else { 0 };
        if count < KEYS {
            let later = lead + lifetime + window;
            all.extend([ModelStep::Stage, ModelStep::Schedule(lead), ModelStep::Schedule(later)]);
        }
        for index in 0..count {
            all.extend([
                ModelStep::Retire(index),
                ModelStep::Restage(index),
                ModelStep::Revoke(index),
            ]);
            all.push(ModelStep::Emergency(index));
            // What not all hold is not promoted.
            if agreed {
                all.push(ModelStep::Promote(index));
            }
        }
        all.into_iter().filter_map(|step| self.take(current, clock, step, agreed)).collect()
    }

    /// The document after `step`, and its effect; `None`, if it is refused or changes nothing.
    fn take(
        &mut self,
        current: u32,
        clock: u64,
        step: ModelStep,
        agreed: bool,
    ) -> Option<(u32, RolloutEffect, u8)> {
        let document = &self.documents[current as usize];
        let (changed_at, terms_before) = (document.changed_at, document.terms);
        let before = document.lives.clone();
        let timeline = Timeline::new_unchecked(&before, at(changed_at), &terms_before);
        let mut steps = Steps::new(before.clone(), &timeline, &terms_before, at(clock));
        if self.fault == Fault::NotRecorded {
            steps.lives.clone_from(&before);
        }
        let dated = tick(steps.now());
        let mut new = Life::new(kid(before.len()), steps.now());
        new.added_at = steps.now();
        let mut next_terms = terms_before;
        match step {
            ModelStep::Stage => steps.stage(new, None).ok()?,
            ModelStep::Schedule(lead) => steps.stage(new, Some(at(dated + lead))).ok()?,
            ModelStep::Promote(index) => drop(steps.promote(&kid(index), false).ok()?),
            ModelStep::Rollback => {
                let forced = self.fault == Fault::RollbackNearEnd;
                let (kid, _) = steps.rollback(forced).ok()?;
                let index = steps.find(&kid).ok()?;
                if !agreed && !steps.is_known(index) {
                    return None;
                }
            }
            ModelStep::Retire(index) => {
                let kid = kid(index);
                steps.find(&kid).ok()?;
                match (self.fault, steps.state(index)) {
                    (Fault::WithdrawnAtOnce, KeyState::Live(Role::Staged)) => {
                        let _ = steps.cut(&kid).ok()?;
                    }
                    _ => drop(steps.retire(&kid, None).ok()?),
                }
            }
            ModelStep::Restage(index) => steps.restage(&kid(index)).ok()?,
            ModelStep::Revoke(index) => {
                let _ = steps.revoke(&kid(index), "leaked").ok()?;
            }
            ModelStep::Emergency(index) => {
                steps.find(&kid(index)).ok()?;
                let staged = (0..before.len()).find(|other| {
                    *other != index && steps.state(*other) == KeyState::Live(Role::Staged)
                });
                match staged {
                    Some(staged) => drop(steps.promote(&kid(staged), true).ok()?),
                    None if before.len() < KEYS => steps.replace(new),
                    None => return None,
                }
                let _ = steps.revoke(&kid(index), "leaked").ok()?;
            }
            ModelStep::Policy(lifetime, rollout) => {
                let policy = policy(lifetime, rollout);
                next_terms = Terms::new(Purpose::Cookie, policy);
                match self.fault {
                    Fault::ShortenedAtOnce => steps.lives[0].sequence += 100,
                    _ => steps.set_policy(policy),
                }
                if !matches!(self.fault, Fault::ShortenedAtOnce | Fault::WindowShortenedAtOnce) {
                    next_terms = steps.next_terms();
                }
                if policy == terms_before.policy {
                    return None;
                }
            }
        }
        let effect = match (self.fault, step) {
            (Fault::RollbackNearEnd, ModelStep::Rollback) => RolloutEffect::NONE,
            _ => steps.effect(agreed),
        };
        let mut lives = steps.finish()?;
        Timeline::new(&lives, at(dated), &next_terms, "x").ok()?;
        if self.fault == Fault::EndsSettledAhead {
            let ends = Timeline::new_unchecked(&lives, at(dated), &next_terms);
            for (index, life) in lives.iter_mut().enumerate() {
                life.retire_at = ends.verifies_until(index);
            }
        }
        if self.fault == Fault::EarlierEndForgotten {
            lives.iter_mut().for_each(|life| life.earlier_end = None);
        }
        self.check_final(&before, &timeline, &lives, &next_terms, dated, step);
        let rollout = tick(at(0) + terms_before.window(at(dated))).saturating_sub(SKEW);
        let rollout = rollout.max(tick(at(0) + next_terms.policy.rollout_window));
        let rollout = match self.fault {
            Fault::WindowShortenedAtOnce => self.size.rollout,
            _ => rollout,
        };
        Some((self.intern(lives, next_terms, dated), effect, rollout as u8))
    }

    /// Whether what was over at the moment of the step still is.
    fn check_final(
        &mut self,
        before: &[Life],
        timeline: &Timeline,
        lives: &[Life],
        terms: &Terms,
        dated: u64,
        step: ModelStep,
    ) {
        let after = Timeline::new_unchecked(lives, at(dated), terms);
        for index in 0..before.len() {
            let was = timeline.state(index, &before[index], at(dated));
            let is = after.state(index, &lives[index], at(dated));
            let is_over = |state| {
                matches!(state, KeyState::Expired | KeyState::Revoked | KeyState::Destroyed)
            };
            if is_over(was) && !is_over(is) && step != ModelStep::Restage(index) {
                self.found.get_or_insert(format!("{step:?} revives {index}: {lives:#?}"));
            }
        }
    }

    fn violation(&mut self, state: &ModelState, what: String) {
        let history: Vec<_> = state
            .documents()
            .iter()
            .map(|(index, due)| {
                let document = &self.documents[*index as usize];
                let lives = document.lives.iter().map(|life| {
                    let moment = |moment: Option<SystemTime>| moment.map(tick);
                    let signs = match life.signing_start {
                        SigningStart::From(from) => format!("from {}", tick(from)),
                        signs => format!("{signs:?}"),
                    };
                    format!(
                        "{} {signs} superseded {:?} retire {:?} kept {:?}{}",
                        life.kid,
                        moment(life.superseded_at),
                        moment(life.retire_at),
                        moment(life.kept_until),
                        if life.revoked.is_some() { " revoked" } else { "" },
                    )
                });
                let lives: Vec<_> = lives.collect();
                format!(
                    "due {due}, {:?}, {:?}, dated {}: {lives:?}",
                    document.terms.policy.max_lifetime,
                    document.terms.policy.rollout_window,
                    document.changed_at
                )
            })
            .collect();
        self.found = Some(format!(
            "at {}, clocks {:?}, held {:?}, valid until {:?}: {what}\n{}",
            state.now,
            self.clocks,
            state.holds,
            state.valid_until,
            history.join("\n"),
        ));
    }
}

/// An instance takes a newer document: any of them, for a read may be stale.
fn reloads(state: &ModelState, open: &mut Vec<ModelState>) {
    for instance in 0..2 {
        for place in state.holds[instance] + 1..state.length {
            let mut next = *state;
            next.holds[instance] = place;
            open.push(next);
        }
    }
}

/// Every way in which three clocks differ by up to the skew; instances are alike.
const CLOCKS: [[u64; 3]; 6] = [[0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 1, 1]];

fn explore(fault: Fault, size: Size) -> (usize, Option<String>) {
    let mut states = 0;
    for clocks in CLOCKS {
        let mut explorer = Explorer::new(fault, size, clocks);
        explorer.run();
        states += explorer.seen.len();
        if explorer.found.is_some() {
            return (states, explorer.found);
        }
    }
    (states, None)
}

/// In the order in which a fault is looked for.
const SIZES: [Size; 5] = [
    Size { steps: 2, horizon: 14, lifetime: 2, rollout: 2 },
    Size { steps: 3, horizon: 10, lifetime: 1, rollout: 1 },
    Size { steps: 3, horizon: 14, lifetime: 2, rollout: 2 },
    Size { steps: 4, horizon: 10, lifetime: 1, rollout: 1 },
    Size { steps: 4, horizon: 12, lifetime: 2, rollout: 2 },
];

#[test]
fn no_run_of_a_small_fleet_loses_a_value_or_revives_a_key() {
    // Four steps, and all sizes, take minutes in a release build.
    let is_full = std::env::var_os("DUALKEY_TEST_FULL").is_some();
    for size in if is_full { &SIZES[..] } else { &SIZES[..2] } {
        let started = Instant::now();
        let (states, found) = explore(Fault::None, *size);
        let seconds = started.elapsed().as_secs_f64();
        let violations = usize::from(found.is_some());
        println!("{size:?}: {states} states, {seconds:.1} s, {violations} violations");
        assert!(found.is_none(), "{}", found.unwrap_or_default());
    }
}

/// A test that cannot fail shows nothing: each fault loses a value, or revives a key.
#[test]
fn each_planted_fault_is_found() {
    for fault in [
        Fault::LeadWithoutSkew,
        Fault::EndsSettledAhead,
        Fault::BeforeChangedAt,
        Fault::RollbackNearEnd,
        Fault::WithdrawnAtOnce,
        Fault::NotRecorded,
        Fault::ShortenedAtOnce,
        Fault::WindowShortenedAtOnce,
        Fault::EarlierEndForgotten,
    ] {
        let started = Instant::now();
        let found = [0, 2, 1].map(|place| &SIZES[place]).into_iter().find_map(|size| {
            let (states, found) = explore(fault, *size);
            Some((size, states, found?))
        });
        let (size, states, found) = found.unwrap_or_else(|| panic!("{fault:?} is not found"));
        let seconds = started.elapsed().as_secs_f64();
        println!("{fault:?}: found after {states} states of {size:?}, {seconds:.1} s: {found}");
    }
}
