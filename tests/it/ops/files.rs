//! What an operator names as a file, and is none.

use std::fs;
use std::path::Path;

use super::command::shell;
use super::shell::Shell;
use crate::files::{ALL, Found, remove, returns};

/// Runs a line, which must return.
fn run(shell: Shell, line: &str) -> (Shell, i32, String) {
    let own = line.to_owned();
    returns(line.to_owned(), move || {
        let mut shell = shell;
        let (status, text) = shell.run(&own);
        (shell, status, text)
    })
}

/// Puts everything that is no file at `place`, and runs `lines`, which are refused with a text that
/// names it and says why.
fn refused(mut shell: Shell, place: &str, lines: &[&str]) -> Shell {
    let path = shell.path(place);
    let before = fs::read(&path).ok();
    for found in ALL {
        found.put(&path);
        for line in lines {
            let (own, status, text) = run(shell, line);
            shell = own;
            assert!(status == 1 || status == 2, "{found:?}, {line}: {status} {text}");
            let name = place.rsplit('/').next().unwrap();
            assert!(text.contains(name), "{found:?}, {line}: {text}");
            assert!(text.contains(found.words()), "{found:?}, {line}: {text}");
        }
        restore(&path, before.as_deref());
    }
    shell
}

fn restore(path: &Path, before: Option<&[u8]>) {
    remove(path);
    if let Some(before) = before {
        fs::write(path, before).unwrap();
    }
}

#[test]
fn what_is_no_file_holds_no_command() {
    let shell = shell();
    let shell = refused(shell, "dualkey.toml", &["status", "doctor", "agent --once"]);
    let shell = refused(shell, "clock", &["status"]);
    let emergency = "emergency JWT_SECRET --reason leaked --yes";
    let lines = ["audit", "audit verify", "stage JWT_SECRET", emergency];
    let shell = refused(shell, "audit.log", &lines);
    let shell = refused(shell, "audit.log.head", &lines[1..]);
    let shell = refused(shell, "audit.log.000000000001", &lines[..2]);
    let shell = refused(shell, "old.log", &["audit import old.log"]);
    let stage = "stage JWT_SECRET --value-from value.txt";
    let shell = refused(shell, "value.txt", &[stage]);
    Found::Pipe.put(&shell.path("value.txt"));
    let (mut shell, _, text) = run(shell, stage);
    assert!(text.contains("pass `-` to read standard input"), "{text}");

    // What only one check reads is a finding, and the rest is looked at.
    for found in ALL {
        found.put(&shell.path(".gitignore"));
        let (own, status, text) = run(shell, "doctor");
        shell = own;
        assert!(status == 3 && text.contains(found.words()), "{found:?}: {text}");
        remove(&shell.path(".gitignore"));
    }
    // Nothing of all that was done.
    let (_, status, text) = run(shell, "audit verify");
    assert!(status == 0 && text.contains("whole: 3 records"), "{text}");
}
