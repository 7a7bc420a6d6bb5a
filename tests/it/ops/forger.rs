//! A forger who can write the audit trail, and has none of its keys.
//!
//! Between honest steps he inserts, removes, reorders, replays and cuts lines, and copies lines
//! of another trail under the same key. Everything must be found, no query may be answered from
//! what he wrote, and no step may sign it.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dualkey::manifest::{Manifest, NewEntry};
use dualkey::ops::OpsError;
use dualkey::ops::audit::{
    Action, AuditError, AuditFuture, AuditKey, Entry, FileTrail, Guard, Listing, Outcome, Problem,
    Query, Record, Sink, Trail, Verification,
};
use dualkey::ops::rotate::Operator;
use dualkey::source::{KeyStore, StoreError, StoreFuture};
use dualkey::{KeyRing, ManualClock, Policy, Purpose, Secret};

use crate::support::{is_full, secret};

const SECRETS: [&str; 2] = ["JWT_SECRET", "SESSION_SECRET"];
const FORGER: &str = "eve@rival.example";

/// A sequence of numbers that a seed determines.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, count: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % count.max(1) as u64) as usize
    }
}

/// A store in memory.
#[derive(Debug, Clone, Default)]
struct Shelf(Arc<Mutex<Option<Manifest>>>);

impl KeyStore for Shelf {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        let stored = self.0.lock().unwrap().clone();
        Box::pin(async { stored.ok_or(StoreError::Missing { store: "shelf".to_owned() }) })
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        let mut stored = self.0.lock().unwrap();
        let found = stored.as_ref().map_or(0, Manifest::revision);
        let is_expected = found == expected;
        if is_expected {
            *stored = Some(next.clone());
        }
        Box::pin(async move {
            if is_expected {
                Ok(())
            } else {
                Err(StoreError::Conflict { store: "shelf".to_owned(), expected, found })
            }
        })
    }
}

/// A trail that knows which records honest operators wrote.
#[derive(Debug, Clone)]
struct Witness {
    trail: FileTrail,
    written: Arc<Mutex<Written>>,
}

#[derive(Debug, Default)]
struct Written {
    /// Each line of the trail, as it was written.
    lines: Vec<String>,
    /// The step of each secret that was started and not concluded.
    open: HashMap<String, Record>,
    settled: usize,
}

impl Witness {
    fn note(&self, record: &Record) {
        let mut written = self.written.lock().unwrap();
        // Of a forger's lines, not all are UTF-8.
        let text = fs::read(self.trail.path()).unwrap();
        written.lines.push(String::from_utf8_lossy(&text).lines().last().unwrap().to_owned());
        let name = record.secret.clone();
        match record.outcome {
            Outcome::Started => drop(written.open.insert(name, record.clone())),
            Outcome::Failed => assert!(record.reason.as_ref().unwrap().contains("refused")),
            _ => {
                // A conclusion says what was started, and nothing else.
                let mut started = written.open.remove(&name).expect("it was started");
                (started.outcome, started.at) = (record.outcome, record.at);
                assert_eq!(started, *record, "a step was concluded that was not started");
                written.settled += 1;
            }
        }
        assert!(!format!("{record:?}").contains("rival"), "the forger's text was signed");
    }
}

impl Sink for Witness {
    fn append<'a>(&'a self, records: &'a [Record]) -> AuditFuture<'a, ()> {
        Box::pin(async move {
            self.trail.append(records).await?;
            records.iter().for_each(|record| self.note(record));
            Ok(())
        })
    }
}

impl Trail for Witness {
    fn read<'a>(&'a self, query: &'a Query) -> AuditFuture<'a, Listing> {
        Trail::read(&self.trail, query)
    }

    fn is_empty(&self) -> AuditFuture<'_, bool> {
        Trail::is_empty(&self.trail)
    }

    fn verify(&self) -> AuditFuture<'_, Verification> {
        self.trail.verify()
    }

    fn ring(&self) -> &KeyRing<AuditKey> {
        self.trail.ring()
    }

    fn lock<'a>(&'a self, secret: &'a str) -> AuditFuture<'a, Guard> {
        self.trail.lock(secret)
    }
}

fn ring() -> KeyRing<AuditKey> {
    KeyRing::builder().primary(Secret::from(secret(0))).build().unwrap()
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

struct Scene {
    folder: tempfile::TempDir,
    witness: Witness,
    stores: [Shelf; 2],
    clock: ManualClock,
    numbers: Numbers,
    next_secret: u64,
    /// Lines of another trail under the same key.
    others: Vec<String>,
    /// Files as they were after each honest step.
    heads: Vec<Vec<u8>>,
}

/// The results of the programs.
#[derive(Debug, Default)]
struct Tally {
    edits: usize,
    found: usize,
    copies: usize,
    steps: usize,
    refused: usize,
    settled: usize,
    queries: usize,
}

impl Scene {
    fn new(seed: u64) -> Self {
        // In memory where that can be had: each record is synced.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut numbers = Numbers(seed);
        let max = [600, 2_000, 1 << 20][numbers.below(3)];
        let trail = FileTrail::new(folder.path().join("audit.log"), ring()).max_bytes(max);
        let other = FileTrail::new(folder.path().join("other"), ring());
        let records: Vec<_> = (0..8).map(Self::other_record).collect();
        other.write(&records).unwrap();
        let text = fs::read_to_string(other.path()).unwrap();
        Self {
            witness: Witness { trail, written: Arc::default() },
            stores: Default::default(),
            clock: ManualClock::new(now()),
            numbers,
            next_secret: 1,
            others: text.lines().map(str::to_owned).collect(),
            heads: Vec::new(),
            folder,
        }
    }

    /// Returns a record of a step on a secret of this trail, which another environment took.
    fn other_record(n: usize) -> Record {
        let (secret, action) =
            (SECRETS[n % 2], [Action::STAGED, Action::ROTATED][n / 2 % 2].clone());
        let mut record = Record::new(now(), secret, action, "staging@rival.example", "production");
        (record.revision, record.to) = (Some(n as u64 + 2), Some("primary".to_owned()));
        record.outcome([Outcome::Started, Outcome::Success][n / 4 % 2])
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    fn head(&self) -> PathBuf {
        self.folder.path().join("audit.log.head")
    }

    /// The files of the trail, the oldest first.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut all: Vec<_> = entries.map(|path| path.unwrap().path()).collect();
        all.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension.to_string_lossy().parse::<u64>().is_ok())
        });
        all.sort();
        all.extend(Some(self.path()).filter(|path| path.exists()));
        all
    }

    fn lines(&self) -> Vec<String> {
        let mut all = Vec::new();
        for path in self.files() {
            let text = fs::read(path).unwrap();
            all.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned));
        }
        all
    }

    /// An honest step: one of some, refused or not, killed in its midst or not.
    fn step(&mut self, tally: &mut Tally) -> Result<(), AuditError> {
        let which = self.numbers.below(2);
        let kind = self.numbers.below(6);
        let dies = self.numbers.below(4) == 0;
        self.next_secret = self.next_secret % 24 + 1;
        let entry = NewEntry::new(Secret::from(secret(self.next_secret)));
        self.clock.advance(Duration::from_secs(8 * 24 * 3600));
        let operator = Operator::new(self.stores[which].clone(), self.witness.clone(), "ada")
            .clock(self.clock.clone())
            .reason("the quarter");
        let taken = pollster::block_on(async {
            if matches!(self.stores[which].load().await, Err(StoreError::Missing { .. })) {
                let policy = Policy::default();
                let name = SECRETS[which];
                let created =
                    operator.create(name, Purpose::Jwt, "production", policy, entry).await;
                return created.map(drop);
            }
            if dies {
                // Its record is there, and it changes nothing.
                let manifest = self.stores[which].load().await.unwrap();
                let mut record = Record::new(
                    self.clock.now_(),
                    SECRETS[which],
                    Action::STAGED,
                    "ada",
                    "production",
                );
                (record.revision, record.clock_given) = (Some(manifest.revision() + 1), true);
                let record = record.outcome(Outcome::Started);
                operator.settle().await?;
                return self.witness.append(&[record]).await.map_err(OpsError::from);
            }
            match kind {
                0 | 1 => operator.stage(entry).await.map(drop),
                2 | 3 => operator.assume_deployed().promote(None).await.map(drop),
                4 => operator.rollback().await.map(drop),
                _ => operator.emergency_rotate(None, entry).await.map(drop),
            }
        });
        tally.steps += 1;
        match taken {
            Err(OpsError::Audit(error)) => Err(error),
            Err(OpsError::Unsettled { source }) => Err(source),
            // What the keys refuse is no concern of the trail's.
            _ => Ok(()),
        }
    }

    fn edit(&mut self) {
        let files = self.files();
        let path = &files[self.numbers.below(files.len())];
        let text = fs::read(path).unwrap();
        let mut lines: Vec<_> =
            text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let count = lines.len();
        if count == 0 {
            return;
        }
        let (place, other) = (self.numbers.below(count), self.numbers.below(count));
        match self.numbers.below(12) {
            0 | 1 => {
                let line = self.forge_line();
                lines.insert(self.numbers.below(count + 1), [&line[..], b"\n"].concat());
            }
            2 => lines.push(self.forge_line()),
            3 => drop(lines.remove(place)),
            4 => lines.swap(place, other),
            5 => {
                let copy = lines[place].clone();
                lines.insert(self.numbers.below(count + 1), copy);
            }
            6 => lines.truncate(place),
            7 => {
                let all = lines.concat();
                let keep = self.numbers.below(all.len());
                lines = vec![all[..keep].to_vec()];
            }
            8 => {
                let other = &self.others[self.numbers.below(self.others.len())];
                let line = format!("{other}\n").into_bytes();
                match self.numbers.below(2) {
                    0 => lines.insert(self.numbers.below(count + 1), line),
                    _ => lines[place] = line,
                }
            }
            9 => {
                let at = self.numbers.below(lines[place].len());
                lines[place][at] ^= 1 << self.numbers.below(8);
            }
            10 => return fs::remove_file(path).unwrap(),
            _ => match self.numbers.below(3) {
                0 => return drop(fs::remove_file(self.head())),
                1 => {
                    let old = &self.heads[self.numbers.below(self.heads.len())];
                    return fs::write(self.head(), old).unwrap();
                }
                _ => {
                    let mut head = fs::read(self.head()).unwrap_or_default();
                    if !head.is_empty() {
                        let at = self.numbers.below(head.len() - 1);
                        head[at] ^= 1;
                    }
                    return fs::write(self.head(), head).unwrap();
                }
            },
        }
        fs::write(path, lines.concat()).unwrap();
    }

    /// A line that the forger makes up.
    fn forge_line(&mut self) -> Vec<u8> {
        let secret = SECRETS[self.numbers.below(2)];
        let written = self.witness.written.lock().unwrap();
        let genuine = written.lines.last().unwrap();
        let kid = genuine.rsplit_once("mac=").unwrap().1.split_once('.').unwrap().0;
        let (n, tag) = (self.numbers.below(30) + 1, "A".repeat(43));
        let plain = format!("2027-01-15 08:00:00 UTC | {secret} | ROTATED | {FORGER} | production");
        match self.numbers.below(7) {
            0 => format!(
                "{plain} | STARTED | to=primary | revision={n} | n={n} | prev=- | mac=x.{tag}"
            )
            .into_bytes(),
            1 => format!("{plain} | SUCCESS | revision={n} | n={n} | prev=- | mac={kid}.{tag}")
                .into_bytes(),
            2 => format!("{plain} | SUCCESS").into_bytes(),
            3 => genuine.replace("| ada |", &format!("| {FORGER} |")).into_bytes(),
            4 => Vec::new(),
            5 => vec![0xff, 0x1b, b'[', b'2', b'J'],
            _ => genuine.as_bytes()[..self.numbers.below(genuine.len()) / 2 + 1].to_vec(),
        }
    }

    /// Looks for what the forger did, and asks what steps ask.
    fn check(&mut self, tally: &mut Tally, was_edited: bool) {
        let trail = &self.witness.trail;
        let verified = trail.check().unwrap();
        let listing = trail.read(&Query::new().with_started()).unwrap();
        let honest = self.witness.written.lock().unwrap().lines.clone();
        let is_as_written = self.lines() == honest;
        let is_found = !verified.is_whole() || verified.is_torn;
        // Both walks agree.
        let is_listed = listing.problem.is_some() || !listing.forged.is_empty();
        assert_eq!(is_listed, !verified.is_whole(), "{verified:?} {listing:?}");
        let head_is_good = fs::read(self.head()).is_ok_and(|head| self.heads.contains(&head));
        match (is_as_written && head_is_good, was_edited) {
            // An older head, with every record: nothing is lost, and nothing was added.
            (true, _) => assert!(verified.is_whole(), "{verified:?}"),
            (false, true) => {
                assert!(is_found, "{verified:?}\n{:#?}\n{honest:#?}", self.lines());
                tally.found += 1;
            }
            // An honest step has written a head of its own.
            (false, false) => assert!(is_found || is_as_written, "{verified:?}"),
        }
        // What is listed is what was written, with its number.
        for Entry { n, record, .. } in &listing.records {
            assert!(
                honest[*n as usize - 1].starts_with(&record.to_string()),
                "{n} {record}\n{:#?}\n{honest:#?}",
                self.lines()
            );
        }
        // A decision is taken on all that it needs, or not at all.
        let is_latest = fs::read(self.head()).ok().as_ref() == self.heads.last();
        for name in SECRETS {
            let query = Query::new().secret(name).with_started().take(1);
            tally.queries += 1;
            // With an older head the trail may be an older copy of all of it.
            if let Ok(found) = trail.find(&query)
                && is_latest
            {
                let last = honest.iter().rposition(|line| line.contains(&format!(" | {name} | ")));
                assert_eq!(found.first().map(|entry| entry.n as usize - 1), last, "{name}");
            }
        }
    }

    /// Returns whether it is an older copy of all of it, head included, with or without forged
    /// lines: that it is older cannot be found.
    fn is_copy(&self) -> bool {
        let written = self.witness.written.lock().unwrap().lines.len() as u64;
        let listing = self.witness.trail.read(&Query::new().with_started()).unwrap();
        let is_older = fs::read(self.head()).ok().as_ref() != self.heads.last();
        is_older && listing.problem.is_none() && (listing.records.len() as u64) < written
    }

    fn is_whole(&self) -> bool {
        let verified = self.witness.trail.check().unwrap();
        verified.is_whole() && !verified.is_torn
    }

    fn save(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = self.files().into_iter().chain([self.head()]);
        files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }

    fn restore(&self, saved: &[(PathBuf, Vec<u8>)]) {
        for path in self.files() {
            fs::remove_file(path).unwrap();
        }
        for (path, text) in saved {
            fs::write(path, text).unwrap();
        }
    }
}

/// The time of a manual clock, without its trait in scope.
trait Now {
    fn now_(&self) -> SystemTime;
}

impl Now for ManualClock {
    fn now_(&self) -> SystemTime {
        dualkey::Clock::now(self)
    }
}

fn program(seed: u64, tally: &mut Tally) {
    let mut scene = Scene::new(seed);
    for _ in 0..3 {
        scene.step(tally).expect("the trail is as it was written");
        scene.heads.push(fs::read(scene.head()).unwrap());
    }
    for _ in 0..4 {
        let saved = scene.save();
        for _ in 0..=scene.numbers.below(3) {
            scene.edit();
            tally.edits += 1;
            if scene.files().is_empty()
                || !scene.files().iter().any(|path| !fs::read(path).unwrap().is_empty())
            {
                break;
            }
        }
        if scene.is_copy() {
            tally.copies += 1;
            scene.restore(&saved);
            continue;
        }
        scene.check(tally, true);
        let before = scene.witness.written.lock().unwrap().lines.len();
        match scene.step(tally) {
            Ok(()) => scene.check(tally, false),
            Err(AuditError::Broken { problem: Problem::Missing }) => tally.refused += 1,
            Err(AuditError::Broken { .. }) => tally.refused += 1,
            Err(error) => panic!("{error}"),
        }
        let written = scene.witness.written.lock().unwrap().lines[before..].to_vec();
        if written.is_empty() {
            scene.restore(&saved);
        } else {
            // The operator takes the forged lines out.
            rewrite(&scene, &saved);
        }
        assert!(scene.is_whole());
        scene.heads.push(fs::read(scene.head()).unwrap());
    }
    tally.settled += scene.witness.written.lock().unwrap().settled;
}

/// Puts the trail as it was written in one file, with the head of now.
fn rewrite(scene: &Scene, saved: &[(PathBuf, Vec<u8>)]) {
    let head = fs::read(scene.head()).unwrap();
    scene.restore(&saved[..0]);
    let honest = scene.witness.written.lock().unwrap().lines.clone();
    fs::write(scene.path(), honest.join("\n") + "\n").unwrap();
    fs::write(scene.head(), head).unwrap();
}

#[test]
fn a_forger_without_a_key_is_found_and_nothing_is_signed_for_him() {
    let programs = if is_full() { 1_000 } else { 300 };
    let mut tally = Tally::default();
    for seed in 0..programs {
        let outcome = std::panic::catch_unwind(|| {
            let mut tally = Tally::default();
            program(seed, &mut tally);
            tally
        });
        match outcome {
            Ok(counts) => {
                tally.edits += counts.edits;
                tally.found += counts.found;
                tally.copies += counts.copies;
                tally.steps += counts.steps;
                tally.refused += counts.refused;
                tally.settled += counts.settled;
                tally.queries += counts.queries;
            }
            Err(panic) => {
                println!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{programs} programs: {tally:?}");
    assert!(tally.found > 2 * programs as usize && tally.refused > 0 && tally.settled > 0);
}
