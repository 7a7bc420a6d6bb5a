//! Whether a rotation is under way, and whether it has stopped.

use super::super::stall::{Stall, is_underway, stalls};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_rotation_is_under_way_while_a_key_needs_a_step() {
    let policy = Policy::default();
    let with = |keys| facts(&policy, Purpose::Jwt, keys);
    let in_file = |keys| Facts { is_file: true, ..with(keys) };
    let objection = || Fleet { objection: Some(other_keys()), ..Fleet::default() };
    let expired = || key("old", KeyState::Expired);
    let apart = KeyFacts { is_apart: true, ..key("old", FALLBACK) };
    let restaged = KeyFacts { is_restaged: true, ..key("old", STAGED) };
    for (name, facts, expected) in [
        ("no other key", with(Vec::new()), false),
        ("a staged key", with(vec![key("new", STAGED)]), true),
        ("a fallback", with(vec![key("old", FALLBACK)]), true),
        ("a fallback of another database", with(vec![apart]), false),
        ("a restaged key", with(vec![restaged]), true),
        ("an expired key", with(vec![expired()]), false),
        ("an expired key in a file", in_file(vec![expired()]), true),
        ("a revoked key in a file", in_file(vec![key("old", KeyState::Revoked)]), false),
        ("an instance holds other keys", Facts { fleet: objection(), ..with(Vec::new()) }, true),
        (
            "an instance holds other keys, beside a key that only waits for its destruction",
            Facts { fleet: objection(), ..with(vec![expired()]) },
            false,
        ),
    ] {
        assert_eq!(is_underway(&facts), expected, "{name}");
    }
}

#[test]
fn rows_may_be_under_a_restaged_key_and_under_a_revoked_one_that_is_blocked() {
    let blocked = || Some(Verdict::Blocked(vec![Obstacle::RowsLeft { rows: 3 }]));
    let of = |state, verdict| KeyFacts { verdict, ..key("old", state) };
    assert!(KeyFacts { is_restaged: true, ..key("old", STAGED) }.is_rescue());
    assert!(of(KeyState::Revoked, blocked()).is_rescue());
    assert!(!of(KeyState::Revoked, Some(Verdict::Safe)).is_rescue());
    assert!(!of(KeyState::Expired, blocked()).is_rescue());
}

/// A day is the least, however short the rollout window is.
#[test]
fn a_staged_key_stalls_after_a_day_and_a_scheduled_one_when_it_is_near_and_not_deployed() {
    let policy = Policy::default();
    let with = |key| facts(&policy, Purpose::Jwt, vec![key]);
    let added = |age| with(KeyFacts { added_at: now() - age, ..key("new", STAGED) });
    let kid = kid("new");
    assert_eq!(stalls(&added(HOUR * 20)), []);
    assert_eq!(stalls(&added(DAY)), []);
    assert_eq!(stalls(&added(DAY + SECOND)), [Stall::NotPromoted { kid }]);

    let objection = || Fleet { objection: Some(other_keys()), ..Fleet::default() };
    let signs_in = |left| Facts {
        fleet: objection(),
        ..with(KeyFacts { signs_from: Some(now() + left), ..key("new", STAGED) })
    };
    let not_deployed = || Stall::NotDeployed { kid, obstacle: other_keys() };
    assert_eq!(stalls(&signs_in(policy.window() * 2)), []);
    assert_eq!(stalls(&signs_in(policy.window())), []);
    assert_eq!(stalls(&signs_in(policy.window() - SECOND)), [not_deployed()]);
    assert_eq!(stalls(&signs_in(HOUR)), [not_deployed()]);
}

#[test]
fn an_expired_key_stalls_in_its_file_and_where_rows_need_it() {
    let policy = Policy::default();
    let in_file = |key| Facts { is_file: true, ..facts(&policy, Purpose::Jwt, vec![key]) };
    let kid = kid("old");
    let ended =
        |ago| KeyFacts { verifies_until: Some(now() - ago), ..key("old", KeyState::Expired) };
    let left = Stall::LeftInFile { kid };
    assert_eq!(stalls(&in_file(key("old", KeyState::Expired))), std::slice::from_ref(&left));
    assert_eq!(stalls(&in_file(ended(DAY * 2))), [left]);
    assert_eq!(stalls(&in_file(ended(HOUR))), []);
    assert_eq!(stalls(&in_file(key("old", FALLBACK))), []);

    let sealed = |state, obstacle| {
        let verdict = Some(Verdict::Blocked(vec![obstacle]));
        let facts =
            facts(&policy, Purpose::Envelope, vec![KeyFacts { verdict, ..key("old", state) }]);
        Facts { signing_since: Some(now()), ..facts }
    };
    let rows = || Obstacle::RowsLeft { rows: 3 };
    let step = NextStep::Restage { kid, obstacle: rows() };
    assert_eq!(stalls(&sealed(KeyState::Expired, rows())), [Stall::NeededByRows { kid, step }]);
    assert_eq!(stalls(&sealed(KeyState::Expired, Obstacle::NotRewrapped)), []);
    assert_eq!(stalls(&sealed(FALLBACK, rows())), []);
}
