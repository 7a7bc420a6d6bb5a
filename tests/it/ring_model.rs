//! The ring against a reference that says the same in ten lines.

use std::time::{Duration, SystemTime};

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::{Clock, Error, KeyRing, KeyState, Kid, ManualClock, NewKey, Policy, Role, Secret};
use proptest::prelude::*;

use crate::common::secret;

const LIFE: Duration = Duration::from_secs(100);
const WINDOW: Duration = Duration::from_secs(10);
const SKEW: Duration = Duration::from_secs(3);
const OVERLAP: Duration = Duration::from_secs(113);

/// Nothing is asked for but that the time has passed.
fn policy() -> Policy {
    let mut policy = Policy::default();
    (policy.longest_life, policy.rollout_window, policy.skew) = (LIFE, WINDOW, SKEW);
    policy.observation = Duration::ZERO;
    policy
}

#[derive(Debug, Clone)]
enum Step {
    Stage,
    Schedule(u64),
    Promote(usize),
    Rollback,
    Retire(usize),
    Revoke(usize),
    Replace(usize),
    Advance(u64),
}

#[derive(Debug, Clone)]
struct Reference {
    kid: Kid,
    added: SystemTime,
    /// `Some(None)` is a fallback from the start, `None` is staged without a date.
    signs: Option<Option<(SystemTime, u64)>>,
    retire_at: Option<SystemTime>,
    revoked: bool,
}

fn begun(key: &Reference, now: SystemTime) -> Option<(SystemTime, u64)> {
    key.signs.flatten().filter(|(from, _)| *from <= now)
}

// The ten lines.
fn end(keys: &[Reference], key: &Reference) -> Option<SystemTime> {
    let later = keys.iter().filter(|other| !other.revoked).filter_map(|other| other.signs?);
    let next = later.filter(|other| key.signs.flatten().is_some_and(|own| *other > own)).min();
    next.map(|(from, _)| from + OVERLAP).into_iter().chain(key.retire_at).min()
}
fn verifying(keys: &[Reference], now: SystemTime) -> impl Iterator<Item = &Reference> {
    keys.iter().filter(move |key| !key.revoked && end(keys, key).is_none_or(|end| now < end))
}
fn primary(keys: &[Reference], now: SystemTime) -> Option<Kid> {
    verifying(keys, now)
        .filter(|key| begun(key, now).is_some())
        .max_by_key(|key| key.signs)
        .map(|key| key.kid)
}

/// Whether the ring may become `keys`: a primary and at most four keys at every moment.
fn is_allowed(keys: &[Reference], now: SystemTime) -> bool {
    let starts = keys.iter().filter_map(|key| key.signs.flatten()).map(|(from, _)| from);
    let ends = keys.iter().filter_map(|key| end(keys, key));
    starts
        .chain(ends)
        .filter(|moment| *moment > now)
        .chain([now])
        .all(|moment| primary(keys, moment).is_some() && verifying(keys, moment).count() <= 4)
}

/// What `step` should make of `keys`; `None` if it is to be refused.
fn expected(
    keys: &[Reference],
    step: &Step,
    now: SystemTime,
    new: Kid,
    sequence: u64,
) -> Option<Vec<Reference>> {
    let mut next = keys.to_vec();
    let fresh = |signs| Reference { kid: new, added: now, signs, retire_at: None, revoked: false };
    let place = |place: &usize| place % keys.len();
    let is_primary = |index: usize| primary(keys, now) == Some(keys[index].kid);
    let takes_over = |next: &mut Vec<Reference>, index: usize| {
        next[index].signs = Some(Some((now, sequence)));
        next[index].retire_at = None;
    };
    match step {
        Step::Stage => next.push(fresh(None)),
        Step::Schedule(0) => return None,
        Step::Schedule(ahead) => {
            next.push(fresh(Some(Some((now + Duration::from_secs(*ahead), sequence)))));
        }
        Step::Promote(index) => {
            let index = place(index);
            if !verifying(keys, now).any(|key| key.kid == keys[index].kid) {
                return None;
            }
            if !is_primary(index) {
                takes_over(&mut next, index);
            }
        }
        Step::Rollback => {
            let others =
                (0..keys.len()).filter(|index| !keys[*index].revoked && !is_primary(*index));
            let previous =
                others.filter_map(|index| Some((begun(&keys[index], now)?, index))).max()?;
            takes_over(&mut next, previous.1);
        }
        Step::Retire(index) => {
            let index = place(index);
            if keys[index].revoked || is_primary(index) {
                return None;
            }
            let key = &mut next[index];
            let is_over = end(keys, &keys[index]).is_some_and(|end| end <= now);
            let due = match key.signs {
                // Nothing has verified here, so there is no verdict on silence.
                Some(None) if key.added + OVERLAP <= now && !is_over => return None,
                Some(None) => (key.added + OVERLAP).max(now),
                Some(Some((from, _))) if from <= now || is_over => end(keys, &keys[index]).unwrap(),
                _ if is_over => end(keys, &keys[index]).unwrap(),
                _ => now,
            };
            key.retire_at = Some(key.retire_at.map_or(due, |set| set.min(due)));
            if begun(key, now).is_none() && !is_over {
                key.signs = Some(None);
            }
        }
        Step::Revoke(index) => {
            let index = place(index);
            if !keys[index].revoked {
                next[index].revoked = true;
                let kid = primary(&next, now)?;
                next.iter_mut().find(|key| key.kid == kid)?.retire_at = None;
            }
        }
        Step::Replace(index) => {
            if keys[place(index)].revoked {
                return None;
            }
            next[place(index)].revoked = true;
            next.push(fresh(Some(Some((now, sequence)))));
        }
        Step::Advance(_) => {}
    }
    is_allowed(&next, now).then_some(next)
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
        Step::Rollback => ring.rollback().map(drop),
        Step::Retire(place) => ring.retire(&kid(place)).map(drop),
        Step::Revoke(place) => ring.revoke(&kid(place), "a test"),
        Step::Replace(place) => ring.revoke_and_replace(&kid(place), "a test", new).map(drop),
        Step::Advance(_) => Ok(()),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = || 0..8_usize;
    let step = prop_oneof![
        3 => Just(Step::Stage),
        1 => (0..150_u64).prop_map(Step::Schedule),
        3 => place().prop_map(Step::Promote),
        1 => Just(Step::Rollback),
        2 => place().prop_map(Step::Retire),
        1 => place().prop_map(Step::Revoke),
        1 => place().prop_map(Step::Replace),
        5 => (0..80_u64).prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(crate::common::cases(300, 20_000))]

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
        let start = |kid: Kid, signs| Reference {
            kid, added: clock.now(), signs, retire_at: None, revoked: false,
        };
        let mut reference = vec![
            start(kids[0], Some(Some((SystemTime::UNIX_EPOCH, 0)))),
            start(kids[1], Some(None)),
        ];
        // What each key signed, and when; each key signs once outside of the ring as well.
        let mut signed: Vec<(Kid, SystemTime, String)> = Vec::new();
        let mut samples: Vec<(Kid, String)> = Vec::new();
        let sample = |seed: u64| {
            let alone = KeyRing::<CookieKey>::builder().primary(Secret::from(secret(seed)));
            let alone = alone.clock(clock.clone()).build().unwrap();
            (alone.primary().unwrap(), CookieSigner::new(alone).sign("s", "sample").unwrap())
        };
        samples.extend([sample(0), sample(1)]);

        for (number, step) in steps.iter().enumerate() {
            if let Step::Advance(by) = step {
                clock.advance(Duration::from_secs(*by));
            }
            let now = clock.now();
            let seed = 2 + number as u64;
            let new = NewKey::new(Secret::from(secret(seed)));
            let (new_kid, new_sample) = sample(seed);
            let next = expected(&reference, step, now, new_kid, seed);
            let before = ring.load();
            let kids: Vec<_> = reference.iter().map(|key| key.kid).collect();
            let result = apply(&ring, step, &kids, now, new);
            prop_assert_eq!(result.is_ok(), next.is_some(), "{:?}: {:?}", step, result);
            match next {
                None => prop_assert_eq!(ring.load().generation(), before.generation()),
                Some(next) => {
                    if next.len() > reference.len() {
                        samples.push((new_kid, new_sample));
                    }
                    reference = next;
                }
            }

            // One primary, and the reference's.
            prop_assert_eq!(ring.primary(), primary(&reference, now));
            let primaries = ring.keys().iter().filter(|key| key.state == KeyState::Active(Role::Primary)).count();
            prop_assert_eq!(primaries, 1);

            // The set of verifying keys is exactly the reference's.
            let allowed: Vec<_> = verifying(&reference, now).map(|key| key.kid).collect();
            for (kid, cookie) in &samples {
                let accepted = signer.verify("s", cookie);
                prop_assert_eq!(accepted.is_ok(), allowed.contains(kid), "{}: {:?}", kid, accepted);
            }

            // Whatever a primary signed verifies until its overlap ends; what a revoked
            // key signed verifies never.
            for (kid, at, cookie) in &signed {
                let revoked = reference.iter().any(|key| key.kid == *kid && key.revoked);
                let young = now.duration_since(*at).unwrap() <= OVERLAP - SKEW;
                let accepted = signer.verify("s", cookie).is_ok();
                prop_assert!(accepted || revoked || !young, "{} signed at {:?} is refused", kid, at);
                prop_assert!(!(accepted && revoked), "{} is revoked and verifies", kid);
            }
            signed.push((ring.primary().unwrap(), now, signer.sign("s", "value").unwrap()));
        }
    }
}

/// A ring of one key on a clock that is moved by hand.
fn ring(clock: &ManualClock) -> KeyRing<CookieKey> {
    KeyRing::builder()
        .primary(Secret::from(secret(0)))
        .longest_life(LIFE)
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

#[test]
fn an_end_that_was_settled_holds_when_a_replacement_takes_over() {
    let clock = ManualClock::at_unix(1_700_000_000);
    let ring = ring(&clock);
    let old = ring.primary().unwrap();
    let leaked = ring.stage(Secret::from(secret(1))).unwrap();
    ring.promote(&leaked).unwrap();
    let ends = ring.retire(&old).unwrap().unwrap();
    clock.advance(LIFE / 2);

    ring.revoke_and_replace(&leaked, "leaked", Secret::from(secret(2))).unwrap();
    assert_eq!(ring.keys()[0].ends_at, Some(ends));
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
    assert_eq!(ring.load().state(&old, clock.now()), Some(KeyState::Retired));
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
        .longest_life(LIFE)
        .clock(clock.clone())
        .build()
        .unwrap();
    let old = ring.keys()[0].clone();
    assert_eq!(old.state, KeyState::Active(Role::Fallback));
    assert_eq!(old.ends_at, Some(lately + ring.overlap()));
    assert_eq!(ring.primary().unwrap(), ring.keys()[1].kid);

    // The times must agree with the places.
    let builder = KeyRing::<CookieKey>::builder();
    let twisted = builder.fallback(key(1).signs_from(lately)).primary(key(0).signs_from(long_ago));
    assert!(matches!(twisted.build(), Err(Error::PrimaryUnclear { .. })));
}
