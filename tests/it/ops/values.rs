//! Where values come from, and that they are kept and not shown.

use std::fs;

use dualkey::jwt::{Jwt, JwtKey};
use dualkey::{KeyRing, Secret};

use super::command::{TABLES, shell};
use crate::support::secret;
use crate::support::shell::{Shell, inventory};

/// V9, at the shell: what cannot be found is not what was never there. A folder that is not
/// mounted mints no key.
#[test]
fn v9_a_store_that_is_gone_gets_no_new_first_key() {
    let mut shell = shell();
    let (jwt, gone) = (shell.path("JWT_SECRET.json"), shell.path("gone.json"));
    fs::rename(&jwt, &gone).unwrap();
    let (status, text) = shell.run("generate --store JWT_SECRET");
    assert!(status == 1 && text.contains("was there in production"), "{text}");
    let (status, text) = shell.run("generate --store JWT_SECRET --dry-run");
    assert!(status == 1 && text.contains("was there in production"), "{text}");
    assert!(!jwt.exists());
    let (status, text) = shell.run("status JWT_SECRET");
    assert!(status == 1 && text.contains("unread") && text.contains("bring it back"), "{text}");
    let (status, text) = shell.run("doctor");
    assert!(status == 3 && text.contains("unread   JWT_SECRET (production)"), "{text}");
    let (_, text) = shell.run("remind --dry-run");
    assert!(text.contains("JWT_SECRET") && text.contains("cannot be read"), "{text}");
    fs::rename(&gone, &jwt).unwrap();
    assert_eq!(shell.run("status JWT_SECRET").0, 0);

    // For good: the operator says so, and why.
    fs::remove_file(&jwt).unwrap();
    let force = "generate --store JWT_SECRET --force";
    assert_eq!(shell.run(force).0, 2, "needs a reason");
    assert_eq!(shell.run(&format!("{force} --reason 'the disk died'")).0, 1, "needs a yes");
    let (status, text) = shell.run(&format!("{force} --reason 'the disk died' --yes"));
    assert!(status == 0 && jwt.exists(), "{text}");
    let (_, text) = shell.run("audit --take 1");
    assert!(text.contains("| CREATED |") && text.contains("forced: the disk died"), "{text}");

    // What signs the trail is never made again beside it.
    fs::remove_file(shell.path("AUDIT_SECRET.json")).unwrap();
    let (status, text) = shell.run("generate --store AUDIT_SECRET");
    assert!(status == 1 && text.contains("put the trail aside"), "{text}");
    assert!(!shell.path("AUDIT_SECRET.json").exists());
}

/// What is in use goes into a store as it is: what it signed is taken by who follows the store.
#[test]
fn a_secret_in_use_is_taken_over() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), TABLES);
    assert_eq!(shell.run("generate --store AUDIT_SECRET JWT_SECRET --dry-run").0, 0);
    assert!(!shell.path("AUDIT_SECRET.json").exists() && !shell.path("audit.log").exists());
    assert_eq!(shell.run("generate --store AUDIT_SECRET").0, 0);
    let old = secret(7);
    let before = KeyRing::<JwtKey>::builder().primary(Secret::from(old.as_str())).build().unwrap();
    let claims = serde_json::json!({ "exp": 4_102_444_800_u64 });
    let token = Jwt::new(before.clone()).sign(&claims).unwrap();
    fs::write(shell.path("old.txt"), format!("{old}\n")).unwrap();
    let line = "generate --store JWT_SECRET --value-from old.txt --dry-run";
    assert_eq!(shell.run(line).0, 0);
    assert!(!shell.path("JWT_SECRET.json").exists());
    let (status, text) = shell.run("generate --store JWT_SECRET --value-from old.txt");
    assert!(status == 0 && text.contains(before.primary().unwrap().as_str()), "{text}");
    assert!(!text.contains(&old) && !text.contains("bits"), "{text}");
    let ring = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    let jwt = Jwt::new(ring.ring().clone());
    assert!(jwt.verify::<serde_json::Value>(&token).is_ok());

    // A webhook's, which Meta made; and one that is too short, of which nothing is kept.
    fs::write(shell.path("short.txt"), "hunter2\n").unwrap();
    let (status, text) =
        shell.run("generate --store HOOK_SECRET --env staging --value-from short.txt");
    assert!(status == 1 && text.contains("HOOK_SECRET") && !text.contains("hunter2"), "{text}");
    assert!(!shell.path("HOOK.json").exists());
    let (status, text) = shell.run("status HOOK_SECRET --env staging");
    let command = "dualkey generate HOOK_SECRET --store --value-from FILE";
    assert!(status == 1 && text.contains(command), "{text}");
    let (status, text) =
        shell.run("generate --store HOOK_SECRET --env staging --value-from old.txt");
    assert_eq!(status, 0, "{text}");
}

#[test]
fn no_value_of_a_secret_is_printed_but_where_it_is_asked_for() {
    let mut shell = shell();
    let value = "dH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5";
    fs::write(shell.path(".env"), format!("API_KEY={value}\n")).unwrap();
    fs::write(shell.path("new.txt"), "Xw9LrT4nZ8yB1cF6gJ0sD3pA5dH7vQ2m\n").unwrap();
    for line in [
        "status",
        "stage API_KEY --value-from new.txt",
        "promote API_KEY --assume-deployed",
        "rotate JWT_SECRET --dry-run",
        "emergency-rotate API_KEY --reason leaked --yes --value-from new.txt",
        "doctor",
        "audit",
        "audit --json",
    ] {
        let (_, text) = shell.run(line);
        assert!(!text.contains("dH7vQ2m") && !text.contains("Xw9LrT4"), "{line}: {text}");
    }
    let trail = fs::read_to_string(shell.path("audit.log")).unwrap();
    assert!(!trail.contains("dH7vQ2m") && !trail.contains("Xw9LrT4"));

    let (_, text) = shell.run("generate JWT_SECRET --print");
    assert!(
        text.len() == 129 && text.trim().bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{text}"
    );
    let (_, text) = shell.run("generate JWT_SECRET API_KEY --json");
    let sheet: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(sheet["secrets"][0]["bits"], 512);
    assert_eq!(sheet["secrets"][1]["value"].as_str().unwrap().len(), 32);
}

/// A credential that its provider made, in a `.env` that a Node service reads.
#[test]
fn a_credential_goes_from_one_value_to_the_next() {
    let mut shell = shell();
    let (old, new) = ("sk-old-T4nZ8yB1cF6gJ0sD3pA5", "sk-new-9LrT4nZ8yB1cF6gJ0sD3");
    fs::write(shell.path(".env"), format!("# keys\nexport API_KEY=\"{old}\" # at the provider\n"))
        .unwrap();
    fs::write(shell.path("new.txt"), format!("{new}\n")).unwrap();
    assert_eq!(shell.run("stage API_KEY --value-from new.txt --backup").0, 0);
    let is = |text: &str| assert_eq!(fs::read_to_string(shell.path(".env")).unwrap(), text);
    is(&format!(
        "# keys\nexport API_KEY=\"{old}\" # at the provider\nexport API_KEY_NEXT=\"{new}\"\n"
    ));
    assert_eq!(shell.run("promote API_KEY --assume-deployed").0, 0);
    // No report shows that the old one is out of use: the operator says so.
    let (status, text) = shell.run("retire API_KEY");
    assert!(status == 1 && text.contains("no instance has reported"), "{text}");
    assert_eq!(shell.run("retire API_KEY --force --yes").0, 1, "without a reason");
    let (status, text) =
        shell.run("retire API_KEY --force --yes --reason 'deleted at the provider'");
    assert_eq!(status, 0, "{text}");
    let is = |text: &str| assert_eq!(fs::read_to_string(shell.path(".env")).unwrap(), text);
    // The comment was about the old value.
    is(&format!("# keys\nexport API_KEY=\"{new}\"\n"));
    let backups = fs::read_dir(shell.path(""))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".bak"));
    assert_eq!(backups.count(), 1);
    assert_eq!(shell.run("audit verify").0, 0);
}
