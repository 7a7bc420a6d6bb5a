//! A ring takes its own manifest: of its name, its environment and its purpose.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use dualkey::cookie::CookieKey;
use dualkey::envelope::AesKey;
use dualkey::jwt::JwtKey;
use dualkey::manifest::Manifest;
use dualkey::source::{ClosureStore, FileStore, KeyStore, StoreError, update};
use dualkey::{Error, KeyRing, ManualClock, Policy, Purpose, Report, RingBuilder, Secret};
use pollster::block_on;

use crate::support::manifest::{at, entry, first};
use crate::support::scripted_store::Scripted;
use crate::support::{aes_key, aes_ring};

fn manifest(ring: &str, environment: &str, seed: u64) -> Manifest {
    let (policy, key) = (Policy::default(), entry(seed, "a"));
    Manifest::new(ring, Purpose::Jwt, environment, policy, key, at(0)).unwrap()
}

fn kek(seed: u64) -> KeyRing<AesKey> {
    aes_ring([aes_key(seed, &format!("kek-{seed}"))])
}

fn sealed_store(path: &Path, ring: &str, environment: &str) -> FileStore {
    FileStore::new(path).sealed(kek(7), ring, environment)
}

fn builder() -> RingBuilder<CookieKey> {
    KeyRing::builder().clock(ManualClock::new(at(0)))
}

/// An attacker who can write to a store may put the manifest of another ring there: only the name
/// tells them apart.
#[test]
fn following_needs_the_name_and_the_environment_of_the_ring() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = Scripted::new(first());
    let follow = |builder: RingBuilder<CookieKey>, way: usize| {
        let follow = builder.follow(store.clone());
        match way {
            0 => follow.on_demand().map(drop),
            1 => follow.spawn_thread().map(drop),
            _ => runtime.block_on(follow.spawn()).map(drop),
        }
    };
    for way in 0..3 {
        let error = follow(builder().environment("test"), way).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("call `.name(\"USER_JWT\")`"), "{text}");
        assert!(matches!(error, StoreError::Refused(Error::NoName { purpose: "cookie" })));
        let error = follow(builder().name("SESSION_SECRET"), way).unwrap_err();
        assert!(matches!(error, StoreError::Refused(Error::NoEnvironment { .. })), "{error}");
        let keyed = builder().primary(Secret::from(crate::support::secret(3)));
        let error = follow(keyed.name("SESSION_SECRET").environment("test"), way).unwrap_err();
        assert!(matches!(error, StoreError::Refused(Error::PrimaryUnclear { .. })), "{error}");
    }
    // It is wrong before a store is asked.
    assert_eq!(store.0.loads.load(SeqCst), 0);
    for way in 0..3 {
        let named = builder().name("SESSION_SECRET").environment("test");
        assert!(follow(named, way).is_ok(), "{way}");
        let other = builder().name("ADMIN_SECRET").environment("test");
        let error = follow(other, way).unwrap_err();
        assert!(matches!(error, StoreError::Refused(Error::Foreign { what: "ring", .. })));
    }
}

/// The caller holds the document: a name is optional, and what is said must match.
#[test]
fn a_ring_is_made_of_no_manifest_of_another_ring_environment_or_purpose() {
    let manifest = first();
    let build = |builder: RingBuilder<CookieKey>| manifest.build_ring(builder);
    let what = |error: Result<KeyRing<CookieKey>, Error>| match error {
        Err(Error::Foreign { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(build(builder().environment("test")).unwrap().name(), "SESSION_SECRET");
    assert!(build(builder().environment("test").name("SESSION_SECRET")).is_ok());
    assert_eq!(what(build(builder().environment("test").name("ADMIN"))), "ring");
    assert_eq!(what(build(builder().environment("prod"))), "environment");
    assert!(matches!(build(builder()), Err(Error::NoEnvironment { .. })));
    let jwt = manifest.build_ring(KeyRing::<JwtKey>::builder().environment("test"));
    assert!(matches!(jwt, Err(Error::Foreign { what: "purpose", .. })));

    // The same of one that is applied later, also to a ring that took its name from the first.
    let ring = build(builder().environment("test")).unwrap();
    let other = |ring: &str, environment: &str| {
        let (policy, key) = (Policy::default(), entry(5, "b"));
        let next = Manifest::new(ring, Purpose::Cookie, environment, policy, key, at(0)).unwrap();
        next.stage(entry(6, "c"), at(0)).unwrap().manifest
    };
    for (next, what) in
        [(other("ADMIN", "test"), "ring"), (other("SESSION_SECRET", "prod"), "environment")]
    {
        match next.apply_to(&ring) {
            Err(Error::Foreign { what: found, .. }) => assert_eq!(found, what),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ring.primary(), Some("a".parse().unwrap()));
}

/// Both are sealed under one KEK, by which who can write there can neither read nor forge one.
#[test]
fn sealed_files_that_are_exchanged_or_copied_do_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (file, ring, environment, seed) in [
        ("user", "USER_JWT", "production", 0),
        ("admin", "ADMIN_JWT", "production", 1),
        ("staging", "USER_JWT", "staging", 2),
        // The same text, cut elsewhere.
        ("cut", "USER_JWTp", "roduction", 3),
    ] {
        let store = sealed_store(&path(file), ring, environment);
        block_on(store.compare_and_swap(0, &manifest(ring, environment, seed))).unwrap();
        assert!(block_on(store.load()).is_ok(), "{file}");
    }
    let content = |file: &str| fs::read(path(file)).unwrap();
    for (from, to, ring, environment) in [
        ("user", "admin", "ADMIN_JWT", "production"),
        ("admin", "user", "USER_JWT", "production"),
        ("staging", "user", "USER_JWT", "production"),
        ("user", "staging", "USER_JWT", "staging"),
        ("cut", "user", "USER_JWT", "production"),
        ("user", "cut", "USER_JWTp", "roduction"),
    ] {
        let place = path("place");
        fs::write(&place, content(from)).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o600)).unwrap();
        let store = sealed_store(&place, ring, environment);
        let error = block_on(store.load()).unwrap_err();
        assert!(matches!(error, StoreError::Sealed { .. }), "{from} as {to}: {error}");
        let text = error.to_string();
        assert!(text.contains("for another ring or environment, under another KEK"), "{text}");
        // No follower and no writer takes it either.
        let follow = KeyRing::<JwtKey>::builder().name(ring).environment(environment);
        assert!(follow.follow(store.clone()).on_demand().is_err());
        let next = manifest(ring, environment, 9).stage(entry(8, "b"), at(0)).unwrap().manifest;
        let stored = block_on(store.compare_and_swap(1, &next));
        assert!(matches!(stored, Err(StoreError::Sealed { .. })), "{from} as {to}");

        let text = Secret::from(content(from));
        let closure = ClosureStore::new("closure", move || {
            let text = text.clone();
            async move { Ok(Some(text)) }
        });
        let closure = closure.sealed(kek(7), ring, environment);
        assert!(matches!(block_on(closure.load()), Err(StoreError::Sealed { .. })));
    }
}

#[test]
fn a_sealed_store_seals_no_manifest_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user");
    let store = sealed_store(&path, "USER_JWT", "production");
    for (ring, environment) in [("ADMIN_JWT", "production"), ("USER_JWT", "staging")] {
        let stored = block_on(store.compare_and_swap(0, &manifest(ring, environment, 0)));
        let error = stored.unwrap_err().to_string();
        assert!(error.contains("give the ring its own"), "{error}");
        assert!(!path.exists());
    }
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let closure = ClosureStore::new("closure", || async { Ok(None) }).writes(move |_, text| {
        keep.lock().unwrap().push(text);
        async { Ok(true) }
    });
    let closure = closure.sealed(kek(7), "USER_JWT", "production");
    assert!(block_on(closure.compare_and_swap(0, &manifest("X", "production", 0))).is_err());
    assert!(kept.lock().unwrap().is_empty());
}

/// The next change is sealed under the new KEK, and the old one may go.
#[test]
fn a_change_after_a_rotation_of_the_kek_is_sealed_under_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user");
    let with = |kek: KeyRing<AesKey>| FileStore::new(&path).sealed(kek, "USER_JWT", "production");
    let old = with(kek(7));
    block_on(old.compare_and_swap(0, &manifest("USER_JWT", "production", 0))).unwrap();
    let both = with(aes_ring([aes_key(8, "kek-8"), aes_key(7, "kek-7")]));
    block_on(update(&both, |manifest| manifest.stage(entry(1, "b"), at(1)))).unwrap();
    assert_eq!(block_on(with(kek(8)).load()).unwrap().revision(), 2);
    assert!(matches!(block_on(old.load()), Err(StoreError::Sealed { .. })));
}

/// A `HOSTNAME` is whatever a platform makes it: a service starts all the same, and its reports
/// are stored under a name that they are read under.
#[test]
fn an_instance_with_an_odd_name_reports_under_a_plain_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(folder.path().join("ring.json"));
    block_on(store.compare_and_swap(0, &first())).unwrap();
    let long = "h".repeat(400);
    let odd = ["web 1", "web_1\u{202e}", "web\u{1b}[2J\n", "wéb", "web|1", &long];
    let arn = "arn:aws:ecs:eu-central-1:123456789012:task/prod/1234567890123456789";
    let plain = ["web-1", "web-1.internal", "10.0.0.7:8080", "a@b+c=d", arn];
    let mut names = std::collections::BTreeSet::new();
    for name in odd.into_iter().chain(plain) {
        let ring = builder().name("SESSION_SECRET").environment("test");
        let following = ring.follow(store.clone()).instance(name).on_demand().unwrap();
        assert_eq!(following.health().report_error, None, "{name:?}");
        for report in block_on(store.reports()).unwrap() {
            assert_eq!(report.problem, None, "{name:?}");
            assert!(report.instance.len() <= 128, "{}", report.instance);
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@+=".contains(c);
            assert!(report.instance.chars().all(is_plain), "{}", report.instance);
            names.insert(report.instance);
        }
    }
    assert_eq!(names.len(), odd.len() + plain.len(), "{names:?}");
    assert!(plain.iter().all(|name| names.contains(*name)), "{names:?}");
    // The same after a restart, so that it continues what that saw.
    let ring = builder().name("SESSION_SECRET").environment("test");
    drop(ring.follow(store.clone()).instance("web 1").on_demand().unwrap());
    assert_eq!(block_on(store.reports()).unwrap().len(), names.len());
    // One without a name reports nothing, and says so.
    let ring = builder().name("SESSION_SECRET").environment("test");
    let nameless = ring.follow(store.clone()).instance("").on_demand().unwrap();
    let error = nameless.health().report_error.unwrap();
    assert!(error.contains("the name of the instance must have 1 to 128"), "{error}");
}

/// A report under a name that no instance writes may be anything. It counts as unreadable, and
/// holds up what any such report does, and nothing else.
#[test]
fn a_report_with_a_bad_name_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = FileStore::new(&path);
    block_on(store.compare_and_swap(0, &first())).unwrap();
    let ring = first().build_ring(builder().environment("test")).unwrap();
    block_on(store.save_report(&ring.report("web-1"))).unwrap();
    let file = folder.path().join("ring.json.reports/web-1.json");
    let text = fs::read_to_string(&file).unwrap();
    for bad in ["web 1", "web\\u001b[2J", "web\\nFAKE", "web\\u061c", ""] {
        let text = text.replace("\"web-1\"", &format!("\"{bad}\""));
        assert!(Report::from_json(text.as_bytes()).is_err(), "{bad}");
        fs::write(&file, text).unwrap();
        let reports = block_on(store.reports()).unwrap();
        let [report] = &reports[..] else { panic!("{reports:?}") };
        assert!(report.problem.is_some() && report.instance == "web-1", "{report:?}");
        let emergency =
            first().emergency_rotate(&"a".parse().unwrap(), "leaked", entry(1, "b"), at(1));
        assert!(emergency.is_ok());
    }
}
