//! The printed output, whatever it is made of: no text of elsewhere moves a cursor, turns the
//! direction of text, hides a part, or makes a line of its own.

use std::fs;
use std::path::Path;

use dualkey::jwt::JwtKey;
use serde_json::Value;

use super::command::shell;
use crate::support::shell::{Shell, inventory};

/// A window title, a cleared screen, a new line, an 8-bit control, and text that is turned, hidden
/// or invisible.
const LOUD: [&str; 8] = [
    "a\u{1b}]0;PWNED\u{7}\u{1b}[2J",
    "a\nFAKE: all is well",
    "a\r\nFAKE",
    "a\u{9b}31mFAKE",
    "a\u{202e}FAKE\u{2066}",
    "a\u{61c}\u{200f}\u{200b}\u{feff}FAKE",
    "a\u{2028}FAKE\u{2029}",
    "a\u{e0041}\u{7f}\u{ad}FAKE",
];

/// Runs a command. All that it prints must be plain, and no line may begin with what was given.
fn run_plain(shell: &Shell, arguments: &[&str]) -> String {
    let output = shell.command(arguments).output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text += std::str::from_utf8(&output.stderr).unwrap();
    check(&text, arguments);
    text
}

fn check(text: &str, arguments: &[&str]) {
    let is_loud = |character: char| {
        // Control, format, line and paragraph, by what a terminal and a reader make of them.
        (character.is_control() && character != '\n')
            || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    };
    if let Some(character) = text.chars().find(|character| is_loud(*character)) {
        panic!("{arguments:?}: U+{:04X} in {text:?}", u32::from(character));
    }
    let forged = text.lines().find(|line| line.starts_with("FAKE"));
    assert_eq!(forged, None, "{arguments:?}: {text}");
}

#[test]
fn arguments_are_repeated_plain() {
    let shell = shell();
    for loud in LOUD {
        for arguments in [
            &["status", loud] as &[_],
            &["stage", loud],
            &["rotate", loud, "--dry-run"],
            &["status", "--env", loud],
            &["--inventory", loud, "status"],
            &["--clock", loud, "status"],
            &[loud],
            &["status", &format!("--{loud}")],
            &["stage", "JWT_SECRET", loud],
            &["revoke", "JWT_SECRET", "--kid", loud, "--reason", "x"],
            &["audit", "--since", loud],
            &["audit", "--outcome", loud],
            &["audit", "--action", loud],
            &["audit", "--secret", loud],
            &["audit", "import", loud],
            &["rotate", "JWT_SECRET", "--skip", loud, "--reason", "x"],
            &["rotate", "JWT_SECRET", "--wait", loud],
            &["generate", loud],
            &["generate", loud, "--purpose", loud],
            &["generate", loud, "--purpose", "jwt", "--json"],
            &["generate", "JWT_SECRET", "--output", &format!("/none/{loud}")],
            &["stage", "JWT_SECRET", "--value-from", loud],
            &["stage", "JWT_SECRET", "--algorithm", loud],
            &["record", "DEPLOY_KEY", "rotated", "--by", loud, "--reason", loud],
            &["record", "DEPLOY_KEY", loud],
            &["rewrap", loud, "--batch", loud],
            &["completions", loud],
            &["help", loud],
        ] {
            run_plain(&shell, arguments);
        }
        // What the trail and a refusal keep of it comes out plain later, too.
        for arguments in [&["audit"] as &[_], &["audit", "--json"], &["audit", "verify"]] {
            run_plain(&shell, arguments);
        }
    }
}

#[test]
fn variables_are_not_repeated_in_the_help_and_plain_in_errors() {
    let shell = shell();
    for loud in LOUD {
        for name in ["DUALKEY_INVENTORY", "DUALKEY_ENV", "DUALKEY_BY"] {
            for arguments in [&["--help"] as &[_], &["status"], &["stage", "--help"]] {
                let output = shell.command(arguments).env(name, loud).output().unwrap();
                let text = [output.stdout, output.stderr].concat();
                let text = String::from_utf8(text).unwrap();
                check(&text, arguments);
                assert!(!arguments.contains(&"--help") || !text.contains("FAKE"), "{text}");
            }
        }
    }
}

/// V10: what is put into `--kid` by mistake may be a secret.
#[test]
fn a_kid_that_is_none_is_not_repeated() {
    let shell = shell();
    for secret in ["hunter2.hunter2", &"Zq9Ml5Ki".repeat(9)] {
        for arguments in [
            ["revoke", "JWT_SECRET", "--kid", secret, "--reason", "x"],
            ["revoke", "JWT_SECRET", &format!("--kid={secret}"), "--yes", "--reason", "x"],
        ] {
            let text = run_plain(&shell, &arguments);
            assert!(!text.contains(&secret[..8]), "{text}");
            assert!(text.contains("cannot use a text of") && text.contains("--kid"), "{text}");
        }
    }
}

/// Texts of the inventory: names, places, environments.
#[test]
fn an_inventory_is_shown_plain() {
    for loud in LOUD {
        let shell = Shell::new("2026-01-02T09:00:00Z");
        let quoted = serde_json::to_string(loud).unwrap().replace("\u{7f}", "\\u007f");
        let tables = format!(
            "[[secret]]\nname = \"DEPLOY_KEY\"\npurpose = \"credential\"\npriority = \"service\"\n\
             store = {{ manual = {quoted} }}\n\n\
             [[secret]]\nname = \"JWT_SECRET\"\npurpose = \"jwt\"\npriority = \"critical\"\n\
             store = {{ file = {quoted} }}\n"
        );
        inventory(&shell.path("dualkey.toml"), &tables);
        run_plain(&shell, &["generate", "--store", "AUDIT_SECRET"]);
        for arguments in [
            &["status"] as &[_],
            &["status", "--json"],
            &["stage", "DEPLOY_KEY"],
            &["stage", "JWT_SECRET"],
            &["doctor"],
            &["doctor", "--json"],
            &["remind", "--dry-run"],
        ] {
            run_plain(&shell, arguments);
        }
        let bad = format!("version = 1\nenvironment = {quoted}\n");
        fs::write(shell.path("dualkey.toml"), bad).unwrap();
        run_plain(&shell, &["status"]);
    }
}

/// A report is written by each instance, and by whoever can write beside the manifest.
#[test]
fn reports_and_manifests_are_shown_plain() {
    let shell = shell();
    let instance = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    run_plain(&shell, &["stage", "JWT_SECRET"]);
    instance.refresh().unwrap();
    let folder = shell.path("JWT_SECRET.json.reports");
    let report = fs::read_to_string(folder.join("web-1.json")).unwrap();
    for loud in LOUD {
        let mut document: Value = serde_json::from_str(&report).unwrap();
        document["instance"] = loud.into();
        document["ring"] = loud.into();
        // Under its name, and under one that is made of it.
        fs::write(folder.join("web-2.json"), document.to_string()).unwrap();
        fs::write(folder.join(format!("{}.json", loud.replace('/', "-"))), "{").unwrap();
        for arguments in [
            &["promote", "JWT_SECRET"] as &[_],
            &["rotate", "JWT_SECRET", "--dry-run"],
            &["status"],
            &["status", "--json"],
            &["doctor"],
            &["doctor", "--json"],
        ] {
            run_plain(&shell, arguments);
        }
    }
    // An old manifest, a reason of a revocation, and names that no ring has.
    let path = shell.path("JWT_SECRET.json");
    let text = fs::read_to_string(&path).unwrap();
    for loud in LOUD {
        for field in ["ring", "environment", "purpose"] {
            let mut document: Value = serde_json::from_str(&text).unwrap();
            document[field] = loud.into();
            fs::write(&path, document.to_string()).unwrap();
            for arguments in [&["status"] as &[_], &["stage", "JWT_SECRET"], &["doctor"]] {
                run_plain(&shell, arguments);
            }
        }
        let mut document: Value = serde_json::from_str(&text).unwrap();
        document["keys"][1]["revoked"] =
            serde_json::json!({ "at": "2026-01-02T09:00:00Z", "reason": loud });
        document["keys"][1]["kid"] = loud.into();
        fs::write(&path, document.to_string()).unwrap();
        for arguments in [&["status"] as &[_], &["stage", "JWT_SECRET"], &["doctor"]] {
            run_plain(&shell, arguments);
        }
    }
}

/// A reader of the JSON finds what was there.
#[test]
fn json_is_plain_and_says_what_was_there() {
    let shell = shell();
    for loud in LOUD {
        run_plain(&shell, &["record", "DEPLOY_KEY", "rotated", "--reason", loud]);
        let text = run_plain(&shell, &["audit", "--json", "--take", "1"]);
        let all: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(all[0]["reason"], loud, "{text}");
    }
}

/// A full disk is told in a line, and by the status: it is no defect of the command.
#[test]
fn what_cannot_be_written_is_an_error() {
    let shell = shell();
    for arguments in [&["completions", "bash"] as &[_], &["completions", "zsh"], &["schema"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = shell.command(arguments).stdout(full).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("error: cannot write to the terminal"), "{arguments:?}: {text}");
        assert_eq!((text.lines().count(), output.status.code()), (1, Some(1)), "{text}");
    }
}

/// One place prints, so that nothing is printed without it.
#[test]
fn one_file_of_the_command_line_writes_to_the_terminal() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli")];
    let mut checked = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let is_terminal = path.ends_with("cli/terminal.rs");
            for word in [
                "stdout()",
                "stderr()",
                "write!(",
                "writeln!(",
                "write_all",
                "println!",
                "Cell::",
                "error.print()",
            ] {
                assert!(is_terminal || !text.contains(word), "{} names {word}", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}
