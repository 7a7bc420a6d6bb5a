//! The agent: killed at any moment, it takes every step, and none twice.

use std::process::Stdio;

use dualkey::Kid;
use dualkey::envelope::AesKey;
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::ops::audit::{Action, Entry, Outcome, Query};
use dualkey::ops::inventory::{Inventory, Project};
use dualkey::source::{FileStore, FollowHandle, KeyStore};
use serde_json::json;

use crate::support::is_full;
use crate::support::shell::{Shell, inventory};

const TABLES: &str = r#"
[[secret]]
name = "JWT_SECRET"
purpose = "jwt"
priority = "critical"
store = { file = "JWT_SECRET.json" }
rotate = "quarterly"
automatic = true
min_observed_verifications = 1
"#;

fn records(shell: &Shell) -> Vec<Entry> {
    let project = Project::new(Inventory::read(shell.path("dualkey.toml")).unwrap());
    pollster::block_on(async {
        let trail = project.trail().await.unwrap();
        let verified = trail.verify().await.unwrap();
        assert!(verified.is_whole(), "{verified:?}");
        let query = Query::new().secret("JWT_SECRET").with_started();
        let mut all = trail.query(&query).await.unwrap();
        all.reverse();
        all
    })
}

/// Runs the agent for one turn, and kills it at its system call `last`; how many it made, and
/// whether it was killed.
#[cfg(target_os = "linux")]
fn turn(shell: &Shell, last: usize) -> (usize, bool) {
    use nix::sys::ptrace;
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use nix::unistd::Pid;

    // Stopped before it begins, so that it cannot have ended before it is held.
    let mut command = shell.command(&["agent", "--once"]);
    let mut stopped = std::process::Command::new("sh");
    stopped.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]);
    stopped.arg(command.get_program()).args(command.get_args()).env_clear();
    stopped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    stopped.current_dir(command.get_current_dir().unwrap());
    command = stopped;
    command.env_remove("DUALKEY_BY").stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    ptrace::attach(pid).unwrap();
    kill(pid, Signal::SIGCONT).unwrap();
    let mut calls = 0;
    loop {
        let signal = match waitpid(pid, None).unwrap() {
            WaitStatus::Exited(..) => {
                // Its end was waited for already.
                let _ = child.wait();
                return (calls, false);
            }
            // That it was attached to, and each entry and return of a call.
            WaitStatus::Stopped(_, Signal::SIGSTOP | Signal::SIGTRAP) => None,
            WaitStatus::Stopped(_, signal) => Some(signal),
            _ => None,
        };
        calls += 1;
        if calls > last {
            child.kill().unwrap();
            child.wait().unwrap();
            return (calls, true);
        }
        ptrace::syscall(pid, signal).unwrap();
    }
}

/// Within one rotation it is killed so often, from before it has read anything until after it
/// has told of what it did; what it was killed in is settled by the next, and the rotation ends
/// as it would have.
#[test]
#[cfg(target_os = "linux")]
fn killed_again_and_again_it_ends_in_the_same_state_and_tells_each_step_once() {
    let kills = if is_full() { 201 } else { 30 };
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), TABLES);
    assert_eq!(shell.run("generate --store AUDIT_SECRET JWT_SECRET").0, 0);
    let following = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    let jwt = Jwt::new(following.ring().clone());
    let claims = json!({ "exp": 4_102_444_800_u64 });
    let use_it = || {
        let token = jwt.sign(&claims).unwrap();
        assert!(jwt.verify::<serde_json::Value>(&token).is_ok());
        following.refresh().unwrap();
    };
    let first = following.ring().primary().unwrap();

    let mut killed = 0;
    // When the new key is staged, when it is promoted, and when the old one is at its end.
    for day in ["2026-01-15T09:00:00Z", "2026-01-15T09:01:00Z", "2026-01-25T09:00:00Z"] {
        shell.set(day);
        use_it();
        // Later and later, so that the step is not taken by the first; once it is, a turn is
        // shorter.
        let (mut longest, mut here) = (1250, 0);
        while here < kills / 3 {
            let latest = longest * (here + 1) / (kills / 3);
            match turn(&shell, fastrand::usize(0..latest.max(1))) {
                (_, true) => here += 1,
                (calls, false) => longest = calls,
            }
        }
        killed += here;
        // The rest of this step, whoever started it.
        while turn(&shell, usize::MAX).1 {}
        use_it();
    }
    let entries = records(&shell);
    let done = |action: &Action, outcome: Outcome| {
        let has_outcome =
            |entry: &&Entry| entry.record.action == *action && entry.record.outcome == outcome;
        entries.iter().filter(has_outcome).count()
    };
    for action in [Action::CREATED, Action::STAGED, Action::ROTATED, Action::RETIRED] {
        assert_eq!(done(&action, Outcome::Success), 1, "{action}: {entries:#?}");
        assert_eq!(done(&action, Outcome::Unknown), 0, "{action}");
        // Each that was started was concluded, whoever recorded it.
        let ended = done(&action, Outcome::Success)
            + done(&action, Outcome::Abandoned)
            + done(&action, Outcome::Failed);
        assert_eq!(done(&action, Outcome::Started), ended, "{action}");
    }
    let abandoned =
        entries.iter().filter(|entry| entry.record.outcome == Outcome::Abandoned).count();
    println!("{killed} kills: {} records, {abandoned} steps started and not taken", entries.len());
    let ring = following.ring();
    assert_ne!(ring.primary().unwrap(), first);
    assert_eq!(ring.keys().len(), 2);
    assert_eq!(ring.load().revision(), 4, "staged, promoted, retired");
}

/// At each system call of a step, from the same beginning: a rotation is started and recorded,
/// or it is not.
#[test]
#[cfg(target_os = "linux")]
fn wherever_it_is_killed_the_next_takes_the_step_once() {
    let mut base = Shell::new("2026-01-02T09:00:00Z");
    inventory(&base.path("dualkey.toml"), TABLES);
    assert_eq!(base.run("generate --store AUDIT_SECRET JWT_SECRET").0, 0);
    let every = if is_full() { 1 } else { 11 };
    let (mut moments, mut settled) = (0, [0; 3]);
    for last in (0..).step_by(every) {
        let shell = base.copy();
        shell.set("2026-01-15T09:00:00Z");
        if !turn(&shell, last).1 {
            break;
        }
        moments += 1;
        while turn(&shell, usize::MAX).1 {}
        let entries = records(&shell);
        let of = |outcome: Outcome| {
            let has_outcome = |entry: &&Entry| {
                entry.record.action == Action::STAGED && entry.record.outcome == outcome
            };
            entries.iter().filter(has_outcome).count()
        };
        let (started, taken, left) =
            (of(Outcome::Started), of(Outcome::Success), of(Outcome::Abandoned));
        assert_eq!((started, taken), (1 + left, 1), "killed at call {last}: {entries:#?}");
        let store = FileStore::new(shell.path("JWT_SECRET.json"));
        let manifest = pollster::block_on(store.load()).unwrap();
        assert_eq!((manifest.revision(), manifest.keys().len()), (2, 2), "killed at call {last}");
        settled[left] += 1;
    }
    println!("killed at {moments} calls: {} times a step was left", settled[1]);
    assert!(moments > 1000 / every / 2 && settled[2] == 0);
}

/// A key that an operator staged for a later moment signs from that moment, and no operator is called.
#[test]
fn a_key_with_a_moment_of_its_own_is_left_to_it() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), TABLES);
    assert_eq!(shell.run("generate --store AUDIT_SECRET JWT_SECRET").0, 0);
    let following = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    let first = following.ring().primary().unwrap();
    let (status, text) = shell.run("stage JWT_SECRET --at 2026-01-12T00:00:00Z");
    assert!(status == 0 && text.contains("2026-01-12 00:00 UTC, in 9d 15h"), "{text}");
    following.refresh().unwrap();
    for time in ["2026-01-02T09:01:00Z", "2026-01-07T09:00:00Z", "2026-01-11T22:59:59Z"] {
        shell.set(time);
        following.refresh().unwrap();
        let (status, text) = shell.run("agent --once");
        assert_eq!(status, 0, "at {time}: {text}");
        let (status, text) = shell.run("status JWT_SECRET");
        assert!(status == 0 && text.contains("signs from 2026-01-12 00:00 UTC"), "{text}");
    }
    let json = shell.run("status JWT_SECRET --json").1;
    assert!(json.contains(r#""signs_from": "2026-01-12T00:00:00Z""#), "{json}");
    assert_eq!(following.ring().primary().unwrap(), first);
    shell.set("2026-01-12T00:00:00Z");
    assert_ne!(following.ring().primary().unwrap(), first);
    let entries = records(&shell);
    let actions: Vec<_> = entries.iter().map(|entry| entry.record.action.as_str()).collect();
    assert_eq!(actions, ["CREATED", "CREATED", "STAGED", "STAGED"], "started and done");
}

/// A key that an instance does not hold as its moment comes near is reported to an operator.
#[test]
fn a_moment_that_comes_too_soon_for_an_instance_is_reported() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), TABLES);
    assert_eq!(shell.run("generate --store AUDIT_SECRET JWT_SECRET").0, 0);
    let follow = |name: &str| shell.instance::<JwtKey>("JWT_SECRET.json", name);
    let (current, _late) = (follow("web-1"), follow("web-2"));
    assert_eq!(shell.run("stage JWT_SECRET --at 2026-01-02T11:00:00Z").0, 0);
    current.refresh().unwrap();
    let (status, text) = shell.run("status JWT_SECRET");
    assert!(status == 0 && text.contains("underway"), "{text}");
    shell.set("2026-01-02T10:30:00Z");
    current.refresh().unwrap();
    let (status, text) = shell.run("status JWT_SECRET");
    assert!(status == 5 && text.contains("about to sign") && text.contains("web-2"), "{text}");
}

#[test]
fn a_step_that_is_not_automatic_is_left_to_an_operator() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), &TABLES.replace("automatic = true", ""));
    assert_eq!(shell.run("generate --store AUDIT_SECRET JWT_SECRET").0, 0);
    shell.set("2026-01-15T09:00:00Z");
    let (status, text) = shell.run("agent --once");
    // There is an operator to remind, and no webhook.
    assert!(status == 1 && text.contains("HOOK"), "{text}");
    assert_eq!(records(&shell).len(), 2, "created, and nothing else");
}

/// A project with a secret in the file `SECRET.json`, which the agent rotates each quarter.
fn project(purpose: &str, more: &str) -> Shell {
    let mut shell = Shell::new("2026-01-16T09:00:00Z");
    let table = format!(
        "[[secret]]\nname = \"SECRET\"\npurpose = \"{purpose}\"\npriority = \"critical\"\n\
         store = {{ file = \"SECRET.json\" }}\nrotate = \"quarterly\"\nautomatic = true\n{more}"
    );
    inventory(&shell.path("dualkey.toml"), &table);
    run_ok(&mut shell, "generate --store AUDIT_SECRET SECRET");
    shell
}

/// Runs the agent once, and returns what it prints of the secret: not of the webhook, which is not set.
fn tick(shell: &mut Shell) -> Vec<String> {
    let (_, text) = shell.run("agent --once");
    text.lines().filter(|line| line.starts_with("SECRET: ")).map(str::to_owned).collect()
}

fn run_ok(shell: &mut Shell, line: &str) {
    let (status, text) = shell.run(line);
    assert_eq!(status, 0, "{line}: {text}");
}

/// Changes the policy at `time`: the keys stay.
fn set_longer_lifetime(shell: &mut Shell, time: &str) {
    let text = std::fs::read_to_string(shell.path("dualkey.toml")).unwrap();
    std::fs::write(shell.path("dualkey.toml"), format!("{text}max_lifetime = \"8d\"\n")).unwrap();
    shell.set(time);
    run_ok(shell, "policy SECRET");
}

/// A project with an encryption key that was rotated, whose first key was retired by force.
fn retired_encryption_key() -> (Shell, FollowHandle<AesKey>, Kid) {
    let mut shell = project("envelope", "backup = { file = \"backup.dump\", max_age = \"1d\" }\n");
    std::fs::write(shell.path("backup.dump"), "a backup").unwrap();
    let following = shell.instance::<AesKey>("SECRET.json", "web-1");
    let first = following.ring().primary().unwrap();
    for line in ["stage SECRET", "promote SECRET"] {
        run_ok(&mut shell, line);
        following.refresh().unwrap();
    }
    run_ok(&mut shell, &format!("retire SECRET --kid {first} --force --reason test --yes"));
    following.refresh().unwrap();
    (shell, following, first)
}

/// Only an operator knows what a key was restaged for.
#[test]
fn a_restaged_key_is_neither_promoted_nor_followed_by_another() {
    let (mut shell, following, first) = retired_encryption_key();
    let second = following.ring().primary().unwrap();
    run_ok(&mut shell, &format!("restage SECRET --kid {first}"));
    following.refresh().unwrap();
    let revision = following.ring().load().revision();
    // Before the next date and after it.
    for time in ["2026-01-16T09:01:00Z", "2026-04-15T09:00:00Z"] {
        shell.set(time);
        following.refresh().unwrap();
        assert_eq!(tick(&mut shell), Vec::<String>::new(), "at {time}");
        following.refresh().unwrap();
        assert_eq!(following.ring().primary().unwrap(), second, "at {time}");
    }
    assert_eq!(following.ring().load().revision(), revision);
}

/// No rewrap is recorded, so the status shows that the rotation has stopped midway.
#[test]
fn a_due_rotation_waits_for_one_that_has_stopped_midway() {
    let mut shell = project("envelope", "backup = { file = \"backup.dump\", max_age = \"1d\" }\n");
    std::fs::write(shell.path("backup.dump"), "a backup").unwrap();
    let following = shell.instance::<AesKey>("SECRET.json", "web-1");
    for line in ["stage SECRET", "promote SECRET"] {
        run_ok(&mut shell, line);
        following.refresh().unwrap();
    }
    let revision = following.ring().load().revision();
    shell.set("2026-04-15T09:00:00Z");
    following.refresh().unwrap();
    let (status, text) = shell.run("status SECRET");
    assert!(status == 5 && text.contains("dualkey rewrap SECRET"), "{text}");
    assert_eq!(tick(&mut shell), Vec::<String>::new());
    following.refresh().unwrap();
    assert_eq!(following.ring().load().revision(), revision);
}

/// The agent was stopped before the old key expired, and runs again when the next rotation is due.
#[test]
fn the_end_of_an_old_key_is_recorded_before_the_next_rotation_and_its_secret_is_kept() {
    let mut shell = project("jwt", "");
    let following = shell.instance::<JwtKey>("SECRET.json", "web-1");
    for line in ["stage SECRET", "promote SECRET"] {
        run_ok(&mut shell, line);
        following.refresh().unwrap();
    }
    let mut last = following.ring().primary().unwrap();
    // The key that expired in the first quarter, whose secret is there, hides no step of the second.
    for quarter in ["2026-04-15", "2026-07-15"] {
        shell.set(&format!("{quarter}T09:00:00Z"));
        following.refresh().unwrap();
        let mut told = Vec::new();
        for _ in 0..4 {
            told.extend(tick(&mut shell));
            following.refresh().unwrap();
        }
        let steps: Vec<_> = told.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(steps, ["RETIRED", "STAGED", "ROTATED"], "{told:?}");
        assert_ne!(following.ring().primary().unwrap(), last);
        last = following.ring().primary().unwrap();
    }
    let manifest = pollster::block_on(FileStore::new(shell.path("SECRET.json")).load()).unwrap();
    assert_eq!(manifest.keys().len(), 4);
    assert!(manifest.keys().iter().all(|key| key.secret().is_some()), "no secret is destroyed");
}

#[test]
fn a_step_that_is_refused_because_of_the_clock_is_reported() {
    let mut shell = project("jwt", "");
    let following = shell.instance::<JwtKey>("SECRET.json", "web-1");
    let revision = following.ring().load().revision();
    // The last change lies ahead, and nothing is due, so nothing is refused.
    shell.set("2026-01-16T08:00:00Z");
    assert_eq!(tick(&mut shell), Vec::<String>::new());
    // The same, and a rotation is due.
    shell.set("2026-04-15T12:00:00Z");
    following.refresh().unwrap();
    set_longer_lifetime(&mut shell, "2026-04-15T12:00:00Z");
    following.refresh().unwrap();
    let changed = following.ring().load().revision();
    assert_ne!(changed, revision);
    shell.set("2026-04-15T09:00:00Z");
    let told = tick(&mut shell);
    assert!(told.len() == 1 && told[0].contains("checks failed: clock"), "{told:?}");
    following.refresh().unwrap();
    assert_eq!(following.ring().load().revision(), changed);
}

/// The check that fails names the instance, as it does for an operator.
#[test]
fn a_rotation_that_is_due_waits_for_an_instance_that_holds_other_keys() {
    let mut shell = project("jwt", "");
    let follow = |name: &str| shell.instance::<JwtKey>("SECRET.json", name);
    let (current, late) = (follow("web-1"), follow("web-2"));
    shell.set("2026-04-14T22:00:00Z");
    late.refresh().unwrap();
    set_longer_lifetime(&mut shell, "2026-04-14T22:00:00Z");
    shell.set("2026-04-15T09:00:00Z");
    current.refresh().unwrap();
    let told = tick(&mut shell);
    assert!(told.len() == 1 && told[0].contains("checks failed: instances"), "{told:?}");
    late.refresh().unwrap();
    let told = tick(&mut shell);
    assert!(told.len() == 1 && told[0].starts_with("SECRET: STAGED "), "{told:?}");
}

/// The trail dates a restage by the operator's clock, and one that was started again lacks it.
#[test]
fn a_restaged_key_is_not_promoted_whatever_the_trail_lacks() {
    for (clock, is_restarted) in [
        ("2026-01-16T09:00:00Z", false),
        ("2026-01-16T08:59:00Z", false),
        ("2026-01-16T09:00:00Z", true),
    ] {
        let (mut shell, following, first) = retired_encryption_key();
        let primary = following.ring().primary().unwrap();
        shell.set(clock);
        run_ok(&mut shell, &format!("restage SECRET --kid {first}"));
        shell.set("2026-01-16T09:01:00Z");
        following.refresh().unwrap();
        if is_restarted {
            run_ok(&mut shell, "audit restart --reason lost --yes");
        }
        tick(&mut shell);
        following.refresh().unwrap();
        assert_eq!(following.ring().primary().unwrap(), primary, "{clock} {is_restarted}");
    }
}

/// A promotion that the clock refuses is reported, and not recorded at each turn.
#[test]
fn a_promotion_that_the_clock_refuses_is_reported_and_not_recorded() {
    let mut shell = project("jwt", "");
    let following = shell.instance::<JwtKey>("SECRET.json", "web-1");
    run_ok(&mut shell, "stage SECRET");
    following.refresh().unwrap();
    shell.set("2026-01-16T07:00:00Z");
    let before = records(&shell).len();
    for _ in 0..2 {
        let lines = tick(&mut shell).concat();
        assert!(lines.contains("clock"), "{lines}");
    }
    assert_eq!(records(&shell).len(), before);
}
