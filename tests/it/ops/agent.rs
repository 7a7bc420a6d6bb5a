//! The agent: killed at any moment, it takes every step, and none twice.

use std::process::{Child, Stdio};
use std::time::Duration;

use dualkey::jwt::{Jwt, JwtKey};
use dualkey::ops::audit::{Action, Entry, Outcome, Query};
use dualkey::ops::inventory::{Inventory, Project};
use dualkey::source::FileStore;
use dualkey::{Clock, KeyRing};
use serde_json::json;

use super::shell::{DAY, Shell, inventory};
use crate::common::is_full;

const TABLES: &str = r#"
[[secret]]
name = "JWT_SECRET"
purpose = "jwt"
priority = "critical"
store = { file = "JWT_SECRET.json" }
rotate = "quarterly"
automatic = true
enough_traffic = 1
"#;

fn records(shell: &Shell) -> Vec<Entry> {
    let project = Project::new(Inventory::read(shell.path("dualkey.toml")).unwrap());
    pollster::block_on(async {
        let trail = project.trail().await.unwrap();
        let verified = trail.verify().await.unwrap();
        assert!(verified.is_whole(), "{verified:?}");
        let query = Query::new().secret("JWT_SECRET").with_begun();
        let mut all = trail.query(&query).await.unwrap();
        all.reverse();
        all
    })
}

fn spawn(shell: &Shell) -> Child {
    let mut command = shell.command(&["agent", "--every", "1s"]);
    command.env_remove("DUALKEY_BY").stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Within one rotation it is killed so often, at moments that nobody chose; what it was killed
/// in is settled, and the rotation ends as it would have.
#[test]
fn killed_again_and_again_it_ends_in_the_same_state_and_tells_each_step_once() {
    let kills = if is_full() { 200 } else { 30 };
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), TABLES);
    assert_eq!(shell.run("generate --store AUDIT_SECRET JWT_SECRET").0, 0);
    let following = KeyRing::<JwtKey>::builder()
        .environment("production")
        .clock(shell.clock.clone())
        .follow(FileStore::new(shell.path("JWT_SECRET.json")))
        .instance("web-1")
        .on_demand()
        .unwrap();
    let jwt = Jwt::new(following.ring().clone());
    let claims = json!({ "exp": 4_102_444_800_u64 });
    let use_it = || {
        let token = jwt.sign(&claims).unwrap();
        assert!(jwt.verify::<serde_json::Value>(&token).is_ok());
        following.refresh().unwrap();
    };
    use_it();
    let first = following.ring().primary();

    // Due, then a day after the other until long after the end of the old key.
    shell.set("2026-01-15T09:00:00Z");
    let days = 10;
    let mut killed = 0;
    for round in 0..kills + 40 {
        let mut agent = spawn(&shell);
        // From before it has read anything until after it has taken a step.
        std::thread::sleep(Duration::from_micros(fastrand::u64(500..60_000)));
        if agent.try_wait().unwrap().is_none() {
            agent.kill().unwrap();
            killed += 1;
        }
        agent.wait().unwrap();
        use_it();
        let is_next = round % (kills / days).max(1) == 0;
        if is_next && round < kills {
            shell.clock.advance(DAY);
            shell.set(&jiff::Timestamp::try_from(shell.clock.now()).unwrap().to_string());
            use_it();
        }
    }
    assert!(killed >= kills, "{killed}");
    // In the end it is let be.
    for _ in 0..4 {
        let output = shell.command(&["agent", "--once"]).output().unwrap();
        assert!(output.status.code().is_some());
        use_it();
    }

    let own = records(&shell);
    let done = |action: &Action, outcome: Outcome| {
        own.iter()
            .filter(|own| own.record.action == *action && own.record.outcome == outcome)
            .count()
    };
    for action in [Action::CREATED, Action::STAGED, Action::ROTATED, Action::RETIRED] {
        assert_eq!(done(&action, Outcome::Success), 1, "{action}: {own:#?}");
        assert_eq!(done(&action, Outcome::Unknown), 0, "{action}");
        // Each that was begun came to an end, whoever told of it.
        let ended = done(&action, Outcome::Success)
            + done(&action, Outcome::Abandoned)
            + done(&action, Outcome::Failed);
        assert_eq!(done(&action, Outcome::Begun), ended, "{action}");
    }
    let abandoned = own.iter().filter(|own| own.record.outcome == Outcome::Abandoned).count();
    println!("{killed} kills: {} records, {abandoned} steps begun and not taken", own.len());
    let ring = following.ring();
    assert_ne!(ring.primary(), first);
    assert_eq!(ring.keys().len(), 2);
    assert_eq!(ring.load().revision(), 4, "staged, promoted, retired");
}

#[test]
fn what_is_not_automatic_is_left_to_somebody() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), &TABLES.replace("automatic = true", ""));
    assert_eq!(shell.run("generate --store AUDIT_SECRET JWT_SECRET").0, 0);
    shell.set("2026-01-15T09:00:00Z");
    let (status, text) = shell.run("agent --once");
    // There is somebody to remind, and no webhook.
    assert!(status == 1 && text.contains("HOOK"), "{text}");
    assert_eq!(records(&shell).len(), 2, "created, and nothing else");
}
