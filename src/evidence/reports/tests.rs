use super::*;
use crate::evidence::UsageBucket;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const YEARS: Duration = Duration::from_secs(10 * 365 * 86_400);

fn at(days: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY + days * DAY
}

/// A report that can be read, of no ring.
fn readable_report(instance: &str, reported_at: SystemTime) -> Report {
    let mut report = Report::for_unreadable(instance, reported_at, "");
    report.problem = None;
    report
}

fn broken(instance: &str, received_at: SystemTime) -> Report {
    Report::for_unreadable(instance, received_at, "it is empty")
}

fn kid() -> Kid {
    Kid::new("a").expect("it is a kid")
}

fn other() -> Fingerprint {
    Fingerprint::from_digest(&[1; 32])
}

#[test]
fn a_clock_is_behind_if_every_recent_report_is_ahead_of_it() {
    let (policy, now) = (Policy::default(), at(0));
    let (sane, ahead) =
        (readable_report("sane", now - HOUR), readable_report("ahead", now + YEARS));
    let newest = now + YEARS;
    let behind = Some(ClockProblem::Behind { newest });
    let problem = |reports: &[Report]| clock_problem(reports, &policy, now);
    assert_eq!(problem(std::slice::from_ref(&ahead)), behind);
    assert_eq!(problem(&[ahead.clone(), readable_report("more", now + HOUR)]), behind);
    // An outlier beside one of this time is its own problem.
    assert_eq!(problem(&[ahead.clone(), sane.clone()]), None);
    // Within the skew, before and after.
    assert_eq!(problem(&[readable_report("near", now + policy.skew)]), None);
    let newest = now + policy.skew + Duration::from_nanos(1);
    assert_eq!(problem(&[readable_report("far", newest)]), Some(ClockProblem::Behind { newest }));
    // One that is gone says nothing of this time, and neither does one that stopped.
    let mut stopped = sane.clone();
    stopped.has_stopped = true;
    assert_eq!(problem(&[ahead.clone(), readable_report("old", now - 2 * DAY), stopped]), behind);
    // What cannot be read shows no clock.
    assert_eq!(problem(&[broken("broken", now + YEARS)]), None);
    assert_eq!(problem(&[broken("broken", now - HOUR), ahead]), behind);
    assert_eq!(problem(&[]), None);
}

#[test]
fn nothing_confirms_a_clock_if_the_newest_report_is_old() {
    let (policy, now) = (Policy::default(), at(0));
    let problem = |reports: &[Report]| clock_problem(reports, &policy, now);
    let newest = now - DAY;
    let silent = Some(ClockProblem::Silent { newest });
    assert_eq!(problem(&[readable_report("old", newest)]), silent);
    assert_eq!(
        problem(&[readable_report("old", newest), readable_report("older", now - 9 * DAY)]),
        silent
    );
    assert_eq!(problem(&[readable_report("old", newest), broken("broken", now)]), silent);
    assert_eq!(problem(&[readable_report("late", now - DAY + HOUR)]), None);
    // One that stopped said what the time was, as any other.
    let mut stopped = readable_report("stopped", now);
    stopped.has_stopped = true;
    assert_eq!(problem(&[readable_report("old", newest), stopped]), None);
}

#[test]
fn a_report_from_the_future_counts_as_made_at_the_last_change() {
    let (policy, changed_at) = (Policy::default(), at(0));
    let mut report = readable_report("gone", changed_at + YEARS);
    report.fingerprint = other();
    let reports = [report];
    let against = |now| disagreement(&reports, Fingerprint::NONE, &policy, changed_at, now);
    let expected = vec![Obstacle::KeySetMismatch {
        instance: "gone".to_owned(),
        fingerprint: other(),
        reported_at: changed_at + YEARS,
    }];
    assert_eq!(against(changed_at), expected);
    assert_eq!(against(changed_at + DAY - HOUR), expected);
    for later in [DAY, 30 * DAY, 365 * DAY] {
        assert_eq!(against(changed_at + later), []);
        assert!(!is_possibly_running(&reports[0], &policy, changed_at, changed_at + later));
        assert_eq!(observed_since(&reports, &policy, changed_at, changed_at + later), None);
    }
    // Once that moment comes, it is a report as any other.
    assert_eq!(against(changed_at + YEARS), expected);
    // A manifest from the future is not waited for either.
    let now = changed_at - DAY;
    assert_eq!(disagreement(&reports, other(), &policy, changed_at, now), []);
    assert!(is_possibly_running(&reports[0], &policy, changed_at, now));
}

/// A right clock would have dated the use earlier, and the report as well.
#[test]
fn a_use_from_the_future_counts_until_its_own_date_and_a_rewrap_from_there_never() {
    let (policy, changed_at) = (Policy::default(), at(0));
    let kid = kid();
    let mut ahead = readable_report("ahead", changed_at + YEARS);
    ahead.last_as_fallback = vec![(kid, changed_at + YEARS)];
    ahead.buckets = vec![UsageBucket {
        from: changed_at,
        to: changed_at + HOUR,
        uses: vec![(
            kid,
            crate::evidence::UsageCounts { verified_as_primary: 7, ..Default::default() },
        )],
    }];
    let rewrapped = |finished_at| RewrapRecord {
        started_at: finished_at,
        finished_at,
        unreadable: 0,
        nothing_sealed: 0,
        rows: Vec::new(),
    };
    ahead.rewrap = Some(rewrapped(changed_at + YEARS));
    let mut sane = readable_report("sane", changed_at + 2 * DAY);
    sane.last_as_fallback = vec![(kid, changed_at + HOUR)];
    let now = changed_at + 2 * DAY;
    let reports = [ahead.clone(), sane.clone()];
    let found = collect_evidence(
        &reports,
        (&kid, SystemTime::UNIX_EPOCH),
        Fingerprint::NONE,
        &policy,
        changed_at,
        now,
    );
    assert_eq!(found.last_as_fallback, Some(changed_at + YEARS));
    assert_eq!(found.under_primary, 0);
    // The same, once the clock was set, and the process still knows of it.
    ahead.reported_at = now;
    let reports = [ahead.clone(), sane.clone()];
    let found = collect_evidence(
        &reports,
        (&kid, SystemTime::UNIX_EPOCH),
        Fingerprint::NONE,
        &policy,
        changed_at,
        now,
    );
    assert_eq!(found.last_as_fallback, Some(changed_at + YEARS));
    assert!(rewraps(&reports, &policy, now).is_empty());
    sane.rewrap = Some(rewrapped(changed_at + HOUR));
    let found = sane.rewrap.clone().unwrap();
    assert_eq!(rewraps(&[ahead, sane], &policy, now), [&found]);
}

/// To a retirement an instance with other keys objects for as long as a right clock would have it, which
/// is never longer than by its own.
#[test]
fn an_instance_whose_clock_is_ahead_objects_to_a_retirement_until_its_own_date() {
    let (policy, changed_at, ahead) = (Policy::default(), at(0), 9 * DAY);
    let objects = |report: &Report, now| {
        let reports = std::slice::from_ref(report);
        let key = (&kid(), SystemTime::UNIX_EPOCH);
        let found = collect_evidence(reports, key, Fingerprint::NONE, &policy, changed_at, now);
        found.objections.iter().any(|obstacle| *obstacle != Obstacle::NoInstance)
    };
    // Running, and gone: the report is of one window ago at most, or of that moment.
    for now in [changed_at, changed_at + 2 * DAY, changed_at + 40 * DAY] {
        let mut report = readable_report("running", now + ahead);
        report.fingerprint = other();
        assert!(objects(&report, now));
        assert!(objects(&report, now + ahead + DAY - HOUR));
        assert!(!objects(&report, now + ahead + DAY));
        assert!(objects(&broken("running", now + ahead), now));
        report.has_stopped = true;
        assert!(!objects(&report, now));
        report = readable_report("running", now + ahead);
        assert!(!objects(&report, now), "it holds these keys");
    }
}

/// The process that comes after one with a clock that was ahead keeps the use at least until the last
/// report of that one, also if its own clock is behind at first.
#[test]
fn a_use_from_the_future_outlives_a_restart() {
    use crate::evidence::window::UsageWindow;
    let (kid, now) = (kid(), at(9));
    let last = |started, reported_at, seen| {
        let mut report = readable_report("one", reported_at);
        report.last_as_fallback = vec![(kid, seen)];
        let mut usage_window = UsageWindow::new(started);
        usage_window.inherit(&report);
        usage_window.last_as_fallback()
    };
    assert_eq!(last(now, now + DAY, now + DAY), [(kid, now + DAY)]);
    // It started before its clock was set.
    assert_eq!(last(at(0), now - HOUR, now - HOUR), [(kid, now - HOUR)]);
    // The clock was set before the last report, which knows of the use.
    assert_eq!(last(now, now - HOUR, now + YEARS), [(kid, now)]);
}

#[test]
fn an_unreadable_report_objects_for_one_window_and_proves_nothing() {
    let (policy, received_at) = (Policy::default(), at(0));
    let reports = [broken("web-1", received_at)];
    let expected = vec![Obstacle::UnreadableReport {
        instance: "web-1".to_owned(),
        problem: "it is empty".to_owned(),
    }];
    let against = |now| disagreement(&reports, Fingerprint::NONE, &policy, received_at - DAY, now);
    assert_eq!(against(received_at), expected);
    assert_eq!(against(received_at + DAY - HOUR), expected);
    assert_eq!(against(received_at + DAY), []);
    assert!(!is_possibly_running(&reports[0], &policy, received_at, received_at));
    assert_eq!(observed_since(&reports, &policy, received_at, received_at), None);
    let kid = kid();
    let found = collect_evidence(
        &reports,
        (&kid, SystemTime::UNIX_EPOCH),
        Fingerprint::NONE,
        &policy,
        received_at,
        received_at,
    );
    assert_eq!(found.objections[0], Obstacle::NoInstance);
    assert_eq!((found.since, found.under_primary), (None, 0));
}

#[test]
fn extreme_policies_and_moments_overflow_nothing() {
    use crate::lifecycle::policy::MAX;
    let moments = [
        SystemTime::UNIX_EPOCH,
        at(0),
        SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_207_200),
        SystemTime::UNIX_EPOCH + Duration::from_secs(i64::MAX as u64),
    ];
    let lengths = [Duration::ZERO, Duration::from_secs(1), MAX, Duration::MAX];
    let kid = kid();
    let mut cases = 0;
    for (now, changed_at) in moments.iter().flat_map(|one| moments.map(|other| (*one, other))) {
        for (observation_window, skew) in
            lengths.iter().flat_map(|one| lengths.map(|other| (*one, other)))
        {
            let policy =
                Policy { observation_window, skew, max_lifetime: MAX, ..Policy::default() };
            for reported_at in moments {
                let mut report = readable_report("one", reported_at);
                report.last_as_fallback = vec![(kid, reported_at)];
                report.observed_since = changed_at;
                let reports = [report, broken("two", changed_at)];
                let _ = collect_evidence(
                    &reports,
                    (&kid, SystemTime::UNIX_EPOCH),
                    other(),
                    &policy,
                    changed_at,
                    now,
                );
                let _ = clock_problem(&reports, &policy, now);
                let mut usage_window = crate::evidence::window::UsageWindow::new(changed_at);
                usage_window.inherit(&reports[0]);
                usage_window.sample([(kid, Default::default())], now, observation_window);
                usage_window.sample([(kid, Default::default())], changed_at, observation_window);
                let _ = usage_window.key_evidence(
                    &kid,
                    SystemTime::UNIX_EPOCH,
                    now,
                    observation_window,
                );
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 4 * 4 * 4 * 4 * 4);
}

#[test]
fn the_name_of_an_instance_has_at_most_128_characters() {
    use crate::evidence::report::{is_instance_name, to_instance_name};
    assert!(is_instance_name(&"a".repeat(128)) && !is_instance_name(&"a".repeat(129)));
    assert_eq!(to_instance_name("a".repeat(129)).len(), 128);
}

/// However short the windows of a policy are: a follower reports every two minutes.
#[test]
fn an_instance_is_gone_after_five_minutes_without_a_report_at_the_earliest() {
    let with = |observation_window| Policy {
        rollout_window: Duration::ZERO,
        skew: Duration::ZERO,
        observation_window,
        ..Policy::default()
    };
    let end = |window| end_of(at(0), &with(window));
    assert_eq!(end(Duration::from_secs(120)), Some(at(0) + Duration::from_secs(300)));
    assert_eq!(end(DAY), Some(at(1)));
}

#[test]
fn an_observation_reaches_back_as_far_as_instances_follow_each_other() {
    const MINUTE: Duration = Duration::from_secs(60);
    let (policy, now) = (Policy::default(), at(9));
    // Five minutes without a report, and the skew of five.
    let gap = 10 * MINUTE;
    let watched = |begin, end| {
        let mut report = readable_report("one", end);
        report.observed_since = begin;
        report
    };
    let stopped = |begin, end| Report { has_stopped: true, ..watched(begin, end) };
    let since = |reports: &[Report]| observed_since(reports, &policy, at(0), now);
    let nano = Duration::from_nanos(1);
    let running = watched(now - HOUR, now - gap);
    assert_eq!(since(std::slice::from_ref(&running)), Some(now - HOUR));
    assert_eq!(since(&[watched(now - HOUR, now - gap - nano)]), None);
    // One before it, which ended just in time, or has stopped since, or ended too early.
    let end = now - HOUR - gap;
    for (before, expected) in [
        (watched(now - DAY, end), now - DAY),
        (stopped(now - DAY, end), now - DAY),
        (watched(now - DAY, end - nano), now - HOUR),
        (stopped(now - DAY, end - nano), now - HOUR),
        // A rewrap run counted nothing.
        (stopped(end, end), now - HOUR),
    ] {
        assert_eq!(since(&[running.clone(), before.clone()]), Some(expected), "{before:?}");
        assert_eq!(since(&[before.clone(), running.clone()]), Some(expected), "{before:?}");
    }
    // Three in a row.
    let (second, third) = (stopped(now - DAY, end), stopped(now - 3 * DAY, now - DAY));
    assert_eq!(since(&[third, running, second]), Some(now - 3 * DAY));
    assert_eq!(since(&[stopped(now, now)]), None);
    assert_eq!(since(&[stopped(now - nano, now)]), Some(now - nano));
}

#[test]
fn objections_end_one_window_after_the_last_report_that_objects() {
    let (policy, now) = (Policy::default(), at(9));
    let objecting = |reported_at| {
        let mut report = readable_report("objecting", reported_at);
        report.fingerprint = other();
        report
    };
    let end =
        |reports: &[Report]| disagreement_end(reports, Fingerprint::NONE, &policy, at(0), now);
    let nano = Duration::from_nanos(1);
    assert_eq!(end(&[]), None);
    assert_eq!(end(&[readable_report("agreeing", now)]), None);
    assert_eq!(end(&[objecting(now - DAY)]), None, "it is gone");
    assert_eq!(end(&[objecting(now - DAY + nano)]), Some(now + nano));
    let reports =
        [objecting(now - 2 * HOUR), objecting(now - HOUR), broken("broken", now - 3 * HOUR)];
    assert_eq!(end(&reports), Some(now - HOUR + DAY));
    assert_eq!(end(&reports[2..]), Some(now - 3 * HOUR + DAY));
}
