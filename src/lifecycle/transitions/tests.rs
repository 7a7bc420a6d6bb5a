use std::time::UNIX_EPOCH;

use super::*;
use crate::lifecycle::Policy;
use crate::lifecycle::terms::EarlierWindow;
use crate::purpose::Purpose;

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> SystemTime {
    UNIX_EPOCH + HOUR * 10_000
}

fn signer(kid: &str, from: SystemTime, sequence: u64) -> Life {
    let life = Life::new(kid.parse().unwrap(), UNIX_EPOCH);
    Life { signing_start: SigningStart::From(from), sequence, ..life }
}

fn staged(kid: &str) -> Life {
    Life::new(kid.parse().unwrap(), UNIX_EPOCH)
}

fn policy() -> Policy {
    Policy { max_lifetime: HOUR * 24, skew: Duration::ZERO, ..Policy::default() }
}

fn kid(kid: &str) -> Kid {
    kid.parse().unwrap()
}

/// Takes a step on a ring, and returns its keys after the step, or `None` if nothing changed.
fn after(lives: &[Life], terms: &Terms, step: impl Fn(&mut Steps<'_>)) -> Option<Vec<Life>> {
    let timeline = Timeline::new_unchecked(lives, now(), terms);
    let mut steps = Steps::new(lives.to_vec(), &timeline, terms, now());
    step(&mut steps);
    steps.finish()
}

type Step<'a> = &'a dyn Fn(&mut Steps<'_>);

#[test]
fn a_step_keeps_each_key_that_may_sign_for_an_earlier_window() {
    let (now, policy) = (now(), policy());
    let longer = EarlierWindow { length: policy.window() + HOUR * 2, until: now + HOUR };
    let terms = Terms { earlier_window: Some(longer), ..Terms::new(Purpose::Jwt, policy) };
    let kept = now + policy.overlap() + HOUR * 2;
    let old = || signer("old", UNIX_EPOCH, 1);
    let promote = |steps: &mut Steps<'_>| drop(steps.promote(&kid("new"), false));
    let withdraw = |steps: &mut Steps<'_>| drop(steps.retire(&kid("new"), None));
    let stage = |steps: &mut Steps<'_>| drop(steps.stage(staged("next"), None));
    let revoke = |steps: &mut Steps<'_>| drop(steps.revoke(&kid("old"), "leaked"));
    let (all, primary, none) = ([Some(kept); 2], [Some(kept), None], [None, Some(kept)]);
    for (case, new, step, expected) in [
        ("the former primary and the new one", staged("new"), &promote as Step<'_>, all),
        ("a start that is taken back", signer("new", now + HOUR, 2), &withdraw, all),
        ("no key that is only staged", staged("new"), &stage, primary),
        ("a key that was superseded now", signer("new", now, 2), &stage, all),
        ("no key that was superseded", signer("new", now - HOUR, 2), &stage, none),
        ("a key that is revoked", signer("new", now + HOUR, 2), &revoke, all),
    ] {
        let lives = after(&[old(), new], &terms, step).expect("the step changes the ring");
        assert_eq!([lives[0].kept_until, lives[1].kept_until], expected, "{case}");
    }
}

#[test]
fn an_end_that_moves_to_later_is_remembered_until_every_instance_holds_the_step() {
    let (now, second) = (now(), Duration::from_secs(1));
    let terms = Terms::new(Purpose::Jwt, policy());
    let window = policy().window();
    let longer = Policy { max_lifetime: HOUR * 30, ..policy() };
    let promote = |steps: &mut Steps<'_>| drop(steps.promote(&kid("old"), true));
    let prolong = |steps: &mut Steps<'_>| steps.set_policy(longer);
    let stage = |steps: &mut Steps<'_>| drop(steps.stage(staged("next"), None));
    let cut = |steps: &mut Steps<'_>| drop(steps.cut(&kid("old")));
    for (case, end, step, is_remembered) in [
        ("gone", now + window * 2 - second, &promote as Step<'_>, true),
        // By then every instance holds the step.
        ("gone, and far", now + window * 2, &promote, false),
        ("later", now + window, &prolong, true),
        ("the same", now + window, &stage, false),
        ("earlier", now + window, &cut, false),
    ] {
        let old = Life { retire_at: Some(end), ..signer("old", UNIX_EPOCH, 1) };
        let lives = after(&[old, signer("new", now - HOUR, 2)], &terms, step).unwrap();
        let expected = is_remembered.then_some(EarlierEnd { at: end, until: now + window });
        assert_eq!(lives[0].earlier_end, expected, "{case}");
    }
    // A key that has ended is ended on every instance, whatever the step.
    let old = Life { retire_at: Some(now), ..signer("old", UNIX_EPOCH, 1) };
    let restage = |steps: &mut Steps<'_>| drop(steps.restage(&kid("old")));
    let lives = after(&[old, signer("new", now - HOUR, 2)], &terms, restage).unwrap();
    assert_eq!((lives[0].retire_at, lives[0].earlier_end), (None, None));
}

#[test]
fn retiring_an_expired_key_records_its_end_once() {
    let terms = Terms::new(Purpose::Jwt, policy());
    let superseded_at = now() - policy().overlap() - HOUR;
    let end = now() - HOUR;
    let retire = |steps: &mut Steps<'_>| {
        assert_eq!(steps.retire(&kid("old"), None).unwrap(), Some(end));
    };
    let lives = [signer("old", UNIX_EPOCH, 1), signer("new", superseded_at, 2)];
    let lives = after(&lives, &terms, retire).expect("the end was not recorded before");
    assert_eq!(lives[0].retire_at, Some(end));
    assert_eq!(after(&lives, &terms, retire), None);
}

#[test]
fn a_retired_key_of_unknown_past_has_its_overlap_unless_a_rewrap_replaces_it() {
    let (now, overlap) = (now(), policy().overlap());
    let (recent, long_ago) = (now - HOUR, now - overlap - HOUR);
    let full = recent + overlap;
    for (purpose, added_at, until, expected) in [
        (Purpose::Jwt, recent, None, full),
        (Purpose::Jwt, recent, Some(full + HOUR), full + HOUR),
        // No end lies before the step.
        (Purpose::Jwt, long_ago, None, now),
        (Purpose::Credential, recent, Some(now + HOUR), full),
        (Purpose::Envelope, recent, None, now),
        (Purpose::Envelope, recent, Some(now + HOUR), now + HOUR),
    ] {
        let old = Life { signing_start: SigningStart::Never, added_at, ..staged("old") };
        let retire = |steps: &mut Steps<'_>| {
            assert_eq!(steps.retire(&kid("old"), until).unwrap(), Some(expected), "{purpose:?}");
        };
        let lives = [old, signer("new", now - HOUR * 2, 1)];
        let lives = after(&lives, &Terms::new(purpose, policy()), retire).unwrap();
        assert_eq!(lives[0].retire_at, Some(expected), "{purpose:?}");
    }
}

#[test]
fn a_key_that_was_restaged_after_a_forced_end_is_kept_for_what_it_signed() {
    let (now, second) = (now(), Duration::from_secs(1));
    let overlap = policy().overlap();
    let cut = |steps: &mut Steps<'_>| drop(steps.cut(&kid("old")));
    let restage = |steps: &mut Steps<'_>| drop(steps.restage(&kid("old")));
    let withdraw = |steps: &mut Steps<'_>| drop(steps.retire(&kid("old"), None));
    for (purpose, superseded_at, ends) in [
        (Purpose::Jwt, now - HOUR, now - HOUR + overlap),
        (Purpose::Jwt, now + second - overlap, now + second),
        // What it signed has expired.
        (Purpose::Jwt, now - overlap, now),
        // A key without an end by time is withdrawn at once.
        (Purpose::Envelope, now - HOUR, now),
    ] {
        let lives = [signer("old", now - overlap * 2, 1), signer("new", superseded_at, 2)];
        let terms = Terms::new(purpose, policy());
        let mut lives = lives.to_vec();
        for step in [&cut as Step<'_>, &restage, &withdraw] {
            lives = after(&lives, &terms, step).unwrap_or(lives);
        }
        assert_eq!(lives[0].retire_at, Some(ends), "{purpose:?}, {superseded_at:?}");
    }
}
