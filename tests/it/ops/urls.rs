//! Secrets whose values are URLs: of one database, and in the form of one.

use std::fs;

use dualkey::manifest::Manifest;
use dualkey::ops::inventory::Inventory;
use dualkey::source::{FileStore, KeyStore};
use dualkey::{Policy, Purpose, Secret};

use crate::support::shell::{Shell, inventory};

const URL: &str = "postgres://app:oldpassword1@db/app";
const BACKUP: &str = "postgres://app_backup:otherpassword@backup-host/backup";

fn tables(more: &str) -> String {
    format!(
        "[[secret]]\nname = \"DATABASE_URL\"\npurpose = \"credential\"\npriority = \"critical\"\n\
         store = {{ dotenv = \".env\" }}\nrotate = \"quarterly\"\n{more}\n"
    )
}

fn shell(more: &str, lines: &str) -> Shell {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), &tables(more));
    assert_eq!(shell.run("generate --store AUDIT_SECRET").0, 0);
    fs::write(shell.path(".env"), lines).unwrap();
    shell
}

fn pass(shell: &mut Shell, value: &str, line: &str) -> (i32, String) {
    fs::write(shell.path("value"), format!("{value}\n")).unwrap();
    shell.run(line)
}

/// A line of another database, host or port is no other value of the secret: every command refuses
/// it with both variables and the remedy, and none deletes it.
#[test]
fn a_backup_that_is_another_database_is_refused_by_every_command() {
    for (variable, other, differs) in [
        ("DATABASE_URL_BACKUP", BACKUP, "another host and another database than `DATABASE_URL`"),
        ("DATABASE_URL_OLD", "postgres://app:otherpassword@db:6432/app", "another port"),
        ("DATABASE_URL_NEXT", "postgres://app:otherpassword@db/reports", "another database"),
        ("DATABASE_URL_NEXT", "mysql://app:otherpassword@db/app", "another kind of service"),
        ("DATABASE_URL_BACKUP", "/var/backups/otherpassword", "is no URL, unlike `DATABASE_URL`"),
        ("DATABASE_URL_BACKUP", "s3://otherpassword/backups", "another kind of service"),
    ] {
        let lines = format!("PORT=3000\nDATABASE_URL={URL}\n{variable}={other}\n");
        let mut shell = shell("", &lines);
        let trail = fs::read(shell.path("audit.log")).unwrap();
        let new = "postgres://app:another-password@db/app";
        for (line, expected) in [
            ("status DATABASE_URL", 1),
            ("stage DATABASE_URL --value-from value", 1),
            ("rotate DATABASE_URL --value-from value", 1),
            ("emergency-rotate DATABASE_URL --reason leaked --yes --value-from value", 1),
            ("promote DATABASE_URL --assume-deployed", 1),
            ("rollback DATABASE_URL", 1),
            ("retire DATABASE_URL", 1),
            ("retire DATABASE_URL --kid credential-2 --force --yes --reason x", 1),
            ("destroy DATABASE_URL --kid credential-2 --force --yes --reason x", 1),
            ("doctor", 3),
        ] {
            let (status, text) = pass(&mut shell, new, line);
            assert_eq!(status, expected, "{line}: {text}");
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for says in [variable, "DATABASE_URL", differs, "other_databases = true"] {
                assert!(flat.contains(says), "{line}: {says}: {text}");
            }
            assert!(!text.contains("otherpassword") && !text.contains("oldpassword"), "{text}");
            assert_eq!(fs::read_to_string(shell.path(".env")).unwrap(), lines, "{line}");
        }
        assert_eq!(fs::read(shell.path("audit.log")).unwrap(), trail);
    }
}

/// The same of a manifest, whose keys are named by their kids.
#[test]
fn a_manifest_of_two_databases_is_refused_with_both_kids() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    let table = tables("").replace("dotenv = \".env\"", "file = \"url.json\"");
    inventory(&shell.path("dualkey.toml"), &table);
    assert_eq!(shell.run("generate --store AUDIT_SECRET").0, 0);
    let now = dualkey::Clock::now(&shell.clock);
    let manifest = Manifest::new(
        "DATABASE_URL",
        Purpose::Credential,
        "production",
        Policy::default(),
        Secret::from(URL),
        now,
    );
    let manifest = manifest.unwrap().with_fallback(Secret::from(BACKUP), now).unwrap();
    pollster::block_on(FileStore::new(shell.path("url.json")).compare_and_swap(0, &manifest))
        .unwrap();
    for line in ["status DATABASE_URL", "retire DATABASE_URL", "doctor"] {
        let (status, text) = shell.run(line);
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let says = "the key `credential-2` names another host and another database than the key \
                    `credential-1`";
        assert!(status != 0 && flat.contains(says), "{line}: {text}");
    }
}

/// Where the inventory allows it, the line stays where it is, whatever is done with the others; and
/// no advice is to delete it.
#[test]
fn with_the_setting_a_line_of_another_database_stays_through_a_rotation() {
    let lines = format!("DATABASE_URL={URL}\n# of the reports\nDATABASE_URL_BACKUP={BACKUP}\n");
    let mut shell = shell("other_databases = true", &lines);
    let line = format!("# of the reports\nDATABASE_URL_BACKUP={BACKUP}\n");
    let keeps = |shell: &Shell, what: &str| {
        let text = fs::read_to_string(shell.path(".env")).unwrap();
        assert!(text.contains(&line), "{what}: {text}");
        text
    };
    let advised = |shell: &mut Shell| {
        let (_, text) = shell.run("status DATABASE_URL");
        assert!(!text.contains("--kid credential-2"), "{text}");
        text
    };
    let (status, _) = shell.run("status DATABASE_URL");
    assert_eq!(status, 0);
    assert!(!advised(&mut shell).contains("dualkey retire"));
    let (status, text) = shell.run("retire DATABASE_URL --force --yes --reason tidy");
    assert!(status == 1 && text.contains("no fallback"), "{text}");
    let new = "postgres://app:newpassword-1@db/app";
    let (status, text) = pass(&mut shell, new, "stage DATABASE_URL --value-from value");
    assert_eq!(status, 0, "{text}");
    assert!(keeps(&shell, "stage").contains(&format!("DATABASE_URL_NEXT={new}")));
    advised(&mut shell);
    let (status, text) = shell.run("promote DATABASE_URL --assume-deployed");
    assert_eq!(status, 0, "{text}");
    let text = keeps(&shell, "promote");
    assert!(text.contains(&format!("DATABASE_URL={new}\n")), "{text}");
    assert!(text.contains(&format!("DATABASE_URL_OLD={URL}\n")), "{text}");
    assert!(advised(&mut shell).contains("dualkey retire DATABASE_URL"));
    let (status, text) = shell.run("retire DATABASE_URL --force --yes --reason 'nobody has it'");
    assert_eq!(status, 0, "{text}");
    assert!(!keeps(&shell, "retire").contains("_OLD"));
    let (status, text) = pass(
        &mut shell,
        "postgres://app:newpassword-2@db/app",
        "emergency-rotate DATABASE_URL --reason leaked --yes --value-from value",
    );
    assert_eq!(status, 0, "{text}");
    keeps(&shell, "emergency");
    assert!(!advised(&mut shell).contains("dualkey retire"));
    assert_eq!(shell.run("audit verify").0, 0);
}

/// Two roles of one database take turns.
#[test]
fn two_roles_of_one_database_are_a_rotation() {
    let other = "postgresql://app_b:otherpassword@DB:5432/app?sslmode=prefer";
    let mut shell = shell("", &format!("DATABASE_URL={URL}\nDATABASE_URL_OLD={other}\n"));
    let (_, text) = shell.run("status DATABASE_URL");
    assert!(text.contains("underway"), "{text}");
    let new = "host=db user=app_c password=newpassword-1 dbname=app";
    let (status, text) = pass(&mut shell, new, "stage DATABASE_URL --value-from value");
    assert_eq!(status, 0, "{text}");
}

/// What is no URL, or one of another database, is refused before anything is written, with the
/// remedy and without the value.
#[test]
fn a_value_that_is_no_url_is_refused_before_it_is_staged() {
    let lines = format!("DATABASE_URL={URL}\n");
    let mut shell = shell("", &lines);
    let trail = fs::read(shell.path("audit.log")).unwrap();
    for (value, says) in [
        ("postgres://app:hunter2#ss@db/app", "%23"),
        ("postgres://app:hunter2/ss@db/app", "%2F"),
        ("postgres://app:hunter2@ss@db/app", "%40"),
        (r#"{"username":"app","password":"hunter2-x","host":"db"}"#, "JSON"),
        ("hunter2-hunter2-hunter2", "no scheme"),
        ("app:hunter2-hunter2@db/app", "no scheme"),
        ("postgres://app:hunter2 hunter2@db/app", "white space"),
        ("postgres://app:hunter2-hunter2@other/app", "another host than the one in use"),
        ("postgres://app:hunter2-hunter2@db:1/app", "another port than the one in use"),
        ("redis://app:hunter2-hunter2@db/app", "another kind of service"),
    ] {
        for line in [
            "stage DATABASE_URL --value-from value",
            "stage DATABASE_URL --value-from value --dry-run",
            "rotate DATABASE_URL --value-from value --skip audit --reason x",
            "emergency-rotate DATABASE_URL --reason leaked --yes --value-from value",
        ] {
            let (status, text) = pass(&mut shell, value, line);
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(status == 1 && flat.contains(says), "{line} {value}: {text}");
            assert!(flat.contains("`DATABASE_URL`") && !text.contains("hunter2"), "{text}");
        }
    }
    assert_eq!(fs::read_to_string(shell.path(".env")).unwrap(), lines);
    assert_eq!(fs::read(shell.path("audit.log")).unwrap(), trail, "nothing was started");
    let good = "postgres://app:p%23ss-p%23ss@db/app?schema=x&unknown_to_all=y";
    let (status, text) = pass(&mut shell, good, "stage DATABASE_URL --value-from value");
    assert_eq!(status, 0, "{text}");
}

/// The first key as well; the inventory decides where the name does not, and the value in use does.
#[test]
fn the_name_the_value_in_use_and_the_inventory_say_what_is_a_url() {
    let first = |more: &str, name: &str, value: &str| {
        let mut shell = Shell::new("2026-01-02T09:00:00Z");
        let table = tables(more).replace("DATABASE_URL", name);
        inventory(
            &shell.path("dualkey.toml"),
            &table.replace("dotenv = \".env\"", "file = \"x.json\""),
        );
        assert_eq!(shell.run("generate --store AUDIT_SECRET").0, 0);
        let line = format!("generate --store {name} --value-from value");
        let (dry, _) = pass(&mut shell, value, &format!("{line} --dry-run"));
        let (status, text) = pass(&mut shell, value, &line);
        assert_eq!(dry, status, "{text}");
        status
    };
    let (text, url) = ("q8WzRk-T4nZ8yB1cF6gJ0", "postgres://app:oldpassword1@db/app");
    for (more, name, value, status) in [
        ("", "DATABASE_URL", text, 1),
        ("", "DATABASE_URL", url, 0),
        ("form = \"text\"", "DATABASE_URL", text, 0),
        ("", "DATABASE_PASSWORD", text, 0),
        ("", "DATABASE_PASSWORD", "{\"a\": \"p#ss and more\"}", 0),
        ("form = \"url\"", "DATABASE_PASSWORD", text, 1),
        ("", "SENTRY_DSN", "https://0f0f0f0f0f0f0f0f@o1.ingest.sentry.io/42", 0),
        ("", "REDIS_URI", "rediss://default:oldpassword1@cache:6380/0", 0),
        ("", "AMQP_URL", "amqps://app:oldpassword1@mq/vhost", 0),
        ("", "SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/xyz", 0),
    ] {
        assert_eq!(first(more, name, value), status, "{more} {name} {value}");
    }

    // A value in use that is a URL, under another name.
    let mut other = shell("", "");
    let table = tables("").replace("DATABASE_URL", "DATABASE");
    inventory(&other.path("dualkey.toml"), &table);
    fs::write(other.path(".env"), format!("DATABASE={URL}\n")).unwrap();
    assert_eq!(pass(&mut other, text, "stage DATABASE --value-from value").0, 1);

    for (more, says) in [
        ("form = \"uri\"", "`uri` is none of url, text"),
        ("form = \"url\"\npeers = [\"x\"]", "host:port"),
    ] {
        let head = fs::read_to_string(other.path("dualkey.toml")).unwrap();
        let head = head.split("[[secret]]\nname = \"DATABASE\"").next().unwrap().to_owned();
        let error = Inventory::parse(&format!("{head}{}", tables(more)), "x.toml").unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        let jwt = tables("other_databases = true").replace("\"credential\"", "\"jwt\"");
        let error = Inventory::parse(&format!("{head}{jwt}"), "x.toml").unwrap_err();
        assert!(error.to_string().contains("may be URLs"), "{error}");
    }
}

/// A webhook's path is its secret, and its host may change with it.
#[test]
fn urls_of_the_web_are_rotated_whatever_their_path() {
    let mut shell = shell("", "");
    let table = tables("").replace("DATABASE_URL", "SLACK_WEBHOOK_URL");
    inventory(&shell.path("dualkey.toml"), &table);
    let old = "https://hooks.slack.com/services/T0/B0/xyz";
    fs::write(shell.path(".env"), format!("SLACK_WEBHOOK_URL={old}\n")).unwrap();
    let new = "https://prod-1.westeurope.logic.azure.com:443/workflows/1?sig=a%2Fb";
    let (status, text) = pass(&mut shell, new, "stage SLACK_WEBHOOK_URL --value-from value");
    assert_eq!(status, 0, "{text}");
    assert_eq!(shell.run("promote SLACK_WEBHOOK_URL --assume-deployed").0, 0);
}
