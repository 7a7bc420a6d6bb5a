//! Files and folders that other users can change are refused: a lock, reports, a `.env` and its
//! records. And a writer removes what it left itself, and nothing of a neighbour's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dualkey::cookie::CookieKey;
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::ops::audit::{Action, AuditKey, FileTrail, Record};
use dualkey::source::{DotenvStore, FileStore, KeyStore, StoreError, update};
use dualkey::{KeyRing, KeyState, Purpose, Role, Secret};
use pollster::block_on;
use tempfile::TempDir;

use crate::support::found::{Found, remove};
use crate::support::manifest::stored;
use crate::support::manifest::{entry, first};
use crate::support::secret;

const OTHER: u32 = 12_345;

/// Writes something, or returns the text of the error.
type Write<'w> = &'w dyn Fn() -> Result<(), String>;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Returns `true` if files of other users can be made here.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("not root: files of other users cannot be made, those cases are left out");
    }
    is_root
}

fn plain(seed: u64) -> String {
    secret(seed).chars().filter(char::is_ascii_alphanumeric).cycle().take(64).collect()
}

fn dotenv(path: &Path) -> DotenvStore {
    DotenvStore::new(path, "SESSION_SECRET", Purpose::Cookie, "production")
}

/// A `.env` with one secret, and a record of it.
fn write_with_record(folder: &TempDir) -> (PathBuf, DotenvStore) {
    let path = folder.path().join(".env");
    fs::write(&path, format!("SESSION_SECRET={}\n", plain(0))).unwrap();
    let store = dotenv(&path);
    block_on(update(&store, |manifest| manifest.stage(Secret::from(plain(1)), SystemTime::now())))
        .unwrap();
    (path, store)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_lock_is_a_file_and_is_never_made_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let ring = KeyRing::<AuditKey>::builder().primary(Secret::from(plain(7))).build().unwrap();
    let trail = FileTrail::new(path("audit.log"), ring);
    let record = || Record::new(SystemTime::now(), "X", Action::ROTATED, "ada", "prod");
    stored(&path("ring.json"), &first());
    write_with_record(&folder);
    trail.write(&[record()]).unwrap();
    let before = ["ring.json", ".env", "audit.log"].map(|name| fs::read(path(name)).unwrap());
    let writers: [(&str, Write<'_>); 3] = [
        ("ring.json", &|| {
            let next =
                first().stage(entry(1, "b"), crate::support::manifest::at(1)).unwrap().manifest;
            let store = FileStore::new(path("ring.json"));
            block_on(store.compare_and_swap(1, &next)).map_err(|error| error.to_string())
        }),
        (".env", &|| {
            let stage = |manifest: &Manifest| {
                manifest.revoke(&manifest.keys()[1].kid(), "x", SystemTime::now())
            };
            let stepped = block_on(update(&dotenv(&path(".env")), stage));
            stepped.map(drop).map_err(|error| error.to_string())
        }),
        ("audit.log", &|| trail.write(&[record()]).map_err(|error| error.to_string())),
    ];
    for (name, write) in writers {
        let lock = path(&format!("{name}.lock"));
        assert_eq!(fs::metadata(&lock).unwrap().permissions().mode() & 0o7777, 0o600, "{name}");
        let check_refused = |what: &str| {
            let error = write().unwrap_err();
            let expected =
                format!("cannot lock {}: it is {what}, not a file; remove it", lock.display());
            assert!(error.contains(&expected), "{name}: {error}");
        };
        for (found, what) in
            [(Found::Pipe, "a pipe"), (Found::Folder, "a folder"), (Found::Socket, "a socket")]
        {
            found.put(&lock);
            check_refused(what);
        }
        // A link that leads nowhere, to a file, to a folder and to a device.
        for target in ["victim", "audit.log.head", ".", "/dev/zero"] {
            remove(&lock);
            symlink(target, &lock).unwrap();
            check_refused("a symbolic link");
            assert!(!path("victim").exists(), "{name}: the target was made");
        }
        remove(&lock);
    }
    assert_eq!(
        before,
        ["ring.json", ".env", "audit.log"].map(|name| fs::read(path(name)).unwrap())
    );
    for (name, write) in writers {
        write().unwrap();
        let lock = path(&format!("{name}.lock"));
        assert_eq!(fs::metadata(&lock).unwrap().permissions().mode() & 0o7777, 0o600, "{name}");
    }
    // Nor is a trail.
    for name in ["audit.log", "audit.log.head"] {
        fs::remove_file(path(name)).unwrap();
    }
    symlink("victim", path("audit.log")).unwrap();
    assert!(trail.write(&[record()]).is_err());
    assert!(!path("victim").exists(), "the target of a trail was made");
}

#[test]
fn reports_are_neither_written_to_nor_read_from_a_folder_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    let builder = KeyRing::<CookieKey>::builder().environment("test");
    let ring = first().build_ring(builder).unwrap();
    let (one, other) = (ring.report("web-1"), ring.report("web-2"));
    let reports = folder.path().join("ring.json.reports");
    let elsewhere = folder.path().join("elsewhere");
    block_on(store.save_report(&one)).unwrap();
    assert_eq!(fs::metadata(&reports).unwrap().permissions().mode() & 0o7777, 0o700);
    let check_refused = |what: &str, folder: &Path| {
        let held = names(folder);
        for error in [
            block_on(store.reports()).map(drop).unwrap_err(),
            block_on(store.save_report(&other)).unwrap_err(),
            block_on(store.forget_report("web-1")).unwrap_err(),
        ] {
            let text = error.to_string();
            let is_named = text.contains("ring.json.reports");
            let has_remedy = text.contains("chmod go-w") || text.contains("chown");
            assert!(is_named && has_remedy, "{what}: {text}");
            let is_own = matches!(
                error,
                StoreError::Writable { .. } | StoreError::Owner { owner: OTHER, .. }
            );
            assert!(is_own, "{what}: {text}");
        }
        assert_eq!(names(folder), held, "{what}");
        // The manifest itself is loaded: a revocation comes through.
        assert!(block_on(store.load()).is_ok());
    };
    for mode in [0o777, 0o770, 0o707, 0o720, 0o702, 0o1777, 0o2770] {
        chmod(&reports, mode);
        check_refused(&format!("{mode:o}"), &reports);
    }
    let is_taken = || block_on(store.reports()).unwrap().len() == 1;
    for mode in [0o700, 0o750, 0o755, 0o711] {
        chmod(&reports, mode);
        assert!(is_taken(), "{mode:o}");
    }
    if is_root() {
        chown(&reports, Some(OTHER), None).unwrap();
        check_refused("of another", &reports);
        chown(&reports, Some(0), None).unwrap();
    }
    fs::rename(&reports, &elsewhere).unwrap();
    symlink(&elsewhere, &reports).unwrap();
    assert!(is_taken());
    chmod(&elsewhere, 0o777);
    check_refused("a link into a folder of others", &elsewhere);
    chmod(&elsewhere, 0o755);
    if is_root() {
        lchown(&reports, Some(OTHER), None).unwrap();
        check_refused("a link of another", &elsewhere);
    }
    remove(&reports);
    symlink("nowhere", &reports).unwrap();
    assert!(block_on(store.reports()).unwrap_err().to_string().contains("leads nowhere"));
    assert!(block_on(store.save_report(&one)).is_err());
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn a_report_that_others_can_write_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    let ring = first().build_ring(KeyRing::<CookieKey>::builder().environment("test")).unwrap();
    block_on(store.save_report(&ring.report("web-1"))).unwrap();
    let report = folder.path().join("ring.json.reports/web-1.json");
    let problem = || block_on(store.reports()).unwrap().remove(0).problem;
    for mode in [0o666, 0o660, 0o602] {
        chmod(&report, mode);
        assert!(problem().unwrap().starts_with("others may write it"), "{mode:o}");
    }
    for mode in [0o600, 0o644, 0o444] {
        chmod(&report, mode);
        assert_eq!(problem(), None, "{mode:o}");
    }
    if is_root() {
        chown(&report, Some(OTHER), None).unwrap();
        assert!(problem().unwrap().starts_with("it belongs to the user 12345"));
    }
}

#[test]
fn a_follower_keeps_following_beside_a_folder_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    fs::create_dir(folder.path().join("ring.json.reports")).unwrap();
    chmod(&folder.path().join("ring.json.reports"), 0o777);
    let following = KeyRing::<CookieKey>::builder()
        .name("SESSION_SECRET")
        .environment("test")
        .clock(dualkey::ManualClock::new(crate::support::manifest::at(0)))
        .follow(FileStore::new(&path))
        .instance("web-1")
        .on_demand()
        .unwrap();
    assert!(following.health().report_error.unwrap().contains("chmod go-w"));
    let at = crate::support::manifest::at(0);
    block_on(update(&store, |manifest| manifest.stage(entry(1, "b"), at))).unwrap();
    assert!(following.refresh().unwrap());
    block_on(update(&store, |manifest| manifest.revoke(&"b".parse().unwrap(), "leaked", at)))
        .unwrap();
    assert!(following.refresh().unwrap(), "V8");
}

#[test]
fn a_dotenv_that_others_can_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, store) = write_with_record(&folder);
    let sidecar = folder.path().join(".env.dualkey");
    let record = sidecar.join("SESSION_SECRET.json");
    let step =
        |manifest: &Manifest| manifest.revoke(&manifest.keys()[1].kid(), "x", SystemTime::now());
    let text = fs::read(&path).unwrap();
    let check_refused = |what: &str, named: &Path| {
        for error in [
            block_on(dotenv(&path).load()).map(drop).unwrap_err(),
            block_on(update(&store, step)).map(drop).unwrap_err(),
        ] {
            let found = match &error {
                StoreError::Writable { path, .. } | StoreError::Owner { path, owner: OTHER } => {
                    path
                }
                _ => panic!("{what}: {error}"),
            };
            assert_eq!(found, named, "{what}");
        }
        assert_eq!(fs::read(&path).unwrap(), text, "{what}");
    };
    let check_taken = |what: &str| assert!(block_on(dotenv(&path).load()).is_ok(), "{what}");
    for (place, bad, good) in [
        (
            &path,
            &[0o666, 0o606, 0o622, 0o642][..],
            // Of the own group, as with the umask 002.
            &[0o600, 0o644, 0o640, 0o444, 0o440, 0o664, 0o660][..],
        ),
        (&record, &[0o666, 0o660, 0o602], &[0o600, 0o644]),
        (&sidecar, &[0o777, 0o770, 0o703, 0o1777], &[0o700, 0o755]),
    ] {
        for mode in bad {
            chmod(place, *mode);
            check_refused(&format!("{} {mode:o}", place.display()), place);
        }
        if is_root() {
            chmod(place, good[0]);
            chown(place, Some(OTHER), None).unwrap();
            check_refused(&format!("{} of another", place.display()), place);
            chown(place, Some(0), Some(OTHER)).unwrap();
            chmod(place, bad[0] & 0o770);
            check_refused(&format!("{} of another group", place.display()), place);
            chown(place, Some(0), Some(0)).unwrap();
            // The owner of the folder can replace it anyway: a project of another user, for root.
            chmod(place, good[0]);
            if *place != record {
                chown(folder.path(), Some(OTHER), None).unwrap();
                chown(place, Some(OTHER), None).unwrap();
                check_taken(&format!("{} of the owner of its folder", place.display()));
                chown(folder.path(), Some(0), None).unwrap();
            }
            chown(place, Some(0), None).unwrap();
        }
        for mode in good {
            chmod(place, *mode);
            check_taken(&format!("{} {mode:o}", place.display()));
        }
        chmod(place, good[0]);
    }
    // A folder of records behind a link.
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&sidecar, &elsewhere).unwrap();
    symlink(&elsewhere, &sidecar).unwrap();
    check_taken("a link");
    chmod(&elsewhere, 0o777);
    check_refused("a link into a folder of others", &sidecar);
}

#[test]
fn a_writer_removes_its_own_leftovers_and_none_of_a_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (env_file, store) = write_with_record(&folder);
    let random = "0123456789aZ";
    let neighbours = [".env.production", ".env.", "env", ".env.~x", ".env.bak"];
    let theirs: Vec<_> = neighbours.map(|name| format!(".{name}.~{random}.tmp")).into();
    // What an operator may have called a file of theirs.
    let others = ["..env.backup.tmp", "..env.tmp", "..env.~0123.tmp", "..env.~01234567_9aZ.tmp"];
    let left = format!("..env.~{random}.tmp");
    for name in theirs.iter().map(String::as_str).chain(others).chain([left.as_str()]) {
        fs::write(path(name), "SECRET=1\n").unwrap();
    }
    fs::create_dir(path("..env.~0123456789aa.tmp")).unwrap();
    let kid = block_on(store.load()).unwrap().keys()[1].kid();
    block_on(update(&store, |manifest| manifest.revoke(&kid, "x", SystemTime::now()))).unwrap();
    for name in theirs.iter().map(String::as_str).chain(others) {
        assert!(path(name).exists(), "{name} is gone");
    }
    assert!(!path(&left).exists());
    assert!(env_file.exists());
}

/// Two stores whose names begin alike, each under its own lock.
#[test]
fn neighbours_write_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let paths =
        [".env", ".env.production", ".env.production.local"].map(|name| folder.path().join(name));
    for path in &paths {
        fs::write(path, format!("SESSION_SECRET={}\n", plain(0))).unwrap();
    }
    let times = if crate::support::is_full() { 1_000 } else { 60 };
    let write = |path: &Path| {
        let store = dotenv(path).backup();
        for turn in 0..times {
            let step = |manifest: &Manifest| {
                let now = SystemTime::now() + Duration::from_secs(turn);
                let staged = Some(KeyState::Live(Role::Staged));
                match manifest.keys().iter().find(|key| manifest.state(&key.kid(), now) == staged) {
                    Some(key) => manifest.revoke(&key.kid(), "a test", now),
                    None => manifest.stage(NewEntry::generate(Purpose::Cookie).unwrap(), now),
                }
            };
            block_on(update(&store, step)).unwrap_or_else(|error| panic!("{turn}: {error}"));
        }
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = paths.iter().map(|path| scope.spawn(|| write(path))).collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
    });
    assert!(names(folder.path()).iter().all(|name| !name.ends_with(".tmp")));
    for path in &paths {
        let revision = block_on(dotenv(path).load()).unwrap().revision();
        assert_eq!(revision, times + 1, "{}", path.display());
    }
}
