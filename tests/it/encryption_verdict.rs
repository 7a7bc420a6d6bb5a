//! The verdict on an encryption key: a complete rewrap replaces the overlap and the traffic, and the
//! key must be unused for one observation window after it.

use std::time::{Duration, SystemTime};

use dualkey::envelope::{AesKey, Sealer};
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::{
    Clock, Error, KeyRing, KeyState, Kid, ManualClock, Obstacle, Policy, Purpose, Report,
    RewrapRecord, Role, Secret, Verdict,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::manifest::{at, rewrap_counts_from};
use crate::support::{aes_key, cases, secret};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

/// The default policy: `a` was superseded by `b` at the beginning.
fn manifest() -> Manifest {
    let key = |seed, name: &str| {
        NewEntry::new(Secret::from(&secret(seed).as_bytes()[..32])).kid(kid(name))
    };
    let policy = Policy::default();
    let first =
        Manifest::new("ENCRYPTION_KEY", Purpose::Envelope, "test", policy, key(0, "a"), at(0));
    let staged = first.unwrap().stage(key(1, "b"), at(0)).unwrap().manifest;
    staged.force("a test").promote(&kid("b"), at(0)).unwrap().manifest
}

/// Every instance has the new primary from then on.
fn rollout_end() -> SystemTime {
    at(0) + Policy::default().rollout_window + Policy::default().skew
}

fn complete_record(started_at: SystemTime, finished_at: SystemTime) -> RewrapRecord {
    let rows = vec![(kid("b"), 5)];
    RewrapRecord { started_at, finished_at, unreadable: 0, nothing_sealed: 0, rows }
}

/// An instance that has watched from the beginning, and verified nothing.
fn report(manifest: &Manifest, now: SystemTime, rewrap: Option<RewrapRecord>) -> Report {
    let builder = KeyRing::<AesKey>::builder().environment("test");
    let ring = manifest.build_ring(builder.clock(ManualClock::new(at(0)))).unwrap();
    let mut report = ring.report("one");
    (report.reported_at, report.rewrap) = (now, rewrap);
    report
}

fn verdict(report: &Report, now: SystemTime) -> Verdict {
    manifest().retirement(&kid("a"), std::slice::from_ref(report), now).unwrap()
}

#[test]
fn a_complete_rewrap_replaces_the_lifetime_and_the_traffic() {
    let finished = rollout_end() + HOUR;
    let until = finished + DAY;
    let rewrapped = |now| report(&manifest(), now, Some(complete_record(rollout_end(), finished)));
    for (now, expected) in [
        (finished, Verdict::Wait { until }),
        (until - SECOND, Verdict::Wait { until }),
        (until, Verdict::Safe),
        (at(0) + 30 * DAY, Verdict::Safe),
    ] {
        assert_eq!(verdict(&rewrapped(now), now), expected);
    }
    // Retired within that time, it ends then, and not with the lifetime of what tokens would live.
    let early = manifest().retire(&kid("a"), &[rewrapped(finished)], finished).unwrap();
    assert_eq!((early.verifies_until, early.to), (Some(until), KeyState::Live(Role::Fallback)));
    let late = manifest().retire(&kid("a"), &[rewrapped(until)], until).unwrap();
    assert_eq!((late.verifies_until, late.to), (Some(until), KeyState::Expired));
    let mut held = rewrapped(until);
    held.fingerprint = late.manifest.fingerprint();
    let destroyed = late.manifest.destroy(&kid("a"), &[held], until);
    assert!(destroyed.is_ok(), "{destroyed:?}");
}

#[test]
fn without_a_complete_rewrap_no_time_and_no_traffic_is_enough() {
    let now = at(0) + 300 * DAY;
    let finished = rollout_end() + HOUR;
    let with = |change: fn(&mut RewrapRecord)| {
        let mut rewrap = complete_record(rollout_end(), finished);
        change(&mut rewrap);
        Some(rewrap)
    };
    let early = |record: &mut RewrapRecord| record.started_at -= SECOND;
    let not_before = rollout_end();
    for (rewrap, expected) in [
        (None, Obstacle::NotRewrapped),
        (with(early), Obstacle::RewrapTooEarly { started_at: not_before - SECOND, not_before }),
        (with(|record| record.unreadable = 1), Obstacle::RowsUnreadable { rows: 1 }),
        (with(|record| record.nothing_sealed = 1), Obstacle::NothingSealed { tables: 1 }),
        (
            with(|record| record.rows.push(("a".parse().unwrap(), 2))),
            Obstacle::RowsLeft { rows: 2 },
        ),
        // Recorded with a clock that was ahead.
        (with(|record| record.finished_at += 400 * DAY), Obstacle::NotRewrapped),
    ] {
        let report = report(&manifest(), now, rewrap);
        assert_eq!(verdict(&report, now), Verdict::Blocked(vec![expected.clone()]));
        let refused = manifest().retire(&kid("a"), &[report], now);
        assert!(matches!(refused, Err(Error::Blocked { .. })), "{expected:?}: {refused:?}");
    }
}

/// Each policy has a shorter rollout window than the one before it, and the last the same.
#[test]
fn no_change_of_the_policy_makes_an_early_rewrap_count() {
    let (started, not_before) = (rollout_end() - SECOND, rollout_end());
    let expected =
        Verdict::Blocked(vec![Obstacle::RewrapTooEarly { started_at: started, not_before }]);
    let mut changed = manifest();
    for (day, tenths) in [(1, 7), (2, 6), (3, 5), (4, 5)] {
        let mut policy = Policy::default();
        policy.rollout_window = HOUR / 10 * tenths;
        policy.max_lifetime = HOUR * day;
        let now = at(0) + DAY * day;
        changed = changed.set_policy(policy, now).unwrap();
        let mut report = report(&manifest(), now, Some(complete_record(started, started)));
        report.fingerprint = changed.fingerprint();
        assert_eq!(changed.retirement(&kid("a"), &[report], now).unwrap(), expected, "{day}");
        // An instance that holds the manifest says the same of it.
        let builder = KeyRing::<AesKey>::builder().environment("test");
        let ring = changed.build_ring(builder.clock(ManualClock::new(now))).unwrap();
        ring.record_rewrap(&complete_record(started, started));
        assert_eq!(ring.retirement(&kid("a")).unwrap(), expected, "{day}");
    }
}

/// Neither does a key that is superseded within the rollout window of the change, nor a revoked one.
#[test]
fn a_step_within_an_earlier_window_takes_that_window() {
    let mut short = Policy::default();
    (short.rollout_window, short.max_lifetime) = (Duration::from_secs(600), HOUR);
    let new_key = || NewEntry::new(Secret::from(&secret(2).as_bytes()[..32])).kid(kid("c"));
    let staged = manifest().stage(new_key(), at(0)).unwrap().manifest;
    let changed_at = at(0) + 10 * DAY;
    let changed = staged.set_policy(short, changed_at).unwrap();
    let (earlier, later) = (Policy::default().rollout_window, short.rollout_window);
    let window_end = changed_at + earlier + short.skew;
    for (stepped_at, window) in
        [(changed_at, earlier), (window_end - SECOND, earlier), (window_end, later)]
    {
        let promoted = changed.force("a test").promote(&kid("c"), stepped_at).unwrap().manifest;
        let revoked = changed.revoke(&kid("b"), "leaked", stepped_at);
        for next in [promoted, revoked.unwrap().manifest] {
            let next = next.set_policy(short, stepped_at + HOUR * 5).unwrap();
            let not_before = stepped_at + window + short.skew;
            let now = not_before + 2 * DAY;
            let verdict = |started_at| {
                let mut rewrap = complete_record(started_at, not_before);
                rewrap.rows = vec![(kid("c"), 5)];
                let mut report = report(&changed, now, Some(rewrap));
                report.fingerprint = next.fingerprint();
                next.retirement(&kid("b"), &[report], now).unwrap()
            };
            let started_at = not_before - SECOND;
            let expected = Obstacle::RewrapTooEarly { started_at, not_before };
            assert_eq!(verdict(started_at), Verdict::Blocked(vec![expected]));
            assert_eq!(verdict(not_before), Verdict::Safe);
        }
    }
}

/// The rollout window and the skew of the default policy, in seconds.
const WINDOW: u64 = 3900;

/// A policy with a window of a minute.
fn short() -> Policy {
    let mut policy = Policy::default();
    (policy.rollout_window, policy.skew, policy.max_lifetime) =
        (Duration::from_secs(60), Duration::ZERO, HOUR);
    policy
}

fn third_key() -> NewEntry {
    NewEntry::new(Secret::from(&secret(2).as_bytes()[..32])).kid(kid("c"))
}

/// Returns the start of the first rewrap that counts for a key, in seconds.
fn counts_from(manifest: &Manifest, name: &str) -> u64 {
    rewrap_counts_from(manifest, &kid(name)).duration_since(at(0)).unwrap().as_secs()
}

#[test]
fn a_repaired_clock_makes_no_early_rewrap_count() {
    // `a` was superseded by the right clock. The step at 3,000 s was of a wrong one.
    let shorter = manifest().set_policy(short(), at(60)).unwrap();
    assert_eq!(counts_from(&shorter, "a"), WINDOW);
    let wrong = shorter.stage(third_key(), at(3000)).unwrap().manifest;
    let repaired = wrong.repair_clock(&[], at(120)).unwrap().manifest;
    assert_eq!(counts_from(&repaired, "a"), WINDOW);
    // The promotion was of the wrong clock: the repair dates it within the window of the first policy.
    let staged = manifest().stage(third_key(), at(0)).unwrap().manifest;
    let shorter = staged.set_policy(short(), at(60)).unwrap();
    let wrong = shorter.force("a test").promote(&kid("c"), at(100_000)).unwrap().manifest;
    let repaired = wrong.repair_clock(&[], at(3950)).unwrap().manifest;
    assert_eq!(repaired.primary(at(3950)), kid("c"));
    assert_eq!(counts_from(&repaired, "b"), 3950 + WINDOW);
}

#[test]
fn a_restaged_key_keeps_the_window_in_which_it_was_superseded() {
    let cut = |manifest: &Manifest, now| {
        manifest.force("a test").retire(&kid("a"), now).unwrap().manifest
    };
    let restage = |manifest: &Manifest, now| manifest.restage(&kid("a"), now).unwrap().manifest;
    let withdraw = |manifest: &Manifest| manifest.retire(&kid("a"), &[], at(4)).unwrap().manifest;
    let before = restage(&cut(&manifest(), at(1)), at(2)).set_policy(short(), at(3)).unwrap();
    assert!(counts_from(&withdraw(&before), "a") >= WINDOW);
    let after = restage(&cut(&manifest().set_policy(short(), at(1)).unwrap(), at(2)), at(3));
    assert!(counts_from(&withdraw(&after), "a") >= WINDOW);
}

#[test]
fn a_start_that_is_taken_back_late_counts_from_that_step() {
    let scheduled = manifest().stage(third_key().signs_from(at(10_000)), at(10)).unwrap().manifest;
    let cut = |now| scheduled.force("a test").retire(&kid("c"), now).unwrap().manifest;
    let withdraw = |now| scheduled.retire(&kid("c"), &[], now).unwrap().manifest;
    let close = 10_000 - WINDOW;
    for taken_back in [cut(at(close + 1)), withdraw(at(close + 1))] {
        assert_eq!(counts_from(&taken_back, "c"), close + 1 + WINDOW);
    }
    // Every instance holds the step before the start.
    for taken_back in [cut(at(close)), withdraw(at(close))] {
        assert_eq!(counts_from(&taken_back, "c"), 10 + WINDOW);
    }
}

#[test]
fn a_scheduled_start_within_an_earlier_window_has_the_earlier_skew() {
    let mut skewed = Policy::default();
    (skewed.rollout_window, skewed.skew) = (Duration::ZERO, Duration::from_secs(300));
    let mut exact = skewed;
    exact.skew = Duration::ZERO;
    let first = manifest().set_policy(skewed, at(20_000)).unwrap();
    let scheduled = first.stage(third_key().signs_from(at(41_000)), at(40_000)).unwrap().manifest;
    let changed = scheduled.set_policy(exact, at(40_760)).unwrap();
    assert_eq!(counts_from(&changed, "b"), 41_300);
    // Long before the start: the policy of the start applies.
    let changed = scheduled.set_policy(exact, at(40_600)).unwrap();
    assert_eq!(counts_from(&changed, "b"), 41_000);
}

#[test]
fn the_same_policy_again_changes_nothing() {
    let changed = manifest().set_policy(short(), at(60)).unwrap();
    let again = changed.set_policy(short(), at(70)).unwrap();
    assert_eq!(again.to_json().unwrap().expose(), changed.to_json().unwrap().expose());
    // One with the same times keeps no key for longer.
    let mut other = Policy::default();
    other.min_observed_verifications = 1;
    let json = manifest().set_policy(other, at(60)).unwrap().to_json().unwrap();
    assert!(!String::from_utf8_lossy(json.expose()).contains("kept_until"));
}

#[test]
fn a_use_after_the_rewrap_asks_for_another_one() {
    let finished = rollout_end() + HOUR;
    let used = |last, now| {
        let mut report = report(&manifest(), now, Some(complete_record(rollout_end(), finished)));
        report.last_as_fallback = vec![(kid("a"), last)];
        verdict(&report, now)
    };
    // Before the rewrap it was needed, and is not any more.
    assert_eq!(used(finished - HOUR, finished + DAY), Verdict::Safe);
    // In the second in which it finished: by the rewrap, or by a reader after it.
    let until = finished + SECOND + DAY;
    assert_eq!(used(finished, finished + DAY), Verdict::Wait { until });
    assert_eq!(used(finished, until), Verdict::Safe);
    // Afterwards: of a row that the rewrap did not find. No time removes that.
    for after in [SECOND, HOUR, DAY, 30 * DAY] {
        let last = finished + after;
        let not_before = last + SECOND;
        let expected = Verdict::Blocked(vec![Obstacle::UsedAfterRewrap { last, not_before }]);
        for now in [last, last + DAY, last + DAY + SECOND, last + 300 * DAY] {
            assert_eq!(used(last, now), expected, "{after:?}");
        }
    }
}

/// Another complete rewrap that started after the use removes the obstacle; one that is not complete, or
/// that ended before the use, does not.
#[test]
fn only_a_complete_rewrap_after_the_use_removes_the_obstacle() {
    let first = complete_record(rollout_end(), rollout_end() + HOUR);
    let last = first.finished_at + 3 * HOUR;
    let not_before = last + SECOND;
    let again = |rewrap: RewrapRecord, now| {
        let mut report = report(&manifest(), now, Some(first.clone()));
        report.last_as_fallback = vec![(kid("a"), last)];
        let mut other = report.clone();
        (other.instance, other.rewrap) = ("rewrap".to_owned(), Some(rewrap));
        manifest().retirement(&kid("a"), &[report, other], now).unwrap()
    };
    let second = complete_record(not_before, not_before + HOUR);
    let until = second.finished_at + DAY;
    assert_eq!(again(second.clone(), until - SECOND), Verdict::Wait { until });
    assert_eq!(again(second.clone(), until), Verdict::Safe);
    let before = complete_record(first.finished_at, last - SECOND);
    let expected = Verdict::Blocked(vec![Obstacle::UsedAfterRewrap { last, not_before }]);
    assert_eq!(again(before, last + 300 * DAY), expected);
    // It ran while the key was used, so it may have missed the same row.
    let during = complete_record(first.finished_at + HOUR, last + HOUR);
    let expected = Verdict::Blocked(vec![Obstacle::UsedAfterRewrap { last, not_before }]);
    assert_eq!(again(during, last + 300 * DAY), expected);
    let mut incomplete = second;
    incomplete.rows.push((kid("a"), 1));
    let expected = Verdict::Blocked(vec![Obstacle::RowsLeft { rows: 1 }]);
    assert_eq!(again(incomplete, last + 300 * DAY), expected);
}

/// The date of the use is that of a clock which was ahead, so the use is not later: the rewrap that is
/// asked for starts after that date.
#[test]
fn a_use_in_the_future_asks_for_a_rewrap_after_its_own_date() {
    let finished = rollout_end() + HOUR;
    let last = finished + 5 * DAY;
    let not_before = last + SECOND;
    let used = |ahead: Duration, now| {
        let mut report = report(&manifest(), now, Some(complete_record(rollout_end(), finished)));
        let mut other = report.clone();
        report.instance = "two".to_owned();
        other.last_as_fallback = vec![(kid("a"), last)];
        other.reported_at += ahead;
        manifest().retirement(&kid("a"), &[report, other], now).unwrap()
    };
    let expected = Verdict::Blocked(vec![Obstacle::UsedAfterRewrap { last, not_before }]);
    for ahead in [Duration::ZERO, 5 * DAY] {
        for now in [finished + DAY, last, last + 30 * DAY] {
            assert_eq!(used(ahead, now), expected, "{ahead:?}");
        }
    }
}

#[test]
fn that_it_is_unused_is_said_by_reports_that_reach_over_the_whole_window() {
    let finished = rollout_end() + HOUR;
    let rewrap = || Some(complete_record(rollout_end(), finished));
    let now = finished + 10 * DAY;
    // The report of the rewrap alone watches nothing.
    let mut rewrap_only = report(&manifest(), finished, rewrap());
    (rewrap_only.has_stopped, rewrap_only.observed_since) = (true, finished);
    let is_silent = |verdict: Verdict| match verdict {
        Verdict::Blocked(all) => all.contains(&Obstacle::NoInstance),
        _ => false,
    };
    assert!(is_silent(verdict(&rewrap_only, now)));
    // An instance that fell silent an hour ago.
    assert!(is_silent(verdict(&report(&manifest(), now - HOUR, rewrap()), now)));
    // One that started an hour ago.
    let mut late = report(&manifest(), now, rewrap());
    late.observed_since = now - HOUR;
    assert_eq!(verdict(&late, now), Verdict::Wait { until: now - HOUR + DAY });
    // One that has not reloaded.
    let mut behind = report(&manifest(), now, rewrap());
    behind.fingerprint = "AAAAAAAAAAAAAAAA".parse().unwrap();
    assert!(matches!(verdict(&behind, now), Verdict::Blocked(_)));
}

#[test]
fn a_ring_in_memory_follows_the_same_rule() {
    let clock = ManualClock::new(at(0));
    let ring =
        KeyRing::<AesKey>::builder().clock(clock.clone()).primary(aes_key(0, "a")).build().unwrap();
    let sealer = Sealer::new(ring.clone());
    let row = sealer.seal("a row", "").unwrap();
    let new = ring.stage(aes_key(1, "b")).unwrap();
    ring.promote(&new).unwrap();
    clock.set(rollout_end());
    ring.record_rewrap(&complete_record(clock.now(), clock.now()));
    let until = clock.now() + DAY;
    assert_eq!(ring.retirement(&kid("a")).unwrap(), Verdict::Wait { until });
    clock.advance(HOUR);
    // A row that the rewrap missed.
    assert!(sealer.open(&row, "").is_ok());
    assert!(matches!(ring.retire(&kid("a")), Err(Error::Blocked { .. })));
    let last = clock.now();
    let not_before = last + SECOND;
    let expected = Verdict::Blocked(vec![Obstacle::UsedAfterRewrap { last, not_before }]);
    clock.advance(30 * DAY);
    assert_eq!(ring.retirement(&kid("a")).unwrap(), expected);
    // A rewrap that finds the row, and is recorded.
    ring.record_rewrap(&complete_record(clock.now(), clock.now()));
    clock.advance(DAY);
    assert_eq!(ring.retirement(&kid("a")).unwrap(), Verdict::Safe);
    assert_eq!(ring.retire(&kid("a")).unwrap(), Some(clock.now()));
}

/// A revoked key is destroyed by the same rule: rows under it are rescued first.
#[test]
fn a_revoked_key_waits_for_the_rewrap_and_not_for_the_lifetime() {
    let revoked = manifest().revoke(&kid("a"), "leaked", at(10)).unwrap().manifest;
    let finished = rollout_end() + HOUR;
    let until = finished + DAY;
    let report = |now, rewrap| report(&revoked, now, rewrap);
    let of = |now, rewrap| revoked.retirement(&kid("a"), &[report(now, rewrap)], now).unwrap();
    assert_eq!(of(until, None), Verdict::Blocked(vec![Obstacle::NotRewrapped]));
    let rewrap = || Some(complete_record(rollout_end(), finished));
    assert_eq!(of(until - SECOND, rewrap()), Verdict::Wait { until });
    assert_eq!(of(until, rewrap()), Verdict::Safe);
}

/// A key that is revoked before it signs, or while it signs: a later key may supersede it or not.
#[test]
fn a_rewrap_counts_once_every_instance_holds_the_revocation() {
    let schedule = |manifest: &Manifest, seed, name: &str, day, now| {
        let key = NewEntry::new(Secret::from(&secret(seed).as_bytes()[..32])).kid(kid(name));
        manifest.stage(key.signs_from(at(0) + DAY * day), now).unwrap().manifest
    };
    let scheduled = schedule(&manifest(), 2, "c", 10, at(0));
    for (revoked_at, has_later) in [(1, false), (1, true), (20, false), (20, true)] {
        let revoked_at = at(0) + DAY * revoked_at;
        let mut revoked = scheduled.revoke(&kid("c"), "leaked", revoked_at).unwrap().manifest;
        if has_later {
            revoked = schedule(&revoked, 3, "d", 30, revoked_at);
        }
        // The start of the key, on day 10, has no effect: every instance holds the revocation by then.
        let not_before = revoked_at + Policy::default().rollout_window + Policy::default().skew;
        let verdict = |started_at, now| {
            let report = report(&revoked, now, Some(complete_record(started_at, started_at)));
            revoked.retirement(&kid("c"), &[report], now).unwrap()
        };
        let (started_at, until) = (not_before - SECOND, not_before + DAY);
        for now in [until, until + 300 * DAY] {
            let early = Obstacle::RewrapTooEarly { started_at, not_before };
            assert_eq!(verdict(started_at, now), Verdict::Blocked(vec![early]));
            assert_eq!(verdict(not_before, now), Verdict::Safe);
        }
        assert_eq!(verdict(not_before, until - SECOND), Verdict::Wait { until });
        let unwrapped = report(&revoked, until, None);
        let missing = revoked.retirement(&kid("c"), &[unwrapped], until).unwrap();
        assert_eq!(missing, Verdict::Blocked(vec![Obstacle::NotRewrapped]));
    }
}

/// `Safe` by the rule, in the words of the rule.
#[test]
fn safe_is_said_exactly_when_the_rule_holds() {
    type Case = (u32, u32, [bool; 4], u32, u32, Option<u32>);
    let cases_of = (
        0..80_u32,
        0..6_u32,
        [
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.1),
            prop::bool::weighted(0.1),
        ],
        0..60_u32,
        0..200_u32,
        prop::option::weighted(0.4, 0..150_u32),
    );
    let (manifest, safe) = (manifest(), std::cell::Cell::new(0));
    let template = report(&manifest, at(0), None);
    let check = |(start, length, flaws, since, now, used): Case| {
        let hours = |count: u32| at(0) + HOUR * count;
        let (started_at, finished_at) = (hours(start), hours(start + length));
        let now = hours(now).max(finished_at);
        let [unreadable, left, nothing, is_other] = flaws;
        let mut rewrap = complete_record(started_at, finished_at);
        (rewrap.unreadable, rewrap.nothing_sealed) = (unreadable.into(), nothing.into());
        if left {
            rewrap.rows.push((kid("a"), 1));
        }
        let since = hours(since).min(now);
        let last = used.map(hours).filter(|last| *last <= now);
        let mut report = template.clone();
        (report.rewrap, report.observed_since, report.reported_at) = (Some(rewrap), since, now);
        report.last_as_fallback = last.map(|last| (kid("a"), last)).into_iter().collect();
        if is_other {
            report.fingerprint = "AAAAAAAAAAAAAAAA".parse().unwrap();
        }
        let is_complete = started_at >= rollout_end() && !(unreadable || left || nothing);
        let window = now.checked_sub(DAY).unwrap();
        let is_watched = since <= window;
        // A use is within the second that starts at the recorded moment. One after the rewrap proves
        // that it was not complete.
        let is_unused = last.is_none_or(|last| last <= finished_at && last + SECOND <= window);
        let is_expected =
            is_complete && window >= finished_at && is_watched && is_unused && !is_other;
        let verdict = manifest.retirement(&kid("a"), &[report], now).unwrap();
        safe.set(safe.get() + u32::from(is_expected));
        prop_assert_eq!(verdict == Verdict::Safe, is_expected, "{:?}", verdict);
        Ok(())
    };
    TestRunner::new(cases(2_000, 50_000)).run(&cases_of, check).unwrap();
    assert!(safe.get() > 20, "{} were safe", safe.get());
}
