//! The stores: what they hold, what they refuse, and two writers at once.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};

use dualkey::cookie::CookieKey;
use dualkey::manifest::Manifest;
use dualkey::source::{ClosureStore, EnvStore, FileStore, KeyStore, StoreError, update};
use dualkey::{Error, KeyRing, Policy, Purpose, Secret};
use pollster::block_on;
use tempfile::TempDir;

use crate::support::manifest::stored;
use crate::support::manifest::{at, entry, first};
use crate::support::{aes_key, aes_ring, secret};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_written_for_its_owner_alone_and_leaves_nothing_behind() {
    let folder = folder();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    assert_eq!(mode(&path), 0o600);
    // What a writer left that was killed holds secrets.
    fs::write(folder.path().join(".ring.json.~AbCdEf012345.tmp"), "a secret").unwrap();
    fs::write(folder.path().join(".other.json.~AbCdEf012345.tmp"), "of another").unwrap();
    block_on(update(&store, |manifest| manifest.stage(entry(1, "b"), at(1)))).unwrap();
    assert_eq!(
        names(folder.path()),
        [".other.json.~AbCdEf012345.tmp", "ring.json", "ring.json.lock"]
    );
    assert_eq!((mode(&path), mode(&folder.path().join("ring.json.lock"))), (0o600, 0o600));
    assert_eq!(block_on(store.load()).unwrap().revision(), 2);
}

#[test]
fn a_late_writer_is_refused_and_nothing_is_written() {
    let folder = folder();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    let next = |seed, kid| first().stage(entry(seed, kid), at(1)).unwrap().manifest;
    block_on(store.compare_and_swap(1, &next(1, "b"))).unwrap();
    let before = fs::read(&path).unwrap();
    for expected in [0, 1, 3] {
        let late = block_on(store.compare_and_swap(expected, &next(2, "c")));
        assert!(matches!(late, Err(StoreError::Conflict { found: 2, .. })), "{late:?}");
    }
    // A revision that does not go on.
    let late = block_on(store.compare_and_swap(2, &next(2, "c")));
    assert!(matches!(late, Err(StoreError::Conflict { .. })), "{late:?}");
    // Another ring.
    let other =
        Manifest::new("OTHER", Purpose::Cookie, "test", Policy::default(), entry(3, "d"), at(0))
            .unwrap();
    let foreign = block_on(store.compare_and_swap(2, &other));
    assert!(matches!(foreign, Err(StoreError::Refused(Error::Foreign { .. }))), "{foreign:?}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn two_writers_at_once_are_both_there() {
    let folder = folder();
    let path = folder.path().join("ring.json");
    stored(&path, &first());
    // Two staged keys are as many as still verify beside the first.
    let writers: Vec<_> = (1..=2)
        .map(|seed| {
            let store = FileStore::new(&path);
            std::thread::spawn(move || {
                let new = entry(seed, &format!("k{seed}"));
                block_on(update(&store, |manifest| manifest.stage(new.clone(), at(1)))).unwrap();
                for step in 0..20 {
                    let forced = |manifest: &Manifest| {
                        manifest
                            .force("a test")
                            .promote(&format!("k{seed}").parse().unwrap(), at(2 + step))
                    };
                    block_on(update(&store, forced)).unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let manifest = block_on(FileStore::new(&path).load()).unwrap();
    assert_eq!(manifest.keys().len(), 3);
    assert!(manifest.revision() > 3);
}

#[test]
fn a_file_that_others_can_read_or_write_is_refused() {
    let folder = folder();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    for mode in [0o644, 0o640, 0o604, 0o660, 0o606, 0o620, 0o601] {
        chmod(&path, mode);
        let error = block_on(store.load()).unwrap_err();
        assert!(matches!(error, StoreError::Permissions { .. }), "{mode:o}: {error}");
        assert!(error.to_string().contains("chmod 0600"), "{error}");
        // It is not written over either: the secrets may be known.
        let next = first().stage(entry(1, "b"), at(1)).unwrap().manifest;
        assert!(block_on(store.compare_and_swap(1, &next)).is_err());
    }
    for (mode, is_taken) in [(0o640, true), (0o440, true), (0o644, false), (0o660, false)] {
        chmod(&path, mode);
        let store = FileStore::new(&path).allow_group_read();
        assert_eq!(block_on(store.load()).is_ok(), is_taken, "{mode:o}");
    }
    chmod(&path, 0o400);
    assert!(block_on(store.load()).is_ok());
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let load = |name: &str| block_on(FileStore::new(path(name)).load()).unwrap_err();

    assert!(matches!(load("nothing"), StoreError::Missing { .. }));
    fs::create_dir(path("folder")).unwrap();
    assert!(matches!(load("folder"), StoreError::NotAFile { .. }));
    symlink("nowhere", path("dangling")).unwrap();
    assert!(matches!(load("dangling"), StoreError::Missing { .. }));
    symlink("loop", path("loop")).unwrap();
    assert!(matches!(load("loop"), StoreError::Io { .. }));
    assert!(matches!(load("nothing/below"), StoreError::Missing { .. }));
    stored(&path("file"), &first());
    assert!(matches!(load("file/below"), StoreError::Io { .. }));
    // A pipe, which would wait for a writer.
    let status = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
    assert!(status.success());
    assert!(matches!(load("pipe"), StoreError::NotAFile { .. }));
    fs::write(path("empty"), "").unwrap();
    chmod(&path("empty"), 0o600);
    assert!(matches!(load("empty"), StoreError::Manifest { .. }));

    // Where there is no folder, or a link that another program manages, nothing is written.
    let write = |name: &str| block_on(FileStore::new(path(name)).compare_and_swap(0, &first()));
    assert!(matches!(write("nothing/below"), Err(StoreError::Io { .. })));
    assert!(matches!(write("dangling"), Err(StoreError::Link { .. })));
    symlink("file", path("link")).unwrap();
    assert!(matches!(write("link"), Err(StoreError::Link { .. })));
    assert!(block_on(FileStore::new(path("link")).load()).is_ok());
    assert!(write("empty").is_err());
    assert_eq!(fs::read(path("empty")).unwrap(), b"");
}

#[test]
fn a_link_that_is_switched_shows_one_generation_or_the_other() {
    // As Kubernetes does it: ring.json -> ..data/ring.json, ..data -> a folder of its own.
    let folder = folder();
    let mut manifest = first();
    let mut revisions = vec![1];
    for seed in 0..2 {
        let version = folder.path().join(format!("..{seed}"));
        fs::create_dir(&version).unwrap();
        stored(&version.join("ring.json"), &manifest);
        manifest = manifest.stage(entry(seed + 1, &format!("k{seed}")), at(1)).unwrap().manifest;
        revisions.push(manifest.revision());
    }
    symlink("..0", folder.path().join("..data")).unwrap();
    symlink("..data/ring.json", folder.path().join("ring.json")).unwrap();
    let store = FileStore::new(folder.path().join("ring.json"));
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (root, has_stopped) = (folder.path().to_owned(), Arc::clone(&stop));
    let switcher = std::thread::spawn(move || {
        for seed in (0..2).cycle() {
            if has_stopped.load(std::sync::atomic::Ordering::Relaxed) {
                return;
            }
            symlink(format!("..{seed}"), root.join("..data_tmp")).unwrap();
            fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        }
    });
    let mut seen = [0; 2];
    while seen.contains(&0) || seen.iter().sum::<usize>() < 2000 {
        let manifest = block_on(store.load()).unwrap();
        seen[manifest.revision() as usize - 1] += 1;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    switcher.join().unwrap();
    println!("read {} of the one and {} of the other generation", seen[0], seen[1]);
}

#[test]
fn a_sealed_store_holds_no_secret_and_takes_nothing_unsealed() {
    let folder = folder();
    let path = folder.path().join("ring.json");
    let kek = aes_ring([aes_key(7, "kek")]);
    let store = FileStore::new(&path).sealed(kek.clone(), "SESSION_SECRET", "test");
    block_on(store.compare_and_swap(0, &first())).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("dk1.") && !text.contains("SESSION_SECRET"), "{text}");
    assert_eq!(block_on(store.load()).unwrap().fingerprint(), first().fingerprint());
    block_on(update(&store, |manifest| manifest.stage(entry(1, "b"), at(1)))).unwrap();
    assert_eq!(block_on(store.load()).unwrap().revision(), 2);

    let error = |store: &FileStore| block_on(store.load()).unwrap_err();
    let plain = error(&FileStore::new(&path));
    assert!(plain.to_string().contains("give the store its KEK ring"), "{plain}");
    let other = error(&FileStore::new(&path).sealed(
        aes_ring([aes_key(8, "kek")]),
        "SESSION_SECRET",
        "test",
    ));
    assert!(matches!(other, StoreError::Sealed { .. }), "{other}");
    for place in (0..text.len()).step_by(7) {
        let mut damaged = fs::read(&path).unwrap();
        damaged[place] ^= 1;
        let copy = folder.path().join("damaged.json");
        fs::write(&copy, damaged).unwrap();
        chmod(&copy, 0o600);
        assert!(
            block_on(FileStore::new(&copy).sealed(kek.clone(), "SESSION_SECRET", "test").load())
                .is_err(),
            "{place}"
        );
    }
    // Another manifest, put in its place.
    let copy = folder.path().join("plain.json");
    stored(&copy, &first());
    assert!(matches!(
        error(&FileStore::new(&copy).sealed(kek, "SESSION_SECRET", "test")),
        StoreError::Sealed { .. }
    ));
}

#[test]
fn reports_are_kept_beside_the_manifest() {
    let folder = folder();
    let store = stored(&folder.path().join("ring.json"), &first());
    assert_eq!(block_on(store.reports()).unwrap(), []);
    let builder = KeyRing::<CookieKey>::builder().environment("test");
    let ring = first().build_ring(builder).unwrap();
    for name in ["pod/7", "pod:2f7", "../../etc", "pod/7", "a"] {
        block_on(store.save_report(&ring.report(name))).unwrap();
    }
    let reports = block_on(store.reports()).unwrap();
    let mut instances: Vec<_> = reports.iter().map(|report| report.instance.as_str()).collect();
    instances.sort_unstable();
    assert_eq!(instances, ["../../etc", "a", "pod/7", "pod:2f7"]);
    assert_eq!(names(folder.path()), ["ring.json", "ring.json.lock", "ring.json.reports"]);
    assert_eq!(mode(&folder.path().join("ring.json.reports")), 0o700);
    block_on(store.forget_report("pod/7")).unwrap();
    block_on(store.forget_report("pod/7")).unwrap();
    assert_eq!(block_on(store.reports()).unwrap().len(), 3);
    // What no report may be called is not stored.
    assert!(block_on(store.save_report(&ring.report("ä"))).is_err());
    // One that is damaged is there, and says that it is: it may be the one that speaks against it.
    let path = folder.path().join("ring.json.reports/ä.json");
    fs::write(&path, "{").unwrap();
    let reports = block_on(store.reports()).unwrap();
    let broken = reports.iter().find(|report| report.problem.is_some()).unwrap();
    assert_eq!((reports.len(), broken.instance.as_str()), (4, "ä"));
    assert_eq!(broken.problem.as_deref(), Some("it is no report, at line 1 column 1"));
}

#[test]
fn a_client_of_yours_is_a_store() {
    let held: Arc<Mutex<Option<(u64, Secret)>>> = Arc::default();
    let (reader, writer) = (Arc::clone(&held), Arc::clone(&held));
    let store = ClosureStore::new("a shelf", move || {
        let text = reader.lock().unwrap().as_ref().map(|(_, text)| text.clone());
        async move { Ok(text) }
    });
    assert!(matches!(block_on(store.load()), Err(StoreError::Missing { .. })));
    let read_only = block_on(store.compare_and_swap(0, &first())).unwrap_err();
    assert!(matches!(read_only, StoreError::ReadOnly { .. }), "{read_only}");
    let store = store.writes(move |expected, text| {
        let mut held = writer.lock().unwrap();
        let is_expected = held.as_ref().map_or(0, |(revision, _)| *revision) == expected;
        if is_expected {
            *held = Some((expected + 1, text));
        }
        async move { Ok(is_expected) }
    });
    block_on(store.compare_and_swap(0, &first())).unwrap();
    let late = block_on(store.compare_and_swap(0, &first())).unwrap_err();
    assert!(matches!(late, StoreError::Conflict { expected: 0, found: 1, .. }), "{late}");
    block_on(update(&store, |manifest| manifest.stage(entry(1, "b"), at(1)))).unwrap();
    assert_eq!(block_on(store.load()).unwrap().revision(), 2);

    let broken = ClosureStore::new("a wall", || async { Err("no answer".into()) });
    let error = block_on(broken.load()).unwrap_err();
    assert_eq!((error.as_str(), error.to_string().as_str()), ("client", "a wall: no answer"));
}

#[test]
fn an_environment_that_is_read_again_goes_on() {
    let vars: Arc<Mutex<Vec<(&str, String)>>> = Arc::default();
    let set = |new: &[(&'static str, u64)]| {
        *vars.lock().unwrap() = new.iter().map(|(name, seed)| (*name, secret(*seed))).collect();
    };
    let lookup = Arc::clone(&vars);
    let store = EnvStore::<CookieKey>::vars("X", "test", move |name| {
        let vars = lookup.lock().unwrap();
        Ok(vars.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.clone()))
    })
    .clock(dualkey::ManualClock::new(at(0)));
    assert!(matches!(block_on(store.load()), Err(StoreError::Refused(Error::NoPrimary { .. }))));
    set(&[("X", 0), ("X_OLD", 1)]);
    let one = block_on(store.load()).unwrap();
    assert_eq!((one.revision(), one.keys().len(), one.ring()), (1, 2, "X"));
    assert_eq!(block_on(store.load()).unwrap().revision(), 1);
    let builder = KeyRing::<CookieKey>::builder().environment("test");
    let ring = one.build_ring(builder.clock(dualkey::ManualClock::new(at(0)))).unwrap();

    // A change counts when it was seen twice.
    let twice = || {
        assert!(matches!(block_on(store.load()), Err(StoreError::Unconfirmed { .. })));
        block_on(store.load()).unwrap()
    };
    set(&[("X", 0), ("X_OLD", 1), ("X_NEXT", 2)]);
    let two = twice();
    assert_eq!((two.revision(), two.keys().len()), (2, 3));
    two.apply_to(&ring).unwrap();
    set(&[("X_NEW", 2), ("X", 0)]);
    let three = twice();
    assert_eq!(three.primary(at(0)), two.keys()[2].kid());
    three.apply_to(&ring).unwrap();
    assert_eq!((ring.primary().unwrap(), ring.keys().len()), (three.primary(at(0)), 2));
    // The old one ends by its overlap now, because it is known since when.
    assert!(ring.keys()[0].verifies_until.is_some());
    // A value that is no secret is an error that names its variable, and changes nothing.
    set(&[("X_NEW", 2), ("X", 0)]);
    vars.lock().unwrap().push(("X_NEXT", "changeme".to_owned()));
    let error = block_on(store.load()).unwrap_err().to_string();
    assert!(error.starts_with("X_NEXT is a placeholder"), "{error}");
    let read_only = block_on(store.compare_and_swap(3, &three)).unwrap_err();
    assert!(matches!(read_only, StoreError::ReadOnly { .. }), "{read_only}");
}

/// The variable with the folder, for the child.
const UNPRIVILEGED_FOLDER: &str = "DUALKEY_TEST_UNPRIVILEGED";
const UNPRIVILEGED_ID: u32 = 65_534;

/// Root may do everything, so this is checked by a child that is not.
#[test]
fn permissions_hold_for_an_unprivileged_user() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        chmod(folder.path(), 0o755);
        for (name, owner) in
            [("of-root", 0), ("of-another", 12_345), ("of-unprivileged", UNPRIVILEGED_ID)]
        {
            stored(&path(name), &first());
            std::os::unix::fs::chown(path(name), Some(owner), Some(owner)).unwrap();
            stored(&path(&format!("{name}-for-group")), &first());
            let for_group = path(&format!("{name}-for-group"));
            std::os::unix::fs::chown(&for_group, Some(owner), Some(UNPRIVILEGED_ID)).unwrap();
            chmod(&for_group, 0o640);
        }
        // Nor does root take what is another's.
        let error = block_on(FileStore::new(path("of-another")).load()).unwrap_err();
        assert!(matches!(error, StoreError::Owner { owner: 12_345, .. }), "{error}");
    } else {
        println!("not root: files of other users cannot be made, those cases are left out");
        stored(&path("of-unprivileged"), &first());
        chmod(folder.path(), 0o500);
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stores::the_child_without_privileges", "--nocapture"])
        .env(UNPRIVILEGED_FOLDER, folder.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout).into_owned();
    let errors = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{output}{errors}");
    assert!(output.contains("as an unprivileged user"), "{output}{errors}");
    chmod(folder.path(), 0o700);
}

/// Does nothing but where the test above has started it.
#[test]
fn the_child_without_privileges() {
    let Some(folder) = std::env::var_os(UNPRIVILEGED_FOLDER) else { return };
    let path = |name: &str| Path::new(&folder).join(name);
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
        setgroups(&[]).unwrap();
        setgid(Gid::from_raw(UNPRIVILEGED_ID)).unwrap();
        setuid(Uid::from_raw(UNPRIVILEGED_ID)).unwrap();
    }
    assert!(!rustix::process::geteuid().is_root());
    let load = |name: &str| block_on(FileStore::new(path(name)).load());
    let group = |name: &str| block_on(FileStore::new(path(name)).allow_group_read().load());

    assert!(load("of-unprivileged").is_ok());
    // Into a folder that is not his.
    let next = first().stage(entry(1, "b"), at(1)).unwrap().manifest;
    let error = block_on(FileStore::new(path("of-unprivileged")).compare_and_swap(1, &next));
    assert!(matches!(error, Err(StoreError::Io { .. })), "{error:?}");
    let error = block_on(FileStore::new(path("new")).compare_and_swap(0, &first()));
    assert!(matches!(error, Err(StoreError::Io { .. })), "{error:?}");
    if is_root {
        for name in ["of-root", "of-another"] {
            assert!(matches!(load(name), Err(StoreError::Io { .. })), "{name}");
        }
        for name in ["of-root-for-group", "of-unprivileged-for-group"] {
            assert!(matches!(load(name), Err(StoreError::Permissions { .. })), "{name}");
            assert!(group(name).is_ok(), "{name}");
        }
        let error = group("of-another-for-group");
        assert!(matches!(error, Err(StoreError::Owner { owner: 12_345, .. })), "{error:?}");
    }
    println!("checked as an unprivileged user, ownership too: {is_root}");
}
