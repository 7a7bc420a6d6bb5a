//! Manifests and reports of a newer version, in a fleet of two.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::ClosureStore;
use dualkey::{
    Error, KeyRing, KeyState, Kid, ManualClock, Policy, Purpose, Reason, Report, Secret, Verdict,
};
use serde_json::{Value, json};

use crate::support::manifest::{at, entry, first};
use crate::support::secret;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

fn value(manifest: &Manifest) -> Value {
    serde_json::from_slice(manifest.to_json().unwrap().expose()).unwrap()
}

fn read(value: &Value) -> Result<Manifest, Error> {
    Manifest::from_json(value.to_string().as_bytes())
}

/// What a newer release makes of a manifest: version 3 of the format, which a reader of version 1
/// understands, with fields of its own in every object.
fn newer(manifest: &Manifest) -> Value {
    let mut document = value(manifest);
    document["version"] = json!(3);
    document["min_reader_version"] = json!(1);
    document["labels"] = json!({"team": "payments", "text": "a \"quoted\" \\ line"});
    document["policy"]["grace_seconds"] = json!(30);
    for key in document["keys"].as_array_mut().unwrap() {
        key["owner"] = json!({"id": 7, "name": "ops"});
        for nested in ["earlier_end", "revoked", "recogniser"] {
            if key.get(nested).is_some() {
                key[nested]["since"] = json!("2027-01-15T10:00:00Z");
            }
        }
    }
    document
}

#[test]
fn a_newer_manifest_is_read_and_a_step_keeps_its_fields() {
    let manifest = first().stage(entry(1, "b"), at(10)).unwrap().manifest;
    let mut document = newer(&manifest);
    let now = at(10) + DAY;
    let read_back = read(&document).unwrap();
    assert_eq!(read_back.fingerprint(), manifest.fingerprint());

    let promoted =
        read_back.assume_deployed("tested").promote(&kid("b"), &[], now).unwrap().manifest;
    let retired = promoted.revoke(&kid("a"), "leaked", now).unwrap().manifest;
    let written = value(&retired);
    for field in ["version", "min_reader_version", "labels"] {
        assert_eq!(written[field], document[field], "{field}");
    }
    assert_eq!(written["policy"]["grace_seconds"], 30);
    for key in written["keys"].as_array().unwrap() {
        assert_eq!(key["owner"], json!({"id": 7, "name": "ops"}), "{key}");
    }
    // A new key has none, and the next reader takes the whole.
    let staged = retired.stage(entry(2, "c"), now).unwrap().manifest;
    assert_eq!(value(&staged)["keys"][2].get("owner"), None);
    assert_eq!(read(&value(&staged)).unwrap().fingerprint(), staged.fingerprint());

    // A key that is destroyed keeps nothing that might be secret.
    let destroyed = staged.destroy(&kid("a"), &[], now).unwrap().manifest;
    assert_eq!(value(&destroyed)["keys"][0].get("owner"), None);

    // The fields are not part of what `Debug` shows (V10).
    document["keys"][0]["wrapped_secret"] = json!("Zq9Ml5KiNf0Vg6Jc");
    assert!(!format!("{:?}", read(&document).unwrap()).contains("Zq9Ml5Ki"));
}

#[test]
fn a_manifest_for_newer_readers_is_refused_and_still_revokes() {
    let manifest = first().stage(entry(1, "b"), at(10)).unwrap().manifest;
    let revoked = manifest.revoke(&kid("b"), "leaked", at(20)).unwrap().manifest;
    let mut document = newer(&revoked);
    document["min_reader_version"] = json!(2);
    let error = read(&document).unwrap_err().to_string();
    for part in ["version 3", "version 2", "version 1", "update dualkey"] {
        assert!(error.contains(part), "{part}: {error}");
    }

    // V8: the revocation is applied all the same.
    let stored = Arc::new(Mutex::new(manifest.to_json().unwrap()));
    let source = Arc::clone(&stored);
    let store = ClosureStore::new("a test", move || {
        let stored = source.lock().unwrap().expose().to_vec();
        async move { Ok(Some(Secret::from(stored))) }
    });
    let builder = KeyRing::<CookieKey>::builder().name("SESSION_SECRET").environment("test");
    let following = builder.clock(ManualClock::new(at(30))).follow(store).on_demand().unwrap();
    *stored.lock().unwrap() = Secret::from(document.to_string());
    assert!(following.refresh().is_err());
    let state = following.ring().load().state(&kid("b"), at(30));
    assert_eq!(state, Some(KeyState::Revoked));
}

#[test]
fn versions_that_contradict_each_other_are_refused() {
    for (version, min_reader_version) in
        [(json!(0), json!(null)), (json!(1), json!(0)), (json!(1), json!(2)), (json!(3), json!(4))]
    {
        let mut document = value(&first());
        document["version"] = version.clone();
        document["min_reader_version"] = min_reader_version.clone();
        assert!(read(&document).is_err(), "{version} {min_reader_version}");
    }
    // Without a lowest reader version only a reader of the same version understands it.
    let mut document = value(&first());
    document.as_object_mut().unwrap().remove("min_reader_version");
    assert!(read(&document).is_ok());
    document["version"] = json!(2);
    assert!(read(&document).is_err());
}

#[test]
fn a_manifest_of_this_version_has_only_known_fields() {
    let manifest = first().stage(entry(1, "b"), at(10)).unwrap().manifest;
    for (place, at_place) in [("", "the manifest"), ("/policy", "policy"), ("/keys/1", "keys")] {
        let mut document = value(&manifest);
        let object = document.pointer_mut(place).unwrap().as_object_mut().unwrap();
        object.insert("Zq9Ml5KiNf0V".to_owned(), json!(1));
        let error = read(&document).unwrap_err().to_string();
        assert!(error.contains(at_place), "{place}: {error}");
        // V10: a secret that was put into the wrong place is not repeated.
        assert!(!error.contains("Zq9Ml5"), "{error}");
    }
}

/// A fleet with instances of this release, while the operators and one instance have a newer one: every
/// step is taken, and each value that is valid verifies everywhere.
#[test]
fn a_fleet_of_two_versions_rotates_without_a_refusal() {
    let clock = ManualClock::new(at(0));
    let mut policy = Policy::default();
    policy.min_observed_verifications = 1;
    let mut stored =
        Manifest::new("SESSION_SECRET", Purpose::Cookie, "test", policy, entry(0, "a"), at(0))
            .unwrap();
    let builder = || KeyRing::<CookieKey>::builder().environment("test").clock(clock.clone());
    let rings = [(); 2].map(|()| read(&newer(&stored)).unwrap().build_ring(builder()).unwrap());
    let signers = rings.clone().map(CookieSigner::new);
    let mut values = vec![(signers[0].sign("sid", "before").unwrap(), at(0))];
    let reports = |rings: &[KeyRing<CookieKey>; 2]| -> Vec<Report> {
        let older = rings[0].report("older").to_json().unwrap();
        let mut report: Value =
            serde_json::from_str(&rings[1].report("newer").to_json().unwrap()).unwrap();
        report["version"] = json!(2);
        report["min_reader_version"] = json!(1);
        report["load"] = json!({"requests": 12});
        let newer = report.to_string();
        [older, newer].map(|text| Report::from_json(text.as_bytes()).unwrap()).into()
    };
    let step = |stored: &mut Manifest, next: Manifest| {
        // A newer release stores it, and this one reads it.
        *stored = read(&newer(&next)).unwrap();
        for ring in &rings {
            assert!(stored.apply_to(ring).unwrap());
        }
    };
    let now = || dualkey::Clock::now(&clock);
    let staged = stored.stage(entry(1, "b"), now()).unwrap().manifest;
    step(&mut stored, staged);
    clock.advance(Duration::from_secs(2 * 3600));
    let promoted = stored.promote(&kid("b"), &reports(&rings), now()).unwrap().manifest;
    step(&mut stored, promoted);
    values.push((signers[1].sign("sid", "after").unwrap(), now()));
    for day in 0..9 {
        clock.advance(DAY - Duration::from_secs(60));
        for signer in &signers {
            for (value, signed_at) in &values {
                let is_valid = now().duration_since(*signed_at).unwrap() < policy.max_lifetime;
                assert_eq!(signer.verify("sid", value).is_ok(), is_valid, "day {day}");
            }
        }
        let fresh = signers[day % 2].sign("sid", "fresh").unwrap();
        assert!(signers[(day + 1) % 2].verify("sid", &fresh).is_ok(), "day {day}");
        // Each instance reports all the time.
        for _ in 0..20 {
            clock.advance(Duration::from_secs(3));
            let _ = reports(&rings);
        }
    }
    assert_eq!(
        stored.retirement(&kid("a"), &reports(&rings), now()).unwrap(),
        Verdict::Safe,
        "both versions count as evidence"
    );
    let retired = stored.retire(&kid("a"), &reports(&rings), now()).unwrap().manifest;
    let destroyed = retired.destroy(&kid("a"), &reports(&rings), now()).unwrap().manifest;
    step(&mut stored, destroyed);
    let error = signers[0].verify("sid", &values[0].0).unwrap_err();
    assert_eq!(error.reason(), Reason::UnknownKid);
}

/// The former names of fields, at their places, with the present ones.
#[test]
fn a_former_name_of_a_field_is_refused_with_the_present_one() {
    for (place, former, present) in [
        ("/policy", "longest_life_seconds", "max_lifetime_seconds"),
        ("/policy", "observation_seconds", "observation_window_seconds"),
        ("/policy", "enough_traffic", "min_observed_verifications"),
        ("/keys/0", "signs", "signing_start"),
        ("/keys/0", "overrides", "forced_steps"),
    ] {
        let mut document = value(&first());
        let object = document.pointer_mut(place).unwrap().as_object_mut().unwrap();
        let held = object.remove(present).unwrap_or(json!([]));
        object.insert(former.to_owned(), held);
        let error = read(&document).unwrap_err().to_string();
        assert!(error.contains(&format!("`{former}`")), "{former}: {error}");
        assert!(error.contains(&format!("`{present}`")), "{former}: {error}");
        // A newer release may use the name again, for something of its own.
        let mut document = newer(&first());
        let object = document.pointer_mut(place).unwrap().as_object_mut().unwrap();
        object.insert(former.to_owned(), json!(1));
        assert!(read(&document).is_ok(), "{former}");
    }
    let ring = first().build_ring(KeyRing::<CookieKey>::builder().environment("test")).unwrap();
    let mut report: Value = serde_json::from_str(&ring.report("pod").to_json().unwrap()).unwrap();
    report["sweep"] = json!({});
    let error = Report::from_json(report.to_string().as_bytes()).unwrap_err().to_string();
    assert!(error.contains("`sweep`") && error.contains("`rewrap`"), "{error}");
}

/// V8: a secret that was revoked does not come back, also under its derived kid.
#[test]
fn a_revoked_secret_is_not_staged_again() {
    let manifest = first().stage(crate::support::secret(7).as_str(), at(10)).unwrap().manifest;
    let new = manifest.keys()[1].kid();
    let revoked = manifest.revoke(&new, "leaked", at(20)).unwrap().manifest;
    let error = revoked.stage(crate::support::secret(7).as_str(), at(30)).unwrap_err();
    assert!(matches!(error, Error::Revoked { kid } if kid == new), "{error}");
}

/// V8: a list in the place of an object would be read by the order of the fields, and what it revokes
/// would not be seen in a document that is refused.
#[test]
fn v8_a_list_is_no_object_of_a_manifest() {
    let now = at(100);
    let staged = first().stage(entry(1, "b"), now).unwrap().manifest;
    let staged = staged.revoke(&kid("b"), "leaked", now).unwrap().manifest;
    for pointer in ["", "/policy", "/keys/0", "/keys/1/revoked", "/keys/1/recogniser"] {
        for version in [1, 3] {
            let mut document = value(&staged);
            document["version"] = json!(version);
            let Some(object) = document.pointer(pointer).and_then(Value::as_object) else {
                continue;
            };
            let list: Vec<_> = object.values().cloned().collect();
            *document.pointer_mut(pointer).unwrap() = json!(list);
            let read = read(&document);
            // A revocation of another form revokes.
            if pointer == "/keys/1/revoked" {
                assert!(read.unwrap().key(&kid("b")).unwrap().revoked().is_some());
            } else {
                assert!(read.is_err(), "{pointer} {version}");
            }
        }
    }
}

#[test]
fn an_enum_with_a_further_field_is_no_error_of_syntax() {
    let mut document = value(&first());
    document["version"] = json!(3);
    for (pointer, odd) in [
        ("/policy/schedule", json!({"days": 9, "x": 1})),
        ("/keys/0/signing_start", json!({"from": "2026-01-15T10:00:00Z", "x": 1})),
    ] {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let mut document = document.clone();
        document.pointer_mut(parent).unwrap()[name] = odd;
        let error = read(&document).unwrap_err().to_string();
        assert!(error.contains("not of the form of a manifest"), "{error}");
    }
}

/// A staged key is to sign: a policy by which it may not is refused, like one by which no instance
/// could load the manifest.
#[test]
fn a_policy_that_makes_a_staged_key_too_short_is_refused() {
    let now = at(100);
    let mut short = Policy::default();
    short.min_secret_bytes = Some(32);
    let first =
        Manifest::new("SESSION_SECRET", Purpose::Cookie, "test", short, entry(0, "a"), at(0));
    let secret = NewEntry::new(secret(1)[..40].to_owned()).kid(kid("b"));
    let staged = first.unwrap().stage(secret, now).unwrap().manifest;
    let error = staged.set_policy(Policy::default(), now).unwrap_err();
    assert!(matches!(&error, Error::ShortSecret { key, .. } if key.contains("`b`")), "{error}");
    let builder = KeyRing::<CookieKey>::builder().environment("test").clock(ManualClock::new(now));
    staged.build_ring(builder).unwrap();
}
