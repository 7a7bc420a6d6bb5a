//! The manifests of a search, each held once, with the steps that were taken from it.
//!
//! Every step, role and verdict is the library's own: nothing here states a rule.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use dualkey::manifest::{Change, Manifest, NewEntry, RolloutEffect};
use dualkey::{
    Error, Fingerprint, KeyState, Kid, Policy, Purpose, Report, RewrapRecord, Role, Secret,
    UsageBucket, UsageCounts, Verdict,
};

use super::engine::QuickBuild;

/// The most keys of a manifest: three, and one more with which a rotation ends.
pub const KEYS: usize = 4;

/// A tick is an hour: whatever a tick is, it is the same for all.
pub const TICK: Duration = Duration::from_secs(3600);

/// The moment of a tick. A search starts some ticks after 0, so that no moment lies before that.
pub fn at(tick: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000) + TICK * tick as u32
}

/// The tick of a moment; that of one between two ticks is the later one.
pub fn tick_of(moment: SystemTime) -> u64 {
    let since = moment.duration_since(at(0)).unwrap_or_default();
    since.as_secs().div_ceil(TICK.as_secs())
}

pub fn ticks(count: u64) -> Duration {
    TICK * count as u32
}

/// The kid of the key that was added as number `index`.
pub fn kid(index: usize) -> Kid {
    Kid::new(&format!("k{index}")).expect("a letter and a digit are a kid")
}

/// A secret for the key that is added as number `index`.
pub fn secret(index: usize) -> Secret {
    // An encryption key has 32 bytes, which is the floor of a cookie's.
    let mut bytes = *b"kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5";
    bytes[0] = b'a' + index as u8;
    Secret::from(&bytes[..])
}

/// The policy of a manifest, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Declared {
    pub lifetime: u64,
    pub rollout: u64,
    pub skew: u64,
}

impl Declared {
    pub fn policy(self) -> Policy {
        let mut policy = Policy::default();
        policy.max_lifetime = ticks(self.lifetime);
        policy.rollout_window = ticks(self.rollout);
        policy.skew = ticks(self.skew);
        policy.observation_window = ticks(OBSERVATION);
        policy.min_observed_verifications = 1;
        policy.min_secret_bytes = Some(32);
        policy
    }

    /// The longest time from a step until the last instance acts on it, by any clock.
    pub fn window(self) -> u64 {
        self.rollout + self.skew
    }
}

/// The observation window, in ticks.
pub const OBSERVATION: u64 = 1;

/// A step of an operator. Keys are named by the order in which they were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Stage,
    /// Staged, to sign so many ticks later.
    Schedule(u64),
    Promote(usize),
    ForcePromote(usize),
    AssumeDeployed(usize),
    Rollback,
    ForceRollback,
    /// A retirement; of a staged key, its withdrawal.
    Retire(usize),
    ForceRetire(usize),
    Restage(usize),
    Revoke(usize),
    EmergencyRotate(usize),
    Destroy(usize),
    ForceDestroy(usize),
    SetPolicy(Declared),
}

impl Step {
    /// Returns whether the outcome depends on the reports.
    pub fn asks_reports(self) -> bool {
        matches!(
            self,
            Self::Promote(_)
                | Self::AssumeDeployed(_)
                | Self::Rollback
                | Self::Retire(_)
                | Self::Destroy(_)
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage => f.write_str("stage a key"),
            Self::Schedule(lead) => write!(f, "stage a key that signs {lead} h later"),
            Self::Promote(key) => write!(f, "promote k{key}"),
            Self::ForcePromote(key) => write!(f, "force the promotion of k{key}"),
            Self::AssumeDeployed(key) => write!(f, "promote k{key}, assumed deployed"),
            Self::Rollback => f.write_str("roll back"),
            Self::ForceRollback => f.write_str("force a rollback"),
            Self::Retire(key) => write!(f, "retire k{key}"),
            Self::ForceRetire(key) => write!(f, "force the retirement of k{key}"),
            Self::Restage(key) => write!(f, "restage k{key}"),
            Self::Revoke(key) => write!(f, "revoke k{key}"),
            Self::EmergencyRotate(key) => write!(f, "emergency-rotate k{key}"),
            Self::Destroy(key) => write!(f, "destroy k{key}"),
            Self::ForceDestroy(key) => write!(f, "force the destruction of k{key}"),
            Self::SetPolicy(declared) => {
                let Declared { lifetime, rollout, skew } = declared;
                write!(f, "set the policy: {lifetime} h, {rollout} h, {skew} h")
            }
        }
    }
}

/// A manifest, and what follows from it.
pub struct Document {
    pub manifest: Manifest,
    pub changed_at: u64,
    pub declared: Declared,
    /// While it is in force: the longer rollout window of an earlier policy, and until when.
    earlier_rollout: Option<(u64, u64)>,
    pub fingerprint: Fingerprint,
    /// The keys that are revoked, by bit.
    pub revoked: u8,
    /// The keys whose secret is there, by bit.
    pub present: u8,
    /// By clock.
    roles: Vec<Option<Roles>>,
}

/// The roles of all keys at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles {
    /// The keys that verify, by bit.
    pub live: u8,
    pub primary: Option<usize>,
    pub primaries: usize,
}

impl Document {
    /// The rollout window that is in force at a tick: how long a step takes to reach all instances.
    pub fn rollout(&self, tick: u64) -> u64 {
        let earlier = self.earlier_rollout.filter(|(_, until)| tick < *until);
        earlier.map_or(self.declared.rollout, |(rollout, _)| rollout.max(self.declared.rollout))
    }

    pub fn key_count(&self) -> usize {
        self.manifest.keys().len()
    }

    /// Returns the state of each key on an instance whose clock shows `clock`: it evaluates the
    /// manifest at its own time, but never before the last change.
    pub fn states(&self, clock: u64) -> Vec<KeyState> {
        let now = at(clock.max(self.changed_at));
        let state = |index| self.manifest.state(&kid(index), now).expect("it has the key");
        (0..self.key_count()).map(state).collect()
    }
}

/// A step that was accepted.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub step: Step,
    pub document: u32,
    pub effect: RolloutEffect,
    /// Within so many ticks every instance holds it.
    pub rollout: u8,
    /// The key that the step ended by force.
    pub cut: Option<usize>,
}

/// What one instance said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Said {
    pub is_there: bool,
    /// The tick of its report, by its own clock.
    pub at: u8,
    /// True if it holds what the store does, by the fingerprint.
    pub agrees: bool,
    /// Encryption: the start and the end of the last rewrap that it knows, and the keys of which rows
    /// were left.
    pub rewrap: Option<Rewrap>,
}

/// The record of a rewrap, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rewrap {
    pub started: u8,
    pub finished: u8,
    /// The keys that rows are under after it, by bit.
    pub left: u8,
    pub unreadable: u8,
    /// True if a command made it, which is over and says nothing else.
    pub by_command: bool,
}

/// The number of instances of a search.
pub const INSTANCES: usize = 4;

/// What all instances said last.
pub type Reports = [Said; INSTANCES];

/// What breaks a property, and the name of that.
pub type Broken = (&'static str, String);

type Accepted = Rc<[Taken]>;

/// All manifests of a search.
pub struct Documents {
    purpose: Purpose,
    max_keys: usize,
    pub all: Vec<Document>,
    known: HashMap<[u64; 2], u32, QuickBuild>,
    /// By document and clock of the operator.
    taken: HashMap<(u32, u8), Accepted, QuickBuild>,
    /// By document, clock of the operator and reports.
    reported: HashMap<(u32, u8, Reports), Accepted, QuickBuild>,
    /// By document, clock of the operator, reports and key: whether the verdict is `Safe`.
    safe: HashMap<(u32, u8, Reports, u8), bool, QuickBuild>,
    /// The steps that were computed.
    pub computed: u64,
    pub broken: Option<(Broken, Step)>,
}

impl Documents {
    pub fn new(purpose: Purpose, max_keys: usize) -> Self {
        Self {
            purpose,
            max_keys,
            all: Vec::new(),
            known: HashMap::default(),
            taken: HashMap::default(),
            reported: HashMap::default(),
            safe: HashMap::default(),
            computed: 0,
            broken: None,
        }
    }

    /// The manifest of one key that has signed for ever.
    pub fn first(&mut self, declared: Declared, tick: u64) -> u32 {
        let key = new_entry(0);
        let manifest =
            Manifest::new("R", self.purpose, "test", declared.policy(), key, at(tick)).unwrap();
        self.intern(manifest, declared, None)
    }

    pub fn set_max_keys(&mut self, max_keys: usize) {
        self.max_keys = max_keys;
    }

    /// Forgets which steps were accepted: others may be taken from now on.
    pub fn forget_steps(&mut self) {
        self.taken.clear();
        self.reported.clear();
    }

    pub fn get(&self, document: u32) -> &Document {
        &self.all[document as usize]
    }

    fn intern(
        &mut self,
        manifest: Manifest,
        declared: Declared,
        earlier_rollout: Option<(u64, u64)>,
    ) -> u32 {
        let digest = digest_with(&manifest, earlier_rollout);
        let place = self.all.len() as u32;
        match self.known.entry(digest) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(free) => free.insert(place),
        };
        let bits = |is_set: &dyn Fn(usize) -> bool| {
            let set = (0..manifest.keys().len()).filter(|index| is_set(*index));
            set.fold(0, |all: u8, index| all | 1 << index)
        };
        let keys = manifest.keys();
        let (revoked, present) = (
            bits(&|index| keys[index].revoked().is_some()),
            bits(&|index| keys[index].secret().is_some()),
        );
        let changed_at = tick_of(manifest.changed_at());
        let fingerprint = manifest.fingerprint();
        self.all.push(Document {
            manifest,
            changed_at,
            declared,
            earlier_rollout,
            fingerprint,
            revoked,
            present,
            roles: Vec::new(),
        });
        place
    }

    /// The roles of the keys of a document, at the clock of an instance.
    pub fn roles(&mut self, document: u32, clock: u64) -> Roles {
        let document = &mut self.all[document as usize];
        let place = clock as usize;
        if let Some(Some(roles)) = document.roles.get(place) {
            return *roles;
        }
        let states = document.states(clock);
        let all = |is: fn(&KeyState) -> bool| {
            let matching = states.iter().enumerate().filter(move |(_, state)| is(state));
            matching.map(|(index, _)| index).collect::<Vec<_>>()
        };
        let primaries = all(|state| *state == KeyState::Live(Role::Primary));
        let live = all(|state| matches!(state, KeyState::Live(_)));
        let roles = Roles {
            live: live.iter().fold(0, |all, index| all | 1 << index),
            primary: primaries.first().copied(),
            primaries: primaries.len(),
        };
        document.roles.resize(document.roles.len().max(place + 1), None);
        document.roles[place] = Some(roles);
        roles
    }

    /// The accepted steps among `steps`, at the clock of an operator who reads `reports`.
    pub fn take_all(
        &mut self,
        document: u32,
        clock: u64,
        reports: &Reports,
        steps: impl Fn(&Document) -> Vec<Step>,
    ) -> [Accepted; 2] {
        let key = (document, clock as u8);
        let unreported = match self.taken.get(&key) {
            Some(taken) => Rc::clone(taken),
            None => {
                let steps =
                    steps(self.get(document)).into_iter().filter(|step| !step.asks_reports());
                let taken: Accepted = self.take_each(document, clock, &[], steps);
                self.taken.insert(key, Rc::clone(&taken));
                taken
            }
        };
        let key = (document, clock as u8, *reports);
        let reported = match self.reported.get(&key) {
            Some(taken) => Rc::clone(taken),
            None => {
                let built = self.build(document, reports);
                let steps =
                    steps(self.get(document)).into_iter().filter(|step| step.asks_reports());
                let taken = self.take_each(document, clock, &built, steps);
                self.reported.insert(key, Rc::clone(&taken));
                taken
            }
        };
        [unreported, reported]
    }

    /// Returns whether the verdict on a key is `Safe`.
    pub fn is_safe(&mut self, document: u32, clock: u64, reports: &Reports, key: usize) -> bool {
        let place = (document, clock as u8, *reports, key as u8);
        if let Some(is_safe) = self.safe.get(&place) {
            return *is_safe;
        }
        let built = self.build(document, reports);
        let held = self.get(document);
        let now = at(clock.max(held.changed_at));
        let verdict = held.manifest.retirement(&kid(key), &built, now);
        let is_safe = verdict.is_ok_and(|verdict| verdict == Verdict::Safe);
        self.safe.insert(place, is_safe);
        is_safe
    }

    /// The reports on a document.
    fn build(&self, document: u32, reports: &Reports) -> Vec<Report> {
        let fingerprint = self.get(document).fingerprint;
        let there = reports.iter().enumerate().filter(|(_, said)| said.is_there);
        there.map(|(instance, said)| report(instance, said, fingerprint)).collect()
    }

    fn take_each(
        &mut self,
        document: u32,
        clock: u64,
        reports: &[Report],
        steps: impl Iterator<Item = Step>,
    ) -> Accepted {
        steps.filter_map(|step| self.take(document, clock, reports, step)).collect()
    }

    /// Takes a step, with its result checked. `None`, if it is refused or changes nothing.
    pub fn take(
        &mut self,
        document: u32,
        clock: u64,
        reports: &[Report],
        step: Step,
    ) -> Option<Taken> {
        self.computed += 1;
        let before = &self.all[document as usize];
        let (manifest, now) = (&before.manifest, at(clock));
        let change = compute(manifest, step, reports, now).ok()?;
        let (next, effect) = match change {
            Computed::Change(change) => (change.manifest, change.effect),
            Computed::Policy(next) => (next, RolloutEffect::NONE),
        };
        // An emergency may bring a key for which there is no room.
        if next.keys().len() > self.max_keys {
            return None;
        }
        if next.revision() == manifest.revision() {
            return None;
        }
        let dated = tick_of(next.changed_at());
        if let Some(broken) = check_final(before, &next, dated, step) {
            self.broken.get_or_insert((broken, step));
        }
        let (declared, in_force) = (before.declared, before.rollout(dated));
        let (declared, earlier) = match step {
            Step::SetPolicy(declared) => {
                let until = dated + in_force + before.declared.skew;
                (declared, (in_force > declared.rollout).then_some((in_force, until)))
            }
            _ => (declared, before.earlier_rollout.filter(|(_, until)| dated < *until)),
        };
        let cut = match step {
            Step::ForceRetire(index) | Step::ForceDestroy(index) => Some(index),
            _ => None,
        };
        let rollout = in_force.max(declared.rollout) as u8;
        let document = self.intern(next, declared, earlier);
        Some(Taken { step, document, effect, rollout, cut })
    }
}

/// A key of which nothing is known to the manifest yet.
fn new_entry(index: usize) -> NewEntry {
    NewEntry::new(secret(index)).kid(kid(index))
}

enum Computed {
    Change(Change),
    Policy(Manifest),
}

/// What the library makes of a step.
fn compute(
    manifest: &Manifest,
    step: Step,
    reports: &[Report],
    now: SystemTime,
) -> Result<Computed, Error> {
    let count = manifest.keys().len();
    let new = || new_entry(count);
    let force = manifest.force("because");
    let change = match step {
        Step::Stage => manifest.stage(new(), now)?,
        Step::Schedule(lead) => {
            let from = now.max(manifest.changed_at()) + ticks(lead);
            manifest.stage(new().signs_from(from), now)?
        }
        Step::Promote(index) => manifest.promote(&kid(index), reports, now)?,
        Step::ForcePromote(index) => force.promote(&kid(index), now)?,
        Step::AssumeDeployed(index) => {
            manifest.assume_deployed("because").promote(&kid(index), reports, now)?
        }
        Step::Rollback => manifest.rollback(reports, now)?,
        Step::ForceRollback => force.rollback(now)?,
        Step::Retire(index) => manifest.retire(&kid(index), reports, now)?,
        Step::ForceRetire(index) => force.retire(&kid(index), now)?,
        Step::Restage(index) if manifest.purpose() == Purpose::Envelope => {
            manifest.restage(&kid(index), now)?
        }
        Step::Restage(index) => force.restage(&kid(index), now)?,
        Step::Revoke(index) => manifest.revoke(&kid(index), "leaked", now)?,
        Step::EmergencyRotate(index) => {
            manifest.emergency_rotate(&kid(index), "leaked", new(), now)?
        }
        Step::Destroy(index) => manifest.destroy(&kid(index), reports, now)?,
        Step::ForceDestroy(index) => force.destroy(&kid(index), now)?,
        Step::SetPolicy(declared) => {
            return manifest.set_policy(declared.policy(), now).map(Computed::Policy);
        }
    };
    Ok(Computed::Change(change))
}

/// A digest of everything that a manifest holds, but for random salts.
pub fn digest(manifest: &Manifest) -> [u64; 2] {
    digest_with(manifest, None)
}

fn digest_with(manifest: &Manifest, earlier_rollout: Option<(u64, u64)>) -> [u64; 2] {
    let text = manifest.to_json().expect("it is a manifest");
    let text = without_salts(text.expose());
    [0, 1].map(|salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, &text, earlier_rollout).hash(&mut hasher);
        hasher.finish()
    })
}

/// What the library makes of a step, if that is a change of keys.
pub fn compute_change(
    manifest: &Manifest,
    step: Step,
    reports: &[Report],
    now: SystemTime,
) -> Result<Change, Error> {
    match compute(manifest, step, reports, now)? {
        Computed::Change(change) => Ok(change),
        Computed::Policy(_) => Err(Error::UnknownKey { kid: kid(0) }),
    }
}

/// The text of a manifest without what recognises a destroyed secret: that has a random salt.
fn without_salts(text: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"\"recogniser\"";
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !line.trim_ascii_start().starts_with(NAME)).flatten().copied().collect()
}

/// P5: what was over at the moment of a step still is, but for a restaged key.
fn check_final(before: &Document, after: &Manifest, dated: u64, step: Step) -> Option<Broken> {
    let is_over = |state: &KeyState| !matches!(state, KeyState::Live(_));
    for (index, was) in before.states(dated).into_iter().enumerate() {
        let is = after.state(&kid(index), at(dated))?;
        let is_restaged = step == Step::Restage(index) && was == KeyState::Expired;
        if is_over(&was) && !is_over(&is) && !is_restaged {
            return Some(("P5", format!("k{index} was {was:?}, and is {is:?}")));
        }
        if before.revoked & 1 << index != 0 && after.keys()[index].revoked().is_none() {
            return Some(("P5", format!("the revocation of k{index} is gone")));
        }
    }
    None
}

/// The report of an instance that has watched for long, saw enough, and never used an old key: the
/// evidence that comes nearest to a verdict of `Safe`.
fn report(instance: usize, said: &Said, fingerprint: Fingerprint) -> Report {
    let end = at(said.at.into());
    let mut report = Report::for_unreadable(format!("instance-{instance}"), end, "");
    report.problem = None;
    report.ring = "R".to_owned();
    report.fingerprint = if said.agrees { fingerprint } else { other_fingerprint() };
    report.observed_since = at(0) - ticks(100);
    let uses = UsageCounts { verified_as_primary: 10, ..UsageCounts::default() };
    let bucket = |age: u32| UsageBucket {
        from: end - TICK * (age + 1),
        to: end - TICK * age,
        uses: vec![(kid(0), uses)],
    };
    report.buckets = (0..4).rev().map(bucket).collect();
    report.rewrap = said.rewrap.map(|rewrap| RewrapRecord {
        started_at: at(rewrap.started.into()),
        finished_at: at(rewrap.finished.into()),
        unreadable: rewrap.unreadable.into(),
        nothing_sealed: 0,
        rows: (0..KEYS)
            .filter(|index| rewrap.left & 1 << index != 0)
            .map(|index| (kid(index), 1))
            .collect(),
    });
    if said.rewrap.is_some_and(|rewrap| rewrap.by_command) {
        (report.has_stopped, report.observed_since) = (true, end);
        report.buckets.clear();
    }
    report
}

/// The fingerprint of other keys.
fn other_fingerprint() -> Fingerprint {
    "AAAAAAAAAAAAAAAA".parse().expect("it is a fingerprint")
}
