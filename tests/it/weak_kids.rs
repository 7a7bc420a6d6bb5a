//! The kid of a key with a weak secret: no oracle where the key never signs, and no session is
//! lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::envelope::AesKey;
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{DotenvStore, EnvStore, KeyStore};
use dualkey::webhook::WebhookKey;
use dualkey::{
    Error, KeyMaterial, KeyRing, Kid, ManualClock, NewKey, Policy, Purpose, Reason, RingBuilder,
    Role, Secret,
};
use pollster::block_on;
use serde_json::{Value, json};

use crate::support::manifest::at;
use crate::support::{EventLog, secret};

/// Two guesses of one length.
const WEAK: [&str; 2] = ["Winter2024!", "Summer2023?"];

fn builder<K: KeyMaterial>() -> RingBuilder<K> {
    KeyRing::builder().clock(ManualClock::new(at(0)))
}

/// A ring from variables, in which short old secrets are admitted.
fn ring<K: KeyMaterial>(vars: &[(&str, &str)]) -> KeyRing<K> {
    let vars: HashMap<_, _> = vars.iter().copied().collect();
    let lookup = |name: &str| Ok(vars.get(name).map(|value| (*value).to_owned()));
    builder().vars("X", lookup).allow_short_fallbacks().build().unwrap()
}

fn kids<K: KeyMaterial>(ring: &KeyRing<K>) -> Vec<String> {
    ring.keys().iter().map(|key| key.kid.to_string()).collect()
}

/// The kid that a key with `secret` has where it signs.
fn derive_kid<K: KeyMaterial>(secret: &str) -> Kid {
    let ring = builder::<K>().dangerous().min_secret_bytes(8);
    ring.primary(Secret::from(secret)).build().unwrap().primary().unwrap()
}

fn claims() -> Value {
    json!({ "sub": "user-42", "exp": 4_102_444_800_u64 })
}

/// All that is shown of a ring and of a manifest with a weak fallback, after a use of it.
fn collect_output(weak: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut show = |what: &str, text: String| all.push((what.to_owned(), text));
    let event_log = EventLog::default();
    let observed = builder::<JwtKey>().observer(event_log.clone()).allow_short_fallbacks();
    let vars = |name: &str| {
        Ok(match name {
            "X" => Some(secret(0)),
            "X_OLD" => Some(weak.to_owned()),
            _ => None,
        })
    };
    let ring = observed.vars("X", vars).build().unwrap();
    let former = builder::<JwtKey>().dangerous().min_secret_bytes(8).primary(Secret::from(weak));
    let token = Jwt::new(former.build().unwrap()).sign(&claims()).unwrap();
    assert!(Jwt::new(ring.clone()).verify::<Value>(&token).is_ok());
    let number = ring.keys()[1].kid;
    show("ring", format!("{ring:?} {:?} {:?}", ring.load(), ring.load().keys()));
    show("keys", format!("{:?}", ring.keys()));
    show("fingerprint", ring.fingerprint().to_string());
    show("report", ring.report("one").to_json().unwrap());
    show("verdict", format!("{:?}", ring.retirement(&number)));
    ring.revoke(&number, "weak").unwrap();
    show("revoked", format!("{ring:?} {:?} {}", ring.keys(), ring.fingerprint()));
    show("events", format!("{:?}", event_log.all()));

    let policy = Policy::default();
    let new = NewEntry::new(Secret::from(secret(0)));
    let manifest = Manifest::new("X", Purpose::Jwt, "test", policy, new, at(0)).unwrap();
    let manifest = manifest.with_fallback(Secret::from(weak), at(0)).unwrap();
    let of = builder::<JwtKey>().environment("test").allow_short_fallbacks();
    let ring = manifest.build_ring(of).unwrap();
    show("manifest", format!("{manifest:?} {}", manifest.fingerprint()));
    show("of a manifest", format!("{ring:?} {} {:?}", ring.fingerprint(), ring.keys()));
    show("report of a manifest", ring.report("one").to_json().unwrap());
    assert_eq!(ring.fingerprint(), manifest.fingerprint());

    let owned = weak.to_owned();
    let store = EnvStore::<JwtKey>::vars("X", "test", move |name| match name {
        "X_OLD" => Ok(Some(owned.clone())),
        "X" => Ok(Some(secret(0))),
        _ => Ok(None),
    });
    let store = store.clock(ManualClock::new(at(0)));
    let manifest = block_on(store.load()).unwrap();
    show("of variables", format!("{manifest:?} {} {store:?}", manifest.fingerprint()));
    all
}

/// A guess is confirmed by nothing that is shown: not by a log, a label, a page or a report.
#[test]
fn nothing_that_is_shown_depends_on_a_weak_secret_that_never_signs() {
    let [one, other] = WEAK.map(collect_output);
    assert_eq!(one.len(), 11);
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
        for weak in WEAK {
            let kid = derive_kid::<JwtKey>(weak).to_string();
            assert!(!one.1.contains(&kid) && !one.1.contains(weak), "{}", one.0);
        }
    }
}

/// V8 and the record of a `.env`: a live weak key leaves two bytes of a mark, as one that people
/// choose.
#[test]
fn the_record_of_a_file_confirms_no_guess_of_a_weak_fallback() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let weak = WEAK[0];
    std::fs::write(&path, format!("X={}\nX_OLD='{weak}'\n", hex(0))).unwrap();
    let store = DotenvStore::new(&path, "X", Purpose::Cookie, "test");
    let store = || store.clone().clock(ManualClock::new(at(0)));
    let staged = |manifest: &Manifest| manifest.stage(Secret::from(hex(1)), at(1));
    block_on(dualkey::source::update(&store(), staged)).unwrap();
    let record = std::fs::read_to_string(folder.path().join(".env.dualkey/X.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let length = |key: &Value| key["secret"].as_str().unwrap().len() - "mark:".len();
    let lengths: Vec<_> = record["keys"].as_array().unwrap().iter().map(length).collect();
    assert_eq!(lengths, [16, 4, 16]);
    // It is still found again, under the same number.
    let fresh = DotenvStore::new(&path, "X", Purpose::Cookie, "test");
    let manifest = block_on(fresh.load()).unwrap();
    let kids: Vec<_> = manifest.keys().iter().map(|key| key.kid().to_string()).collect();
    assert_eq!((kids[1].as_str(), manifest.revision()), ("cookie-3", 2));
}

fn hex(seed: u64) -> String {
    secret(seed).bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// A token that a weak secret signed under its derived kid, while it was the signer, names that
/// kid.
#[test]
fn what_a_weak_key_signed_before_it_was_numbered_still_verifies() {
    let weak = WEAK[0];
    let former = builder().dangerous().min_secret_bytes(8).primary(Secret::from(weak));
    let former_jwt = Jwt::new(former.build().unwrap());
    let token = former_jwt.sign(&claims()).unwrap();
    let former = builder().dangerous().min_secret_bytes(8).primary(Secret::from(weak));
    let cookie = CookieSigner::new(former.build().unwrap()).sign("sid", "user-42").unwrap();
    assert!(cookie.contains(derive_kid::<CookieKey>(weak).as_str()));

    let vars = [("X", secret(0)), ("X_OLD", weak.to_owned())];
    let vars: Vec<_> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (jwts, cookies) = (ring::<JwtKey>(&vars), ring::<CookieKey>(&vars));
    let entry = |text: String| NewEntry::new(Secret::from(text));
    let of = |purpose| {
        let manifest =
            Manifest::new("X", purpose, "test", Policy::default(), entry(secret(0)), at(0));
        manifest.unwrap().with_fallback(Secret::from(weak), at(0)).unwrap()
    };
    let lenient = || builder().environment("test").allow_short_fallbacks();
    let stored_jwts = of(Purpose::Jwt).build_ring(lenient()).unwrap();
    let lenient = || builder().environment("test").allow_short_fallbacks();
    let stored_cookies = of(Purpose::Cookie).build_ring(lenient()).unwrap();
    // A ring that admits it as it is holds it under the number of the manifest as well.
    let free = builder().environment("test").dangerous().min_secret_bytes(8);
    let free_jwts = of(Purpose::Jwt).build_ring(free).unwrap();

    for (ring, number) in [(&jwts, "jwt-3"), (&stored_jwts, "jwt-2"), (&free_jwts, "jwt-2")] {
        let verified = Jwt::new(ring.clone()).verify::<Value>(&token).unwrap();
        assert_eq!((verified.kid().as_str(), verified.role()), (number, Role::Fallback));
        assert!(verified.needs_resign());
    }
    for (ring, number) in [(&cookies, "cookie-3"), (&stored_cookies, "cookie-2")] {
        let verified = CookieSigner::new(ring.clone()).verify("sid", &cookie).unwrap();
        assert_eq!((verified.kid().as_str(), verified.role()), (number, Role::Fallback));
    }
    // V2: it is that key alone, and no public name of it.
    let kid = derive_kid::<JwtKey>(weak);
    assert!(jwts.load().key(&kid).is_none() && jwts.load().state(&kid, at(0)).is_none());
    assert!(jwts.load().keys()[1].aliases().is_empty());
    assert!(matches!(jwts.revoke(&kid, "guessed"), Err(Error::UnknownKey { .. })));
    let stranger = derive_kid::<JwtKey>(WEAK[1]);
    let forged = {
        let header = format!(r#"{{"alg":"HS256","kid":"{stranger}"}}"#);
        crate::support::forge(weak.as_bytes(), &header, claims().to_string().as_bytes())
    };
    let refused = Jwt::new(jwts.clone()).verify::<Value>(&forged).unwrap_err();
    assert_eq!(refused.reason(), Reason::UnknownKid);
    // V8: revoked under its number, it is revoked under every name.
    jwts.revoke(&"jwt-3".parse().unwrap(), "weak").unwrap();
    let refused = Jwt::new(jwts).verify::<Value>(&token).unwrap_err();
    assert_eq!(refused.reason(), Reason::RevokedKey);
}

/// The same variable, the same number: on every instance, whichever other variables it has.
#[test]
fn the_number_of_a_weak_key_is_that_of_its_variable() {
    let (new, current) = (secret(0), secret(1));
    let weak = WEAK[0];
    let old = |vars: &[(&str, &str)]| kids(&ring::<JwtKey>(vars));
    assert_eq!(old(&[("X", &current), ("X_OLD", weak)])[1], "jwt-3");
    assert_eq!(old(&[("X_NEW", &new), ("X", &current), ("X_OLD", weak)])[2], "jwt-3");
    assert_eq!(old(&[("X", &current), ("X_OLD", weak), ("X_NEXT", &new)])[1], "jwt-3");
    assert_eq!(old(&[("X", &current), ("X_BACKUP", weak)])[1], "jwt-4");
    assert_eq!(old(&[("X_NEW", &current), ("X", weak)])[1], "jwt-2");
    let both = old(&[("X", &current), ("X_OLD", weak), ("X_BACKUP", WEAK[1])]);
    assert_eq!(both[1..], ["jwt-3", "jwt-4"]);
    // A manifest of the same variables, too.
    let vars = Arc::new(Mutex::new(vec![("X", current.clone()), ("X_OLD", weak.to_owned())]));
    let lookup = Arc::clone(&vars);
    let store = EnvStore::<JwtKey>::vars("X", "test", move |name| {
        Ok(lookup
            .lock()
            .unwrap()
            .iter()
            .find(|(variable, _)| *variable == name)
            .map(|pair| pair.1.clone()))
    });
    let number = |manifest: &Manifest| manifest.keys()[1].kid().to_string();
    assert_eq!(number(&block_on(store.load()).unwrap()), "jwt-3");
    // A second one that comes into its place is another key.
    vars.lock().unwrap()[1] = ("X_OLD", WEAK[1].to_owned());
    vars.lock().unwrap().push(("X_BACKUP", weak.to_owned()));
    assert!(block_on(store.load()).is_err());
    let manifest = block_on(store.load()).unwrap();
    let kids: Vec<_> = manifest.keys().iter().map(|key| key.kid().to_string()).collect();
    assert_eq!(kids[1..], ["jwt-3", "jwt-4"]);
}

#[test]
fn a_number_is_none_that_another_key_is_called() {
    let weak = || NewKey::<JwtKey>::new(Secret::from(WEAK[0]));
    let named = |seed: u64, kid: &str| crate::support::key::<JwtKey>(seed, kid);
    let ring = builder().primary(named(0, "jwt-3")).fallback(weak()).allow_short_fallbacks();
    let ring = ring.fallback(named(1, "old").alias("jwt-2".parse().unwrap())).build().unwrap();
    assert_eq!(kids(&ring), ["jwt-3", "jwt-4", "old"]);
    // Its former kid may be the name of another key, which then counts.
    let former = derive_kid::<JwtKey>(WEAK[0]);
    let ring = builder().primary(named(0, former.as_str())).fallback(weak());
    let ring = ring.allow_short_fallbacks().build().unwrap();
    let token = Jwt::new(ring.clone()).sign(&claims()).unwrap();
    let verified = Jwt::new(ring).verify::<Value>(&token).unwrap();
    assert_eq!((verified.kid(), verified.role()), (former, Role::Primary));

    // Those that a ring in memory counts, as well.
    let credential = |text: &str| Secret::from(format!("{text}-kH7vQ2mXw9LrT4nZ"));
    let ring = builder::<dualkey::credential::Credential>();
    let second = NewKey::new(credential("b")).kid("credential-2".parse().unwrap());
    let ring = ring.primary(credential("a")).fallback(second).build().unwrap();
    let next = ring.stage(credential("c")).unwrap();
    let last = ring.stage(credential("d")).unwrap();
    assert_eq!((next.as_str(), last.as_str()), ("credential-3", "credential-4"));
}

/// A key that signs is found by its tokens on every instance: by the kid that all derive.
#[test]
fn a_key_that_signs_keeps_its_derived_kid_however_weak_it_is() {
    let weak = WEAK[0];
    let (one, two) = (derive_kid::<JwtKey>(weak), derive_kid::<JwtKey>(weak));
    assert_eq!(one, two);
    assert_eq!(one.as_str().len(), 16);
    // As a fallback that could sign again, too.
    let ring = builder::<JwtKey>().dangerous().min_secret_bytes(8);
    let ring = ring.primary(Secret::from(secret(0))).fallback(Secret::from(weak)).build().unwrap();
    assert_eq!(kids(&ring)[1], one.to_string());
    // What is long enough, and a key of AES, is no guess.
    let relaxed = builder::<JwtKey>().min_secret_bytes(32).allow_short_fallbacks();
    let relaxed = relaxed.primary(Secret::from(secret(0)));
    let relaxed = relaxed.fallback(Secret::from(&secret(1)[..40])).build().unwrap();
    assert_eq!(kids(&relaxed)[1].len(), 16);
    let hook = builder::<WebhookKey>().allow_short_fallbacks().primary(Secret::from(secret(0)));
    let hook = hook.fallback(Secret::from(&secret(1)[..31])).build().unwrap();
    assert_eq!(kids(&hook)[1], "webhook-2");
    let passphrase = |text: &str| {
        let ring =
            builder::<AesKey>().allow_short_fallbacks().primary(AesKey::sha256("a").unwrap());
        kids(&ring.fallback(AesKey::sha256(text).unwrap()).build().unwrap())[1].clone()
    };
    assert_ne!(passphrase(WEAK[0]), passphrase(WEAK[1]));
}

/// Instances agree by the fingerprint, whatever each of their rings admits.
#[test]
fn rings_of_one_manifest_have_one_fingerprint_whatever_they_admit() {
    let mut policy = Policy::default();
    for minimum in [None, Some(32), Some(48), Some(100)] {
        policy.min_secret_bytes = minimum;
        let new = NewEntry::new(Secret::from(hex(0)));
        let manifest = Manifest::new("X", Purpose::Cookie, "test", policy, new, at(0)).unwrap();
        let manifest =
            [&secret(1)[..40], &secret(2)[..20]].into_iter().fold(manifest, |manifest, old| {
                manifest.with_fallback(Secret::from(old), at(0)).unwrap()
            });
        let test_builder = || builder::<CookieKey>().environment("test");
        for ring in [
            test_builder().allow_short_fallbacks(),
            test_builder().min_secret_bytes(32).allow_short_fallbacks(),
            test_builder().min_secret_bytes(128).allow_short_fallbacks(),
            test_builder().dangerous().min_secret_bytes(1),
        ] {
            let ring = manifest.build_ring(ring).unwrap();
            assert_eq!(ring.fingerprint(), manifest.fingerprint(), "{minimum:?}");
        }
        // Read again, it is the same.
        let again = Manifest::from_json(manifest.to_json().unwrap().expose()).unwrap();
        assert_eq!(again.fingerprint(), manifest.fingerprint());
    }
}

/// A ring refuses another manifest of the same revision, also where only a secret differs that no
/// fingerprint shows.
#[test]
fn a_manifest_that_differs_in_a_weak_secret_alone_is_another() {
    let new = || NewEntry::new(Secret::from(secret(0)));
    let of = |weak: &str| {
        let manifest = Manifest::new("X", Purpose::Jwt, "test", Policy::default(), new(), at(0));
        manifest.unwrap().with_fallback(Secret::from(weak), at(0)).unwrap()
    };
    let (one, other) = (of(WEAK[0]), of(WEAK[1]));
    assert_eq!(one.fingerprint(), other.fingerprint());
    let ring = builder::<JwtKey>().environment("test").allow_short_fallbacks();
    let ring = one.build_ring(ring).unwrap();
    assert!(!one.apply_to(&ring).unwrap());
    assert!(matches!(other.apply_to(&ring), Err(Error::TwoOfOneRevision { .. })));
}
