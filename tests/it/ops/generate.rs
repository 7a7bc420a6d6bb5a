//! New secrets: their length, their alphabet, and that nothing is written over.

use std::collections::HashMap;
use std::fs;

use dualkey::Purpose;
use dualkey::ops::OpsError;
use dualkey::ops::generate::{Generated, Sheet};

use crate::support::shell::at;

#[test]
fn each_purpose_has_its_length_and_alphabet() {
    for purpose in Purpose::ALL {
        let (length, bits) = match purpose {
            Purpose::Envelope => (64, 256),
            Purpose::Credential => (32, 190),
            _ => (128, 512),
        };
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let generated = Generated::new(purpose).unwrap();
            let text = String::from_utf8(generated.text().expose().to_vec()).unwrap();
            assert_eq!((text.len(), generated.bits()), (length, bits), "{purpose}");
            let is_of_alphabet = |byte: u8| match purpose {
                Purpose::Credential => byte.is_ascii_alphanumeric(),
                _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            };
            assert!(text.bytes().all(is_of_alphabet), "{purpose}");
            assert!(seen.insert(text));
        }
    }
}

/// Each letter is as likely: of 64,000, each of 62 comes about 1,032 times. A remainder of every
/// byte would have eight of them a quarter more often, 1,250 times; by chance none strays by 6
/// standard deviations, 192, in a billion runs.
#[test]
fn no_letter_of_a_credential_is_likelier_than_another() {
    let mut counts: HashMap<u8, u32> = HashMap::new();
    for _ in 0..2000 {
        for byte in Generated::new(Purpose::Credential).unwrap().text().expose() {
            *counts.entry(*byte).or_default() += 1;
        }
    }
    assert_eq!(counts.len(), 62);
    for (byte, count) in counts {
        assert!(count.abs_diff(1032) < 192, "{}: {count}", char::from(byte));
    }
}

#[test]
fn a_sheet_is_as_operators_know_it_and_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env.rotation");
    let names = [("JWT_SECRET", Purpose::Jwt), ("ENCRYPTION_KEY", Purpose::Envelope)];
    let sheet = Sheet::new(at("2026-01-15T10:00:00Z"), names).unwrap();
    sheet.write_new(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "# Generated: 2026-01-15T10:00:00Z");
    let values: Vec<_> = lines.iter().filter_map(|line| line.split_once("_NEW=")).collect();
    assert_eq!((values[0].0, values[0].1.len()), ("JWT_SECRET", 128));
    assert_eq!((values[1].0, values[1].1.len()), ("ENCRYPTION_KEY", 64));
    // As readers of such files take it.
    let read: Vec<_> = dotenvy::from_path_iter(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(read[0], ("JWT_SECRET_NEW".to_owned(), values[0].1.to_owned()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }
    let again = Sheet::new(at("2026-01-15T10:00:00Z"), names).unwrap();
    assert!(matches!(again.write_new(&path), Err(OpsError::Exists { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(matches!(again.write_new(&folder.path().join("no/where")), Err(OpsError::Io { .. })));
    // Of many at once one writes, whole.
    let path = folder.path().join(".env.race");
    let won = std::thread::scope(|scope| {
        let write = || {
            let sheet = Sheet::new(at("2026-01-15T10:00:00Z"), names).unwrap();
            sheet.write_new(&path).is_ok()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(write)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!(won, 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside them");
    let json: serde_json::Value = serde_json::from_slice(sheet.to_json().expose()).unwrap();
    assert_eq!(json["secrets"][0]["value"], values[0].1);
    assert!(!format!("{sheet:?}").contains(&values[0].1[..8]));
}
