//! A report that cannot be read, or is from the future: it objects for a while, and holds up nothing
//! for ever.

use std::fs;
use std::time::Duration;

use dualkey::jwt::JwtKey;
use dualkey::source::{FileStore, KeyStore};

use super::command::shell;
use super::files::run;
use crate::support::found::ALL;
use crate::support::shell::{DAY, Shell, at};

/// The system's time, of which the time stamps of files are.
fn today(shell: &Shell, days: u32) {
    let now = jiff::Timestamp::try_from(std::time::SystemTime::now() + days * DAY).unwrap();
    shell.set(&now.to_string());
}

fn write_broken_report(shell: &Shell, instance: &str) {
    let folder = shell.path("JWT_SECRET.json.reports");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{instance}.json")), "{").unwrap();
}

#[test]
fn a_broken_report_holds_up_a_promotion_for_one_window_and_no_emergency() {
    let mut shell = shell();
    today(&shell, 0);
    let instance = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    instance.refresh().unwrap();
    write_broken_report(&shell, "web%1b2");
    // It is named, escaped, and said to be what it is.
    let says = "cannot read the report of the instance `web\\u{1b}2`: it is no report, at line 1";
    let (status, text) = shell.run("promote JWT_SECRET");
    assert!(status == 1 && text.contains(says), "{text}");
    let (_, text) = shell.run("status JWT_SECRET");
    assert!(text.contains(says), "{text}");
    let (_, text) = shell.run("status JWT_SECRET --json");
    assert!(text.contains("\"warnings\"") && text.contains("cannot read the report"), "{text}");
    let (status, text) = shell.run("doctor");
    assert!(status == 3 && text.contains("report   JWT_SECRET (production): cannot"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    // What cannot wait does not wait for it.
    let (status, text) = shell.run("emergency-rotate JWT_SECRET --reason leaked --yes");
    assert_eq!(status, 0, "{text}");
    let (_, text) = shell.run("stage JWT_SECRET");
    let kid = text.split("key       ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let (status, text) = shell.run(&format!("revoke JWT_SECRET --kid {kid} --reason x --yes"));
    assert_eq!(status, 0, "{text}");

    // After the observation window it counts as gone, as one that fell silent.
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    today(&shell, 2);
    instance.refresh().unwrap();
    let (status, text) = shell.run("promote JWT_SECRET");
    assert_eq!(status, 0, "{text}");
    assert!(shell.run("status JWT_SECRET").1.contains(says));
}

/// Others may have written there, so that nothing in it is evidence.
#[test]
fn a_folder_of_reports_that_others_can_write_holds_up_what_needs_reports_and_no_emergency() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let mut shell = shell();
    let instance = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    instance.refresh().unwrap();
    let folder = shell.path("JWT_SECRET.json.reports");
    let chmod = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    chmod(&folder, 0o777);
    let elsewhere = shell.path("elsewhere");
    for is_link in [false, true] {
        if is_link {
            fs::rename(&folder, &elsewhere).unwrap();
            symlink(&elsewhere, &folder).unwrap();
        }
        // Also where the silence of the instances would be accepted.
        let promotions = ["promote JWT_SECRET", "promote JWT_SECRET --assume-deployed"];
        let promotions = promotions.iter().filter(|_| !is_link);
        for line in ["stage JWT_SECRET", "rollback JWT_SECRET"].iter().chain(promotions) {
            let (status, text) = shell.run(line);
            assert!(status == 1 && text.contains("JWT_SECRET.json.reports"), "{line}: {text}");
            assert!(text.contains("(mode 0777); run `chmod go-w`"), "{line}: {text}");
        }
        let (status, text) = shell.run("status JWT_SECRET");
        assert!(status == 1 && text.contains("others may write it"), "{text}");
        let (status, text) = shell.run("doctor");
        assert!(status == 3 && text.contains("run `chmod go-w`"), "{text}");
        let (status, text) = shell.run("emergency-rotate JWT_SECRET --reason leaked --yes");
        assert_eq!(status, 0, "{text}");
        assert!(text.contains("emergency rotated"), "{text}");
        assert!(text.contains("next      cannot use ") && text.contains("(mode 0777)"), "{text}");
        let store = FileStore::new(shell.path("JWT_SECRET.json"));
        let primary = pollster::block_on(store.load()).unwrap().primary(at("2026-01-02T09:00:00Z"));
        let kid = pollster::block_on(store.load()).unwrap().keys()[0].kid();
        assert_ne!(primary, kid);
        let (status, text) = shell.run(&format!("revoke JWT_SECRET --kid {kid} --reason x --yes"));
        assert_eq!(status, 0, "{text}");
    }
    chmod(&elsewhere, 0o700);
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    instance.refresh().unwrap();
    let (status, text) = shell.run("promote JWT_SECRET");
    assert_eq!(status, 0, "{text}");
}

#[test]
fn a_report_that_is_no_file_holds_no_command() {
    let mut shell = shell();
    today(&shell, 0);
    let folder = shell.path("JWT_SECRET.json.reports");
    fs::create_dir_all(&folder).unwrap();
    for found in ALL {
        found.put(&folder.join("x.json"));
        for line in
            ["status JWT_SECRET", "doctor", "emergency-rotate JWT_SECRET --reason leaked --yes"]
        {
            let (status, text) = run(&mut shell, line);
            assert_ne!(status, 1, "{found:?}, {line}: {text}");
            let is_shown = line.starts_with("emergency") || text.contains(found.words());
            assert!(is_shown, "{found:?}, {line}: {text}");
        }
        crate::support::found::remove(&folder.join("x.json"));
    }
}

#[test]
fn an_instance_whose_clock_was_ahead_holds_up_a_promotion_for_one_window() {
    let mut shell = shell();
    let start = "2026-01-05T09:00:00Z";
    shell.set(start);
    let store = FileStore::new(shell.path("JWT_SECRET.json"));
    let instance = shell.instance::<JwtKey>("JWT_SECRET.json", "web-1");
    // Ten years ahead, and gone.
    let mut ahead = instance.ring().report("web-2");
    ahead.reported_at += Duration::from_secs(10 * 365 * 86_400);
    pollster::block_on(store.save_report(&ahead)).unwrap();
    assert_eq!(shell.run("stage JWT_SECRET").0, 0);
    instance.refresh().unwrap();
    let (status, text) = shell.run("promote JWT_SECRET");
    assert!(status == 1 && text.contains("the instance `web-2` holds other keys"), "{text}");
    let says = "the report of the instance `web-2` is from the future (2036-01-03T09:00:00Z)";
    let (_, text) = shell.run("status JWT_SECRET");
    assert!(text.contains(says), "{text}");
    let (status, text) = shell.run("doctor");
    assert!(status == 3 && text.contains(says), "{text}");
    assert!(!text.contains("the clock is behind"), "{text}");
    shell.clock.set(at(start) + DAY + Duration::from_secs(60));
    shell.set("2026-01-06T09:01:00Z");
    instance.refresh().unwrap();
    let (status, text) = shell.run("promote JWT_SECRET");
    assert_eq!(status, 0, "{text}");

    // Alone it says that this clock is the wrong one.
    pollster::block_on(store.forget_report("web-1")).unwrap();
    let (_, text) = shell.run("doctor");
    assert!(text.contains("the clock is behind every report"), "{text}");
}
