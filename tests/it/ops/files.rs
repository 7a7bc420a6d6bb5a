//! What an operator names as a file, and is none.

use std::fs;
use std::path::Path;

use super::command::shell;
use crate::support::found::{ALL, Found, output, remove};
use crate::support::shell::Shell;

/// Runs a line, which must return.
pub fn run(shell: &mut Shell, line: &str) -> (i32, String) {
    let words: Vec<_> = line.split(' ').collect();
    let output = output(line, shell.command(&words));
    shell.note(line, &output)
}

/// Puts everything that is no file at `place`, and runs `lines`, which are refused with a text that
/// names it and says why.
fn check_refused(shell: &mut Shell, place: &str, lines: &[&str]) {
    let path = shell.path(place);
    let before = fs::read(&path).ok();
    for found in ALL {
        found.put(&path);
        for line in lines {
            let (status, text) = run(shell, line);
            assert!(status == 1 || status == 2, "{found:?}, {line}: {status} {text}");
            assert!(text.contains(place), "{found:?}, {line}: {text}");
            assert!(text.contains(found.words()), "{found:?}, {line}: {text}");
        }
        restore(&path, before.as_deref());
    }
}

fn restore(path: &Path, before: Option<&[u8]>) {
    remove(path);
    if let Some(before) = before {
        fs::write(path, before).unwrap();
    }
}

#[test]
fn what_is_no_file_holds_no_command() {
    let mut shell = shell();
    check_refused(&mut shell, "dualkey.toml", &["status", "doctor", "agent --once"]);
    check_refused(&mut shell, "clock", &["status"]);
    let emergency = "emergency-rotate JWT_SECRET --reason leaked --yes";
    let lines = ["audit", "audit verify", "stage JWT_SECRET", emergency];
    check_refused(&mut shell, "audit.log", &lines);
    check_refused(&mut shell, "audit.log.head", &lines[1..]);
    check_refused(&mut shell, "audit.log.000000000001", &lines[..2]);
    check_refused(&mut shell, "old.log", &["audit import old.log"]);
    let stage = "stage JWT_SECRET --value-from value.txt";
    check_refused(&mut shell, "value.txt", &[stage]);
    Found::Pipe.put(&shell.path("value.txt"));
    let (_, text) = run(&mut shell, stage);
    assert!(text.contains("pass `-` to read standard input"), "{text}");

    // What only one check reads is a finding, and the rest is looked at.
    for found in ALL {
        found.put(&shell.path(".gitignore"));
        let (status, text) = run(&mut shell, "doctor");
        assert!(status == 3 && text.contains(found.words()), "{found:?}: {text}");
        remove(&shell.path(".gitignore"));
    }
    // Nothing of all that was done.
    let (status, text) = run(&mut shell, "audit verify");
    assert!(status == 0 && text.contains("whole: 3 records"), "{text}");
}
