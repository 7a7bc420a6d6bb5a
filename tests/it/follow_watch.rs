//! The events that wake a follower, and their rate: changes of its own file, however they are made, and a
//! storm of them only now and then.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use dualkey::cookie::CookieKey;
use dualkey::manifest::Manifest;
use dualkey::source::{FileStore, FollowHandle, KeyStore, StoreFuture, Wake, Watch};
use dualkey::{KeyRing, ManualClock, Report};
use pollster::block_on;

use crate::support::manifest::stored;
use crate::support::manifest::{at, entry, first};
use crate::support::scripted_store::{Fault, Scripted};

/// So long that nothing comes of it within a test.
const NEVER: Duration = Duration::from_secs(120);
const A_WHILE: Duration = Duration::from_secs(60);
const DAMPING: Duration = Duration::from_millis(100);
const STORM: Duration = Duration::from_millis(700);

/// A file store whose loads are counted.
#[derive(Debug, Clone)]
struct Counted {
    store: FileStore,
    loads: Arc<AtomicUsize>,
}

impl KeyStore for Counted {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        self.loads.fetch_add(1, SeqCst);
        self.store.load()
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        self.store.compare_and_swap(expected, next)
    }

    fn watch(&self, wake: Wake) -> StoreFuture<'_, Option<Watch>> {
        self.store.watch(wake)
    }

    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        self.store.reports()
    }

    fn save_report<'a>(&'a self, report: &'a Report) -> StoreFuture<'a, ()> {
        self.store.save_report(report)
    }
}

fn follow(store: impl KeyStore) -> FollowHandle<CookieKey> {
    let builder = KeyRing::<CookieKey>::builder()
        .name("SESSION_SECRET")
        .environment("test")
        .clock(ManualClock::new(at(0)));
    let following = builder.follow(store).poll(NEVER).spawn_thread().unwrap();
    assert_eq!(following.health().watch_error, None);
    following
}

/// Follows the file at `path`. Returns the number of its loads as well.
fn follow_and_count(path: &Path) -> (FollowHandle<CookieKey>, Arc<AtomicUsize>) {
    let loads = Arc::new(AtomicUsize::new(0));
    let store = Counted { store: FileStore::new(path), loads: Arc::clone(&loads) };
    (follow(store), loads)
}

/// Waits until the ring has `revision`.
fn wait_for_revision(following: &FollowHandle<CookieKey>, revision: u64) {
    let start = Instant::now();
    while following.ring().load().revision() != revision {
        assert!(start.elapsed() < A_WHILE, "revision {revision} does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs `storm` again and again. Returns for how long.
fn rage(mut storm: impl FnMut()) -> Duration {
    let start = Instant::now();
    while start.elapsed() < STORM {
        storm();
    }
    start.elapsed()
}

/// The most loads within `time`: the first at once, one in each pause, one after the last.
fn max_loads(time: Duration) -> usize {
    (time.as_millis() / DAMPING.as_millis()) as usize + 2
}

/// A harmless change by an operator.
fn change(store: &FileStore, number: u64) {
    let held = block_on(store.load()).unwrap();
    let mut policy = *held.policy();
    policy.min_observed_verifications = 2_000 + number;
    let next = held.set_policy(policy, at(0)).unwrap();
    block_on(store.compare_and_swap(held.revision(), &next)).unwrap();
}

#[test]
fn other_files_of_the_folder_are_not_loaded_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    let (following, loads) = follow_and_count(&path);
    let before = loads.load(SeqCst);
    let other = |name: &str| folder.path().join(name);
    rage(|| {
        fs::write(other("other.json"), "x").unwrap();
        fs::write(other("ring.json.lock"), "").unwrap();
        fs::write(other(".ring.json.new"), "x").unwrap();
        fs::rename(other(".ring.json.new"), other("ring.json.bak")).unwrap();
        fs::create_dir_all(other("ring.json.reports")).unwrap();
        fs::remove_dir(other("ring.json.reports")).unwrap();
        // To read it is no change.
        fs::read(&path).unwrap();
    });
    // Whatever came of it has come before this.
    change(&store, 1);
    wait_for_revision(&following, 2);
    let loads = loads.load(SeqCst) - before;
    // One change, which the system may report in several events.
    assert!((1..=2).contains(&loads), "{loads} loads");
}

#[test]
fn a_storm_of_changes_is_damped_and_the_last_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    let (following, loads) = follow_and_count(&path);
    let before = loads.load(SeqCst);
    let text = fs::read(&path).unwrap();
    let start = Instant::now();
    let mut writes = 0_u32;
    rage(|| {
        writes += 1;
        fs::write(&path, &text).unwrap();
    });
    change(&store, 1);
    wait_for_revision(&following, 2);
    let (loads, time) = (loads.load(SeqCst) - before, start.elapsed());
    println!("{writes} writes in {time:?}: {loads} loads");
    assert!(loads <= max_loads(time), "{loads} loads in {time:?}");
}

/// Whatever the store: it may be a client that wakes at each message of its own.
#[test]
fn a_storm_of_wakes_is_damped_and_the_last_counts() {
    let store = Scripted::new(first());
    let following = follow(store.clone());
    store.script(Fault::None, Fault::None);
    for turn in 1..=2 {
        let before = store.0.loads.load(SeqCst);
        let start = Instant::now();
        let mut wakes = 0_u32;
        rage(|| {
            wakes += 1;
            store.wake();
        });
        let new = entry(turn, &format!("k{turn}"));
        let held = store.0.manifest.lock().unwrap().clone();
        store.put(&held.stage(new, at(0)).unwrap().manifest);
        store.wake();
        wait_for_revision(&following, turn + 1);
        let (loads, time) = (store.0.loads.load(SeqCst) - before, start.elapsed());
        println!("{wakes} wakes in {time:?}: {loads} loads");
        assert!(loads <= max_loads(time), "{loads} loads in {time:?}");
        assert!(loads >= 2);
    }
    following.stop().unwrap();
}

#[test]
fn a_folder_that_is_replaced_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let (folder, before) = (root.path().join("keys"), root.path().join("keys.before"));
    fs::create_dir(&folder).unwrap();
    let path = folder.join("ring.json");
    stored(&path, &first());
    let (following, loads) = follow_and_count(&path);
    // A folder that was made elsewhere, in the place of this one.
    let new = root.path().join("keys.new");
    fs::create_dir(&new).unwrap();
    let next = first().stage(entry(1, "b"), at(0)).unwrap().manifest;
    stored(&new.join("ring.json"), &next);
    fs::rename(&folder, &before).unwrap();
    fs::rename(&new, &folder).unwrap();
    wait_for_revision(&following, 2);
    // The new one is watched, also once the old one is gone.
    let store = FileStore::new(&path);
    change(&store, 2);
    wait_for_revision(&following, 3);
    fs::remove_dir_all(&before).unwrap();
    change(&store, 3);
    wait_for_revision(&following, 4);
    // Removed and made again.
    let text = fs::read(&path).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("new"), text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(folder.join("new"), mode).unwrap();
    fs::rename(folder.join("new"), &path).unwrap();
    change(&store, 4);
    wait_for_revision(&following, 5);
    assert!(loads.load(SeqCst) > 4);
}

/// Kubernetes updates a mounted secret so, and a deployment switches a release: the file is reached
/// through links, of which one leads to another folder now.
#[test]
fn a_link_on_the_way_that_is_switched_is_noticed_each_time() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    let mut manifest = first();
    fs::create_dir_all(path("app/mount")).unwrap();
    let make = |name: &str, manifest: &Manifest| {
        let folder = path("app/mount").join(name);
        fs::create_dir(&folder).unwrap();
        stored(&folder.join("ring.json"), manifest);
    };
    make("..0", &manifest);
    symlink("..0", path("app/mount/..data")).unwrap();
    symlink("..data/ring.json", path("app/mount/ring.json")).unwrap();
    symlink("app", path("current")).unwrap();
    let (following, _) = follow_and_count(&path("current/mount/ring.json"));
    for turn in 1..=3_u64 {
        let new = entry(turn, &format!("k{turn}"));
        manifest = manifest.stage(new, at(0)).unwrap().manifest;
        make(&format!("..{turn}"), &manifest);
        symlink(format!("..{turn}"), path("app/mount/..data_tmp")).unwrap();
        fs::rename(path("app/mount/..data_tmp"), path("app/mount/..data")).unwrap();
        fs::remove_dir_all(path("app/mount").join(format!("..{}", turn - 1))).unwrap();
        wait_for_revision(&following, turn + 1);
    }
    // The link of the release, from afar.
    fs::create_dir_all(path("next/mount")).unwrap();
    manifest = manifest.revoke(&"k1".parse().unwrap(), "leaked", at(0)).unwrap().manifest;
    stored(&path("next/mount/ring.json"), &manifest);
    symlink("next", path("current.new")).unwrap();
    fs::rename(path("current.new"), path("current")).unwrap();
    wait_for_revision(&following, 5);
}

#[test]
fn a_watch_that_is_dropped_wakes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    let store = stored(&path, &first());
    let is_dropped = Arc::new(AtomicBool::new(false));
    let (late, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (dropped, counts, all) = (Arc::clone(&is_dropped), Arc::clone(&late), Arc::clone(&seen));
    let wake = Wake::new(move || {
        all.fetch_add(1, SeqCst);
        counts.fetch_add(usize::from(dropped.load(SeqCst)), SeqCst);
    });
    let watch = block_on(store.watch(wake)).unwrap().unwrap();
    change(&store, 1);
    let start = Instant::now();
    while seen.load(SeqCst) == 0 {
        assert!(start.elapsed() < A_WHILE);
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(watch);
    // What was under way when it was dropped has ended by then.
    std::thread::sleep(DAMPING * 2);
    is_dropped.store(true, SeqCst);
    change(&store, 2);
    std::thread::sleep(DAMPING * 2);
    assert_eq!(late.load(SeqCst), 0);
}
