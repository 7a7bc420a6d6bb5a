//! A service with few users: what is said on the first day, and what becomes of its old key.

use std::time::{Duration, SystemTime};

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::manifest::Manifest;
use dualkey::{
    Clock, KeyRing, Kid, ManualClock, NewKey, Obstacle, Policy, Report, Secret, UsageBucket,
    UsageCounts, Verdict,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::manifest::{at, entry, first};
use crate::support::{cases, secret};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

/// A ring whose old key has no end of its own, as one of `X_OLD`.
fn ring(clock: &ManualClock) -> (KeyRing<CookieKey>, Kid) {
    let key = |seed, name: &str| NewKey::new(Secret::from(secret(seed))).kid(kid(name));
    let ring = KeyRing::<CookieKey>::builder()
        .primary(key(0, "new"))
        .fallback(key(1, "old"))
        .clock(clock.clone())
        .build()
        .unwrap();
    (ring, kid("old"))
}

#[test]
fn fifty_verifications_a_day_are_enough_after_seven_days_without_a_use() {
    let clock = ManualClock::new(at(0));
    let (ring, old) = ring(&clock);
    let signer = CookieSigner::new(ring.clone());
    let mut verdicts = Vec::new();
    for hour in 0..9 * 24 {
        let value = signer.sign("session", "user-42").unwrap();
        for _ in 0..if hour % 24 == 12 { 50 } else { 0 } {
            assert!(signer.verify("session", &value).is_ok());
        }
        clock.advance(HOUR);
        verdicts.push(ring.retirement(&old).unwrap());
        if hour == 13 {
            // On the first day, by what was seen until then: with the setting, and with a moment.
            let expected = ring.expected_obstacle(&old).unwrap().unwrap();
            let from = Some(at(0) + 7 * DAY);
            assert_eq!(expected, Obstacle::TooLittleTraffic { seen: 85, enough: 1000, from });
            let text = expected.to_string();
            for part in ["85", "1000", "`min_observed_verifications`"] {
                assert!(text.contains(part), "{text}");
            }
        }
    }
    let until = at(0) + Policy::default().overlap();
    let wait = verdicts.iter().position(|verdict| *verdict != Verdict::Wait { until }).unwrap();
    // Seven days were quiet by then, and nothing is waited for beside the overlap.
    assert_eq!(verdicts[wait..].iter().find(|verdict| **verdict != Verdict::Safe), None);
    assert!(ring.retire(&old).is_ok());
}

#[test]
fn a_use_of_the_old_key_starts_the_seven_days_again() {
    let clock = ManualClock::new(at(0));
    let (ring, old) = ring(&clock);
    let signer = CookieSigner::new(ring.clone());
    let before = KeyRing::<CookieKey>::builder()
        .primary(NewKey::new(Secret::from(secret(1))).kid(kid("old")))
        .clock(clock.clone())
        .build()
        .unwrap();
    let last = at(0) + 6 * DAY;
    let mut safe = None;
    for hour in 0..20 * 24 {
        let value = signer.sign("session", "user-42").unwrap();
        assert!(signer.verify("session", &value).is_ok());
        if clock.now() == last {
            let value = CookieSigner::new(before.clone()).sign("session", "user-43").unwrap();
            assert!(signer.verify("session", &value).is_ok());
        }
        clock.advance(HOUR);
        match ring.retirement(&old).unwrap() {
            Verdict::Safe if safe.is_none() => safe = Some(clock.now()),
            Verdict::Safe | Verdict::Wait { .. } => {}
            Verdict::Blocked(all) => {
                assert!(safe.is_none(), "{hour}: {all:?}");
                let from = last + Duration::from_secs(1) + 7 * DAY;
                let is_named = |obstacle: &Obstacle| match obstacle {
                    Obstacle::TooLittleTraffic { from: start, .. } => *start == Some(from),
                    _ => true,
                };
                assert!(all.iter().all(is_named), "{all:?}");
            }
            verdict => panic!("{verdict:?}"),
        }
    }
    // The first hour after the moment that was named.
    assert_eq!(safe, Some(last + 7 * DAY + HOUR));
}

#[test]
fn without_a_verification_silence_means_nothing_for_ever() {
    let clock = ManualClock::new(at(0));
    let (ring, old) = ring(&clock);
    for _ in 0..60 {
        clock.advance(DAY);
        let verdict = ring.retirement(&old).unwrap();
        assert_ne!(verdict, Verdict::Safe);
    }
    let none = Obstacle::TooLittleTraffic { seen: 0, enough: 1000, from: None };
    assert_eq!(ring.retirement(&old).unwrap(), Verdict::Blocked(vec![none.clone()]));
    assert_eq!(ring.expected_obstacle(&old).unwrap(), Some(none));
}

#[test]
fn a_busy_service_hears_nothing_of_it() {
    let clock = ManualClock::new(at(0));
    let (ring, old) = ring(&clock);
    let signer = CookieSigner::new(ring.clone());
    let value = signer.sign("session", "user-42").unwrap();
    for _ in 0..48 {
        for _ in 0..50 {
            assert!(signer.verify("session", &value).is_ok());
        }
        clock.advance(HOUR);
        assert_eq!(ring.expected_obstacle(&old).unwrap(), None);
    }
}

/// Instances that restart every day, each under another name: the week is watched by all of them.
#[test]
fn a_silence_outlives_the_instances_that_watched_it() {
    use dualkey::source::{FileStore, KeyStore};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = manifest.force("a test").promote(&kid("b"), at(0)).unwrap().manifest;
    let store = crate::support::manifest::stored(&path, &manifest);
    let clock = ManualClock::new(at(0));
    let mut names = 0;
    for day in 0..9_u64 {
        let following = KeyRing::<CookieKey>::builder()
            .name("SESSION_SECRET")
            .environment("test")
            .clock(clock.clone())
            .follow(FileStore::new(&path))
            .instance(format!("pod-{day}"))
            .on_demand()
            .unwrap();
        let signer = CookieSigner::new(following.ring().clone());
        let value = signer.sign("session", "user-42").unwrap();
        for _ in 0..24 * 15 {
            clock.advance(Duration::from_secs(240));
            following.refresh().unwrap();
        }
        assert!(signer.verify("session", &value).is_ok());
        clock.advance(Duration::from_secs(240));
        following.refresh().unwrap();
        names = names.max(pollster::block_on(store.reports()).unwrap().len());
    }
    let (now, reports) = (clock.now(), pollster::block_on(store.reports()).unwrap());
    assert!(names < 6, "{names}");
    assert_eq!(manifest.retirement(&kid("a"), &reports, now).unwrap(), Verdict::Safe);
}

/// Never while a fallback was used, never without a verification, never unwatched.
#[test]
fn safe_is_never_said_while_the_old_key_was_used() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = manifest.force("a test").promote(&kid("b"), at(0)).unwrap().manifest;
    let builder = KeyRing::<CookieKey>::builder().environment("test");
    let ring = manifest.build_ring(builder.clock(ManualClock::new(at(0)))).unwrap();
    let template = ring.report("one");
    let safe = std::cell::Cell::new(0);
    type Case = (u32, Vec<(u32, u64)>, Option<u32>, u32);
    let cases_of = (
        150..800_u32,
        prop::collection::vec((0..500_u32, 0..40_u64), 0..40),
        prop::option::weighted(0.5, 0..400_u32),
        0..600_u32,
    );
    let check = |(now, active, used, since): Case| {
        let now = at(0) + HOUR * now;
        let back = |hours: u32| now - HOUR * hours;
        let bucket = |(hours, count): &(u32, u64)| {
            let uses = UsageCounts { verified_as_primary: *count, ..UsageCounts::default() };
            let from = back(*hours) - HOUR;
            UsageBucket { from, to: from + HOUR, uses: vec![(kid("b"), uses)] }
        };
        let mut report: Report = template.clone();
        report.reported_at = now;
        report.observed_since = back(since);
        report.buckets = active.iter().map(bucket).collect();
        let last = used.map(back);
        report.last_as_fallback = last.map(|last| (kid("a"), last)).into_iter().collect();
        let counted = |span: Duration| -> u64 {
            let is_within = |bucket: &&UsageBucket| bucket.from >= now - span;
            report
                .buckets
                .iter()
                .filter(is_within)
                .map(|bucket| bucket.uses[0].1.verified_as_primary)
                .sum()
        };
        let enough = Policy::default().min_observed_verifications;
        let (within, of_a_week) = (counted(DAY), counted(14 * DAY));
        let verdict = of(&manifest, &report, now);
        if verdict == Verdict::Safe {
            safe.set(safe.get() + 1);
            let unused = |span: Duration| last.is_none_or(|last| last < now - span);
            let watched = |span: Duration| report.observed_since <= now - span;
            let by_traffic = within >= enough && unused(DAY) && watched(DAY);
            let by_time = of_a_week >= 7 && unused(7 * DAY) && watched(7 * DAY);
            prop_assert!(by_traffic || by_time, "{last:?}");
            prop_assert!(now >= at(0) + Policy::default().overlap());
        }
        Ok(())
    };
    TestRunner::new(cases(2_000, 50_000)).run(&cases_of, check).unwrap();
    assert!(safe.get() > 20, "{} were safe", safe.get());
}

fn of(manifest: &Manifest, report: &Report, now: SystemTime) -> Verdict {
    manifest.retirement(&kid("a"), std::slice::from_ref(report), now).unwrap()
}

/// What the old key verified as the primary says nothing of the time after.
#[test]
fn verifications_before_the_promotion_are_no_evidence() {
    let key = |seed, name: &str| NewKey::new(Secret::from(secret(seed))).kid(kid(name));
    // Once a day under the default policy, and 100 times an hour with a life of 15 minutes.
    for (life, every, times, silence) in
        [(7 * DAY, DAY, 1, 8 * DAY), (Duration::from_secs(900), HOUR, 100, 2 * HOUR)]
    {
        let clock = ManualClock::new(at(0));
        let builder = KeyRing::<CookieKey>::builder().primary(key(0, "old")).max_lifetime(life);
        let ring = builder.clock(clock.clone()).build().unwrap();
        let signer = CookieSigner::new(ring.clone());
        let verify = || {
            for _ in 0..times {
                let value = signer.sign("session", "user-42").unwrap();
                assert!(signer.verify("session", &value).is_ok());
            }
        };
        for _ in 0..30 {
            verify();
            clock.advance(every);
            let _ = ring.retirement(&kid("old")).unwrap();
        }
        ring.stage(key(1, "new")).unwrap();
        ring.promote(&kid("new")).unwrap();
        let promoted = clock.now();
        while clock.now() < promoted + silence {
            clock.advance(HOUR);
            assert_ne!(ring.retirement(&kid("old")).unwrap(), Verdict::Safe, "{life:?}");
        }
        // With traffic under the new key it comes to be safe.
        for _ in 0..40 {
            verify();
            clock.advance(every);
            let _ = ring.retirement(&kid("old")).unwrap();
        }
        assert_eq!(ring.retirement(&kid("old")).unwrap(), Verdict::Safe, "{life:?}");
    }
}
