//! Under `--dry-run` no command changes anything: every command of the tree, on a project with
//! everything in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use dualkey::KeyRing;
use dualkey::envelope::{AesKey, Sealer};
use dualkey::jwt::JwtKey;
use dualkey::source::{FileStore, KeyStore};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

use crate::support::postgres::runtime;
use crate::support::secret;
use crate::support::shell::{Shell, inventory};

/// The kind of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It has the flag.
    Dry,
    /// It changes nothing anyway.
    Reads,
    /// It may change something.
    Acts,
}
use Kind::{Acts, Dry, Reads};

/// Every command, with what it needs. `<a>`, `<b>` … are kids.
const COMMANDS: [(&str, Kind, &[&str]); 27] = [
    (
        "init",
        Dry,
        &[
            "--inventory other.toml",
            "--inventory other.toml --from .env --store file",
            "--inventory folder/other.toml",
        ],
    ),
    ("adopt", Dry, &["", "PLAIN_SECRET WEB_SECRET", "PLAIN_SECRET --from .env"]),
    (
        "generate",
        Dry,
        &[
            "",
            "JWT_SECRET --output new.rotation",
            "JWT_SECRET --print",
            "JWT_SECRET --json",
            "NEW_SECRET --store",
            "NEW_SECRET NEXT_SECRET --store",
            "API_TOKEN --store --value-from value.txt",
            "LOST_SECRET --store --force --reason lost",
        ],
    ),
    (
        "rotate",
        Dry,
        &["JWT_SECRET --wait 1s", "SMTP_PASSWORD --value-from value.txt --skip peers --reason why"],
    ),
    ("stage", Dry, &["JWT_SECRET", "JWT_SECRET --at 2026-03-01T00:00:00Z", "WEB_SECRET"]),
    (
        "promote",
        Dry,
        &[
            "STAGED_SECRET --assume-deployed",
            "STAGED_SECRET --force --reason why",
            "WEB_SECRET --assume-deployed",
        ],
    ),
    ("rollback", Dry, &["JWT_SECRET", "JWT_SECRET --force --reason why"]),
    ("retire", Dry, &["STAGED_SECRET --kid <staged>", "JWT_SECRET --force --reason why"]),
    (
        "revoke",
        Dry,
        &["JWT_SECRET --kid <old> --reason leaked", "STAGED_SECRET --kid <staged> --reason leaked"],
    ),
    (
        "emergency-rotate",
        Dry,
        &[
            "JWT_SECRET --reason leaked",
            "STAGED_SECRET --reason leaked",
            "SMTP_PASSWORD --reason leaked --value-from value.txt",
            "AUDIT_SECRET --reason leaked",
        ],
    ),
    ("restage", Dry, &["ROTATED_SECRET --kid <expired> --force --reason why"]),
    ("repair-clock", Dry, &["CLOCKED_SECRET"]),
    (
        "destroy",
        Dry,
        &["ROTATED_SECRET --kid <expired>", "JWT_SECRET --kid <revoked> --force --reason why"],
    ),
    ("rewrap", Reads, &["ENCRYPTION_KEY", "ENCRYPTION_KEY --checkpoint new.progress --json"]),
    ("policy", Dry, &["JWT_SECRET"]),
    ("record", Dry, &["DEPLOY_KEY rotated"]),
    ("status", Reads, &["", "--json", "JWT_SECRET"]),
    ("doctor", Reads, &["", "--json"]),
    ("remind", Dry, &[""]),
    ("agent", Acts, &["--once"]),
    ("audit", Reads, &["", "--secret JWT_SECRET --json", "--last-rotations"]),
    ("audit verify", Reads, &[""]),
    ("audit import", Acts, &["old.log"]),
    ("audit restart", Dry, &["--reason why"]),
    ("schema", Reads, &[""]),
    ("completions", Reads, &["bash", "zsh"]),
    ("help", Reads, &[""]),
];

const FILE: &str = r#"
[[secret]]
name = "NAME"
purpose = "jwt"
priority = "critical"
store = { file = "keys/NAME.json" }
rotate = "quarterly"
"#;

const OTHERS: &str = r#"
[[secret]]
name = "SMTP_PASSWORD"
purpose = "credential"
priority = "standard"
store = { dotenv = ".env" }

[[secret]]
name = "WEB_SECRET"
purpose = "cookie"
priority = "standard"
store = { dotenv = ".env" }

[[secret]]
name = "API_TOKEN"
purpose = "credential"
priority = "standard"
store = { file = "keys/API_TOKEN.json" }

[[secret]]
name = "PLAIN_SECRET"
purpose = "cookie"
priority = "standard"
store = { file = "keys/{env}/PLAIN_SECRET.json" }

[[secret]]
name = "DEPLOY_KEY"
purpose = "credential"
priority = "service"
store = { manual = "the dashboard" }
rotate = "30 days"

[[secret]]
name = "ENCRYPTION_KEY"
purpose = "envelope"
priority = "critical"
store = { file = "keys/ENCRYPTION_KEY.json" }

[[secret.data]]
database = "DATABASE_URL"
table = "notes"
columns = ["body"]
context = "note {key}"
"#;

/// The commands of the tree, as the completion script has them, which is made of it.
fn tree(shell: &Shell) -> BTreeSet<String> {
    let output = shell.command(&["completions", "bash"]).output().unwrap();
    let script = String::from_utf8(output.stdout).unwrap();
    let mut paths = BTreeSet::new();
    for line in script.lines().map(str::trim) {
        let Some(path) = line.strip_prefix("dualkey__subcmd__") else { continue };
        // The others are its transitions.
        let Some(path) = path.strip_suffix(')').filter(|path| !path.contains(',')) else {
            continue;
        };
        paths.insert(path.split("__subcmd__").map(str::to_owned).collect::<Vec<_>>());
    }
    // A dash is written as the step to a subcommand is: the command itself knows which it is.
    let exists = |words: &[String]| {
        let mut words: Vec<_> = words.iter().map(String::as_str).collect();
        words.push("--help");
        shell.command(&words).output().unwrap().status.success()
    };
    let is_help = |path: &Vec<String>| {
        path.iter().skip(1).any(|word| word == "help") || (path.len() > 1 && path[0] == "help")
    };
    paths.retain(|path| !is_help(path));
    let name = |path: Vec<String>| if exists(&path) { path.join(" ") } else { path.join("-") };
    paths.into_iter().map(name).collect()
}

/// Everything in a folder, as it can be told apart: names, kinds, modes, times, owners, and what
/// the files and links hold. The time of a folder shows that a file was made and removed.
fn snapshot(folder: &Path) -> BTreeMap<String, String> {
    fn walk(folder: &Path, root: &Path, into: &mut BTreeMap<String, String>) {
        let metadata = fs::symlink_metadata(folder).unwrap();
        let held = if metadata.is_symlink() {
            format!("-> {}", fs::read_link(folder).unwrap().display())
        } else if metadata.is_file() {
            format!("{:?}", fs::read(folder).unwrap())
        } else {
            String::new()
        };
        let times = (metadata.mtime(), metadata.mtime_nsec());
        let text = format!(
            "{:o} {:?} {} {} {held}",
            metadata.mode(),
            times,
            metadata.uid(),
            metadata.ino()
        );
        into.insert(folder.strip_prefix(root).unwrap().display().to_string(), text);
        if metadata.is_dir() {
            for entry in fs::read_dir(folder).unwrap() {
                walk(&entry.unwrap().path(), root, into);
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(folder, folder, &mut all);
    all
}

/// The names of what differs.
fn changed_paths(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<String> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// A webhook that counts what is posted to it.
fn hook() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let posts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&posts);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted.fetch_add(1, SeqCst);
            let mut stream = stream.unwrap();
            // A request of a few lines.
            let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = stream.read(&mut [0; 64 * 1024]);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    (url, posts)
}

struct Scene {
    shell: Shell,
    url: String,
    posts: Arc<AtomicUsize>,
    kids: Vec<(&'static str, String)>,
    /// Everything that is wrong.
    wrong: Vec<String>,
}

impl Scene {
    /// A project with every kind of store, keys in every state, a trail, reports, a table, a
    /// repository.
    fn new() -> Self {
        let shell = Shell::new("2026-01-02T09:00:00Z");
        let names = ["JWT", "STAGED", "ROTATED", "CLOCKED", "LOST", "NEW", "NEXT"];
        let files = names.map(|name| FILE.replace("NAME", &format!("{name}_SECRET")));
        let tables = files.concat() + OTHERS;
        inventory(&shell.path("dualkey.toml"), &tables);
        let plain: String =
            secret(0).chars().filter(char::is_ascii_alphanumeric).cycle().take(64).collect();
        let env = format!(
            "PORT=1\nWEB_SECRET={plain}\nPLAIN_SECRET={}\nSMTP_PASSWORD=Zq9Ml5KiNf0Vg6Jc3Ds8\n",
            &plain[1..].repeat(2)
        );
        fs::write(shell.path(".env"), env).unwrap();
        fs::write(shell.path("value.txt"), "sk-new-9LrT4nZ8yB1cF6gJ0sD3\n").unwrap();
        fs::write(
            shell.path("old.log"),
            "2025-01-15 10:00:00 UTC | JWT_SECRET | ROTATED | bob | prod | SUCCESS\n",
        )
        .unwrap();
        fs::create_dir(shell.path("folder")).unwrap();
        std::os::unix::fs::symlink("old.log", shell.path("link.log")).unwrap();
        let (url, posts) = hook();
        let mut scene = Self { shell, url, posts, kids: Vec::new(), wrong: Vec::new() };
        let stores = "generate --store AUDIT_SECRET JWT_SECRET STAGED_SECRET ROTATED_SECRET \
                      CLOCKED_SECRET LOST_SECRET ENCRYPTION_KEY";
        scene.run_ok(stores);
        // A fallback that expires, one that does not, and a key that is revoked.
        for name in ["ROTATED_SECRET", "JWT_SECRET"] {
            scene.run_ok(&format!("stage {name}"));
            scene.run_ok(&format!("promote {name} --assume-deployed"));
            scene.shell.set("2026-01-20T09:00:00Z");
        }
        let revoked = scene.stage("JWT_SECRET");
        scene.run_ok(&format!("revoke JWT_SECRET --kid {revoked} --reason leaked --yes"));
        let staged = scene.stage("STAGED_SECRET");
        scene.run_ok("stage WEB_SECRET");
        scene.shell.set("2026-01-20T15:00:00Z");
        scene.run_ok("stage CLOCKED_SECRET");
        scene.shell.set("2026-01-20T09:30:00Z");
        scene.run_ok("record DEPLOY_KEY rotated");
        let kid = |name: &str, place: usize| {
            let store = FileStore::new(scene.shell.path(&format!("keys/{name}.json")));
            pollster::block_on(store.load()).unwrap().keys()[place].kid().to_string()
        };
        let (old, expired) = (kid("JWT_SECRET", 0), kid("ROTATED_SECRET", 0));
        scene.kids = vec![
            ("<revoked>", revoked),
            ("<staged>", staged),
            ("<old>", old),
            ("<expired>", expired),
        ];
        scene.data();
        // An instance that reports, and what a dry run of a policy would change.
        drop(scene.shell.instance::<JwtKey>("keys/JWT_SECRET.json", "web-1"));
        fs::remove_file(scene.shell.path("keys/LOST_SECRET.json")).unwrap();
        let longer = tables.replacen("rotate = ", "max_lifetime = \"9 days\"\nrotate = ", 1);
        inventory(&scene.shell.path("dualkey.toml"), &longer);
        for arguments in [&["init", "-q"][..], &["add", "old.log"]] {
            let mut git = Command::new("git");
            git.arg("-C").arg(scene.shell.path("")).args(arguments);
            assert!(git.status().unwrap().success());
        }
        scene
    }

    /// A table with a row under the key.
    fn data(&self) {
        let store = FileStore::new(self.shell.path("keys/ENCRYPTION_KEY.json"));
        let manifest = pollster::block_on(store.load()).unwrap();
        let ring = manifest.build_ring(KeyRing::<AesKey>::builder().environment("production"));
        let sealed = Sealer::new(ring.unwrap()).seal_text("a note", "note 1").unwrap();
        runtime().block_on(async {
            let options = SqliteConnectOptions::new().filename(self.shell.path("notes.db"));
            let pool = SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
            let table = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)";
            sqlx::raw_sql(table).execute(&pool).await.unwrap();
            let insert = sqlx::query("INSERT INTO notes VALUES (1, $1)").bind(sealed);
            insert.execute(&pool).await.unwrap();
            pool.close().await;
        });
    }

    fn run(&mut self, line: &str) -> (i32, String) {
        let mut line = line.to_owned();
        for (name, kid) in &self.kids {
            line = line.replace(name, kid);
        }
        let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let mut command = self.shell.command(&words);
        command.env("HOOK", &self.url);
        command.env("DATABASE_URL", format!("sqlite:{}", self.shell.path("notes.db").display()));
        let output = command.output().unwrap();
        self.shell.note(&line, &output)
    }

    fn run_ok(&mut self, line: &str) {
        let (status, text) = self.run(line);
        assert_eq!(status, 0, "{line}: {text}");
    }

    /// Stages a key, and returns its kid.
    fn stage(&mut self, name: &str) -> String {
        let (status, text) = self.run(&format!("stage {name}"));
        assert_eq!(status, 0, "{text}");
        text.split("key       ").nth(1).unwrap().split(',').next().unwrap().to_owned()
    }

    /// Runs `line`, which must end with one of `expected` and leave every file as it is.
    fn check_unchanged(&mut self, line: &str, expected: &[i32]) -> String {
        let before = snapshot(&self.shell.path(""));
        let (status, text) = self.run(line);
        let changed = changed_paths(&before, &snapshot(&self.shell.path("")));
        let posts = self.posts.swap(0, SeqCst);
        if !changed.is_empty() || posts > 0 {
            self.wrong.push(format!("`{line}` changed {changed:?}, and posted {posts} times"));
        }
        if !expected.contains(&status) {
            self.wrong.push(format!("`{line}` ended with {status}: {text}"));
        }
        text
    }
}

#[test]
fn no_command_changes_anything_under_dry_run() {
    let mut scene = Scene::new();
    let tree = tree(&scene.shell);
    let table: BTreeSet<_> = COMMANDS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert!(tree.contains("audit restart") && tree.contains("repair-clock"), "{tree:?}");
    assert_eq!(tree, table, "a command is missing in the table of this test, or is gone");
    let mut lines = 0;
    for (name, kind, arguments) in COMMANDS {
        let ask = if name == "help" { "--help".to_owned() } else { format!("{name} --help") };
        let help = scene.check_unchanged(&ask, &[0]);
        let has = |flag: &str| {
            help.contains(&format!(" {flag} ")) || help.contains(&format!(" {flag}\n"))
        };
        assert_eq!(has("--dry-run"), kind == Dry, "{name}: {help}");
        for flag in ["--force", "--execute"] {
            let is_tried = arguments.iter().any(|argument| argument.contains(flag));
            assert!(kind != Dry || !has(flag) || is_tried, "{name} is not run with {flag}");
        }
        for argument in arguments {
            lines += 1;
            let line = format!("{name} {argument}");
            match kind {
                Dry => {
                    let mut flags = vec![
                        "--dry-run",
                        "--dry-run --yes",
                        "--dry-run --backup",
                        "--yes --dry-run --backup",
                    ];
                    flags.retain(|flag| flag.split(' ').all(has));
                    for flags in flags {
                        let text = scene.check_unchanged(&format!("{line} {flags}"), &[0]);
                        assert!(!text.is_empty(), "{line} says nothing");
                    }
                }
                Reads => {
                    // The worst of a status counts, and one store is empty.
                    scene.check_unchanged(&line, &[0, 1, 3, 4, 5]);
                }
                Acts => {}
            }
            if kind != Dry && name != "help" {
                let text = scene.check_unchanged(&format!("{line} --dry-run"), &[2]);
                assert!(text.contains("--dry-run"), "{text}");
            }
        }
    }
    assert_eq!(scene.wrong, [""; 0]);
    assert!(lines > 45, "only {lines} lines");

    // The test sees what is changed and what is posted.
    let before = snapshot(&scene.shell.path(""));
    for line in ["generate", "audit restart --reason why --yes", "stage JWT_SECRET", "remind"] {
        scene.run_ok(line);
    }
    let changed = changed_paths(&before, &snapshot(&scene.shell.path("")));
    for name in [".env.rotation", "audit.log", "keys/JWT_SECRET.json"] {
        assert!(changed.iter().any(|path| path == name), "{changed:?}");
    }
    assert_eq!(scene.posts.load(SeqCst), 1);
}

/// Before the first key there is no file but the inventory, and a dry run makes none.
#[test]
fn the_dry_run_of_a_first_key_makes_no_file() {
    let mut shell = Shell::new("2026-01-02T09:00:00Z");
    inventory(&shell.path("dualkey.toml"), &FILE.replace("NAME", "JWT_SECRET"));
    let before = snapshot(&shell.path(""));
    for line in ["generate --store AUDIT_SECRET --dry-run", "generate --store JWT_SECRET --dry-run"]
    {
        let (status, text) = shell.run(line);
        assert!(status == 0 && text.contains("would be created"), "{line}: {text}");
        assert_eq!(changed_paths(&before, &snapshot(&shell.path(""))), [""; 0], "{line}");
    }
    let (status, text) = shell.run("generate --dry-run");
    assert!(status == 0 && text.contains(".env.rotation would be written"), "{text}");
    // What could not be written is refused, as without the flag.
    fs::write(shell.path(".env.rotation"), "X=1\n").unwrap();
    for line in ["generate --dry-run", "generate --output none/x --dry-run"] {
        let (status, text) = shell.run(line);
        let (other, refusal) = shell.run(&line.replace(" --dry-run", ""));
        assert_eq!((status, other), (1, 1));
        assert!(refusal.starts_with(text.trim_end()), "{text} {refusal}");
    }
}
