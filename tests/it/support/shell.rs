//! The real binary, in a folder and at an hour of its own.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dualkey::source::{FileStore, FollowHandle};
use dualkey::{KeyMaterial, KeyRing, ManualClock};

/// A folder with a project, and a clock that stands still.
pub struct Shell {
    folder: tempfile::TempDir,
    pub clock: ManualClock,
    /// What was typed and printed.
    pub transcript: String,
    names: HashMap<String, String>,
    variables: HashMap<String, String>,
}

impl Shell {
    pub fn new(time: &str) -> Self {
        let shell = Self {
            folder: tempfile::tempdir().unwrap(),
            clock: ManualClock::at_unix(0),
            transcript: String::new(),
            names: HashMap::new(),
            variables: HashMap::new(),
        };
        shell.set(time);
        shell
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sets a variable of the environment of the binary.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Another one, with the same files.
    pub fn copy(&self) -> Self {
        let copy = Self::new("2026-01-01T00:00:00Z");
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, copy.folder.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        copy
    }

    /// Sets the clock, of the binary and of everybody here.
    pub fn set(&self, time: &str) {
        let moment: jiff::Timestamp = time.parse().unwrap();
        self.clock.set(moment.try_into().unwrap());
        // In one step: a process may be reading it.
        let beside = self.path("clock.new");
        std::fs::write(&beside, time).unwrap();
        std::fs::rename(beside, self.path("clock")).unwrap();
    }

    /// Says in the transcript what happens.
    pub fn say(&mut self, text: &str) {
        writeln!(self.transcript, "# {text}").unwrap();
    }

    /// An instance of the service, which follows a file as services do, and learns of a change
    /// when the test says so.
    pub fn instance<K: KeyMaterial>(&self, file: &str, name: &str) -> FollowHandle<K> {
        let ring = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap();
        KeyRing::<K>::builder()
            .name(ring)
            .environment("production")
            .clock(self.clock.clone())
            .follow(FileStore::new(self.path(file)))
            .instance(name)
            .on_demand()
            .unwrap()
    }

    /// `dualkey`, with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dualkey"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("DUALKEY_CLOCK", self.path("clock"))
            .env("DUALKEY_BY", "ada@example.com")
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(&self.variables)
            .stdin(Stdio::null());
        command
    }

    /// Runs a line, writes it down, and returns its exit status and what it printed.
    pub fn run(&mut self, line: &str) -> (i32, String) {
        let output = self.command(&words(line)).output().unwrap();
        self.note(line, &output)
    }

    pub fn note(&mut self, line: &str, output: &Output) -> (i32, String) {
        let mut text = String::from_utf8(output.stdout.clone()).unwrap();
        text += std::str::from_utf8(&output.stderr).unwrap();
        let status = output.status.code().unwrap();
        let shown = self.make_plain(&text);
        let typed = self.make_plain(line);
        writeln!(self.transcript, "$ dualkey {typed}").unwrap();
        self.transcript += &shown;
        if status != 0 {
            writeln!(self.transcript, "[exit status {status}]").unwrap();
        }
        self.transcript.push('\n');
        (status, text)
    }

    /// The text with names for what is chance: kids and fingerprints, as wide as they are.
    fn make_plain(&mut self, text: &str) -> String {
        let folder = self.folder.path().to_str().unwrap().to_owned();
        let text = text.replace(&folder, "<folder>");
        let mut plain = String::new();
        let mut rest = text.as_str();
        let is_part = |character: char| {
            character.is_ascii_alphanumeric() || character == '-' || character == '_'
        };
        while let Some(start) = rest.find(is_part) {
            plain += &rest[..start];
            let end = rest[start..]
                .find(|character| !is_part(character))
                .map_or(rest.len(), |end| start + end);
            plain += &self.name_word(&rest[start..end]);
            rest = &rest[end..];
        }
        plain + rest
    }

    fn name_word(&mut self, word: &str) -> String {
        let has = |is: fn(&char) -> bool| word.chars().any(|character| is(&character));
        let is_chance = word.len() == 16
            && has(char::is_ascii_lowercase)
            && (has(char::is_ascii_uppercase) || has(char::is_ascii_digit));
        if !is_chance {
            return word.to_owned();
        }
        let number = self.names.len() + 1;
        let name = self.names.entry(word.to_owned()).or_insert_with(|| format!("<{number}>"));
        format!("{name:.<16}")
    }
}

/// The words of a line: `'two words'` is one.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').unwrap(),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

pub fn at(text: &str) -> SystemTime {
    text.parse::<jiff::Timestamp>().unwrap().try_into().unwrap()
}

/// The inventory of a test: a trail, and these tables.
pub fn inventory(path: &Path, tables: &str) {
    let head = "version = 1\nenvironment = \"production\"\n\n[audit]\nfile = \"audit.log\"\n\
                secret = \"AUDIT_SECRET\"\n\n[remind]\nwebhook = \"HOOK\"\n\n[[secret]]\nname = \"AUDIT_SECRET\"\n\
                purpose = \"audit\"\npriority = \"critical\"\nstore = { file = \"AUDIT_SECRET.json\" }\n\n";
    std::fs::write(path, format!("{head}{tables}")).unwrap();
}

pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);
#[allow(dead_code)]
pub const EPOCH: SystemTime = UNIX_EPOCH;
