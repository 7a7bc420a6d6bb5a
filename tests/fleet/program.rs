//! Operators who take any step at any moment: each run has a random program of steps.
//!
//! Each operator has an own clock. A step is chosen for what is in the store, so that
//! most are possible, and often for a moment at which it matters: shortly before or after an
//! end, or within the rollout window of the step before.

use std::time::{Duration, SystemTime};

use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{KeyStore, StoreError};
use dualkey::{Error, KeyState, Kid, Report, Role, Secret};
use pollster::block_on;

use super::bounds::Bounds;
use super::instance::at;
use super::shelf::Shelf;

/// How long what is signed lives, in seconds, by the policies that are set.
const LIVES: [u64; 5] = [600, 1800, 2 * 3600, 4 * 3600, 6 * 3600];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Stage,
    /// To sign so many seconds later.
    Schedule(u64),
    Promote(Kid),
    ForcePromote(Kid),
    Rollback,
    ForceRollback,
    Retire(Kid),
    ForceRetire(Kid),
    ForceRestage(Kid),
    Revoke(Kid),
    Emergency(Kid),
    Destroy(Kid),
    /// The maximum life of what is signed, in seconds.
    SetLife(u64),
}

/// A step that was taken: what was stored, and what was said of it.
#[derive(Debug, Clone)]
pub struct Taken {
    pub step: Step,
    pub before: Manifest,
    pub after: Manifest,
    pub added: Option<(Kid, Secret)>,
    /// Instances that have not reloaded may reject what the new primary signs.
    pub new_rejected: bool,
    /// They still accept what the compromised key signs.
    pub compromised_accepted: bool,
}

/// A step with what it takes.
struct Order {
    step: Step,
    clock: SystemTime,
    kid: Kid,
    secret: Secret,
    reports: Vec<Report>,
}

pub struct Program {
    shelf: Shelf,
    /// By how many seconds the clock of each operator is ahead.
    clocks: Vec<i64>,
    steps_left: u64,
    keys: u64,
    make: fn(u64) -> Secret,
    pub refused: u64,
    /// The steps that were stored, for a report.
    pub log: Vec<String>,
}

impl Program {
    pub fn new(
        shelf: Shelf,
        bounds: &Bounds,
        make: fn(u64) -> Secret,
        random: &mut fastrand::Rng,
    ) -> Self {
        let off = bounds.clock_off as i64;
        let clocks = (0..3).map(|_| random.i64(-off..=off)).collect();
        let steps_left = random.u64(6..=16);
        Self { shelf, clocks, steps_left, keys: 100, make, refused: 0, log: Vec::new() }
    }

    pub fn is_done(&self) -> bool {
        self.steps_left == 0
    }

    /// One operator looks at the store and takes a step; sometimes another one is faster.
    /// Returns what was stored, in this order, and what must not be.
    pub fn visit(&mut self, now: u64, random: &mut fastrand::Rng) -> (Vec<Taken>, Option<String>) {
        self.steps_left = self.steps_left.saturating_sub(1);
        let seen = block_on(self.shelf.load()).unwrap();
        let reports = block_on(self.shelf.reports()).unwrap();
        let mut taken = Vec::new();
        let mut faster = (random.u64(..8) == 0).then(|| self.order(&seen, now, &reports, random));
        let order = self.order(&seen, now, &reports, random);
        // The later operator gets a conflict, and takes the step again on the new manifest.
        loop {
            let before = block_on(self.shelf.load()).unwrap();
            let made = order.attempt(&before);
            if let Some(faster) = faster.take() {
                let other = faster.attempt(&before).ok().filter(|taken| taken.is_news());
                if let Some(other) = other {
                    block_on(self.shelf.compare_and_swap(before.revision(), &other.after)).unwrap();
                    self.log(now, &other, faster.clock);
                    taken.push(other);
                }
            }
            let made = match made {
                Ok(made) if made.is_news() => made,
                Ok(_) => return (taken, None),
                Err(_) => {
                    self.refused += 1;
                    let unchanged = taken.last().map_or(&before, |last| &last.after);
                    let found = block_on(self.shelf.load()).unwrap();
                    let is_same = found.revision() == unchanged.revision()
                        && found.fingerprint() == unchanged.fingerprint();
                    let wrong = format!("{:?} was refused and changed the store", order.step);
                    return (taken, (!is_same).then_some(wrong));
                }
            };
            match block_on(self.shelf.compare_and_swap(before.revision(), &made.after)) {
                Ok(()) => {
                    self.log(now, &made, order.clock);
                    taken.push(made);
                }
                Err(StoreError::Conflict { .. }) if !taken.is_empty() => continue,
                Err(error) => panic!("{:?}: {error}", order.step),
            }
            return (taken, None);
        }
    }

    fn log(&mut self, now: u64, taken: &Taken, clock: SystemTime) {
        let off = clock.duration_since(at(now, 0)).map_or_else(
            |behind| -(behind.duration().as_secs() as i64),
            |ahead| ahead.as_secs() as i64,
        );
        self.log.push(format!(
            "  {now} s, clock {off:+} s: {:?} makes revision {}, with {} as primary{}{}",
            taken.step,
            taken.after.revision(),
            taken.after.primary(taken.after.changed_at()),
            if taken.new_rejected { ", new_rejected" } else { "" },
            if taken.compromised_accepted { ", compromised_accepted" } else { "" },
        ));
    }

    /// When the next step is taken.
    pub fn next_visit(&self, now: u64, bounds: &Bounds, random: &mut fastrand::Rng) -> u64 {
        let window = bounds.rollout + bounds.skew;
        if random.u64(..3) == 0 {
            let manifest = block_on(self.shelf.load()).unwrap();
            let moments: Vec<_> = turning_points(&manifest, now).collect();
            if !moments.is_empty() {
                let moment = moments[random.usize(..moments.len())];
                let early = moment.saturating_sub(random.u64(..2 * window));
                let soon = now + random.u64(10..300);
                return if random.bool() { moment + random.u64(..400) } else { early }.max(soon);
            }
        }
        now + match random.u64(..4) {
            0 => random.u64(10..300),
            1 => random.u64(300..window),
            2 => random.u64(window..window + 900),
            _ => random.u64(window..4 * window),
        }
    }

    /// A step that one of the operators wants to take.
    fn order(
        &mut self,
        seen: &Manifest,
        now: u64,
        reports: &[Report],
        random: &mut fastrand::Rng,
    ) -> Order {
        let clock = at(now, self.clocks[random.usize(..self.clocks.len())]);
        let step = self.choose(seen, clock, random);
        self.keys += 1;
        let kid = format!("k{}", self.keys).parse().unwrap();
        Order { step, clock, kid, secret: (self.make)(self.keys), reports: reports.to_vec() }
    }

    fn choose(&self, manifest: &Manifest, clock: SystemTime, random: &mut fastrand::Rng) -> Step {
        let kids = |is_wanted: fn(KeyState) -> bool| -> Vec<Kid> {
            let kids = manifest.keys().iter().map(|key| key.kid());
            kids.filter(|kid| manifest.state(kid, clock).is_some_and(is_wanted)).collect()
        };
        let any = |kids: Vec<Kid>, random: &mut fastrand::Rng| match kids.len() {
            0 => manifest.primary(clock),
            count => kids[random.usize(..count)],
        };
        let primary = manifest.primary(clock);
        let staged = || kids(|state| state == KeyState::Live(Role::Staged));
        let fallbacks = || kids(|state| state == KeyState::Live(Role::Fallback));
        let spare = || [staged(), fallbacks()].concat();
        let all = || kids(|_| true);
        let window = manifest.policy().rollout_window + manifest.policy().skew;
        match random.u64(..32) {
            0..=4 => Step::Stage,
            // Too soon, at the earliest moment, or later.
            5..=7 => Step::Schedule(match random.u64(..4) {
                0 => window.as_secs() - 300,
                1 => window.as_secs(),
                _ => window.as_secs() + random.u64(1..7200),
            }),
            8..=12 => Step::Promote(any(spare(), random)),
            13 => Step::ForcePromote(any(spare(), random)),
            14..=16 => Step::Rollback,
            17 => Step::ForceRollback,
            18..=19 => Step::Retire(any(staged(), random)),
            20..=21 => Step::Retire(any(fallbacks(), random)),
            22 => Step::ForceRetire(any(spare(), random)),
            23 => Step::ForceRestage(any(kids(|state| state == KeyState::Expired), random)),
            24 => Step::Revoke(any(all(), random)),
            25..=26 => Step::Revoke(primary),
            27 => Step::Emergency(primary),
            28 => Step::Emergency(any(all(), random)),
            29 => Step::Destroy(any(all(), random)),
            _ => Step::SetLife(LIVES[random.usize(..LIVES.len())]),
        }
    }
}

/// The moments ahead of `now`, in seconds, at which a key starts to sign or stops verifying.
pub fn turning_points(manifest: &Manifest, now: u64) -> impl Iterator<Item = u64> {
    let seconds =
        |moment: SystemTime| moment.duration_since(at(0, 0)).ok().map(|since| since.as_secs());
    let mut moments = Vec::new();
    let mut moment = at(now, 0);
    while let Some(next) = manifest.next_transition(moment) {
        moments.extend(seconds(next));
        moment = next;
    }
    moments.into_iter()
}

impl Taken {
    fn is_news(&self) -> bool {
        self.before.revision() != self.after.revision()
    }
}

impl Order {
    fn attempt(&self, before: &Manifest) -> Result<Taken, Error> {
        let (clock, reports, reason) = (self.clock, &self.reports[..], "a test");
        let new = || NewEntry::new(self.secret.clone()).kid(self.kid);
        let change = match self.step {
            Step::Stage => before.stage(new(), clock),
            Step::Schedule(ahead) => {
                let dated = clock.max(before.changed_at());
                before.stage(new().signs_from(dated + Duration::from_secs(ahead)), clock)
            }
            Step::Promote(kid) => before.promote(&kid, reports, clock),
            Step::ForcePromote(kid) => before.force(reason).promote(&kid, clock),
            Step::Rollback => before.rollback(reports, clock),
            Step::ForceRollback => before.force(reason).rollback(clock),
            Step::Retire(kid) => before.retire(&kid, reports, clock),
            Step::ForceRetire(kid) => before.force(reason).retire(&kid, clock),
            Step::ForceRestage(kid) => before.force(reason).restage(&kid, clock),
            Step::Revoke(kid) => before.revoke(&kid, reason, clock),
            Step::Emergency(kid) => before.emergency_rotate(&kid, reason, new(), clock),
            Step::Destroy(kid) => before.destroy(&kid, reports, clock),
            Step::SetLife(seconds) => {
                let mut policy = *before.policy();
                policy.max_lifetime = Duration::from_secs(seconds);
                let after = before.set_policy(policy, clock)?;
                return Ok(self.build_taken(before, after, false, false));
            }
        }?;
        let effect = change.effect;
        let (rejected, accepted) = (effect.new_rejected, effect.compromised_accepted);
        Ok(self.build_taken(before, change.manifest, rejected, accepted))
    }

    fn build_taken(
        &self,
        before: &Manifest,
        after: Manifest,
        new_rejected: bool,
        compromised_accepted: bool,
    ) -> Taken {
        let (step, before) = (self.step, before.clone());
        let added = after.key(&self.kid).map(|_| (self.kid, self.secret.clone()));
        Taken { step, before, after, added, new_rejected, compromised_accepted }
    }
}
