//! The stored document: its steps, its refusals, and everything that may be wrong with it.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::envelope::AesKey;
use dualkey::jwt::JwtKey;
use dualkey::manifest::{ChangeAction, Manifest, NewEntry};
use dualkey::{
    Error, KeyMaterial, KeyRing, KeyState, Kid, ManualClock, Obstacle, Policy, Purpose, Reason,
    Report, RewrapRecord, Role, Schedule, Secret, Verdict,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::manifest::{at, entry, first, states};
use crate::support::{cases, secret};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

/// What a ring says that holds `manifest`.
fn report(manifest: &Manifest, instance: &str, now: SystemTime) -> Report {
    ring_of::<CookieKey>(manifest, now).report(instance)
}

fn ring_of<K: KeyMaterial>(manifest: &Manifest, now: SystemTime) -> KeyRing<K> {
    manifest
        .build_ring(KeyRing::builder().environment("test").clock(ManualClock::new(now)))
        .unwrap()
}

#[test]
fn a_rotation_goes_through_its_states() {
    use KeyState::{Expired, Live};
    let staged = first().stage(entry(1, "b"), at(10)).unwrap();
    assert_eq!(
        (staged.action, staged.from, staged.to),
        (ChangeAction::Stage, None, Live(Role::Staged))
    );
    assert_eq!(staged.manifest.revision(), 2);

    let reports = [report(&staged.manifest, "one", at(20))];
    let promoted = staged.manifest.promote(&kid("b"), &reports, at(20)).unwrap();
    assert_eq!(promoted.to, Live(Role::Primary));
    let ends = at(20) + Policy::default().overlap();
    assert_eq!(promoted.verifies_until, Some(ends));
    assert_eq!(
        states(&promoted.manifest, at(20)),
        [("a".to_owned(), Live(Role::Fallback)), ("b".to_owned(), Live(Role::Primary))]
    );

    let back =
        promoted.manifest.rollback(&[report(&promoted.manifest, "one", at(30))], at(30)).unwrap();
    assert_eq!((back.kid, back.to), (kid("a"), Live(Role::Primary)));
    let again = back.manifest.force("a test").promote(&kid("b"), at(40)).unwrap();
    let behind = again.manifest.retire(&kid("a"), &reports, at(50));
    assert!(matches!(behind, Err(Error::Blocked { .. })), "{behind:?}");
    let reports = [report(&again.manifest, "one", at(50))];
    let retired = again.manifest.retire(&kid("a"), &reports, at(50)).unwrap();
    assert_eq!(retired.verifies_until, Some(at(40) + Policy::default().overlap()));
    let over = at(40) + Policy::default().overlap();
    assert_eq!(states(&retired.manifest, over)[0].1, Expired);

    let destroyed = retired.manifest.destroy(&kid("a"), &[], over).unwrap();
    assert!(destroyed.manifest.keys()[0].secret().is_none());
    assert_eq!(destroyed.manifest.revision(), 7);
    // Its secret and its name do not come back.
    let error = destroyed.manifest.stage(entry(3, "a"), over).unwrap_err();
    assert!(matches!(error, Error::DuplicateKid { .. }), "{error}");
    for name in ["a", "another"] {
        let error = destroyed.manifest.stage(entry(0, name), over).unwrap_err();
        assert!(matches!(error, Error::Destroyed { kid } if kid == *"a"), "{error}");
    }
    let text = destroyed.manifest.to_json().unwrap();
    let again = Manifest::from_json(text.expose()).unwrap().stage(entry(0, "another"), over);
    assert!(matches!(again, Err(Error::Destroyed { .. })), "a document keeps the recogniser");
    for refused in [
        destroyed.manifest.force("").promote(&kid("a"), over).map(drop),
        destroyed.manifest.force("").destroy(&kid("a"), over).map(drop),
        destroyed.manifest.retire(&kid("a"), &[], over).map(drop),
    ] {
        assert!(matches!(refused, Err(Error::Destroyed { .. })), "{refused:?}");
    }
}

#[test]
fn a_key_that_is_scheduled_begins_to_sign_everywhere_at_once_and_not_too_soon() {
    let manifest = first();
    let soon = entry(1, "b").signs_from(at(1800));
    let error = manifest.stage(soon, at(0)).unwrap_err();
    assert!(matches!(error, Error::TooSoon { earliest, .. } if earliest == at(3900)), "{error}");
    assert!(matches!(
        manifest.stage(entry(1, "b").signs_from(at(0)), at(0)),
        Err(Error::NotAhead { .. })
    ));

    let scheduled = manifest.stage(entry(1, "b").signs_from(at(7200)), at(0)).unwrap().manifest;
    let clock = ManualClock::new(at(0));
    let rings: [KeyRing<CookieKey>; 3] = std::array::from_fn(|_| {
        let builder = KeyRing::builder().environment("test").clock(clock.clone());
        scheduled.build_ring(builder).unwrap()
    });
    for (now, primary) in [(7199, "a"), (7200, "b")] {
        clock.set(at(now));
        assert_eq!(scheduled.primary(at(now)), kid(primary));
        for ring in &rings {
            assert_eq!(ring.primary().unwrap(), kid(primary));
        }
    }
}

#[test]
fn promotion_waits_for_every_instance_that_may_be_running() {
    let before = first();
    let manifest = before.stage(entry(1, "b"), at(10)).unwrap().manifest;
    let now = at(20);
    let refusal = |reports: &[Report], now| match manifest.promote(&kid("b"), reports, now) {
        Err(Error::NotAgreed { obstacles, .. }) => obstacles,
        other => panic!("{other:?}"),
    };
    // No instance reports.
    assert_eq!(refusal(&[], now), [Obstacle::NoInstance]);
    let has = report(&manifest, "has", now);
    let lacks = report(&before, "lacks", now);
    let expected = Obstacle::KeySetMismatch {
        instance: "lacks".to_owned(),
        fingerprint: before.fingerprint(),
        reported_at: now,
    };
    assert_eq!(refusal(&[has.clone(), lacks.clone()], now), [expected]);
    assert!(manifest.promote(&kid("b"), std::slice::from_ref(&has), now).is_ok());

    // One that has said good-bye, or has been silent for a day, is not waited for.
    let mut gone = lacks.clone();
    gone.has_stopped = true;
    assert!(manifest.promote(&kid("b"), &[has.clone(), gone], now).is_ok());
    let later = now + DAY;
    assert_eq!(refusal(std::slice::from_ref(&lacks), later - HOUR).len(), 1);
    let fresh = report(&manifest, "has", later);
    assert!(manifest.promote(&kid("b"), &[fresh, lacks.clone()], later).is_ok());

    // Forced, it is recorded.
    let forced = manifest.force("the pod is stuck").promote(&kid("b"), now).unwrap();
    let record = &forced.manifest.key(&kid("b")).unwrap().forced_steps()[0];
    assert_eq!((record.action.as_str(), record.reason.as_str()), ("promote", "the pod is stuck"));
    assert!(forced.effect.new_rejected);
    // What is done already is no change, whoever agrees.
    let again = forced.manifest.promote(&kid("b"), &[lacks], now).unwrap();
    assert!(!again.has_changed(&forced.manifest));
}

#[test]
fn an_emergency_promotes_what_is_staged_and_makes_a_key_where_nothing_is() {
    let leaked = kid("a");
    let spare = || entry(9, "spare");
    let new = first().emergency_rotate(&leaked, "in a log", spare(), at(10)).unwrap();
    assert_eq!((new.kid, new.effect.new_rejected), (kid("spare"), true));
    assert_eq!(states(&new.manifest, at(10))[0].1, KeyState::Revoked);
    assert_eq!(new.manifest.keys()[0].revoked().unwrap().reason, "in a log");

    let staged = first().stage(entry(1, "b").signs_from(at(9000)), at(10)).unwrap().manifest;
    let staged = staged.stage(entry(2, "c"), at(10)).unwrap().manifest;
    // Staged just now, it may be as new to some as any other.
    let change = staged.emergency_rotate(&leaked, "in a log", spare(), at(3909)).unwrap();
    assert_eq!((change.kid, change.effect.new_rejected), (kid("b"), true));
    let change = staged.emergency_rotate(&leaked, "in a log", spare(), at(3910)).unwrap();
    assert_eq!((change.kid, change.effect.new_rejected), (kid("b"), false));
    assert!(change.manifest.key(&kid("spare")).is_none());
    assert_eq!(change.manifest.primary(at(3910)), kid("b"));

    // Of two operators at once, the one who is late makes no further primary.
    for done in [&new.manifest, &change.manifest] {
        let late = done.emergency_rotate(&leaked, "in a log", entry(8, "late"), at(3920));
        assert!(matches!(late, Err(Error::Revoked { kid }) if kid == leaked), "{late:?}");
    }

    // A staged key that is compromised as well is not promoted.
    let revoked = staged.revoke(&kid("b"), "too", at(15)).unwrap().manifest;
    let change = revoked.emergency_rotate(&leaked, "in a log", spare(), at(20)).unwrap();
    assert_eq!(change.kid, kid("c"));
    let staged = first().stage(entry(1, "b"), at(10)).unwrap().manifest;
    let change = staged.emergency_rotate(&kid("b"), "it alone", spare(), at(20)).unwrap();
    assert_eq!(change.kid, kid("spare"));

    // An end that was settled holds: a key that was replaced has none that takes over from it.
    let rotated = staged.force("nobody runs").promote(&kid("b"), at(30)).unwrap().manifest;
    let reports = [report(&rotated, "one", at(40))];
    let settled = rotated.retire(&leaked, &reports, at(40)).unwrap();
    let change = settled.manifest.emergency_rotate(&kid("b"), "too", spare(), at(50)).unwrap();
    assert_eq!(change.kid, kid("spare"));
    assert_eq!(change.manifest.verifies_until(&leaked), settled.manifest.verifies_until(&leaked));

    // To revoke the only signer without one is refused.
    let error = first().revoke(&leaked, "", at(10)).unwrap_err();
    assert!(matches!(error, Error::NoPrimary { .. }), "{error}");
}

#[test]
fn an_encryption_key_is_destroyed_only_after_a_rewrap_that_opened_every_row() {
    let key = |seed, name: &str| {
        NewEntry::new(Secret::from(&secret(seed).as_bytes()[..32])).kid(kid(name))
    };
    let mut policy = Policy::default();
    (policy.max_lifetime, policy.min_observed_verifications) = (Duration::ZERO, 1);
    let manifest = Manifest::new(
        "ENCRYPTION_KEY",
        Purpose::Envelope,
        "test",
        Policy::default(),
        key(0, "a"),
        at(0),
    );
    let manifest = manifest.unwrap().set_policy(policy, at(0)).unwrap();
    let manifest = manifest.stage(key(1, "b"), at(0)).unwrap().manifest;
    let manifest = manifest.force("").promote(&kid("b"), at(0)).unwrap().manifest;

    let clock = ManualClock::new(at(0));
    let builder = KeyRing::<AesKey>::builder().environment("test").clock(clock.clone());
    let ring = manifest.build_ring(builder).unwrap();
    let sealer = dualkey::envelope::Sealer::new(ring.clone());
    let row = sealer.seal("a row", "").unwrap();
    let look = |now: SystemTime| {
        clock.set(now);
        assert!(sealer.open(&row, "").is_ok());
        ring.report("one")
    };
    let mut rewrap = RewrapRecord {
        started_at: at(60),
        finished_at: at(70),
        unreadable: 2,
        nothing_sealed: 0,
        rows: vec![(kid("a"), 3), (kid("b"), 5)],
    };
    let obstacles = |report: &Report, now| match manifest.retirement(
        &kid("a"),
        std::slice::from_ref(report),
        now,
    ) {
        Ok(Verdict::Blocked(obstacles)) => obstacles,
        other => panic!("{other:?}"),
    };
    let mut report = look(at(10));
    for hour in 0..48 {
        report = look(at(100 + 3600 * hour));
    }
    let now = report.reported_at;
    assert_eq!(obstacles(&report, now), [Obstacle::NotRewrapped]);
    report.rewrap = Some(rewrap.clone());
    let settled = at(0) + policy.rollout_window + policy.skew;
    assert_eq!(
        obstacles(&report, now),
        [
            Obstacle::RewrapTooEarly { started_at: at(60), not_before: settled },
            Obstacle::RowsLeft { rows: 3 },
            Obstacle::RowsUnreadable { rows: 2 },
        ]
    );
    (rewrap.started_at, rewrap.finished_at) = (settled, settled + HOUR);
    (rewrap.unreadable, rewrap.rows) = (0, vec![(kid("b"), 5)]);
    rewrap.nothing_sealed = 1;
    report.rewrap = Some(rewrap.clone());
    let stored = Report::from_json(report.to_json().unwrap().as_bytes()).unwrap();
    assert_eq!(stored.rewrap, report.rewrap);
    assert_eq!(obstacles(&stored, now), [Obstacle::NothingSealed { tables: 1 }]);
    rewrap.nothing_sealed = 0;
    report.rewrap = Some(rewrap.clone());
    assert_eq!(manifest.retirement(&kid("a"), &[report.clone()], now).unwrap(), Verdict::Safe);

    let retired = manifest.retire(&kid("a"), &[report.clone()], now).unwrap().manifest;
    report.fingerprint = retired.fingerprint();
    // A report of an earlier version, whose rewrap read the wraps alone, is evidence of nothing.
    let stored = report.to_json().unwrap();
    assert!(!stored.contains("opened_all"), "{stored}");
    let earlier = |opened_all: bool| {
        let field = format!("\"rewrap\": {{\n    \"opened_all\": {opened_all},");
        let text = stored.replace("\"rewrap\": {", &field);
        assert_ne!(text, stored);
        Report::from_json(text.as_bytes()).unwrap()
    };
    assert_eq!((earlier(false).rewrap, earlier(true).rewrap), (None, report.rewrap.clone()));
    let refused = retired.destroy(&kid("a"), &[earlier(false)], now);
    assert!(
        matches!(
            &refused,
            Err(Error::Blocked { obstacles, .. }) if *obstacles == [Obstacle::NotRewrapped]
        ),
        "{refused:?}"
    );
    let destroyed = retired.destroy(&kid("a"), &[report], now).unwrap();
    assert_eq!(destroyed.manifest.key(&kid("a")).unwrap().destroyed_at(), Some(now));
    // A ring that is given it has no such key any more.
    assert_eq!(ring_of::<AesKey>(&destroyed.manifest, now).keys().len(), 1);
}

#[test]
fn a_shorter_policy_cuts_no_overlap_short_and_a_longer_one_moves_ends() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = manifest.force("").promote(&kid("b"), at(10)).unwrap().manifest;
    let mut shorter = *manifest.policy();
    shorter.max_lifetime = HOUR;
    let old = manifest.policy().overlap();
    let next = manifest.set_policy(shorter, at(20)).unwrap();
    assert_eq!(next.policy().max_lifetime, HOUR);
    // The fallback keeps its end. The primary has signed for the longer life until now.
    assert_eq!(next.verifies_until(&kid("a")), Some(at(10) + old));
    let next = next.stage(entry(2, "c"), at(30)).unwrap().manifest;
    let next = next.force("a test").promote(&kid("c"), at(40)).unwrap().manifest;
    assert_eq!(next.verifies_until(&kid("b")), Some(at(20) + old));
    // What signed under the shorter one alone has the shorter overlap.
    let next = next.force("a test").promote(&kid("b"), at(20) + 2 * old).unwrap_err();
    assert!(matches!(next, Error::Expired { kid: expired } if expired == kid("b")), "{next}");
    let mut longer = *manifest.policy();
    longer.max_lifetime = 30 * DAY;
    let next = manifest.set_policy(longer, at(20)).unwrap();
    assert_eq!(next.verifies_until(&kid("a")), Some(at(10) + longer.overlap()));
    assert_eq!(next.revision(), manifest.revision() + 1);
}

#[test]
fn a_rotation_is_due_by_its_schedule() {
    // 2027-01-15T08:00:00Z.
    let mut policy = Policy::default();
    let due = |schedule| {
        policy.schedule = Some(schedule);
        let manifest = first().set_policy(policy, at(0)).unwrap();
        let since = manifest.rotation_due(at(0)).unwrap().duration_since(at(0)).unwrap();
        since.as_secs() as f64 / 86_400.0
    };
    let [days, quarterly, semi_annual, annual] =
        [Schedule::Days(90), Schedule::Quarterly, Schedule::SemiAnnual, Schedule::Annual].map(due);
    let eight_hours = 8.0 / 24.0;
    assert_eq!(days, 90.0 - eight_hours);
    assert_eq!(quarterly, 90.0 - eight_hours); // 15 April
    assert_eq!(semi_annual, 181.0 - eight_hours); // 15 July
    assert_eq!(annual, 365.0 - eight_hours);
    // A week early is in time; what is older is due on that date.
    for (early, ahead) in [(0, 90), (7, 97), (8, 8), (80, 80)] {
        let since = at(0) - early * DAY;
        let next = Schedule::Quarterly.next(since).unwrap() + DAY / 3;
        assert_eq!(next.duration_since(since).unwrap(), ahead * DAY, "{early} days early");
    }
    assert_eq!(first().rotation_due(at(0)), None);
}

#[test]
fn tokens_keep_their_algorithm_and_verify_tokens_their_numbers() {
    let key = NewEntry::generate(Purpose::Jwt).unwrap().algorithm("HS512");
    let manifest =
        Manifest::new("JWT", Purpose::Jwt, "test", Policy::default(), key, at(0)).unwrap();
    let again = Manifest::from_json(manifest.to_json().unwrap().expose()).unwrap();
    let jwt = dualkey::jwt::Jwt::new(ring_of::<JwtKey>(&again, at(0)));
    let token = jwt.sign(&json!({ "exp": 4_102_444_800_u64 })).unwrap();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(header.alg, jsonwebtoken::Algorithm::HS512);
    let error = Manifest::new(
        "JWT",
        Purpose::Jwt,
        "test",
        Policy::default(),
        entry(0, "a").algorithm("none"),
        at(0),
    );
    assert!(matches!(error, Err(Error::UnsupportedAlgorithm { .. })));

    let token = |text: &str| NewEntry::new(Secret::from(text));
    let manifest = Manifest::new(
        "TOKEN",
        Purpose::VerifyToken,
        "test",
        Policy::default(),
        token("hV3-dashboard-token"),
        at(0),
    );
    let manifest = manifest.unwrap().stage(token("hV4-dashboard-token"), at(0)).unwrap().manifest;
    let kids: Vec<_> = manifest.keys().iter().map(|key| key.kid().to_string()).collect();
    assert_eq!(kids, ["verify-token-1", "verify-token-2"]);
}

#[test]
fn a_ring_goes_from_one_manifest_to_the_next_and_never_back() {
    let clock = ManualClock::new(at(0));
    let one = first();
    let two = one.stage(entry(1, "b"), at(0)).unwrap().manifest;
    let three = two.force("").promote(&kid("b"), at(0)).unwrap().manifest;
    let builder = KeyRing::<CookieKey>::builder().environment("test").clock(clock.clone());
    let ring = one.build_ring(builder).unwrap();
    let signer = CookieSigner::new(ring.clone());
    let cookie = signer.sign("session", "user-42").unwrap();
    assert!(signer.verify("session", &cookie).is_ok());

    assert!(!one.apply_to(&ring).unwrap());
    assert!(three.apply_to(&ring).unwrap());
    assert_eq!((ring.primary().unwrap(), ring.fingerprint()), (kid("b"), three.fingerprint()));
    // Counters go on.
    assert_eq!(ring.keys()[0].usage.verified_as_primary, 1);
    let before = ring.fingerprint();
    assert!(matches!(two.apply_to(&ring), Err(Error::Older { held: 3, found: 2 })));
    let other = two.stage(entry(5, "e"), at(0)).unwrap().manifest;
    assert!(matches!(other.apply_to(&ring), Err(Error::TwoOfOneRevision { revision: 3 })));
    assert_eq!(ring.fingerprint(), before);
    assert_eq!(*signer.verify("session", &cookie).unwrap(), "user-42");
}

#[test]
fn v8_no_manifest_undoes_a_revocation_and_a_refused_one_still_hands_its_own_on() {
    let one = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let two = one.force("").promote(&kid("b"), at(0)).unwrap().manifest;
    let ring = ring_of::<CookieKey>(&two, at(0));
    let signer = CookieSigner::new(ring_of::<CookieKey>(&one, at(0)));
    let cookie = signer.sign("session", "user-42").unwrap();
    let signer = CookieSigner::new(ring.clone());
    assert!(signer.verify("session", &cookie).is_ok());
    let reason = || signer.verify("session", &cookie).unwrap_err().reason();

    // Revoked here: what a store says later does not know of it.
    ring.revoke(&kid("a"), "leaked").unwrap();
    assert_eq!(reason(), Reason::RevokedKey);
    let three = two.stage(entry(2, "c"), at(0)).unwrap().manifest;
    assert!(three.apply_to(&ring).unwrap());
    assert_eq!(reason(), Reason::RevokedKey);
    assert_ne!(ring.fingerprint(), three.fingerprint());

    // Revoked in a manifest that is refused, for another reason or because it is old.
    for revision in [1, 9] {
        let ring = ring_of::<CookieKey>(&two, at(0));
        let signer = CookieSigner::new(ring.clone());
        let text = two.revoke(&kid("a"), "leaked", at(0)).unwrap().manifest.to_json().unwrap();
        let mut document: Value = serde_json::from_slice(text.expose()).unwrap();
        document["revision"] = json!(revision);
        let mut short = document["keys"][1].clone();
        short["kid"] = json!("short");
        short["secret"] = json!("text:changeme");
        short["signing_start"] = json!("unscheduled");
        document["keys"].as_array_mut().unwrap().push(short);
        let refused = Manifest::from_json(document.to_string().as_bytes()).unwrap();
        assert!(refused.apply_to(&ring).is_err());
        let reason = signer.verify("session", &cookie).unwrap_err().reason();
        assert_eq!(reason, Reason::RevokedKey, "{revision}");
        assert_eq!(ring.primary().unwrap(), kid("b"));
    }
}

#[test]
fn an_emergency_reaches_an_instance_whose_clock_is_behind() {
    let manifest = first();
    let ring = ring_of::<CookieKey>(&manifest, at(0) - HOUR);
    let change = manifest.emergency_rotate(&kid("a"), "leaked", entry(1, "b"), at(10)).unwrap();
    change.manifest.apply_to(&ring).unwrap();
    assert_eq!(ring.primary().unwrap(), kid("b"));
}

#[test]
fn an_end_that_is_past_stays_when_the_policy_becomes_shorter() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = manifest.force("").promote(&kid("b"), at(10)).unwrap().manifest;
    let end = manifest.verifies_until(&kid("a")).unwrap();
    let mut shorter = *manifest.policy();
    shorter.max_lifetime = HOUR;
    let next = manifest.set_policy(shorter, end + HOUR / 60).unwrap();
    assert_eq!(next.verifies_until(&kid("a")), Some(end));
}

#[test]
fn a_key_that_expired_within_the_last_window_is_still_accepted_elsewhere_when_it_is_revoked() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let before = manifest.force("").promote(&kid("b"), at(10)).unwrap().manifest;
    let cut = before.force("leaked").retire(&kid("a"), at(100)).unwrap().manifest;
    assert_eq!(cut.state(&kid("a"), at(100)), Some(KeyState::Expired));

    // An instance that has not reloaded since.
    let ring = ring_of::<CookieKey>(&before, at(3999));
    let cookie = CookieSigner::new(ring_of(&first(), at(3999))).sign("session", "1").unwrap();
    assert!(CookieSigner::new(ring).verify("session", &cookie).is_ok());
    // By the longest rollout and skew each instance holds the end.
    for (now, is_accepted) in [(101, true), (3999, true), (4000, false)] {
        let change = cut.revoke(&kid("a"), "leaked", at(now)).unwrap();
        assert_eq!(change.effect.compromised_accepted, is_accepted, "{now}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Stage(Option<u64>),
    Promote(usize),
    ForcePromote(usize),
    Rollback,
    ForceRollback,
    Retire(usize),
    ForceRetire(usize),
    ForceRestage(usize),
    Revoke(usize),
    Emergency(usize),
    Destroy(usize),
    Policy(u64),
    Advance(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = || 0..6_usize;
    prop::collection::vec(
        prop_oneof![
            3 => prop::option::of(3600..20_000_u64).prop_map(Step::Stage),
            2 => place().prop_map(Step::Promote),
            2 => place().prop_map(Step::ForcePromote),
            1 => Just(Step::Rollback),
            1 => Just(Step::ForceRollback),
            2 => place().prop_map(Step::Retire),
            1 => place().prop_map(Step::ForceRetire),
            2 => place().prop_map(Step::ForceRestage),
            1 => place().prop_map(Step::Revoke),
            1 => place().prop_map(Step::Emergency),
            1 => place().prop_map(Step::Destroy),
            1 => (0..500_u64).prop_map(Step::Policy),
            4 => (0..400_000_u64).prop_map(Step::Advance),
        ],
        1..25,
    )
}

/// What `step` makes of `manifest`; `None`, if it is no step.
fn take_step(
    manifest: &Manifest,
    step: &Step,
    new: NewEntry,
    reports: &[Report],
    now: SystemTime,
) -> Option<Result<Manifest, Error>> {
    let place = |place: &usize| manifest.keys()[place % manifest.keys().len()].kid();
    let forced = manifest.force("a test");
    let change = match step {
        Step::Stage(None) => manifest.stage(new, now),
        Step::Stage(Some(ahead)) => {
            manifest.stage(new.signs_from(now + Duration::from_secs(*ahead)), now)
        }
        Step::Promote(index) => manifest.promote(&place(index), reports, now),
        Step::ForcePromote(index) => forced.promote(&place(index), now),
        Step::Rollback => manifest.rollback(reports, now),
        Step::ForceRollback => forced.rollback(now),
        Step::Retire(index) => manifest.retire(&place(index), reports, now),
        Step::ForceRetire(index) => forced.retire(&place(index), now),
        Step::ForceRestage(index) => forced.restage(&place(index), now),
        Step::Revoke(index) => manifest.revoke(&place(index), "a test", now),
        Step::Emergency(index) => manifest.emergency_rotate(&place(index), "a test", new, now),
        Step::Destroy(index) => manifest.destroy(&place(index), reports, now),
        Step::Policy(hours) => {
            let mut policy = *manifest.policy();
            policy.max_lifetime = Duration::from_secs(3600 * hours);
            return Some(manifest.set_policy(policy, now));
        }
        Step::Advance(_) => return None,
    };
    Some(change.map(|change| change.manifest))
}

proptest! {
    #![proptest_config(cases(100, 5_000))]

    /// A ring in memory and a manifest take the same steps: here each manifest is given to a
    /// ring, and both agree on every role; what is refused leaves both as they were; no
    /// revocation is undone, no overlap cut but by force, and no expired key live again but by
    /// `restage`.
    #[test]
    fn every_sequence_of_steps_leaves_a_document_that_a_ring_takes(steps in steps()) {
        let mut now = at(0);
        let mut manifest = first();
        let clock = ManualClock::new(now);
        let builder = KeyRing::<CookieKey>::builder().environment("test").clock(clock.clone());
        let ring = manifest.build_ring(builder).unwrap();
        let mut seed = 1;
        // Keys that a manifest showed as expired.
        let mut expired = HashSet::new();
        for step in &steps {
            if let Step::Advance(seconds) = step {
                now += Duration::from_secs(*seconds);
                clock.set(now);
            }
            let kids: Vec<_> = manifest.keys().iter().map(|key| key.kid()).collect();
            let is_expired = |kid: &Kid| manifest.state(kid, now) == Some(KeyState::Expired);
            expired.extend(kids.iter().copied().filter(is_expired));
            seed += 1;
            let new = entry(seed, &format!("k{seed}"));
            let text = manifest.to_json().unwrap();
            let Some(next) = take_step(&manifest, step, new, &[ring.report("one")], now) else {
                continue;
            };
            let Ok(next) = next else {
                let unchanged = manifest.to_json().unwrap();
                prop_assert_eq!(unchanged.expose(), text.expose());
                prop_assert!(!manifest.apply_to(&ring).unwrap(), "{:?} was refused", step);
                continue;
            };
            let read = Manifest::from_json(next.to_json().unwrap().expose()).unwrap();
            prop_assert_eq!(read.fingerprint(), next.fingerprint());
            let next = read;
            let on = |index: &usize| kids[index % kids.len()];
            let (ended, restaged) = match step {
                Step::Revoke(index) | Step::Emergency(index) | Step::ForceRetire(index) => {
                    (Some(on(index)), None)
                }
                Step::ForceRestage(index) => (None, Some(on(index))),
                _ => (None, None),
            };
            if let Some(kid) = restaged {
                expired.remove(&kid);
            }
            for kid in kids {
                let before = manifest.state(&kid, now).unwrap();
                let after = next.state(&kid, now).unwrap();
                let is_live = matches!(after, KeyState::Live(_));
                if before == KeyState::Revoked {
                    prop_assert_eq!(after, KeyState::Revoked);
                }
                let was_staged = before == KeyState::Live(Role::Staged);
                if matches!(before, KeyState::Live(_)) && ended != Some(kid) && !was_staged {
                    prop_assert!(is_live, "{:?} {:?}", step, kid);
                }
                prop_assert!(!(is_live && expired.contains(&kid)), "{:?} revives {}", step, kid);
                if expired.contains(&kid) {
                    prop_assert_eq!(next.verifies_until(&kid), manifest.verifies_until(&kid), "{:?}", step);
                }
                if let Step::Policy(_) = step {
                    prop_assert_eq!(before, after);
                }
            }
            next.apply_to(&ring).unwrap();
            prop_assert_eq!(ring.fingerprint(), next.fingerprint());
            prop_assert_eq!(ring.primary().unwrap(), next.primary(now));
            for status in ring.keys() {
                prop_assert_eq!(Some(status.state), next.state(&status.kid, now));
                prop_assert_eq!(status.verifies_until, next.verifies_until(&status.kid));
            }
            manifest = next;
        }
    }
}

/// A weak secret that is in use can sign until its rotation, if its manifest says so in a name that
/// says what it is; a ring takes it only if it permits that itself.
#[test]
fn a_secret_below_the_floor_needs_the_dangerous_setting_of_both() {
    let manifest = |policy: Policy| {
        let weak = NewEntry::new(Secret::from("tooshort-Zq9"));
        Manifest::new("JWT_SECRET", Purpose::Jwt, "test", policy, weak, at(0))
    };
    let mut policy = Policy::default();
    policy.min_secret_bytes = Some(12);
    assert!(matches!(manifest(policy), Err(Error::ShortSecret { minimum: 32, .. })));
    policy.dangerous_min_secret_bytes = Some(12);
    assert!(matches!(manifest(policy), Err(Error::PolicyBounds { .. })), "one of them");
    policy.min_secret_bytes = None;
    let weak = manifest(policy).unwrap();
    // What may be guessed has no kid and no fingerprint that would confirm a guess.
    assert_eq!(weak.primary(at(0)), kid("jwt-1"));
    let other = NewEntry::new(Secret::from("tooshort-Zq8"));
    let other = Manifest::new("JWT_SECRET", Purpose::Jwt, "test", policy, other, at(0)).unwrap();
    assert_eq!(weak.fingerprint(), other.fingerprint());

    let text = weak.to_json().unwrap();
    let again = Manifest::from_json(text.expose()).unwrap();
    assert_eq!(again.policy(), weak.policy());
    let long = NewEntry::new(Secret::from(secret(1)));
    let staged = again.stage(long, at(1)).unwrap();
    let rotated = staged.manifest.force("a test").promote(&staged.kid, at(2)).unwrap().manifest;
    assert_eq!(rotated.state(&kid("jwt-1"), at(2)), Some(KeyState::Live(Role::Fallback)));

    let builder = || KeyRing::<JwtKey>::builder().environment("test");
    assert!(matches!(weak.build_ring(builder()), Err(Error::ShortSecret { .. })));
    assert!(weak.build_ring(builder().min_secret_bytes(12)).is_err());
    assert!(weak.build_ring(builder().dangerous().min_secret_bytes(12)).is_ok());
    assert!(rotated.build_ring(builder()).is_err());
    assert!(rotated.build_ring(builder().allow_short_fallbacks()).is_ok());
}
