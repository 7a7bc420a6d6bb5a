//! Commands and flags by their former names: each is a usage error that names the new one.

use std::fs;

use super::command::shell;

/// A line with a former name, that name, and the new one.
const LINES: [(&str, &str, &str); 9] = [
    ("emergency JWT_SECRET --reason leaked --yes", "emergency", "emergency-rotate"),
    ("emergency JWT_SECRET --reason leaked --yes --dry-run", "emergency", "emergency-rotate"),
    ("emergency", "emergency", "emergency-rotate"),
    ("emergency --help", "emergency", "emergency-rotate"),
    ("help emergency", "emergency", "emergency-rotate"),
    ("promote JWT_SECRET --deployed", "--deployed", "--assume-deployed"),
    ("promote JWT_SECRET --deployed --dry-run", "--deployed", "--assume-deployed"),
    ("promote --deployed", "--deployed", "--assume-deployed"),
    ("promote JWT_SECRET --deployed=yes", "--deployed", "--assume-deployed"),
];

#[test]
fn a_former_name_is_an_error_that_names_the_new_one() {
    let mut shell = shell();
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    let files = ["JWT_SECRET.json", "audit.log"].map(|name| shell.path(name));
    let before = files.each_ref().map(|path| fs::read(path).unwrap());
    for (line, former, new) in LINES {
        let (status, text) = shell.run(line);
        assert_eq!(status, 2, "{line}: {text}");
        let tip = format!("tip: the new name of `{former}` is `{new}`\n");
        assert!(text.contains(&tip), "{line}: {text}");
        assert_eq!(text.matches("tip:").count(), 1, "{line}: {text}");
        let after = files.each_ref().map(|path| fs::read(path).unwrap());
        assert!(before == after, "{line} changed something");
    }
}

/// The help and the completions have the new names alone.
#[test]
fn a_former_name_is_offered_nowhere() {
    let mut shell = shell();
    let mut checked = 0;
    for line in ["--help", "emergency-rotate --help", "promote --help", "completions bash"] {
        let (status, text) = shell.run(line);
        assert_eq!(status, 0, "{line}: {text}");
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        for word in text.split(|letter| !is_name(letter)) {
            checked += 1;
            assert!(LINES.iter().all(|(_, former, _)| word != *former), "{line}: {text}");
        }
    }
    assert!(checked > 200, "{checked}");
    let (_, text) = shell.run("promote --help");
    assert!(text.contains("--assume-deployed"), "{text}");
}
