//! Rings that follow their stores: what is news, what goes wrong, what is refused meanwhile.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{FileStore, FollowHandle, KeyStore, StoreError, update};
use dualkey::webhook::{WebhookKey, WebhookVerifier};
use dualkey::{
    Error, Event, KeyRing, Kid, ManualClock, NewKey, Observer, Policy, Purpose, Reason, Secret,
};
use pollster::block_on;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::manifest::stored;
use crate::support::manifest::{at, entry, first};
use crate::support::{EventLog, secret};

/// So long that nothing comes of it within a test.
const NEVER: Duration = Duration::from_secs(120);

fn kid(name: &str) -> Kid {
    name.parse().unwrap()
}

/// A ring that follows the file, asked only when the test says so.
fn follow(path: &Path, clock: &ManualClock, event_log: &EventLog) -> FollowHandle<CookieKey> {
    KeyRing::<CookieKey>::builder()
        .name("SESSION_SECRET")
        .environment("test")
        .clock(clock.clone())
        .observer(event_log.clone())
        .follow(FileStore::new(path))
        .on_demand()
        .unwrap()
}

struct Scene {
    folder: TempDir,
    clock: ManualClock,
    event_log: EventLog,
    following: FollowHandle<CookieKey>,
    signer: CookieSigner,
    cookie: String,
}

impl Scene {
    /// A ring at revision 2: `a` signs, `b` is staged.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring.json");
        let store = stored(&path, &first());
        block_on(update(&store, |manifest| manifest.stage(entry(1, "b"), at(0)))).unwrap();
        let (clock, event_log) = (ManualClock::new(at(0)), EventLog::default());
        let following = follow(&path, &clock, &event_log);
        let signer = CookieSigner::new(following.ring().clone());
        let cookie = signer.sign("session", "user-42").unwrap();
        Self { folder, clock, event_log, following, signer, cookie }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("ring.json")
    }

    fn write(&self, text: &[u8]) {
        fs::write(self.path(), text).unwrap();
    }

    /// The document that is stored, changed.
    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let mut document: Value = serde_json::from_slice(&fs::read(self.path()).unwrap()).unwrap();
        document["revision"] = json!(3);
        change(&mut document);
        self.write(document.to_string().as_bytes());
    }

    fn is_serving(&self) -> bool {
        let ours = self.signer.sign("session", "user-43").unwrap();
        self.signer.verify("session", &self.cookie).is_ok()
            && self.signer.verify("session", &ours).is_ok()
    }
}

type Spoil = fn(&Scene);

/// Everything that a reload may find, with the name of the error.
const BAD: [(&str, &str, Spoil); 23] = [
    ("missing", "missing", |scene| fs::remove_file(scene.path()).unwrap()),
    ("empty", "manifest", |scene| scene.write(b"")),
    ("blank", "manifest", |scene| scene.write(b" \n\n")),
    ("half-written", "manifest", |scene| {
        let text = fs::read(scene.path()).unwrap();
        scene.write(&text[..text.len() / 2]);
    }),
    ("its end is missing", "manifest", |scene| {
        let text = fs::read(scene.path()).unwrap();
        scene.write(&text[..text.len() - 3]);
    }),
    ("zeros", "manifest", |scene| scene.write(&[0; 4096])),
    ("too large", "manifest", |scene| scene.write(&vec![b' '; 2 << 20])),
    ("no JSON", "manifest", |scene| scene.write(b"JWT_SECRET=abc")),
    ("sealed", "sealed", |scene| scene.write(b"dk1.REsBAQ")),
    ("another version", "manifest", |scene| {
        scene.edit(|document| {
            document["version"] = json!(2);
            document["min_reader_version"] = json!(2);
        })
    }),
    ("older", "refused", |scene| scene.edit(|document| document["revision"] = json!(1))),
    ("two of one revision", "refused", |scene| {
        scene.edit(|document| {
            document["revision"] = json!(2);
            document["policy"]["skew_seconds"] = json!(1);
        })
    }),
    ("without a primary", "manifest", |scene| {
        scene.edit(|document| document["keys"][0]["signing_start"] = json!("never"))
    }),
    ("without a key", "manifest", |scene| scene.edit(|document| document["keys"] = json!([]))),
    ("two of one kid", "manifest", |scene| {
        scene.edit(|document| document["keys"][1]["kid"] = json!("a"))
    }),
    ("one secret twice", "manifest", |scene| {
        scene.edit(|document| {
            document["keys"][1]["secret"] = document["keys"][0]["secret"].clone();
        })
    }),
    ("too short", "refused", |scene| {
        scene.edit(|document| document["keys"][1]["secret"] = json!("text:Xk3-short"))
    }),
    ("a placeholder", "refused", |scene| {
        scene.edit(|document| document["keys"][1]["secret"] = json!("text:changeme"))
    }),
    ("of another environment", "refused", |scene| {
        scene.edit(|document| document["environment"] = json!("prod"))
    }),
    ("of another purpose", "refused", |scene| {
        scene.edit(|document| document["purpose"] = json!("jwt"))
    }),
    ("for all to read", "permissions", |scene| {
        fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o644)).unwrap();
    }),
    ("a folder", "not_a_file", |scene| {
        fs::remove_file(scene.path()).unwrap();
        fs::create_dir(scene.path()).unwrap();
    }),
    ("a dangling link", "missing", |scene| {
        fs::remove_file(scene.path()).unwrap();
        symlink("nowhere", scene.path()).unwrap();
    }),
];

#[test]
fn v9_no_bad_reload_changes_the_ring_and_each_is_counted_and_told() {
    for (name, expected, spoil) in BAD {
        let scene = Scene::new();
        let before = scene.following.ring().fingerprint();
        spoil(&scene);
        for failures in 1..=2 {
            let error = scene.following.refresh().unwrap_err();
            assert_eq!(error.as_str(), expected, "{name}: {error}");
            let health = scene.following.health();
            assert_eq!((health.failures, health.failures_in_a_row), (failures, failures), "{name}");
            assert_eq!(health.last_error, Some(error.to_string()), "{name}");
            assert_eq!((health.revision, health.fingerprint), (2, before), "{name}");
            assert!(scene.is_serving(), "{name}");
        }
        let failed =
            scene.event_log.all().iter().filter(|event| event.contains("ReloadFailed")).count();
        assert_eq!(failed, 2, "{name}");
        // V10: nothing of what stood there was told.
        let event_log = format!("{:?} {:?}", scene.event_log.all(), scene.following.health());
        for window in [secret(0), secret(1)].iter().flat_map(|secret| secret.as_bytes().windows(8))
        {
            assert!(!event_log.contains(std::str::from_utf8(window).unwrap()), "{name}");
        }

        // Once it is mended, the ring goes on.
        let path = scene.path();
        let _ = fs::remove_dir(&path);
        let _ = fs::remove_file(&path);
        let next = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
        let next = next.stage(entry(2, "c"), at(1)).unwrap().manifest;
        stored(&path, &next);
        assert!(scene.following.refresh().unwrap(), "{name}");
        let health = scene.following.health();
        assert_eq!(
            (health.failures, health.failures_in_a_row, health.reloads),
            (2, 0, 1),
            "{name}"
        );
        assert_eq!((health.last_error, health.revision), (None, 3), "{name}");
        assert!(scene.is_serving(), "{name}");
    }
}

#[test]
fn a_ring_that_follows_changes_with_its_store_and_is_revoked_by_hand() {
    let scene = Scene::new();
    let ring = scene.following.ring();
    let new = NewKey::new(Secret::from(secret(5)));
    for refused in [
        ring.stage(Secret::from(secret(5))).map(drop),
        ring.promote(&kid("b")).map(drop),
        ring.rollback().map(drop),
        ring.retire(&kid("b")).map(drop),
        ring.force("a test").retire(&kid("b")),
        ring.emergency_rotate(&kid("a"), "a test", new).map(drop),
    ] {
        assert!(matches!(refused, Err(Error::Followed { .. })), "{refused:?}");
    }
    ring.revoke(&kid("b"), "seen in a log").unwrap();
    // The next manifest does not know of that.
    let store = FileStore::new(scene.path());
    block_on(update(&store, |manifest| manifest.stage(entry(2, "c"), at(1)))).unwrap();
    assert!(scene.following.refresh().unwrap());
    assert!(ring.load().key(&kid("b")).unwrap().revoked().is_some());
    assert!(scene.is_serving());
}

#[test]
fn clocks_that_jump_an_hour_either_way_leave_the_service_up() {
    for is_behind in [true, false] {
        let scene = Scene::new();
        let moved = |seconds: u64| {
            if is_behind {
                at(seconds) - Duration::from_secs(3600)
            } else {
                at(seconds) + Duration::from_secs(3600)
            }
        };
        let store = FileStore::new(scene.path());
        block_on(update(&store, |manifest| manifest.force("a test").promote(&kid("b"), at(5))))
            .unwrap();
        scene.clock.set(moved(10));
        // Which clock is right cannot be told here: a change from the future waits.
        let taken = scene.following.refresh();
        if is_behind {
            assert_eq!(taken.unwrap_err().as_str(), "refused");
            assert_eq!(scene.following.ring().primary().unwrap(), kid("a"));
        } else {
            assert!(taken.unwrap())
        }
        scene.clock.set(at(20));
        assert_eq!(scene.following.refresh().unwrap(), is_behind);
        assert_eq!(scene.following.ring().primary().unwrap(), kid("b"));
        assert!(scene.signer.verify("session", &scene.cookie).is_ok());
    }
}

#[test]
fn what_is_too_old_serves_nothing_until_the_store_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at(0));
    let minutes = |count: u64| Duration::from_secs(60 * count);
    macro_rules! follow {
        ($key:ty, $purpose:expr, $name:literal) => {{
            let path = folder.path().join($name);
            let manifest =
                Manifest::new($name, $purpose, "test", Policy::default(), entry(0, "a"), at(0))
                    .unwrap();
            stored(&path, &manifest);
            KeyRing::<$key>::builder()
                .name($name)
                .environment("test")
                .clock(clock.clone())
                .max_staleness(minutes(10))
                .follow(FileStore::new(path))
                .on_demand()
                .unwrap()
        }};
    }
    let cookies = follow!(CookieKey, Purpose::Cookie, "cookie.json");
    let tokens = follow!(JwtKey, Purpose::Jwt, "jwt.json");
    let hooks = follow!(WebhookKey, Purpose::Webhook, "webhook.json");
    let signer = CookieSigner::new(cookies.ring().clone());
    let jwt = Jwt::new(tokens.ring().clone());
    let hook = WebhookVerifier::new(hooks.ring().clone());
    let cookie = signer.sign("session", "user-42").unwrap();
    let token = jwt.sign(&json!({ "exp": 4_102_444_800_u64 })).unwrap();
    let unnamed = crate::support::encode(
        secret(0).as_bytes(),
        &jsonwebtoken::Header::default(),
        &json!({ "exp": 4_102_444_800_u64 }),
    );
    let tag = dualkey::mac::HmacSha256::new(secret(0).as_bytes()).mac(b"body");
    let signature = format!("sha256={}", hex::encode(tag));
    let reasons = || {
        [
            signer.verify("session", &cookie).map(drop).map_err(|error| error.reason()),
            jwt.verify::<Value>(&token).map(drop).map_err(|error| error.reason()),
            jwt.verify::<Value>(&unnamed).map(drop).map_err(|error| error.reason()),
            hook.verify([&signature], b"body").map(drop).map_err(|error| error.reason()),
        ]
    };
    clock.advance(minutes(9));
    assert_eq!(reasons(), [Ok(()); 4]);
    assert!(!cookies.refresh().unwrap());
    clock.advance(minutes(1));
    // The others have not been read again.
    assert_eq!(reasons()[0], Ok(()));
    assert_eq!(reasons()[1..], [Err(Reason::Stale); 3]);
    assert!(matches!(jwt.sign(&json!({})), Err(Error::Stale { .. })));
    assert!(tokens.health().is_stale && !cookies.health().is_stale);
    // A failure does not make it fresh.
    fs::write(folder.path().join("cookie.json"), "").unwrap();
    clock.advance(minutes(9));
    assert!(cookies.refresh().is_err());
    assert_eq!(reasons(), [Err(Reason::Stale); 4]);
    assert!(matches!(signer.sign("session", "x"), Err(Error::Stale { .. })));
    // It is there again, and so is the service, with no change.
    for following in [tokens.refresh(), hooks.refresh()] {
        assert!(!following.unwrap());
    }
    assert_eq!(reasons()[1..], [Ok(()); 3]);
    // What it holds can be looked at all the time.
    assert_eq!(cookies.ring().primary().unwrap(), kid("a"));
}

/// Hands on that a ring was changed, or could not be.
#[derive(Debug)]
struct Ear(Mutex<Sender<String>>);

impl Observer for Ear {
    fn observe(&self, event: &Event<'_>) {
        let said = match event {
            Event::Reloaded { revision, .. } => format!("reloaded {revision}"),
            Event::ReloadFailed { failures, .. } => format!("failed {failures}"),
            _ => return,
        };
        // Nobody may be listening any more.
        let _ = self.0.lock().unwrap().send(said);
    }
}

fn ear() -> (Ear, Receiver<String>) {
    let (sender, receiver) = channel();
    (Ear(Mutex::new(sender)), receiver)
}

const A_WHILE: Duration = Duration::from_secs(60);

#[test]
fn a_thread_learns_of_a_change_without_being_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    let (ear, heard) = ear();
    let following = KeyRing::<CookieKey>::builder()
        .name("SESSION_SECRET")
        .environment("test")
        .observer(ear)
        .clock(ManualClock::new(at(0)))
        .follow(FileStore::new(&path))
        .poll(NEVER)
        .spawn_thread()
        .unwrap();
    for seed in 1..=3 {
        let started = std::time::Instant::now();
        let new = entry(seed, &format!("k{seed}"));
        block_on(update(&store, |manifest| manifest.stage(new.clone(), at(0)))).unwrap();
        assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), format!("reloaded {}", seed + 1));
        println!("a file's change was swapped in after {:?}", started.elapsed());
    }
    following.stop().unwrap();
}

#[test]
fn a_task_learns_of_a_change_and_of_what_is_wrong() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    let (ear, heard) = ear();
    let following = runtime
        .block_on(
            KeyRing::<CookieKey>::builder()
                .name("SESSION_SECRET")
                .environment("test")
                .observer(ear)
                .clock(ManualClock::new(at(0)))
                .follow(FileStore::new(&path))
                .poll(NEVER)
                .instance("one")
                .spawn(),
        )
        .unwrap();
    block_on(update(&store, |manifest| manifest.stage(entry(1, "b"), at(0)))).unwrap();
    assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), "reloaded 2");
    let text = fs::read(&path).unwrap();
    fs::write(&path, "").unwrap();
    assert!(heard.recv_timeout(A_WHILE).unwrap().starts_with("failed"));
    // What is wrong is tried again by itself, after a second.
    fs::write(&path, text).unwrap();
    while following.health().last_error.is_some() {
        std::thread::yield_now();
    }
    runtime.block_on(following.stop_async()).unwrap();
    let reports = block_on(store.reports()).unwrap();
    assert_eq!((reports.len(), reports[0].has_stopped), (1, true));
}

#[test]
fn a_link_that_is_switched_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let next = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    for (name, manifest) in [("..1", &first()), ("..2", &next)] {
        fs::create_dir(path(name)).unwrap();
        stored(&path(name).join("ring.json"), manifest);
    }
    symlink("..1", path("..data")).unwrap();
    symlink("..data/ring.json", path("ring.json")).unwrap();
    let (ear, heard) = ear();
    let _following = KeyRing::<CookieKey>::builder()
        .name("SESSION_SECRET")
        .environment("test")
        .observer(ear)
        .clock(ManualClock::new(at(0)))
        .follow(FileStore::new(path("ring.json")))
        .poll(NEVER)
        .spawn_thread()
        .unwrap();
    symlink("..2", path("..data_tmp")).unwrap();
    fs::rename(path("..data_tmp"), path("..data")).unwrap();
    assert_eq!(heard.recv_timeout(A_WHILE).unwrap(), "reloaded 2");
}

#[test]
fn a_service_does_not_start_without_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let follow = |name: &str| {
        KeyRing::<CookieKey>::builder()
            .name("SESSION_SECRET")
            .environment("test")
            .follow(FileStore::new(folder.path().join(name)))
            .spawn_thread()
            .map(drop)
    };
    assert!(matches!(follow("nothing"), Err(StoreError::Missing { .. })));
    fs::write(folder.path().join("empty"), "").unwrap();
    fs::set_permissions(folder.path().join("empty"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(follow("empty"), Err(StoreError::Manifest { .. })));
}

#[test]
fn a_thousand_reloads_a_second_lose_nothing() {
    let ring = {
        let builder = KeyRing::<CookieKey>::builder().environment("test");
        first().build_ring(builder.clock(ManualClock::new(at(0)))).unwrap()
    };
    let manifests: Vec<_> = (0..1000)
        .scan(first().stage(entry(1, "b"), at(0)).unwrap().manifest, |manifest, step| {
            let next = ["a", "b"][(step + 1) % 2];
            let change = manifest.force("a test").promote(&kid(next), at(0)).unwrap();
            *manifest = change.manifest.clone();
            Some(change.manifest)
        })
        .collect();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let signer = CookieSigner::new(ring.clone());
    let verified = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut verified = 0_u64;
                    let mut held = signer.sign("session", "user-42").unwrap();
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let (value, again) = signer.verify_and_resign("session", &held).unwrap();
                        assert_eq!(*value, "user-42");
                        held = again.unwrap_or(held);
                        verified += 1;
                    }
                    verified
                })
            })
            .collect();
        let started = std::time::Instant::now();
        for manifest in &manifests {
            assert!(manifest.apply_to(&ring).unwrap());
        }
        println!("1,000 reloads in {:?}", started.elapsed());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap()).sum::<u64>()
    });
    println!("{verified} cookies verified meanwhile, none lost");
    assert!(verified > 0);
    assert_eq!(ring.load().revision(), 1002);
}

/// What a service that never heard of stores writes once, and an operator from then on.
#[test]
fn a_pair_of_variables_becomes_a_manifest() {
    let (new, old) = (secret(1), "an-old-and-short-secret-Xk39Qw2Zr7");
    let now = at(0);
    let manifest =
        Manifest::new("X", Purpose::Cookie, "test", Policy::default(), Secret::from(new), now)
            .unwrap();
    let manifest = manifest.with_fallback(NewEntry::new(Secret::from(old)), now).unwrap();
    let builder = || KeyRing::<CookieKey>::builder().environment("test");
    assert!(matches!(manifest.build_ring(builder()), Err(Error::ShortSecret { .. })));
    let ring = manifest.build_ring(builder().allow_short_fallbacks()).unwrap();
    assert_eq!(ring.keys().len(), 2);
    let shared: Arc<dyn KeyStore> = Arc::new(FileStore::new("nowhere"));
    assert!(block_on(shared.load()).is_err());
}

/// Before a set is swapped in, each of its keys is asked: whatever the secret, a sound one says
/// yes.
#[test]
fn every_kind_of_key_passes_its_self_test() {
    use dualkey::KeyMaterial;
    use dualkey::envelope::AesKey;
    use dualkey::jwt::Algorithm;
    use dualkey::webhook::VerifyToken;
    let kid = kid("k");
    for length in 0..70_u8 {
        let secret: Vec<u8> = (0..length).collect();
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            assert!(JwtKey::prepare(&secret, kid, &algorithm).unwrap().self_test());
        }
        assert!(CookieKey::prepare(&secret, kid, &()).unwrap().self_test());
        assert!(WebhookKey::prepare(&secret, kid, &()).unwrap().self_test());
        assert!(VerifyToken::prepare(&secret, kid, &()).unwrap().self_test());
    }
    for backend in crate::support::BACKENDS {
        for byte in 0..=255 {
            assert!(AesKey::prepare(&[byte; 32], kid, &backend).unwrap().self_test());
        }
    }
}
