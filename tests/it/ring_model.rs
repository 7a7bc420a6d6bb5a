//! The ring against a reference that states the same rules on plain data.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::{Clock, Error, KeyRing, KeyState, Kid, ManualClock, NewKey, Policy, Role, Secret};
use proptest::prelude::*;

use crate::support::secret;

const LIFE: Duration = Duration::from_secs(200);
const ROLLOUT: Duration = Duration::from_secs(10);
const SKEW: Duration = Duration::from_secs(3);
/// The longest time from a step until every instance acts on it.
const WINDOW: Duration = Duration::from_secs(13);
/// The max lifetime, the rollout window, and the skew twice.
const OVERLAP: Duration = Duration::from_secs(216);
const MAX_LIVE_KEYS: usize = 4;

/// Time alone decides: the shortest window that can be set is over before an overlap is.
fn policy() -> Policy {
    let mut policy = Policy::default();
    (policy.max_lifetime, policy.rollout_window, policy.skew) = (LIFE, ROLLOUT, SKEW);
    policy.observation_window = Duration::from_secs(120);
    policy
}

#[derive(Debug, Clone)]
enum Step {
    Stage,
    Schedule(u64),
    Promote(usize),
    ForcePromote(usize),
    Rollback,
    ForceRollback,
    Retire(usize),
    ForceRetire(usize),
    Restage(usize),
    ForceRestage(usize),
    Revoke(usize),
    Replace(usize),
    Advance(u64),
}

/// When a key starts to sign, and which of two keys of one moment is the later.
type Start = (SystemTime, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signing {
    Never,
    Unscheduled,
    From(Start),
}

#[derive(Debug, Clone)]
struct Reference {
    kid: Kid,
    added_at: SystemTime,
    signing: Signing,
    superseded_at: Option<SystemTime>,
    retire_at: Option<SystemTime>,
    /// The earliest end that a recent step moved, and the moment from which on every instance
    /// holds that step.
    earlier_end: Option<(SystemTime, SystemTime)>,
    is_revoked: bool,
}

impl Reference {
    fn new(kid: Kid, added_at: SystemTime, signing: Signing) -> Self {
        Self {
            kid,
            added_at,
            signing,
            superseded_at: None,
            retire_at: None,
            earlier_end: None,
            is_revoked: false,
        }
    }

    fn start(&self) -> Option<Start> {
        match self.signing {
            Signing::From(start) => Some(start),
            Signing::Never | Signing::Unscheduled => None,
        }
    }

    fn has_started(&self, now: SystemTime) -> bool {
        self.start().is_some_and(|(from, _)| from <= now)
    }
}

/// The keys of a ring, in the order in which they were added.
#[derive(Debug, Clone)]
struct Keys(Vec<Reference>);

impl Keys {
    fn place(&self, place: usize) -> usize {
        place % self.0.len()
    }

    /// The recorded moment, or the start of the next later signer that is not revoked.
    fn superseded_at(&self, index: usize) -> Option<SystemTime> {
        let key = &self.0[index];
        let next = || {
            let starts = self.0.iter().filter(|key| !key.is_revoked).filter_map(Reference::start);
            starts.filter(|start| Some(*start) > key.start()).min().map(|(from, _)| from)
        };
        key.superseded_at.or_else(|| key.start().and_then(|_| next()))
    }

    fn verifies_until(&self, index: usize) -> Option<SystemTime> {
        let overlap_ends = self.superseded_at(index).map(|at| at + OVERLAP);
        overlap_ends.into_iter().chain(self.0[index].retire_at).min()
    }

    fn is_expired(&self, index: usize, now: SystemTime) -> bool {
        self.verifies_until(index).is_some_and(|end| end <= now)
    }

    fn is_live(&self, index: usize, now: SystemTime) -> bool {
        !self.0[index].is_revoked && !self.is_expired(index, now)
    }

    fn live(&self, now: SystemTime) -> impl Iterator<Item = usize> {
        (0..self.0.len()).filter(move |index| self.is_live(*index, now))
    }

    /// The live signer that started last.
    fn primary(&self, now: SystemTime) -> Option<usize> {
        let signers = self.live(now).filter(|index| self.0[*index].has_started(now));
        signers.max_by_key(|index| self.0[*index].start())
    }

    fn is_staged(&self, index: usize, now: SystemTime) -> bool {
        let key = &self.0[index];
        self.is_live(index, now) && key.signing != Signing::Never && !key.has_started(now)
    }

    /// Whether the key verifies on every instance until each of them holds the step.
    fn outlives_window(&self, index: usize, now: SystemTime) -> bool {
        let earlier = self.0[index].earlier_end.map(|(end, _)| end);
        let end = self.verifies_until(index).into_iter().chain(earlier).min();
        end.is_none_or(|end| end >= now + WINDOW)
    }

    /// Records what has come, as each step does first.
    fn record(&mut self, now: SystemTime) {
        let before = self.clone();
        for (index, key) in self.0.iter_mut().enumerate() {
            key.superseded_at = before.superseded_at(index).filter(|at| *at <= now);
            let end = before.verifies_until(index).filter(|end| *end <= now);
            key.retire_at = end.or(key.retire_at);
            key.earlier_end = key.earlier_end.filter(|(_, until)| now < *until);
        }
    }

    /// Remembers each end ahead that the step from `before` moved to a later moment, if a step
    /// may depend on it before every instance holds this one.
    fn keep_earlier_ends(&mut self, before: &Self, now: SystemTime) {
        for index in 0..before.0.len() {
            let (old, new) = (before.verifies_until(index), self.verifies_until(index));
            let is_near = |old: &SystemTime| now < *old && *old < now + 2 * WINDOW;
            let Some(old) = old.filter(is_near).filter(|old| new.is_none_or(|new| *old < new))
            else {
                continue;
            };
            let earliest = self.0[index].earlier_end.map_or(old, |(end, _)| end.min(old));
            self.0[index].earlier_end = Some((earliest, now + WINDOW));
        }
    }

    fn sign(&mut self, index: usize, start: Start) {
        let key = &mut self.0[index];
        key.signing = Signing::From(start);
        (key.superseded_at, key.retire_at) = (None, None);
    }

    /// If the primary is revoked, the key that takes over signs from now on.
    fn revoke(&mut self, index: usize, start: Start) {
        let before = self.primary(start.0);
        self.0[index].is_revoked = true;
        if let Some(next) = self.primary(start.0).filter(|next| before != Some(*next)) {
            self.sign(next, start);
        }
    }

    fn retire(&mut self, index: usize, now: SystemTime) -> bool {
        let key = &self.0[index];
        if self.is_staged(index, now) {
            let is_near = key.start().is_some_and(|(from, _)| from < now + WINDOW);
            let key = &mut self.0[index];
            key.signing = Signing::Never;
            if is_near {
                key.superseded_at = Some(now);
            } else {
                key.retire_at = Some(now);
            }
            return true;
        }
        if self.is_expired(index, now) {
            return true;
        }
        // Its past is not known: the verdict counts from its arrival, and nothing verifies
        // here under the primary that would make silence mean something.
        let unknown_past = key.added_at + OVERLAP;
        let is_unknown = key.signing == Signing::Never && key.superseded_at.is_none();
        if is_unknown && unknown_past <= now {
            return false;
        }
        let due = self.superseded_at(index).map_or(unknown_past, |at| at + OVERLAP);
        self.0[index].retire_at = Some(key.retire_at.map_or(due, |end| end.min(due)));
        true
    }

    /// Whether each moment from `now` on has a primary and at most four live keys.
    fn is_allowed(&self, now: SystemTime) -> bool {
        let starts = self.0.iter().filter_map(Reference::start).map(|(from, _)| from);
        let ends = (0..self.0.len()).filter_map(|index| self.verifies_until(index));
        let mut moments = starts.chain(ends).filter(|moment| *moment > now).chain([now]);
        moments.all(|moment| {
            self.primary(moment).is_some() && self.live(moment).count() <= MAX_LIVE_KEYS
        })
    }

    /// The keys after `step`; `None`, if the step must be refused.
    fn after(&self, step: &Step, now: SystemTime, new: Kid, sequence: u64) -> Option<Self> {
        let mut next = self.clone();
        next.record(now);
        let recorded = next.clone();
        let primary = self.primary(now);
        let fresh = |signing| Reference::new(new, now, signing);
        match step {
            Step::Advance(_) => return Some(self.clone()),
            Step::Stage => next.0.push(fresh(Signing::Unscheduled)),
            Step::Schedule(0) => return None,
            Step::Schedule(ahead) => {
                let start = (now + Duration::from_secs(*ahead), sequence);
                next.0.push(fresh(Signing::From(start)));
            }
            Step::Promote(place) | Step::ForcePromote(place) => {
                let index = self.place(*place);
                let is_forced = matches!(step, Step::ForcePromote(_));
                if !self.is_live(index, now) {
                    return None;
                }
                if primary != Some(index) {
                    if !is_forced && !recorded.outlives_window(index, now) {
                        return None;
                    }
                    next.sign(index, (now, sequence));
                }
            }
            Step::Rollback | Step::ForceRollback => {
                let others = self.live(now).filter(|index| primary != Some(*index));
                let signers = others.filter(|index| self.0[*index].has_started(now));
                let index = signers.max_by_key(|index| self.0[*index].start())?;
                let is_forced = matches!(step, Step::ForceRollback);
                if !is_forced && !recorded.outlives_window(index, now) {
                    return None;
                }
                next.sign(index, (now, sequence));
            }
            Step::Retire(place) => {
                let index = self.place(*place);
                let is_refused = self.0[index].is_revoked || primary == Some(index);
                if is_refused || !next.retire(index, now) {
                    return None;
                }
            }
            Step::ForceRetire(place) => {
                let index = self.place(*place);
                if self.0[index].is_revoked || primary == Some(index) {
                    return None;
                }
                let key = &mut next.0[index];
                key.retire_at = Some(key.retire_at.map_or(now, |end| end.min(now)));
                if self.is_staged(index, now) {
                    key.signing = Signing::Never;
                }
            }
            // Keys of sessions are restaged by force alone.
            Step::Restage(_) => return None,
            Step::ForceRestage(place) => {
                let index = self.place(*place);
                if self.0[index].is_revoked || !self.is_expired(index, now) {
                    return None;
                }
                let kid = self.0[index].kid;
                next.0[index] = Reference::new(kid, now, Signing::Unscheduled);
            }
            Step::Revoke(place) => {
                let index = self.place(*place);
                if !self.0[index].is_revoked {
                    next.revoke(index, (now, sequence));
                }
            }
            Step::Replace(place) => {
                let index = self.place(*place);
                if self.0[index].is_revoked {
                    return None;
                }
                next.0.push(fresh(Signing::From((now, sequence))));
                next.revoke(index, (now, sequence));
            }
        }
        next.keep_earlier_ends(self, now);
        next.is_allowed(now).then_some(next)
    }
}

fn apply(
    ring: &KeyRing<CookieKey>,
    step: &Step,
    kids: &[Kid],
    now: SystemTime,
    new: NewKey<CookieKey>,
) -> Result<(), Error> {
    let kid = |place: &usize| kids[place % kids.len()];
    match step {
        Step::Stage => ring.stage(new).map(drop),
        Step::Schedule(ahead) => {
            ring.stage(new.signs_from(now + Duration::from_secs(*ahead))).map(drop)
        }
        Step::Promote(place) => ring.promote(&kid(place)).map(drop),
        Step::ForcePromote(place) => ring.force("a test").promote(&kid(place)).map(drop),
        Step::Rollback => ring.rollback().map(drop),
        Step::ForceRollback => ring.force("a test").rollback().map(drop),
        Step::Retire(place) => ring.retire(&kid(place)).map(drop),
        Step::ForceRetire(place) => ring.force("a test").retire(&kid(place)),
        Step::Restage(place) => ring.restage(&kid(place)),
        Step::ForceRestage(place) => ring.force("a test").restage(&kid(place)),
        Step::Revoke(place) => ring.revoke(&kid(place), "a test"),
        Step::Replace(place) => ring.emergency_rotate(&kid(place), "a test", new).map(drop),
        Step::Advance(_) => Ok(()),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = || 0..8_usize;
    let step = prop_oneof![
        4 => Just(Step::Stage),
        2 => (0..260_u64).prop_map(Step::Schedule),
        3 => place().prop_map(Step::Promote),
        1 => place().prop_map(Step::ForcePromote),
        2 => Just(Step::Rollback),
        1 => Just(Step::ForceRollback),
        2 => place().prop_map(Step::Retire),
        1 => place().prop_map(Step::ForceRetire),
        1 => place().prop_map(Step::Restage),
        2 => place().prop_map(Step::ForceRestage),
        2 => place().prop_map(Step::Revoke),
        1 => place().prop_map(Step::Replace),
        4 => (0..150_u64).prop_map(Step::Advance),
        // Short of the end of an overlap, or of a rollout.
        3 => prop_oneof![190..217_u64, 0..15_u64].prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(crate::support::cases(300, 20_000))]

    #[test]
    fn every_sequence_of_transitions_keeps_to_the_reference(steps in steps()) {
        let clock = ManualClock::at_unix(1_700_000_000);
        let ring = KeyRing::<CookieKey>::builder()
            .primary(Secret::from(secret(0)))
            .fallback(Secret::from(secret(1)))
            .policy(policy())
            .clock(clock.clone())
            .build()
            .unwrap();
        prop_assert_eq!(ring.overlap(), OVERLAP);
        let signer = CookieSigner::new(ring.clone()).max_age(Duration::from_secs(u64::MAX / 4));
        let kids: Vec<_> = ring.keys().iter().map(|key| key.kid).collect();
        let ever = Signing::From((SystemTime::UNIX_EPOCH, 0));
        let mut reference = Keys(vec![
            Reference::new(kids[0], clock.now(), ever),
            Reference::new(kids[1], clock.now(), Signing::Never),
        ]);
        // What each key signed, and when; each key signs once outside of the ring as well.
        let mut signed: Vec<(Kid, SystemTime, String)> = Vec::new();
        let mut samples: Vec<(Kid, String)> = Vec::new();
        let sample = |seed: u64| {
            let alone = KeyRing::<CookieKey>::builder().primary(Secret::from(secret(seed)));
            let alone = alone.clock(clock.clone()).build().unwrap();
            (alone.primary().unwrap(), CookieSigner::new(alone).sign("s", "sample").unwrap())
        };
        samples.extend([sample(0), sample(1)]);
        // Keys that were seen expired, or revoked.
        let (mut expired, mut revoked) = (HashSet::new(), HashSet::new());

        for (number, step) in steps.iter().enumerate() {
            if let Step::Advance(by) = step {
                clock.advance(Duration::from_secs(*by));
            }
            let now = clock.now();
            let seed = 2 + number as u64;
            let new = NewKey::new(Secret::from(secret(seed)));
            let (new_kid, new_sample) = sample(seed);
            let next = reference.after(step, now, new_kid, seed);
            let before = ring.load();
            let kids: Vec<_> = reference.0.iter().map(|key| key.kid).collect();
            let state = |kid: &Kid| ring.load().state(kid, now);
            expired.extend(kids.iter().copied().filter(|kid| state(kid) == Some(KeyState::Expired)));
            let result = apply(&ring, step, &kids, now, new);
            prop_assert_eq!(result.is_ok(), next.is_some(), "{:?}: {:?}", step, result);
            match (step, next) {
                (_, None) => {
                    prop_assert_eq!(ring.load().generation(), before.generation());
                    prop_assert_eq!(ring.fingerprint(), before.fingerprint());
                }
                (step, Some(next)) => {
                    if next.0.len() > reference.0.len() {
                        samples.push((new_kid, new_sample));
                    }
                    if let Step::Revoke(place) | Step::Replace(place) = step {
                        revoked.insert(kids[place % kids.len()]);
                    }
                    if let Step::ForceRetire(place) = step {
                        let kid = kids[place % kids.len()];
                        signed.retain(|(signer, ..)| *signer != kid);
                    }
                    if let Step::ForceRestage(place) = step {
                        expired.remove(&kids[place % kids.len()]);
                    }
                    reference = next;
                }
            }

            // One primary, and the reference's.
            let primary = reference.primary(now).map(|index| reference.0[index].kid);
            prop_assert_eq!(ring.primary(), primary);
            let is_primary = |state| state == KeyState::Live(Role::Primary);
            let primaries = ring.keys().iter().filter(|key| is_primary(key.state)).count();
            prop_assert_eq!(primaries, 1);

            // The set of verifying keys is exactly the reference's, and so are their ends.
            let live: HashSet<_> = reference.live(now).map(|index| reference.0[index].kid).collect();
            for (kid, cookie) in &samples {
                let accepted = signer.verify("s", cookie);
                prop_assert_eq!(accepted.is_ok(), live.contains(kid), "{}: {:?}", kid, accepted);
            }
            for index in reference.live(now) {
                let (kid, end) = (reference.0[index].kid, reference.verifies_until(index));
                prop_assert_eq!(ring.load().verifies_until(&kid), end, "{}", kid);
            }

            // An end is final but for `restage`, and a revocation without exception.
            for kid in &expired {
                prop_assert!(!live.contains(kid), "{:?} revives {}", step, kid);
            }
            for kid in &revoked {
                prop_assert_eq!(state(kid), Some(KeyState::Revoked));
            }

            // Whatever a primary signed verifies until its overlap ends, unless its retirement
            // was forced; what a revoked key signed verifies never.
            for (kid, at, cookie) in &signed {
                let is_young = now.duration_since(*at).unwrap() < OVERLAP;
                let is_accepted = signer.verify("s", cookie).is_ok();
                let is_due = is_young && !revoked.contains(kid);
                prop_assert!(is_accepted || !is_due, "{} signed at {:?} is rejected", kid, at);
                prop_assert!(!is_accepted || !revoked.contains(kid), "{} is revoked", kid);
            }
            signed.push((ring.primary().unwrap(), now, signer.sign("s", "value").unwrap()));
        }
    }
}

/// A ring of one key on a clock that is moved by hand.
fn ring(clock: &ManualClock) -> KeyRing<CookieKey> {
    KeyRing::builder()
        .primary(Secret::from(secret(0)))
        .max_lifetime(LIFE)
        .clock(clock.clone())
        .build()
        .unwrap()
}

#[test]
fn revoking_a_new_key_gives_the_old_one_its_life_back() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let ring = ring(&clock);
    let old = ring.primary().unwrap();
    let new = ring.stage(Secret::from(secret(1))).unwrap();
    ring.promote(&new).unwrap();
    // Settled, and still ahead.
    let ends = ring.retire(&old).unwrap().unwrap();
    assert_eq!(ends, clock.now() + ring.overlap());

    ring.revoke(&new, "leaked").unwrap();
    assert_eq!(ring.primary().unwrap(), old);
    clock.advance(ring.overlap() * 3);
    assert_eq!(ring.primary().unwrap(), old);
    assert_eq!(ring.load().next_transition(clock.now()), None);
}

/// An expired key that signed later than the key that takes over is still there.
#[test]
fn a_key_that_takes_over_verifies_what_it_signs_although_a_later_one_has_expired() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let ring = ring(&clock);
    let old = ring.primary().unwrap();
    let mut newer = [1, 2].map(|seed| {
        let kid = ring.stage(Secret::from(secret(seed))).unwrap();
        ring.promote(&kid).unwrap();
        kid
    });
    newer.reverse();
    let [leaked, cut] = newer;
    ring.force("a test").retire(&cut).unwrap();

    ring.revoke(&leaked, "leaked").unwrap();
    assert_eq!(ring.primary(), Some(old));
    assert_eq!(ring.load().verifies_until(&old), None);
    clock.advance(ring.overlap() * 3);
    assert_eq!(ring.primary(), Some(old));
}

#[test]
fn an_end_that_was_settled_holds_when_a_replacement_takes_over() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let ring = ring(&clock);
    let old = ring.primary().unwrap();
    let leaked = ring.stage(Secret::from(secret(1))).unwrap();
    ring.promote(&leaked).unwrap();
    let ends = ring.retire(&old).unwrap().unwrap();
    clock.advance(LIFE / 2);

    ring.emergency_rotate(&leaked, "leaked", Secret::from(secret(2))).unwrap();
    assert_eq!(ring.keys()[0].verifies_until, Some(ends));
}

#[test]
fn a_scheduled_key_promotes_itself_without_anybody_writing() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let ring = ring(&clock);
    let old = ring.primary().unwrap();
    let hour = Duration::from_secs(3600);
    let new = NewKey::new(Secret::from(secret(1))).signs_from(clock.now() + hour);
    let new = ring.stage(new).unwrap();
    let generation = ring.load().generation();

    assert_eq!(ring.primary().unwrap(), old);
    clock.advance(hour - Duration::from_secs(1));
    assert_eq!(ring.primary().unwrap(), old);
    clock.advance(Duration::from_secs(1));
    assert_eq!(ring.primary().unwrap(), new);
    clock.advance(ring.overlap());
    assert_eq!(ring.load().state(&old, clock.now()), Some(KeyState::Expired));
    assert_eq!(ring.load().generation(), generation);
}

#[test]
fn a_clock_that_jumps_back_undoes_no_change() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let ring = ring(&clock);
    let new = ring.stage(Secret::from(secret(1))).unwrap();
    ring.promote(&new).unwrap();
    clock.set(clock.now() - Duration::from_secs(3600));
    assert_eq!(ring.primary().unwrap(), new);
    // A change that comes after it is the later one, whatever the clock says.
    let newest = ring.stage(Secret::from(secret(2))).unwrap();
    ring.promote(&newest).unwrap();
    assert_eq!(ring.primary().unwrap(), newest);
    clock.advance(Duration::from_secs(7200));
    assert_eq!(ring.primary().unwrap(), newest);
}

#[test]
fn a_fallback_whose_past_is_known_ends_when_its_overlap_is_over() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let (long_ago, lately) = (clock.now() - LIFE * 5, clock.now() - LIFE / 2);
    let key = |seed| NewKey::new(Secret::from(secret(seed)));
    let ring = KeyRing::<CookieKey>::builder()
        .fallback(key(1).signs_from(long_ago))
        .primary(key(0).signs_from(lately))
        .max_lifetime(LIFE)
        .clock(clock.clone())
        .build()
        .unwrap();
    let old = ring.keys()[0].clone();
    assert_eq!(old.state, KeyState::Live(Role::Fallback));
    assert_eq!(old.verifies_until, Some(lately + ring.overlap()));
    assert_eq!(ring.primary().unwrap(), ring.keys()[1].kid);

    // The times must agree with the places.
    let builder = KeyRing::<CookieKey>::builder();
    let twisted = builder.fallback(key(1).signs_from(lately)).primary(key(0).signs_from(long_ago));
    assert!(matches!(twisted.build(), Err(Error::PrimaryUnclear { .. })));
}
