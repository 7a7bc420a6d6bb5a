//! "May the old key go?": each reason alone, and in combinations.

use std::time::{Duration, SystemTime};

use dualkey::cookie::CookieKey;
use dualkey::manifest::Manifest;
use dualkey::{
    Error, KeyRing, Kid, ManualClock, Obstacle, Policy, Report, UsageBucket, UsageCounts, Verdict,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::cases;
use crate::support::manifest::{at, entry, first};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

/// `a` was superseded by `b` at the beginning.
fn manifest() -> Manifest {
    let staged = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    staged.force("a test").promote(&kid("b"), at(0)).unwrap().manifest
}

fn bucket(from: SystemTime, to: SystemTime, primary: u64, fallback: u64) -> UsageBucket {
    let uses = |verified_as_primary, verified_as_fallback| UsageCounts {
        verified_as_primary,
        verified_as_fallback,
        signed: 0,
    };
    UsageBucket {
        from,
        to,
        uses: vec![(kid("b"), uses(primary, 0)), (kid("a"), uses(0, fallback))],
    }
}

/// An instance that has watched from the beginning, and saw enough.
fn report(instance: &str, now: SystemTime) -> Report {
    let builder = KeyRing::<CookieKey>::builder().environment("test");
    let ring = manifest().build_ring(builder.clock(ManualClock::new(at(0)))).unwrap();
    let mut report = ring.report(instance);
    report.reported_at = now;
    report.buckets = vec![bucket(now - HOUR, now, 1000, 0)];
    report
}

fn over() -> SystemTime {
    at(0) + Policy::default().overlap()
}

fn verdict(reports: &[Report], now: SystemTime) -> Verdict {
    manifest().retirement(&kid("a"), reports, now).unwrap()
}

/// What makes it unsafe, and the reason that must be given for it.
type Flaw = (fn(&mut Vec<Report>, SystemTime), fn(SystemTime) -> Obstacle);

const FLAWS: [Flaw; 3] = [
    (
        |reports, now| reports[0].last_as_fallback = vec![(kid("a"), now - HOUR)],
        |now| Obstacle::UsedAsFallback { last: now - HOUR },
    ),
    (
        |reports, now| reports[0].buckets = vec![bucket(now - HOUR, now, 999, 0)],
        |_| Obstacle::TooLittleTraffic { seen: 999, enough: 1000, from: None },
    ),
    (
        |reports, now| {
            let mut other = report("other", now);
            other.fingerprint = first().fingerprint();
            other.buckets.clear();
            reports.push(other);
        },
        |now| Obstacle::KeySetMismatch {
            instance: "other".to_owned(),
            fingerprint: first().fingerprint(),
            reported_at: now,
        },
    ),
];

#[test]
fn each_reason_alone_and_every_combination_is_given() {
    let mut checked = 0;
    for flaws in 0..1 << FLAWS.len() {
        for now in [over() - HOUR, over(), over() + 30 * DAY] {
            let mut reports = vec![report("one", now)];
            let mut expected = Vec::new();
            for (place, (spoil, obstacle)) in FLAWS.iter().enumerate() {
                if flaws & 1 << place != 0 {
                    spoil(&mut reports, now);
                    expected.push(obstacle(now));
                }
            }
            // What instances hold is asked first, and always; what they saw, once the time
            // has passed: before, a use is what the overlap is for.
            expected.sort_by_key(|obstacle| !matches!(obstacle, Obstacle::KeySetMismatch { .. }));
            if now < over() {
                expected.retain(|obstacle| matches!(obstacle, Obstacle::KeySetMismatch { .. }));
            }
            let expected = match (expected.is_empty(), now < over()) {
                (true, true) => Verdict::Wait { until: over() },
                (true, false) => Verdict::Safe,
                (false, true) => {
                    expected.push(Obstacle::TooEarly { until: over() });
                    Verdict::Blocked(expected)
                }
                (false, false) => Verdict::Blocked(expected),
            };
            let mut found = verdict(&reports, now);
            // When a long silence replaces them is compared elsewhere.
            if let Verdict::Blocked(all) = &mut found {
                for obstacle in all {
                    if let Obstacle::TooLittleTraffic { from, .. } = obstacle {
                        *from = None;
                    }
                }
            }
            assert_eq!(found, expected, "{flaws:03b}");
            checked += 1;
        }
    }
    assert_eq!(checked, 24);
}

#[test]
fn an_instance_observed_the_whole_window() {
    let now = over();
    // The one that watches began an hour ago.
    let mut late = report("late", now);
    late.observed_since = now - HOUR;
    let until = now - HOUR + DAY;
    assert_eq!(verdict(std::slice::from_ref(&late), now), Verdict::Wait { until });
    // One before it, which reaches into it: as after a deploy.
    let mut before = report("before", now - HOUR);
    before.buckets.clear();
    assert_eq!(verdict(&[late.clone(), before.clone()], now), Verdict::Safe);
    // A gap in between, which no instance observed.
    before.reported_at = now - 2 * HOUR;
    assert_eq!(verdict(&[late.clone(), before.clone()], now), Verdict::Wait { until });
    // No instance reports any more.
    let silent = report("one", now - HOUR);
    let expected =
        Verdict::Blocked(vec![Obstacle::NoInstance, Obstacle::TooEarly { until: now + DAY }]);
    assert_eq!(verdict(&[silent], now), expected);
    assert_eq!(verdict(&[], now), expected);
}

#[test]
fn an_instance_that_is_gone_is_not_waited_for() {
    let now = over();
    let mut other = report("other", now);
    other.fingerprint = first().fingerprint();
    let is_blocked = |other: &Report| {
        matches!(verdict(&[report("one", now), other.clone()], now), Verdict::Blocked(_))
    };
    assert!(is_blocked(&other));
    // Silent for less than a day, it may still sign with the old key.
    other.reported_at = now - DAY + HOUR;
    assert!(is_blocked(&other));
    other.reported_at = now - DAY;
    assert!(!is_blocked(&other));
    (other.reported_at, other.has_stopped) = (now, true);
    assert!(!is_blocked(&other));
    // One that fell silent with these keys holds them.
    let mut same = report("same", now - HOUR);
    same.buckets.clear();
    assert_eq!(verdict(&[report("one", now), same], now), Verdict::Safe);
}

#[test]
fn who_signs_or_is_to_sign_may_not_go_and_who_is_revoked_may() {
    let now = over();
    let reports = [report("one", now)];
    let of = |manifest: &Manifest, name: &str| manifest.retirement(&kid(name), &reports, now);
    assert_eq!(of(&manifest(), "b").unwrap(), Verdict::Blocked(vec![Obstacle::IsPrimary]));
    let staged = manifest().stage(entry(2, "c"), now).unwrap().manifest;
    assert_eq!(of(&staged, "c").unwrap(), Verdict::Blocked(vec![Obstacle::IsStaged]));
    let revoked = manifest().revoke(&kid("a"), "leaked", at(1)).unwrap().manifest;
    assert_eq!(of(&revoked, "a").unwrap(), Verdict::Safe);
    assert!(matches!(of(&manifest(), "x"), Err(Error::UnknownKey { .. })));
}

#[test]
fn a_key_of_unknown_past_waits_from_when_it_was_seen_first() {
    let old = Manifest::new(
        "SESSION_SECRET",
        dualkey::Purpose::Cookie,
        "test",
        Policy::default(),
        entry(0, "b"),
        at(0),
    )
    .unwrap()
    .with_fallback(entry(1, "a"), at(100))
    .unwrap();
    let due = at(100) + Policy::default().overlap();
    for (now, expected) in [(due - HOUR, Verdict::Wait { until: due }), (due, Verdict::Safe)] {
        let mut report = report("one", now);
        report.fingerprint = old.fingerprint();
        let reports = [report];
        assert_eq!(old.retirement(&kid("a"), &reports, now).unwrap(), expected);
        let retired = old.retire(&kid("a"), &reports, now).unwrap();
        assert_eq!(retired.verifies_until, Some(due.max(now)));
        // Blocked, it is refused; forced, it goes at once and is recorded.
        let refused = old.retire(&kid("a"), &[], now);
        assert!(matches!(refused, Err(Error::Blocked { .. })), "{refused:?}");
        let forced = old.force("it leaks memory").retire(&kid("a"), now).unwrap();
        assert_eq!(forced.verifies_until, Some(now));
        let record = &forced.manifest.key(&kid("a")).unwrap().forced_steps()[0];
        assert_eq!((record.action.as_str(), record.at), ("retire", now));
    }
}

/// Never on an empty denominator, never while it was used, never before its time, never while
/// an instance holds other keys.
#[test]
fn safe_is_never_said_without_evidence() {
    let (back, count) = (0..60_u32, 0..600_u64);
    let span = (back.clone(), back.clone(), count);
    let seen = (
        100..400_u32,
        prop::collection::vec(span, 0..6),
        prop::option::weighted(0.3, back),
        0..600_u64,
        prop::bool::weighted(0.2),
        0..15_u32,
    );
    let safe = std::cell::Cell::new(0);
    let (base, template) = (manifest(), report("one", at(0)));
    type Seen = (u32, Vec<(u32, u32, u64)>, Option<u32>, u64, bool, u32);
    let check = |(hours, spans, used, enough, is_other, age): Seen| {
        let mut policy = Policy::default();
        policy.min_observed_verifications = enough;
        let manifest = base.set_policy(policy, at(0)).unwrap();
        let now = at(0) + HOUR * hours;
        let mut report = template.clone();
        report.reported_at = now - HOUR / 60 * age;
        report.fingerprint = if is_other { first().fingerprint() } else { manifest.fingerprint() };
        let bucket = |(back, length, primary): &(u32, u32, u64)| {
            let from = now - HOUR * *back;
            bucket(from, from + HOUR * (*length).min(back + 1), *primary, 0)
        };
        report.buckets = spans.iter().map(bucket).collect();
        let used = used.map(|back| now - HOUR * back);
        report.last_as_fallback = used.map(|seen| (kid("a"), seen)).into_iter().collect();
        let within: u64 = report
            .buckets
            .iter()
            .filter(|bucket| bucket.from >= now - DAY && bucket.to <= now)
            .map(|bucket| bucket.uses[0].1.verified_as_primary)
            .sum();
        if manifest.retirement(&kid("a"), &[report.clone()], now).unwrap() == Verdict::Safe {
            safe.set(safe.get() + 1);
            prop_assert!(now >= over());
            prop_assert!(within >= enough && within > 0);
            prop_assert!(!is_other);
            prop_assert!(used.is_none_or(|seen| seen < now - DAY));
            prop_assert!(report.reported_at + HOUR / 6 >= now);
        }
        Ok(())
    };
    TestRunner::new(cases(1_000, 30_000)).run(&seen, check).unwrap();
    assert!(safe.get() > 5, "{} were safe", safe.get());
}
