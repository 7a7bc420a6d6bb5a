//! A clock that was wrong, and keys near or past their end, at the command line.

use std::fs;

use dualkey::jwt::JwtKey;

use super::command::shell;
use crate::support::shell::Shell;

fn run_ok(shell: &mut Shell, line: &str) -> String {
    let (status, text) = shell.run(line);
    assert_eq!(status, 0, "{line}: {text}");
    text
}

fn check_refused(shell: &mut Shell, line: &str, says: &str) {
    let before = fs::read(shell.path("JWT_SECRET.json")).unwrap();
    let (status, text) = shell.run(line);
    assert!(status == 1 && text.contains(says), "{line}: {status}: {text}");
    assert_eq!(fs::read(shell.path("JWT_SECRET.json")).unwrap(), before, "{line}");
}

#[test]
fn a_manifest_that_was_written_with_a_wrong_clock_is_repaired() {
    let mut shell = shell();
    let instance = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    // A laptop that is eleven years ahead. Nothing reports yet that disagrees by its own clock.
    fs::remove_dir_all(shell.path("JWT_SECRET.json.reports")).unwrap();
    shell.set("2037-03-01T00:00:00Z");
    run_ok(&mut shell, "stage JWT_SECRET");
    shell.set("2026-01-02T10:00:00Z");
    assert_eq!(instance.refresh().unwrap_err().as_str(), "refused");
    assert!(instance.health().is_serving && instance.health().last_error.is_some());
    // One that starts goes by its own clock, and says that something is wrong.
    let started = shell.instance::<JwtKey>("JWT_SECRET.json", "web-2");
    assert!(started.health().is_serving && started.health().changed_ahead.is_some());

    let (status, text) = shell.run("status JWT_SECRET");
    assert!(status == 5 && text.contains("dualkey repair-clock JWT_SECRET"), "{status}: {text}");
    check_refused(&mut shell, "stage JWT_SECRET", "repair-clock");
    let text = run_ok(&mut shell, "repair-clock JWT_SECRET --dry-run");
    assert!(text.contains("nothing was changed"), "{text}");
    let text = run_ok(&mut shell, "repair-clock JWT_SECRET");
    assert!(text.contains("clock repaired"), "{text}");
    let text = run_ok(&mut shell, "repair-clock JWT_SECRET");
    assert!(text.contains("nothing to correct"), "{text}");
    for following in [&instance, &started] {
        assert!(following.refresh().unwrap());
        assert_eq!(following.health().changed_ahead, None);
    }
    run_ok(&mut shell, "promote JWT_SECRET");
    let text = run_ok(&mut shell, "audit --action clock-repaired");
    assert!(text.contains("CLOCK_REPAIRED"), "{text}");
    assert_eq!(shell.run("audit verify").0, 0);
}

#[test]
fn instances_that_disagree_with_the_clock_stop_a_step_and_no_emergency() {
    let mut shell = shell();
    shell.set("2026-01-20T09:00:00Z");
    let instance = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    // An hour behind it, and a week ahead of it.
    for (time, says) in [
        ("2026-01-20T08:00:00Z", "which lie ahead"),
        ("2026-01-27T09:00:00Z", "older than the observation window"),
    ] {
        shell.set(time);
        check_refused(&mut shell, "stage JWT_SECRET", says);
        let (status, text) = shell.run("rotate JWT_SECRET");
        assert!(status == 1 && text.contains("FAIL clock"), "{text}");
    }
    let text = run_ok(&mut shell, "emergency-rotate JWT_SECRET --reason leaked --yes");
    assert!(text.contains("warning"), "{text}");
    // Where the operator knows better.
    let (status, text) = shell.run("rotate JWT_SECRET --skip clock --reason x --wait 0s");
    assert!(status == 3, "{status}: {text}");
    assert!(text.contains("FAIL clock") && text.contains("staged"), "{text}");
    run_ok(&mut shell, "stage JWT_SECRET --trust-clock");
    drop(instance);
}

/// A damaged report, or a pipe in its place, keeps an operator from no emergency.
#[test]
fn no_report_stops_an_emergency_or_a_revocation() {
    let mut shell = shell();
    let reports = shell.path("JWT_SECRET.json.reports");
    fs::create_dir_all(&reports).unwrap();
    fs::write(reports.join("x.json"), "{").unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(reports.join("y.json")).status();
    assert!(pipe.unwrap().success());
    run_ok(&mut shell, "emergency-rotate JWT_SECRET --reason leaked --yes");
    // The folder itself cannot be read.
    fs::remove_dir_all(&reports).unwrap();
    fs::write(&reports, "").unwrap();
    run_ok(&mut shell, "emergency-rotate JWT_SECRET --reason again --yes");
    // A step that asks the instances is refused, and says where.
    check_refused(&mut shell, "stage JWT_SECRET", "JWT_SECRET.json");
}

#[test]
fn an_expired_key_is_restaged_by_force_and_never_rolled_back_to() {
    let mut shell = shell();
    run_ok(&mut shell, "stage JWT_SECRET");
    let text = run_ok(&mut shell, "promote JWT_SECRET --assume-deployed");
    let row = |shell: &mut Shell| {
        let (_, text) = shell.run("status JWT_SECRET --json");
        let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
        rows[0].clone()
    };
    let old = row(&mut shell)["others"][0]["kid"].as_str().unwrap().to_owned();
    assert!(text.contains("verifies until"), "{text}");
    // Near its end it is not made the primary again, unless that is forced.
    shell.set("2026-01-09T09:30:00Z");
    check_refused(&mut shell, "rollback JWT_SECRET", "expires at");
    let (status, text) = shell.run("rollback JWT_SECRET --force");
    assert!(status == 2 && text.contains("--reason"), "{text}");
    let text = run_ok(&mut shell, "rollback JWT_SECRET --force --reason 'logins fail' --dry-run");
    assert!(text.contains("effect"), "{text}");

    shell.set("2026-01-12T09:00:00Z");
    check_refused(&mut shell, "rollback JWT_SECRET --force --reason x", "has expired");
    check_refused(&mut shell, &format!("restage JWT_SECRET --kid {old}"), "valid again");
    let line = format!("restage JWT_SECRET --kid {old} --force --reason 'a backup' --yes");
    run_ok(&mut shell, &line);
    assert_eq!(row(&mut shell)["others"][0]["state"], "staged");
    let text = run_ok(&mut shell, "audit --action restaged");
    assert!(text.contains("RESTAGED") && text.contains("forced: a backup"), "{text}");
}
