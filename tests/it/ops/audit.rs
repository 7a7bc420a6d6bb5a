//! The trail: a record that is changed, removed or moved is found.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dualkey::manifest::{Manifest, NewEntry};
use dualkey::ops::audit::{
    Action, AuditError, AuditKey, AuditObserver, FileTrail, Outcome, Problem, Query, Record, Sink,
    Trail, import,
};
use dualkey::{Clock, Event, KeyRing, ManualClock, Observer, Policy, Purpose, Secret};
use proptest::prelude::*;

use sha2::{Digest, Sha256};

use crate::support::{base64url, is_full, secret};

fn ring() -> KeyRing<AuditKey> {
    KeyRing::builder().primary(Secret::from(secret(0))).build().unwrap()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_768_471_200 + seconds)
}

fn record(place: u64) -> Record {
    const ACTIONS: [Action; 3] = [Action::STAGED, Action::ROTATED, Action::RETIRED];
    let secret = ["JWT_SECRET", "SESSION_SECRET", "ENCRYPTION_KEY"][place as usize % 3];
    let actor = ["ada@example.com", "bob", "agent"][place as usize / 3 % 3];
    Record::new(at(place), secret, ACTIONS[place as usize / 9 % 3].clone(), actor, "production")
        .kid("ccR5-2VI_YqfJw9i".parse().unwrap())
        .reason(format!("the quarter, {place}"))
}

fn trail(folder: &Path, records: u64) -> FileTrail {
    let trail = FileTrail::new(folder.join("audit.log"), ring());
    let records: Vec<_> = (0..records).map(record).collect();
    trail.write(&records).unwrap();
    trail
}

fn problem(trail: &FileTrail) -> Problem {
    trail.check().unwrap().problem.expect("it was changed")
}

#[test]
fn every_flipped_byte_is_found_and_names_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 25);
    assert_eq!(trail.check().unwrap().records, 25);
    let good = fs::read(trail.path()).unwrap();
    let (mut flipped, mut n) = (0, 1);
    for place in 0..good.len() {
        let last = n;
        n += u64::from(good[place] == b'\n');
        for bit in if is_full() { 0..8 } else { place as u32 % 8..place as u32 % 8 + 1 } {
            let mut bad = good.clone();
            bad[place] ^= 1 << bit;
            fs::write(trail.path(), &bad).unwrap();
            let found = match problem(&trail) {
                Problem::Changed { n } | Problem::UnknownKey { n, .. } => n,
                // The end of the last line.
                Problem::Truncated { found, .. } => found + 1,
                other => panic!("{other:?} at byte {place}, bit {bit}"),
            };
            assert_eq!(found, last, "byte {place}, bit {bit}");
            flipped += 1;
        }
    }
    println!("{flipped} flipped bytes in {} records: all found", n - 1);
    fs::write(trail.path(), &good).unwrap();
    assert!(trail.check().unwrap().is_whole());

    // And of what says where it ends.
    let head = folder.path().join("audit.log.head");
    let good = fs::read(&head).unwrap();
    for place in 0..good.len() - 1 {
        let mut bad = good.clone();
        bad[place] ^= 1;
        fs::write(&head, &bad).unwrap();
        assert_eq!(problem(&trail), Problem::NoHead, "byte {place}");
        assert!(matches!(trail.write(&[record(0)]), Err(AuditError::Broken { .. })));
    }
}

#[test]
fn every_removed_moved_or_doubled_record_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 100);
    let good = fs::read_to_string(trail.path()).unwrap();
    let lines: Vec<_> = good.lines().collect();
    let write = |lines: &[&str]| fs::write(trail.path(), lines.join("\n") + "\n").unwrap();
    for place in 0..100 {
        let n = place as u64 + 1;
        let mut bad = lines.clone();
        bad.remove(place);
        write(&bad);
        let expected = match n {
            100 => Problem::Truncated { expected: 100, found: 99 },
            n => Problem::Removed { n },
        };
        assert_eq!(problem(&trail), expected);

        for other in [place + 1, 99 - place].into_iter().filter(|other| *other < 100) {
            let mut bad = lines.clone();
            bad.swap(place, other);
            if place != other {
                write(&bad);
                assert_eq!(problem(&trail), Problem::Moved { n: n.min(other as u64 + 1) });
            }
        }

        let mut bad = lines.clone();
        bad.insert(place, lines[place]);
        write(&bad);
        assert_eq!(problem(&trail), Problem::Moved { n });

        // All that follows.
        write(&lines[..place]);
        let found = place as u64;
        assert_eq!(problem(&trail), Problem::Truncated { expected: 100, found });
        assert!(trail.write(&[record(0)]).is_err(), "nothing is built on it");
    }
    fs::remove_file(folder.path().join("audit.log.head")).unwrap();
    write(&lines);
    assert_eq!(problem(&trail), Problem::NoHead);
    assert!(trail.write(&[record(0)]).is_err());
    // The head without a trail, and neither of them.
    let other = FileTrail::new(folder.path().join("none.log"), ring());
    assert!(other.check().unwrap().is_whole());
}

/// Records of another trail under the same key, as of a copy that went on by itself: each is
/// authentic, and stands in its place.
#[test]
fn a_record_of_another_trail_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let original = trail(folder.path(), 6);
    let good = fs::read_to_string(original.path()).unwrap();
    let lines: Vec<_> = good.lines().collect();
    let check = |lines: &[&str], n: u64| {
        fs::write(original.path(), lines.join("\n") + "\n").unwrap();
        assert_eq!(problem(&original), Problem::Changed { n });
        fs::write(original.path(), &good).unwrap();
    };
    // For each length of what both have in common.
    for common in 0..6 {
        let other = tempfile::tempdir().unwrap();
        let copy = trail(other.path(), common);
        let records: Vec<_> = (10..16 - common).map(record).collect();
        copy.write(&records).unwrap();
        let text = fs::read_to_string(copy.path()).unwrap();
        let others: Vec<_> = text.lines().collect();
        assert_eq!(others[..common as usize], lines[..common as usize]);
        for place in common as usize..6 {
            let mut bad = lines.clone();
            bad[place] = others[place];
            check(&bad, place as u64 + 1);
        }
    }
}

#[test]
fn a_broken_trail_is_put_aside_and_the_new_one_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 10).max_bytes(1000);
    trail.write(&[record(11)]).unwrap();
    fs::write(trail.path(), "").unwrap();
    assert!(matches!(trail.write(&[record(0)]), Err(AuditError::Broken { .. })));
    let restarted = Record::new(at(0), "audit", Action::RESTARTED, "ada", "production");
    let aside = trail.restart(&restarted.reason("it was emptied")).unwrap();
    assert_eq!(fs::read_dir(aside.unwrap()).unwrap().count(), 3, "two files and the head");
    let verified = trail.check().unwrap();
    assert!(verified.is_whole() && verified.records == 1);
    assert_eq!(trail.find(&Query::new()).unwrap()[0].record.action, Action::RESTARTED);
}

/// A writer that was killed in the middle of a record, at each byte of it.
#[test]
fn half_a_record_is_none_and_the_next_one_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 3);
    let before = fs::read(trail.path()).unwrap();
    let head = fs::read(folder.path().join("audit.log.head")).unwrap();
    trail.write(&[record(3)]).unwrap();
    let whole = fs::read(trail.path()).unwrap();
    let reset = |text: &[u8]| {
        fs::write(trail.path(), text).unwrap();
        fs::write(folder.path().join("audit.log.head"), &head).unwrap();
    };
    for length in before.len() + 1..whole.len() {
        reset(&whole[..length]);
        let verified = trail.check().unwrap();
        let is_record = length == whole.len() - 1;
        let records = if is_record { 4 } else { 3 };
        assert_eq!((verified.problem, verified.records), (None, records), "{length} bytes");
        assert_eq!(verified.is_torn, !is_record);
        let listing = trail.read(&Query::new()).unwrap();
        assert_eq!((listing.records.len() as u64, listing.forged.len()), (records, 0));
        trail.write(&[record(4)]).unwrap();
        let verified = trail.check().unwrap();
        assert!(verified.is_whole() && !verified.is_torn, "{verified:?}");
        assert_eq!(verified.records, records + 1);
    }
    // Records beyond the head: its writer was killed before it was written.
    reset(&whole);
    assert_eq!(trail.find(&Query::new()).unwrap().len(), 4);
    trail.write(&[record(4)]).unwrap();
    assert_eq!(trail.check().unwrap().records, 5);

    // But a record that was whole, and was cut in the middle, is missed.
    let text = fs::read(trail.path()).unwrap();
    fs::write(trail.path(), &text[..text.len() - 40]).unwrap();
    assert_eq!(problem(&trail), Problem::Truncated { expected: 5, found: 4 });
    assert!(trail.write(&[record(5)]).is_err());
    assert!(trail.find(&Query::new()).is_err());
}

/// A writer that was killed leaves many records beyond the head, and a forger many lines.
#[test]
fn lines_among_many_records_beyond_the_head_are_forged() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 3);
    let head = fs::read(folder.path().join("audit.log.head")).unwrap();
    trail.write(&(3..303).map(record).collect::<Vec<_>>()).unwrap();
    fs::write(folder.path().join("audit.log.head"), head).unwrap();
    let text = fs::read_to_string(trail.path()).unwrap();
    let good: Vec<_> = text.lines().collect();
    for place in [303, 200, 4, 3, 1] {
        for count in [1, 150] {
            let mut bad = good.clone();
            bad.splice(place..place, vec!["junk"; count]);
            fs::write(trail.path(), bad.join("\n") + "\n").unwrap();
            let listing = trail.read(&Query::new()).unwrap();
            assert_eq!((listing.records.len(), listing.forged.len()), (303, count.min(100)));
            assert!(!trail.check().unwrap().is_whole());
            let is_beyond = place >= 3;
            assert_eq!(trail.write(&[record(303)]).is_err(), is_beyond, "{place}");
            if !is_beyond {
                fs::write(trail.path(), &text).unwrap();
                return;
            }
        }
    }
}

/// A line that no record begins with, or that is not at the end.
#[test]
fn a_line_that_is_no_record_is_forged() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 6);
    let good = fs::read_to_string(trail.path()).unwrap();
    let lines: Vec<_> = good.lines().collect();
    let plain = "2026-01-15 10:00:00 UTC | JWT_SECRET | ROTATED | eve | production | SUCCESS";
    let forged = format!("{plain} | n=4 | prev=- | mac=x.{}", "A".repeat(43));
    let half = &lines[3][..90];
    for line in [plain, &forged, half, "", "garbage", "\u{1b}[2J", lines[0]] {
        for place in 0..=6 {
            let mut bad = lines.clone();
            bad.insert(place, line);
            fs::write(trail.path(), bad.join("\n") + "\n").unwrap();
            let after = place as u64;
            if line != lines[0] {
                let verified = trail.check().unwrap();
                assert_eq!(verified.problem, Some(Problem::Forged { after }), "{line} at {place}");
                assert_eq!(verified.forged[0].line, line);
                assert_eq!(verified.records, 6);
            }
            let listing = trail.read(&Query::new()).unwrap();
            assert_eq!(listing.records.len(), 6);
            assert_eq!(listing.forged.len(), 1, "{line} at {place}");
            // Of a copy, it is not known which of the two is the record.
            assert!(line == lines[0] || listing.forged[0].after == after, "{line} at {place}");
            assert!(!listing.forged[0].to_string().contains('\u{1b}'));
            // Nothing is built on one that is at the end.
            assert_eq!(trail.write(&[record(7)]).is_err(), place == 6, "{line} at {place}");
            let head = folder.path().join("audit.log.head");
            fs::remove_file(head).unwrap();
            fs::remove_file(trail.path()).unwrap();
            trail.write(&(0..6).map(record).collect::<Vec<_>>()).unwrap();
        }
    }
    // At the end without a line end, it is no beginning of a record.
    for line in [&forged[..], "garbage", "\u{1b}[2J", lines[0], lines[5]] {
        fs::write(trail.path(), format!("{good}{line}")).unwrap();
        assert!(trail.check().unwrap().problem.is_some(), "{line}");
        assert_eq!(trail.read(&Query::new()).unwrap().forged.len(), 1, "{line}");
        assert!(trail.write(&[record(7)]).is_err(), "{line}");
    }
}

/// An attacker knows the number and the hash that the next record has, and no key.
#[test]
fn a_line_that_follows_on_the_last_record_without_its_mac_is_forged() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 6);
    let good = fs::read_to_string(trail.path()).unwrap();
    let prev = base64url::encode(&Sha256::digest(good.lines().last().unwrap()));
    let (kid, tag) = (trail.ring().keys()[0].kid, "A".repeat(43));
    let plain = "2026-01-15 10:00:00 UTC | JWT_SECRET | ROTATED | eve | production | SUCCESS";
    let forged = format!("{plain} | n=7 | prev={prev} | mac={kid}.{tag}");
    for end in ["", "\n"] {
        fs::write(trail.path(), format!("{good}{forged}{end}")).unwrap();
        assert_eq!(problem(&trail), Problem::Forged { after: 6 });
        let listing = trail.read(&Query::new()).unwrap();
        assert_eq!(listing.records.len(), 6);
        assert_eq!((listing.forged[0].after, &listing.forged[0].line), (6, &forged));
        assert!(trail.write(&[record(7)]).is_err(), "nothing is built on it");
    }
}

#[test]
fn a_query_after_a_forged_line_says_what_is_missing_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 6);
    let good = fs::read_to_string(trail.path()).unwrap();
    let lines: Vec<_> = good.lines().collect();
    // It claims to be record 4, which is there.
    let claim = lines[3].replace("SUCCESS", "FAILED");
    let bad = [lines[0], lines[2], lines[3], &claim, lines[4], lines[5]].join("\n") + "\n";
    fs::write(trail.path(), bad).unwrap();
    let listing = trail.read(&Query::new()).unwrap();
    assert_eq!((listing.records.len(), listing.forged.len()), (4, 1));
    assert_eq!(listing.problem, Some(Problem::Removed { n: 2 }));
    // Of many forged lines, a hundred are kept.
    let forged = "garbage\n".repeat(80);
    let bad = format!("{}\n{forged}{}\n{forged}{}\n", lines[0], lines[1], lines[2..].join("\n"));
    fs::write(trail.path(), bad).unwrap();
    let listing = trail.read(&Query::new()).unwrap();
    assert_eq!((listing.records.len(), listing.forged.len()), (6, 100));
    assert_eq!(trail.check().unwrap().forged.len(), 100);
}

#[test]
fn to_read_a_trail_that_is_not_there_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let trail = FileTrail::new(folder.path().join("audit.log"), ring());
    assert!(trail.read(&Query::new()).unwrap().records.is_empty());
    assert!(trail.check().unwrap().is_whole() && trail.is_empty().unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    // Nor does a restart leave a folder for files that are not there.
    assert_eq!(trail.restart(&record(0)).unwrap(), None);
    let mut all = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    assert!(all.all(|path| path.is_file()));
    // A file of another name is none of the trail.
    fs::write(folder.path().join("audit.log.1"), "garbage\n").unwrap();
    assert!(trail.check().unwrap().is_whole());
}

/// The replacement character is what a byte that is not UTF-8 is shown as.
#[test]
fn a_byte_in_the_place_of_a_replacement_character_is_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 1);
    trail.write(&[record(1).reason("a\u{fffd}b"), record(2)]).unwrap();
    let good = fs::read(trail.path()).unwrap();
    let place = good.windows(3).position(|window| window == "\u{fffd}".as_bytes()).unwrap();
    let bad = [&good[..place], b"\xff", &good[place + 3..]].concat();
    fs::write(trail.path(), bad).unwrap();
    assert!(trail.check().unwrap().problem.is_some());
    assert!(trail.find(&Query::new()).is_err());
}

#[test]
fn a_first_record_whose_writer_was_killed_before_the_head_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 0);
    let path = folder.path().join("audit.log.head");
    let head = fs::read(&path).unwrap();
    trail.write(&[record(0)]).unwrap();
    fs::write(&path, head).unwrap();
    assert_eq!(trail.find(&Query::new()).unwrap().len(), 1);
    trail.write(&[record(1)]).unwrap();
    let verified = trail.check().unwrap();
    assert_eq!((verified.problem, verified.records), (None, 2));
}

/// Its MAC holds, and its number is the next one, as in a copy of a trail under the same key.
#[test]
fn the_next_record_of_another_trail_is_none_of_this_one() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let original = trail(folder.path(), 6);
    let copy = trail(other.path(), 3);
    copy.write(&(10..14).map(record).collect::<Vec<_>>()).unwrap();
    let good = fs::read_to_string(original.path()).unwrap();
    let others = fs::read_to_string(copy.path()).unwrap();
    let line = others.lines().last().unwrap();
    for end in ["", "\n"] {
        fs::write(original.path(), format!("{good}{line}{end}")).unwrap();
        assert!(original.check().unwrap().problem.is_some());
        let listing = original.read(&Query::new()).unwrap();
        assert_eq!((listing.records.len(), &*listing.forged[0].line), (6, line));
        assert!(original.write(&[record(7)]).is_err(), "nothing is built on it");
    }
}

/// A writer was killed between its records and the head.
#[test]
fn a_forged_line_after_records_beyond_the_head_is_placed_after_them() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 6);
    let path = folder.path().join("audit.log.head");
    let head = fs::read(&path).unwrap();
    trail.write(&[record(6), record(7)]).unwrap();
    fs::write(&path, head).unwrap();
    let good = fs::read_to_string(trail.path()).unwrap();
    fs::write(trail.path(), format!("{good}garbage\n")).unwrap();
    assert_eq!(problem(&trail), Problem::Forged { after: 8 });
    let listing = trail.read(&Query::new()).unwrap();
    assert_eq!((listing.records.len(), listing.records[0].n), (8, 8));
    assert_eq!(listing.forged[0].after, 8);
    assert!(trail.write(&[record(8)]).is_err());
}

#[test]
fn a_query_names_the_problem_that_a_check_names() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 6);
    let path = folder.path().join("audit.log.head");
    let (good, head) = (fs::read_to_string(trail.path()).unwrap(), fs::read(&path).unwrap());
    let lines: Vec<_> = good.lines().collect();
    let check = |text: &str, head: Option<&[u8]>, expected: Problem| {
        fs::write(trail.path(), text).unwrap();
        match head {
            Some(head) => fs::write(&path, head).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        assert_eq!(problem(&trail), expected);
        assert!(!trail.is_empty().unwrap(), "{text}");
        let listing = trail.read(&Query::new()).unwrap();
        assert_eq!(listing.problem, Some(expected.clone()), "{text}");
        let found = trail.find(&Query::new());
        assert!(matches!(found, Err(AuditError::Broken { problem }) if problem == expected));
    };
    for n in 1..=6 {
        let place = n as usize - 1;
        let reason = format!("the quarter, {place}");
        check(&good.replace(&reason, "eve"), Some(&head), Problem::Changed { n });
        let without = [&lines[..place], &lines[n as usize..]].concat().join("\n") + "\n";
        let expected = match n {
            6 => Problem::Truncated { expected: 6, found: 5 },
            n => Problem::Removed { n },
        };
        check(&without, Some(&head), expected);
        let start: String = lines[..place].iter().map(|line| format!("{line}\n")).collect();
        let expected = Problem::Truncated { expected: 6, found: n - 1 };
        check(&start, Some(&head), expected.clone());
        // Nor does a line that claims to be a later record hide how many there are.
        if n < 6 {
            let later = lines[0].replace("n=1 ", "n=9 ");
            check(&format!("{start}{later}\n"), Some(&head), expected);
        }
    }
    for bad in [&b"garbage"[..], b"", b"\xff"] {
        check(&good, Some(bad), Problem::NoHead);
        check("", Some(bad), Problem::NoHead);
    }
    check(&good, None, Problem::NoHead);
    fs::write(&path, "").unwrap();
    check("half", None, Problem::NoHead);
}

/// An attacker who removes a record does not change what a query returns: it is an error.
#[test]
fn a_query_is_not_answered_from_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 30);
    let good = fs::read_to_string(trail.path()).unwrap();
    let lines: Vec<_> = good.lines().collect();
    let query = Query::new().secret("JWT_SECRET").take(1);
    let last = trail.find(&query).unwrap()[0].n;
    let mut bad = lines.clone();
    bad.remove(last as usize - 1);
    fs::write(trail.path(), bad.join("\n") + "\n").unwrap();
    let error = trail.find(&query).unwrap_err().to_string();
    assert!(error.contains(&format!("record {last} was removed")), "{error}");
    // What comes after it is known all the same.
    let later = trail.find(&Query::new().take(30 - last as usize)).unwrap();
    assert_eq!(later.len() as u64, 30 - last);
}

#[test]
fn a_trail_in_many_files_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let trail = FileTrail::new(folder.path().join("audit.log"), ring()).max_bytes(2_000);
    for place in 0..60 {
        trail.write(&[record(place)]).unwrap();
    }
    let files = || {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.len() == "audit.log.".len() + 12);
        names.sort();
        names
    };
    let names = files();
    assert!(names.len() > 6, "{names:?}");
    assert!(trail.check().unwrap().is_whole());
    let all = trail.find(&Query::new()).unwrap();
    assert!(all.iter().map(|entry| entry.n).eq((1..=60).rev()));
    assert_eq!(trail.find(&Query::new().take(17)).unwrap(), all[..17]);

    // A file that was put aside is missed.
    let hidden = folder.path().join("hidden");
    for (place, name) in names.iter().enumerate() {
        fs::rename(folder.path().join(name), &hidden).unwrap();
        let first = match place {
            0 => 1,
            place => names[place - 1]["audit.log.".len()..].parse::<u64>().unwrap() + 1,
        };
        assert_eq!(problem(&trail), Problem::Removed { n: first });
        fs::rename(&hidden, folder.path().join(name)).unwrap();
    }
    // Killed between putting the last file aside and the first record of the next.
    let last = folder.path().join(format!("audit.log.{:012}", 60));
    fs::rename(trail.path(), last).unwrap();
    trail.write(&[record(60)]).unwrap();
    let verified = trail.check().unwrap();
    assert_eq!((verified.problem, verified.records), (None, 61));
}

#[test]
fn the_ring_of_the_audit_rotates_and_a_revoked_key_vouches_for_nothing_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(at(0));
    let (first, second) =
        (NewEntry::new(Secret::from(secret(0))), NewEntry::new(Secret::from(secret(1))));
    let policy = Policy::default();
    let manifest =
        Manifest::new("AUDIT", Purpose::Audit, "production", policy, first, at(0)).unwrap();
    let old = manifest.primary(at(0));
    let builder = KeyRing::<AuditKey>::builder().environment("production").clock(clock.clone());
    let ring = manifest.build_ring(builder).unwrap();
    let trail = FileTrail::new(folder.path().join("audit.log"), ring.clone());
    trail.write(&[record(0), record(1)]).unwrap();

    let staged = manifest.stage(second, at(1)).unwrap();
    let promoted = staged.manifest.promote(&staged.kid, &[], at(2)).unwrap().manifest;
    promoted.apply_to(&ring).unwrap();
    trail.write(&[record(2)]).unwrap();
    // Years later the old key still verifies what it signed.
    clock.advance(Duration::from_secs(10 * 365 * 24 * 3600));
    assert!(trail.check().unwrap().is_whole());
    trail.write(&[record(3)]).unwrap();

    // Revoked, what it signed is vouched for by what came after it.
    let revoked = promoted.revoke(&old, "it leaked", clock.now()).unwrap().manifest;
    revoked.apply_to(&ring).unwrap();
    assert!(trail.check().unwrap().is_whole());
    let text = fs::read_to_string(trail.path()).unwrap();
    let two: String = text.split_inclusive('\n').take(2).collect();
    fs::write(trail.path(), two).unwrap();
    assert_eq!(problem(&trail), Problem::Truncated { expected: 4, found: 2 });
    // Whoever has the old key makes the end as well; no other key vouches for it.
    let thief = folder.path().join("thief.log");
    let thief = FileTrail::new(thief, self::ring());
    thief.write(&[record(0), record(7)]).unwrap();
    let forged = FileTrail::new(thief.path(), ring.clone());
    assert_eq!(problem(&forged), Problem::RevokedKey { n: 1, kid: old });
    // A ring that never had the key does not know.
    let other = KeyRing::builder().primary(Secret::from(secret(9))).build().unwrap();
    let other = FileTrail::new(thief.path(), other);
    assert!(matches!(problem(&other), Problem::UnknownKey { n: 1, .. } | Problem::NoHead));
}

#[test]
fn a_query_ends_at_a_record_under_a_key_that_the_ring_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let both = trail(folder.path(), 3);
    let old = both.ring().keys()[0].kid;
    let new = both.ring().stage(Secret::from(secret(1))).unwrap();
    both.ring().promote(&new).unwrap();
    both.write(&[record(3)]).unwrap();
    let ring = KeyRing::builder().primary(Secret::from(secret(1))).build().unwrap();
    let trail = FileTrail::new(both.path(), ring);
    let listing = trail.read(&Query::new()).unwrap();
    assert_eq!((listing.records.len(), listing.records[0].n), (1, 4));
    assert_eq!(listing.problem, Some(Problem::UnknownKey { n: 3, kid: old }));
    assert!(trail.find(&Query::new()).is_err());
    assert_eq!(trail.find(&Query::new().take(1)).unwrap().len(), 1);
}

/// Only the newest file may end within a record.
#[test]
fn half_a_record_at_the_end_of_an_older_file_is_forged() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 3).max_bytes(500);
    let head = fs::read(folder.path().join("audit.log.head")).unwrap();
    trail.write(&[record(3)]).unwrap();
    let older = folder.path().join(format!("audit.log.{:012}", 3));
    let good = fs::read_to_string(&older).unwrap();
    fs::write(&older, good + "2026-01-15 10:00:00 UTC | JWT").unwrap();
    let newest = fs::read_to_string(trail.path()).unwrap();
    // Also where the line end of the last record is missing.
    for newest in [&newest[..], newest.trim_end()] {
        fs::write(trail.path(), newest).unwrap();
        assert_eq!(problem(&trail), Problem::Forged { after: 3 });
        let listing = trail.read(&Query::new()).unwrap();
        assert_eq!((listing.records.len(), listing.forged.len()), (4, 1));
        assert_eq!(listing.forged[0].after, 3);
    }
    // Between the record of the head and those beyond it, nothing is built on it.
    fs::write(folder.path().join("audit.log.head"), head).unwrap();
    assert!(trail.write(&[record(4)]).is_err());
}

#[test]
fn text_of_an_operators_stays_in_its_field_and_on_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 1);
    let reason = "line one\nline two | SUCCESS | mac=x\r\u{1b}[31m\\ é \u{202e}";
    let unusual = Record::new(at(1), "A | B", Action::REVOKED, "eve\n", "prod").reason(reason);
    trail.write(std::slice::from_ref(&unusual)).unwrap();
    trail.write(&[record(2)]).unwrap();
    assert!(trail.check().unwrap().is_whole());
    let text = fs::read_to_string(trail.path()).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(!text.chars().any(|character| character.is_control() && character != '\n'));
    let found = trail.find(&Query::new().secret("A | B").actor("eve\n")).unwrap();
    assert_eq!(found[0].record, unusual);

    for (what, bad) in [
        ("no secret", Record::new(at(1), "", Action::REVOKED, "eve", "prod")),
        ("no actor", Record::new(at(1), "X", Action::REVOKED, "", "prod")),
        (
            "a novel",
            Record::new(at(1), "X", Action::REVOKED, "eve", "prod").reason("x".repeat(1025)),
        ),
    ] {
        assert!(matches!(trail.write(&[bad]), Err(AuditError::Unwritable { .. })), "{what}");
    }
    // The longest that there can be.
    let loud = "\u{2066}".repeat(341);
    let longest = Record::new(at(1), &loud, Action::REVOKED, &loud, &loud).reason(loud.clone());
    trail.write(&[longest.clone(), longest.clone()]).unwrap();
    trail.write(&[longest]).unwrap();
    assert!(trail.check().unwrap().is_whole());
}

/// The disk takes half a record and no more: nothing was appended, and the chain goes on. The
/// disk is a limit on the size of files, in a process of its own.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_and_leaves_no_half_record() {
    const FOLDER: &str = "DUALKEY_TEST_AUDIT_FULL";
    if let Ok(folder) = std::env::var(FOLDER) {
        let trail = FileTrail::new(Path::new(&folder).join("audit.log"), ring());
        let error = trail.write(&[record(0)]).unwrap_err();
        assert!(matches!(error, AuditError::Io { .. }), "{error}");
        assert!(error.to_string().contains("audit.log"), "{error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 1);
    let size = || fs::metadata(trail.path()).unwrap().len();
    // The next record goes over the limit, of 16 blocks of 512 bytes.
    let line = size();
    while size() + line < 8192 {
        trail.write(&[record(0)]).unwrap();
    }
    let before = fs::read(trail.path()).unwrap();
    assert!(before.len() < 8192, "{}", before.len());
    let test = "ops::audit::a_full_disk_is_an_error_and_leaves_no_half_record";
    let status = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(FOLDER, folder.path())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(fs::read(trail.path()).unwrap(), before);
    trail.write(&[record(2)]).unwrap();
    assert!(trail.check().unwrap().is_whole());
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("audit.log")).unwrap();
    let device = FileTrail::new(folder.path().join("audit.log"), ring());
    assert!(matches!(device.write(&[record(0)]), Err(AuditError::Io { .. })));
    assert!(matches!(device.check(), Err(AuditError::Io { .. })));
}

#[test]
fn queries_answer_what_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 90);
    let mut started = record(90);
    started.outcome = Outcome::Started;
    trail.write(&[started]).unwrap();
    let count = |query: Query| trail.find(&query).unwrap().len();
    assert_eq!(count(Query::new()), 90);
    assert_eq!(count(Query::new().with_started()), 91);
    assert_eq!(count(Query::new().outcome(Outcome::Started)), 1);
    assert_eq!(count(Query::new().outcome(Outcome::Failed)), 0);
    assert_eq!(count(Query::new().secret("JWT_SECRET")), 30);
    assert_eq!(count(Query::new().actor("bob")), 30);
    assert_eq!(count(Query::new().environment("staging")), 0);
    assert_eq!(count(Query::new().action(Action::STAGED).action(Action::RETIRED)), 63);
    assert_eq!(count(Query::new().since(at(10)).until(at(20))), 10);
    let last = trail.find(&Query::new().secret("JWT_SECRET").rotations().take(1)).unwrap();
    assert_eq!((last.len(), last[0].n), (1, 70));
}

/// The property: a query finds exactly what a look at every record finds.
#[test]
fn queries_are_those_of_a_plain_filter() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 200);
    let all = trail.find(&Query::new()).unwrap();
    let secrets = prop::option::of(prop::sample::select(vec!["JWT_SECRET", "ENCRYPTION_KEY", "X"]));
    let actors = prop::option::of(prop::sample::select(vec!["bob", "agent", "bo"]));
    let span = prop::option::of(0_u64..220);
    proptest!(|(secret in secrets, actor in actors, since in span.clone(), until in span, take in 0_usize..220)| {
        let mut query = Query::new().take(take);
        query = secret.map_or(query.clone(), |secret| query.secret(secret));
        query = actor.map_or(query.clone(), |actor| query.actor(actor));
        query = since.map_or(query.clone(), |start| query.since(at(start)));
        query = until.map_or(query.clone(), |end| query.until(at(end)));
        let expected: Vec<_> = all.iter().filter(|entry| {
            let record = &entry.record;
            secret.is_none_or(|secret| record.secret == secret)
                && actor.is_none_or(|actor| record.actor == actor)
                && since.is_none_or(|start| record.at >= at(start))
                && until.is_none_or(|end| record.at < at(end))
        }).take(take).cloned().collect();
        prop_assert_eq!(trail.find(&query).unwrap(), expected);
    });
}

#[test]
fn the_old_log_is_taken_over_once() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 2);
    let log = "# rotation.log\n\
        2025-10-15 09:12:44 UTC | JWT_SECRET | ROTATED | user@example.com | prod | SUCCESS\n\
        \n\
        2025-10-15 09:20:00 UTC|SESSION_SECRET|rotated|user@example.com|prod|FAILURE\r\n";
    let import_log = |log: &str| pollster::block_on(import(&trail, log, at(5)));
    let imported = import_log(log).unwrap();
    assert_eq!((imported.taken, imported.known), (2, 0));
    let again = format!("{log}2025-10-16 09:20:00 UTC | X | ROTATED | ada | prod | OK\n");
    let imported = import_log(&again).unwrap();
    assert_eq!((imported.taken, imported.known), (1, 2));
    let verified = trail.check().unwrap();
    assert!(verified.is_whole() && verified.records == 5);
    let found = trail.find(&Query::new().environment("prod").outcome(Outcome::Failed)).unwrap();
    assert_eq!(found[0].record.secret, "SESSION_SECRET");
    assert_eq!(found[0].record.imported_at, Some(at(5)));

    for (line, bad) in [
        (1, "2025-13-15 09:12:44 UTC | JWT_SECRET | ROTATED | u | prod | SUCCESS"),
        (1, "2025-10-15 09:12:44 | JWT_SECRET | ROTATED | u | prod | SUCCESS"),
        (1, "2025-10-15 09:12:44 UTC | JWT_SECRET | ROTATED | u | prod"),
        (1, "2025-10-15 09:12:44 UTC | JWT_SECRET | two words | u | prod | SUCCESS"),
        (1, "2025-10-15 09:12:44 UTC |  | ROTATED | u | prod | SUCCESS"),
        (5, &format!("{log}nonsense")),
    ] {
        match import_log(bad) {
            Err(AuditError::Import { line: found }) => assert_eq!(found, line, "{bad}"),
            other => panic!("{bad}: {other:?}"),
        }
    }
    assert_eq!(trail.check().unwrap().records, 5, "nothing of them was taken");
}

/// Newest is what happened last, and not what was written last.
#[test]
fn what_was_taken_over_stands_where_it_belongs_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let trail = FileTrail::new(folder.path().join("audit.log"), ring()).max_bytes(1000);
    pollster::block_on(check_old_and_new(&trail));
}

/// A log of before and of between is taken over into `trail`, after records of its own.
pub async fn check_old_and_new(trail: &impl Trail) {
    let deploy_record =
        |place: u64, action| Record::new(at(place), "DEPLOY_KEY", action, "ada", "prod");
    // Of the first the clock was set back afterwards.
    for place in [500, 100, 200, 300] {
        trail.append(&[deploy_record(place, Action::ROTATED)]).await.unwrap();
    }
    let log = "2025-10-15 09:00:00 UTC | DEPLOY_KEY | ROTATED | bob | prod | SUCCESS\n\
        2026-01-15 10:04:10 UTC | DEPLOY_KEY | ROTATED | bob | prod | SUCCESS\n\
        2025-07-15 09:00:00 UTC | DEPLOY_KEY | ROTATED | bob | prod | SUCCESS\n";
    assert_eq!(import(trail, log, at(400)).await.unwrap().taken, 3);
    let numbers = async |query: Query| {
        let found = trail.query(&query.secret("DEPLOY_KEY")).await.unwrap();
        found.iter().map(|entry| entry.n).collect::<Vec<_>>()
    };
    // at(250) is 10:04:10; its own records stand as they were written, whatever their clock.
    let all = [4, 6, 3, 2, 1, 5, 7];
    for take in 0..9 {
        assert_eq!(numbers(Query::new().take(take)).await, all[..take.min(7)], "take {take}");
    }
    assert_eq!(numbers(Query::new()).await, all);
    assert_eq!(numbers(Query::new().actor("bob").take(2)).await, [6, 5]);
    assert_eq!(numbers(Query::new().actor("ada").take(1)).await, [4]);
    trail.append(&[deploy_record(600, Action::RETIRED)]).await.unwrap();
    assert_eq!(numbers(Query::new().take(2)).await, [8, 4]);
    assert_eq!(numbers(Query::new().rotations().take(1)).await, [4]);
}

#[test]
fn an_observer_hands_over_and_counts_what_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 0);
    let clock = ManualClock::new(at(3));
    let observer = AuditObserver::with_clock(trail.clone(), "instance-1", "production", clock);
    let kid = "k-1".parse().unwrap();
    for place in 0..1000 {
        let reason = if place % 2 == 0 { "leaked" } else { "tested" };
        observer.observe(&Event::Revoked { ring: "JWT_SECRET", kid, reason });
        observer.observe(&Event::VerifiedByFallback { ring: "JWT_SECRET", kid });
    }
    assert_eq!(observer.finish(), 0);
    let found = trail.find(&Query::new().action(Action::REVOKED).actor("instance-1")).unwrap();
    assert_eq!(found.len(), 1000);
    assert_eq!((found[0].record.at, found[0].record.kid), (at(3), Some(kid)));
    assert!(trail.check().unwrap().is_whole());
    observer.observe(&Event::Revoked { ring: "JWT_SECRET", kid, reason: "too late" });
    assert_eq!(observer.lost(), 1);

    let nowhere = FileTrail::new(folder.path().join("no/such/folder.log"), ring());
    let observer = AuditObserver::new(nowhere, "instance-1", "production");
    observer.observe(&Event::RolledBack { ring: "JWT_SECRET", kid });
    assert_eq!(observer.finish(), 1);
}

/// Eight processes at once: this test is its own other process.
#[test]
fn records_of_eight_processes_at_once_are_all_there() {
    const FOLDER: &str = "DUALKEY_TEST_AUDIT_FOLDER";
    let each = if is_full() { 12_500 } else { 625 };
    if let Ok(folder) = std::env::var(FOLDER) {
        let trail = FileTrail::new(Path::new(&folder).join("audit.log"), ring()).max_bytes(200_000);
        let actor = std::process::id().to_string();
        for place in 0..each {
            let record =
                Record::new(at(place), "JWT_SECRET", Action::REMINDED, &actor, "production");
            trail.write(&[record.reason(place.to_string())]).unwrap();
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let children: Vec<_> = (0..8)
        .map(|_| {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "ops::audit::records_of_eight_processes_at_once_are_all_there"])
                .env(FOLDER, folder.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let actors: Vec<_> = children.iter().map(|child| child.id().to_string()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let trail = FileTrail::new(folder.path().join("audit.log"), ring());
    println!("{} records by 8 processes: {:?}", each * 8, start.elapsed());
    let verified = trail.check().unwrap();
    assert_eq!((verified.problem, verified.records), (None, each * 8));
    assert!(!verified.is_torn);
    for actor in actors {
        let entries = trail.find(&Query::new().actor(&actor)).unwrap();
        // In the order in which it wrote them, each once.
        let places = entries.iter().rev().map(|entry| entry.record.reason.clone().unwrap());
        assert!(places.eq((0..each).map(|place| place.to_string())));
    }
}

#[test]
fn a_query_over_many_records_is_timed() {
    let count = if is_full() { 1_000_000 } else { 20_000 };
    let folder = tempfile::tempdir().unwrap();
    let trail = trail(folder.path(), 0);
    for from in (0..count).step_by(10_000) {
        let records: Vec<_> = (from..from + 10_000).map(record).collect();
        trail.write(&records).unwrap();
    }
    let time_query = |what: &str, query: &Query| {
        let start = Instant::now();
        let found = trail.find(query).unwrap().len();
        println!("{what} over {count} records: {found} found in {:?}", start.elapsed());
        found
    };
    assert_eq!(time_query("the last 100", &Query::new().take(100)), 100);
    assert_eq!(
        time_query("the last rotation", &Query::new().secret("JWT_SECRET").rotations().take(1)),
        1
    );
    assert_eq!(time_query("no record", &Query::new().actor("nobody")), 0);
    let start = Instant::now();
    assert_eq!(trail.check().unwrap().records, count);
    println!("verified in {:?}", start.elapsed());
}

#[test]
fn a_sink_may_be_shared() {
    let folder = tempfile::tempdir().unwrap();
    let shared: std::sync::Arc<dyn Trail> = std::sync::Arc::new(trail(folder.path(), 0));
    pollster::block_on(async {
        shared.append(&[record(0)]).await.unwrap();
        assert_eq!(shared.query(&Query::new()).await.unwrap().len(), 1);
        let _guard = shared.lock("JWT_SECRET").await.unwrap();
        let _other = shared.lock("SESSION_SECRET").await.unwrap();
        assert!(shared.verify().await.unwrap().is_whole());
    });
    assert_eq!(shared.ring().keys().len(), 1);
}
