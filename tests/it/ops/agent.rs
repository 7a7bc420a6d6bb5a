//! The agent: killed at any moment, it takes every step, and none twice.

use std::process::Stdio;

use dualkey::jwt::{Jwt, JwtKey};
use dualkey::ops::audit::{Action, Entry, Outcome, Query};
use dualkey::ops::inventory::{Inventory, Project};
use dualkey::source::{FileStore, KeyStore};
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
        let is_own =
            |entry: &&Entry| entry.record.action == *action && entry.record.outcome == outcome;
        entries.iter().filter(is_own).count()
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
            let is_own = |entry: &&Entry| {
                entry.record.action == Action::STAGED && entry.record.outcome == outcome
            };
            entries.iter().filter(is_own).count()
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
