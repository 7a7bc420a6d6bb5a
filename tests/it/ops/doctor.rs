//! The doctor: finds what is wrong, and names the fix.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use dualkey::cookie::CookieKey;
use dualkey::manifest::NewEntry;
use dualkey::ops::doctor::{Finding, examine};
use dualkey::ops::generate::Generated;
use dualkey::ops::inventory::{Inventory, Project};
use dualkey::ops::rotate::{CreateOptions, Operator, create};
use dualkey::source::{FileStore, update};
use dualkey::{KeyRing, ManualClock, Purpose, Secret};

use crate::support::secret;
use crate::support::shell::{Shell, at, inventory};

const TABLES: &str = r#"
[[secret]]
name = "SESSION_SECRET"
purpose = "cookie"
priority = "critical"
store = { file = "keys/{env}/SESSION_SECRET.json" }
environments = ["staging", "production"]

[[secret]]
name = "JWT_SECRET"
purpose = "jwt"
priority = "critical"
store = { dotenv = ".env" }
"#;

fn git(folder: &Path, arguments: &[&str]) {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(git.status().unwrap().success(), "{arguments:?}");
}

fn project(folder: &Path, clock: &ManualClock) -> Project {
    let path = folder.join("dualkey.toml");
    if !path.exists() {
        inventory(&path, TABLES);
    }
    Project::new(Inventory::read(path).unwrap()).clock(clock.clone())
}

async fn find_all(project: &Project) -> Vec<(&'static str, String)> {
    let all = examine(project).await.unwrap();
    for Finding { remedy, found, .. } in &all {
        assert!(!remedy.is_empty() && !found.is_empty());
    }
    all.into_iter().map(|finding| (finding.check, finding.subject)).collect()
}

fn subjects_of<'a>(all: &'a [(&'static str, String)], check: &str) -> Vec<&'a str> {
    all.iter().filter(|(name, _)| *name == check).map(|(_, subject)| subject.as_str()).collect()
}

#[tokio::test]
async fn each_thing_that_is_wrong_is_found_and_fixed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let clock = ManualClock::new(at("2026-01-02T09:00:00Z"));
    let production = project(root, &clock);
    let staging = production.clone().environment("staging").unwrap();
    create(
        &production,
        "AUDIT_SECRET",
        CreateOptions::new("ada"),
        Generated::new(Purpose::Audit).unwrap().entry(),
    )
    .await
    .unwrap();
    // Where there is no repository, nothing of git is said.
    assert_eq!(find_all(&production).await, []);

    // One secret in two environments.
    let same = || NewEntry::new(Secret::from(secret(1)));
    create(&production, "SESSION_SECRET", CreateOptions::new("ada"), same()).await.unwrap();
    create(&staging, "SESSION_SECRET", CreateOptions::new("ada"), same()).await.unwrap();
    let all = find_all(&production).await;
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(
        subjects_of(&all, "shared"),
        ["SESSION_SECRET (production), SESSION_SECRET (staging)"],
    );
    // One of them is gone, and made again.
    fs::remove_dir_all(root.join("keys/staging")).unwrap();
    let all = find_all(&production).await;
    assert_eq!(all, [("unread", "SESSION_SECRET (staging)".to_owned())]);
    let by = CreateOptions::new("ada").reason("lost").force();
    let new = NewEntry::new(Secret::from(secret(3)));
    create(&staging, "SESSION_SECRET", by, new).await.unwrap();

    // A `.env` that others may read, with an old key that is too short.
    let env = root.join(".env");
    let value =
        |seed| Generated::new(Purpose::Jwt).map(|generated| (seed, generated.text())).unwrap().1;
    let value = value(0);
    let value = std::str::from_utf8(value.expose()).unwrap();
    fs::write(&env, format!("JWT_SECRET={value}\nJWT_SECRET_OLD=sh0rt-Xw9LrT4n\n")).unwrap();
    fs::set_permissions(&env, fs::Permissions::from_mode(0o644)).unwrap();
    let all = find_all(&production).await;
    assert_eq!(subjects_of(&all, "readable"), [env.display().to_string()]);
    assert_eq!(subjects_of(&all, "short"), ["JWT_SECRET (production)"]);
    fs::set_permissions(&env, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&env, format!("JWT_SECRET={value}\n")).unwrap();
    assert_eq!(find_all(&production).await, []);
    // The primary is too short: it cannot be used at all.
    fs::write(&env, "JWT_SECRET=sh0rt-Xw9LrT4n\n").unwrap();
    assert_eq!(subjects_of(&find_all(&production).await, "short"), ["JWT_SECRET (production)"]);

    // A key that expired and is still in the file.
    fs::write(&env, format!("JWT_SECRET={value}\n")).unwrap();
    let store = production.store("JWT_SECRET").unwrap();
    let new = Generated::new(Purpose::Jwt).unwrap().entry();
    let staged =
        update(&*store, |manifest| manifest.stage(new.clone(), clock_now(&clock))).await.unwrap();
    update(&*store, |manifest| manifest.force("x").promote(&staged.kid, clock_now(&clock)))
        .await
        .unwrap();
    assert_eq!(find_all(&production).await, []);
    clock.set(at("2026-02-02T09:00:00Z"));
    assert_eq!(subjects_of(&find_all(&production).await, "past"), ["JWT_SECRET (production)"]);
    fs::write(&env, format!("JWT_SECRET={value}\n")).unwrap();

    // An instance that holds other keys.
    let path = root.join("keys/production/SESSION_SECRET.json");
    let following = KeyRing::<CookieKey>::builder()
        .name("SESSION_SECRET")
        .environment("production")
        .clock(clock.clone())
        .follow(FileStore::new(&path))
        .instance("web-1")
        .on_demand()
        .unwrap();
    let new = NewEntry::new(Secret::from(secret(2)));
    let operator = Operator::for_project(&production, "SESSION_SECRET", "ada").await.unwrap();
    operator.stage(new).await.unwrap();
    assert_eq!(
        subjects_of(&find_all(&production).await, "differ"),
        ["SESSION_SECRET (production)"]
    );
    following.refresh().unwrap();
    assert_eq!(find_all(&production).await, []);

    // Another policy than the inventory's.
    let text = fs::read_to_string(root.join("dualkey.toml")).unwrap();
    let longer = text.replace("environments = [", "max_lifetime = \"30 days\"\nenvironments = [");
    fs::write(root.join("dualkey.toml"), longer).unwrap();
    let production = project(root, &clock);
    assert_eq!(
        subjects_of(&find_all(&production).await, "policy"),
        ["SESSION_SECRET (production)", "SESSION_SECRET (staging)"]
    );
    fs::write(root.join("dualkey.toml"), text).unwrap();

    // A manifest that others may read.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let production = project(root, &clock);
    assert!(
        subjects_of(&find_all(&production).await, "readable")
            .contains(&path.display().to_string().as_str())
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "{").unwrap();
    assert_eq!(
        subjects_of(&find_all(&production).await, "unread"),
        ["SESSION_SECRET (production)"]
    );
}

#[tokio::test]
async fn a_broken_trail_is_one_finding() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let clock = ManualClock::new(at("2026-01-02T09:00:00Z"));
    let production = project(root, &clock);
    create(
        &production,
        "AUDIT_SECRET",
        CreateOptions::new("ada"),
        Generated::new(Purpose::Audit).unwrap().entry(),
    )
    .await
    .unwrap();
    // The other secrets of the inventory are not used yet.
    fs::remove_file(root.join("audit.log")).unwrap();
    let all = find_all(&production).await;
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].0, "audit");
}

#[tokio::test]
async fn git_neither_has_the_secrets_nor_would_take_them() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let clock = ManualClock::new(at("2026-01-02T09:00:00Z"));
    let production = project(root, &clock);
    create(
        &production,
        "AUDIT_SECRET",
        CreateOptions::new("ada"),
        Generated::new(Purpose::Audit).unwrap().entry(),
    )
    .await
    .unwrap();
    git(root, &["init", "-q"]);
    let all = find_all(&production).await;
    let ignored = subjects_of(&all, "ignored");
    assert!(ignored.iter().any(|path| path.ends_with(".env")), "{all:?}");
    assert!(ignored.iter().any(|path| path.ends_with("AUDIT_SECRET.json")), "{all:?}");

    fs::write(root.join(".gitignore"), "/.env\n").unwrap();
    let all = find_all(&production).await;
    assert!(
        subjects_of(&all, "ignored").iter().any(|path| path.ends_with(".env.rotation")),
        "{all:?}"
    );
    fs::write(root.join(".gitignore"), ".env*\nkeys/\nAUDIT_SECRET.json\n").unwrap();
    assert_eq!(find_all(&production).await, []);

    fs::write(root.join(".env.rotation"), "X_NEW=1\n").unwrap();
    fs::set_permissions(root.join(".env.rotation"), fs::Permissions::from_mode(0o600)).unwrap();
    git(root, &["add", "--force", ".env.rotation"]);
    let all = find_all(&production).await;
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(subjects_of(&all, "tracked")[0].ends_with(".env.rotation"));
}

/// From whichever folder it is asked.
#[test]
fn git_is_asked_of_the_files_of_the_project_and_each_is_reported_once() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    let sub = shell.path("service");
    fs::create_dir(&sub).unwrap();
    inventory(&sub.join("dualkey.toml"), TABLES);
    fs::write(sub.join(".gitignore"), ".env*\nkeys/\nAUDIT_SECRET.json\n").unwrap();
    fs::write(sub.join(".env"), "OTHER=1\n").unwrap();
    fs::write(sub.join(".env.staging"), "JWT_SECRET=1\n").unwrap();
    fs::write(sub.join(".env.example"), "JWT_SECRET=\n").unwrap();
    git(&sub, &["init", "-q", "."]);
    git(&sub, &["add", "--force", ".env", ".env.staging", ".env.example"]);
    for name in [".env", ".env.staging", ".env.example"] {
        fs::set_permissions(sub.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let mut lines = |line: &str| {
        let (status, text) = shell.run(line);
        assert_eq!(status, 3, "{text}");
        let findings = text.lines().filter(|line| line.contains(".env") && !line.contains("fix:"));
        findings.map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let beside = lines("doctor --inventory service/dualkey.toml");
    let expected = [
        "tracked  service/.env",
        "tracked  service/.env.staging",
        "readable service/.env",
        "readable service/.env.staging",
    ];
    assert_eq!(beside, expected);
    let within = lines("doctor --inventory ./service/../service/dualkey.toml");
    assert_eq!(within.len(), 4, "{within:?}");
}

/// A repository may be anybody's: an archive that was unpacked, a pull request.
#[test]
fn no_program_runs_that_a_repository_or_a_variable_of_git_names() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    let root = shell.path("service");
    fs::create_dir(&root).unwrap();
    inventory(&root.join("dualkey.toml"), TABLES);
    fs::write(root.join(".env"), "OTHER=1\n").unwrap();
    fs::write(root.join(".env.[x]"), "OTHER=1\n").unwrap();
    fs::write(root.join(".gitignore"), "keys/\nAUDIT_SECRET.json\n.env.\\[x\\]\n.env.rotation\n")
        .unwrap();
    git(&root, &["init", "-q", "."]);
    git(&root, &["add", ".env", ".gitignore"]);
    for name in [".env", ".env.[x]"] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    // Its name is a pattern of others, and is none here.
    fs::write(root.join(".env.x"), "").unwrap();
    git(&root, &["add", "--force", ".env.x"]);
    fs::remove_file(root.join(".env.x")).unwrap();
    let marker = shell.path("ran");
    let program = shell.path("program");
    let script = format!("#!/bin/sh\necho \"$0 $@\" >> {}\ncat\n", marker.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.to_str().unwrap();
    let hooks = shell.path("hooks");
    fs::create_dir(&hooks).unwrap();
    for hook in ["post-index-change", "fsmonitor-watchman", "pre-auto-gc", "reference-transaction"]
    {
        for folder in [&hooks, &root.join(".git/hooks")] {
            fs::copy(program, folder.join(hook)).unwrap();
        }
    }
    let included = shell.path("included");
    fs::write(&included, format!("[core]\nfsmonitor = {program}\n")).unwrap();
    fs::write(root.join(".gitattributes"), "* filter=x diff=x merge=x\n").unwrap();
    let other = shell.path("other");
    fs::create_dir(&other).unwrap();
    git(&other, &["init", "-q", "."]);
    let is_as_before = |shell: &mut Shell, what: &str, variables: &[(&str, &str)]| {
        // So that what refreshes the index has something to do.
        fs::write(shell.path("service/.env"), "OTHER=1\n").unwrap();
        let index = fs::read(shell.path("service/.git/index")).unwrap();
        let line = ["doctor", "--inventory", "service/dualkey.toml"];
        let mut command = shell.command(&line);
        command.env("HOME", shell.path(""));
        command.envs(variables.iter().copied());
        let output = command.output().unwrap();
        let (status, text) = shell.note("doctor", &output);
        assert_eq!(status, 3, "{what}: {text}");
        let shown: Vec<_> = text
            .lines()
            .filter(|line| line.contains("track") || line.starts_with("ignored"))
            .collect();
        assert_eq!(shown.len(), 1, "{what}: {text}");
        assert!(shown[0].starts_with("tracked  service/.env:"), "{what}: {text}");
        let ran = fs::read_to_string(shell.path("ran")).unwrap_or_default();
        assert_eq!(ran, "", "{what} runs a program");
        assert_eq!(fs::read(shell.path("service/.git/index")).unwrap(), index, "{what}");
    };
    is_as_before(&mut shell, "nothing", &[]);
    let config = fs::read_to_string(root.join(".git/config")).unwrap();
    let shell_program = format!("!{program}");
    let settings = [
        ("core", "fsmonitor", program),
        ("core", "hooksPath", hooks.to_str().unwrap()),
        ("core", "pager", program),
        ("core", "editor", program),
        ("core", "sshCommand", program),
        ("core", "askPass", program),
        ("core", "gitProxy", program),
        ("core", "alternateRefsCommand", program),
        ("core", "worktree", other.to_str().unwrap()),
        ("core", "bare", "true"),
        ("core", "untrackedCache", "true"),
        ("pager", "ls-files", program),
        ("pager", "check-ignore", program),
        ("alias", "ls-files", &shell_program),
        ("alias", "check-ignore", &shell_program),
        ("alias", "rev-parse", &shell_program),
        ("filter \"x\"", "clean", program),
        ("filter \"x\"", "smudge", program),
        ("filter \"x\"", "process", program),
        ("diff", "external", program),
        ("diff \"x\"", "command", program),
        ("diff \"x\"", "textconv", program),
        ("merge \"x\"", "driver", program),
        ("credential", "helper", &shell_program),
        ("gpg", "program", program),
        ("include", "path", included.to_str().unwrap()),
        ("includeIf \"gitdir:**\"", "path", included.to_str().unwrap()),
        ("submodule", "recurse", "true"),
        ("gc", "auto", "1"),
        ("uploadpack", "packObjectsHook", program),
        ("trace2", "eventTarget", marker.to_str().unwrap()),
    ];
    for (section, name, value) in settings {
        let text = format!("{config}[{section}]\n{name} = \"{value}\"\n");
        fs::write(root.join(".git/config"), text).unwrap();
        is_as_before(&mut shell, &format!("{section}.{name}"), &[]);
    }
    // A promised object is not fetched, through whatever the remote names.
    let text = format!(
        "{config}[remote \"origin\"]\nurl = .\npromisor = true\nuploadpack = {program}\nvcs = x\n\
         [extensions]\npartialClone = origin\n"
    );
    fs::write(
        root.join(".git/config"),
        text.replace("repositoryformatversion = 0", "repositoryformatversion = 1"),
    )
    .unwrap();
    is_as_before(&mut shell, "a remote", &[]);
    fs::write(root.join(".git/config"), config).unwrap();

    let git_dir = other.join(".git");
    let git_dir = git_dir.to_str().unwrap();
    for (name, value) in [
        ("GIT_DIR", git_dir),
        ("GIT_WORK_TREE", other.to_str().unwrap()),
        ("GIT_INDEX_FILE", "/nonexistent"),
        ("GIT_COMMON_DIR", git_dir),
        ("GIT_CEILING_DIRECTORIES", "/"),
        ("GIT_EXTERNAL_DIFF", program),
        ("GIT_PAGER", program),
        ("GIT_ASKPASS", program),
        ("GIT_SSH", program),
        ("GIT_SSH_COMMAND", program),
        ("GIT_EXEC_PATH", hooks.to_str().unwrap()),
        ("GIT_TRACE", marker.to_str().unwrap()),
        ("GIT_TRACE2", marker.to_str().unwrap()),
        ("GIT_TRACE_SETUP", marker.to_str().unwrap()),
        ("GIT_CONFIG", included.to_str().unwrap()),
        ("GIT_CONFIG_GLOBAL", included.to_str().unwrap()),
        ("GIT_CONFIG_SYSTEM", included.to_str().unwrap()),
        ("GIT_ATTR_SOURCE", "HEAD"),
        ("GIT_ICASE_PATHSPECS", "1"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_NOGLOB_PATHSPECS", "1"),
    ] {
        is_as_before(&mut shell, name, &[(name, value)]);
    }
    let parameters = format!("'core.fsmonitor={program}'");
    is_as_before(&mut shell, "parameters", &[("GIT_CONFIG_PARAMETERS", &parameters)]);
    let count = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "core.fsmonitor"),
        ("GIT_CONFIG_VALUE_0", program),
    ];
    is_as_before(&mut shell, "a count", &count);
}

/// A folder that holds what a bare repository does is no repository, and its configuration is not read.
#[test]
fn a_repository_without_a_git_folder_is_not_asked() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    git(&shell.path(""), &["init", "-q", "--bare", "."]);
    inventory(&shell.path("dualkey.toml"), TABLES);
    fs::write(shell.path(".env"), "OTHER=1\n").unwrap();
    fs::set_permissions(shell.path(".env"), fs::Permissions::from_mode(0o600)).unwrap();
    let program = shell.path("program");
    fs::write(&program, format!("#!/bin/sh\ntouch {}\n", shell.path("ran").display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "[core]\nbare = false\nworktree = {}\nfsmonitor = {}\n",
        shell.path("").display(),
        program.display()
    );
    fs::write(shell.path("config"), text).unwrap();
    let (_, text) = shell.run("doctor");
    assert!(!text.contains("track"), "{text}");
    assert!(!shell.path("ran").exists());
}

/// Git waits for a writer of a pipe, and is not waited for.
#[test]
fn git_that_does_not_answer_holds_no_doctor() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), TABLES);
    fs::write(shell.path(".env"), "OTHER=1\n").unwrap();
    git(&shell.path(""), &["init", "-q", "."]);
    crate::support::found::Found::Pipe.put(&shell.path(".gitignore"));
    let (status, text) = super::files::run(&mut shell, "doctor");
    assert!(status == 3 && text.contains("it is a pipe, not a file"), "{text}");
}

fn clock_now(clock: &ManualClock) -> std::time::SystemTime {
    dualkey::Clock::now(clock)
}
