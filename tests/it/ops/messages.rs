//! Messages that name the next command, and the exit status of a rotation that stopped.

use std::fs;
use std::path::Path;

use crate::support::secret;
use crate::support::shell::{Shell, inventory};

const TABLES: &str = r#"
[[secret]]
name = "JWT_SECRET"
purpose = "jwt"
priority = "critical"
store = { file = "JWT_SECRET.json" }
rotate = "quarterly"

[[secret]]
name = "SESSION_SECRET"
purpose = "cookie"
priority = "critical"
store = { dotenv = ".env" }
rotate = "quarterly"

[[secret]]
name = "META_VERIFY_TOKEN"
purpose = "verify-token"
priority = "standard"
store = { dotenv = ".env" }

[[secret]]
name = "API_KEY"
purpose = "credential"
priority = "standard"
store = { dotenv = ".env" }

[[secret]]
name = "HOOK_SECRET"
purpose = "webhook"
priority = "standard"
store = { file = "HOOK_SECRET.json" }
"#;

fn shell() -> Shell {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), TABLES);
    fs::write(shell.path(".env"), format!("SESSION_SECRET={}\n", hex(1))).unwrap();
    run_ok(&mut shell, "generate --store AUDIT_SECRET JWT_SECRET");
    shell
}

/// A secret in hexadecimal digits, which every reader of a `.env` file takes.
fn hex(seed: u64) -> String {
    secret(seed).bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn run_ok(shell: &mut Shell, line: &str) -> String {
    let (status, text) = shell.run(line);
    assert_eq!(status, 0, "{line}: {text}");
    text
}

/// Runs `line`, which ends with `status`, and whose output has each of `says` and none of `lacks`.
fn check_says(shell: &mut Shell, line: &str, status: i32, says: &[&str], lacks: &[&str]) {
    let (found, text) = shell.run(line);
    assert_eq!(found, status, "{line}: {text}");
    for part in says {
        assert!(text.contains(part), "{line} does not say `{part}`: {text}");
    }
    for part in lacks {
        assert!(!text.contains(part), "{line} says `{part}`: {text}");
    }
}

#[test]
fn a_choice_of_several_keys_names_the_option() {
    let mut shell = shell();
    check_says(
        &mut shell,
        "promote JWT_SECRET",
        1,
        &["has no staged key", "dualkey stage JWT_SECRET"],
        &[],
    );
    check_says(
        &mut shell,
        "retire JWT_SECRET",
        1,
        &["`JWT_SECRET` has no fallback"],
        &["name one"],
    );
    for _ in 0..2 {
        run_ok(&mut shell, "stage JWT_SECRET");
    }
    check_says(
        &mut shell,
        "promote JWT_SECRET",
        1,
        &["`JWT_SECRET` has two staged keys: name one with `--kid`: "],
        &["has no"],
    );
    // The command that `status` shows names one of them, and is accepted.
    let (_, status) = shell.run("status JWT_SECRET --json");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let command = status[0]["next"]["command"].as_str().unwrap().to_owned();
    assert!(command.contains(" --assume-deployed --kid "), "{command}");
    run_ok(&mut shell, command.strip_prefix("dualkey ").unwrap());
    run_ok(&mut shell, "stage JWT_SECRET");
    for _ in 0..2 {
        let (_, status) = shell.run("status JWT_SECRET --json");
        let Some(staged) = staged_kid(&status) else { break };
        run_ok(
            &mut shell,
            &format!("promote JWT_SECRET --kid {staged} --force --reason test --yes"),
        );
    }
    check_says(
        &mut shell,
        "retire JWT_SECRET",
        1,
        &["`JWT_SECRET` has three fallbacks: name one with `--kid`: "],
        &["has no"],
    );
}

/// The kid of a staged key in what `status --json` prints.
fn staged_kid(status: &str) -> Option<String> {
    let all: serde_json::Value = serde_json::from_str(status).unwrap();
    let others = all[0]["others"].as_array()?;
    let key = others.iter().find(|key| key["state"] == "staged")?;
    key["kid"].as_str().map(str::to_owned)
}

#[test]
fn a_first_key_where_keys_exist_is_refused_with_the_command_that_rotates() {
    let mut shell = shell();
    for (line, command) in [
        (
            "generate --store JWT_SECRET",
            "`JWT_SECRET` has keys already: `dualkey rotate JWT_SECRET`",
        ),
        (
            "generate --store JWT_SECRET --dry-run",
            "`JWT_SECRET` has keys already: `dualkey rotate JWT_SECRET`",
        ),
        (
            "generate --store JWT_SECRET --force --reason lost --yes",
            "`JWT_SECRET` has keys already: `dualkey rotate JWT_SECRET`",
        ),
        (
            "generate --store AUDIT_SECRET",
            "`AUDIT_SECRET` has keys already: `dualkey rotate AUDIT_SECRET`",
        ),
    ] {
        check_says(&mut shell, line, 1, &[command], &["revision", "changed by another"]);
    }
    fs::write(shell.path("hook.txt"), hex(2)).unwrap();
    run_ok(&mut shell, "generate --store HOOK_SECRET --value-from hook.txt");
    let line = "generate --store HOOK_SECRET --value-from hook.txt";
    check_says(
        &mut shell,
        line,
        1,
        &["`dualkey rotate HOOK_SECRET --value-from FILE`"],
        &["revision"],
    );
}

#[test]
fn a_secret_without_keys_names_the_command_that_makes_the_first() {
    let mut shell = shell();
    fs::write(shell.path("new.txt"), "sk-new-9LrT4nZ8yB1cF6gJ0sD3\n").unwrap();
    for (line, command) in [
        (
            "stage META_VERIFY_TOKEN",
            "set META_VERIFY_TOKEN in .env, or run `dualkey generate META_VERIFY_TOKEN --store`",
        ),
        ("rotate META_VERIFY_TOKEN", "`dualkey generate META_VERIFY_TOKEN --store`"),
        (
            "stage API_KEY --value-from new.txt",
            "`dualkey generate API_KEY --store --value-from FILE`",
        ),
        (
            "stage HOOK_SECRET --value-from new.txt",
            "`dualkey generate HOOK_SECRET --store --value-from FILE`",
        ),
        (
            "emergency-rotate META_VERIFY_TOKEN --reason leaked --yes",
            "`dualkey generate META_VERIFY_TOKEN --store`",
        ),
        ("retire META_VERIFY_TOKEN", "`dualkey generate META_VERIFY_TOKEN --store`"),
        ("policy META_VERIFY_TOKEN", "`dualkey generate META_VERIFY_TOKEN --store`"),
    ] {
        check_says(
            &mut shell,
            line,
            1,
            &["has no keys yet", command],
            &["compare_and_swap", "manifest"],
        );
    }
}

/// A command that is advised for a missing key works as it is typed.
#[test]
fn the_command_for_the_first_key_of_a_file_of_variables_works() {
    let mut shell = shell();
    run_ok(&mut shell, "generate META_VERIFY_TOKEN --store");
    let text = fs::read_to_string(shell.path(".env")).unwrap();
    assert!(text.contains("META_VERIFY_TOKEN="), "{}", text.len());
    check_says(
        &mut shell,
        "rotate META_VERIFY_TOKEN",
        3,
        &["dualkey promote META_VERIFY_TOKEN"],
        &[],
    );
}

#[test]
fn a_missing_inventory_names_the_command_that_writes_one() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    for line in ["status", "doctor", "rotate JWT_SECRET", "audit verify", "adopt", "remind"] {
        let says_all = ["dualkey.toml does not exist", "`dualkey init`", "--inventory"];
        check_says(&mut shell, line, 1, &says_all, &["os error"]);
    }
    check_says(&mut shell, "--inventory other.toml status", 1, &["other.toml does not exist"], &[]);
}

/// Instances that read a `.env` file see an emergency only when they restart.
#[test]
fn an_emergency_in_a_file_of_variables_says_to_deploy_and_restart() {
    let mut shell = shell();
    let line = "emergency-rotate SESSION_SECRET --reason leaked --yes";
    let says_all = ["deploy this file and restart every instance now"];
    check_says(&mut shell, line, 0, &says_all, &["reload", "the next rotation"]);

    run_ok(&mut shell, "generate META_VERIFY_TOKEN --store");
    assert_eq!(shell.run("rotate META_VERIFY_TOKEN").0, 3);
    let line = "revoke META_VERIFY_TOKEN --kid verify-token-2 --reason leaked --yes";
    check_says(&mut shell, line, 0, &says_all, &["the next rotation"]);
    // A dry run changes no file that could be deployed.
    let line = "emergency-rotate SESSION_SECRET --reason leaked --yes --dry-run";
    check_says(&mut shell, line, 0, &["nothing was changed"], &["deploy this file"]);
}

/// A script must not take a rotation that stopped after the staging for a finished one.
#[test]
fn a_rotation_that_stops_after_the_staging_has_its_own_status() {
    let mut shell = shell();
    // Without a single report there is nothing to wait for: this returns at once.
    check_says(
        &mut shell,
        "rotate JWT_SECRET --wait 24h",
        3,
        &["no instance reports", "dualkey promote JWT_SECRET --assume-deployed"],
        &["waiting"],
    );
    // The staged key is as the command says.
    run_ok(&mut shell, "promote JWT_SECRET --assume-deployed");

    let instance = shell.instance::<dualkey::jwt::JwtKey>("JWT_SECRET.json", "web-1");
    instance.refresh().unwrap();
    check_says(
        &mut shell,
        "rotate JWT_SECRET --wait 0s",
        3,
        &["waiting", "up to 0s", "Ctrl-C", "dualkey promote JWT_SECRET"],
        &["--assume-deployed"],
    );
    instance.refresh().unwrap();
    run_ok(&mut shell, "promote JWT_SECRET");

    check_says(
        &mut shell,
        "rotate SESSION_SECRET",
        3,
        &["dualkey promote SESSION_SECRET --assume-deployed"],
        &[],
    );
    run_ok(&mut shell, "promote SESSION_SECRET --assume-deployed");
    check_says(&mut shell, "rotate SESSION_SECRET --dry-run", 0, &["nothing was changed"], &[]);
    check_says(&mut shell, "rotate --help", 0, &["3 "], &[]);
}

#[test]
fn a_promotion_without_a_report_names_the_option() {
    let mut shell = shell();
    for name in ["JWT_SECRET", "SESSION_SECRET"] {
        run_ok(&mut shell, &format!("stage {name}"));
        let command = format!("dualkey promote {name} --assume-deployed");
        let line = format!("promote {name}");
        check_says(&mut shell, &line, 1, &["no instance reports", &command], &["assume_deployed"]);
    }
    // An instance that holds other keys is no silence: `--assume-deployed` does not go over it.
    let instance = shell.instance::<dualkey::jwt::JwtKey>("JWT_SECRET.json", "web-1");
    instance.refresh().unwrap();
    run_ok(&mut shell, "stage JWT_SECRET");
    check_says(&mut shell, "promote JWT_SECRET", 1, &["--kid"], &[]);
    let (_, status) = shell.run("status JWT_SECRET --json");
    let kid = staged_kid(&status).unwrap();
    let line = format!("promote JWT_SECRET --kid {kid}");
    check_says(&mut shell, &line, 1, &["web-1"], &["--assume-deployed"]);
}

/// What `openssl rand -base64 32` prints has a way in, which the error, the help and the template
/// name.
#[test]
fn a_secret_of_44_bytes_has_a_documented_way_in() {
    let mut shell = shell();
    let value = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
    fs::write(shell.path("new.txt"), format!("{value}\n")).unwrap();
    let setting = "min_secret_bytes = 32";
    let line = "stage JWT_SECRET --value-from new.txt";
    check_says(&mut shell, line, 1, &["44 bytes", setting, "inventory"], &[value]);
    for line in ["stage --help", "rotate --help", "generate --help"] {
        check_says(&mut shell, line, 0, &["min_secret_bytes"], &[]);
    }
    let with_setting = TABLES.replacen("rotate = ", &format!("{setting}\nrotate = "), 1);
    inventory(&shell.path("dualkey.toml"), &with_setting);
    run_ok(&mut shell, "policy JWT_SECRET");
    run_ok(&mut shell, line);
    run_ok(&mut shell, "promote JWT_SECRET --assume-deployed");

    // In a `.env` file it is refused until the setting is there, and rotates then.
    fs::write(shell.path(".env"), format!("SESSION_SECRET={value}\n")).unwrap();
    let says_all = ["44 bytes", setting, "inventory"];
    for line in ["status SESSION_SECRET", "rotate SESSION_SECRET"] {
        check_says(&mut shell, line, 1, &says_all, &[value, "dualkey policy"]);
    }
    check_says(&mut shell, "doctor", 3, &says_all, &[value, "remedy"]);
    let with_setting = TABLES.replace("rotate = ", &format!("{setting}\nrotate = "));
    inventory(&shell.path("dualkey.toml"), &with_setting);
    check_says(&mut shell, "rotate SESSION_SECRET", 3, &["--assume-deployed"], &[]);
}

/// A literal that lost the backslash at the end of a line shows its indentation.
/// The reason of a step is for the trail: blanks are none.
#[test]
fn a_blank_reason_is_no_reason() {
    let mut shell = shell();
    for line in [
        "emergency-rotate JWT_SECRET --yes --reason ''",
        "revoke JWT_SECRET --kid x --yes --reason ' '",
        "retire JWT_SECRET --kid x --force --yes --reason ''",
        "audit restart --yes --reason ' '",
    ] {
        check_says(&mut shell, line, 1, &["--reason"], &[]);
    }
    let line = "rotate JWT_SECRET --skip instances --reason ' '";
    check_says(&mut shell, line, 1, &["--reason"], &["staged"]);
}

#[test]
fn reminders_without_a_webhook_name_the_setting() {
    let mut shell = shell();
    let overdue = TABLES.replacen("quarterly", "1 days", 1);
    let path = shell.path("dualkey.toml");
    inventory(&path, &overdue);
    let text = fs::read_to_string(&path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("webhook = "));
    fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
    shell.set("2026-03-02T09:00:00Z");
    check_says(&mut shell, "remind", 1, &["set `webhook` of `[remind]`"], &["is not set"]);
}

/// V10: a value may be typed, or put, where none belongs.
#[test]
fn v10_a_value_in_a_wrong_place_is_not_shown() {
    let mut shell = shell();
    let value = hex(9);
    for line in ["stage JWT_SECRET", "promote JWT_SECRET", "rotate JWT_SECRET"] {
        check_says(&mut shell, &format!("{line} {value}"), 2, &["[not shown]"], &[&value[..8]]);
    }
    let manifest = fs::read_to_string(shell.path("JWT_SECRET.json")).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    document["keys"][0]["algorithm"] = value[..40].into();
    fs::write(shell.path("JWT_SECRET.json"), document.to_string()).unwrap();
    check_says(&mut shell, "status JWT_SECRET", 1, &["no name of an algorithm"], &[&value[..8]]);
}

#[test]
fn no_message_of_the_source_holds_a_row_of_blanks() {
    let (mut files, mut messages) = (0, 0);
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files += 1;
                let text = fs::read_to_string(&path).unwrap();
                let all = messages_in(&text);
                messages += all.len();
                let rows = all.into_iter().filter(|message| has_row_of_blanks(message));
                found.extend(rows.map(|message| format!("{}: {message:?}", path.display())));
            }
        }
    }
    assert!(files > 100 && messages > 100, "{files} files, {messages} messages");
    assert!(found.is_empty(), "{}", found.join("\n"));

    for planted in [
        "#[error(\"the manifest is not          the one\")]",
        "#[error(\n    \"the manifest is not\n         the one\"\n)]",
        "#[error(\"two  blanks\")]",
    ] {
        assert!(messages_in(planted).iter().any(|message| has_row_of_blanks(message)), "{planted}");
    }
    let joined = "#[error(\n    \"the manifest is \\\n         the one\"\n)]";
    assert_eq!(messages_in(joined), ["the manifest is the one"]);
}

fn has_row_of_blanks(message: &str) -> bool {
    // A column of the output begins after two blanks.
    message.trim().contains("  ") || message.trim().contains('\n')
}

/// The literals of `#[error(…)]`, each as the compiler joins its lines.
fn messages_in(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for attribute in text.split("#[error(").skip(1) {
        let Some(start) = attribute.find('"').filter(|start| attribute[..*start].trim().is_empty())
        else {
            continue;
        };
        let mut message = String::new();
        let mut rest = attribute[start + 1..].chars();
        while let Some(character) = rest.next() {
            match character {
                '"' => break,
                '\\' => match rest.next() {
                    Some('\n') => {
                        let left = rest.as_str().trim_start();
                        rest = left.chars();
                    }
                    other => message.extend(other),
                },
                character => message.push(character),
            }
        }
        all.push(message);
    }
    all
}
