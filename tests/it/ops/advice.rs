//! The advice where a rotation takes another course: each next step is accepted when it is typed, and
//! each course comes to an end.

use std::time::Duration;

use dualkey::RewrapRecord;
use dualkey::credential::{Credential, Credentials};
use dualkey::envelope::{AesKey, Sealer};
use dualkey::jwt::JwtKey;
use dualkey::ops::rewrap;
use dualkey::source::{FileStore, FollowHandle, KeyStore};

use super::next::{next, refresh, take};
use crate::support::database::Base;
use crate::support::notes::context;
use crate::support::postgres::runtime;
use crate::support::shell::{Shell, inventory};

const NONE: [FollowHandle<AesKey>; 0] = [];

/// A project with one secret in a file, and the key of the trail.
fn shell(name: &str, purpose: &str, more: &str) -> Shell {
    let mut shell = Shell::new("2026-01-15T10:00:00Z");
    inventory(
        &shell.path("dualkey.toml"),
        &format!(
            "[[secret]]\nname = \"{name}\"\npurpose = \"{purpose}\"\npriority = \"critical\"\n\
             store = {{ file = \"{name}.json\" }}\n{more}"
        ),
    );
    run_ok(&mut shell, "generate --store AUDIT_SECRET");
    shell
}

fn run_ok(shell: &mut Shell, line: &str) -> String {
    let (status, text) = shell.run(line);
    assert_eq!(status, 0, "{line}: {text}");
    text
}

fn status(shell: &mut Shell, name: &str) -> serde_json::Value {
    let (_, json) = shell.run(&format!("status {name} --json"));
    serde_json::from_str::<serde_json::Value>(&json).unwrap()[0].clone()
}

/// Lets an hour pass, on the clock of the shell and in what it prints.
fn pass_hour(shell: &mut Shell) {
    shell.clock.advance(Duration::from_secs(3600));
    let now: jiff::Timestamp = dualkey::Clock::now(&shell.clock).try_into().unwrap();
    shell.set(&now.to_string());
}

/// An encryption key that was just rotated, with five notes under the old one, and a copy of them.
async fn rotate_with_notes(base: &Base) -> (Shell, [FollowHandle<AesKey>; 1]) {
    let mut shell = shell(
        "ENCRYPTION_KEY",
        "envelope",
        "backup = { file = \"backup.dump\", max_age = \"24h\" }\n\n[[secret.data]]\n\
         database = \"DATABASE_URL\"\ntable = \"notes\"\ncolumns = [\"body\"]\n\
         context = \"notes/{key}/{column}\"\n",
    );
    shell.set_variable("DATABASE_URL", base.url());
    std::fs::write(shell.path("backup.dump"), "a backup").unwrap();
    run_ok(&mut shell, "generate --store ENCRYPTION_KEY");
    let instances = [shell.instance::<AesKey>("ENCRYPTION_KEY.json", "web-1")];
    let sealer = Sealer::new(instances[0].ring().clone());
    let note = |id| (id, sealer.seal_text(format!("note {id}"), context(id)).unwrap());
    base.notes((0..5).map(note)).await;
    base.sql("CREATE TABLE kept AS SELECT * FROM notes").await;
    refresh(&instances);
    run_ok(&mut shell, "stage ENCRYPTION_KEY");
    refresh(&instances);
    run_ok(&mut shell, "promote ENCRYPTION_KEY");
    refresh(&instances);
    (shell, instances)
}

/// Notes that the instance opens.
async fn count_opened(base: &Base, instances: &[FollowHandle<AesKey>]) -> usize {
    let sealer = Sealer::new(instances[0].ring().clone());
    let texts = base.texts("notes", "body").await;
    texts
        .into_iter()
        .filter(|(id, body)| sealer.open(body.as_ref().unwrap(), context(*id)).is_ok())
        .count()
}

const RESTORE: &str = "UPDATE notes SET body = (SELECT body FROM kept WHERE kept.id = notes.id)";

/// Takes the steps that are shown until the next is one of `last`.
fn take_until(
    shell: &mut Shell,
    instances: &[FollowHandle<AesKey>],
    name: &str,
    last: &str,
) -> Vec<String> {
    let mut lines = Vec::new();
    while !next(shell, name).1.contains(last) {
        assert!(lines.len() < 9, "{}", shell.transcript);
        let line = take(shell, name, instances);
        lines.push(line.split(' ').next().unwrap().to_owned());
        refresh(instances);
    }
    lines
}

/// The evidence in the report of the rewraps, and how much they sealed.
async fn rewrap_evidence(shell: &Shell) -> (Option<RewrapRecord>, u64) {
    let store = FileStore::new(shell.path("ENCRYPTION_KEY.json"));
    let reports = store.reports().await.unwrap();
    let report = reports.into_iter().find(|report| report.instance == rewrap::INSTANCE).unwrap();
    let sealed = report.signed.iter().map(|(_, count)| count).sum();
    (report.rewrap, sealed)
}

#[test]
fn a_rewrap_that_fails_is_no_evidence_and_what_it_sealed_counts() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let (mut shell, instances) = rotate_with_notes(&base).await;
        base.sql(
            "CREATE TRIGGER refused BEFORE UPDATE ON notes WHEN NEW.id = 3
             BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )
        .await;
        let command = next(&mut shell, "ENCRYPTION_KEY");
        shell.set(command.0.as_deref().unwrap());
        let (code, text) = shell.run("rewrap ENCRYPTION_KEY --execute");
        assert!(code != 0 && text.contains("refused"), "{text}");
        let (rewrap, sealed) = rewrap_evidence(&shell).await;
        assert!(rewrap.is_none() && sealed > 0, "{sealed}");
        base.sql("DROP TRIGGER refused").await;
        let lines = take_until(&mut shell, &instances, "ENCRYPTION_KEY", "nothing");
        assert_eq!(lines, ["rewrap", "retire", "destroy"]);
        assert_eq!(count_opened(&base, &instances).await, 5);
    });
}

#[test]
fn an_encryption_key_that_is_used_after_the_rewrap_is_rewrapped_again() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let (mut shell, instances) = rotate_with_notes(&base).await;
        take(&mut shell, "ENCRYPTION_KEY", &instances);
        refresh(&instances);
        // Rows of a backup, which the rewrap did not find.
        base.sql(RESTORE).await;
        shell.set("2026-01-15T20:00:00Z");
        assert_eq!(count_opened(&base, &instances).await, 5);
        refresh(&instances);
        // A rewrap within the second of the use does not count, and what it seals does.
        let (rewrap, sealed) = rewrap_evidence(&shell).await;
        let (code, text) = shell.run("rewrap ENCRYPTION_KEY --execute");
        assert!(code == 3 && text.contains("too early to count"), "{text}");
        assert_eq!(rewrap_evidence(&shell).await, (rewrap, sealed + 5));
        base.sql(RESTORE).await;
        shell.set("2026-01-15T21:00:00Z");
        assert_eq!(count_opened(&base, &instances).await, 5);
        shell.set("2026-01-20T20:00:00Z");
        refresh(&instances);
        let (moment, command) = next(&mut shell, "ENCRYPTION_KEY");
        assert_eq!((moment, &*command), (None, "dualkey rewrap ENCRYPTION_KEY --execute"));
        let shown = status(&mut shell, "ENCRYPTION_KEY");
        let what = shown["next"]["what"].as_str().unwrap();
        assert!(what.contains("used at 2026-01-15 21:00 UTC, after the rewrap"), "{what}");
        assert!(what.contains("starts at or after 2026-01-15 21:01 UTC counts"), "{what}");
        let lines = take_until(&mut shell, &instances, "ENCRYPTION_KEY", "nothing");
        assert_eq!(lines, ["rewrap", "retire", "destroy"]);
        assert_eq!(count_opened(&base, &instances).await, 5);
    });
}

/// It expires with rows under it: nothing opens them, and a rewrap does not either.
#[test]
fn an_expired_encryption_key_with_rows_is_restaged_and_withdrawn() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let (mut shell, instances) = rotate_with_notes(&base).await;
        take(&mut shell, "ENCRYPTION_KEY", &instances);
        refresh(&instances);
        run_ok(&mut shell, "retire ENCRYPTION_KEY");
        refresh(&instances);
        base.sql(RESTORE).await;
        shell.set("2026-01-15T20:00:00Z");
        assert_eq!(count_opened(&base, &instances).await, 5);
        shell.set("2026-01-20T20:00:00Z");
        refresh(&instances);
        assert_eq!(count_opened(&base, &instances).await, 0);
        let (status, text) = shell.run("status ENCRYPTION_KEY");
        assert!(status == 5 && text.contains("has expired, and rows may need it"), "{text}");
        let line = take(&mut shell, "ENCRYPTION_KEY", &instances);
        assert!(line.starts_with("restage ENCRYPTION_KEY --kid "), "{line}");
        refresh(&instances);
        assert_eq!(count_opened(&base, &instances).await, 5);
        // It is not promoted: it reads what is there, and is withdrawn.
        let lines = take_until(&mut shell, &instances, "ENCRYPTION_KEY", "nothing");
        assert_eq!(lines, ["rewrap", "retire", "destroy"]);
        assert_eq!(count_opened(&base, &instances).await, 5);
    });
}

#[test]
fn rows_under_a_leaked_encryption_key_are_rescued_at_once() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let (mut shell, instances) = rotate_with_notes(&base).await;
        run_ok(&mut shell, "rollback ENCRYPTION_KEY");
        refresh(&instances);
        run_ok(&mut shell, "emergency-rotate ENCRYPTION_KEY --reason leaked --yes");
        refresh(&instances);
        assert_eq!(count_opened(&base, &instances).await, 0);
        let (moment, command) = next(&mut shell, "ENCRYPTION_KEY");
        assert!(moment.is_none() && command.contains("--open-revoked --reason '"), "{command}");
        // At once, and again when it counts.
        let (status, text) = shell.run(command.strip_prefix("dualkey ").unwrap());
        assert!(status == 3 && text.contains("started too early to count"), "{text}");
        assert_eq!(count_opened(&base, &instances).await, 5);
        let lines = take_until(&mut shell, &instances, "ENCRYPTION_KEY", "nothing");
        assert!(lines.starts_with(&["rewrap".to_owned()]), "{lines:?}");
        assert!(lines.ends_with(&["destroy".to_owned()]), "{lines:?}");
        assert_eq!(count_opened(&base, &instances).await, 5);
    });
}

/// A rewrap that is not complete prints a next step as well.
#[test]
fn a_rewrap_with_unreadable_rows_says_what_comes_next() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let (mut shell, _instances) = rotate_with_notes(&base).await;
        base.sql("UPDATE notes SET body = 'damaged' WHERE id = 3").await;
        shell.set("2026-01-15T12:00:00Z");
        let (status, text) = shell.run("rewrap ENCRYPTION_KEY --execute");
        assert_eq!(status, 3, "{text}");
        let says = "1 rows could not be read; correct or delete those that it lists first";
        assert!(text.contains(says), "{text}");
        assert!(text.contains("command   dualkey rewrap ENCRYPTION_KEY --execute"), "{text}");
    });
}

#[test]
fn an_encryption_key_that_no_instance_reports_on_is_destroyed_by_the_steps_that_are_shown() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let (mut shell, instances) = rotate_with_notes(&base).await;
        drop(instances);
        std::fs::remove_dir_all(shell.path("ENCRYPTION_KEY.json.reports")).unwrap();
        let lines = take_until(&mut shell, &NONE, "ENCRYPTION_KEY", "nothing");
        assert_eq!(lines, ["rewrap", "retire", "destroy"]);
    });
}

/// Neither an instance that reports, nor a single verification: nothing will ever say that the key is
/// unused.
#[test]
fn a_credential_of_which_nothing_is_seen_is_destroyed_by_the_steps_that_are_shown() {
    for has_instance in [false, true] {
        let mut shell = shell("API_KEY", "credential", "");
        let value = |shell: &Shell, number: u32| {
            std::fs::write(shell.path("new"), format!("sk-0123456789abcdef{number}\n")).unwrap();
        };
        value(&shell, 1);
        run_ok(&mut shell, "generate --store API_KEY --value-from new");
        let mut instances = Vec::new();
        if has_instance {
            instances.push(shell.instance::<Credential>("API_KEY.json", "web-1"));
        }
        value(&shell, 2);
        refresh(&instances);
        run_ok(&mut shell, "stage API_KEY --value-from new");
        refresh(&instances);
        if has_instance {
            run_ok(&mut shell, "promote API_KEY");
        } else {
            assert_eq!(
                take(&mut shell, "API_KEY", &instances),
                "promote API_KEY --assume-deployed"
            );
        }
        refresh(&instances);
        if has_instance {
            // After a whole window without traffic, the moment and the step are known.
            for _ in 0..36 {
                pass_hour(&mut shell);
                refresh(&instances);
            }
        }
        let (moment, command) = next(&mut shell, "API_KEY");
        assert_eq!(moment.as_deref(), Some("2026-01-22T11:10:00Z"), "{command}");
        assert!(
            command.contains("retire API_KEY --kid credential-1 --force --reason '"),
            "{command}"
        );
        take(&mut shell, "API_KEY", &instances);
        refresh(&instances);
        let line = take(&mut shell, "API_KEY", &instances);
        assert!(line.starts_with("destroy API_KEY --kid credential-1 --force"), "{line}");
        refresh(&instances);
        assert_eq!(next(&mut shell, "API_KEY").1, "nothing");
    }
}

/// The new value is wrong, and the old one serves: force would take the service down.
#[test]
fn no_force_is_advised_for_a_credential_that_is_in_use() {
    let mut shell = shell("API_KEY", "credential", "");
    std::fs::write(shell.path("new"), "sk-0123456789abcdef1\n").unwrap();
    run_ok(&mut shell, "generate --store API_KEY --value-from new");
    let instances = [shell.instance::<Credential>("API_KEY.json", "web-1")];
    std::fs::write(shell.path("new"), "sk-0123456789abcdef2\n").unwrap();
    refresh(&instances);
    run_ok(&mut shell, "stage API_KEY --value-from new");
    refresh(&instances);
    run_ok(&mut shell, "promote API_KEY");
    refresh(&instances);
    for _ in 0..240 {
        pass_hour(&mut shell);
        let credentials = Credentials::new(instances[0].ring().clone());
        let shown = credentials.choose().unwrap();
        let old = credentials.report_rejected(&shown).unwrap();
        credentials.report_accepted(&old);
        refresh(&instances);
    }
    let step = status(&mut shell, "API_KEY")["next"].clone();
    assert_eq!(step["command"], "dualkey status API_KEY", "{step}");
    assert!(step["what"].as_str().unwrap().contains("it was used at"), "{step}");
}

/// Services that reported once, and do so no more: the clock cannot be compared with anything.
#[test]
fn the_steps_are_accepted_although_the_instances_have_stopped_reporting() {
    let mut shell = shell("JWT_SECRET", "jwt", "");
    run_ok(&mut shell, "generate --store JWT_SECRET");
    let instance = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    refresh(std::slice::from_ref(&instance));
    std::mem::forget(instance);
    shell.set("2026-01-20T10:00:00Z");
    run_ok(&mut shell, "stage JWT_SECRET --trust-clock");
    let lines = take_until(&mut shell, &NONE, "JWT_SECRET", "nothing");
    assert_eq!(lines, ["promote", "retire", "destroy"]);
}

/// A promotion that is refused now is no next step.
#[test]
fn a_staged_key_that_is_not_everywhere_waits_with_the_date_at_which_a_dead_instance_is_gone() {
    let mut shell = shell("JWT_SECRET", "jwt", "");
    run_ok(&mut shell, "generate --store JWT_SECRET");
    let instances = [shell.instance::<JwtKey>("JWT_SECRET.json", "web-1")];
    refresh(&instances);
    run_ok(&mut shell, "stage JWT_SECRET");
    let shown = status(&mut shell, "JWT_SECRET");
    assert_eq!(shown["next"]["command"], "dualkey status JWT_SECRET");
    let (_, text) = shell.run("status JWT_SECRET");
    for part in [
        "wait until every instance holds the staged key, then run `dualkey promote JWT_SECRET`",
        "the instance `web-1` holds other keys",
        "if it is gone, its report counts until 2026-01-16 10:00 UTC",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // At that moment it does not count any more.
    shell.set("2026-01-16T10:00:00Z");
    let live = [shell.instance::<JwtKey>("JWT_SECRET.json", "web-2")];
    refresh(&live);
    run_ok(&mut shell, "promote JWT_SECRET");
}

/// A key that signs on a day of its own hides no earlier step.
#[test]
fn a_scheduled_key_leaves_the_old_one_its_step() {
    let mut shell = shell("JWT_SECRET", "jwt", "");
    run_ok(&mut shell, "generate --store JWT_SECRET");
    let instances = [shell.instance::<JwtKey>("JWT_SECRET.json", "web-1")];
    refresh(&instances);
    run_ok(&mut shell, "stage JWT_SECRET");
    let (status, text) = shell.run("retire JWT_SECRET");
    assert!(status == 1 && text.contains("`dualkey retire JWT_SECRET --kid "), "{text}");
    refresh(&instances);
    run_ok(&mut shell, "promote JWT_SECRET");
    refresh(&instances);
    run_ok(&mut shell, "stage JWT_SECRET --at 2026-02-20T10:00:00Z");
    refresh(&instances);
    for expected in ["retire JWT_SECRET --kid ", "destroy JWT_SECRET --kid "] {
        let line = take(&mut shell, "JWT_SECRET", &instances);
        assert!(line.starts_with(expected), "{line}");
        refresh(&instances);
    }
    let says = "nothing: the staged key signs by itself at 2026-02-20 10:00 UTC";
    assert_eq!(next(&mut shell, "JWT_SECRET"), (None, says.to_owned()));
}

/// Nothing but the date of the file says how old a secret is that was adopted in its place, and an edit
/// of another line changes that date.
#[test]
fn the_age_of_an_adopted_variable_is_a_least_age() {
    let mut shell = shell("JWT_SECRET", "jwt", "");
    let secret = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJBtZm9vYmFyYmF6cXV4MTIzNDU2Nzg5";
    let text = format!("SESSION_SECRET={secret}\n");
    inventory(
        &shell.path("dualkey.toml"),
        "[[secret]]\nname = \"SESSION_SECRET\"\npurpose = \"cookie\"\npriority = \"critical\"\n\
         store = { dotenv = \".env\" }\nrotate = \"quarterly\"\n",
    );
    let write = |shell: &Shell, text: &str, date: &str| {
        std::fs::write(shell.path(".env"), text).unwrap();
        let file = std::fs::File::options().write(true).open(shell.path(".env")).unwrap();
        file.set_modified(crate::support::shell::at(date)).unwrap();
    };
    write(&shell, &text, "2026-01-01T00:00:00Z");
    run_ok(&mut shell, "adopt");
    let age = |shell: &mut Shell| {
        let shown = status(shell, "SESSION_SECRET");
        (shown["since"].clone(), shown["is_since_at_least"].clone())
    };
    assert_eq!(age(&mut shell), ("2026-01-01T00:00:00Z".into(), true.into()));
    let (_, table) = shell.run("status SESSION_SECRET");
    assert!(table.contains("at least 14d"), "{table}");
    // An edit of another line: it is known since the adoption at least.
    write(&shell, &format!("PORT=3000\n{text}"), "2026-02-20T00:00:00Z");
    shell.set("2026-03-01T10:00:00Z");
    assert_eq!(age(&mut shell), ("2026-01-15T10:00:00Z".into(), true.into()));
    // Another value by hand is not that of the record.
    write(
        &shell,
        &text.replace("foobar", "barfoo").replace("q83v", "r94w"),
        "2026-02-20T00:00:00Z",
    );
    assert_eq!(age(&mut shell), ("2026-02-20T00:00:00Z".into(), true.into()));
    // A key that was made here has an exact date.
    run_ok(&mut shell, "rotate SESSION_SECRET --dry-run");
    run_ok(&mut shell, "emergency-rotate SESSION_SECRET --reason leaked --yes");
    assert_eq!(age(&mut shell), ("2026-03-01T10:00:00Z".into(), serde_json::Value::Null));
}

/// A use in the future keeps the key, and the operator learns how to correct that.
#[test]
fn a_use_that_is_dated_in_the_future_is_shown_with_its_remedy() {
    let mut shell = shell("JWT_SECRET", "jwt", "");
    run_ok(&mut shell, "generate --store JWT_SECRET");
    let store = FileStore::new(shell.path("JWT_SECRET.json"));
    let instance = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    instance.refresh().unwrap();
    let mut report = instance.ring().report("web-2");
    report.last_as_fallback = vec![(
        instance.ring().primary().unwrap(),
        crate::support::shell::at("2026-03-01T00:00:00Z"),
    )];
    pollster::block_on(store.save_report(&report)).unwrap();
    let (_, text) = shell.run("status JWT_SECRET");
    for part in
        ["the instance `web-2` dates a use of `", "2026-03-01T00:00:00Z", "restart the instance"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Where the reports say that this clock is wrong, the manifest is not to be corrected by it.
#[test]
fn a_clock_that_the_reports_contradict_is_set_and_corrects_nothing() {
    let mut shell = shell("JWT_SECRET", "jwt", "");
    run_ok(&mut shell, "generate --store JWT_SECRET");
    let instances = [shell.instance::<JwtKey>("JWT_SECRET.json", "web-1")];
    refresh(&instances);
    shell.set("2026-01-10T10:00:00Z");
    assert_eq!(next(&mut shell, "JWT_SECRET"), (None, "set the clock".to_owned()));
    // The instance runs with this time: the manifest has the wrong one.
    refresh(&instances);
    assert_eq!(take(&mut shell, "JWT_SECRET", &instances), "repair-clock JWT_SECRET");
    refresh(&instances);
    assert_eq!(next(&mut shell, "JWT_SECRET").1, "nothing");
}

/// The refusal names the moment at which there is room again.
#[test]
fn a_rotation_without_room_says_when_the_first_fallback_expires() {
    let mut shell = shell("JWT_SECRET", "jwt", "");
    run_ok(&mut shell, "generate --store JWT_SECRET");
    for _ in 0..3 {
        run_ok(&mut shell, "stage JWT_SECRET");
        run_ok(&mut shell, "promote JWT_SECRET --assume-deployed");
    }
    let (status, text) = shell.run("rotate JWT_SECRET");
    assert_eq!(status, 1, "{text}");
    for part in [
        "3 fallbacks are there already",
        "`dualkey status JWT_SECRET` shows the command",
        "expires at 2026-01-22 11:10 UTC",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let lines = take_until(&mut shell, &NONE, "JWT_SECRET", "nothing");
    assert_eq!(lines, ["retire", "destroy", "destroy", "destroy"]);
}
