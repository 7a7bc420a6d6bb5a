//! A process is killed while it rotates in a file; two of them rotate at once.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use dualkey::cookie::CookieKey;
use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{FileStore, KeyStore, StoreError};
use dualkey::{KeyRing, ManualClock};
use dualkey::{Kid, Purpose};
use pollster::block_on;

use crate::support::EventLog;
use crate::support::manifest::stored;
use crate::support::manifest::{at, first};

/// The file in which the child rotates.
const ROTATE: &str = "DUALKEY_TEST_ROTATE";

/// Does nothing but where a test below has started it: then it rotates until it is killed, and
/// says of each change whether it was stored.
#[test]
fn the_child_that_rotates() {
    let Some(path) = std::env::var_os(ROTATE) else { return };
    let store = FileStore::new(Path::new(&path));
    let say = |what: &str, revision: u64| {
        let mut output = std::io::stdout().lock();
        writeln!(output, "rotating: {what} {revision}").unwrap();
        output.flush().unwrap();
    };
    say("begun", 0);
    for turn in 0..u64::MAX {
        let manifest = block_on(store.load()).unwrap();
        let next = rotate(&manifest, turn);
        match block_on(store.compare_and_swap(manifest.revision(), &next)) {
            Ok(()) => say("stored", next.revision()),
            Err(StoreError::Conflict { found, .. }) => say("conflict", found),
            Err(error) => panic!("{error}"),
        }
    }
}

/// One step of a rotation that goes on forever.
fn rotate(manifest: &Manifest, turn: u64) -> Manifest {
    let now = at(turn);
    let staged = manifest
        .keys()
        .iter()
        .find(|key| key.signing_start() == dualkey::SigningStart::Unscheduled);
    let primary = manifest.primary(now);
    let old: Option<Kid> = manifest
        .keys()
        .iter()
        .filter(|key| key.destroyed_at().is_none() && key.kid() != primary)
        .map(|key| key.kid())
        .next();
    let change = match (staged, old) {
        (Some(staged), _) => manifest.force("a test").promote(&staged.kid(), now),
        (None, Some(old)) if manifest.key(&old).unwrap().revoked().is_none() => {
            manifest.revoke(&old, "a test", now)
        }
        (None, Some(old)) => manifest.destroy(&old, &[], now),
        (None, None) => manifest.stage(NewEntry::generate(Purpose::Cookie).unwrap(), now),
    };
    change.unwrap().manifest
}

struct Rotating {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Rotating {
    fn start(path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::the_child_that_rotates", "--nocapture"])
            .env(ROTATE, path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next thing that it said: what, and of which revision. `None` once it is dead.
    fn read_step(&mut self) -> Option<(String, u64)> {
        loop {
            let line = self.lines.next()?.ok()?;
            if let Some(said) = line.split_once("rotating: ").map(|(_, said)| said) {
                // The last line may be cut off.
                let (what, revision) = said.split_once(' ')?;
                return Some((what.to_owned(), revision.parse().ok()?));
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Rotating {
    fn drop(&mut self) {
        // A test that fails leaves nobody rotating. It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Moments that differ from run to run.
fn random(below: u64) -> u64 {
    getrandom::u64().unwrap() % below
}

#[test]
fn killed_at_any_moment_a_file_is_one_of_two_whole_generations() {
    let times = if std::env::var_os("DUALKEY_TEST_FULL").is_some() { 300 } else { 30 };
    let (mut between, mut left, mut generations) = (0, 0, 0);
    for _ in 0..times {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring.json");
        stored(&path, &first());
        let event_log = EventLog::default();
        let following = KeyRing::<CookieKey>::builder()
            .name("SESSION_SECRET")
            .environment("test")
            .observer(event_log.clone())
            .clock(ManualClock::new(at(3600)))
            .follow(FileStore::new(&path))
            .poll(Duration::from_secs(1))
            .spawn_thread()
            .unwrap();
        let mut rotating = Rotating::start(&path);
        let mut acknowledged = 1;
        for _ in 0..1 + random(30) {
            let (what, revision) = rotating.read_step().unwrap();
            assert!(what == "begun" || what == "stored", "{what}");
            acknowledged = acknowledged.max(revision);
        }
        // Somewhere within the next change, or after it.
        for _ in 0..random(300_000) {
            std::hint::black_box(0);
        }
        rotating.kill();
        while let Some((_, revision)) = rotating.read_step() {
            acknowledged = acknowledged.max(revision);
        }

        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let found = block_on(FileStore::new(&path).load()).unwrap();
        assert!(
            [acknowledged, acknowledged + 1].contains(&found.revision()),
            "{} after {acknowledged}",
            found.revision()
        );
        between += usize::from(found.revision() != acknowledged);
        following.refresh().unwrap();
        assert_eq!(following.health().failures, 0, "{:?}", event_log.all());
        assert_eq!(following.ring().load().revision(), found.revision());
        generations += found.revision();

        // Who comes next goes on, and sweeps up.
        let entries = || fs::read_dir(folder.path()).unwrap().count();
        left += usize::from(entries() > 2);
        let store = FileStore::new(&path);
        block_on(store.compare_and_swap(found.revision(), &rotate(&found, 0))).unwrap();
        assert_eq!(entries(), 2);
    }
    println!(
        "killed {times} times over {generations} generations: {between} times before it could \
         say what it had stored, {left} times with a file left behind"
    );
}

#[test]
fn of_two_processes_that_rotate_at_once_each_change_is_there_or_its_writer_knows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring.json");
    stored(&path, &first());
    let mut both = [Rotating::start(&path), Rotating::start(&path)];
    let (mut stored, mut conflicts) = (Vec::new(), 0);
    let mut count = |said: (String, u64)| match said.0.as_str() {
        "stored" => stored.push(said.1),
        "conflict" => conflicts += 1,
        _ => {}
    };
    let rounds = if std::env::var_os("DUALKEY_TEST_FULL").is_some() { 500 } else { 150 };
    for _ in 0..rounds {
        for process in &mut both {
            count(process.read_step().unwrap());
        }
    }
    for process in &mut both {
        process.kill();
        while let Some(said) = process.read_step() {
            count(said);
        }
    }
    stored.sort_unstable();
    let revision = block_on(FileStore::new(&path).load()).unwrap().revision();
    // No revision was stored twice, and none is missing but what the dead could not say.
    assert!(stored.windows(2).all(|pair| pair[0] < pair[1]), "{stored:?}");
    let missing = revision as usize - 1 - stored.len();
    assert!(missing <= 2, "{missing} of {revision}");
    println!("two processes: {} changes stored, {conflicts} conflicts told", stored.len());
}
