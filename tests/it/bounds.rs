//! What is out of bounds is refused with its field and its limit; what is at its bounds overflows
//! nothing.

use std::time::{Duration, UNIX_EPOCH};

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::manifest::Manifest;
use dualkey::{
    Error, KeyRing, Kid, ManualClock, Policy, Purpose, Report, RewrapRecord, Schedule, Secret,
    UsageBucket, UsageCounts,
};
use serde_json::{Value, json};

use crate::support::bounds::{DAY, MAX, MAX_COUNT, extreme, moments};
use crate::support::manifest::{at, entry, first};
use crate::support::secret;

type Change = fn(&mut Policy);

/// Each field at its bound, and beyond it, with what is said of that.
const FIELDS: [(Change, Change, &str); 7] = [
    (
        |policy| policy.max_lifetime = MAX,
        |policy| policy.max_lifetime = MAX + Duration::from_nanos(1),
        "`max_lifetime` is more than 36525 days",
    ),
    (
        |policy| policy.rollout_window = MAX,
        |policy| policy.rollout_window = Duration::MAX,
        "`rollout_window` is more than 36525 days",
    ),
    (
        |policy| policy.skew = MAX,
        |policy| policy.skew = MAX + DAY,
        "`skew` is more than 36525 days",
    ),
    (
        |policy| policy.observation_window = MAX,
        |policy| policy.observation_window = Duration::MAX,
        "`observation_window` is more than 36525 days",
    ),
    (
        |policy| policy.schedule = Some(Schedule::Days(36_525)),
        |policy| policy.schedule = Some(Schedule::Days(36_526)),
        "the days of `schedule` are more than 36525",
    ),
    (
        |policy| policy.min_observed_verifications = MAX_COUNT,
        |policy| policy.min_observed_verifications = u64::MAX,
        "`min_observed_verifications` is more than 2^53 - 1",
    ),
    (
        |policy| policy.min_secret_bytes = Some(64),
        |policy| policy.min_secret_bytes = Some(64 * 1024 + 1),
        "`min_secret_bytes` is more than 65536",
    ),
];

/// Instances report every two minutes: a shorter window is never covered by a report. One that is stored
/// is read, because a ring must not be lost for it.
#[test]
fn a_manifest_refuses_a_window_below_the_report_interval_when_set_and_reads_one_when_stored() {
    let with = |seconds: u64| {
        let mut policy = Policy::default();
        policy.observation_window = Duration::from_secs(seconds);
        policy
    };
    for seconds in [0, 1, 60, 119] {
        // A ring in memory counts its own uses, at every moment.
        let ring = ring_with(with(seconds)).unwrap();
        assert_eq!(ring.policy().observation_window, Duration::from_secs(seconds));
        let refused = [
            manifest_with(with(seconds)).map(drop),
            first().set_policy(with(seconds), at(1)).map(drop),
        ];
        for refused in refused {
            let text = refused.as_ref().map_err(ToString::to_string).unwrap_err().clone();
            assert!(matches!(refused, Err(Error::ObservationTooShort { .. })), "{text}");
            assert!(text.contains(&format!("{seconds} s")) && text.contains("120 s"), "{text}");
        }
        let forced = first().force("a demo").set_policy(with(seconds), at(1)).unwrap();
        let text = forced.to_json().unwrap();
        let stored = Manifest::from_json(text.expose()).unwrap();
        assert_eq!(stored.policy().observation_window, Duration::from_secs(seconds));
        let reason = &stored.keys()[0].forced_steps()[0];
        assert_eq!((&*reason.action, &*reason.reason), ("set_policy", "a demo"));
        let ring = stored.build_ring(KeyRing::<CookieKey>::builder().environment("test"));
        assert!(ring.unwrap().primary().is_some());
        // Every step but another short policy is taken.
        assert!(stored.stage(entry(1, "b"), at(2)).is_ok());
        assert!(stored.set_policy(Policy::default(), at(2)).is_ok());
    }
    for seconds in [120, 180, 86_400] {
        assert!(manifest_with(with(seconds)).is_ok());
        assert!(first().set_policy(with(seconds), at(1)).is_ok());
    }
}

fn manifest_with(policy: Policy) -> Result<Manifest, Error> {
    Manifest::new("SESSION_SECRET", Purpose::Cookie, "test", policy, entry(0, "a"), at(0))
}

fn ring_with(policy: Policy) -> Result<KeyRing<CookieKey>, Error> {
    KeyRing::<CookieKey>::builder().primary(Secret::from(secret(0))).policy(policy).build()
}

#[test]
fn a_policy_beyond_its_bounds_is_refused_with_the_field_and_the_limit() {
    for (within, beyond, says) in FIELDS {
        let mut policy = Policy::default();
        within(&mut policy);
        assert!(manifest_with(policy).is_ok() && ring_with(policy).is_ok(), "{says}");
        assert!(first().set_policy(policy, at(1)).is_ok(), "{says}");
        beyond(&mut policy);
        let mut errors = vec![ring_with(policy).unwrap_err()];
        // No secret is long enough for such a manifest, which is said first.
        if policy.min_secret_bytes.is_none() {
            errors.push(manifest_with(policy).unwrap_err());
            errors.push(first().set_policy(policy, at(1)).unwrap_err());
        }
        for error in errors {
            assert!(matches!(error, Error::PolicyBounds { what } if what == says), "{error}");
            assert_eq!(error.to_string(), format!("cannot use the policy: {says}; set it to less"));
        }
    }
}

fn document(manifest: &Manifest) -> Value {
    serde_json::from_slice(manifest.to_json().unwrap().expose()).unwrap()
}

fn read(document: &Value) -> Result<Manifest, Error> {
    Manifest::from_json(document.to_string().as_bytes())
}

#[test]
fn a_manifest_beyond_its_bounds_is_refused_with_the_field_and_the_limit() {
    let last = "9999-12-30T00:00:00Z";
    for (pointer, within, beyond, says) in [
        (
            "/policy/max_lifetime_seconds",
            json!(3_155_760_000_u64),
            json!(3_155_760_001_u64),
            "`max_lifetime_seconds` is more than 36525 days",
        ),
        (
            "/policy/rollout_window_seconds",
            json!(0),
            json!(u64::MAX),
            "`rollout_window_seconds` is more than 36525 days",
        ),
        (
            "/policy/skew_seconds",
            json!(0),
            json!(u64::MAX),
            "`skew_seconds` is more than 36525 days",
        ),
        (
            "/policy/observation_window_seconds",
            json!(3_155_760_000_u64),
            json!(u64::MAX),
            "`observation_window_seconds` is more than 36525 days",
        ),
        (
            "/policy/min_observed_verifications",
            json!(MAX_COUNT),
            json!(MAX_COUNT + 1),
            "`min_observed_verifications` is more than 2^53 - 1",
        ),
        ("/revision", json!(MAX_COUNT), json!(MAX_COUNT + 1), "`revision` is more than 2^53 - 1"),
        ("/revision", json!(1), json!(u64::MAX), "`revision` is more than 2^53 - 1"),
        (
            "/keys/0/sequence",
            json!(MAX_COUNT),
            json!(u64::MAX),
            "`sequence` of the key `a` is more than 2^53 - 1",
        ),
        (
            "/changed_at",
            json!(last),
            json!("1969-12-31T23:59:59Z"),
            "its `changed_at` is not from 1970 to 9999",
        ),
        (
            "/keys/0/added_at",
            json!("1970-01-01T00:00:00Z"),
            json!("0001-01-01T00:00:00Z"),
            "`added_at` of the key `a` is not from 1970 to 9999",
        ),
        (
            "/keys/1/signing_start",
            json!({ "from": last }),
            json!({ "from": "0001-01-01T00:00:00Z" }),
            "`signing_start` of the key `b` is not from 1970 to 9999",
        ),
    ] {
        let staged = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
        let mut document = document(&staged);
        *document.pointer_mut(pointer).unwrap() = within;
        assert!(read(&document).is_ok(), "{pointer}: {:?}", read(&document));
        *document.pointer_mut(pointer).unwrap() = beyond;
        let error = read(&document).unwrap_err().to_string();
        assert!(error.contains(says) && error.starts_with("cannot use the "), "{pointer}: {error}");
    }
    // A revocation at a moment out of bounds revokes its key (V8).
    let staged = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let mut revoked = document(&staged);
    revoked["keys"][1]["revoked"] = json!({ "at": "0001-01-01T00:00:00Z", "reason": "leaked" });
    let kid: Kid = "b".parse().unwrap();
    assert_eq!(read(&revoked).unwrap().state(&kid, at(1)).unwrap().as_str(), "revoked");
    // More keys than fit into its size.
    let gone = |place: usize| {
        json!({ "kid": format!("gone-{place}"), "added_at": "2026-01-01T00:00:00Z", "sequence": 1,
            "signing_start": "unscheduled", "destroyed_at": "2026-01-01T00:00:00Z" })
    };
    let mut full = document(&first());
    full["keys"].as_array_mut().unwrap().extend((0..4096).map(gone));
    let error = read(&full).unwrap_err().to_string();
    assert_eq!(error, "cannot use the manifest: it has more than 4096 keys; make a new manifest");
}

#[test]
fn moments_of_a_step_beyond_the_calendar_are_refused() {
    let late = UNIX_EPOCH + Duration::from_secs(253_402_300_800);
    for moment in [UNIX_EPOCH - DAY, late] {
        let new = Manifest::new(
            "SESSION_SECRET",
            Purpose::Cookie,
            "test",
            Policy::default(),
            entry(0, "a"),
            moment,
        );
        let error = new.unwrap_err().to_string();
        assert!(error.contains("`changed_at` is not from 1970 to 9999"), "{error}");
    }
    let error = first().stage(entry(1, "b").signs_from(late), at(0)).unwrap_err().to_string();
    assert!(error.contains("`signing_start` of the key `b` is not from 1970 to 9999"), "{error}");
}

fn report() -> Report {
    let builder = KeyRing::<CookieKey>::builder().environment("test");
    let ring = first().build_ring(builder.clock(ManualClock::new(at(0)))).unwrap();
    ring.report("web-1")
}

#[test]
fn a_report_beyond_its_bounds_is_refused_with_the_field_and_the_limit() {
    let kid: Kid = "a".parse().unwrap();
    let mut full = report();
    full.rewrap = Some(RewrapRecord {
        started_at: at(0),
        finished_at: at(1),
        unreadable: 0,
        nothing_sealed: 1,
        rows: vec![(kid, 1)],
    });
    full.buckets =
        vec![UsageBucket { from: at(0), to: at(1), uses: vec![(kid, UsageCounts::default())] }];
    (full.signed, full.last_as_fallback) = (vec![(kid, 1)], vec![(kid, at(1))]);
    let text = full.to_json().unwrap();
    assert_eq!(Report::from_json(text.as_bytes()).unwrap(), full);
    let many = |one: Value, count: usize| Value::from(vec![one; count]);
    let bucket =
        json!({ "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z", "uses": [] });
    let early = json!("1969-01-01T00:00:00Z");
    for (pointer, beyond, says) in [
        ("/instance", json!(""), "1 to 128 characters"),
        ("/instance", json!("x".repeat(129)), "1 to 128 characters"),
        ("/instance", json!("web\u{1b}[2J"), "1 to 128 characters"),
        ("/instance", json!("web\n"), "1 to 128 characters"),
        ("/instance", json!("web\u{61c}"), "1 to 128 characters"),
        ("/instance", json!("web 1"), "1 to 128 characters"),
        ("/instance", json!("wéb"), "1 to 128 characters"),
        ("/ring", json!("x".repeat(257)), "the name of the ring"),
        ("/ring", json!("X\u{202e}"), "the name of the ring"),
        ("/revision", json!(u64::MAX), "`revision` is more than 2^53 - 1"),
        ("/reported_at", early.clone(), "`reported_at` of the report is not from 1970 to 9999"),
        ("/observed_since", early.clone(), "`observed_since` of the report"),
        ("/buckets", many(bucket, 1001), "`buckets` of the report has more than 1000 entries"),
        ("/buckets/0/from", early.clone(), "`from` of the report"),
        ("/buckets/0/to", early.clone(), "`to` of the report"),
        (
            "/buckets/0/uses/0/signed",
            json!(u64::MAX),
            "`signed` of the report is more than 2^53 - 1",
        ),
        ("/signed", many(json!(["a", 1]), 4097), "`signed` of the report has more than 4096"),
        ("/signed/0/1", json!(u64::MAX), "`signed` of the report is more than 2^53 - 1"),
        ("/last_as_fallback/0/1", early.clone(), "`last_as_fallback` of the report"),
        ("/rewrap/finished_at", early.clone(), "`finished_at` of the report"),
        ("/rewrap/unreadable", json!(u64::MAX), "`unreadable` of the report"),
        ("/rewrap/nothing_sealed", json!(u64::MAX), "`nothing_sealed` of the report"),
        ("/rewrap/rows/0/1", json!(u64::MAX), "`rows` of the report is more than 2^53 - 1"),
        ("/min_reader_version", json!(2), "no reader is newer than its format"),
    ] {
        let mut document: Value = serde_json::from_str(&text).unwrap();
        *document.pointer_mut(pointer).unwrap() = beyond;
        let error = Report::from_json(document.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Manifest { .. }), "{error}");
        assert!(error.to_string().contains(says), "{pointer}: {error}");
    }
    let large = format!("{text}{}", " ".repeat(1024 * 1024));
    let error = Report::from_json(large.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("more than 1 MiB"), "{error}");
    // What could not be read again is not written.
    for instance in ["", "web\n", "web 1", &"x".repeat(129)] {
        let mut report = report();
        report.instance = instance.to_owned();
        assert!(report.to_json().is_err(), "{instance}");
    }
}

#[test]
fn rings_verdicts_and_steps_at_their_bounds_overflow_nothing() {
    let mut cases = 0;
    for policy in extreme() {
        for start in moments() {
            let clock = ManualClock::new(start);
            let ring = KeyRing::<CookieKey>::builder()
                .primary(Secret::from(secret(0)))
                .policy(policy)
                .clock(clock.clone())
                .build()
                .unwrap();
            let old = ring.primary().unwrap();
            let new = ring.stage(Secret::from(secret(1))).unwrap();
            let signer = CookieSigner::new(ring.clone());
            let value = signer.sign("sid", "x").unwrap();
            let _ = ring.promote(&new);
            let manifest = Manifest::new(
                "SESSION_SECRET",
                Purpose::Cookie,
                "test",
                policy,
                entry(0, "a"),
                start,
            );
            let manifest = manifest.unwrap();
            for now in moments() {
                clock.set(now);
                let _ = signer.verify("sid", &value);
                let mut report = ring.report("web-1");
                assert_eq!(report.problem, None);
                report.signed = vec![(old, u64::MAX), (old, u64::MAX)];
                report.last_as_fallback = vec![(old, now)];
                let uses = UsageCounts {
                    verified_as_primary: u64::MAX,
                    verified_as_fallback: u64::MAX,
                    signed: u64::MAX,
                };
                let bucket =
                    UsageBucket { from: start, to: now, uses: vec![(old, uses), (old, uses)] };
                report.buckets = vec![bucket.clone(), bucket];
                ring.resume(&report);
                let _ = ring.retirement(&old).unwrap();
                let reports =
                    [report.clone(), Report::for_unreadable("web-2", start, "it is empty")];
                let _ = ring.load().retirement(&old, &reports, now).unwrap();
                let kid = "a".parse().unwrap();
                let _ = manifest.retirement(&kid, &reports, now).unwrap();
                let _ = (manifest.rotation_due(now), manifest.next_transition(now));
                let _ = manifest.stage(entry(1, "b"), now).map(|change| {
                    let staged = change.manifest;
                    let _ = staged.promote(&"b".parse().unwrap(), &reports, now);
                    let _ = staged.force("a test").promote(&"b".parse().unwrap(), now);
                });
                if let Some(schedule) = policy.schedule {
                    let _ = (schedule.next(now), schedule.next(start));
                }
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 243 * 4 * 4);
}
