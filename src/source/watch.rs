//! A watch over one file: its own changes, and those of every link and folder on the way to it.
//!
//! It guarantees: a change of the file wakes, however it is made: written in place, renamed into
//! its place, by a link that is switched to another folder (as Kubernetes does with `..data`), or
//! with a folder that is replaced. Other files in these folders wake nothing. However many changes
//! there are, it wakes at most once in [`DAMPING`], and once after the last.
//!
//! It does not guarantee to notice a change beyond the folder of a link or of the file and the
//! folder above it, nor what the system drops: so a follower asks from time to time as well.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::store::{Wake, Watch};

const DAMPING: Duration = Duration::from_millis(100);
/// The number of links that Linux follows in one path.
const MAX_LINKS: usize = 40;

/// A folder, and a name in it that leads to the file.
type WatchedName = (PathBuf, OsString);

/// Has `wake` called when the file at `path` may have changed, until the result is dropped.
pub(super) fn watch(path: &Path, wake: Wake) -> io::Result<Watch> {
    let path = std::path::absolute(path)?;
    let (changed, changes) = sync_channel(1);
    let places = route(&path);
    let route = Arc::new(Mutex::new(places.clone()));
    let watched = Arc::clone(&route);
    let on_event =
        move |event: notify::Result<Event>| signal_change(&event, &lock(&watched), &changed);
    let mut watcher = notify::recommended_watcher(on_event).map_err(io::Error::other)?;
    // Without the lock: the thread of the watcher takes it for each event, and answers here.
    arm(&mut watcher, &path, &places)?;
    let watcher = Arc::new(Mutex::new(Some(watcher)));
    let held = Arc::clone(&watcher);
    let run = move || {
        // It ends when the watcher is dropped, and with it the sender.
        while changes.recv().is_ok() {
            {
                // A folder may be another one now, and a link may lead elsewhere.
                let places = self::route(&path);
                lock(&route).clone_from(&places);
                let mut watcher = lock(&watcher);
                let Some(watcher) = watcher.as_mut() else { return };
                // Where it fails, the follower asks from time to time all the same.
                let _ = arm(watcher, &path, &places);
            }
            wake.wake();
            std::thread::sleep(DAMPING);
        }
    };
    std::thread::Builder::new().name("dualkey watch".to_owned()).spawn(run)?;
    Ok(Watch::new(Armed(held)))
}

/// Drops the watcher, which ends its threads.
struct Armed(Arc<Mutex<Option<RecommendedWatcher>>>);

impl Drop for Armed {
    fn drop(&mut self) {
        let watcher = lock(&self.0).take();
        drop(watcher);
    }
}

/// Passes a change on, if it is one of the file. One that waits already is enough.
fn signal_change(
    event: &notify::Result<Event>,
    route: &BTreeSet<WatchedName>,
    changed: &SyncSender<()>,
) {
    if is_of_route(event, route) {
        let _ = changed.try_send(());
    }
}

fn is_of_route(event: &notify::Result<Event>, route: &BTreeSet<WatchedName>) -> bool {
    match event {
        // A read is no change, and the woken follower reads.
        Ok(Event { kind: EventKind::Access(kind), .. })
            if *kind != AccessKind::Close(AccessMode::Write) =>
        {
            false
        }
        // Something was missed.
        Err(_) => true,
        Ok(event) if event.need_rescan() || event.paths.is_empty() => true,
        // Deliberately not by the whole path, which some systems name in another way.
        Ok(event) => event.paths.iter().any(|path| {
            let name = path.file_name();
            name.is_none_or(|name| route.iter().any(|(_, watched)| watched == name))
        }),
    }
}

/// Watches the folders of `route`. That of the file must be there; others need not be readable.
fn arm(
    watcher: &mut RecommendedWatcher,
    path: &Path,
    route: &BTreeSet<WatchedName>,
) -> io::Result<()> {
    let folders: BTreeSet<_> = route.iter().map(|(folder, _)| folder).collect();
    for folder in folders {
        // Again, if it is watched: under its name there may be another folder.
        let _ = watcher.watch(folder, RecursiveMode::NonRecursive);
    }
    let folder = path.parent().unwrap_or(path);
    let folder = std::fs::canonicalize(folder)?;
    watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(io::Error::other)
}

/// The places on the way to the file at `path`, which is absolute: the file itself, every link,
/// where the way ends if something is missing, and the folders that hold these.
fn route(path: &Path) -> BTreeSet<WatchedName> {
    let mut all: Vec<(WatchedName, bool)> = Vec::new();
    let mut links = 0;
    let mut rest: Vec<_> = parts(path);
    let mut folder = PathBuf::new();
    while let Some(part) = rest.pop() {
        let name = match Path::new(&part).components().next() {
            Some(Component::Normal(name)) => name,
            Some(Component::ParentDir) => {
                folder.pop();
                continue;
            }
            _ => {
                folder.push(part);
                continue;
            }
        };
        let next = folder.join(name);
        let place = (folder.clone(), name.to_owned());
        let Ok(metadata) = std::fs::symlink_metadata(&next) else {
            all.push((place, true));
            break;
        };
        all.push((place, metadata.is_symlink() || rest.is_empty()));
        if !metadata.is_symlink() {
            folder = next;
            continue;
        }
        links += 1;
        let Ok(target) = std::fs::read_link(&next) else { break };
        if links > MAX_LINKS {
            break;
        }
        if target.is_absolute() {
            folder = PathBuf::new();
        }
        rest.extend(parts(&target));
    }
    let mut route: BTreeSet<WatchedName> =
        all.into_iter().filter(|(_, is_stop)| *is_stop).map(|(place, _)| place).collect();
    let folders: Vec<_> = route.iter().map(|(folder, _)| folder.clone()).collect();
    for folder in folders {
        let above = folder.parent().zip(folder.file_name());
        route.extend(above.map(|(above, name)| (above.to_owned(), name.to_owned())));
    }
    route
}

/// The parts of `path`, the first of them last.
fn parts(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use notify::event::{CreateKind, DataChange, Flag, ModifyKind};

    use super::*;

    fn place(folder: &Path, name: &str) -> WatchedName {
        (folder.to_owned(), name.into())
    }

    #[test]
    fn the_route_holds_the_file_the_links_and_the_folders_of_both() {
        let root = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(root.path()).unwrap();
        // As Kubernetes mounts a secret, behind a link to a release.
        let mount = root.join("releases/7/keys");
        fs::create_dir_all(mount.join("..1")).unwrap();
        fs::write(mount.join("..1/ring.json"), "").unwrap();
        symlink("..1", mount.join("..data")).unwrap();
        symlink("..data/ring.json", mount.join("ring.json")).unwrap();
        symlink("releases/7", root.join("current")).unwrap();
        let route = route(&root.join("current/keys/ring.json"));
        let (above, name) = (root.parent().unwrap(), root.file_name().unwrap().to_str().unwrap());
        let expected = [
            place(above, name),
            place(&root, "current"),
            place(&mount, "ring.json"),
            place(&mount, "..data"),
            place(mount.parent().unwrap(), "keys"),
            place(&mount.join("..1"), "ring.json"),
            place(&mount, "..1"),
        ];
        assert_eq!(route, expected.into());

        // What is missing is watched for where it should be.
        let route = self::route(&root.join("later/ring.json"));
        assert_eq!(route, [place(above, name), place(&root, "later")].into());
        symlink("round", root.join("round")).unwrap();
        assert!(self::route(&root.join("round/ring.json")).contains(&place(&root, "round")));
    }

    #[test]
    fn other_files_do_not_count_and_missed_events_do() {
        let route = [place(Path::new("/keys"), "ring.json"), place(Path::new("/"), "keys")].into();
        let event = |path: &str| {
            Ok(Event::new(EventKind::Modify(ModifyKind::Data(DataChange::Any)))
                .add_path(path.into()))
        };
        assert!(is_of_route(&event("/keys/ring.json"), &route));
        assert!(is_of_route(&event("/keys"), &route));
        for other in ["/keys/ring.json.lock", "/keys/.ring.json.~0.tmp", "/keys/a", "/keys/ring"] {
            assert!(!is_of_route(&event(other), &route), "{other}");
        }
        let missed = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(is_of_route(&Ok(missed), &route));
        assert!(is_of_route(&Err(notify::Error::generic("")), &route));
        let read = EventKind::Access(AccessKind::Close(AccessMode::Read));
        assert!(!is_of_route(&Ok(Event::new(read).add_path("/keys/ring.json".into())), &route));
        let made = Event::new(EventKind::Create(CreateKind::Folder)).add_path("/keys".into());
        assert!(is_of_route(&Ok(made), &route));
    }
}
