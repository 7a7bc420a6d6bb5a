//! The step that is next, typed at the moment that it names: each is accepted.

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::envelope::{AesKey, Sealer};
use dualkey::jwt::JwtKey;
use dualkey::source::{FileStore, FollowHandle, KeyStore};
use dualkey::{KeyMaterial, Verdict};

use crate::support::database::Base;
use crate::support::notes::context;
use crate::support::postgres::runtime;
use crate::support::shell::{DAY, Shell, at, inventory};

/// The cell `next` of a secret: the moment that it names, and the command.
pub fn next(shell: &mut Shell, name: &str) -> (Option<String>, String) {
    let (_, text) = shell.run(&format!("status {name}"));
    let mut lines = text.lines();
    let column = lines.next().unwrap().find("next").unwrap();
    let cell: String = lines.next().unwrap().chars().skip(column).collect();
    let Some(rest) = cell.strip_prefix("from ") else { return (None, cell) };
    let (moment, command) = rest.split_once(" UTC: ").unwrap();
    (Some(format!("{}:00Z", moment.replace(' ', "T"))), command.to_owned())
}

/// Types the next step at the moment that it names, while the instances follow.
pub fn take<K: KeyMaterial>(
    shell: &mut Shell,
    name: &str,
    instances: &[FollowHandle<K>],
) -> String {
    let (moment, command) = next(shell, name);
    if let Some(moment) = moment {
        assert!(at(&moment) > dualkey::Clock::now(&shell.clock), "{moment} has come: {command}");
        shell.set(&moment);
        shell.say(&format!("{moment}: the moment that is named"));
        refresh(instances);
    }
    let mut line = command.strip_prefix("dualkey ").expect(&command).to_owned();
    if line.starts_with("destroy ") || line.contains(" --force ") {
        // On a terminal the name of the secret is typed.
        line.push_str(" --yes");
    }
    // A rotation waits for the instances; every other step is taken before they reload.
    let (status, text) = if line.starts_with("rotate ") {
        while_they_follow(instances, || shell.run(&line))
    } else {
        shell.run(&line)
    };
    if line.starts_with("rotate ") {
        refresh(instances);
    }
    assert_eq!(status, 0, "{line}: {text}\n{}", shell.transcript);
    line
}

fn while_they_follow<K: KeyMaterial, T>(
    instances: &[FollowHandle<K>],
    work: impl FnOnce() -> T,
) -> T {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Relaxed) {
                refresh(instances);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        let result = work();
        is_done.store(true, Relaxed);
        result
    })
}

pub fn refresh<K: KeyMaterial>(instances: &[FollowHandle<K>]) {
    instances.iter().for_each(|instance| instance.refresh().map(|_| ()).unwrap());
}

/// No moment of an obstacle or a wait is left out of what is printed.
fn has_moments(transcript: &str) {
    for line in transcript.lines() {
        let is_wait =
            ["wait until", "needed until", "must stay unused until", "may still be valid"];
        if is_wait.iter().any(|part| line.contains(part)) {
            assert!(line.contains(" UTC"), "{line}");
        }
    }
}

#[test]
fn each_step_of_a_quarter_is_accepted_when_it_is_typed() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(
        &shell.path("dualkey.toml"),
        "[[secret]]\nname = \"JWT_SECRET\"\npurpose = \"jwt\"\npriority = \"critical\"\n\
         store = { file = \"JWT_SECRET.json\" }\nrotate = \"quarterly\"\n\n\
         [[secret]]\nname = \"SESSION_SECRET\"\npurpose = \"cookie\"\npriority = \"critical\"\n\
         store = { file = \"SESSION_SECRET.json\" }\nrotate = \"quarterly\"\n",
    );
    shell.run("generate --store AUDIT_SECRET JWT_SECRET SESSION_SECRET");
    let tokens = [shell.instance::<JwtKey>("JWT_SECRET.json", "web-1")];
    let sessions = [shell.instance::<CookieKey>("SESSION_SECRET.json", "web-1")];
    let signer = CookieSigner::new(sessions[0].ring().clone());

    shell.set("2026-01-15T10:00:20Z");
    shell.say("15 January: the day");
    refresh(&tokens);
    refresh(&sessions);
    assert_eq!(take(&mut shell, "JWT_SECRET", &tokens), "rotate JWT_SECRET");
    let session = signer.sign("session", "user-42").unwrap();
    assert_eq!(take(&mut shell, "SESSION_SECRET", &sessions), "rotate SESSION_SECRET");

    shell.set("2026-01-16T10:00:00Z");
    shell.say("16 January: too early, which is accepted, and cuts nothing short");
    refresh(&tokens);
    refresh(&sessions);
    let (moment, command) = next(&mut shell, "JWT_SECRET");
    assert_eq!(moment.as_deref(), Some("2026-01-22T11:11:00Z"));
    let (status, text) = shell.run(command.strip_prefix("dualkey ").unwrap());
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("retired and ends at 2026-01-22 11:11 UTC"), "{text}");
    let destroy = command.replace("dualkey retire", "destroy") + " --yes";
    let (status, text) = shell.run(&destroy);
    assert_eq!(status, 1);
    assert!(
        text.contains("is retired and still verifies until 2026-01-22 11:11 UTC; destroy it then"),
        "{text}"
    );
    let line = take(&mut shell, "JWT_SECRET", &tokens);
    assert!(line.starts_with("destroy JWT_SECRET --kid "), "{line}");
    refresh(&tokens);
    assert_eq!(next(&mut shell, "JWT_SECRET").1, "dualkey rotate JWT_SECRET");

    // The other one is retired when its time has come.
    refresh(&sessions);
    assert!(signer.verify("session", &session).is_err());
    let line = take(&mut shell, "SESSION_SECRET", &sessions);
    assert!(line.starts_with("destroy SESSION_SECRET --kid "), "{line}");
    refresh(&sessions);
    assert_eq!(next(&mut shell, "SESSION_SECRET").1, "dualkey rotate SESSION_SECRET");
    has_moments(&shell.transcript);
    insta::assert_snapshot!(remove_chance(&shell.transcript));
}

#[test]
fn an_encryption_key_is_rotated_and_destroyed_by_the_steps_that_are_shown() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let mut shell = Shell::new("2026-01-12T09:00:00Z");
        inventory(
            &shell.path("dualkey.toml"),
            "[[secret]]\nname = \"ENCRYPTION_KEY\"\npurpose = \"envelope\"\npriority = \"critical\"\n\
             store = { file = \"ENCRYPTION_KEY.json\" }\nrotate = \"quarterly\"\n\
             backup = { file = \"backup.dump\", max_age = \"24h\" }\n\n\
             [[secret.data]]\ndatabase = \"DATABASE_URL\"\ntable = \"notes\"\ncolumns = [\"body\"]\n\
             context = \"notes/{key}/{column}\"\n",
        );
        shell.set_variable("DATABASE_URL", base.url());
        std::fs::write(shell.path("backup.dump"), "a backup").unwrap();
        shell.run("generate --store AUDIT_SECRET ENCRYPTION_KEY");
        let instances = [
            shell.instance::<AesKey>("ENCRYPTION_KEY.json", "web-1"),
            shell.instance::<AesKey>("ENCRYPTION_KEY.json", "web-2"),
        ];
        let sealer = Sealer::new(instances[0].ring().clone());
        let note = |id| (id, sealer.seal_text(format!("note {id}"), context(id)).unwrap());
        base.notes((0..20).map(note)).await;
        let read_all = async || {
            for (id, body) in base.texts("notes", "body").await {
                let text = sealer.open(body.unwrap(), context(id)).unwrap();
                assert_eq!(*text, format!("note {id}").into_bytes());
            }
        };

        shell.set("2026-01-15T10:00:00Z");
        shell.say("15 January: the day");
        refresh(&instances);
        assert_eq!(take(&mut shell, "ENCRYPTION_KEY", &instances), "rotate ENCRYPTION_KEY");
        read_all().await;

        shell.say("at once: it rewraps, and does not count");
        let (status, text) = shell.run("rewrap ENCRYPTION_KEY --execute");
        assert_eq!(status, 3, "{text}");
        assert!(text.contains("started too early to count: until 2026-01-15 11:05 UTC"), "{text}");
        refresh(&instances);
        read_all().await;
        let store = FileStore::new(shell.path("ENCRYPTION_KEY.json"));
        let (manifest, reports) = (store.load().await.unwrap(), store.reports().await.unwrap());
        let old = manifest.keys()[0].kid();
        let now = dualkey::Clock::now(&shell.clock);
        let verdict = manifest.retirement(&old, &reports, now).unwrap();
        let text = verdict.to_string();
        assert!(text.contains("one that starts at or after 2026-01-15 11:05 UTC counts"), "{text}");

        let line = take(&mut shell, "ENCRYPTION_KEY", &instances);
        assert_eq!(line, "rewrap ENCRYPTION_KEY --execute");
        read_all().await;
        let line = take(&mut shell, "ENCRYPTION_KEY", &instances);
        assert!(line.starts_with("retire ENCRYPTION_KEY --kid "), "{line}");
        read_all().await;
        shell.say("before the instances have reloaded");
        let (moment, command) = next(&mut shell, "ENCRYPTION_KEY");
        assert_eq!((moment, &*command), (None, "dualkey status ENCRYPTION_KEY"));
        refresh(&instances);
        let line = take(&mut shell, "ENCRYPTION_KEY", &instances);
        assert!(line.starts_with("destroy ENCRYPTION_KEY --kid "), "{line}");
        refresh(&instances);
        read_all().await;
        assert_eq!(next(&mut shell, "ENCRYPTION_KEY").1, "dualkey rotate ENCRYPTION_KEY");
        shell.run("audit verify");
        has_moments(&shell.transcript);
        insta::assert_snapshot!(remove_chance(&shell.transcript));
    });
}

/// Retired before the window is over, an encryption key ends when it is, and is destroyed then.
#[test]
fn an_encryption_key_that_is_retired_early_is_destroyed_at_its_end() {
    runtime().block_on(async {
        let base = Base::sqlite().await;
        let mut shell = Shell::new("2026-01-15T10:00:00Z");
        inventory(
            &shell.path("dualkey.toml"),
            "[[secret]]\nname = \"ENCRYPTION_KEY\"\npurpose = \"envelope\"\npriority = \"critical\"\n\
             store = { file = \"ENCRYPTION_KEY.json\" }\n\
             backup = { file = \"backup.dump\", max_age = \"24h\" }\n\n\
             [[secret.data]]\ndatabase = \"DATABASE_URL\"\ntable = \"notes\"\ncolumns = [\"body\"]\n\
             context = \"notes/{key}/{column}\"\n",
        );
        shell.set_variable("DATABASE_URL", base.url());
        std::fs::write(shell.path("backup.dump"), "a backup").unwrap();
        shell.run("generate --store AUDIT_SECRET ENCRYPTION_KEY");
        let instances = [shell.instance::<AesKey>("ENCRYPTION_KEY.json", "web-1")];
        let sealer = Sealer::new(instances[0].ring().clone());
        let note = |id| (id, sealer.seal_text(format!("note {id}"), context(id)).unwrap());
        base.notes((0..3).map(note)).await;
        let (status, text) =
            while_they_follow(&instances, || shell.run("rotate ENCRYPTION_KEY"));
        assert_eq!(status, 0, "{text}");
        refresh(&instances);
        take(&mut shell, "ENCRYPTION_KEY", &instances);
        let (moment, command) = next(&mut shell, "ENCRYPTION_KEY");
        assert_eq!(moment.as_deref(), Some("2026-01-16T11:05:00Z"));
        let (status, text) = shell.run(command.strip_prefix("dualkey ").unwrap());
        assert_eq!(status, 0, "{text}");
        assert!(text.contains("ends      2026-01-16 11:05 UTC"), "{text}");
        refresh(&instances);
        let line = take(&mut shell, "ENCRYPTION_KEY", &instances);
        assert!(line.starts_with("destroy ENCRYPTION_KEY --kid "), "{line}");
        let store = FileStore::new(shell.path("ENCRYPTION_KEY.json"));
        let manifest = store.load().await.unwrap();
        let verdict = manifest.retirement(&manifest.keys()[0].kid(), &[], at("2027-01-01T00:00:00Z"));
        assert_eq!(verdict.unwrap(), Verdict::Safe, "it is destroyed");
    });
}

/// Without what depends on the speed of the machine: how long a rewrap took, and which instances had
/// not reloaded when a rotation asked.
fn remove_chance(transcript: &str) -> String {
    let lines = transcript.lines().filter(|line| !line.starts_with("  waiting "));
    let line = |line: &str| {
        if line.starts_with("  took ") {
            "  took      some time\n".to_owned()
        } else {
            format!("{}\n", line.split("; until then: ").next().unwrap())
        }
    };
    renumber(&lines.map(line).collect::<String>())
}

/// Names of the form `<7>....`, 16 characters wide, numbered in the order of this text: a line that is
/// left out may have had the first of one.
fn renumber(text: &str) -> String {
    let (mut names, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some((before, after)) = rest.split_once('<') {
        plain += before;
        match after.split_once('>').filter(|(number, _)| number.parse::<usize>().is_ok()) {
            Some((number, after)) => {
                let place = names.iter().position(|name| *name == number).unwrap_or_else(|| {
                    names.push(number);
                    names.len() - 1
                });
                let name = format!("<{}>", place + 1);
                plain += &format!("{name:.<16}");
                rest = after.get(14 - number.len()..).unwrap_or_default();
            }
            None => {
                plain.push('<');
                rest = after;
            }
        }
    }
    plain + rest
}

/// A small service: on the first day, with the line to write.
#[test]
fn too_little_traffic_is_said_on_the_first_day_with_the_line_to_write() {
    let mut shell = Shell::new("2026-01-15T10:00:00Z");
    inventory(
        &shell.path("dualkey.toml"),
        "[[secret]]\nname = \"SESSION_SECRET\"\npurpose = \"cookie\"\npriority = \"critical\"\n\
         store = { file = \"SESSION_SECRET.json\" }\n",
    );
    shell.run("generate --store AUDIT_SECRET SESSION_SECRET");
    let instances = [shell.instance::<CookieKey>("SESSION_SECRET.json", "web-1")];
    refresh(&instances);
    while_they_follow(&instances, || shell.run("rotate SESSION_SECRET"));
    refresh(&instances);
    let signer = CookieSigner::new(instances[0].ring().clone());
    let session = signer.sign("session", "user-42").unwrap();
    for hour in 11..=22 {
        shell.set(&format!("2026-01-15T{hour}:00:00Z"));
        (0..2).for_each(|_| assert!(signer.verify("session", &session).is_ok()));
        refresh(&instances);
    }
    let (_, text) = shell.run("status SESSION_SECRET");
    for part in [
        "about 48 verifications per 1d",
        "needs 1000",
        "unused for 7 times as long, until 2026-01-22 10:00 UTC",
        "write `min_observed_verifications = 24` for SESSION_SECRET in the inventory",
        "`dualkey policy SESSION_SECRET`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, json) = shell.run("status SESSION_SECRET --json");
    assert!(json.contains("min_observed_verifications = 24"), "{json}");

    // It is a line of the inventory, and silences the warning.
    let path = shell.path("dualkey.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}min_observed_verifications = 24\n")).unwrap();
    assert_eq!(shell.run("policy SESSION_SECRET").0, 0);
    refresh(&instances);
    let (_, text) = shell.run("status SESSION_SECRET");
    assert!(!text.contains("min_observed_verifications"), "{text}");
    shell.clock.advance(DAY);
}

/// A window that no report covers: refused where it is set, and said where it is stored.
#[test]
fn a_window_below_the_report_interval_is_refused_in_the_inventory_and_said_of_a_stored_one() {
    let mut shell = Shell::new("2026-01-15T10:00:00Z");
    let table = |line: &str| {
        format!(
            "[[secret]]\nname = \"SESSION_SECRET\"\npurpose = \"cookie\"\npriority = \"critical\"\n\
             store = {{ file = \"SESSION_SECRET.json\" }}\n{line}"
        )
    };
    for (line, is_refused) in [
        ("observation_window = \"119s\"\n", true),
        ("observation_window = \"2m\"\n", false),
        ("", false),
    ] {
        inventory(&shell.path("dualkey.toml"), &table(line));
        let (status, text) = shell.run("status SESSION_SECRET --json");
        let has_both = text.contains("119 s") && text.contains("120 s");
        assert_eq!(
            (has_both, text.starts_with("error")),
            (is_refused, is_refused),
            "{status}: {text}"
        );
    }
    shell.run("generate --store AUDIT_SECRET SESSION_SECRET");
    let path = shell.path("SESSION_SECRET.json");
    let stored = std::fs::read_to_string(&path).unwrap();
    let short = stored
        .replace("\"observation_window_seconds\": 86400", "\"observation_window_seconds\": 60");
    assert_ne!(short, stored);
    std::fs::write(&path, short).unwrap();
    // The ring is served all the same.
    let following = shell.instance::<CookieKey>("SESSION_SECRET.json", "web-1");
    assert!(following.ring().primary().is_some());
    let (status, text) = shell.run("status SESSION_SECRET");
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("60 s") && text.contains("120 s"), "{text}");
    assert!(text.contains("dualkey policy SESSION_SECRET"), "{text}");
    assert_eq!(shell.run("policy SESSION_SECRET").0, 0);
    let (_, text) = shell.run("status SESSION_SECRET");
    assert!(!text.contains("120 s"), "{text}");
}
