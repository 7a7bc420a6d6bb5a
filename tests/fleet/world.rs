//! What happens, in order, and what is checked after each step.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use dualkey::cookie::CookieKey;
use dualkey::envelope::{AesKey, Sealer};
use dualkey::jwt::JwtKey;
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::KeyStore;
use dualkey::{Kid, Policy, Reason, RewrapRecord, Secret};
use pollster::block_on;

use super::artefact::Artefacts;
use super::bounds::Bounds;
use super::instance::{Instance, Start, at, seconds};
use super::ledger::{Kind, Ledger};
use super::operator::{Operator, Stage, Way};
use super::probe::Attacker;
use super::program::Program;
use super::shelf::{Shelf, Weather};

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub requests: u64,
    /// Valid, and refused.
    pub lost: u64,
    /// Refused by instances that did not know the key which was made in an emergency: as the
    /// step that made it says.
    pub declared: u64,
    /// Refused by instances that serve nothing, because what they hold is too old.
    pub unavailable: u64,
    /// Taken although the key was revoked: the longest time after it was.
    pub exposure: Option<u64>,
    /// The same, of instances that could reach their store all the time.
    pub reached: Option<u64>,
    /// From the first step until the old key was gone, where none leaked.
    pub completed: Option<u64>,
    /// Steps that operators took, and that were refused, and those that revoked a key, where
    /// operators take any.
    pub steps: u64,
    pub refused: u64,
    pub leaks: u64,
    /// What must not be: the first of them.
    pub violations: Vec<String>,
    /// How many there were of each kind, where operators take any step.
    pub kinds: BTreeMap<Kind, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Request,
    Poll {
        instance: usize,
        process: u64,
    },
    Restart {
        instance: usize,
    },
    /// This one and those after it, one after the other: a new version of the service.
    Deploy {
        instance: usize,
    },
    Up {
        instance: usize,
    },
    Weather {
        instance: usize,
    },
    Fair {
        instance: usize,
    },
    Operator,
    Leak,
    /// Everything is looked at, unless a later revision is stored.
    Probe {
        revision: u64,
    },
}

pub(super) struct Held {
    pub(super) artefact: Vec<u8>,
    pub(super) kid: Kid,
    /// Until when it is valid, whoever's clock is asked.
    pub(super) until: u64,
    /// Of the manifest that the instance held which made it.
    pub(super) revision: u64,
}

pub(super) struct World<K: Artefacts> {
    pub(super) now: u64,
    pub(super) random: fastrand::Rng,
    pub(super) bounds: Bounds,
    pub(super) way: Way,
    pub(super) events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    pub(super) count: u64,
    pub(super) shelf: Shelf,
    pub(super) instances: Vec<Instance<K>>,
    pub(super) start: Start,
    pub(super) held: Vec<Held>,
    pub(super) revoked: BTreeMap<Kid, u64>,
    /// Keys that are new to everybody since an emergency.
    pub(super) made: BTreeMap<Kid, u64>,
    pub(super) operator: Operator,
    /// Whether the reports of these hours are asked for.
    pub(super) is_watched: bool,
    /// When the old key goes, where the instances are restarted.
    pub(super) second: Option<u64>,
    pub(super) has_leaked: bool,
    pub(super) end: u64,
    pub(super) outcome: Outcome,
    pub(super) program: Program,
    pub(super) ledger: Ledger,
    pub(super) attacker: Attacker<K>,
    /// Names of instances that are gone.
    pub(super) gone: Vec<String>,
}

/// One rotation of the fleet of `seed`.
pub fn run(seed: u64, way: Way, bounds: impl Fn(&mut fastrand::Rng) -> Bounds) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let bounds = bounds(&mut random);
    match seed % 3 {
        0 => World::<CookieKey>::new(random, way, bounds, secret).run(),
        1 => World::<JwtKey>::new(random, way, bounds, secret).run(),
        // Rows do not end: what is restarted loses them, and what rolls needs a rewrap.
        _ if way.has_store() => World::<AesKey>::new(random, way, bounds, short).run(),
        _ => World::<CookieKey>::new(random, way, bounds, secret).run(),
    }
}

/// 64 bytes that look like nothing but chance.
fn secret(seed: u64) -> Secret {
    let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed);
    Secret::from((0..64).map(|_| random.u8(b'!'..=b'~')).collect::<Vec<_>>())
}

fn short(seed: u64) -> Secret {
    Secret::from(&secret(seed).expose()[..32])
}

impl<K: Artefacts> World<K> {
    fn new(mut random: fastrand::Rng, way: Way, bounds: Bounds, make: fn(u64) -> Secret) -> Self {
        let shelf = Shelf::new();
        let mut policy = Policy::default();
        policy.max_lifetime = Duration::from_secs(bounds.life);
        policy.rollout_window = Duration::from_secs(bounds.rollout);
        policy.skew = Duration::from_secs(bounds.skew);
        policy.observation_window = Duration::from_secs(2 * 3600);
        policy.min_observed_verifications = 5;
        let first = NewEntry::new(make(1)).kid("k1".parse().unwrap());
        let manifest = Manifest::new("RING", K::PURPOSE, "sim", policy, first, at(0, 0)).unwrap();
        block_on(shelf.compare_and_swap(0, &manifest)).unwrap();
        let off = bounds.clock_off as i64;
        let instances = (0..bounds.instances)
            .map(|_| Instance::new(shelf.share(), random.i64(-off..=off)))
            .collect();
        let operator = Operator::new(shelf.clone(), way, "k1".parse().unwrap());
        let start = if way.has_store() { Start::Store } else { Start::Keys(vec![make(1)]) };
        let program = Program::new(shelf.clone(), &bounds, make, &mut random.clone());
        let mut world = Self {
            now: 0,
            random,
            bounds,
            way,
            events: BinaryHeap::new(),
            count: 0,
            shelf,
            instances,
            start,
            held: Vec::new(),
            revoked: BTreeMap::new(),
            made: BTreeMap::new(),
            operator,
            is_watched: false,
            second: None,
            has_leaked: false,
            end: u64::MAX,
            outcome: Outcome::default(),
            program,
            ledger: Ledger::default(),
            attacker: Attacker::new(),
            gone: Vec::new(),
        };
        if way == Way::Anything {
            world.attacker.steals("k1".parse().unwrap(), make(1));
        }
        world.begin();
        world
    }

    fn begin(&mut self) {
        for instance in 0..self.instances.len() {
            self.start_instance(instance);
            let (weather, restart) = (self.random.u64(..6 * 3600), self.random.u64(..24 * 3600));
            if self.way.has_store() {
                self.schedule(weather, Event::Weather { instance });
            }
            self.schedule(restart, Event::Restart { instance });
        }
        // What was signed lately is held when the rotation begins.
        let begin = self.bounds.life.min(2 * 86_400) / 2;
        self.schedule(0, Event::Request);
        if self.way.has_store() {
            let deploy = self.random.u64(..24 * 3600);
            self.schedule(deploy, Event::Deploy { instance: 0 });
        }
        self.schedule(begin, Event::Operator);
        if self.bounds.leaks {
            let when = begin + self.random.u64(..self.bounds.life + 2 * self.bounds.rollout);
            self.schedule(when, Event::Leak);
        }
    }

    pub(super) fn schedule(&mut self, when: u64, event: Event) {
        self.count += 1;
        self.events.push(Reverse((when, self.count, event)));
    }

    fn run(mut self) -> Outcome {
        let start = self.bounds.life.min(2 * 86_400) / 2;
        while let Some(Reverse((when, _, event))) = self.events.pop() {
            if when >= self.end {
                break;
            }
            if when >= 60 * 86_400 {
                let stage = self.operator.stage;
                self.outcome.violations.push(format!("it does not end: {stage:?}"));
                break;
            }
            self.now = when;
            self.shelf.set_now(when);
            for instance in &self.instances {
                instance.set_now(when);
            }
            self.apply(event);
        }
        if let (Stage::Done { at }, false) = (self.operator.stage, self.has_leaked) {
            self.outcome.completed = Some(at - start);
        }
        self.outcome
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Request => {
                self.request();
                let pause = 3600 / self.bounds.requests_an_hour;
                // Closer where something has just changed.
                let pause = if self.random.u64(..4) == 0 { pause / 8 } else { pause };
                let next = self.now + self.random.u64(1..=2 * pause.max(1));
                self.schedule(next, Event::Request);
            }
            Event::Poll { instance, process } => {
                if self.instances[instance].process == process {
                    self.poll(instance);
                }
            }
            Event::Restart { instance } => {
                self.kill(instance);
                let (up, next) = (self.random.u64(1..60), self.random.u64(3600..48 * 3600));
                self.schedule(self.now + up, Event::Up { instance });
                if !matches!(self.operator.stage, Stage::Done { .. }) || self.way.has_store() {
                    self.schedule(self.now + next, Event::Restart { instance });
                }
            }
            Event::Deploy { instance } => {
                self.kill(instance);
                let up = self.now + self.random.u64(1..30);
                self.schedule(up, Event::Up { instance });
                let (next, pause) = match instance + 1 {
                    next if next < self.instances.len() => (next, self.random.u64(30..120)),
                    _ => (0, self.random.u64(6 * 3600..48 * 3600)),
                };
                self.schedule(self.now + pause, Event::Deploy { instance: next });
            }
            Event::Up { instance } => self.start_instance(instance),
            Event::Weather { instance } => {
                if self.way == Way::Anything {
                    // It has reported until now, as it does all the time.
                    self.poll(instance);
                }
                let weather = match self.random.u64(..3) {
                    0 => Weather::Down,
                    1 => Weather::Torn,
                    _ => Weather::Stale(self.random.u64(1..=self.bounds.lag)),
                };
                self.set_weather(instance, weather);
                let end = self.now + self.random.u64(1..=self.bounds.outage);
                self.schedule(end, Event::Fair { instance });
            }
            Event::Fair { instance } => {
                self.set_weather(instance, Weather::Fair);
                let next = self.now + self.random.u64(3600..12 * 3600);
                self.schedule(next, Event::Weather { instance });
            }
            Event::Operator if self.way == Way::Anything => self.take_step(),
            Event::Operator if self.way.has_store() => self.visit(),
            Event::Operator => self.restart_all(),
            Event::Leak => self.leak(),
            Event::Probe { revision } => {
                if self.ledger.is_latest(revision) {
                    self.probe();
                }
            }
        }
    }

    fn kill(&mut self, instance: usize) {
        self.gone.extend(self.instances[instance].name.take());
        self.instances[instance].kill();
    }

    fn set_weather(&mut self, instance: usize, weather: Weather) {
        let node = &mut self.instances[instance];
        node.shelf.set_weather(weather);
        node.since = self.now;
        self.poll_soon(instance);
    }

    /// Within a poll and a quarter.
    pub(super) fn poll_soon(&mut self, instance: usize) {
        let when = self.now + self.random.u64(1..=self.bounds.poll * 5 / 4);
        let process = self.instances[instance].process;
        self.schedule(when, Event::Poll { instance, process });
    }

    fn poll(&mut self, instance: usize) {
        let held = |node: &Instance<K>| node.ring().map(|ring| ring.load().revision());
        let before = held(&self.instances[instance]);
        let agrees = self.instances[instance].poll();
        if held(&self.instances[instance]) != before {
            self.present_all(instance);
        }
        // A poll that finds nothing new changes nothing: those are left out, but where the
        // age of what is held or a report depends on them.
        if !agrees || self.is_watched || self.bounds.max_staleness.is_some() {
            let pause = if agrees { 200 } else { self.bounds.poll * 5 / 4 };
            let when = self.now + self.random.u64(pause / 2..=pause);
            let process = self.instances[instance].process;
            self.schedule(when, Event::Poll { instance, process });
        }
    }

    fn start_instance(&mut self, instance: usize) {
        self.count += 1;
        let name = format!("pod-{}", self.count);
        let (start, bounds) = (self.start.clone(), self.bounds);
        if self.instances[instance].start(&name, &start, &bounds) {
            self.present_all(instance);
            if self.way.has_store() {
                self.poll_soon(instance);
            }
        } else {
            // It cannot start without its keys: tried again.
            self.schedule(self.now + 30, Event::Up { instance });
        }
    }

    fn visit(&mut self) {
        let off = self.bounds.clock_off as i64;
        let clock = at(self.now, self.random.i64(-off..=off) / 2);
        let make = if K::IS_STORED { short } else { secret };
        let bounds = self.bounds;
        let visit = self.operator.visit(self.now, clock, &bounds, make, &mut self.random);
        if visit.has_stored {
            (0..self.instances.len()).for_each(|instance| self.poll_soon(instance));
        }
        if visit.wants_rewrap && K::IS_STORED {
            self.rewrap();
        }
        // From here on silence is to mean something.
        let watches = matches!(
            self.operator.stage,
            Stage::Waits { .. } | Stage::Signs { .. } | Stage::Retired
        );
        if watches
            && !self.is_watched
            && (K::IS_STORED || matches!(self.operator.stage, Stage::Waits { .. }))
        {
            self.is_watched = K::IS_STORED;
            (0..self.instances.len()).for_each(|instance| self.poll_soon(instance));
        }
        match self.operator.stage {
            Stage::Done { .. } => self.end = self.end.min(self.now + 2 * 3600),
            _ => self.schedule(visit.next, Event::Operator),
        }
    }

    /// Everything that is stored goes under the primary, and the report says what did not.
    pub(super) fn rewrap(&mut self) {
        let manifest = block_on(self.shelf.load()).unwrap();
        let is_latest = |node: &&Instance<K>| {
            node.ring().is_some_and(|ring| ring.load().revision() == manifest.revision())
        };
        let Some(instance) = self.instances.iter().find(is_latest) else { return };
        let (ring, mut unreadable) = (instance.ring().unwrap(), 0);
        let mut rows = BTreeMap::new();
        for row in &mut self.held {
            match K::reseal(ring, &row.artefact) {
                Ok(resealed) => {
                    let kid = Sealer::kid_of(&resealed).unwrap();
                    // Under a staged key it stays as it is.
                    if row.kid != kid {
                        (row.kid, row.revision) = (kid, manifest.revision());
                    }
                    row.artefact = resealed;
                }
                Err(()) => unreadable += 1,
            }
            *rows.entry(row.kid).or_default() += 1;
        }
        let moment = at(self.now, instance.off);
        let rewrap = RewrapRecord {
            started_at: moment,
            finished_at: moment,
            unreadable,
            nothing_sealed: 0,
            rows: rows.into_iter().collect(),
        };
        self.instances.iter().for_each(|node| node.rewrap(&rewrap));
    }

    /// The usual ways: the secrets of the environment, and a rolling restart.
    fn restart_all(&mut self) {
        let (new, is_last) = match (self.way, self.second) {
            (Way::NewAndOld, None) => {
                self.second = Some(self.now + self.bounds.life + self.bounds.rollout / 2);
                (vec![secret(2), secret(1)], false)
            }
            _ => (vec![secret(2)], true),
        };
        let done = self.roll(new);
        if is_last {
            self.operator.stage = Stage::Done { at: done };
            self.end = self.end.min(done + 2 * 3600);
        } else {
            self.schedule(self.second.unwrap(), Event::Operator);
        }
    }

    /// Restarts one instance after the other with `keys`, and returns when that is done.
    fn roll(&mut self, keys: Vec<Secret>) -> u64 {
        self.start = Start::Keys(keys);
        let pause = self.bounds.rollout / 2 / self.instances.len() as u64;
        for instance in 0..self.instances.len() {
            self.schedule(self.now + pause * instance as u64, Event::Restart { instance });
        }
        self.now + pause * self.instances.len() as u64
    }

    fn leak(&mut self) {
        if matches!(self.operator.stage, Stage::Done { .. }) {
            return;
        }
        self.has_leaked = true;
        if !self.way.has_store() {
            // What signs now, on any instance, is what has leaked.
            let leaked = self.instances.iter().find_map(|node| node.ring()?.primary()).unwrap();
            self.revoked.insert(leaked, self.now);
            let done = self.roll(vec![secret(3)]);
            self.operator.stage = Stage::Done { at: done };
            self.end = done + 2 * 3600;
            self.events.retain(|Reverse((_, _, event))| *event != Event::Operator);
            return;
        }
        let make = if K::IS_STORED { short } else { secret };
        let (leaked, made) = self.operator.emergency_rotate(self.now, at(self.now, 0), make);
        self.revoked.insert(leaked, self.now);
        if let Some(made) = made {
            self.made.insert(made, self.now);
        }
        (0..self.instances.len()).for_each(|instance| self.poll_soon(instance));
        self.end = self.now + 6 * 3600;
    }

    fn request(&mut self) {
        if self.way == Way::Anything {
            let instance = self.random.usize(..self.instances.len());
            if let Some(place) = self.sign(instance) {
                let other = self.random.usize(..self.instances.len());
                self.show(other, place);
            }
            return;
        }
        let up: Vec<_> =
            (0..self.instances.len()).filter(|place| self.instances[*place].is_up()).collect();
        if up.is_empty() {
            return;
        }
        let pick_up = |random: &mut fastrand::Rng| up[random.usize(..up.len())];
        let (now, off) = (self.now, self.bounds.clock_off);
        self.held.retain(|held| held.until > now);
        if self.random.u64(..3) == 0 || self.held.is_empty() {
            let instance = &self.instances[pick_up(&mut self.random)];
            let ring = instance.ring().unwrap();
            let life = self.bounds.real_life;
            match K::make(ring, seconds(now, instance.off), life) {
                Some(artefact) => {
                    let kid = ring.primary().unwrap();
                    let until = if K::IS_STORED { u64::MAX } else { now + life - 2 * off };
                    if self.held.len() >= 60 {
                        // The oldest and the youngest are what matters.
                        let middle = self.random.usize(20..40);
                        self.held.remove(middle);
                    }
                    let revision = ring.load().revision();
                    self.held.push(Held { artefact, kid, until, revision });
                }
                None => self.outcome.unavailable += 1,
            }
        }
        for _ in 0..3 {
            let instance = pick_up(&mut self.random);
            if !self.held.is_empty() {
                // Half of them as old as there are.
                let oldest = self.held.len().min(4);
                let place = if self.random.bool() {
                    self.random.usize(..oldest)
                } else {
                    self.random.usize(..self.held.len())
                };
                self.present(instance, place);
            }
        }
    }

    /// Shows an instance, of which something has just changed, all that clients hold.
    fn present_all(&mut self, instance: usize) {
        if self.way == Way::Anything {
            self.probe_changed(instance);
            return;
        }
        let now = self.now;
        self.held.retain(|held| held.until > now);
        if self.way.has_store() {
            // A check, and no traffic: what is lost by it is a violation, and not counted.
            let counted = self.outcome.clone();
            (0..self.held.len()).for_each(|place| self.present(instance, place));
            let violations = std::mem::take(&mut self.outcome.violations);
            self.outcome = Outcome { violations, ..counted };
        }
    }

    /// Shows what a client holds, and judges the answer.
    fn present(&mut self, instance: usize, place: usize) {
        let (node, held) = (&self.instances[instance], &self.held[place]);
        let answer = K::verify(node.ring().unwrap(), &held.artefact);
        self.outcome.requests += 1;
        let is_in_grace =
            |since: u64| node.grace(since, &self.bounds).is_none_or(|end| self.now <= end);
        match (self.revoked.get(&held.kid), answer) {
            (Some(revoked), Ok(_)) => {
                let after = self.now - revoked;
                self.outcome.exposure = self.outcome.exposure.max(Some(after));
                if node.shelf.weather() == Weather::Fair && node.since <= *revoked {
                    self.outcome.reached = self.outcome.reached.max(Some(after));
                }
                if !is_in_grace(*revoked) && self.way.has_store() {
                    self.violation(
                        format!("taken {after} s after it was revoked"),
                        instance,
                        place,
                    );
                }
            }
            (Some(_), Err(_)) | (None, Ok(_)) => {}
            (None, Err(Reason::Stale)) => self.outcome.unavailable += 1,
            (None, Err(_)) if self.made.get(&held.kid).is_some_and(|made| is_in_grace(*made)) => {
                self.outcome.declared += 1;
            }
            (None, Err(reason)) => {
                self.outcome.lost += 1;
                self.violation(format!("valid, and refused: {reason}"), instance, place);
            }
        }
    }

    fn violation(&mut self, what: String, instance: usize, place: usize) {
        if self.outcome.violations.len() < 3 {
            let (node, held) = (&self.instances[instance], &self.held[place]);
            let ring = node.ring().unwrap().load();
            self.outcome.violations.push(format!(
                "at {} s: of the key {}, {what}; instance {instance}, clock {:+} s, revision {}, \
                 store {:?} since {} s; {:?}; {:?}",
                self.now,
                held.kid,
                node.off,
                ring.revision(),
                node.shelf.weather(),
                node.since,
                self.operator.stage,
                self.bounds,
            ));
        }
    }
}
