//! The life of a key: ends are final, a step is safe until every instance holds it, and no clock
//! that is wrong for a while is wrong for good. The same for a ring in memory and a manifest.

use std::time::{Duration, SystemTime};

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::credential::Credential;
use dualkey::envelope::AesKey;
use dualkey::manifest::{Change, Manifest, NewEntry};
use dualkey::{
    Clock, Error, KeyRing, KeyState, Kid, ManualClock, NewKey, Policy, Purpose, Reason, Report,
    Role, Secret, Verdict,
};

use crate::support::manifest::{at, entry, first};
use crate::support::{EventLog, aes_key, secret};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The rollout window and the skew of the default policy.
const WINDOW: Duration = Duration::from_secs(3900);

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

fn overlap() -> Duration {
    Policy::default().overlap()
}

fn ring_of(manifest: &Manifest, clock: &ManualClock) -> KeyRing<CookieKey> {
    let builder = KeyRing::builder().name("SESSION_SECRET").environment("test");
    manifest.build_ring(builder.clock(clock.clone())).unwrap()
}

/// What instances say that hold `manifest`.
fn agreement(manifest: &Manifest, now: SystemTime) -> [Report; 1] {
    [ring_of(manifest, &ManualClock::new(now)).report("one")]
}

fn promote(manifest: &Manifest, name: &str, now: SystemTime) -> Result<Change, Error> {
    manifest.promote(&kid(name), &agreement(manifest, now), now)
}

fn rollback(manifest: &Manifest, now: SystemTime) -> Result<Change, Error> {
    manifest.rollback(&agreement(manifest, now), now)
}

fn state(manifest: &Manifest, name: &str, now: SystemTime) -> KeyState {
    manifest.state(&kid(name), now).unwrap()
}

/// `a` was the primary, then `b` since `at(0)`, then `c` since two overlaps later: `a` has expired.
fn three() -> (Manifest, SystemTime) {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(0)).unwrap().manifest;
    let later = at(0) + 2 * overlap();
    let manifest = manifest.stage(entry(2, "c"), later).unwrap().manifest;
    let manifest = promote(&manifest, "c", later).unwrap().manifest;
    assert_eq!(state(&manifest, "a", later), KeyState::Expired);
    (manifest, later)
}

/// A cookie that whoever has the secret of `seed` makes at `now`.
fn forge_cookie(seed: u64, name: &str, now: SystemTime) -> String {
    let key = NewKey::new(Secret::from(secret(seed))).kid(kid(name));
    let ring = KeyRing::<CookieKey>::builder().primary(key).clock(ManualClock::new(now));
    CookieSigner::new(ring.build().unwrap()).sign("session", "admin").unwrap()
}

#[test]
fn ends_are_final_whatever_becomes_of_the_keys_after() {
    let (manifest, later) = three();
    let now = later + HOUR;
    let steps: [(&str, Manifest); 6] = [
        ("revoke the fallback", manifest.revoke(&kid("b"), "leaked", now).unwrap().manifest),
        ("revoke the primary", manifest.revoke(&kid("c"), "leaked", now).unwrap().manifest),
        ("emergency, the fallback", {
            let spare = entry(9, "spare");
            manifest.emergency_rotate(&kid("b"), "leaked", spare, now).unwrap().manifest
        }),
        ("roll back", rollback(&manifest, now).unwrap().manifest),
        ("promote the fallback again", promote(&manifest, "b", now).unwrap().manifest),
        ("a longer policy", {
            let mut policy = *manifest.policy();
            policy.max_lifetime = 365 * DAY;
            manifest.set_policy(policy, now).unwrap()
        }),
    ];
    let cookie = forge_cookie(0, "a", now);
    for (name, after) in steps {
        for moment in [now, now + HOUR, now + 2 * overlap()] {
            assert_eq!(state(&after, "a", moment), KeyState::Expired, "{name}");
        }
        let clock = ManualClock::new(now);
        let signer = CookieSigner::new(ring_of(&after, &clock));
        let error = signer.verify("session", &cookie).unwrap_err();
        assert_eq!(error.reason(), Reason::ExpiredKey, "{name}");
    }
}

#[test]
fn ends_are_final_in_a_ring_in_memory_too() {
    let clock = ManualClock::new(at(0));
    let key = |seed, name: &str| NewKey::new(Secret::from(secret(seed))).kid(kid(name));
    let make = || {
        clock.set(at(0));
        let ring = KeyRing::<CookieKey>::builder().primary(key(0, "a")).clock(clock.clone());
        let ring = ring.build().unwrap();
        let b = ring.stage(key(1, "b")).unwrap();
        ring.promote(&b).unwrap();
        clock.advance(2 * overlap());
        let c = ring.stage(key(2, "c")).unwrap();
        ring.promote(&c).unwrap();
        clock.advance(HOUR);
        ring
    };
    type Step = fn(&KeyRing<CookieKey>);
    let steps: [(&str, Step); 4] = [
        ("revoke the fallback", |ring| ring.revoke(&kid("b"), "leaked").unwrap()),
        ("revoke the primary", |ring| ring.revoke(&kid("c"), "leaked").unwrap()),
        ("roll back", |ring| assert_eq!(ring.rollback().unwrap().kid, kid("b"))),
        ("promote again", |ring| assert_eq!(ring.promote(&kid("b")).unwrap().kid, kid("b"))),
    ];
    for (name, step) in steps {
        let ring = make();
        step(&ring);
        let state = ring.load().state(&kid("a"), clock.now());
        assert_eq!(state, Some(KeyState::Expired), "{name}");
    }
}

#[test]
fn a_forced_retirement_is_not_undone_by_a_rollback() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(0)).unwrap().manifest;
    let now = at(60);
    let manifest = manifest.force("a former employee has it").retire(&kid("a"), now).unwrap();
    let manifest = manifest.manifest;
    assert!(matches!(rollback(&manifest, now), Err(Error::Expired { .. })));
    assert!(matches!(manifest.force("now").rollback(now), Err(Error::Expired { .. })));
    assert!(matches!(promote(&manifest, "a", now), Err(Error::Expired { .. })));

    // Revoking the primary then needs a replacement.
    let refused = manifest.revoke(&kid("b"), "leaked", now);
    assert!(matches!(refused, Err(Error::NoPrimary { .. })), "{refused:?}");
}

#[test]
fn only_restage_makes_an_expired_key_live_again() {
    let (manifest, later) = three();
    let now = later + HOUR;
    let refused = manifest.restage(&kid("a"), now);
    assert!(matches!(refused, Err(Error::RestageNeedsForce { .. })), "{refused:?}");
    let live = manifest.force("a client has old sessions").restage(&kid("a"), now).unwrap();
    assert_eq!(live.to, KeyState::Live(Role::Staged));
    let key = live.manifest.key(&kid("a")).unwrap();
    assert_eq!((key.added_at(), key.retire_at(), key.superseded_at()), (now, None, None));
    assert_eq!(key.forced_steps()[0].action, "restage");
    // As if it had just been added.
    let promoted = promote(&live.manifest, "a", now + HOUR).unwrap();
    assert_eq!(promoted.manifest.primary(now + HOUR), kid("a"));

    // Of others it is refused.
    for (name, is_right) in [
        ("c", (|error| matches!(error, Error::IsPrimary { .. })) as fn(&Error) -> bool),
        ("b", |error| matches!(error, Error::NotExpired { .. })),
        ("nothing", |error| matches!(error, Error::UnknownKey { .. })),
    ] {
        let error = manifest.force("").restage(&kid(name), now).unwrap_err();
        assert!(is_right(&error), "{name}: {error}");
    }
    let revoked = manifest.revoke(&kid("a"), "leaked", now).unwrap().manifest;
    let error = revoked.force("").restage(&kid("a"), now).unwrap_err();
    assert!(matches!(error, Error::Revoked { .. }), "{error}");
    let destroyed = manifest.destroy(&kid("a"), &[], now).unwrap().manifest;
    let error = destroyed.force("").restage(&kid("a"), now).unwrap_err();
    assert!(matches!(error, Error::Destroyed { .. }), "{error}");

    // In memory, of a purpose that needs no force.
    let clock = ManualClock::new(at(0));
    let ring = KeyRing::<AesKey>::builder().primary(aes_key(0, "x")).fallback(aes_key(1, "y"));
    let ring = ring.clock(clock.clone()).build().unwrap();
    ring.force("by mistake").retire(&kid("y")).unwrap();
    assert!(matches!(ring.restage(&kid("x")), Err(Error::IsPrimary { .. })));
    ring.restage(&kid("y")).unwrap();
    assert_eq!(ring.load().state(&kid("y"), clock.now()), Some(KeyState::Live(Role::Staged)));
}

#[test]
fn a_scheduled_start_lies_the_rollout_window_and_the_skew_ahead() {
    let stage = |lead: Duration| first().stage(entry(1, "b").signs_from(at(0) + lead), at(0));
    for lead in [HOUR, WINDOW - Duration::from_secs(1)] {
        let refused = stage(lead);
        assert!(
            matches!(refused, Err(Error::TooSoon { earliest, .. }) if earliest == at(0) + WINDOW)
        );
    }
    assert!(stage(WINDOW).is_ok());
}

/// An instance that has not reloaded signs with it all the same.
#[test]
fn a_scheduled_key_that_is_withdrawn_close_to_its_start_verifies_for_an_overlap() {
    let start = at(0) + 2 * WINDOW;
    let scheduled = first().stage(entry(1, "b").signs_from(start), at(0)).unwrap().manifest;
    let now = start - Duration::from_secs(600);
    let withdrawn = scheduled.retire(&kid("b"), &[], now).unwrap();
    assert_eq!(withdrawn.verifies_until, Some(now + overlap()));
    let manifest = withdrawn.manifest;
    assert_eq!(manifest.primary(start + HOUR), kid("a"));
    // One that reloads eleven minutes after the start, another at once.
    let (slow, fast) = (ManualClock::new(start + HOUR / 6), ManualClock::new(start + HOUR / 6));
    let (slow_ring, fast_ring) = (ring_of(&scheduled, &slow), ring_of(&manifest, &fast));
    let signed = CookieSigner::new(slow_ring.clone()).sign("session", "user-42").unwrap();
    manifest.apply_to(&slow_ring).unwrap();
    for ring in [slow_ring, fast_ring] {
        assert!(CookieSigner::new(ring).verify("session", &signed).is_ok());
    }
    // A later retirement does not shorten that.
    let later = start + HOUR;
    let reports = agreement(&manifest, later);
    let again = manifest.retire(&kid("b"), &reports, later).unwrap();
    assert_eq!(again.verifies_until, Some(now + overlap()));

    // Further from its start it has signed nowhere.
    let early = scheduled.retire(&kid("b"), &[], start - WINDOW).unwrap();
    assert_eq!(early.verifies_until, Some(start - WINDOW));

    // An encryption key that may have sealed a row has no end by time.
    let clock = ManualClock::new(at(0));
    let ring = KeyRing::<AesKey>::builder().primary(aes_key(0, "x")).clock(clock.clone());
    let ring = ring.build().unwrap();
    ring.stage(aes_key(1, "y").signs_from(at(0) + HOUR)).unwrap();
    assert_eq!(ring.retire(&kid("y")).unwrap(), None);
    clock.advance(400 * DAY);
    assert_eq!(ring.load().state(&kid("y"), clock.now()), Some(KeyState::Live(Role::Fallback)));
}

/// An instance that has not reloaded seals with it until the rollout window is over.
#[test]
fn a_withdrawn_encryption_key_is_rewrapped_after_its_withdrawal() {
    let key = |seed, name: &str| {
        NewEntry::new(Secret::from(&secret(seed).as_bytes()[..32])).kid(kid(name))
    };
    let (mut policy, start) = (Policy::default(), at(0) + 2 * WINDOW);
    policy.max_lifetime = Duration::ZERO;
    let manifest =
        Manifest::new("ENCRYPTION_KEY", Purpose::Envelope, "test", policy, key(0, "a"), at(0));
    let manifest = manifest.unwrap().stage(key(1, "b").signs_from(start), at(0)).unwrap().manifest;
    let now = start - Duration::from_secs(10);
    let manifest = manifest.retire(&kid("b"), &[], now).unwrap().manifest;

    let clock = ManualClock::new(now + Duration::from_secs(60));
    let builder = KeyRing::<AesKey>::builder().environment("test").clock(clock.clone());
    let ring = manifest.build_ring(builder).unwrap();
    let started_at = clock.now();
    ring.record_rewrap(&dualkey::RewrapRecord {
        started_at,
        finished_at: started_at,
        unreadable: 0,
        nothing_sealed: 0,
        rows: vec![(kid("a"), 5)],
    });
    clock.advance(2 * WINDOW);
    let reports = [ring.report("one")];
    let verdict = manifest.retirement(&kid("b"), &reports, clock.now()).unwrap();
    let not_before = now + WINDOW;
    let dualkey::Verdict::Blocked(obstacles) = verdict else { panic!("{verdict:?}") };
    let early = dualkey::Obstacle::RewrapTooEarly { started_at, not_before };
    assert!(obstacles.contains(&early), "{obstacles:?}");
}

#[test]
fn a_key_near_its_end_is_not_made_the_primary() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(0)).unwrap().manifest;
    let end = manifest.verifies_until(&kid("a")).unwrap();
    let near = end - WINDOW + Duration::from_secs(1);
    for refused in [promote(&manifest, "a", near), rollback(&manifest, near)] {
        let is_right = matches!(&refused, Err(Error::ExpiresSoon { expires, needed, .. })
            if *expires == end && *needed == near + WINDOW);
        assert!(is_right, "{refused:?}");
    }
    assert!(promote(&manifest, "a", end - WINDOW).is_ok());
    let back = rollback(&manifest, end - WINDOW).unwrap();
    assert!(!back.effect.new_rejected);

    // Forced, or by a revocation, it says what instances do.
    let forced = manifest.force("logins fail").rollback(near).unwrap();
    assert!(forced.effect.new_rejected && !forced.effect.compromised_accepted);
    let revoked = manifest.revoke(&kid("b"), "leaked", near).unwrap();
    assert!(revoked.effect.new_rejected && revoked.effect.compromised_accepted);
    let early = manifest.revoke(&kid("b"), "leaked", at(2 * 3600)).unwrap();
    assert!(!early.effect.new_rejected && early.effect.compromised_accepted);

    // Until every instance holds that step, the end before it counts.
    let again = forced.manifest.stage(entry(2, "c"), near).unwrap().manifest;
    let again = again.force("x").promote(&kid("c"), near).unwrap().manifest;
    let soon = rollback(&again, near + Duration::from_secs(60));
    assert!(matches!(soon, Err(Error::ExpiresSoon { .. })), "{soon:?}");
    assert!(rollback(&again, near + WINDOW).is_ok());

    // The same in memory.
    let clock = ManualClock::new(at(0));
    let key = |seed, name: &str| NewKey::new(Secret::from(secret(seed))).kid(kid(name));
    let ring = KeyRing::<CookieKey>::builder().primary(key(0, "a")).clock(clock.clone());
    let ring = ring.build().unwrap();
    ring.promote(&ring.stage(key(1, "b")).unwrap()).unwrap();
    clock.advance(overlap() - WINDOW + Duration::from_secs(1));
    assert!(matches!(ring.promote(&kid("a")), Err(Error::ExpiresSoon { .. })));
    assert!(matches!(ring.rollback(), Err(Error::ExpiresSoon { .. })));
    assert_eq!(ring.force("logins fail").rollback().unwrap().kid, kid("a"));
}

/// The shortest run that the exploration found: the clock of the operator who promotes is behind, as is
/// that of an instance; the clocks of another instance and of another operator are ahead by the skew.
#[test]
fn a_step_of_an_operator_whose_clock_is_ahead_ends_no_key_too_early() {
    let policy = Policy::default();
    let ahead = |now: SystemTime| now + policy.skew;
    let staged = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let signing = ring_of(&staged, &ManualClock::new(ahead(at(0))));
    let promoted = promote(&staged, "b", at(0)).unwrap().manifest;
    // The instance that is ahead holds that at the end of the rollout window, and signs until then.
    let last = at(0) + policy.rollout_window - Duration::from_secs(1);
    let clock = ManualClock::new(ahead(last));
    let signer = CookieSigner::new(ring_of(&staged, &clock));
    let cookie = signer.sign("session", "user-42").unwrap();
    assert_eq!(signing.primary(), Some(kid("a")));

    // In the last minutes of that value the operator whose clock is ahead takes a step.
    let valid_until = ahead(last) + policy.max_lifetime;
    for before in [policy.skew, Duration::from_secs(1)] {
        let now = valid_until - before;
        let step = promoted.stage(entry(2, "c"), ahead(now)).unwrap().manifest;
        let behind = ManualClock::new(now);
        let ring = ring_of(&promoted, &behind);
        step.apply_to(&ring).unwrap();
        let verified = CookieSigner::new(ring).verify("session", &cookie);
        assert_eq!(verified.map(|value| value.kid()).unwrap(), kid("a"), "{before:?}");
        // Nor does that operator destroy its secret.
        let destroyed = promoted.destroy(&kid("a"), &agreement(&promoted, now), ahead(now));
        assert!(matches!(destroyed, Err(Error::InUse { .. })), "{destroyed:?}");
    }
}

#[test]
fn a_rollback_waits_until_every_instance_holds_the_key() {
    // `b` is staged and promoted by agreement, and so is `c`, all within minutes.
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(60)).unwrap().manifest;
    let manifest = manifest.stage(entry(2, "c"), at(120)).unwrap().manifest;
    let manifest = promote(&manifest, "c", at(180)).unwrap().manifest;
    let held = at(0) + WINDOW;
    let refused = manifest.rollback(&[], at(240));
    assert!(
        matches!(&refused, Err(Error::AddedRecently { held: until, .. }) if *until == held),
        "{refused:?}"
    );
    // Every instance that reports holds it, or the time has passed, or it is forced.
    assert_eq!(rollback(&manifest, at(240)).unwrap().kid, kid("b"));
    assert_eq!(manifest.rollback(&[], held).unwrap().kid, kid("b"));
    let forced = manifest.force("logins fail").rollback(at(240)).unwrap();
    assert!(forced.effect.new_rejected);
}

#[test]
fn missing_reports_may_be_assumed_away_and_contradicting_ones_not() {
    let before = first();
    let manifest = before.stage(entry(1, "b"), at(0)).unwrap().manifest;
    let assumed = manifest.assume_deployed("restarted everywhere");
    let promoted = assumed.promote(&kid("b"), &[], at(60)).unwrap();
    assert!(!promoted.effect.new_rejected);
    let record = &promoted.manifest.key(&kid("b")).unwrap().forced_steps()[0];
    assert_eq!(record.reason, "restarted everywhere");
    let behind = agreement(&before, at(60));
    let refused = assumed.promote(&kid("b"), &behind, at(60));
    assert!(matches!(refused, Err(Error::NotAgreed { .. })), "{refused:?}");
    // Reports that lie ahead contradict the clock. Old ones are silence.
    let ahead = agreement(&manifest, at(60) + 10 * DAY);
    let refused = assumed.promote(&kid("b"), &ahead, at(60) + 5 * DAY);
    assert!(matches!(refused, Err(Error::ClockDisagrees { .. })), "{refused:?}");
    let old = agreement(&manifest, at(60));
    assert!(assumed.promote(&kid("b"), &old, at(60) + 5 * DAY).is_ok());
}

#[test]
fn what_was_signed_under_a_longer_policy_stays_valid() {
    let clock = ManualClock::new(at(0));
    let ring = ring_of(&first(), &clock);
    let signer = CookieSigner::new(ring.clone()).max_age(7 * DAY);
    let cookie = signer.sign("session", "user-42").unwrap();

    let mut policy = Policy::default();
    policy.max_lifetime = HOUR;
    let manifest = first().set_policy(policy, at(60)).unwrap();
    let manifest = manifest.stage(entry(1, "b"), at(120)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(180)).unwrap().manifest;
    clock.set(at(180));
    manifest.apply_to(&ring).unwrap();
    for hours in [3, 24, 7 * 24 - 1] {
        clock.set(at(0) + hours * HOUR);
        assert!(signer.verify("session", &cookie).is_ok(), "after {hours} h");
    }
    assert_eq!(manifest.verifies_until(&kid("a")), Some(at(60) + overlap()));
    // The verdict waits for it as well.
    let now = at(0) + 2 * DAY;
    let verdict = manifest.retirement(&kid("a"), &agreement(&manifest, now), now).unwrap();
    assert_ne!(verdict, Verdict::Safe);
}

/// The step six days ahead was of a wrong clock, and the end of `a` was settled by a right one.
#[test]
fn a_repaired_clock_moves_no_end_that_a_right_clock_settled() {
    let staged = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let promoted = promote(&staged, "b", at(0)).unwrap().manifest;
    let mut shorter = Policy::default();
    shorter.max_lifetime = HOUR;
    let retired = promoted.retire(&kid("a"), &agreement(&promoted, at(60)), at(60)).unwrap();
    for before in [promoted.set_policy(shorter, at(60)).unwrap(), retired.manifest] {
        let end = before.verifies_until(&kid("a"));
        assert_eq!(end, Some(at(0) + overlap()));
        let wrong = before.stage(entry(2, "c"), at(0) + 6 * DAY).unwrap().manifest;
        let repaired = wrong.repair_clock(&[], at(0) + DAY).unwrap().manifest;
        assert_eq!(repaired.verifies_until(&kid("a")), end);
    }
}

/// A key of a purpose without an end by time is not ended by it, but its verdict waits.
#[test]
fn the_verdict_on_a_credential_waits_for_the_overlap_of_a_longer_policy() {
    let key = |seed, name| NewEntry::new(secret(seed)).kid(kid(name));
    let policy = Policy::default();
    let first =
        Manifest::new("PARTNER_KEY", Purpose::Credential, "test", policy, key(0, "a"), at(0));
    let staged = first.unwrap().stage(key(1, "b"), at(0)).unwrap().manifest;
    let promoted = staged.force("a test").promote(&kid("b"), at(0)).unwrap().manifest;
    let mut shorter = policy;
    shorter.max_lifetime = HOUR;
    let manifest = promoted.set_policy(shorter, at(60)).unwrap();
    assert_eq!(manifest.verifies_until(&kid("a")), None);
    let until = at(0) + overlap();
    let cut = promoted.force("a test").retire(&kid("a"), at(10)).unwrap().manifest;
    let cut = cut.set_policy(shorter, at(60)).unwrap();
    let verdict = |manifest: &Manifest, now| {
        let builder = KeyRing::<Credential>::builder().environment("test");
        let ring = manifest.build_ring(builder.clock(ManualClock::new(at(0)))).unwrap();
        let mut report = ring.report("one");
        report.reported_at = now;
        manifest.retirement(&kid("a"), &[report], now).unwrap()
    };
    for manifest in [manifest, cut] {
        let before = verdict(&manifest, until - Duration::from_secs(1));
        assert_eq!(before, Verdict::Wait { until });
        assert!(!matches!(verdict(&manifest, until), Verdict::Wait { .. }));
    }
}

/// A step before the policy was changed, and one soon after, may still take the longer window.
#[test]
fn a_shorter_rollout_window_applies_once_the_longer_one_has_passed() {
    let mut policy = Policy::default();
    (policy.rollout_window, policy.skew) = (Duration::from_secs(600), Duration::from_secs(60));
    let manifest = first().set_policy(policy, at(0)).unwrap();
    let stage = |now| manifest.stage(entry(1, "b").signs_from(now + WINDOW / 2), now);
    let refused = stage(at(10));
    assert!(matches!(refused, Err(Error::TooSoon { earliest, .. }) if earliest == at(10) + WINDOW));
    assert!(stage(at(0) + WINDOW).is_ok());
    let read = Manifest::from_json(manifest.to_json().unwrap().expose()).unwrap();
    assert!(read.stage(entry(1, "b").signs_from(at(10) + WINDOW / 2), at(10)).is_err());
    // A key that is superseded in that time has the overlap of the longer window.
    let next = manifest.stage(entry(1, "b"), at(10)).unwrap().manifest;
    let next = promote(&next, "b", at(600)).unwrap().manifest;
    let longer = policy.max_lifetime + WINDOW + policy.skew;
    assert_eq!(next.verifies_until(&kid("a")), Some(at(600) + longer));
}

#[test]
fn v8_a_refused_manifest_still_revokes_and_the_ring_then_serves_nothing() {
    let (clock, event_log) = (ManualClock::new(at(0)), EventLog::default());
    let ring = KeyRing::<CookieKey>::builder().environment("test").clock(clock.clone());
    let first = Manifest::new(
        "SESSION_SECRET",
        Purpose::Cookie,
        "test",
        Policy::default(),
        NewEntry::new(Secret::from(secret(0) + &secret(1))).kid(kid("a")),
        at(0),
    )
    .unwrap();
    let ring = first.build_ring(ring.min_secret_bytes(100).observer(event_log.clone())).unwrap();
    let signer = CookieSigner::new(ring.clone());
    let cookie = signer.sign("session", "user-42").unwrap();
    assert!(signer.verify("session", &cookie).is_ok());

    // The replacement is too short for this ring.
    let emergency = first.emergency_rotate(&kid("a"), "leaked", entry(2, "b"), at(10)).unwrap();
    clock.set(at(10));
    let refused = emergency.manifest.apply_to(&ring);
    assert!(matches!(refused, Err(Error::ShortSecret { .. })), "{refused:?}");
    assert_eq!(ring.primary(), None);
    assert!(event_log.all().iter().any(|event| event.contains("Revoked")), "{:?}", event_log.all());
    assert_eq!(signer.verify("session", &cookie).unwrap_err().reason(), Reason::RevokedKey);
    assert!(matches!(signer.sign("session", "x"), Err(Error::NothingSigns)));
    let other = forge_cookie(7, "q", at(10));
    assert_eq!(signer.verify("session", &other).unwrap_err().reason(), Reason::NoPrimary);

    // One that it can use brings it back, and the revocation holds.
    let long = NewEntry::new(Secret::from(secret(3) + &secret(4))).kid(kid("c"));
    let next = emergency.manifest.stage(long, at(20)).unwrap().manifest;
    let next = next.revoke(&kid("b"), "never used", at(20));
    assert!(matches!(next, Err(Error::NoPrimary { .. })), "{next:?}");
}

#[test]
fn a_change_from_the_future_is_refused_and_its_revocations_are_not() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(0)).unwrap().manifest;
    let clock = ManualClock::new(at(60));
    let ring = ring_of(&manifest, &clock);
    let old = forge_cookie(0, "a", at(60));
    let signer = CookieSigner::new(ring.clone());

    // An operator whose clock is ten years ahead.
    let far = at(60) + 3650 * DAY;
    let staged = manifest.stage(entry(2, "c"), far).unwrap().manifest;
    let refused = staged.apply_to(&ring);
    assert!(matches!(refused, Err(Error::FromTheFuture { .. })), "{refused:?}");
    assert!(signer.verify("session", &old).is_ok(), "every overlap would have ended");
    // An instance that starts goes by its own clock.
    let started = ring_of(&staged, &clock);
    assert!(CookieSigner::new(started.clone()).verify("session", &old).is_ok());
    assert_eq!(started.primary(), Some(kid("b")));

    // A revocation is taken. The key before takes over, although it has ended by that clock.
    let rotated = staged.emergency_rotate(&kid("b"), "leaked", entry(9, "z"), far).unwrap();
    assert!(rotated.manifest.apply_to(&ring).is_err());
    assert_eq!(ring.load().state(&kid("b"), clock.now()), Some(KeyState::Revoked));
    assert_eq!(ring.primary(), Some(kid("a")));

    // Without it nothing would sign: then it is taken whole.
    let ring = ring_of(&first(), &clock);
    let alone = first().emergency_rotate(&kid("a"), "leaked", entry(9, "z"), far).unwrap().manifest;
    assert!(alone.apply_to(&ring).unwrap());
    assert_eq!(ring.primary(), Some(kid("z")));
    assert_eq!(ring_of(&alone, &clock).primary(), Some(kid("z")));
}

#[test]
fn a_step_by_a_clock_behind_the_last_change_is_refused_and_a_revocation_is_not() {
    let manifest = first().stage(entry(1, "b"), at(100_000)).unwrap().manifest;
    let behind = at(100_000) - Duration::from_secs(301);
    for refused in [
        manifest.stage(entry(2, "c"), behind),
        manifest.retire(&kid("b"), &[], behind),
        manifest.force("x").promote(&kid("b"), behind),
    ] {
        let is_right = matches!(&refused, Err(Error::ClockDisagrees { now, other, .. })
            if *now == behind && *other == at(100_000));
        assert!(is_right, "{refused:?}");
    }
    // Within the skew it is dated like the change before.
    let within = behind + Duration::from_secs(1);
    let staged = manifest.stage(entry(2, "c"), within).unwrap().manifest;
    assert_eq!(staged.changed_at(), at(100_000));
    assert!(manifest.revoke(&kid("b"), "leaked", behind).is_ok());
    assert!(manifest.emergency_rotate(&kid("a"), "leaked", entry(3, "d"), behind).is_ok());
}

#[test]
fn an_instance_whose_clock_was_ahead_for_one_reload_has_its_roles_back_at_the_next() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(0)).unwrap().manifest;
    let clock = ManualClock::new(at(60));
    let ring = ring_of(&manifest, &clock);
    let old = forge_cookie(0, "a", at(60));
    let signer = CookieSigner::new(ring.clone());

    clock.set(at(60) + 20 * DAY);
    // A change is taken before the clock is corrected.
    let next = manifest.stage(entry(2, "c"), at(70)).unwrap().manifest;
    next.apply_to(&ring).unwrap();
    clock.set(at(120));
    assert!(!next.apply_to(&ring).unwrap());
    assert!(signer.verify("session", &old).is_ok());

    // The same where nothing changed, and where the next change is refused.
    clock.set(at(60) + 20 * DAY);
    assert!(!next.apply_to(&ring).unwrap());
    clock.set(at(120));
    let foreign = next.stage(entry(3, "d"), at(120) + 30 * DAY).unwrap().manifest;
    assert!(foreign.apply_to(&ring).is_err());
    assert!(signer.verify("session", &old).is_ok());
}

#[test]
fn repair_clock_corrects_a_manifest_that_was_written_with_a_wrong_clock() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(0)).unwrap().manifest;
    let manifest = manifest.stage(entry(2, "c"), at(60)).unwrap().manifest;
    let natural = manifest.verifies_until(&kid("a"));

    // Ten years ahead: `c`, which all hold, is promoted, and `d` is staged.
    let far = at(0) + 3650 * DAY;
    let wrong = manifest.force("x").promote(&kid("c"), far).unwrap().manifest;
    let wrong = wrong.stage(entry(3, "d"), far + HOUR).unwrap().manifest;
    let now = at(60) + 2 * HOUR;
    assert!(matches!(wrong.stage(entry(4, "e"), now), Err(Error::ClockDisagrees { .. })));

    let repaired = wrong.repair_clock(&[], now).unwrap();
    assert!(!repaired.effect.new_rejected);
    let fixed = repaired.manifest;
    assert_eq!((fixed.revision(), fixed.changed_at()), (wrong.revision() + 1, now));
    let latest = fixed.keys().iter().filter_map(|key| match key.signing_start() {
        dualkey::SigningStart::From(from) => Some(from),
        _ => None,
    });
    assert!(latest.chain(fixed.keys().iter().map(|key| key.added_at())).all(|time| time <= now));
    // No overlap has ended, and what every instance holds signs.
    assert_eq!(state(&fixed, "a", now), KeyState::Live(Role::Fallback));
    assert_eq!(fixed.verifies_until(&kid("a")), natural);
    assert_eq!(fixed.primary(now), kid("c"));
    assert_eq!(fixed.verifies_until(&kid("b")), Some(now + overlap()));
    assert_eq!(state(&fixed, "d", now), KeyState::Live(Role::Staged));
    // It is a manifest as any other, and steps go on.
    let read = Manifest::from_json(fixed.to_json().unwrap().expose()).unwrap();
    assert_eq!(read.fingerprint(), fixed.fingerprint());
    let clock = ManualClock::new(now);
    let ring = ring_of(&manifest, &clock);
    assert!(wrong.apply_to(&ring).is_err());
    assert!(fixed.apply_to(&ring).unwrap());

    // A key that no instance may hold does not start to sign by a repair, unless nothing else
    // does.
    let new = manifest.stage(entry(5, "n"), far).unwrap().manifest;
    let new = new.force("x").promote(&kid("n"), far).unwrap().manifest;
    let fixed = new.repair_clock(&[], now).unwrap();
    assert_eq!(fixed.manifest.primary(now), kid("b"));
    assert_eq!(state(&fixed.manifest, "n", now), KeyState::Live(Role::Staged));
    let alone = first().emergency_rotate(&kid("a"), "leaked", entry(9, "z"), far).unwrap().manifest;
    let fixed = alone.repair_clock(&[], now).unwrap();
    assert_eq!(fixed.manifest.primary(now), kid("z"));
    assert!(fixed.effect.new_rejected);
    assert_eq!(fixed.manifest.key(&kid("a")).unwrap().revoked().unwrap().at, now);

    // Where nothing is wrong, nothing changes.
    let same = manifest.repair_clock(&[], now).unwrap();
    assert!(!same.has_changed(&manifest));
}

/// `a` is a fallback in its overlap, and `b` leaks by a clock that is a month ahead.
#[test]
fn an_emergency_by_a_clock_that_is_ahead_splits_no_fleet_and_can_be_repaired() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(0)).unwrap().manifest;
    let clock = ManualClock::new(at(3600));
    let running = ring_of(&manifest, &clock);
    let far = at(3600) + 30 * DAY;
    let wrong =
        manifest.emergency_rotate(&kid("b"), "leaked", entry(9, "z"), far).unwrap().manifest;
    assert!(wrong.apply_to(&running).is_err());
    let started = ring_of(&wrong, &clock);
    assert_eq!((running.primary(), started.primary()), (Some(kid("a")), Some(kid("a"))));
    let signed = CookieSigner::new(running.clone()).sign("session", "user-42").unwrap();
    assert!(CookieSigner::new(started.clone()).verify("session", &signed).is_ok());

    for days in [0, 3, 6, 8, 29] {
        let now = at(3600) + days * DAY;
        let repaired = wrong.repair_clock(&[], now).unwrap();
        assert!(repaired.has_changed(&wrong), "after {days} days");
        let fixed = repaired.manifest;
        match days {
            0 | 3 | 6 => {
                assert_eq!((fixed.primary(now), fixed.verifies_until(&kid("a"))), (kid("a"), None))
            }
            // Nothing else is left.
            _ => assert_eq!(fixed.primary(now), kid("z")),
        }
        assert_eq!(state(&fixed, "b", now), KeyState::Revoked);
    }
}

#[test]
fn a_shorter_life_and_a_longer_window_in_one_policy_end_nothing_early() {
    let mut policy = Policy::default();
    (policy.max_lifetime, policy.rollout_window) = (Duration::from_secs(60), 10 * HOUR);
    let manifest = first().set_policy(policy, at(0)).unwrap();
    let manifest = manifest.stage(entry(1, "b"), at(10)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(20)).unwrap().manifest;
    // An instance that has not reloaded signs for the longer life within the longer window.
    let needed = at(0) + Policy::default().max_lifetime + 10 * HOUR;
    assert!(manifest.verifies_until(&kid("a")).unwrap() >= needed);
}

/// The clocks of instances differ by the longer skew while values of the longer lifetime are valid.
#[test]
fn a_shorter_life_and_a_longer_skew_in_one_policy_end_nothing_early() {
    let mut policy = Policy::default();
    (policy.max_lifetime, policy.skew) = (Duration::from_secs(60), 2 * HOUR);
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(0)).unwrap().manifest;
    let manifest = manifest.set_policy(policy, at(10)).unwrap();
    let earlier = Policy::default();
    let longest = earlier.max_lifetime + earlier.rollout_window + 2 * policy.skew;
    assert_eq!(manifest.verifies_until(&kid("a")), Some(at(0) + longest));
}

/// It cannot reach its store for a rollout window, and is there all the same.
#[test]
fn a_short_observation_makes_no_lagging_instance_count_as_gone() {
    let mut policy = Policy::default();
    policy.observation_window = Duration::from_secs(600);
    let before =
        Manifest::new("SESSION_SECRET", Purpose::Cookie, "test", policy, entry(0, "a"), at(0));
    let before = before.unwrap();
    let lagging = ring_of(&before, &ManualClock::new(at(60))).report("two");
    let manifest = before.stage(entry(1, "b"), at(120)).unwrap().manifest;
    let now = at(60) + Duration::from_secs(3000);
    let fresh = ring_of(&manifest, &ManualClock::new(now)).report("one");
    let refused = manifest.promote(&kid("b"), &[fresh, lagging], now);
    assert!(matches!(refused, Err(Error::NotAgreed { .. })), "{refused:?}");
}

#[test]
fn a_sequence_at_its_limit_stops_no_emergency() {
    let mut document: serde_json::Value =
        serde_json::from_slice(first().to_json().unwrap().expose()).unwrap();
    document["keys"][0]["sequence"] = ((1_u64 << 53) - 1).into();
    let manifest = Manifest::from_json(document.to_string().as_bytes()).unwrap();
    let change = manifest.emergency_rotate(&kid("a"), "leaked", entry(1, "b"), at(10)).unwrap();
    let read = Manifest::from_json(change.manifest.to_json().unwrap().expose()).unwrap();
    assert_eq!(read.primary(at(10)), kid("b"));
    document["keys"][0]["sequence"] = (1_u64 << 53).into();
    assert!(Manifest::from_json(document.to_string().as_bytes()).is_err());
}

/// A revocation that is written by hand moves no end either: the promotion has recorded it.
#[test]
fn v8_a_revocation_by_hand_revives_no_key() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = promote(&manifest, "b", at(0)).unwrap().manifest;
    let manifest = manifest.stage(entry(2, "c"), at(60)).unwrap().manifest;
    let mut document: serde_json::Value =
        serde_json::from_slice(manifest.to_json().unwrap().expose()).unwrap();
    document["keys"][1]["revoked"] = serde_json::Value::Null;
    document["revision"] = 9.into();
    let read = Manifest::from_json(document.to_string().as_bytes());
    // No key would sign once `a` has ended: the document is refused, and a ring that follows it
    // applies the revocation.
    assert!(matches!(read, Err(Error::NoPrimary { .. })), "{read:?}");
}

#[test]
fn a_revision_at_its_limit_is_an_error_and_no_silence() {
    let mut document: serde_json::Value =
        serde_json::from_slice(first().to_json().unwrap().expose()).unwrap();
    document["revision"] = ((1_u64 << 53) - 1).into();
    let manifest = Manifest::from_json(document.to_string().as_bytes()).unwrap();
    let steps = [
        manifest.stage(entry(1, "b"), at(10)).map(drop),
        manifest.emergency_rotate(&kid("a"), "leaked", entry(1, "b"), at(10)).map(drop),
        manifest
            .set_policy(
                {
                    let mut policy = Policy::default();
                    policy.max_lifetime = HOUR;
                    policy
                },
                at(10),
            )
            .map(drop),
    ];
    for step in steps {
        assert!(matches!(step, Err(Error::RevisionLimit)), "{step:?}");
    }
    document["revision"] = u64::MAX.into();
    assert!(Manifest::from_json(document.to_string().as_bytes()).is_err());
}
