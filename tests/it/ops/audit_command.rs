//! The commands on a trail that was changed.

use std::fs;

use dualkey::manifest::Manifest;
use dualkey::ops::audit::{Action, AuditKey, FileTrail, Record};
use dualkey::{Clock, KeyRing, Secret};

use super::command::shell;
use crate::support::shell::Shell;

const FORGER: &str = "eve@rival.example";

/// Lines of the trail, and a forged one, the kid of which is none of ours.
fn forge_line(secret: &str, action: &str, outcome: &str, fields: &str) -> String {
    let tag = "A".repeat(43);
    format!(
        "2026-01-02 09:00:00 UTC | {secret} | {action} | {FORGER} | production | {outcome}{fields} \
         | n=3 | prev={tag} | mac=x.{tag}"
    )
}

/// Puts `line` before the last one.
fn insert(shell: &Shell, line: &str) -> Vec<u8> {
    let before = fs::read(shell.path("audit.log")).unwrap();
    let text = String::from_utf8(before.clone()).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.insert(lines.len() - 1, line);
    fs::write(shell.path("audit.log"), lines.join("\n") + "\n").unwrap();
    before
}

/// The rule: nothing is settled or signed that is no record.
#[test]
fn a_forged_step_is_not_settled_under_a_name_of_the_forgers_choice() {
    let mut shell = shell();
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    shell.set("2026-01-04T09:00:00Z");
    assert_eq!(shell.run("promote JWT_SECRET --assume-deployed").0, 0);
    shell.set("2026-01-06T09:00:00Z");
    // A record of another secret is the last one.
    assert_eq!(shell.run("record DEPLOY_KEY rotated").0, 0);
    let fields = " | to=primary | reason=I, eve, have leaked all session keys | revision=3";
    insert(&shell, &forge_line("JWT_SECRET", "EMERGENCY_ROTATED", "STARTED", fields));
    let forged_line = fs::read_to_string(shell.path("audit.log")).unwrap();
    let forged_line = forged_line.lines().rev().nth(1).unwrap().to_owned();

    let (status, text) = shell.run("rollback JWT_SECRET");
    assert_eq!(status, 0, "{text}");
    let trail = fs::read_to_string(shell.path("audit.log")).unwrap();
    assert_eq!(trail.matches(FORGER).count(), 1, "it was written once, by the forger: {trail}");

    let (status, text) = shell.run("audit verify");
    assert_eq!(status, 3, "{text}");
    assert!(text.contains("FORGED, after record") && text.contains("BROKEN"), "{text}");
    let (status, text) = shell.run("audit");
    assert_eq!(status, 3, "{text}");
    let shown: Vec<_> = text.lines().filter(|line| line.contains(FORGER)).collect();
    assert!(shown.len() == 1 && shown[0].starts_with("FORGED, after record"), "{text}");
    let (status, text) = shell.run("audit --json");
    assert!(status == 3 && text.contains("\"forged\": \"2026-01-02"), "{text}");

    // Without the line, everything is as it was written.
    fs::write(shell.path("audit.log"), trail.replace(&(forged_line + "\n"), "")).unwrap();
    assert_eq!(shell.run("audit verify").0, 0);
    assert!(!fs::read_to_string(shell.path("audit.log")).unwrap().contains(FORGER));
}

/// The rule: no decision is taken on a line that is no record.
#[test]
fn a_forged_rotation_and_a_forged_reminder_decide_nothing() {
    let mut shell = shell();
    assert_eq!(shell.run("record DEPLOY_KEY rotated").0, 0);
    // What is asked of the trail, before and after.
    let rotation = forge_line("DEPLOY_KEY", "ROTATED", "SUCCESS", "");
    let (_, before) = shell.run("status DEPLOY_KEY --json");
    let (_, listed) = shell.run("audit --last-rotations");
    insert(&shell, &rotation.replace("2026-01-02 09", "2026-01-02 10"));
    assert_eq!(shell.run("status DEPLOY_KEY --json").1, before);
    let (_, text) = shell.run("audit --last-rotations");
    let records: Vec<_> = text.lines().filter(|line| !line.starts_with("FORGED")).collect();
    assert_eq!(records, listed.lines().collect::<Vec<_>>());

    // A step of a secret that was never made.
    let made = forge_line("NEW_SECRET", "CREATED", "SUCCESS", " | revision=1");
    let tables = fs::read_to_string(shell.path("dualkey.toml")).unwrap()
        + "\n[[secret]]\nname = \"NEW_SECRET\"\npurpose = \"jwt\"\npriority = \"critical\"\n\
           store = { file = \"NEW.json\" }\n";
    fs::write(shell.path("dualkey.toml"), tables).unwrap();
    insert(&shell, &made);
    let (status, text) = shell.run("generate --store NEW_SECRET");
    assert_eq!(status, 0, "a forged line prevents no first key: {text}");
}

/// The rule: only a step shows that a store held a key.
#[test]
fn a_rotation_by_hand_prevents_no_first_key() {
    let mut shell = shell();
    assert_eq!(shell.run("record DEPLOY_KEY rotated").0, 0);
    let path = shell.path("dualkey.toml");
    let text = fs::read_to_string(&path).unwrap();
    let store = "{ manual = \"the dashboard\" }";
    fs::write(&path, text.replace(store, "{ file = \"DEPLOY.json\" }")).unwrap();
    fs::write(shell.path("new.txt"), "sk-new-9LrT4nZ8yB1cF6gJ0sD3\n").unwrap();
    let (status, text) = shell.run("generate --store DEPLOY_KEY --value-from new.txt");
    assert_eq!(status, 0, "{text}");
}

/// The rule: a store that holds what a step made proves that there was a trail.
#[test]
fn a_trail_that_was_deleted_is_an_error_everywhere() {
    for leaves_empty in [false, true] {
        let mut shell = shell();
        assert_eq!(shell.run("record DEPLOY_KEY rotated").0, 0);
        for name in ["audit.log", "audit.log.head"] {
            fs::remove_file(shell.path(name)).unwrap();
            if leaves_empty && name == "audit.log" {
                fs::write(shell.path(name), "").unwrap();
            }
        }
        let stored = fs::read(shell.path("JWT_SECRET.json")).unwrap();
        for (line, status) in [
            ("audit verify", 3),
            ("audit", 1),
            ("status", 1),
            ("status JWT_SECRET", 1),
            ("stage JWT_SECRET", 1),
            ("stage JWT_SECRET --dry-run", 1),
            ("rotate JWT_SECRET", 1),
            ("emergency-rotate JWT_SECRET --reason leaked --yes", 1),
            ("record DEPLOY_KEY rotated", 1),
            ("agent --once", 1),
            ("remind", 1),
        ] {
            let (found, text) = shell.run(line);
            assert_eq!(found, status, "{line}: {text}");
            assert!(text.contains("it has no record"), "{line}: {text}");
        }
        let (status, text) = shell.run("doctor");
        assert!(status != 0 && text.contains("audit.log: it has no record"), "{text}");
        assert_eq!(fs::read(shell.path("JWT_SECRET.json")).unwrap(), stored);

        let (status, text) = shell.run("audit restart --reason 'it was deleted' --yes");
        assert_eq!(status, 0, "{text}");
        assert_eq!(shell.run("audit verify").0, 0);
        assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    }
}

/// A project that begins has no trail, and that is no error: its variables were set by hand.
#[test]
fn a_project_that_begins_needs_no_trail() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    crate::support::shell::inventory(&shell.path("dualkey.toml"), super::command::TABLES);
    let text = fs::read_to_string(shell.path("dualkey.toml")).unwrap();
    let text = text.replace("{ file = \"AUDIT_SECRET.json\" }", "{ dotenv = \".env\" }");
    fs::write(shell.path("dualkey.toml"), text).unwrap();
    let env = format!(
        "AUDIT_SECRET={}\nAPI_KEY=sk-T4nZ8yB1cF6gJ0sD3pA5\n",
        "aB3vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU"
    );
    fs::write(shell.path(".env"), env).unwrap();
    let (status, text) = shell.run("audit verify");
    assert_eq!(status, 0, "{text}");
    let (status, text) = shell.run("status API_KEY");
    assert_eq!(status, 0, "{text}");
    assert_eq!(shell.run("record DEPLOY_KEY rotated").0, 0);
    assert_eq!(shell.run("audit verify").0, 0);
}

/// An older copy of the whole trail, head included, is authentic: the stores know more.
#[test]
fn an_older_copy_of_the_trail_is_a_finding_of_the_doctor() {
    let mut shell = shell();
    let files = ["audit.log", "audit.log.head"];
    let older = files.map(|name| fs::read(shell.path(name)).unwrap());
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    let (_, text) = shell.run("doctor");
    assert!(!text.contains("knows of no step"), "{text}");
    for (name, text) in files.into_iter().zip(older) {
        fs::write(shell.path(name), text).unwrap();
    }
    assert_eq!(shell.run("audit verify").0, 0);
    let (status, text) = shell.run("doctor");
    assert!(status != 0, "{text}");
    assert!(text.contains("holds revision 2, and the trail knows of no step after revision 1"));
}

/// Text at the end that is no record is shown, and is no reason to trust the trail less than
/// its records.
#[test]
fn half_a_record_is_shown_and_is_no_success() {
    let mut shell = shell();
    let trail = fs::read_to_string(shell.path("audit.log")).unwrap();
    fs::write(shell.path("audit.log"), format!("{trail}2026-01-02 09:00:00 UTC | JWT_SE")).unwrap();
    let (status, text) = shell.run("audit verify");
    assert!(status == 3 && text.contains("UNFINISHED"), "{text}");
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    assert_eq!(shell.run("audit verify").0, 0);
}

/// The rule: an emergency is refused only if its record cannot be written.
#[test]
fn an_emergency_needs_no_older_file_of_the_trail() {
    let forgeries: [fn(&std::path::Path); 2] = [
        |path| fs::create_dir(path).unwrap(),
        |path| fs::File::create(path).unwrap().set_len(600 << 20).unwrap(),
    ];
    for forge in forgeries {
        let mut shell = shell();
        forge(&shell.path("audit.log.000000000001"));
        let (status, text) = shell.run("stage JWT_SECRET");
        assert_eq!(status, 1, "{text}");
        let (status, text) = shell.run("emergency-rotate JWT_SECRET --reason leaked --yes");
        assert_eq!(status, 0, "{text}");
    }
}

/// The rule: nothing is decided without a trail that cannot be read.
#[test]
fn a_head_that_is_none_is_broken_and_leaves_no_secret_readable() {
    let forgeries: [fn(&std::path::Path); 2] = [
        |path| fs::write(path, [0xff, 0xfe]).unwrap(),
        |path| fs::write(path, "x".repeat(1_000)).unwrap(),
    ];
    for forge in forgeries {
        let mut shell = shell();
        forge(&shell.path("audit.log.head"));
        let (status, text) = shell.run("audit verify");
        assert!(status == 3 && text.contains("signed end was removed or changed"), "{text}");
        let (status, text) = shell.run("status JWT_SECRET");
        assert!(status == 1 && text.contains("unread"), "{text}");
        let (status, text) = shell.run("emergency-rotate JWT_SECRET --reason leaked --yes");
        assert!(status == 1 && text.contains("`dualkey audit restart --reason WHY`"), "{text}");
        // Twice within a second.
        for _ in 0..2 {
            let (status, text) = shell.run("audit restart --reason 'it was changed' --yes");
            assert!(status == 0 && text.contains(".broken-"), "{text}");
        }
        assert_eq!(shell.run("emergency-rotate JWT_SECRET --reason leaked --yes").0, 0);
        assert_eq!(shell.run("audit verify").0, 0);
    }
}

/// The rule: a trail without a record is an error, whatever else is in it.
#[test]
fn an_empty_trail_with_half_a_record_is_an_error() {
    let mut shell = shell();
    let ring = shell.instance::<AuditKey>("AUDIT_SECRET.json", "forger").ring().clone();
    // The signed end of a trail that has no record is on the disk before the first one.
    let other = FileTrail::new(shell.path("other.log"), ring);
    other.write(&[]).unwrap();
    fs::copy(shell.path("other.log.head"), shell.path("audit.log.head")).unwrap();
    for text in ["2", "junk\n"] {
        fs::write(shell.path("audit.log"), text).unwrap();
        for (line, status) in [
            ("audit verify", 3),
            ("audit", 1),
            ("status JWT_SECRET", 1),
            ("rotate JWT_SECRET", 1),
            ("emergency-rotate JWT_SECRET --reason leaked --yes", 1),
        ] {
            let (found, text) = shell.run(line);
            assert_eq!(found, status, "{line}: {text}");
        }
    }
    assert_eq!(shell.run("audit restart --reason 'it was emptied' --yes").0, 0);
    assert_eq!(shell.run("emergency-rotate JWT_SECRET --reason leaked --yes").0, 0);
}

/// The rule: a key of the audit that was revoked vouches for nothing that comes after.
#[test]
fn what_a_revoked_key_of_the_audit_signs_later_decides_nothing() {
    let mut shell = shell();
    shell.set("2026-01-04T09:00:00Z");
    let line = "emergency-rotate AUDIT_SECRET --reason 'it leaked' --yes";
    assert_eq!(shell.run(line).0, 0);
    assert_eq!(shell.run("audit verify").0, 0);
    let (_, before) = shell.run("status DEPLOY_KEY --json");

    // Whoever has the old key signs a rotation and a new head with it.
    let text = fs::read(shell.path("AUDIT_SECRET.json")).unwrap();
    let manifest = Manifest::from_json(&text).unwrap();
    let secret = |place: usize| {
        let secret = manifest.keys()[place].secret().unwrap();
        Secret::from(secret.expose().to_vec())
    };
    let ring = KeyRing::<AuditKey>::builder().primary(secret(0)).fallback(secret(1));
    let forger = FileTrail::new(shell.path("audit.log"), ring.build().unwrap());
    let record =
        Record::new(shell.clock.now(), "DEPLOY_KEY", Action::ROTATED, FORGER, "production");
    forger.write(&[record]).unwrap();

    for is_followed in [false, true] {
        if is_followed {
            assert_eq!(shell.run("stage JWT_SECRET").0, 0);
        }
        let (status, text) = shell.run("audit verify");
        assert!(status == 3 && text.contains("only the revoked key"), "{text}");
        assert_eq!(shell.run("status DEPLOY_KEY --json").1, before);
        let (_, text) = shell.run("audit --secret DEPLOY_KEY");
        assert!(text.contains("UNVOUCHED"), "{text}");
    }
}
