//! The manifest as a document: what is wrong with one is said, and nothing that stands there.

use std::time::{Duration, SystemTime};

use dualkey::cookie::CookieKey;
use dualkey::jwt::JwtKey;
use dualkey::manifest::Manifest;
use dualkey::{Error, KeyRing, KeyState, Kid, ManualClock, Schedule, Secret};
use serde_json::{Value, json};

use crate::support::manifest::{at, entry, first, states};
use crate::support::secret;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

#[test]
fn v10_no_output_holds_a_secret() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap();
    let mut output = format!("{:?} {manifest:?} {:?}", manifest.manifest, entry(2, "c"));
    let text = String::from_utf8(manifest.manifest.to_json().unwrap().expose().to_vec()).unwrap();
    // Every way in which it can be wrong, at every place where a secret stands.
    let document: Value = serde_json::from_str(&text).unwrap();
    for broken in [
        json!(secret(1)),
        json!(format!("base64:{}*", secret(1))),
        json!(1),
        json!(null),
        json!([secret(1)]),
        json!({ "text": secret(1) }),
        json!(format!("hex:{}", secret(1))),
    ] {
        let mut document = document.clone();
        document["keys"][1]["secret"] = broken;
        let error = Manifest::from_json(document.to_string().as_bytes()).unwrap_err();
        output += &format!("{error} {error:?}");
    }
    for cut in 0..text.len() {
        let error = Manifest::from_json(&text.as_bytes()[..cut]);
        if let Err(error) = error {
            output += &format!("{error} {error:?}");
        }
    }
    for seed in 0..3 {
        let secret = secret(seed);
        for window in secret.as_bytes().windows(8) {
            assert!(!output.contains(std::str::from_utf8(window).unwrap()));
        }
    }
}

/// A change of the document of [`first`], with another key staged.
fn change_document(change: impl FnOnce(&mut Value)) -> Result<Manifest, Error> {
    let manifest = first().stage(entry(1, "b"), at(10)).unwrap().manifest;
    let text = manifest.to_json().unwrap();
    let mut document: Value = serde_json::from_slice(text.expose()).unwrap();
    change(&mut document);
    Manifest::from_json(document.to_string().as_bytes())
}

#[test]
fn what_is_wrong_with_a_document_is_said() {
    type Wrong = (&'static str, fn(&mut Value));
    let wrong: [Wrong; 24] = [
        ("needs a reader of the version 2", |document| {
            document["version"] = json!(2);
            document["min_reader_version"] = json!(2);
        }),
        ("its `format` is not", |document| document["format"] = json!("something")),
        ("its `purpose` is none", |document| document["purpose"] = json!("toast")),
        ("its `revision` is 0", |document| document["revision"] = json!(0)),
        ("`the manifest` has a field", |document| document["extra"] = json!(1)),
        ("`keys` has a field", |document| document["keys"][0]["role"] = json!("primary")),
        ("not of the form", |document| document["changed_at"] = json!("yesterday")),
        ("not of the form", |document| document["changed_at"] = json!("+12026-01-01T00:00:00Z")),
        ("not of the form", |document| document["policy"]["skew_seconds"] = json!(-1)),
        ("not of the form", |document| document["keys"][0]["signing_start"] = json!("always")),
        ("no primary", |document| document["keys"][0]["signing_start"] = json!("never")),
        ("no primary", |document| document["keys"] = json!([])),
        ("the kid `a` is taken", |document| document["keys"][1]["kid"] = json!("a")),
        ("the kid `a` is taken", |document| document["keys"][1]["aliases"] = json!(["a"])),
        ("cannot use a text of 3 bytes as a kid", |document| {
            document["keys"][1]["kid"] = json!("a b")
        }),
        ("the same secret as", |document| {
            document["keys"][1]["secret"] = document["keys"][0]["secret"].clone()
        }),
        ("is empty", |document| document["keys"][1]["secret"] = json!("text:")),
        ("`b` is not `base64:`", |document| document["keys"][1]["secret"] = json!("plain")),
        ("has no secret", |document| document["keys"][1]["secret"] = Value::Null),
        ("added after the manifest", |document| {
            document["keys"][1]["added_at"] = json!("2030-01-01T00:00:00Z")
        }),
        ("end before it begins", |document| {
            document["keys"][0]["signing_start"] = json!({ "from": "2020-01-01T00:00:00Z" });
            document["keys"][0]["retire_at"] = json!("2019-01-01T00:00:00Z");
        }),
        ("destroyed, and has a secret", |document| {
            document["keys"][1]["destroyed_at"] = document["changed_at"].clone()
        }),
        ("none is the later", |document| {
            document["keys"][1]["signing_start"] = document["keys"][0]["signing_start"].clone();
            document["keys"][1]["sequence"] = document["keys"][0]["sequence"].clone();
        }),
        ("1 to 128 bytes", |document| document["environment"] = json!("")),
    ];
    for (expected, change) in wrong {
        let error = change_document(change).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(change_document(|_| {}).is_ok());
    for (text, expected) in [
        (&b""[..], "it is empty"),
        (b" \n", "it is empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "not of the form"),
        (b"null", "not of the form"),
    ] {
        let error = Manifest::from_json(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let long = vec![b' '; 1024 * 1024 + 1];
    assert!(Manifest::from_json(&[&long, &b"{}"[..]].concat()).is_err());
}

#[test]
fn truncated_at_every_byte_it_is_refused() {
    let text = first().to_json().unwrap();
    let text = text.expose().trim_ascii_end();
    for cut in 0..text.len() {
        let error = Manifest::from_json(&text[..cut]).unwrap_err();
        assert!(matches!(error, Error::Manifest { .. }), "{cut}: {error}");
    }
    assert!(Manifest::from_json(text).is_ok());
}

#[test]
fn v8_a_revocation_that_cannot_be_read_revokes() {
    for value in [
        json!(true),
        json!(false),
        json!(null),
        json!("yes"),
        json!({}),
        json!([]),
        json!(0),
        json!({ "at": "never", "reason": "" }),
        json!({ "at": "2026-01-01T00:00:00Z" }),
        json!({ "at": "2026-01-01T00:00:00Z", "reason": "", "undone": true }),
    ] {
        let manifest =
            change_document(|document| document["keys"][1]["revoked"] = value.clone()).unwrap();
        assert_eq!(manifest.state(&kid("b"), at(10)), Some(KeyState::Revoked), "{value}");
    }
}

#[test]
fn a_ring_refuses_the_manifest_of_another() {
    let build = |environment: Option<&str>, name: Option<&str>| {
        let mut builder = KeyRing::<CookieKey>::builder();
        if let Some(environment) = environment {
            builder = builder.environment(environment);
        }
        if let Some(name) = name {
            builder = builder.name(name);
        }
        first().build_ring(builder).map(drop)
    };
    assert!(build(Some("test"), None).is_ok());
    assert!(build(Some("test"), Some("SESSION_SECRET")).is_ok());
    assert!(matches!(build(None, None), Err(Error::NoEnvironment { .. })));
    for (environment, name, wrong) in
        [("production", None, "environment"), ("test", Some("OTHER"), "ring")]
    {
        let error = build(Some(environment), name).unwrap_err();
        assert!(matches!(error, Error::Foreign { what, .. } if what == wrong), "{error}");
    }
    let other = first().build_ring(KeyRing::<JwtKey>::builder().environment("test")).unwrap_err();
    assert!(matches!(other, Error::Foreign { what: "purpose", .. }), "{other}");
    let keys = KeyRing::<CookieKey>::builder().environment("test").primary(Secret::from(secret(0)));
    assert!(matches!(first().build_ring(keys), Err(Error::PrimaryUnclear { .. })));
}

#[test]
fn a_ring_asks_for_longer_secrets_than_a_document_may_hold() {
    let short = |at: usize| {
        change_document(|document| {
            document["keys"][at]["secret"] = json!("text:Xk3-short-secret-of-40-bytes-9Qw2Zr7Lt5")
        })
        .unwrap()
    };
    let build = |manifest: &Manifest| {
        manifest.build_ring(KeyRing::<CookieKey>::builder().environment("test")).map(drop)
    };
    let error = build(&short(1)).unwrap_err();
    assert!(matches!(&error, Error::ShortSecret { key, .. } if key == "the key `b`"), "{error}");
    // The document may relax it, as far as the standards go.
    let relaxed = change_document(|document| {
        document["policy"]["min_secret_bytes"] = json!(36);
        document["keys"][1]["secret"] = json!("text:Xk3-short-secret-of-40-bytes-9Qw2Zr7Lt5");
    });
    assert!(build(&relaxed.unwrap()).is_ok());
    let error = build(
        &change_document(|document| document["keys"][1]["secret"] = json!("text:changeme"))
            .unwrap(),
    );
    assert!(matches!(error, Err(Error::Placeholder { .. })), "{error:?}");
    // A short primary cannot be one at all.
    let error = change_document(|document| document["keys"][0]["secret"] = json!("text:Xk3-short"));
    assert!(matches!(error, Err(Error::NoPrimary { .. })), "{error:?}");
}

/// Frozen: what stands in stores is read for good.
#[test]
fn version_1_of_the_document_is_read_as_it_was() {
    let text = include_str!("../vectors/manifest-v1.json");
    let manifest = Manifest::from_json(text.as_bytes()).unwrap();
    let now = manifest.changed_at();
    let nanos = now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    assert_eq!(nanos, 1_768_471_200_123_456_789);
    assert_eq!((manifest.revision(), manifest.primary(now)), (7, kid("2025-q4")));
    let expected = ["Destroyed", "Revoked", "Live(Primary)", "Live(Fallback)", "Live(Staged)"];
    let states: Vec<_> =
        states(&manifest, now).iter().map(|(_, state)| format!("{state:?}")).collect();
    assert_eq!(states, expected);
    let policy = manifest.policy();
    assert_eq!(policy.overlap(), 7 * DAY + HOUR + 2 * Duration::from_secs(300));
    assert_eq!((policy.min_secret_bytes, policy.schedule), (Some(48), Some(Schedule::Days(90))));
    assert_eq!(manifest.key(&kid("q3")).unwrap().kid(), kid("2025-q3"));
    assert_eq!(manifest.keys()[2].forced_steps()[0].reason, "one pod is stuck");
    assert_eq!(manifest.fingerprint().to_string(), FINGERPRINT);
    // Written again, it is the same document.
    let again = manifest.to_json().unwrap();
    let (mut original, mut other): (Value, Value) =
        (serde_json::from_str(text).unwrap(), serde_json::from_slice(again.expose()).unwrap());
    for document in [&mut original, &mut other] {
        for key in document["keys"].as_array_mut().unwrap() {
            // A secret is written in one form, a time in UTC.
            key.as_object_mut().unwrap().remove("secret");
            key.as_object_mut().unwrap().remove("added_at");
        }
    }
    assert_eq!(original, other);
    let builder = KeyRing::<CookieKey>::builder().environment("production");
    let ring = manifest.build_ring(builder.clock(ManualClock::new(now))).unwrap();
    assert_eq!(ring.fingerprint(), manifest.fingerprint());
}

const FINGERPRINT: &str = "uMNEQ9G31FkiG22B";
