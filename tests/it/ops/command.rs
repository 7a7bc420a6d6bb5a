//! What may be typed, and what may be wrong with a project.

use std::fs;

use dualkey::jwt::JwtKey;
use dualkey::{KeyRing, Secret};

use crate::support::secret;
use crate::support::shell::{Shell, at, inventory};

pub const TABLES: &str = r#"
[[secret]]
name = "JWT_SECRET"
purpose = "jwt"
priority = "critical"
store = { file = "JWT_SECRET.json" }
rotate = "quarterly"

[[secret]]
name = "API_KEY"
purpose = "credential"
priority = "standard"
store = { dotenv = ".env" }

[[secret]]
name = "DEPLOY_KEY"
purpose = "credential"
priority = "service"
store = { manual = "the dashboard" }

[[secret]]
name = "HOOK_SECRET"
purpose = "webhook"
priority = "standard"
store = { file = "HOOK.json" }
environments = ["staging"]
"#;

pub fn shell() -> Shell {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), TABLES);
    assert_eq!(shell.run("generate --store AUDIT_SECRET JWT_SECRET").0, 0);
    shell
}

fn check_refused(shell: &mut Shell, line: &str, status: i32, says: &str) {
    let trail = fs::read(shell.path("audit.log")).ok();
    let store = fs::read(shell.path("JWT_SECRET.json")).ok();
    let (found, text) = shell.run(line);
    assert_eq!(found, status, "{line}: {text}");
    assert!(text.contains(says), "{line}: {text}");
    assert_eq!(fs::read(shell.path("JWT_SECRET.json")).ok(), store, "{line} changed something");
    // A refusal by the rules of rotation is recorded; a request that is not valid is not.
    let is_recorded = text.contains("roll back") || text.contains("the ring has no");
    assert!(
        is_recorded || fs::read(shell.path("audit.log")).ok() == trail,
        "{line} recorded something"
    );
}

#[test]
fn a_step_that_is_refused_names_the_reason_and_the_remedy() {
    let mut shell = shell();
    fs::write(shell.path("new.txt"), "sk-new-9LrT4nZ8yB1cF6gJ0sD3\n").unwrap();
    for (line, status, says) in [
        ("rotate JWT_SECRT", 1, "did you mean `JWT_SECRET`?"),
        ("rotate NOTHING_LIKE_IT_42", 1, "no secret `NOTHING_LIKE_IT_42`\n"),
        ("stage DEPLOY_KEY", 1, "the dashboard"),
        ("stage HOOK_SECRET", 1, "is of staging, and not of `production`"),
        ("stage JWT_SECRET --env staging", 1, "is of production, and not of `staging`"),
        ("stage JWT_SECRET --env prod", 1, "no environment `prod`; it has production, staging"),
        ("status --env prod", 1, "no environment `prod`"),
        ("agent --once --env prod", 1, "no environment `prod`"),
        ("audit verify --env prod", 1, "no environment `prod`"),
        ("stage API_KEY --value-from new.txt", 1, "`API_KEY` has no keys yet: set API_KEY in .env"),
        ("stage API_KEY", 1, "are made by who verifies them: hand the new one over"),
        ("emergency-rotate API_KEY --reason leaked --yes", 1, "`--value-from FILE`"),
        ("rotate HOOK_SECRET --env staging", 1, "are made by who signs with them"),
        ("generate --store HOOK_SECRET --env staging", 1, "`--value-from FILE`"),
        ("generate --store JWT_SECRET API_KEY --value-from new.txt", 1, "name one secret"),
        ("generate JWT_SECRET --value-from new.txt", 2, "--store"),
        ("promote JWT_SECRET", 1, "`JWT_SECRET` has no staged key"),
        ("retire JWT_SECRET", 1, "`JWT_SECRET` has no fallback"),
        ("rollback JWT_SECRET", 1, "nothing to roll back to"),
        ("promote JWT_SECRET --kid nobody --force --yes", 1, "needs a reason"),
        ("emergency-rotate JWT_SECRET --yes", 1, "needs a reason"),
        ("revoke JWT_SECRET --kid nobody --yes", 1, "needs a reason"),
        ("destroy JWT_SECRET --kid nobody --yes", 1, "the ring has no key `nobody`"),
        ("rotate JWT_SECRET --skip underway", 2, "--reason"),
        ("rotate JWT_SECRET --skip peer --reason sure", 2, "peers"),
        ("rotate JWT_SECRET --wait tomorrow", 2, "10m"),
        ("stage JWT_SECRET --at soon", 2, "2026-01-15T10:00:00Z"),
        ("stage JWT_SECRET --kid x", 2, "unexpected"),
        ("audit --outcome maybe", 2, "success"),
        ("rotat JWT_SECRET", 2, "rotate"),
        ("stage JWT_SECRET --value-from missing.txt", 1, "missing.txt: No such file"),
        ("generate X", 1, "no secret `X`"),
        ("generate X --purpose hat", 2, "envelope"),
        ("generate JWT_SECRET HOOK_SECRET --print", 1, "name one secret"),
        ("generate --store JWT_SECRET", 1, "has keys already: `dualkey rotate"),
        ("generate --store JWT_SECRET --dry-run", 1, "has keys already: `dualkey rotate"),
        ("generate --store AUDIT_SECRET --dry-run", 1, "has keys already: `dualkey rotate"),
        ("record JWT_SECRET reminded", 1, "is not rotated by hand"),
        ("record JWT_SECRET rotated", 1, "is not rotated by hand"),
        ("record NOBODY rotated", 1, "no secret `NOBODY`"),
        (
            "--inventory none.toml status",
            1,
            "none.toml does not exist: write it with `dualkey init`",
        ),
        ("audit import none.log", 1, "none.log: No such file"),
        ("audit restart --yes", 1, "needs a reason"),
    ] {
        check_refused(&mut shell, line, status, says);
    }
    let (status, text) = shell.run("audit verify");
    assert!(status == 0, "{text}");
}

/// A manifest that was moved into the place of another's is not taken for that one.
#[test]
fn no_step_is_taken_on_the_keys_of_another() {
    let mut shell = shell();
    let audit = fs::read(shell.path("AUDIT_SECRET.json")).unwrap();
    fs::copy(shell.path("AUDIT_SECRET.json"), shell.path("JWT_SECRET.json")).unwrap();
    for line in [
        "stage JWT_SECRET",
        "emergency-rotate JWT_SECRET --reason leaked --yes",
        "status JWT_SECRET",
    ] {
        check_refused(&mut shell, line, 1, "AUDIT_SECRET");
    }
    let text = fs::read_to_string(shell.path("JWT_SECRET.json")).unwrap();
    let staging = text.replace("AUDIT_SECRET", "JWT_SECRET").replace("production", "staging");
    fs::write(shell.path("JWT_SECRET.json"), staging.replace("\"audit\"", "\"jwt\"")).unwrap();
    check_refused(&mut shell, "stage JWT_SECRET", 1, "staging");
    let (status, text) = shell.run("doctor");
    assert!(status == 3 && text.contains("unread   JWT_SECRET (production)"), "{text}");
    assert_eq!(fs::read(shell.path("AUDIT_SECRET.json")).unwrap(), audit);
}

/// One derived kid in 64 does.
#[test]
fn a_kid_that_begins_with_a_dash_is_a_kid() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), TABLES);
    assert_eq!(shell.run("generate --store AUDIT_SECRET").0, 0);
    let kid_of = |value: &str| {
        KeyRing::<JwtKey>::builder()
            .primary(Secret::from(value))
            .build()
            .unwrap()
            .primary()
            .unwrap()
    };
    let value = (0..).map(secret).find(|value| kid_of(value).as_str().starts_with('-')).unwrap();
    fs::write(shell.path("value.txt"), &value).unwrap();
    assert_eq!(shell.run("generate --store JWT_SECRET --value-from value.txt").0, 0);
    let kid = kid_of(&value);
    for line in [
        format!("emergency-rotate JWT_SECRET --kid {kid} --reason leaked --yes"),
        format!("destroy JWT_SECRET --kid {kid} --yes"),
    ] {
        let (status, text) = shell.run(&line);
        assert!(status == 0 && text.contains(kid.as_str()), "{line}: {text}");
    }
    for step in ["promote", "retire", "revoke"] {
        let (status, text) = shell.run(&format!("{step} JWT_SECRET --kid {kid} --reason x --yes"));
        assert!(status < 2 && text.contains(kid.as_str()), "{step}: {text}");
    }
}

/// The operator's word that all were restarted counts where no instance reports, and only there.
#[test]
fn deployed_goes_over_silence_and_over_nothing_that_an_instance_says() {
    let mut shell = shell();
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    let mut other = shell.copy();
    other.set("2026-01-02T09:00:00Z");
    let (status, text) = other.run("promote JWT_SECRET");
    assert!(status == 1 && text.contains("no instance reports"), "{text}");
    let (status, text) = other.run("promote JWT_SECRET --assume-deployed");
    assert!(status == 0 && !text.contains("meanwhile"), "{text}");
    let (_, text) = other.run("audit --take 1");
    assert!(text.contains("| ROTATED |") && text.contains("reason=deployed everywhere"), "{text}");

    let following = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    let kid = shell.run("audit --action staged --take 1 --json").1;
    let kid: serde_json::Value = serde_json::from_str(&kid).unwrap();
    let promote =
        format!("promote JWT_SECRET --assume-deployed --kid {}", kid[0]["kid"].as_str().unwrap());
    let (status, text) = shell.run(&promote);
    assert!(status == 1 && text.contains("`web-1` holds other keys"), "{text}");
    following.refresh().unwrap();
    let (status, text) = shell.run(&promote);
    assert_eq!(status, 0, "{text}");
}

/// A dry run is refused for what a rotation would be refused for.
#[test]
fn a_dry_run_makes_the_same_checks() {
    let mut shell = shell();
    let (status, text) = shell.run("rotate JWT_SECRET --dry-run");
    assert!(status == 0 && text.contains("would be staged"), "{text}");
    assert!(!text.contains("  staged "), "{text}");
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    let (status, text) = shell.run("rotate JWT_SECRET --dry-run");
    assert!(status == 1 && text.contains("FAIL underway"), "{text}");
    assert!(!text.contains("would be"), "{text}");
}

/// A rotation that was refused is not the last one; an old log has the one before.
#[test]
fn the_last_rotation_is_one_that_went_well() {
    let mut shell = shell();
    let log = "2025-10-15 09:00:00 UTC | JWT_SECRET | ROTATED | bob | production | SUCCESS\n\
        2025-07-15 09:00:00 UTC | JWT_SECRET | ROTATED | bob | prod | SUCCESS\n";
    fs::write(shell.path("rotation.log"), log).unwrap();
    assert_eq!(shell.run("emergency-rotate JWT_SECRET --reason leaked --yes").0, 0);
    assert_eq!(shell.run("rollback JWT_SECRET").0, 1);
    assert_eq!(shell.run("audit import rotation.log").0, 0);
    let (_, text) = shell.run("audit --last-rotations");
    assert!(text.contains("| EMERGENCY_ROTATED |") && text.lines().count() == 1, "{text}");
    let (_, text) = shell.run("audit --last-rotations --env prod");
    assert!(text.contains("| bob | prod |"), "of an environment that is gone: {text}");
    let (_, text) = shell.run("audit --last-rotations --outcome failed");
    assert!(text.contains("| ROLLED_BACK |") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_variable_names_the_operator() {
    let shell = shell();
    let mut command = shell.command(&["stage", "JWT_SECRET"]);
    let output = command.env_remove("DUALKEY_BY").env("USER", "eve").output().unwrap();
    assert!(output.status.success());
    let trail = fs::read_to_string(shell.path("audit.log")).unwrap();
    assert!(trail.contains("| STAGED | eve | production | SUCCESS"));
}

#[test]
fn two_operators_at_once_are_one_after_the_other() {
    let mut shell = shell();
    let children: Vec<_> = (0..6)
        .map(|_| {
            let mut command =
                shell.command(&["emergency-rotate", "JWT_SECRET", "--reason", "leaked", "--yes"]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let mut done = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        if output.status.success() {
            done += 1;
        } else {
            // What the first has revoked is not revoked again, nor what it has made.
            assert!(text.contains("is revoked"), "{text}");
        }
    }
    let (_, text) = shell.run("audit --action emergency-rotated --outcome success");
    assert_eq!(text.lines().count(), done);
    assert!((1..=6).contains(&done));
    assert_eq!(shell.run("audit verify").0, 0);
    let (_, text) = shell.run("status JWT_SECRET --json");
    let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(rows[0]["others"].as_array().unwrap().len(), done, "each revoked one key");
}

#[test]
fn a_clock_that_was_set_back_stops_a_rotation_and_no_emergency() {
    let mut shell = shell();
    shell.set("2025-06-01T09:00:00Z");
    let (status, text) = shell.run("rotate JWT_SECRET");
    assert!(status == 1 && text.contains("FAIL clock") && text.contains("set the clock"), "{text}");
    let (status, text) = shell.run("emergency-rotate JWT_SECRET --reason leaked --yes");
    assert_eq!(status, 0, "{text}");
    let (_, text) = shell.run("status JWT_SECRET");
    assert!(text.contains("revoked"), "{text}");
    assert_eq!(shell.run("audit verify").0, 0);
}

/// The disk takes no record: then nothing is changed.
#[test]
#[cfg(target_os = "linux")]
fn a_step_that_cannot_be_recorded_is_not_done() {
    let shell = shell();
    let size = |name: &str| fs::metadata(shell.path(name)).unwrap().len();
    // Room for the manifest, and not for another record.
    let mut command =
        shell.command(&["record", "JWT_SECRET", "noted", "--reason", &"x".repeat(900)]);
    while size("audit.log") < 20_000 {
        assert!(command.output().unwrap().status.success());
    }
    let store = fs::read(shell.path("JWT_SECRET.json")).unwrap();
    let blocks = size("audit.log") / 512;
    assert!(size("JWT_SECRET.json") * 3 < blocks * 512);
    for line in [
        &["stage", "JWT_SECRET"][..],
        &["emergency-rotate", "JWT_SECRET", "--reason", "leaked", "--yes"],
        &["rotate", "JWT_SECRET", "--wait", "0s"],
    ] {
        let mut full = std::process::Command::new("sh");
        full.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_dualkey"))
            .args(line)
            .current_dir(shell.path(""))
            .env("DUALKEY_BY", "ada")
            .env("DUALKEY_CLOCK", shell.path("clock"));
        let output = full.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line:?}");
        assert!(text.contains("nothing was changed"), "{text}");
        assert_eq!(fs::read(shell.path("JWT_SECRET.json")).unwrap(), store, "{line:?}");
    }
    let mut shell = shell;
    assert_eq!(shell.run("audit verify").0, 0);
    assert_eq!(shell.run("stage JWT_SECRET").0, 0, "with room it goes on");
}

#[test]
fn a_trail_that_was_cut_stops_every_step_until_the_operator_says_so() {
    let mut shell = shell();
    let trail = fs::read_to_string(shell.path("audit.log")).unwrap();
    fs::write(shell.path("audit.log"), &trail[..trail.len() - 60]).unwrap();
    let (status, text) = shell.run("audit verify");
    assert!(status == 3 && text.contains("BROKEN: it ends after record"), "{text}");
    let (status, text) = shell.run("stage JWT_SECRET");
    assert!(status == 1 && text.contains("dualkey audit restart"), "{text}");
    let (status, text) = shell.run("doctor");
    assert!(status == 3 && text.contains("audit    audit.log: it ends after record"), "{text}");
    let (status, text) = shell.run("audit restart --reason 'a disk died' --yes");
    assert!(status == 0 && text.contains(".broken-"), "{text}");
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    let (_, text) = shell.run("audit");
    assert!(text.contains("RESTARTED") && text.contains("a disk died"), "{text}");
    assert_eq!(shell.run("audit verify").0, 0);
}

#[test]
fn completions_and_help_are_there_for_every_command() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    for name in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (status, text) = shell.run(&format!("completions {name}"));
        assert!(status == 0 && text.contains("emergency-rotate"), "{name}");
    }
    for name in [
        "init",
        "adopt",
        "generate",
        "rotate",
        "stage",
        "promote",
        "rollback",
        "retire",
        "revoke",
        "emergency-rotate",
        "destroy",
        "policy",
        "record",
        "status",
        "doctor",
        "remind",
        "agent",
        "audit",
        "schema",
        "completions",
    ] {
        let (status, text) = shell.run(&format!("{name} --help"));
        assert!(status == 0 && text.contains("Example"), "{name}: {text}");
    }
    let (_, text) = shell.run("schema");
    assert!(text.contains("dualkey_manifests") && text.contains("dualkey_audit"));
}

/// Each check before a rotation fails, and passes once it is fixed or skipped.
#[test]
fn each_check_fails_where_it_should() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = listener.local_addr().unwrap();
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    let tables = format!(
        "[[secret]]\nname = \"ENCRYPTION_KEY\"\npurpose = \"envelope\"\npriority = \"critical\"\n\
         store = {{ file = \"{{env}}.json\" }}\nenvironments = [\"staging\", \"production\"]\n\
         backup = {{ file = \"dump\", max_age = \"1 day\" }}\npeers = [\"{peer}\"]\n"
    );
    inventory(&shell.path("dualkey.toml"), &tables);
    assert_eq!(shell.run("generate --store AUDIT_SECRET ENCRYPTION_KEY").0, 0);
    assert_eq!(shell.run("generate --store ENCRYPTION_KEY --env staging").0, 0);
    let mut check = |line: &str, expected: &[&str]| {
        let (_, text) = shell.run(line);
        let failed: Vec<_> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("FAIL "))
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(failed, expected, "{text}");
        (shell.path(""), text)
    };
    const ROTATE: &str = "rotate ENCRYPTION_KEY --wait 0s";
    let (folder, _) = check(ROTATE, &["backup", "earlier"]);
    fs::write(folder.join("dump"), "").unwrap();
    check(ROTATE, &["backup", "earlier"]);
    fs::write(folder.join("dump"), "rows").unwrap();
    let dump = fs::File::options().write(true).open(folder.join("dump")).unwrap();
    dump.set_modified(at("2025-12-31T09:00:00Z")).unwrap();
    check(ROTATE, &["backup", "earlier"]);
    dump.set_modified(at("2026-01-02T08:00:00Z")).unwrap();
    check(ROTATE, &["earlier"]);
    drop(listener);
    check(ROTATE, &["peers", "earlier"]);
    let (_, text) = check(&format!("{ROTATE} --dry-run"), &["peers", "earlier"]);
    assert!(text.contains("2 of the checks failed"), "{text}");

    // In staging first; its peers are skipped, and that is recorded.
    let line = format!("{ROTATE} --env staging --skip peers --reason moved");
    check(&line, &["peers"]);
    let promote = "promote ENCRYPTION_KEY --force --yes --reason alone";
    let (_, text) = check(&format!("{promote} --env staging"), &[]);
    assert!(text.contains("staged -> primary"), "{text}");
    let (_, text) = check(&format!("{ROTATE} --skip peers --reason moved"), &["peers"]);
    assert!(text.contains("ok   earlier") && text.contains("staged"), "{text}");
    let (_, text) = check(ROTATE, &["underway", "peers"]);
    assert!(text.contains("dualkey status ENCRYPTION_KEY"), "{text}");
    let (_, text) = check("audit --action staged --env production", &[]);
    assert!(text.contains("reason=moved (skipped: peers)"), "{text}");
}
