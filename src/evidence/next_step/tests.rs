//! The table of the next steps: for each, the facts that it follows from.

mod moments;
mod stalls;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::automatic::{AutomaticStep, automatic_step};
use super::facts::{Facts, Fleet, KeyFacts};
use super::next_step;
use super::step::{Deployment, Ground, NextStep, Removal, RewrapScope, Staged};
use crate::error::Obstacle;
use crate::evidence::Verdict;
use crate::evidence::old_key::is_retirable;
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::lifecycle::{KeyState, Policy, Role};
use crate::purpose::Purpose;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const FALLBACK: KeyState = KeyState::Live(Role::Fallback);
const STAGED: KeyState = KeyState::Live(Role::Staged);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn kid(text: &str) -> Kid {
    text.parse().unwrap()
}

fn other_keys() -> Obstacle {
    Obstacle::KeySetMismatch {
        instance: "web-2".to_owned(),
        fingerprint: Fingerprint::NONE,
        reported_at: now() - HOUR,
    }
}

/// A key in `state`, added ten days ago, and nothing else.
fn key(name: &str, state: KeyState) -> KeyFacts {
    KeyFacts {
        kid: kid(name),
        state,
        added_at: now() - DAY * 10,
        signs_from: None,
        verifies_until: None,
        is_retired: false,
        is_restaged: false,
        is_apart: false,
        verdict: None,
        expected: None,
        rewrap_from: None,
        overlap_end: None,
        after_withdrawal: Vec::new(),
    }
}

/// A ring whose instances agree, changed ten days ago.
fn facts(policy: &Policy, purpose: Purpose, keys: Vec<KeyFacts>) -> Facts<'_> {
    Facts {
        purpose,
        policy,
        changed_at: now() - DAY * 10,
        now: now(),
        keys,
        fleet: Fleet { is_reported: true, ..Fleet::default() },
        is_file: false,
        signing_since: Some(now() - DAY * 10),
        due: Some(now() + DAY),
        is_due: false,
    }
}

fn staged(is_one_of_several: bool) -> Staged {
    Staged { kid: kid("new"), is_one_of_several }
}

/// Compares the step of each case, under its name.
fn check(cases: Vec<(&str, Facts<'_>, NextStep)>) {
    for (name, facts, expected) in cases {
        assert_eq!(next_step(&facts), expected, "{name}");
    }
}

#[test]
fn the_schedule_counts_where_no_key_needs_a_step() {
    let policy = Policy::default();
    let with = |keys| facts(&policy, Purpose::Jwt, keys);
    let due = now() + DAY;
    let audit = facts(&policy, Purpose::Audit, vec![key("old", FALLBACK)]);
    let apart = KeyFacts { is_apart: true, ..key("old", FALLBACK) };
    check(vec![
        ("no schedule", Facts { due: None, ..with(Vec::new()) }, NextStep::Nothing),
        ("not due yet", with(Vec::new()), NextStep::Rotate { due }),
        ("an audit key is kept", audit, NextStep::Rotate { due }),
        (
            "another database",
            facts(&policy, Purpose::Credential, vec![apart]),
            NextStep::Rotate { due },
        ),
        (
            "an instance holds other keys",
            Facts {
                fleet: Fleet { objection: Some(other_keys()), ..Fleet::default() },
                ..with(Vec::new())
            },
            NextStep::AwaitReload { staged: None, obstacle: other_keys(), gone_at: None },
        ),
        (
            "due comes before an old key",
            Facts { is_due: true, ..with(vec![key("old", KeyState::Expired)]) },
            NextStep::Rotate { due },
        ),
    ]);
}

/// A rotation that finds no room is refused: the step of an old key makes room.
#[test]
fn a_rotation_that_is_due_waits_for_room() {
    let policy = Policy::default();
    let until = now() + HOUR;
    let old = |name: &str| KeyFacts {
        verifies_until: Some(until),
        verdict: Some(Verdict::Wait { until }),
        ..key(name, FALLBACK)
    };
    for (purpose, is_file, most) in [(Purpose::Jwt, false, 2), (Purpose::Jwt, true, 1)] {
        for count in [most, most + 1] {
            let keys = (0..count).map(|number| old(&format!("old-{number}"))).collect();
            let facts = Facts { is_due: true, is_file, ..facts(&policy, purpose, keys) };
            let step = next_step(&facts);
            assert_eq!(
                matches!(step, NextStep::Rotate { .. }),
                count == most,
                "{purpose} {count}: {step:?}"
            );
            let automatic = automatic_step(&facts);
            let expected = if count == most { AutomaticStep::Stage } else { AutomaticStep::Check };
            assert_eq!(automatic, Some(expected), "{purpose} {count}");
        }
    }
}

#[test]
fn a_clock_that_is_wrong_comes_first() {
    let policy = Policy::default();
    let ahead = |fleet| Facts {
        changed_at: now() + HOUR,
        fleet,
        ..facts(&policy, Purpose::Jwt, vec![key("new", STAGED)])
    };
    let contradicted = Fleet { is_clock_behind: true, ..Fleet::default() };
    check(vec![
        ("the reports agree with it", ahead(Fleet::default()), NextStep::RepairClock),
        ("the reports contradict it", ahead(contradicted.clone()), NextStep::SetClock),
        (
            "the reports contradict it, and the last change does not",
            Facts { changed_at: now() - DAY, ..ahead(contradicted.clone()) },
            NextStep::SetClock,
        ),
    ]);
    // An agent takes the step, which is refused, so that the refusal is reported.
    let promoted = Fleet { is_reported: true, ..contradicted };
    check_automatic(vec![(
        "the reports contradict it",
        ahead(promoted),
        Some(AutomaticStep::Promote { kid: kid("new") }),
    )]);
}

#[test]
fn a_staged_key_is_promoted_once_every_instance_holds_it() {
    let policy = Policy::default();
    let with = |fleet| Facts { fleet, ..facts(&policy, Purpose::Jwt, vec![key("new", STAGED)]) };
    let reported = || Fleet { is_reported: true, ..Fleet::default() };
    let gone_at = Some(now() + HOUR);
    let objection = Fleet { objection: Some(other_keys()), objections_end: gone_at, ..reported() };
    let promote = |several, deployment| NextStep::Promote { staged: staged(several), deployment };
    let two = vec![
        KeyFacts { signs_from: Some(now() + DAY), ..key("later", STAGED) },
        key("new", STAGED),
    ];
    check(vec![
        ("reported", with(reported()), promote(false, Deployment::Reported)),
        ("no report", with(Fleet::default()), promote(false, Deployment::Unreported)),
        (
            "an audit key needs no report",
            Facts { purpose: Purpose::Audit, ..with(Fleet::default()) },
            promote(false, Deployment::Reported),
        ),
        (
            "in a file",
            Facts { is_file: true, ..with(Fleet::default()) },
            promote(false, Deployment::File),
        ),
        (
            "an instance holds other keys",
            with(objection),
            NextStep::AwaitReload { staged: Some(staged(false)), obstacle: other_keys(), gone_at },
        ),
        (
            "the one without a date comes first",
            facts(&policy, Purpose::Jwt, two),
            promote(true, Deployment::Reported),
        ),
        (
            "a rotation that is due was started",
            Facts { is_due: true, ..with(reported()) },
            promote(false, Deployment::Reported),
        ),
    ]);
}

#[test]
fn a_scheduled_key_leaves_an_old_one_its_earlier_step() {
    let policy = Policy::default();
    let at = now() + DAY * 2;
    let scheduled = KeyFacts { signs_from: Some(at), ..key("new", STAGED) };
    let ends = |after| KeyFacts { verifies_until: Some(now() + after), ..key("old", FALLBACK) };
    let with = |old| facts(&policy, Purpose::Jwt, vec![scheduled.clone(), old]);
    let objection = Some(other_keys());
    check(vec![
        (
            "the old key ends later",
            with(ends(DAY * 3)),
            NextStep::AwaitStart { kid: kid("new"), at, obstacle: None },
        ),
        (
            "the old key ends before",
            with(ends(DAY)),
            NextStep::Retire { kid: kid("old"), from: Some(now() + DAY), because: None },
        ),
        (
            "an instance must reload before",
            Facts {
                fleet: Fleet { objection: objection.clone(), ..Fleet::default() },
                ..with(ends(DAY))
            },
            NextStep::AwaitStart { kid: kid("new"), at, obstacle: objection },
        ),
    ]);
}

#[test]
fn an_old_key_is_retired_and_destroyed_at_its_moment() {
    let policy = Policy::default();
    let (kid, until) = (kid("old"), now() + DAY);
    let with = |purpose, key| facts(&policy, purpose, vec![key]);
    let fallback = || KeyFacts { verifies_until: Some(until), ..key("old", FALLBACK) };
    let too_little =
        Obstacle::TooLittleTraffic { seen: 7, enough: 1000, from: Some(now() + DAY * 3) };
    let wait = Some(Verdict::Wait { until });
    check(vec![
        (
            "a retired one ends later",
            with(Purpose::Jwt, KeyFacts { is_retired: true, ..fallback() }),
            NextStep::Destroy {
                kid,
                from: Some(until),
                because: None,
                verifies_until: Some(until),
            },
        ),
        (
            "an expired one",
            with(
                Purpose::Jwt,
                KeyFacts { verifies_until: Some(now() - DAY), ..key("old", KeyState::Expired) },
            ),
            NextStep::Destroy { kid, from: None, because: None, verifies_until: None },
        ),
        (
            "the traffic that is expected moves the moment",
            with(
                Purpose::Webhook,
                KeyFacts {
                    verdict: wait.clone(),
                    expected: Some(too_little.clone()),
                    ..fallback()
                },
            ),
            NextStep::Retire { kid, from: Some(until), because: Some(too_little.clone()) },
        ),
        (
            "the same of a key without an end",
            with(
                Purpose::Credential,
                KeyFacts {
                    verdict: wait,
                    expected: Some(too_little.clone()),
                    ..key("old", FALLBACK)
                },
            ),
            NextStep::Retire { kid, from: Some(now() + DAY * 3), because: Some(too_little) },
        ),
        (
            "it is safe",
            with(
                Purpose::Credential,
                KeyFacts { verdict: Some(Verdict::Safe), ..key("old", FALLBACK) },
            ),
            NextStep::Retire { kid, from: None, because: None },
        ),
    ]);
}

#[test]
fn force_is_a_step_only_where_nothing_contradicts_it() {
    let policy = Policy::default();
    let kid = kid("old");
    let blocked = |obstacles: Vec<Obstacle>| KeyFacts {
        verdict: Some(Verdict::Blocked(obstacles)),
        ..key("old", FALLBACK)
    };
    let with = |obstacles| facts(&policy, Purpose::Credential, vec![blocked(obstacles)]);
    let force = |removal, ground, from| NextStep::Force {
        kid,
        removal,
        ground,
        from,
        obstacle: Obstacle::NoInstance,
    };
    let used = Obstacle::UsedAsFallback { last: now() - HOUR };
    let young = KeyFacts { added_at: now(), ..blocked(vec![Obstacle::NoInstance]) };
    let retired = KeyFacts { is_retired: true, ..blocked(vec![Obstacle::NoInstance]) };
    let overlap_end = now().checked_add(policy.overlap());
    check(vec![
        (
            "no instance reports",
            with(vec![Obstacle::NoInstance]),
            force(Removal::Retire, Ground::OverlapOver, None),
        ),
        (
            "its overlap is not over",
            facts(&policy, Purpose::Credential, vec![young]),
            force(Removal::Retire, Ground::OverlapOver, overlap_end),
        ),
        (
            "it is retired",
            facts(&policy, Purpose::Credential, vec![retired]),
            force(Removal::Destroy, Ground::OverlapOver, None),
        ),
        (
            "it is in use",
            with(vec![Obstacle::NoInstance, used.clone()]),
            NextStep::Keep { kid, obstacle: used, gone_at: None },
        ),
    ]);
    let Obstacle::KeySetMismatch { reported_at, .. } = other_keys() else { unreachable!() };
    let NextStep::Keep { obstacle, gone_at, .. } = next_step(&with(vec![other_keys()])) else {
        panic!("an instance that holds other keys is waited for");
    };
    assert_eq!(obstacle, other_keys());
    assert!(gone_at > Some(reported_at));
}

#[test]
fn rows_under_an_encryption_key_are_rewrapped_before_it_goes() {
    let policy = Policy::default();
    let kid = kid("old");
    let blocked = |state, obstacle: Obstacle| KeyFacts {
        verdict: Some(Verdict::Blocked(vec![obstacle])),
        ..key("old", state)
    };
    let with = |key| facts(&policy, Purpose::Envelope, vec![key]);
    let rewrap = |scope, obstacle| NextStep::Rewrap { kid, scope, from: None, obstacle };
    let rows = || Obstacle::RowsLeft { rows: 3 };
    let restaged = |obstacles| KeyFacts {
        is_restaged: true,
        after_withdrawal: obstacles,
        ..key("old", STAGED)
    };
    check(vec![
        (
            "no rewrap is recorded",
            with(blocked(FALLBACK, Obstacle::NotRewrapped)),
            rewrap(RewrapScope::Old, Obstacle::NotRewrapped),
        ),
        (
            "it has expired, and rows need it",
            with(blocked(KeyState::Expired, rows())),
            NextStep::Restage { kid, obstacle: rows() },
        ),
        ("it is restaged", with(restaged(vec![rows()])), rewrap(RewrapScope::All, rows())),
        (
            "it is restaged, and no row needs it",
            with(restaged(Vec::new())),
            NextStep::Withdraw { kid },
        ),
        (
            "it was revoked",
            with(blocked(KeyState::Revoked, rows())),
            rewrap(RewrapScope::Revoked, rows()),
        ),
        (
            "an expired key with rows stalls what is due",
            Facts { is_due: true, ..with(blocked(KeyState::Expired, rows())) },
            NextStep::Restage { kid, obstacle: rows() },
        ),
    ]);
}

#[test]
fn a_key_is_taken_out_of_its_file() {
    let policy = Policy::default();
    let kid = kid("old");
    let with = |purpose, key| Facts { is_file: true, ..facts(&policy, purpose, vec![key]) };
    let out = |from, forced| NextStep::TakeOutOfFile { kid, from, forced };
    let later = Some(now() + DAY);
    check(vec![
        ("it has expired", with(Purpose::Jwt, key("old", KeyState::Expired)), out(None, None)),
        (
            "it ends later",
            with(Purpose::Jwt, KeyFacts { verifies_until: later, ..key("old", FALLBACK) }),
            out(later, None),
        ),
        (
            "it has no end",
            with(Purpose::Credential, KeyFacts { overlap_end: later, ..key("old", FALLBACK) }),
            out(later, Some(Ground::OverlapOver)),
        ),
        (
            "it has sealed rows",
            with(Purpose::Envelope, KeyFacts { rewrap_from: later, ..key("old", FALLBACK) }),
            out(later, Some(Ground::Rewrapped)),
        ),
        (
            "a revoked one stays",
            with(Purpose::Jwt, key("old", KeyState::Revoked)),
            NextStep::Rotate { due: now() + DAY },
        ),
    ]);
}

/// Compares the automatic step of each case, under its name.
fn check_automatic(cases: Vec<(&str, Facts<'_>, Option<AutomaticStep>)>) {
    for (name, facts, expected) in cases {
        assert_eq!(automatic_step(&facts), expected, "{name}");
    }
}

#[test]
fn an_agent_promotes_what_every_instance_holds_and_stages_what_is_due() {
    let policy = Policy::default();
    let due = |keys| Facts { is_due: true, ..facts(&policy, Purpose::Jwt, keys) };
    let with = |fleet| Facts { fleet, ..due(vec![key("new", STAGED)]) };
    let objection = || Fleet { objection: Some(other_keys()), ..Fleet::default() };
    let promote = Some(AutomaticStep::Promote { kid: kid("new") });
    let scheduled = KeyFacts { signs_from: Some(now() + DAY), ..key("new", STAGED) };
    let restaged = || KeyFacts { is_restaged: true, ..key("restaged", STAGED) };
    let is_reported = Fleet { is_reported: true, ..Fleet::default() };
    check_automatic(vec![
        ("every instance holds it", with(is_reported), promote),
        ("no instance reports", with(Fleet::default()), None),
        ("an instance holds other keys", with(objection()), None),
        ("in a file", Facts { is_file: true, ..with(Fleet::default()) }, None),
        ("it signs at a moment", due(vec![scheduled]), None),
        ("it was restaged", due(vec![restaged()]), None),
        ("beside a restaged key", due(vec![restaged(), key("new", STAGED)]), promote),
        ("due", due(Vec::new()), Some(AutomaticStep::Stage)),
        ("not due", facts(&policy, Purpose::Jwt, Vec::new()), None),
        (
            "due, and an instance holds other keys",
            Facts { fleet: objection(), ..due(Vec::new()) },
            Some(AutomaticStep::Check),
        ),
        (
            "not due, and an instance holds other keys",
            Facts { fleet: objection(), is_due: false, ..due(Vec::new()) },
            None,
        ),
        (
            "the clock is behind, which the step reports",
            Facts { changed_at: now() + HOUR, ..due(Vec::new()) },
            Some(AutomaticStep::Stage),
        ),
        (
            "the clock is behind, and nothing is due",
            Facts { changed_at: now() + HOUR, is_due: false, ..due(Vec::new()) },
            None,
        ),
    ]);
}

#[test]
fn an_agent_retires_what_is_safe_and_destroys_nothing() {
    let policy = Policy::default();
    let with = |keys| facts(&policy, Purpose::Jwt, keys);
    let of = |purpose, key| facts(&policy, purpose, vec![key]);
    let retire = |name| Some(AutomaticStep::Retire { kid: kid(name) });
    let expired = |name| key(name, KeyState::Expired);
    let recorded = || KeyFacts { is_retired: true, ..expired("recorded") };
    let verdict = |verdict| KeyFacts { verdict: Some(verdict), ..key("old", FALLBACK) };
    let forced = || verdict(Verdict::Blocked(vec![Obstacle::NoInstance]));
    let used =
        Verdict::Blocked(vec![Obstacle::NoInstance, Obstacle::UsedAsFallback { last: now() }]);
    let ends = KeyFacts { verifies_until: Some(now() + DAY), ..key("old", FALLBACK) };
    let restaged = KeyFacts { is_restaged: true, ..key("restaged", STAGED) };
    let due = |keys| Facts { is_due: true, ..with(keys) };
    // The primary signs for longer than two overlaps.
    let stalled = Facts { signing_since: Some(now() - DAY * 90), ..due(vec![forced()]) };
    check_automatic(vec![
        ("it is safe", with(vec![verdict(Verdict::Safe)]), retire("old")),
        ("it ends later", with(vec![ends]), None),
        ("it waits", with(vec![verdict(Verdict::Wait { until: now() + DAY })]), None),
        ("only force retires it", with(vec![forced()]), None),
        ("it is in use", with(vec![verdict(used)]), None),
        ("its end is to be recorded", with(vec![expired("old")]), retire("old")),
        ("its end is recorded", with(vec![recorded()]), None),
        ("a destruction hides no other", with(vec![recorded(), expired("old")]), retire("old")),
        ("force hides no other", with(vec![forced(), expired("next")]), retire("next")),
        ("while one is restaged", with(vec![restaged, expired("old")]), None),
        ("before the next key is staged", due(vec![expired("old")]), retire("old")),
        ("it delays no key", due(vec![recorded()]), Some(AutomaticStep::Stage)),
        ("one that stalls delays the next key", stalled, None),
        (
            "an operator retires an encryption key",
            of(Purpose::Envelope, verdict(Verdict::Safe)),
            None,
        ),
        ("an audit key is kept", of(Purpose::Audit, verdict(Verdict::Safe)), None),
        ("a file", Facts { is_file: true, ..with(vec![expired("old")]) }, None),
    ]);
}

#[test]
fn a_retirement_may_be_asked_for_of_an_old_key_until_its_end_is_recorded() {
    for (state, is_retired, is_file, expected) in [
        (FALLBACK, false, false, true),
        (FALLBACK, true, true, true),
        (KeyState::Expired, false, false, true),
        (KeyState::Expired, true, false, false),
        (KeyState::Expired, true, true, true),
        (STAGED, false, true, false),
        (KeyState::Live(Role::Primary), false, true, false),
        (KeyState::Revoked, false, true, false),
        (KeyState::Destroyed, false, true, false),
    ] {
        let found = is_retirable(state, is_retired, is_file);
        assert_eq!(found, expected, "{state:?}, recorded: {is_retired}, in a file: {is_file}");
    }
}
