//! A quarter in the life of a project, typed at the real binary.

use dualkey::Clock;
use dualkey::jwt::{Jwt, JwtKey};
use dualkey::source::FollowHandle;
use serde_json::json;

use crate::support::shell::{DAY, Shell};

#[test]
fn a_quarter_goes_as_the_transcript_says() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    shell.say("2 January: a project begins");
    shell.run("init");
    shell.run("init");
    shell.run("generate");
    shell.run("generate");
    shell.run("status JWT_SECRET");
    shell.run("generate --store AUDIT_SECRET JWT_SECRET SESSION_SECRET");
    let old = format!("META_VERIFY_TOKEN={}", "hV3-dashboard-token");
    std::fs::write(shell.path(".env"), format!("PORT=3000\n{old} # at Meta\n")).unwrap();
    let instances: Vec<_> = ["web-1", "web-2"]
        .map(|name| shell.instance::<JwtKey>("keys/production/JWT_SECRET.json", name))
        .into();
    let jwt = Jwt::new(instances[0].ring().clone());
    let claims = json!({ "sub": "user-42", "exp": 4_102_444_800_u64 });
    let token = jwt.sign(&claims).unwrap();
    shell.run("status");

    shell.set("2026-01-12T09:00:00Z");
    shell.say("12 January: it draws near");
    shell.run("status JWT_SECRET");
    shell.run("record GITHUB_DEPLOY_KEY rotated");

    shell.set("2026-01-14T12:00:00Z");
    refresh(&instances);
    shell.set("2026-01-15T10:00:00Z");
    shell.say("15 January: the day");
    // A day of traffic, so that silence means something.
    let session = jwt.sign(&claims).unwrap();
    (0..1200).for_each(|_| assert!(jwt.verify::<serde_json::Value>(&session).is_ok()));
    shell.run("status JWT_SECRET SESSION_SECRET");
    // By what they say the clock is right as well.
    refresh(&instances);
    shell.run("rotate JWT_SECRET --dry-run");
    shell.run("stage JWT_SECRET --reason 'the quarter'");
    refresh(&instances);
    shell.run("rotate JWT_SECRET");
    shell.run("promote JWT_SECRET --reason 'the quarter'");
    refresh(&instances);
    assert!(jwt.verify::<serde_json::Value>(&token).unwrap().needs_resign());
    shell.run("status JWT_SECRET");
    shell.run("stage META_VERIFY_TOKEN");
    shell.run("promote META_VERIFY_TOKEN");
    shell.run("promote META_VERIFY_TOKEN --assume-deployed");
    shell.run("retire META_VERIFY_TOKEN");

    // A week of traffic, under the new key, seen by both.
    for day in 0..8 {
        shell.clock.advance(DAY);
        let fresh = jwt.sign(&claims).unwrap();
        for _ in 0..1200 {
            assert!(jwt.verify::<serde_json::Value>(&fresh).is_ok());
        }
        refresh(&instances);
        if day == 3 {
            let now = jiff::Timestamp::try_from(shell.clock.now()).unwrap().to_string();
            shell.set(&now);
            shell.say("19 January: not yet");
            shell.run("status JWT_SECRET");
        }
    }
    shell.set("2026-01-23T10:00:00Z");
    shell.say("23 January: seven days, and what the deployment took");
    assert!(jwt.verify::<serde_json::Value>(&token).is_err(), "its week is over");
    shell.run("status JWT_SECRET META_VERIFY_TOKEN");
    let (_, retired) = shell.run("retire JWT_SECRET --reason 'the quarter'");
    let kid = retired.split_whitespace().nth(4).unwrap().trim_end_matches(',').to_owned();
    shell.run(&format!("destroy JWT_SECRET --kid {kid}"));
    shell.run(&format!("destroy JWT_SECRET --kid {kid} --yes"));
    shell.run("retire META_VERIFY_TOKEN");
    let text = std::fs::read_to_string(shell.path(".env")).unwrap();
    assert!(text.starts_with("PORT=3000\nMETA_VERIFY_TOKEN=") && !text.contains(" # at Meta"));
    assert!(!text.contains("hV3-dashboard-token") && text.lines().count() == 2);
    shell.run("audit verify");
    shell.run("audit --secret JWT_SECRET");

    shell.set("2026-02-03T03:12:00Z");
    shell.say("3 February: it is in a public log");
    let sessions = shell
        .instance::<dualkey::cookie::CookieKey>("keys/production/SESSION_SECRET.json", "web-1");
    shell.run("emergency-rotate SESSION_SECRET");
    shell.run("emergency-rotate SESSION_SECRET --reason 'in a public log'");
    shell.run("emergency-rotate SESSION_SECRET --reason 'in a public log' --yes");
    sessions.refresh().unwrap();
    shell.run("status SESSION_SECRET");
    shell.run("audit --last-rotations");
    shell.run("rotate AUDIT_SECRET --reason 'to be sure'");
    shell.run("audit verify");

    shell.set("2026-04-20T09:00:00Z");
    shell.say("20 April: somebody was on holiday");
    shell.run("status JWT_SECRET GITHUB_DEPLOY_KEY");
    shell.run("remind --dry-run");
    let colored = shell.command(&["status", "JWT_SECRET"]).env("CLICOLOR_FORCE", "1").output();
    assert!(String::from_utf8(colored.unwrap().stdout).unwrap().contains("\u{1b}["));
    let mut plain = shell.command(&["status", "JWT_SECRET"]);
    let plain = plain.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").output();
    assert!(!String::from_utf8(plain.unwrap().stdout).unwrap().contains('\u{1b}'));
    insta::assert_snapshot!(shell.transcript);
}

fn refresh(instances: &[FollowHandle<JwtKey>]) {
    instances.iter().for_each(|instance| instance.refresh().map(|_| ()).unwrap());
}
