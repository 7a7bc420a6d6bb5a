//! Sources that are edited by hand: half an edit changes no ring, and what was revoked stays so.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::manifest::{Change, Manifest, NewEntry};
use dualkey::source::{DotenvStore, EnvStore, FollowHandle, KeyStore, StoreError, update};
use dualkey::{Error, KeyRing, KeyState, Kid, ManualClock, Policy, Purpose, Role, Secret};
use pollster::block_on;

use crate::support::secret;

fn at(seconds: u64) -> SystemTime {
    // Behind no file's time.
    UNIX_EPOCH + Duration::from_secs(4_000_000_000 + seconds)
}

/// A secret of 128 letters and digits.
fn long_secret(seed: u64) -> String {
    let letters =
        |seed| secret(seed).chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    let parts: [String; 4] = std::array::from_fn(|part| letters(seed * 4 + part as u64));
    parts.concat().chars().cycle().take(128).collect()
}

fn dotenv(path: &Path, purpose: Purpose, clock: &ManualClock) -> DotenvStore {
    DotenvStore::new(path, "X", purpose, "test").clock(clock.clone())
}

fn step(
    store: &DotenvStore,
    step: impl FnMut(&Manifest) -> Result<Change, Error>,
) -> Result<Change, StoreError> {
    block_on(update(store, step))
}

fn new_entry(seed: u64) -> NewEntry {
    NewEntry::new(Secret::from(long_secret(seed)))
}

fn record(path: &Path, ending: &str) -> PathBuf {
    path.with_file_name(".env.dualkey").join(format!("X{ending}"))
}

fn follow(store: impl KeyStore, clock: &ManualClock) -> FollowHandle<CookieKey> {
    let builder =
        KeyRing::<CookieKey>::builder().name("X").environment("test").clock(clock.clone());
    builder.follow(store).on_demand().unwrap()
}

/// The kid that a secret has in a ring of cookies.
fn kid(seed: u64) -> Kid {
    let first =
        Manifest::new("X", Purpose::Cookie, "test", Policy::default(), new_entry(seed), at(0));
    first.unwrap().primary(at(0))
}

/// The three sources of one file: the store of the file with its record and without one, and
/// variables that are read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Recorded,
    Unrecorded,
    Variables,
}

const SOURCES: [Source; 3] = [Source::Recorded, Source::Unrecorded, Source::Variables];

impl Source {
    /// A file in which the secret 0 signs, and a ring that follows it.
    fn start(self, path: &Path, clock: &ManualClock) -> FollowHandle<CookieKey> {
        fs::write(path, format!("X={}\n", long_secret(0))).unwrap();
        let store = dotenv(path, Purpose::Cookie, clock);
        if self == Self::Recorded {
            step(&store, |manifest| manifest.stage(new_entry(8), at(0))).unwrap();
            step(&store, |manifest| manifest.revoke(&kid(8), "for the record", at(0))).unwrap();
        }
        if self != Self::Variables {
            return follow(dotenv(path, Purpose::Cookie, clock), clock);
        }
        let path = path.to_owned();
        let store = EnvStore::<CookieKey>::vars("X", "test", move |name| {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            Ok(lines.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()))
        });
        follow(store.clock(clock.clone()), clock)
    }
}

#[test]
fn half_an_edit_changes_no_ring() {
    let (old, new) = (long_secret(0), long_secret(1));
    let finished = format!("X={new}\nX_OLD={old}\n");
    let halves = [
        ("a value of which the end is missing", vec![format!("X={}", &old[..80])]),
        ("a new value of which the end is missing", vec![format!("X={}", &new[..80])]),
        ("an empty file", vec![String::new()]),
        ("a file that is filled again", vec![String::new(), format!("X={}", &new[..100])]),
        ("only another line", vec!["PORT=1\n".to_owned()]),
        ("only the old key", vec![format!("X_OLD={old}\n")]),
        ("X before X_OLD", vec![format!("X={new}\n")]),
        ("X_OLD before X", vec![format!("X={old}\nX_OLD={old}\n")]),
        ("a half after a half", vec![format!("X={}", &new[..80]), format!("X={}", &new[..90])]),
        ("an end of line of another system", vec![format!("X={}\r\n", &new[..80])]),
    ];
    for source in SOURCES {
        for (name, texts) in &halves {
            for (ending, renames) in [("\n", false), ("\r\n", false), ("\n", true)] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join(".env");
                let clock = ManualClock::new(at(10));
                let following = source.start(&path, &clock);
                let ring = following.ring();
                let signer = CookieSigner::new(ring.clone());
                let cookie = signer.sign("session", "ada").unwrap();
                let case = format!("{source:?}, {name}, {ending:?}, {renames}");
                let is_unchanged = || {
                    let _ = following.refresh();
                    assert_eq!(ring.primary().unwrap(), kid(0), "{case}");
                    assert!(signer.verify("session", &cookie).is_ok(), "{case}");
                };
                for text in texts {
                    fs::write(&path, text).unwrap();
                    clock.advance(Duration::from_secs(30));
                    is_unchanged();
                }
                let finished = finished.replace('\n', ending);
                if renames {
                    let beside = folder.path().join("beside");
                    fs::write(&beside, finished).unwrap();
                    fs::rename(beside, &path).unwrap();
                } else {
                    fs::write(&path, finished).unwrap()
                }
                clock.advance(Duration::from_secs(30));
                is_unchanged();
                clock.advance(Duration::from_secs(30));
                following.refresh().unwrap();
                assert_eq!(ring.primary().unwrap(), kid(1), "{case}");
                let verified = signer.verify("session", &cookie).unwrap();
                assert!(verified.needs_resign(), "{case}");
            }
        }
    }
}

#[test]
fn half_an_edit_that_is_gone_again_was_never_there() {
    for source in SOURCES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let clock = ManualClock::new(at(10));
        let following = source.start(&path, &clock);
        let before = following.ring().fingerprint();
        let half = format!("X={}\n", &long_secret(0)[..80]);
        for _ in 0..3 {
            fs::write(&path, &half).unwrap();
            let _ = following.refresh();
            fs::write(&path, format!("X={}\n", long_secret(0))).unwrap();
            following.refresh().unwrap();
            assert_eq!(following.ring().fingerprint(), before, "{source:?}");
        }
        // An unreadable file between two equal readings: the second is not the next one.
        fs::write(&path, &half).unwrap();
        let _ = following.refresh();
        fs::write(&path, "").unwrap();
        let _ = following.refresh();
        fs::write(&path, &half).unwrap();
        let _ = following.refresh();
        assert_eq!(following.ring().primary().unwrap(), kid(0), "{source:?}");
        let _ = following.refresh();
        assert_ne!(following.ring().primary().unwrap(), kid(0), "{source:?}: the file decides");
    }
}

#[test]
fn the_revision_never_goes_back_and_every_edit_arrives() {
    for source in SOURCES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let clock = ManualClock::new(at(10));
        let following = source.start(&path, &clock);
        let ring = following.ring();
        let mut revision = ring.load().revision();
        // Away from what the record says and back to it, several times.
        for seed in [1, 2, 0, 3, 0, 1] {
            fs::write(&path, format!("X={}\n", long_secret(seed))).unwrap();
            clock.advance(Duration::from_secs(60));
            let _ = following.refresh();
            let _ = following.refresh();
            assert_eq!(ring.primary().unwrap(), kid(seed), "{source:?}");
            assert!(ring.load().revision() > revision, "{source:?}");
            revision = ring.load().revision();
        }
        if source == Source::Variables {
            continue;
        }
        // A change by another process, whose revisions are lower.
        step(&dotenv(&path, Purpose::Cookie, &clock), |manifest| {
            manifest.stage(new_entry(5), at(380))
        })
        .unwrap();
        assert!(following.refresh().unwrap(), "its record was written with it");
        assert_eq!(ring.keys().len(), 2, "{source:?}");
        assert!(ring.load().revision() > revision, "{source:?}");
        // A change by this process, on the revision that it has seen.
        let store = dotenv(&path, Purpose::Cookie, &clock);
        let seen = block_on(store.load()).unwrap();
        fs::write(&path, format!("X={}\n", long_secret(6))).unwrap();
        let _ = block_on(store.load());
        assert!(block_on(store.load()).unwrap().revision() > seen.revision());
        let next = step(&store, |manifest| manifest.stage(new_entry(7), at(390))).unwrap().manifest;
        assert_eq!(block_on(store.load()).unwrap().revision(), next.revision());
    }
}

#[test]
fn the_limit_of_the_revision_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let clock = ManualClock::new(at(10));
    drop(Source::Recorded.start(&path, &clock));
    let record = record(&path, ".json");
    let text = fs::read_to_string(&record).unwrap();
    let last = text.replace("\"revision\": 3", &format!("\"revision\": {}", u64::MAX));
    assert_ne!(text, last);
    fs::write(&record, last).unwrap();
    fs::write(&path, format!("X={}\n", long_secret(1))).unwrap();
    let error = block_on(dotenv(&path, Purpose::Cookie, &clock).load()).unwrap_err();
    assert!(matches!(&error, StoreError::Manifest { .. }), "{error}");
    assert!(error.to_string().contains("revision"), "{error}");
}

/// A revocation by another process, and an edit by hand before the next poll.
#[test]
fn a_revocation_counts_before_the_edit_that_it_is_seen_with() {
    type Edit = fn(&str) -> String;
    let edits: [(&str, Edit); 5] = [
        ("another key", |text| format!("{text}X_OLD={}\n", long_secret(3))),
        ("a cut value", |text| text.replace(&long_secret(0), &long_secret(0)[..80])),
        ("an empty file", |_| String::new()),
        ("a line that is unclear", |text| format!("{text}X_OLD=a#b\n")),
        ("the revoked key again", |text| format!("{text}X_BACKUP={}\n", long_secret(1))),
    ];
    for (name, edit) in edits {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        fs::write(&path, format!("X={}\nX_OLD={}\n", long_secret(0), long_secret(1))).unwrap();
        let clock = ManualClock::new(at(10));
        let another = dotenv(&path, Purpose::Cookie, &clock);
        step(&another, |manifest| manifest.stage(new_entry(2), at(10))).unwrap();
        let following = follow(dotenv(&path, Purpose::Cookie, &clock), &clock);
        let ring = following.ring();
        assert_eq!(ring.keys().len(), 3);

        step(&another, |manifest| manifest.revoke(&kid(1), "in a log", at(20))).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, edit(&text)).unwrap();
        clock.set(at(30));
        assert!(following.refresh().unwrap(), "{name}");
        let state = |kid| ring.load().state(&kid, at(30));
        assert_eq!(state(kid(1)), Some(KeyState::Revoked), "{name}");
        assert_eq!(ring.primary().unwrap(), kid(0), "{name}");
        assert_eq!(state(kid(2)), Some(KeyState::Live(Role::Staged)), "{name}");
        assert_eq!(state(kid(3)), None, "{name}");
        let refused = following.refresh();
        assert_ne!(state(kid(1)), Some(KeyState::Live(Role::Fallback)), "{name}");
        match name {
            "the revoked key again" => {
                let error = refused.unwrap_err().to_string();
                assert!(error.contains(kid(1).as_str()) && error.contains("X_BACKUP"), "{error}");
                assert!(!error.contains(&long_secret(1)[..8]), "{error}");
            }
            "another key" => {
                assert!(refused.unwrap());
                assert_eq!(state(kid(3)), Some(KeyState::Live(Role::Fallback)));
            }
            _ => {}
        }
        // The edit is undone.
        fs::write(&path, text).unwrap();
        following.refresh().unwrap();
        assert_eq!(ring.primary().unwrap(), kid(0), "{name}");
        assert!(state(kid(1)).is_none_or(|state| state == KeyState::Revoked), "{name}");
    }
}

const VARIABLES: [&str; 5] = ["X_NEW", "X", "X_OLD", "X_BACKUP", "X_NEXT"];

#[test]
fn yesterdays_file_does_not_bring_a_revoked_credential_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let clock = ManualClock::new(at(0));
    let name = "SMTP_PASSWORD";
    let store = || DotenvStore::new(&path, name, Purpose::Credential, "test").clock(clock.clone());
    let (good, leaked) = ("Summer2023!x9Lr", "Winter2024!vQ2m");
    fs::write(&path, format!("{name}={good}-abc\n")).unwrap();
    let second: Kid = "credential-2".parse().unwrap();
    step(&store(), |manifest| manifest.stage(Secret::from(format!("{leaked}-abc")), at(1)))
        .unwrap();
    step(&store(), |manifest| manifest.force("deployed").promote(&second, at(2))).unwrap();
    let yesterday = fs::read_to_string(&path).unwrap();
    step(&store(), |manifest| manifest.force("a test").rollback(at(3))).unwrap();
    step(&store(), |manifest| manifest.revoke(&second, "in a log", at(4))).unwrap();
    let today = fs::read_to_string(&path).unwrap();

    // A process that has seen all of it, and one that starts.
    let running = store();
    let before = block_on(running.load()).unwrap();
    clock.set(at(100));
    fs::write(&path, &yesterday).unwrap();
    for store in [&running, &running, &store(), &store().clone()] {
        let error = block_on(store.load()).unwrap_err();
        let StoreError::Manifest { source, .. } = &error else { panic!("{error}") };
        assert!(matches!(**source, Error::Revoked { kid } if kid == second), "{error}");
        let error = error.to_string();
        assert!(error.contains("credential-2") && error.contains(name), "{error}");
        assert!(!error.contains("Winter") && !error.contains(leaked), "{error}");
        // Nor can a step be taken on it.
        let refused =
            step(store, |manifest| manifest.stage(Secret::from("Autumn2026!k3Vz-abc"), at(100)));
        assert!(matches!(refused, Err(StoreError::Manifest { .. })), "{refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), yesterday, "nothing is written over");
    }
    fs::write(&path, today).unwrap();
    assert_eq!(block_on(running.load()).unwrap().revision(), before.revision());
}

#[test]
fn a_revoked_secret_is_refused_for_every_purpose_and_under_every_variable() {
    for purpose in [Purpose::Credential, Purpose::VerifyToken, Purpose::Cookie, Purpose::Jwt] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let clock = ManualClock::new(at(0));
        let store = || dotenv(&path, purpose, &clock);
        fs::write(&path, format!("X={}\n", long_secret(0))).unwrap();
        let leaked = step(&store(), |manifest| {
            manifest.stage(new_entry(1).kid("leaked".parse().unwrap()), at(1))
        });
        let leaked = leaked.unwrap().kid;
        step(&store(), |manifest| manifest.revoke(&leaked, "in a log", at(2))).unwrap();
        // The recogniser is kept when the record is written again.
        for seed in 2..5 {
            let staged = step(&store(), |manifest| manifest.stage(new_entry(seed), at(seed * 10)))
                .unwrap()
                .kid;
            let promote =
                |manifest: &Manifest| manifest.force("deployed").promote(&staged, at(seed * 10));
            step(&store(), promote).unwrap();
            let old = block_on(store().load()).unwrap();
            let old = old.keys().iter().find(|key| key.secret().is_some() && key.kid() != staged);
            let old = old.unwrap().kid();
            step(&store(), |manifest| manifest.revoke(&old, "no longer used", at(seed * 10 + 1)))
                .unwrap();
        }
        let text = fs::read_to_string(record(&path, ".json")).unwrap();
        assert!((0..5).all(|seed| !text.contains(&long_secret(seed))), "no secret in the record");
        assert_eq!(text.matches("\"recogniser\"").count(), 4, "{text}");

        let running = store();
        let before = block_on(running.load()).unwrap();
        for variable in VARIABLES {
            let others = VARIABLES.iter().filter(|other| **other == "X" && **other != variable);
            let others: String =
                others.map(|name| format!("{name}={}\n", long_secret(4))).collect();
            // Two are the same secret: the first of both is the leaked one.
            fs::write(&path, format!("{others}{variable}={}\n", long_secret(1))).unwrap();
            for store in [&running, &running, &store()] {
                let error = block_on(store.load()).unwrap_err();
                let is_revoked =
                    |error: &Error| matches!(error, Error::Revoked { kid } if *kid == leaked);
                let StoreError::Manifest { source, .. } = &error else {
                    // Only X_NEXT: no key signs.
                    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
                    continue;
                };
                assert!(is_revoked(source), "{purpose:?} {variable}: {error}");
                assert!(error.to_string().starts_with(&format!("{variable} in ")), "{error}");
            }
        }
        fs::write(&path, format!("X={}\n", long_secret(4))).unwrap();
        assert_eq!(block_on(running.load()).unwrap().revision(), before.revision());
        // Nor does a step bring it back, under any name.
        let again = step(&running, |manifest| {
            manifest.stage(new_entry(1).kid("another".parse().unwrap()), at(100))
        });
        let is_refused =
            matches!(&again, Err(StoreError::Refused(Error::Revoked { kid })) if *kid == leaked);
        assert!(is_refused, "{again:?}");
        let emergency = step(&running, |manifest| {
            manifest.emergency_rotate(&manifest.primary(at(100)), "in a log", new_entry(1), at(100))
        });
        assert!(matches!(emergency, Err(StoreError::Refused(Error::Revoked { .. }))));
    }
}

#[test]
fn a_destroyed_secret_is_refused_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let clock = ManualClock::new(at(0));
    let store = || dotenv(&path, Purpose::VerifyToken, &clock);
    fs::write(&path, format!("X={}\n", long_secret(0))).unwrap();
    let first = block_on(store().load()).unwrap().primary(at(0));
    let second = step(&store(), |manifest| manifest.stage(new_entry(1), at(1))).unwrap().kid;
    step(&store(), |manifest| manifest.force("deployed").promote(&second, at(2))).unwrap();
    let yesterday = fs::read_to_string(&path).unwrap();
    let end = block_on(store().load()).unwrap().verifies_until(&first).unwrap();
    clock.set(end);
    step(&store(), |manifest| manifest.destroy(&first, &[], end)).unwrap();
    fs::write(&path, yesterday).unwrap();
    let error = block_on(store().load()).unwrap_err();
    let StoreError::Manifest { source, .. } = &error else { panic!("{error}") };
    assert!(matches!(**source, Error::Destroyed { kid } if kid == first), "{error}");
}

/// Killed after `.env` was put in its place, and before the record was.
#[test]
fn a_revocation_that_was_interrupted_and_made_is_final() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let clock = ManualClock::new(at(0));
    let store = || dotenv(&path, Purpose::Credential, &clock);
    fs::write(&path, format!("X={}\nX_OLD={}\n", long_secret(0), long_secret(1))).unwrap();
    step(&store(), |manifest| manifest.stage(new_entry(2), at(1))).unwrap();
    let yesterday = fs::read(&path).unwrap();
    let before = fs::read(record(&path, ".json")).unwrap();
    let leaked: Kid = "credential-2".parse().unwrap();
    step(&store(), |manifest| manifest.revoke(&leaked, "in a log", at(2))).unwrap();
    let after = fs::read(record(&path, ".json")).unwrap();
    fs::write(record(&path, ".json.next"), after).unwrap();
    fs::write(record(&path, ".json"), before).unwrap();

    let running = store();
    let manifest = block_on(running.load()).unwrap();
    assert_eq!(manifest.state(&leaked, at(3)), Some(KeyState::Revoked));
    // The process that has seen it refuses the file of before.
    let made = fs::read(&path).unwrap();
    fs::write(&path, &yesterday).unwrap();
    for _ in 0..2 {
        let error = block_on(running.load()).unwrap_err();
        assert!(error.to_string().contains("credential-2"), "{error}");
    }
    // The next change completes it, for every process.
    fs::write(&path, made).unwrap();
    let third: Kid = "credential-3".parse().unwrap();
    step(&store(), |manifest| manifest.force("deployed").promote(&third, at(4))).unwrap();
    assert!(!record(&path, ".json.next").exists());
    fs::write(&path, &yesterday).unwrap();
    let error = block_on(store().load()).unwrap_err();
    assert!(error.to_string().contains("credential-2"), "{error}");
}

/// Yesterday's file with yesterday's record.
#[test]
fn a_process_keeps_what_it_knows_to_be_revoked_when_the_record_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let clock = ManualClock::new(at(0));
    let store = dotenv(&path, Purpose::Credential, &clock);
    fs::write(&path, format!("X={}\n", long_secret(0))).unwrap();
    step(&store, |manifest| manifest.stage(new_entry(1), at(1))).unwrap();
    let yesterday = (fs::read(&path).unwrap(), fs::read(record(&path, ".json")).unwrap());
    let leaked: Kid = "credential-2".parse().unwrap();
    step(&store, |manifest| manifest.revoke(&leaked, "in a log", at(2))).unwrap();
    block_on(store.load()).unwrap();
    fs::write(&path, &yesterday.0).unwrap();
    for _ in 0..3 {
        fs::write(record(&path, ".json"), &yesterday.1).unwrap();
        let error = block_on(store.load()).unwrap_err();
        assert!(error.to_string().contains("credential-2"), "{error}");
    }
    // It is in force as well if only the record is of yesterday.
    fs::write(&path, format!("X={}\n", long_secret(3))).unwrap();
    let _ = block_on(store.load());
    block_on(store.load()).unwrap();
    fs::write(&path, &yesterday.0).unwrap();
    let error = block_on(store.load()).unwrap_err();
    assert!(error.to_string().contains("credential-2"), "{error}");
}

#[test]
fn an_expired_key_lives_again_in_the_variable_that_it_is_moved_to() {
    for (edit, role) in [
        (format!("X={}\nX_OLD={}\n", long_secret(0), long_secret(1)), Role::Primary),
        (format!("X={}\nX_NEXT={}\n", long_secret(1), long_secret(0)), Role::Staged),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let clock = ManualClock::new(at(0));
        let store = dotenv(&path, Purpose::Cookie, &clock);
        fs::write(&path, format!("X={}\n", long_secret(0))).unwrap();
        step(&store, |manifest| manifest.stage(new_entry(1), at(1))).unwrap();
        step(&store, |manifest| manifest.force("deployed").promote(&kid(1), at(2))).unwrap();
        let following = follow(store.clone(), &clock);
        let end = block_on(store.load()).unwrap().verifies_until(&kid(0)).unwrap();
        let now = end + Duration::from_secs(60);
        clock.set(now);
        let state = || following.ring().load().state(&kid(0), now);
        let _ = following.refresh();
        assert_eq!(state(), Some(KeyState::Expired), "it is where it was");

        fs::write(&path, edit).unwrap();
        let _ = following.refresh();
        assert_eq!(state(), Some(KeyState::Expired), "seen once");
        following.refresh().unwrap();
        assert_eq!(state(), Some(KeyState::Live(role)));
        let manifest = block_on(store.load()).unwrap();
        assert_eq!(manifest.key(&kid(0)).unwrap().retire_at(), None);
    }
}

#[test]
fn clones_of_a_store_share_what_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let clock = ManualClock::new(at(0));
    let store = dotenv(&path, Purpose::Cookie, &clock);
    fs::write(&path, format!("X={}\n", long_secret(0))).unwrap();
    block_on(store.load()).unwrap();
    fs::write(&path, format!("X={}\n", long_secret(1))).unwrap();
    let error = block_on(store.clone().load()).unwrap_err();
    assert!(matches!(error, StoreError::Unconfirmed { .. }), "{error}");
    assert_eq!(block_on(store.load()).unwrap().primary(at(0)), kid(1));
}

#[test]
fn a_record_of_revoked_keys_is_not_replaced_by_a_first_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let clock = ManualClock::new(at(0));
    let store = || dotenv(&path, Purpose::Credential, &clock);
    fs::write(&path, format!("X={}\nX_OLD={}\n", long_secret(0), long_secret(1))).unwrap();
    let leaked: Kid = "credential-2".parse().unwrap();
    step(&store(), |manifest| manifest.revoke(&leaked, "in a log", at(1))).unwrap();
    fs::write(&path, "PORT=1\n").unwrap();
    let first = |seed| {
        let policy = Policy::default();
        Manifest::new("X", Purpose::Credential, "test", policy, new_entry(seed), at(2)).unwrap()
    };
    for seed in [1, 2] {
        let refused = block_on(store().compare_and_swap(0, &first(seed)));
        assert!(matches!(refused, Err(StoreError::Unfit { .. })), "{refused:?}");
    }
    fs::write(&path, format!("X={}\n", long_secret(2))).unwrap();
    let manifest = block_on(store().load()).unwrap();
    assert_eq!(manifest.state(&leaked, at(3)), Some(KeyState::Revoked));
    // The number of a key is not given twice, by an edit or by a step.
    assert_eq!(manifest.primary(at(3)), *"credential-3");
    let staged = step(&store(), |manifest| manifest.stage(new_entry(3), at(3))).unwrap().kid;
    assert_eq!(staged, *"credential-4");
    fs::write(&path, format!("X={}\n", long_secret(1))).unwrap();
    assert!(block_on(store().load()).is_err());
}

#[test]
fn a_recogniser_that_cannot_be_read_refuses_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let clock = ManualClock::new(at(0));
    drop(Source::Recorded.start(&path, &clock));
    let text = fs::read_to_string(record(&path, ".json")).unwrap();
    for (field, with) in [("\"salt\": \"", "\"salt\": \"*"), ("\"tag\": \"", "\"tag\": \"AA")] {
        fs::write(record(&path, ".json"), text.replace(field, with)).unwrap();
        let error = block_on(dotenv(&path, Purpose::Cookie, &clock).load()).unwrap_err();
        assert!(error.to_string().contains("recogniser"), "{error}");
    }
}

/// Each reader starts, so that its first reading counts.
#[test]
fn a_process_that_starts_beside_a_writer_reads_one_generation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let clock = ManualClock::new(at(0));
    let store = dotenv(&path, Purpose::Cookie, &clock);
    fs::write(&path, format!("X={}\n", long_secret(0))).unwrap();
    let mut written = HashSet::new();
    let mut seen = HashSet::new();
    step(&store, |manifest| manifest.stage(new_entry(1), at(1))).unwrap();
    written.insert(block_on(store.load()).unwrap().fingerprint());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = HashSet::new();
            while !is_over.load(Ordering::Relaxed) {
                match block_on(dotenv(&path, Purpose::Cookie, &clock).load()) {
                    Ok(manifest) => seen.insert(manifest.fingerprint()),
                    Err(StoreError::Unconfirmed { .. }) => false,
                    Err(error) => panic!("{error}"),
                };
            }
            seen
        });
        for turn in 0..150 {
            let now = at(2 + turn);
            let change = match turn {
                0 => step(&store, |manifest| manifest.force("deployed").promote(&kid(1), now)),
                _ => step(&store, |manifest| manifest.force("a test").rollback(now)),
            };
            written.insert(change.unwrap().manifest.fingerprint());
        }
        is_over.store(true, Ordering::Relaxed);
        seen = reader.join().unwrap();
    });
    assert!(seen.is_subset(&written), "{} of {}", seen.len(), written.len());
    println!("{} generations written, {} seen by readers that start", written.len(), seen.len());
}
