//! Keys in `.env` files: rotated in place, and nothing else touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dualkey::cookie::CookieKey;
use dualkey::manifest::{Change, Manifest, NewEntry};
use dualkey::source::{DotenvStore, KeyStore, StoreError, update};
use dualkey::{Error, KeyRing, KeyState, Kid, ManualClock, Purpose, Role, Secret};
use proptest::prelude::*;

use crate::support::manifest::rewrap_counts_from;
use crate::support::{cases, secret};

fn at(seconds: u64) -> SystemTime {
    // Behind no file's time.
    UNIX_EPOCH + Duration::from_secs(4_000_000_000 + seconds)
}

fn plain_secret(seed: u64) -> String {
    secret(seed).chars().filter(char::is_ascii_alphanumeric).cycle().take(64).collect()
}

fn store(path: &Path, clock: &ManualClock) -> DotenvStore {
    DotenvStore::new(path, "SESSION_SECRET", Purpose::Cookie, "production").clock(clock.clone())
}

fn step(
    store: &DotenvStore,
    step: impl FnMut(&Manifest) -> Result<Change, Error>,
) -> Result<Change, StoreError> {
    pollster::block_on(update(store, step))
}

fn load(store: &DotenvStore) -> Manifest {
    pollster::block_on(store.load()).unwrap()
}

fn sidecar(path: &Path, ending: &str) -> PathBuf {
    path.with_file_name(".env.dualkey").join(format!("SESSION_SECRET{ending}"))
}

#[test]
fn a_rotation_touches_its_own_lines_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let (old, new) = (plain_secret(0), plain_secret(1));
    let head = "# The service\r\nPORT=3000\r\n";
    let tail = "export  QUOTED=\"a # b\"  # why\r\nschlüssel='é'\r\nLAST=1";
    fs::write(&path, format!("{head}SESSION_SECRET={old}\r\n{tail}")).unwrap();
    let clock = ManualClock::new(at(0));
    let store = store(&path, &clock);
    let is = |lines: &str| {
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{head}{lines}{tail}"))
    };
    let kid = load(&store).primary(at(0));

    let entry = || NewEntry::new(Secret::from(new.as_str()));
    let staged = step(&store, |manifest| manifest.stage(entry(), at(10))).unwrap().kid;
    is(&format!("SESSION_SECRET={old}\r\nSESSION_SECRET_NEXT={new}\r\n"));
    assert_eq!(load(&store).state(&staged, at(10)), Some(KeyState::Live(Role::Staged)));

    // Nobody says that it holds the key; the operator does.
    assert!(step(&store, |manifest| manifest.promote(&staged, &[], at(20))).is_err());
    step(&store, |manifest| manifest.force("deployed").promote(&staged, at(20))).unwrap();
    is(&format!("SESSION_SECRET={new}\r\nSESSION_SECRET_OLD={old}\r\n"));
    let manifest = load(&store);
    assert_eq!((manifest.primary(at(20)), manifest.revision()), (staged, 3));
    assert_eq!(manifest.verifies_until(&kid), Some(at(20) + manifest.policy().overlap()));

    step(&store, |manifest| manifest.force("a test").rollback(at(30))).unwrap();
    is(&format!("SESSION_SECRET={old}\r\nSESSION_SECRET_OLD={new}\r\n"));
    step(&store, |manifest| manifest.force("again").promote(&staged, at(40))).unwrap();

    // Past its end it stands there until it is wiped: services still take it.
    let end = load(&store).verifies_until(&kid).unwrap();
    clock.set(end);
    assert_eq!(load(&store).state(&kid, end), Some(KeyState::Expired));
    step(&store, |manifest| manifest.destroy(&kid, &[], end)).unwrap();
    is(&format!("SESSION_SECRET={new}\r\n"));

    // Its record is there: it does not come back.
    let again = step(&store, |manifest| manifest.stage(Secret::from(old.as_str()), end));
    assert!(matches!(again, Err(StoreError::Refused(Error::Destroyed { .. }))), "{again:?}");
    let side = fs::read_to_string(sidecar(&path, ".json")).unwrap();
    assert!(!side.contains(&old) && !side.contains(&new), "no secret beside the file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(sidecar(&path, ".json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn an_emergency_takes_the_leaked_secret_out_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    fs::write(&path, format!("SESSION_SECRET={}\n", plain_secret(0))).unwrap();
    let clock = ManualClock::new(at(0));
    let store = store(&path, &clock).backup();
    let leaked = load(&store).primary(at(0));
    let new = || NewEntry::new(Secret::from(plain_secret(1)));
    step(&store, |manifest| manifest.emergency_rotate(&leaked, "in a log", new(), at(1))).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("SESSION_SECRET={}\n", plain_secret(1)));
    assert_eq!(load(&store).state(&leaked, at(1)), Some(KeyState::Revoked));
    // Put back by hand, it is refused, and the last good ring would serve on.
    fs::write(
        &path,
        format!("SESSION_SECRET={}\nSESSION_SECRET_OLD={}\n", plain_secret(1), plain_secret(0)),
    )
    .unwrap();
    let error = pollster::block_on(store.load()).unwrap_err().to_string();
    assert!(error.contains(leaked.as_str()), "{error}");
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let backups = names.filter(|name| name.to_string_lossy().ends_with(".bak")).count();
    assert_eq!(backups, 1);
}

#[test]
fn an_edit_by_hand_counts_when_it_was_seen_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let write = |text: String| fs::write(&path, text).unwrap();
    write(format!("SESSION_SECRET={}\n", plain_secret(0)));
    let clock = ManualClock::new(at(0));
    let store = store(&path, &clock);
    let first = load(&store).primary(at(0));
    step(&store, |manifest| manifest.stage(Secret::from(plain_secret(1)), at(1))).unwrap();

    // The runbook of before: X_NEW signs, X verifies.
    write(format!("SESSION_SECRET_NEW={}\nSESSION_SECRET={}\n", plain_secret(1), plain_secret(0)));
    clock.set(at(99));
    assert!(matches!(pollster::block_on(store.load()), Err(StoreError::Unconfirmed { .. })));
    clock.set(at(100));
    let manifest = load(&store);
    let second = manifest.primary(at(100));
    assert!(second != first && manifest.revision() == 3);
    assert_eq!(manifest.verifies_until(&first), Some(at(100) + manifest.policy().overlap()));

    // Another edit is not written over.
    let change = manifest.stage(Secret::from(plain_secret(2)), at(101)).unwrap();
    write(format!("SESSION_SECRET={}\nSESSION_SECRET_NEXT={}\n", plain_secret(1), plain_secret(3)));
    let late = pollster::block_on(store.compare_and_swap(manifest.revision(), &change.manifest));
    assert!(matches!(late, Err(StoreError::Unconfirmed { .. })), "{late:?}");
    // Over what is there now, it is one too many.
    let full = step(&store, |manifest| manifest.stage(Secret::from(plain_secret(2)), at(101)));
    assert!(matches!(full, Err(StoreError::Unfit { .. })), "{full:?}");
    assert!(fs::read_to_string(&path).unwrap().contains(&plain_secret(3)));
}

/// Killed before the file was renamed, and after it.
#[test]
fn a_change_that_was_interrupted_was_made_or_was_not() {
    for revokes in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        fs::write(&path, format!("SESSION_SECRET={}\n", plain_secret(0))).unwrap();
        let clock = ManualClock::new(at(0));
        let store = store(&path, &clock);
        let first = load(&store).primary(at(0));
        step(&store, |manifest| manifest.stage(Secret::from(plain_secret(1)), at(1))).unwrap();
        let files = || {
            let read = |path: &Path| fs::read(path).unwrap();
            (read(&path), read(&sidecar(&path, ".json")))
        };
        let before = files();
        let new = || NewEntry::new(Secret::from(plain_secret(2)));
        let manifest = load(&store);
        let kid = manifest.keys()[1].kid();
        let change = |manifest: &Manifest| {
            if revokes {
                manifest.emergency_rotate(&first, "in a log", new(), at(2))
            } else {
                manifest.force("deployed").promote(&kid, at(2))
            }
        };
        let made = step(&store, change).unwrap();
        let after = files();
        clock.set(at(50));

        fs::write(sidecar(&path, ".json.next"), &after.1).unwrap();
        fs::write(sidecar(&path, ".json"), &before.1).unwrap();
        // Another process, which has seen nothing of it.
        let another = || self::store(&path, &clock);
        let manifest = load(&another());
        let of_this = load(&store);
        assert_eq!(manifest.revision(), of_this.revision());
        assert_eq!(manifest.primary(at(50)), made.manifest.primary(at(50)), "made, {revokes}");
        assert_eq!(manifest.verifies_until(&first), made.manifest.verifies_until(&first));
        assert_eq!(manifest.state(&first, at(50)), made.manifest.state(&first, at(50)));
        assert_eq!(manifest.revision(), made.manifest.revision());

        fs::write(&path, &before.0).unwrap();
        let manifest = load(&another());
        assert_eq!((manifest.revision(), manifest.primary(at(50))), (2, first), "not made");
        // A process that has seen the change knows of the revocation.
        match pollster::block_on(store.load()) {
            Err(StoreError::Manifest { source, .. }) => {
                assert!(revokes && matches!(*source, Error::Revoked { kid } if kid == first));
            }
            result => assert_eq!((result.unwrap().revision(), revokes), (4, false)),
        }
        // And is made now.
        step(&another(), change).unwrap();
        assert_eq!(load(&another()).primary(at(50)), kid);
        assert_eq!(load(&store).primary(at(50)), kid);
        assert!(!sidecar(&path, ".json.next").exists());
    }
}

/// V8: a writer was killed before the file was renamed, or after it, and the file was edited before
/// the next reading. Nothing says then whether the change was made: what it revoked is revoked.
#[test]
fn a_revocation_that_was_interrupted_survives_an_edit_by_hand() {
    for purpose in [Purpose::Cookie, Purpose::Credential] {
        for (is_renamed, has_record) in [(false, true), (true, true), (false, false), (true, false)]
        {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(".env");
            let clock = ManualClock::new(at(0));
            let store = || {
                DotenvStore::new(&path, "SESSION_SECRET", purpose, "production")
                    .clock(clock.clone())
            };
            fs::write(&path, format!("SESSION_SECRET={}\n", plain_secret(0))).unwrap();
            if has_record {
                step(&store(), |manifest| manifest.stage(Secret::from(plain_secret(1)), at(1)))
                    .unwrap();
            }
            let running = store();
            let held = load(&running);
            let leaked = held.primary(at(1));
            let before = (fs::read(&path).unwrap(), fs::read(sidecar(&path, ".json")).ok());
            let new = || NewEntry::new(Secret::from(plain_secret(2)));
            let revoke =
                |manifest: &Manifest| manifest.emergency_rotate(&leaked, "in a log", new(), at(2));
            step(&store(), revoke).unwrap();
            fs::rename(sidecar(&path, ".json"), sidecar(&path, ".json.next")).unwrap();
            if let Some(record) = &before.1 {
                fs::write(sidecar(&path, ".json"), record).unwrap();
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                fs::set_permissions(sidecar(&path, ".json"), mode).unwrap();
            }
            if !is_renamed {
                fs::write(&path, &before.0).unwrap();
            }
            // The leaked secret is still there, and refused under each name.
            for suffix in ["", "_OLD", "_NEXT"] {
                let (value, other) = (plain_secret(0), plain_secret(5));
                let mut text = format!("SESSION_SECRET{suffix}={value}\n");
                if !suffix.is_empty() {
                    text = format!("SESSION_SECRET={other}\n{text}");
                }
                fs::write(&path, text + &format!("SESSION_SECRET_BACKUP={}\n", plain_secret(6)))
                    .unwrap();
                let error = pollster::block_on(store().load()).unwrap_err();
                let is_refused = matches!(&error, StoreError::Manifest { source, .. }
                    if matches!(**source, Error::Revoked { .. }));
                assert!(is_refused, "{purpose} {is_renamed} {has_record} {suffix}: {error}");
            }
            // A process that ran through all of it revokes at once, before it takes the edit.
            let edit = format!(
                "SESSION_SECRET={}\nSESSION_SECRET_OLD={}\n",
                plain_secret(5),
                plain_secret(6)
            );
            fs::write(&path, edit).unwrap();
            match pollster::block_on(running.load()) {
                Ok(manifest) => assert_eq!(manifest.state(&leaked, at(9)), Some(KeyState::Revoked)),
                Err(StoreError::OnlyRevocations { revocations, .. }) => {
                    assert_eq!(revocations.kids().collect::<Vec<_>>(), [leaked]);
                }
                Err(error) => panic!("{purpose} {is_renamed} {has_record}: {error}"),
            }
            // Its record stays through the next change, and keeps the secret out for good.
            clock.set(at(100));
            let manifest = load(&store());
            assert_eq!(manifest.keys().iter().filter(|key| key.secret().is_some()).count(), 2);
            assert!(manifest.revision() > held.revision());
            step(&store(), |manifest| manifest.stage(Secret::from(plain_secret(7)), at(101)))
                .unwrap();
            assert!(!sidecar(&path, ".json.next").exists());
            let again =
                step(&store(), |manifest| manifest.stage(Secret::from(plain_secret(0)), at(102)));
            assert!(
                matches!(again, Err(StoreError::Refused(Error::Revoked { .. }))),
                "{purpose} {is_renamed} {has_record}: {again:?}"
            );
        }
    }
}

#[test]
fn what_readers_take_for_different_things_is_refused_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let clock = ManualClock::new(at(0));
    let store = store(&path, &clock);
    assert!(matches!(pollster::block_on(store.load()), Err(StoreError::Missing { .. })));
    for text in [
        format!("SESSION_SECRET={0}\nSESSION_SECRET={0}\n", plain_secret(0)),
        format!("SESSION_SECRET=\"{}$x\"\n", plain_secret(0)),
        format!("SESSION_SECRET={}\nSESSION_SECRET_OLD=a#b\n", plain_secret(0)),
        format!("OTHER='never closed\nSESSION_SECRET={}\n", plain_secret(0)),
    ] {
        fs::write(&path, &text).unwrap();
        let error = pollster::block_on(store.load()).unwrap_err();
        assert!(matches!(error, StoreError::Dotenv { .. }), "{error}");
        assert!(!error.to_string().contains(&plain_secret(0)[..8]));
    }
    fs::write(&path, "SESSION_SECRET=\nOTHER=1\n").unwrap();
    assert!(matches!(pollster::block_on(store.load()), Err(StoreError::Missing { .. })));
    fs::write(&path, b"SESSION_SECRET=\xff\n").unwrap();
    assert!(matches!(pollster::block_on(store.load()), Err(StoreError::Io { .. })));
    fs::write(&path, "SESSION_SECRET=changeme\n").unwrap();
    let error = pollster::block_on(store.load()).unwrap_err().to_string();
    assert!(error.contains("SESSION_SECRET is a placeholder"), "{error}");

    // A first secret, into a file that has none.
    fs::write(&path, "OTHER=1").unwrap();
    let first = NewEntry::new(Secret::from(plain_secret(0)));
    let policy = dualkey::Policy::default();
    let first =
        Manifest::new("SESSION_SECRET", Purpose::Cookie, "production", policy, first, at(0))
            .unwrap();
    pollster::block_on(store.compare_and_swap(0, &first)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("OTHER=1\nSESSION_SECRET={}", plain_secret(0)));
    // A moment ahead, which no variable can hold.
    let ahead = NewEntry::new(Secret::from(plain_secret(1))).signs_from(at(100_000));
    let refused = step(&store, |manifest| manifest.stage(ahead.clone(), at(0)));
    assert!(matches!(refused, Err(StoreError::Unfit { .. })), "{refused:?}");
}

/// A service may follow the file, too.
#[test]
fn a_ring_follows_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    fs::write(&path, format!("SESSION_SECRET={}\n", plain_secret(0))).unwrap();
    let clock = ManualClock::new(at(0));
    let following = KeyRing::<CookieKey>::builder()
        .name("SESSION_SECRET")
        .environment("production")
        .clock(clock.clone())
        .follow(store(&path, &clock))
        .spawn_thread()
        .unwrap();
    step(&store(&path, &clock), |manifest| manifest.stage(Secret::from(plain_secret(1)), at(1)))
        .unwrap();
    following.refresh().unwrap();
    assert_eq!(following.ring().keys().len(), 2);
    fs::write(&path, "").unwrap();
    assert!(following.refresh().is_err(), "V9");
    assert_eq!(following.ring().keys().len(), 2);
}

/// A step of a sequence.
#[derive(Debug, Clone, Copy)]
enum Step {
    Stage,
    Promote,
    Rollback,
    Retire,
    Revoke,
    Emergency,
    Wait,
}

proptest! {
    #![proptest_config(cases(60, 2000))]
    /// Whatever is done: what is loaded is what was stored, and other lines stay.
    #[test]
    fn every_sequence_is_loaded_as_it_was_stored(
        steps in prop::collection::vec(prop::sample::select(vec![
            Step::Stage, Step::Promote, Step::Rollback, Step::Retire, Step::Revoke,
            Step::Emergency, Step::Wait,
        ]), 1..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let others = ["# a comment\n", "\n", "OTHER='x y'\n", "export Z=1"];
        fs::write(&path, format!("{}{}SESSION_SECRET={}\n{}{}", others[0], others[1], plain_secret(0), others[2], others[3])).unwrap();
        let clock = ManualClock::new(at(0));
        let store = store(&path, &clock);
        let (mut now, mut seed) = (at(0), 0);
        for action in steps {
            now += Duration::from_secs(60);
            if let Step::Wait = action {
                now += Duration::from_secs(8 * 24 * 3600);
            }
            clock.set(now);
            seed += 1;
            let new = || NewEntry::new(Secret::from(plain_secret(seed)));
            let done = step(&store, |manifest| {
                let keys = manifest.keys().iter().map(|key| key.kid());
                let is = |role: Role| {
                    let found = keys.clone().find(|kid| manifest.state(kid, now) == Some(KeyState::Live(role)));
                    found.unwrap_or(manifest.primary(now))
                };
                match action {
                    Step::Stage => manifest.stage(new(), now),
                    Step::Promote => manifest.force("deployed").promote(&is(Role::Staged), now),
                    Step::Rollback => manifest.force("a test").rollback(now),
                    Step::Retire => manifest.force("deployed").retire(&is(Role::Fallback), now),
                    Step::Revoke => manifest.revoke(&is(Role::Fallback), "leaked", now),
                    Step::Emergency | Step::Wait => manifest.emergency_rotate(&manifest.primary(now), "leaked", new(), now),
                }
            });
            let loaded = load(&store);
            if let Ok(change) = done {
                prop_assert_eq!(loaded.primary(now), change.manifest.primary(now));
                prop_assert_eq!(loaded.revision(), change.manifest.revision());
                for key in change.manifest.keys() {
                    prop_assert_eq!(loaded.state(&key.kid(), now), change.manifest.state(&key.kid(), now));
                    prop_assert_eq!(loaded.verifies_until(&key.kid()), change.manifest.verifies_until(&key.kid()));
                }
            }
        }
        let text = fs::read_to_string(&path).unwrap();
        let rest: String = text.split_inclusive('\n').filter(|line| !line.contains("SESSION_SECRET")).collect();
        prop_assert_eq!(rest, others.concat());
    }
}

/// A reader of base64 takes hexadecimal digits for another key: what is written stays, and a new
/// key has the form of the one before.
#[test]
fn an_aes_key_keeps_the_form_in_which_its_readers_read_it() {
    let (old, new) = ([7_u8; 31], [9_u8; 31]);
    let [old, new] = [old, new].map(|value| [&value[..], &[1]].concat());
    let base64 = |bytes: &[u8]| crate::support::base64::encode(bytes);
    for (prefix, encode) in [
        ("", &base64 as &dyn Fn(&[u8]) -> String),
        ("base64:", &base64),
        ("hex:", &|bytes| hex::encode(bytes)),
        ("", &|bytes| hex::encode(bytes)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let [was, next] = [&old, &new].map(|value| format!("{prefix}{}", encode(value)));
        fs::write(&path, format!("DATA_KEY={was}\n")).unwrap();
        let clock = ManualClock::new(at(0));
        let store = DotenvStore::new(&path, "DATA_KEY", Purpose::Envelope, "production");
        let store = store.clock(clock);
        let entry = || NewEntry::new(Secret::from(&new[..]));
        let staged = step(&store, |manifest| manifest.stage(entry(), at(10))).unwrap().kid;
        let text = || fs::read_to_string(&path).unwrap();
        assert_eq!(text(), format!("DATA_KEY={was}\nDATA_KEY_NEXT={next}\n"));
        step(&store, |manifest| manifest.force("deployed").promote(&staged, at(20))).unwrap();
        assert_eq!(text(), format!("DATA_KEY={next}\nDATA_KEY_OLD={was}\n"));
    }
}

/// Ciphertext is of the tool that made it: no secret in the clear comes beside it.
#[test]
fn ciphertext_and_references_are_refused_before_anything_is_written() {
    for (value, says) in [
        (
            "\"encrypted:BDqDBibm4wsYqMpCjTQ6BsDHmMadg9K3dAt+Z9HPMfLEIRVz50hmLXPXRuDBXaJi\"",
            "this is ciphertext of dotenvx: rotate it there",
        ),
        ("op://Production/Session/secret", "this is a reference to 1Password"),
        ("vault:secret/data/app#SESSION_SECRET", "this is a reference to Vault"),
        ("ref+vault://secret/app#/session", "a store that vals reads"),
        ("ENC[AES256_GCM,data:a1,iv:b2,tag:c3,type:str]", "this is ciphertext of sops"),
        ("/run/secrets/session", "this is the path of a file"),
        (
            "postgres://${DB_USER}:${DB_PASS}@db/app",
            "it is made of other variables: rotate `DB_PASS`",
        ),
    ] {
        for purpose in [Purpose::Cookie, Purpose::Credential] {
            for suffix in ["", "_OLD", "_NEXT"] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join(".env");
                let mut text = format!("A=1\nSESSION_SECRET{suffix}={value}\n");
                if !suffix.is_empty() {
                    text += &format!("SESSION_SECRET={}\n", plain_secret(0));
                }
                fs::write(&path, &text).unwrap();
                let store = DotenvStore::new(&path, "SESSION_SECRET", purpose, "production");
                let error = pollster::block_on(store.load()).unwrap_err();
                assert!(matches!(error, StoreError::Reference { line: Some(2), .. }), "{error}");
                let error = error.to_string();
                assert!(error.contains(says) && error.contains(".env, line 2: "), "{error}");
                let staged =
                    step(&store, |manifest| manifest.stage(Secret::from(plain_secret(1)), at(1)));
                assert!(matches!(staged, Err(StoreError::Reference { .. })));
                assert_eq!(fs::read_to_string(&path).unwrap(), text);
                assert!(!folder.path().join(".env.dualkey").exists());
            }
        }
    }
}

/// A file that a tool encrypts is made to be shared: what is in the clear stays the only such value.
#[test]
fn no_new_secret_is_written_into_a_file_of_ciphertext() {
    let value = "encrypted:BDqDBibm4wsYqMpCjTQ6BsDHmMadg9K3dAt+Z9HPMfLEIRVz50hmLXPXRuDBXaJi";
    for (lead, tool) in [
        (
            "DOTENV_PUBLIC_KEY=\"03f8b376234c4f2f0445f392a12e80f3a84b4b0d1e0c3df85c494e45812653c22a\"",
            "dotenvx",
        ),
        (&*format!("OTHER={value}"), "dotenvx"),
        ("OTHER=ENC[AES256_GCM,data:a1,iv:b2,tag:c3,type:str]", "sops"),
        ("sops_version=3.9.0", "sops"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let text = format!("{lead}\nSESSION_SECRET={}\n", plain_secret(0));
        fs::write(&path, &text).unwrap();
        let clock = ManualClock::new(at(0));
        let first = load(&store(&path, &clock)).primary(at(0));
        let new = || NewEntry::new(Secret::from(plain_secret(2)));
        for is_emergency in [false, true] {
            let done = step(&store(&path, &clock), |manifest| {
                if is_emergency {
                    manifest.emergency_rotate(&first, "leaked", new(), at(1))
                } else {
                    manifest.stage(new(), at(1))
                }
            });
            let error = done.unwrap_err().to_string();
            assert!(error.contains(&format!("rotate them with {tool}")), "{error}");
            assert!(error.contains("line 1"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        // What is there in the clear may take another role; sops notices every edit.
        fs::write(&path, format!("{text}SESSION_SECRET_NEXT={}\n", plain_secret(1))).unwrap();
        let store = store(&path, &clock);
        let next = load(&store).keys()[1].kid();
        let promoted = step(&store, |manifest| manifest.force("deployed").promote(&next, at(2)));
        assert_eq!(promoted.is_ok(), tool != "sops", "{promoted:?}");
    }
}

/// The next reading would refuse the value, and no key of the file could be used.
#[test]
fn no_value_is_written_that_would_not_be_read() {
    let (mut written, mut refused) = (0, 0);
    for purpose in [Purpose::Cookie, Purpose::Credential] {
        for value in [
            plain_secret(1),
            format!("{} # of production", plain_secret(1)),
            format!("{}\"", plain_secret(1)),
            format!("{}' ", plain_secret(1)),
            format!(" {}", plain_secret(1)),
            format!("<{}>", plain_secret(1)),
            format!("{},{}", plain_secret(1), plain_secret(2)),
            format!("{{\"key\":\"{}\"}}", plain_secret(1)),
            format!("{}#{}", plain_secret(1), plain_secret(2)),
            format!("SESSION_SECRET={}", plain_secret(1)),
            "op://Production/Session/secret/of/a/long/path/which/is/no/secret/itself".to_owned(),
            "awssm:production/session-secret-of-the-service-which-is-long-enough".to_owned(),
            format!("hex:{}", plain_secret(1)),
            format!("Base64:{}", plain_secret(1)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(".env");
            let text = format!("SESSION_SECRET={}\n", plain_secret(0));
            fs::write(&path, &text).unwrap();
            let clock = ManualClock::new(at(0));
            let open = || {
                DotenvStore::new(&path, "SESSION_SECRET", purpose, "production")
                    .clock(clock.clone())
            };
            let entry = || NewEntry::new(Secret::from(value.as_str()));
            match step(&open(), |manifest| manifest.stage(entry(), at(1))) {
                Ok(_) => {
                    let manifest = load(&open());
                    let staged = manifest.keys().iter().filter_map(|key| key.secret());
                    assert!(staged.into_iter().any(|secret| secret.expose() == value.as_bytes()));
                    written += 1;
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.contains("SESSION_SECRET_NEXT"), "{value}: {error}");
                    assert_eq!(fs::read_to_string(&path).unwrap(), text, "{value}");
                    load(&open());
                    refused += 1;
                }
            }
        }
    }
    println!("{written} values are written, {refused} are refused");
    assert!(written >= 8 && refused >= 14, "{written} {refused}");
}

/// V8: a file that is full takes every revocation. Another step names the line that is in its way.
#[test]
fn a_full_file_takes_a_revocation_and_an_emergency() {
    const NAMES: [&str; 5] = ["_NEW", "", "_OLD", "_BACKUP", "_NEXT"];
    for (purpose, count) in [
        (Purpose::Cookie, 5),
        (Purpose::Cookie, 4),
        (Purpose::Credential, 5),
        (Purpose::Credential, 4),
    ] {
        for compromised in NAMES.into_iter().take(count) {
            for is_rotation in [true, false] {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join(".env");
                let line = |(place, name): (usize, &&str)| {
                    format!("SESSION_SECRET{name}={}\n", plain_secret(place as u64))
                };
                let text: String = NAMES.iter().take(count).enumerate().map(line).collect();
                fs::write(&path, &text).unwrap();
                let clock = ManualClock::new(at(0));
                let open = || {
                    DotenvStore::new(&path, "SESSION_SECRET", purpose, "production")
                        .clock(clock.clone())
                };
                let first = load(&open());
                let place = NAMES.iter().position(|name| *name == compromised).unwrap();
                let leaked = plain_secret(place as u64);
                let key = first.keys().iter().find(|key| {
                    key.secret().is_some_and(|secret| secret.expose() == leaked.as_bytes())
                });
                // The fifth of a ring that tries its keys is left out, and has no key to revoke.
                let Some(kid) = key.map(|key| key.kid()) else { continue };
                let new = || NewEntry::new(Secret::from(plain_secret(9)));
                if first.primary(at(0)) == kid && !is_rotation {
                    continue;
                }
                let case = format!("{purpose} {count} {compromised} {is_rotation}");
                let is_left_out = purpose == Purpose::Cookie && count == 5;
                if is_left_out {
                    let next = first.keys().last().unwrap().kid();
                    let error = step(&open(), |manifest| manifest.force("x").promote(&next, at(1)));
                    let error = error.unwrap_err().to_string();
                    let is_named = error.contains("cannot use SESSION_SECRET_BACKUP in")
                        && error.contains("line 4: ")
                        && error.contains("delete this line");
                    assert!(is_named, "{case}: {error}");
                    assert_eq!(fs::read_to_string(&path).unwrap(), text, "{case}");
                }
                let store = open();
                let done = step(&store, |manifest| {
                    if is_rotation {
                        manifest.emergency_rotate(&kid, "leaked", new(), at(1))
                    } else {
                        manifest.revoke(&kid, "leaked", at(1))
                    }
                });
                // Five that verify have no place: the way is named.
                if (purpose, compromised, is_rotation) == (Purpose::Credential, "_NEXT", true) {
                    let error = done.unwrap_err().to_string();
                    assert!(error.contains("`dualkey revoke`"), "{case}: {error}");
                    continue;
                }
                let change = done.unwrap_or_else(|error| panic!("{case}: {error}"));
                let after = fs::read_to_string(&path).unwrap();
                assert!(!after.contains(&leaked), "{case}: {after}");
                for store in [store, open()] {
                    let manifest = load(&store);
                    assert_eq!(manifest.primary(at(1)), change.manifest.primary(at(1)), "{case}");
                    let live = |manifest: &Manifest| {
                        manifest
                            .keys()
                            .iter()
                            .filter(|key| key.secret().is_some() && key.revoked().is_none())
                            .count()
                    };
                    assert_eq!(live(&manifest), live(&change.manifest), "{case}: {after}");
                }
                // Each key that verified and is not revoked verifies on.
                for place in (0..count).filter(|place| plain_secret(*place as u64) != leaked) {
                    let is_kept = !(is_left_out && place == 3);
                    assert_eq!(
                        after.contains(&plain_secret(place as u64)),
                        is_kept,
                        "{case}: {after}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_odd_line_of_another_variable_does_not_stop_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let odd = "EMAIL_FROM=\"Support\" <no-reply@example.com>\nOWNER=it's\n";
    fs::write(&path, format!("{odd}SESSION_SECRET={}\n", plain_secret(0))).unwrap();
    let clock = ManualClock::new(at(0));
    let store = store(&path, &clock);
    step(&store, |manifest| manifest.stage(Secret::from(plain_secret(1)), at(1))).unwrap();
    let lines =
        format!("SESSION_SECRET={}\nSESSION_SECRET_NEXT={}\n", plain_secret(0), plain_secret(1));
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{odd}{lines}"));
    // The line and the variable that are the reason, and no other.
    fs::write(&path, format!("A=1\nGREETING='hello\n{lines}")).unwrap();
    let error = pollster::block_on(store.load()).unwrap_err().to_string();
    assert!(error.contains("cannot use GREETING in") && error.contains("line 2: "), "{error}");
    fs::write(&path, format!("{lines}GREETING='hello\n")).unwrap();
    let _ = pollster::block_on(store.load());
    assert!(pollster::block_on(store.load()).is_ok(), "it is behind the lines of the secret");
}

/// A revocation of `X_OLD` whose writer was killed after it wrote the file: the former record is in place,
/// and the next one beside it.
struct Interrupted {
    old: Kid,
    /// A process that ran through all of it.
    running: DotenvStore,
    /// The file before the revocation.
    before: Vec<u8>,
    /// The file with both keys alone.
    both: String,
}

fn interrupt_revocation(path: &Path, clock: &ManualClock) -> Interrupted {
    let store = || store(path, clock);
    let both =
        format!("SESSION_SECRET={}\nSESSION_SECRET_OLD={}\n", plain_secret(0), plain_secret(1));
    fs::write(path, &both).unwrap();
    step(&store(), |manifest| manifest.stage(Secret::from(plain_secret(2)), at(1))).unwrap();
    let old = load(&store()).keys()[1].kid();
    let (before, record) = (fs::read(path).unwrap(), fs::read(sidecar(path, ".json")).unwrap());
    let running = store();
    load(&running);
    step(&store(), |manifest| manifest.revoke(&old, "leaked", at(2))).unwrap();
    fs::rename(sidecar(path, ".json"), sidecar(path, ".json.next")).unwrap();
    fs::write(sidecar(path, ".json"), record).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(sidecar(path, ".json"), mode).unwrap();
    Interrupted { old, running, before, both }
}

/// V8: a change of a later version that was interrupted is in force for what it revokes, and no step
/// overwrites it.
#[test]
fn v8_an_interrupted_change_of_a_later_version_is_neither_lost_nor_overwritten() {
    for is_env_written in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let clock = ManualClock::new(at(0));
        let store = || store(&path, &clock);
        let Interrupted { old, running, before, both } = interrupt_revocation(&path, &clock);

        // The next record is of a later version.
        let mut record: serde_json::Value =
            serde_json::from_slice(&fs::read(sidecar(&path, ".json.next")).unwrap()).unwrap();
        record["version"] = 9.into();
        record["min_reader_version"] = 9.into();
        fs::write(sidecar(&path, ".json.next"), record.to_string()).unwrap();
        if !is_env_written {
            fs::write(&path, &before).unwrap();
        }
        // Nothing in it is taken, whatever the file holds, and no step replaces it.
        for text in [None, Some(both.as_str())] {
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            let error = pollster::block_on(store().load()).unwrap_err().to_string();
            assert!(error.contains("version 9"), "{error}");
        }
        let again = step(&store(), |manifest| manifest.force("x").rollback(at(3)));
        assert!(again.is_err());
        assert_eq!(fs::read(sidecar(&path, ".json.next")).unwrap(), record.to_string().as_bytes());
        // A process that ran through all of it revokes.
        let manifest = load(&running);
        assert_eq!(manifest.state(&old, at(9)), Some(KeyState::Revoked));
    }
}

/// V8: what an interrupted change revokes is in force also if the file has no variable, and if the record
/// before it cannot be read. A file that is missing, and text that is no record at all, change nothing.
#[test]
fn v8_an_interrupted_change_revokes_whatever_else_cannot_be_read() {
    for case in ["no variable", "no record before", "no document", "no file"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        let clock = ManualClock::new(at(0));
        let store = || store(&path, &clock);
        let Interrupted { old, running, before, .. } = interrupt_revocation(&path, &clock);
        match case {
            "no variable" => fs::write(&path, "OTHER=1\n").unwrap(),
            "no record before" => fs::write(sidecar(&path, ".json"), "").unwrap(),
            // Nothing says that the change was made.
            "no file" => {
                fs::remove_file(&path).unwrap();
                assert!(pollster::block_on(running.load()).is_err());
                fs::write(&path, &before).unwrap();
                let state = load(&running).state(&old, at(9));
                assert_eq!(state, Some(KeyState::Live(Role::Fallback)));
                continue;
            }
            _ => {
                fs::write(&path, &before).unwrap();
                fs::write(sidecar(&path, ".json.next"), "{\"format\": \"dual").unwrap();
                assert_eq!(load(&store()).state(&old, at(9)), Some(KeyState::Live(Role::Fallback)));
                continue;
            }
        }
        let state = pollster::block_on(running.load()).unwrap().state(&old, at(9));
        assert_eq!(state, Some(KeyState::Revoked), "{case}");
    }
}

/// An edit within the rollout window of the policy before it takes that window. Another instance may still
/// seal with the former primary until it reads the file again, whatever variable that key moves to.
#[test]
fn no_edit_by_hand_makes_an_early_rewrap_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    let hex = |seed| -> String {
        secret(seed).as_bytes()[..32].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let (first, second) = (hex(0), hex(1));
    let write = |lines: &[(&str, &str)]| {
        let text: Vec<_> =
            lines.iter().map(|(name, secret)| format!("{name}={secret}\n")).collect();
        fs::write(&path, text.concat()).unwrap();
    };
    write(&[("KEY", &first)]);
    let clock = ManualClock::new(at(0));
    let store = DotenvStore::new(&path, "KEY", Purpose::Envelope, "test").clock(clock.clone());
    // An edit by hand is accepted once it was read twice.
    let edit = |lines: &[(&str, &str)], seconds| {
        write(lines);
        clock.set(at(seconds));
        let _ = pollster::block_on(store.load());
        clock.set(at(seconds + 1));
        load(&store)
    };
    let counts_from = |manifest: &Manifest, kid: &Kid| {
        rewrap_counts_from(manifest, kid).duration_since(at(0)).unwrap().as_secs()
    };
    let old = load(&store).primary(at(0));
    let new = || NewEntry::new(Secret::from(&secret(1).as_bytes()[..32]));
    clock.set(at(1));
    step(&store, |manifest| manifest.stage(new(), at(1))).unwrap();
    let manifest = load(&store);
    let (window, mut short) =
        (manifest.policy().rollout_window + manifest.policy().skew, *manifest.policy());
    (short.rollout_window, short.skew) = (Duration::from_secs(60), Duration::ZERO);
    let changed = manifest.set_policy(short, at(10)).unwrap();
    pollster::block_on(store.compare_and_swap(manifest.revision(), &changed)).unwrap();
    let window = window.as_secs();

    let edited = edit(&[("KEY", &second), ("KEY_OLD", &first)], 3899);
    assert_eq!(edited.state(&old, at(3900)), Some(KeyState::Live(Role::Fallback)));
    assert_eq!(counts_from(&edited, &old), 3900 + window);

    edit(&[("KEY", &first), ("KEY_OLD", &second)], 100_000);
    edit(&[("KEY", &second), ("KEY_NEXT", &first)], 100_010);
    let edited = edit(&[("KEY", &second), ("KEY_OLD", &first)], 100_020);
    assert_eq!(edited.state(&old, at(100_021)), Some(KeyState::Live(Role::Fallback)));
    assert_eq!(counts_from(&edited, &old), 100_011 + 60);
}
