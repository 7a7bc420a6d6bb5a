//! A manifest that is applied to a running ring: what the ring takes, keeps and refuses.

use std::sync::Arc;
use std::time::Duration;

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::{
    Error, KeyRing, KeyState, Kid, ManualClock, Policy, Purpose, RingBuilder, Role, Secret,
};
use serde_json::{Value, json};

use crate::support::manifest::{at, entry, first};
use crate::support::secret;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

fn builder(clock: &ManualClock) -> RingBuilder<CookieKey> {
    KeyRing::builder().name("SESSION_SECRET").environment("test").clock(clock.clone())
}

/// A manifest of one key, with a second step, so that it is newer than one that has just been made.
fn newer(purpose: Purpose, key: NewEntry) -> Manifest {
    let policy = Policy::default();
    let manifest = Manifest::new("SESSION_SECRET", purpose, "test", policy, key, at(0)).unwrap();
    manifest.stage(entry(9, "spare"), at(0)).unwrap().manifest
}

/// A revocation is final for every source, and a key of one ring and environment is one secret.
#[test]
fn a_manifest_of_another_purpose_revokes_and_one_of_another_ring_or_environment_does_not() {
    for (ring, environment, purpose, is_revoked) in [
        ("SESSION_SECRET", "test", Purpose::Webhook, true),
        ("ADMIN_SECRET", "test", Purpose::Cookie, false),
        ("ADMIN_SECRET", "test", Purpose::Webhook, false),
        ("SESSION_SECRET", "staging", Purpose::Cookie, false),
        ("SESSION_SECRET", "staging", Purpose::Webhook, false),
    ] {
        let held = first().build_ring(builder(&ManualClock::new(at(60)))).unwrap();
        let policy = Policy::default();
        let other =
            Manifest::new(ring, purpose, environment, policy, entry(0, "a"), at(0)).unwrap();
        let other = other.emergency_rotate(&kid("a"), "leaked", entry(1, "b"), at(0)).unwrap();
        let refused = other.manifest.apply_to(&held);
        assert!(matches!(refused, Err(Error::Foreign { .. })), "{refused:?}");
        let state = held.load().state(&kid("a"), at(60));
        let expected = if is_revoked { KeyState::Revoked } else { KeyState::Live(Role::Primary) };
        assert_eq!(state, Some(expected), "{ring} {environment} {purpose:?}");
    }
}

/// A clock that falls behind the last change refuses changes, and there is none.
#[test]
fn the_manifest_that_a_ring_holds_is_no_manifest_from_the_future() {
    let clock = ManualClock::new(at(100_000));
    let manifest = first().stage(entry(1, "b"), at(100_000)).unwrap().manifest;
    let ring = manifest.build_ring(builder(&clock)).unwrap();
    clock.set(at(0));
    assert!(!manifest.apply_to(&ring).unwrap());
    let next = manifest.stage(entry(2, "c"), at(100_000)).unwrap().manifest;
    assert!(matches!(next.apply_to(&ring), Err(Error::FromTheFuture { .. })));
}

#[test]
fn each_change_of_the_keys_is_a_generation_and_a_reload_without_one_swaps_nothing() {
    let ring = first().build_ring(builder(&ManualClock::new(at(60)))).unwrap();
    let mut manifest = first();
    for (seed, generation) in [(1, 2), (2, 3), (3, 4)] {
        manifest = manifest.stage(entry(seed, &format!("k{seed}")), at(0)).unwrap().manifest;
        assert!(manifest.apply_to(&ring).unwrap());
        assert_eq!(ring.load().generation(), generation);
    }
    let before = ring.load();
    assert!(!manifest.apply_to(&ring).unwrap());
    assert!(Arc::ptr_eq(&before, &ring.load()));
}

#[test]
fn a_reload_of_the_same_manifest_keeps_a_ring_fresh() {
    let clock = ManualClock::new(at(0));
    let ring = first().build_ring(builder(&clock).max_staleness(HOUR)).unwrap();
    let signer = CookieSigner::new(ring.clone());
    clock.advance(50 * MINUTE);
    assert!(!first().apply_to(&ring).unwrap());
    assert_eq!(ring.load().fresh_until(), Some(at(50 * 60) + HOUR));
    assert_eq!((ring.load().generation(), ring.keys().len()), (1, 1));
    clock.advance(50 * MINUTE);
    assert!(signer.sign("session", "user-42").is_ok());
    clock.advance(50 * MINUTE);
    assert!(signer.sign("session", "user-42").is_err());
}

/// Under one kid, as after a restored backup: the manifest decides.
#[test]
fn a_key_with_another_secret_alias_or_algorithm_replaces_the_one_that_is_held() {
    let clock = ManualClock::new(at(60));
    let of = |manifest: &Manifest| manifest.build_ring(builder(&clock)).unwrap();
    let ring = of(&first());
    let other = newer(Purpose::Cookie, entry(1, "a"));
    assert!(other.apply_to(&ring).unwrap());
    let cookie = CookieSigner::new(ring).sign("session", "user-42").unwrap();
    assert!(CookieSigner::new(of(&other)).verify("session", &cookie).is_ok());
    assert!(CookieSigner::new(of(&first())).verify("session", &cookie).is_err());

    let ring = of(&first());
    let named = newer(Purpose::Cookie, entry(0, "a").alias(kid("former")));
    assert!(named.apply_to(&ring).unwrap());
    assert_eq!(ring.load().key(&kid("a")).unwrap().aliases(), [kid("former")]);

    let jwt =
        |algorithm: &str| NewEntry::new(Secret::from(secret(0))).kid(kid("a")).algorithm(algorithm);
    let policy = Policy::default();
    let old =
        Manifest::new("SESSION_SECRET", Purpose::Jwt, "test", policy, jwt("HS256"), at(0)).unwrap();
    let ring =
        old.build_ring(KeyRing::<JwtKey>::builder().environment("test").clock(clock.clone()));
    let ring = ring.unwrap();
    let signer = Jwt::new(ring.clone());
    let algorithm = || {
        let token = signer.sign(&json!({ "sub": "user-42", "exp": 1_800_000_600 })).unwrap();
        let header = base64::Engine::decode(
            &base64::engine::general_purpose::URL_SAFE_NO_PAD,
            token.split('.').next().unwrap(),
        );
        serde_json::from_slice::<Value>(&header.unwrap()).unwrap()["alg"].clone()
    };
    assert_eq!(algorithm(), "HS256");
    assert!(newer(Purpose::Jwt, jwt("HS512")).apply_to(&ring).unwrap());
    assert_eq!(algorithm(), "HS512");
}

/// An expired placeholder verifies nothing any more, and its record does not stop the ring.
#[test]
fn a_placeholder_is_refused_while_it_is_live_and_not_after_its_end() {
    let manifest = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    let manifest = manifest.force("x").promote(&kid("b"), at(0)).unwrap().manifest;
    let mut document: Value = serde_json::from_slice(manifest.to_json().unwrap().expose()).unwrap();
    document["keys"][0]["secret"] = json!(format!("text:{}", "changeme".repeat(8)));
    let manifest = Manifest::from_json(document.to_string().as_bytes()).unwrap();
    let end = manifest.verifies_until(&kid("a")).unwrap();
    let refused = manifest.build_ring(builder(&ManualClock::new(end - HOUR)));
    assert!(matches!(refused, Err(Error::Placeholder { .. })), "{refused:?}");
    let ring = manifest.build_ring(builder(&ManualClock::new(end + HOUR))).unwrap();
    assert_eq!(ring.primary(), Some(kid("b")));
}
