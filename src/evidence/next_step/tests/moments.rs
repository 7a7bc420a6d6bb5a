//! The moments that the steps of old keys name: a moment that has come is now.

use super::*;
use crate::evidence::reports::end_of;

const SECOND: Duration = Duration::from_secs(1);

fn blocked(state: KeyState, obstacles: Vec<Obstacle>) -> KeyFacts {
    KeyFacts { verdict: Some(Verdict::Blocked(obstacles)), ..key("old", state) }
}

fn too_early() -> Obstacle {
    Obstacle::RewrapTooEarly { started_at: now() - DAY, not_before: now() + HOUR }
}

#[test]
fn a_moment_that_has_come_is_now() {
    let (policy, kid) = (Policy::default(), kid("old"));
    let with = |purpose, key| facts(&policy, purpose, vec![key]);
    let ends_now = || KeyFacts { verifies_until: Some(now()), ..key("old", FALLBACK) };
    let rewrap_from =
        |from| KeyFacts { rewrap_from: from, ..blocked(FALLBACK, vec![Obstacle::NotRewrapped]) };
    let restaged = |from| KeyFacts {
        is_restaged: true,
        rewrap_from: from,
        after_withdrawal: vec![Obstacle::NotRewrapped],
        ..key("old", STAGED)
    };
    let rewrap = |scope, from| {
        let obstacle = Obstacle::NotRewrapped;
        NextStep::Rewrap { kid, scope, from, obstacle }
    };
    let later = Some(now() + HOUR);
    let forced = KeyFacts {
        is_retired: true,
        verifies_until: Some(now()),
        ..blocked(FALLBACK, vec![Obstacle::NoInstance])
    };
    check(vec![
        (
            "its end is now",
            with(Purpose::Jwt, ends_now()),
            NextStep::Retire { kid, from: None, because: None },
        ),
        (
            "in a file",
            Facts { is_file: true, ..with(Purpose::Jwt, ends_now()) },
            NextStep::TakeOutOfFile { kid, from: None, forced: None },
        ),
        (
            "a rewrap counts later",
            with(Purpose::Envelope, rewrap_from(later)),
            rewrap(RewrapScope::Old, later),
        ),
        (
            "a rewrap counts from now on",
            with(Purpose::Envelope, rewrap_from(Some(now()))),
            rewrap(RewrapScope::Old, None),
        ),
        (
            "a rewrap has counted for an hour",
            with(Purpose::Envelope, rewrap_from(Some(now() - HOUR))),
            rewrap(RewrapScope::Old, None),
        ),
        (
            "of a restaged key, later",
            with(Purpose::Envelope, restaged(later)),
            rewrap(RewrapScope::All, later),
        ),
        (
            "of a restaged key, now",
            with(Purpose::Envelope, restaged(Some(now()))),
            rewrap(RewrapScope::All, None),
        ),
        (
            "of a restaged key, for an hour",
            with(Purpose::Envelope, restaged(Some(now() - HOUR))),
            rewrap(RewrapScope::All, None),
        ),
        (
            "by force",
            with(Purpose::Credential, forced),
            NextStep::Force {
                kid,
                removal: Removal::Destroy,
                ground: Ground::OverlapOver,
                from: None,
                obstacle: Obstacle::NoInstance,
            },
        ),
    ]);
}

/// A step at the moment of the start is not taken before it.
#[test]
fn an_old_key_that_ends_when_the_staged_one_starts_waits_for_it() {
    let (policy, at) = (Policy::default(), now() + DAY);
    let keys = vec![
        KeyFacts { signs_from: Some(at), ..key("new", STAGED) },
        KeyFacts { verifies_until: Some(at), ..key("old", FALLBACK) },
    ];
    let step = NextStep::AwaitStart { kid: kid("new"), at, obstacle: None };
    assert_eq!(next_step(&facts(&policy, Purpose::Jwt, keys)), step);
}

#[test]
fn what_blocks_a_key_for_a_while_names_when_it_is_over() {
    let (policy, kid) = (Policy::default(), kid("old"));
    let with = |purpose, key| facts(&policy, purpose, vec![key]);
    let (until, last) = (now() + HOUR, now() - HOUR);
    let used = || Obstacle::UsedAsFallback { last };
    let reported_at = now() - HOUR;
    let retired = |obstacle, verifies_until| KeyFacts {
        is_retired: true,
        verifies_until: Some(verifies_until),
        ..blocked(FALLBACK, vec![obstacle])
    };
    check(vec![
        (
            "a use",
            with(Purpose::Credential, blocked(FALLBACK, vec![used()])),
            NextStep::Retire {
                kid,
                from: Some(last + policy.observation_window + SECOND),
                because: Some(used()),
            },
        ),
        (
            "an instance that holds other keys, and the time",
            with(
                Purpose::Credential,
                blocked(FALLBACK, vec![other_keys(), Obstacle::TooEarly { until }]),
            ),
            NextStep::Retire {
                kid,
                from: end_of(reported_at, &policy),
                because: Some(other_keys()),
            },
        ),
        (
            "a rewrap that started too early",
            with(Purpose::Envelope, blocked(FALLBACK, vec![too_early()])),
            NextStep::Rewrap {
                kid,
                scope: RewrapScope::Old,
                from: Some(until),
                obstacle: too_early(),
            },
        ),
        (
            "the end of a retired key, by force",
            with(Purpose::Credential, retired(Obstacle::NoInstance, until)),
            NextStep::Force {
                kid,
                removal: Removal::Destroy,
                ground: Ground::OverlapOver,
                from: Some(until),
                obstacle: Obstacle::NoInstance,
            },
        ),
    ]);
}

#[test]
fn the_state_of_an_old_key_decides_before_its_evidence() {
    let (policy, kid) = (Policy::default(), kid("old"));
    let with = |purpose, key| facts(&policy, purpose, vec![key]);
    let until = now() + DAY;
    let retired = KeyFacts {
        is_retired: true,
        verifies_until: Some(until),
        verdict: Some(Verdict::Safe),
        ..key("old", FALLBACK)
    };
    check(vec![
        (
            "an encryption key that is retired is destroyed",
            with(Purpose::Envelope, retired),
            NextStep::Destroy {
                kid,
                from: Some(until),
                because: None,
                verifies_until: Some(until),
            },
        ),
        (
            "an expired key needs no evidence",
            with(Purpose::Jwt, blocked(KeyState::Expired, vec![Obstacle::NoInstance])),
            NextStep::Destroy { kid, from: None, because: None, verifies_until: None },
        ),
        (
            "an expired key that no row is known to need is rewrapped, not restaged",
            with(Purpose::Envelope, blocked(KeyState::Expired, vec![Obstacle::NotRewrapped])),
            NextStep::Rewrap {
                kid,
                scope: RewrapScope::Old,
                from: None,
                obstacle: Obstacle::NotRewrapped,
            },
        ),
        (
            "a revoked key of tokens needs no step",
            with(Purpose::Jwt, blocked(KeyState::Revoked, vec![Obstacle::NoInstance])),
            NextStep::Rotate { due: now() + DAY },
        ),
    ]);
    // Its end is recorded already.
    let ended = KeyFacts { is_retired: true, verifies_until: Some(now()), ..key("old", FALLBACK) };
    assert_eq!(automatic_step(&with(Purpose::Jwt, ended)), None);
}

/// The first rewrap may be too early for the destruction of the key, and rescues rows all the same. One
/// that started after the revocation has rescued what it could.
#[test]
fn rows_under_a_revoked_key_are_rewrapped_at_once_and_again_when_it_counts() {
    let (policy, kid) = (Policy::default(), kid("old"));
    let not_before = now() + HOUR;
    let revoked_at = not_before - policy.window();
    for (started_at, from) in [
        (revoked_at - SECOND, None),
        (revoked_at, Some(not_before)),
        (revoked_at + SECOND, Some(not_before)),
    ] {
        let obstacle = Obstacle::RewrapTooEarly { started_at, not_before };
        let key = blocked(KeyState::Revoked, vec![obstacle.clone()]);
        let step = NextStep::Rewrap { kid, scope: RewrapScope::Revoked, from, obstacle };
        assert_eq!(next_step(&facts(&policy, Purpose::Envelope, vec![key])), step);
    }
}

/// Both steps can be taken now, and rows that no key opens wait for one of them.
#[test]
fn rows_that_no_key_opens_come_before_a_key_that_nothing_needs() {
    let policy = Policy::default();
    let rows = Obstacle::RowsLeft { rows: 3 };
    let idle = KeyFacts { verdict: Some(Verdict::Safe), ..key("idle", KeyState::Expired) };
    let restaged = KeyFacts {
        is_restaged: true,
        after_withdrawal: vec![rows.clone()],
        ..key("rescue", STAGED)
    };
    let step = NextStep::Rewrap {
        kid: kid("rescue"),
        scope: RewrapScope::All,
        from: None,
        obstacle: rows,
    };
    for keys in [vec![idle.clone(), restaged.clone()], vec![restaged, idle]] {
        assert_eq!(next_step(&facts(&policy, Purpose::Envelope, keys)), step);
    }
}
