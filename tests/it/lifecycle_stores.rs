//! The life of a key, continued: ends that lie ahead, documents that cannot be used but revoke, and
//! longer policies.

use std::fs;
use std::time::{Duration, SystemTime};

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::envelope::AesKey;
use dualkey::manifest::{Change, Manifest, NewEntry};
use dualkey::source::{DotenvStore, FileStore, StoreError, update};
use dualkey::{
    Clock, Error, KeyRing, KeyState, Kid, ManualClock, NewKey, Policy, Purpose, Reason, Role,
    Secret,
};
use pollster::block_on;
use serde_json::{Value, json};

use crate::support::manifest::stored;
use crate::support::manifest::{at, entry, first};
use crate::support::{EventLog, aes_key, secret};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

fn overlap() -> Duration {
    Policy::default().overlap()
}

/// Every instance that reports holds `manifest`.
fn promote(manifest: &Manifest, name: &str, now: SystemTime) -> Result<Change, Error> {
    let builder = KeyRing::<CookieKey>::builder().name("SESSION_SECRET").environment("test");
    let ring = manifest.build_ring(builder.clock(ManualClock::new(now))).unwrap();
    manifest.promote(&kid(name), &[ring.report("one")], now)
}

/// `a` was the primary until `b` was promoted at `at(0)`.
fn two() -> Manifest {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    promote(&manifest, "b", at(0)).unwrap().manifest
}

/// The moment at which a key was superseded is recorded, so a later step does not move an end that
/// lies ahead.
#[test]
fn an_end_that_lies_ahead_stays_whatever_becomes_of_the_keys_after() {
    let day = at(0) + DAY;
    let manifest = two().stage(entry(2, "c"), day).unwrap().manifest;
    let manifest = promote(&manifest, "c", day).unwrap().manifest;
    let end = Some(at(0) + overlap());
    assert_eq!(manifest.verifies_until(&kid("a")), end);
    let now = day + DAY;
    let spare = entry(9, "spare");
    let steps: [(&str, Manifest); 5] = [
        ("revoke the fallback", manifest.revoke(&kid("b"), "leaked", now).unwrap().manifest),
        ("revoke the primary", manifest.revoke(&kid("c"), "leaked", now).unwrap().manifest),
        ("promote the fallback again", promote(&manifest, "b", now).unwrap().manifest),
        ("roll back", manifest.rollback(&[], now).unwrap().manifest),
        (
            "emergency, the fallback",
            manifest.emergency_rotate(&kid("b"), "leaked", spare, now).unwrap().manifest,
        ),
    ];
    for (name, after) in steps {
        assert_eq!(after.verifies_until(&kid("a")), end, "{name}");
    }

    // The same in memory.
    let clock = ManualClock::new(at(0));
    let key = |seed, name: &str| NewKey::new(Secret::from(secret(seed))).kid(kid(name));
    let ring = KeyRing::<CookieKey>::builder().primary(key(0, "a")).clock(clock.clone());
    let ring = ring.build().unwrap();
    ring.promote(&ring.stage(key(1, "b")).unwrap()).unwrap();
    clock.advance(DAY);
    ring.promote(&ring.stage(key(2, "c")).unwrap()).unwrap();
    clock.advance(DAY);
    ring.revoke(&kid("b"), "leaked").unwrap();
    assert_eq!(ring.load().verifies_until(&kid("a")), end);
}

/// The only other key has expired by time: a revocation does not make it the primary.
#[test]
fn an_expired_key_takes_over_from_no_revoked_one() {
    let manifest = two();
    let now = at(0) + overlap() + HOUR;
    assert_eq!(manifest.state(&kid("a"), now), Some(KeyState::Expired));
    let refused = manifest.revoke(&kid("b"), "leaked", now);
    assert!(matches!(refused, Err(Error::NoPrimary { .. })), "{refused:?}");
    let refused = manifest.rollback(&[], now);
    assert!(matches!(refused, Err(Error::Expired { kid: expired }) if expired == kid("a")));

    let clock = ManualClock::new(now);
    let builder = KeyRing::<CookieKey>::builder().name("SESSION_SECRET").environment("test");
    let ring = manifest.build_ring(builder.clock(clock.clone())).unwrap();
    assert!(matches!(ring.revoke(&kid("b"), "leaked"), Err(Error::NoPrimary { .. })));
    assert_eq!(ring.load().state(&kid("a"), now), Some(KeyState::Expired));
}

/// The key that takes over loses the end that it had because it was superseded.
#[test]
fn a_key_that_takes_over_from_a_revoked_one_has_no_end() {
    let manifest = two();
    let now = at(0) + HOUR;
    let reports = {
        let builder = KeyRing::<CookieKey>::builder().name("SESSION_SECRET").environment("test");
        let ring = manifest.build_ring(builder.clock(ManualClock::new(now))).unwrap();
        [ring.report("one")]
    };
    let settled = manifest.retire(&kid("a"), &reports, now).unwrap();
    assert_eq!(settled.verifies_until, Some(at(0) + overlap()));
    for before in [manifest, settled.manifest] {
        let after = before.revoke(&kid("b"), "leaked", now + HOUR).unwrap().manifest;
        assert_eq!(after.primary(now + HOUR), kid("a"));
        assert_eq!(after.verifies_until(&kid("a")), None);
        assert_eq!(after.primary(now + 3 * overlap()), kid("a"));
    }
}

#[test]
fn a_longer_policy_moves_an_end_that_was_settled_and_none_that_is_past() {
    let longer = |policy: &Policy| {
        let mut policy = *policy;
        policy.max_lifetime += DAY;
        policy
    };
    let (manifest, now) = (two(), at(0) + HOUR);
    let builder = KeyRing::<CookieKey>::builder().name("SESSION_SECRET").environment("test");
    let ring = manifest.build_ring(builder.clock(ManualClock::new(now))).unwrap();
    let settled = manifest.retire(&kid("a"), &[ring.report("one")], now).unwrap().manifest;
    assert_eq!(settled.key(&kid("a")).unwrap().retire_at(), Some(at(0) + overlap()));
    for before in [&manifest, &settled] {
        let after = before.set_policy(longer(before.policy()), now).unwrap();
        assert_eq!(after.verifies_until(&kid("a")), Some(at(0) + overlap() + DAY));
    }
    let forced = manifest.force("a former employee has it").retire(&kid("a"), now).unwrap();
    let after = forced.manifest.set_policy(longer(manifest.policy()), now).unwrap();
    assert_eq!(after.verifies_until(&kid("a")), Some(now));
}

/// Every instance reports a later time, or none has reported for an observation window: a step would
/// be dated wrongly. Without reports there is no other clock.
#[test]
fn a_step_by_a_clock_that_the_reports_contradict_is_refused_and_a_revocation_is_not() {
    let manifest = two().stage(entry(2, "c"), at(0)).unwrap().manifest;
    let now = at(3600);
    let reports_at = |moment| {
        let builder = KeyRing::<CookieKey>::builder().name("SESSION_SECRET").environment("test");
        let ring = manifest.build_ring(builder.clock(ManualClock::new(moment))).unwrap();
        [ring.report("one")]
    };
    for (newest, says) in [(now + HOUR, "which lie ahead"), (at(0) - DAY, "older than")] {
        let reports = reports_at(newest);
        let error = manifest.retire(&kid("c"), &reports, now).unwrap_err();
        assert!(
            matches!(error, Error::ClockDisagrees { now: here, other, .. }
                if here == now && other == newest),
            "{error}"
        );
        assert!(error.to_string().contains(says), "{error}");
        assert!(matches!(manifest.check_clock(&reports, now), Err(Error::ClockDisagrees { .. })));
        let trusting = manifest.clone().trust_clock();
        assert!(trusting.retire(&kid("c"), &reports, now).is_ok());
        assert!(trusting.check_clock(&reports, now).is_ok());
    }
    // All instances agree on the manifest, and not on the time.
    let ahead = reports_at(now + HOUR);
    let error = manifest.promote(&kid("c"), &ahead, now).unwrap_err();
    assert!(matches!(error, Error::ClockDisagrees { .. }), "{error}");
    assert!(manifest.promote(&kid("c"), &ahead, now + HOUR).is_ok());
    // A repair sets dates as well.
    let wrong = manifest.stage(entry(3, "d"), now + 300 * DAY).unwrap().manifest;
    let error = wrong.repair_clock(&ahead, now).unwrap_err();
    assert!(matches!(error, Error::ClockDisagrees { .. }), "{error}");
    assert!(wrong.repair_clock(&reports_at(now), now).is_ok());

    assert!(manifest.check_clock(&reports_at(now + Duration::from_secs(300)), now).is_ok());
    assert!(manifest.check_clock(&[], now).is_ok());
    assert!(manifest.revoke(&kid("a"), "leaked", now).is_ok());
}

struct Scene {
    folder: tempfile::TempDir,
    event_log: EventLog,
    following: dualkey::source::FollowHandle<CookieKey>,
    signer: CookieSigner,
}

impl Scene {
    fn new(manifest: &Manifest) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring.json");
        drop(stored(&path, manifest));
        let event_log = EventLog::default();
        let following = KeyRing::<CookieKey>::builder()
            .name("SESSION_SECRET")
            .environment("test")
            .clock(ManualClock::new(at(60)))
            .observer(event_log.clone())
            .follow(FileStore::new(&path))
            .on_demand()
            .unwrap();
        let signer = CookieSigner::new(following.ring().clone());
        Self { folder, event_log, following, signer }
    }

    /// Edits the stored document by hand, and has the ring read it.
    fn edit(&self, change: impl FnOnce(&mut Value)) -> &'static str {
        let path = self.folder.path().join("ring.json");
        let mut document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut document);
        fs::write(&path, document.to_string()).unwrap();
        self.following.refresh().unwrap_err().as_str()
    }

    fn reason(&self, value: &str) -> Option<Reason> {
        self.signer.verify("session", value).err().map(|error| error.reason())
    }
}

/// A document without a key that signs is no manifest. It revokes all the same.
#[test]
fn v8_a_document_that_revokes_its_only_key_leaves_a_ring_that_serves_nothing() {
    for revision in [1, 2] {
        let scene = Scene::new(&first());
        let value = scene.signer.sign("session", "user-42").unwrap();
        let error = scene.edit(|document| {
            document["revision"] = json!(revision);
            document["keys"][0]["revoked"] =
                json!({"at": "2027-01-15T08:00:00Z", "reason": "in a public log"});
        });
        assert_eq!(error, "manifest");
        assert_eq!(scene.reason(&value), Some(Reason::RevokedKey));
        assert!(matches!(scene.signer.sign("session", "x"), Err(Error::NothingSigns)));
        assert_eq!(scene.following.ring().primary(), None);
        let health = scene.following.health();
        assert!(!health.is_serving && !health.is_stale);
        assert!(health.last_error.unwrap().contains("applies its revocations"));
        let event_log = scene.event_log.all();
        assert!(event_log.iter().any(|line| line.contains("in a public log")), "{event_log:?}");
    }
}

/// A later version of the document, of which this release reads the revocations alone.
#[test]
fn v8_a_document_of_another_version_revokes() {
    let scene = Scene::new(&two());
    let old = NewKey::new(Secret::from(secret(0))).kid(kid("a"));
    let other = KeyRing::<CookieKey>::builder().primary(old).clock(ManualClock::new(at(60)));
    let of_old = CookieSigner::new(other.build().unwrap()).sign("session", "user-42").unwrap();
    let of_new = scene.signer.sign("session", "user-42").unwrap();
    assert_eq!((scene.reason(&of_old), scene.reason(&of_new)), (None, None));
    // One of another ring, or of another environment, revokes nothing here.
    for field in ["ring", "environment"] {
        let mut before = Value::Null;
        let error = scene.edit(|document| {
            before = document.clone();
            document["version"] = json!(9);
            document["min_reader_version"] = json!(9);
            document[field] = json!("other");
            document["keys"][0]["revoked"] = json!(null);
        });
        assert_eq!((error, scene.reason(&of_old)), ("manifest", None), "{field}");
        fs::write(scene.folder.path().join("ring.json"), before.to_string()).unwrap();
    }
    let error = scene.edit(|document| {
        document["version"] = json!(9);
        document["min_reader_version"] = json!(9);
        document["hint"] = json!({"unknown": true});
        document["keys"][0]["revoked"] = json!({"since": 7});
    });
    assert_eq!(error, "manifest");
    assert_eq!((scene.reason(&of_old), scene.reason(&of_new)), (Some(Reason::RevokedKey), None));
    assert!(scene.following.health().is_serving);
}

/// An encryption key has no end by time, so only a record of it settles who is superseded.
#[test]
fn an_encryption_key_stays_live_whatever_is_superseded() {
    let clock = ManualClock::new(at(0));
    let ring = KeyRing::<AesKey>::builder().primary(aes_key(0, "x")).clock(clock.clone());
    let ring = ring.build().unwrap();
    ring.promote(&ring.stage(aes_key(1, "y")).unwrap()).unwrap();
    clock.advance(400 * DAY);
    ring.promote(&kid("x")).unwrap();
    ring.rollback().unwrap();
    assert_eq!(
        ring.load().state(&kid("x"), at(0) + 800 * DAY),
        Some(KeyState::Live(Role::Fallback))
    );
}

/// Another process revokes the only key that this one knows, and an edit of the file by hand, seen
/// once, does not count yet.
#[test]
fn v8_a_record_that_revokes_the_only_key_leaves_a_ring_that_serves_nothing() {
    let letters = |seed| {
        let text: String = secret(seed).chars().filter(char::is_ascii_alphanumeric).collect();
        text.chars().cycle().take(128).collect::<String>()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let clock = ManualClock::at_unix(4_000_000_000);
    let store = || DotenvStore::new(&path, "X", Purpose::Cookie, "test").clock(clock.clone());
    fs::write(&path, format!("X={}\n", letters(0))).unwrap();
    let builder =
        KeyRing::<CookieKey>::builder().name("X").environment("test").clock(clock.clone());
    let following = builder.follow(store()).on_demand().unwrap();
    let signer = CookieSigner::new(following.ring().clone());
    let value = signer.sign("session", "user-42").unwrap();
    let leaked = following.ring().primary().unwrap();

    let now = clock.now();
    let spare = || NewEntry::new(Secret::from(letters(1)));
    let rotate =
        |manifest: &Manifest| manifest.emergency_rotate(&leaked, "in a public log", spare(), now);
    block_on(update(&store(), rotate)).unwrap();
    fs::write(&path, format!("X={}\n", letters(2))).unwrap();
    let error = following.refresh().unwrap_err();
    assert!(matches!(error, StoreError::OnlyRevocations { .. }), "{error}");
    assert_eq!(signer.verify("session", &value).unwrap_err().reason(), Reason::RevokedKey);
    assert_eq!(following.ring().primary(), None);
    assert!(!following.health().is_serving);
    // The edit counts when it was seen twice, and the ring serves again.
    let _ = following.refresh();
    let _ = following.refresh();
    assert!(following.health().is_serving, "{:?}", following.health().last_error);
    // The record keeps no secret of a revoked key, so its kid is unknown now.
    assert_eq!(signer.verify("session", &value).unwrap_err().reason(), Reason::UnknownKid);
}

/// The record of another release, or one with something that cannot be read.
#[test]
fn v8_a_record_that_cannot_be_read_still_revokes() {
    for (change, reader) in
        [("\"version\": 2", "_version\": 2"), ("\"version\": 1,\n  \"new\": {}", "_version\": 1")]
    {
        let letters = |seed| {
            let text: String = secret(seed).chars().filter(char::is_ascii_alphanumeric).collect();
            text.chars().cycle().take(128).collect::<String>()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let clock = ManualClock::at_unix(4_000_000_000);
        let store = || DotenvStore::new(&path, "X", Purpose::Cookie, "test").clock(clock.clone());
        fs::write(&path, format!("X={}\n", letters(0))).unwrap();
        let builder =
            KeyRing::<CookieKey>::builder().name("X").environment("test").clock(clock.clone());
        let following = builder.follow(store()).on_demand().unwrap();
        let signer = CookieSigner::new(following.ring().clone());
        let value = signer.sign("session", "user-42").unwrap();
        let leaked = following.ring().primary().unwrap();

        let now = clock.now();
        let spare = || NewEntry::new(Secret::from(letters(1)));
        let rotate =
            |manifest: &Manifest| manifest.emergency_rotate(&leaked, "leaked", spare(), now);
        block_on(update(&store(), rotate)).unwrap();
        let record = folder.path().join(".env.dualkey").join("X.json");
        let text = fs::read_to_string(&record).unwrap();
        let other = text.replace("\"version\": 1", change).replace("_version\": 1", reader);
        assert_ne!(text, other);
        fs::write(&record, other).unwrap();
        assert!(following.refresh().is_err());
        let reason = signer.verify("session", &value).unwrap_err().reason();
        assert_eq!(reason, Reason::RevokedKey, "{change}");
    }
}
