//! What instances report beside the manifest, over restarts and after their end.

use std::time::Duration;

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::source::{FileStore, KeyStore};
use dualkey::{KeyRing, Kid, ManualClock, Report};
use pollster::block_on;

use crate::support::manifest::stored;
use crate::support::manifest::{at, entry, first};

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

/// Instances of one service that restart every day, each time under another name, as pods do.
#[test]
fn daily_restarts_do_not_keep_a_fleet_from_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let mut policy = dualkey::Policy::default();
    // Two windows of a day each: no instance lives for longer than one of them.
    policy.max_lifetime = Duration::from_secs(2 * 86_400);
    policy.min_observed_verifications = 300;
    let manifest = dualkey::manifest::Manifest::new(
        "SESSION_SECRET",
        dualkey::Purpose::Cookie,
        "test",
        policy,
        entry(0, "a"),
        at(0),
    );
    let manifest = manifest.unwrap().stage(entry(1, "b"), at(0)).unwrap();
    let manifest = manifest.manifest.force("a test").promote(&kid("b"), at(0)).unwrap().manifest;
    let store = stored(&path, &manifest);
    let clock = ManualClock::new(at(0));
    let mut verdicts = Vec::new();
    let mut names = 0;
    for day in 0..6_u64 {
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
            assert!(signer.verify("session", &value).is_ok());
            assert!(!following.refresh().unwrap());
        }
        let now = dualkey::Clock::now(&clock);
        let reports = block_on(store.reports()).unwrap();
        names = names.max(reports.len());
        verdicts.push(manifest.retirement(&kid("a"), &reports, now).unwrap());
        // Killed: no good-bye.
        drop(following);
    }
    use dualkey::Verdict::{Safe, Wait};
    let until = at(0) + policy.overlap();
    assert_eq!(verdicts[..2], vec![Wait { until }; 2]);
    assert_eq!(verdicts[2..], vec![Safe; 4], "{verdicts:?}");
    // Those that are long gone were taken over by their successors, and do not pile up.
    assert!(names < 6, "{names}");
}

/// Reports of instances that are gone are taken over, and nothing in them is lost if the one
/// that does so is killed right then.
#[test]
fn what_a_gone_instance_knew_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    let clock = ManualClock::new(at(0));
    let start = |name: &str| {
        KeyRing::<CookieKey>::builder()
            .name("SESSION_SECRET")
            .environment("test")
            .clock(clock.clone())
            .follow(FileStore::new(&path))
            .instance(name)
            .on_demand()
            .unwrap()
    };
    let gone = start("gone");
    let rewrap = dualkey::RewrapRecord {
        started_at: at(0),
        finished_at: at(1),
        unreadable: 0,
        nothing_sealed: 0,
        rows: vec![(kid("a"), 3)],
    };
    gone.ring().record_rewrap(&rewrap);
    CookieSigner::new(gone.ring().clone()).sign("session", "user-42").unwrap();
    block_on(store.save_report(&gone.ring().report("gone"))).unwrap();
    drop(gone);
    for day in 1..10 {
        clock.advance(Duration::from_secs(86_400));
        // Killed as soon as it has started.
        drop(start(&format!("pod-{day}")));
    }
    let reports = block_on(store.reports()).unwrap();
    assert!(reports.len() < 4 && reports.iter().all(|report| report.instance != "gone"));
    let knows = |report: &Report| report.rewrap.as_ref() == Some(&rewrap);
    assert!(reports.iter().any(knows), "{reports:?}");
    assert!(reports.iter().any(|report| report.signed == [(kid("a"), 1)]));
}

/// Not with the report that is due two minutes later.
#[test]
fn a_rewrap_that_was_recorded_is_reported_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    let clock = ManualClock::new(at(0));
    let follow = |name: &str| {
        KeyRing::<CookieKey>::builder()
            .name("SESSION_SECRET")
            .environment("test")
            .clock(clock.clone())
            .follow(FileStore::new(&path))
            .instance(name)
            .poll(Duration::from_secs(120))
    };
    let rewrap = |finished_at| dualkey::RewrapRecord {
        started_at: at(0),
        finished_at,
        unreadable: 0,
        nothing_sealed: 0,
        rows: vec![(kid("a"), 3)],
    };
    let reported = |name: &str| {
        let reports = block_on(store.reports()).unwrap();
        reports.into_iter().find(|report| report.instance == name).unwrap().rewrap
    };
    let following = follow("on-demand").on_demand().unwrap();
    assert_eq!(reported("on-demand"), None);
    // No time has passed since its first report.
    following.ring().clone().record_rewrap(&rewrap(at(1)));
    following.refresh().unwrap();
    assert_eq!(reported("on-demand"), Some(rewrap(at(1))));
    // A store that fails does not lose it.
    let reports = folder.path().join("ring.json.reports");
    assert!(reports.is_dir());
    let aside = folder.path().join("aside");
    std::fs::rename(&reports, &aside).unwrap();
    std::fs::write(&reports, "in the way").unwrap();
    following.ring().record_rewrap(&rewrap(at(2)));
    let _ = following.refresh();
    assert!(following.health().report_error.is_some());
    std::fs::remove_file(&reports).unwrap();
    std::fs::rename(&aside, &reports).unwrap();
    following.refresh().unwrap();
    assert_eq!(reported("on-demand"), Some(rewrap(at(2))));

    // Its next poll is a minute and a half ahead at the least: it is woken.
    let following = follow("thread").spawn_thread().unwrap();
    following.ring().record_rewrap(&rewrap(at(3)));
    let started = std::time::Instant::now();
    while reported("thread").is_none() {
        assert!(started.elapsed() < Duration::from_secs(60), "it waits for its poll");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(reported("thread"), Some(rewrap(at(3))));
}

#[test]
fn an_instance_goes_on_with_what_it_saw_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    let clock = ManualClock::new(at(0));
    let start = |name: &str| {
        KeyRing::<CookieKey>::builder()
            .name("SESSION_SECRET")
            .environment("test")
            .clock(clock.clone())
            .follow(FileStore::new(&path))
            .instance(name)
            .on_demand()
            .unwrap()
    };
    let following = start("pod");
    let signer = CookieSigner::new(following.ring().clone());
    let value = signer.sign("session", "user-42").unwrap();
    assert!(signer.verify("session", &value).is_ok());
    clock.advance(Duration::from_secs(60));
    following.stop().unwrap();
    clock.advance(Duration::from_secs(60));
    let again = start("pod");
    let report = again.ring().report("pod");
    assert_eq!(report.observed_since, at(0));
    assert_eq!(report.signed, [(kid("a"), 1)]);
    let primary = |(_, uses): &(Kid, dualkey::UsageCounts)| uses.verified_as_primary;
    let seen: u64 = report.buckets.iter().flat_map(|bucket| &bucket.uses).map(primary).sum();
    assert_eq!(seen, 1);
    drop(again);
    let other = start("another").ring().report("another");
    assert_eq!(other.observed_since, at(120));
    // As text it is the same.
    let text = report.to_json().unwrap();
    assert_eq!(Report::from_json(text.as_bytes()).unwrap(), report);
    assert!(Report::from_json(&text.as_bytes()[..text.len() / 2]).is_err());
    drop(store);
}
