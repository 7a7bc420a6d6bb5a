//! Questions to git about a repository that may be anybody's.
//!
//! It guarantees: no program runs that the configuration of the repository names, as
//! `core.fsmonitor` or a hook; nothing is written to the repository, or fetched; the variables
//! `GIT_…` of the caller do not count; git is stopped after [`PATIENCE`]; and what it prints is
//! left out. The protection of `safe.directory` stays on: git does not read a repository of another
//! user.
//!
//! The configuration of the user counts, because it is theirs. That of the system does not.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For all questions together: each takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

/// The settings in which the configuration of a repository could name a program for the commands
/// that are run here, or have them read more than the index.
const SETTINGS: [&str; 12] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.sshCommand=false",
    "core.askPass=",
    "core.untrackedCache=false",
    "credential.helper=",
    "diff.external=",
    "protocol.allow=never",
    "submodule.recurse=false",
    // A folder that looks like a repository, with a configuration of its own, is none.
    "safe.bareRepository=explicit",
    "gc.auto=0",
];

/// The variables that are set for git, after all of `GIT_…` are removed.
const VARIABLES: [(&str, &str); 7] = [
    // Nothing is written, also not to refresh the index.
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    // No object is fetched through a program that `remote.…` names.
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", ""),
    ("GIT_PAGER", "cat"),
];

/// A repository with a project in it.
pub(super) struct Git {
    /// The folder of the project.
    root: PathBuf,
    /// The folder with `.git`, whatever `core.worktree` says.
    top: PathBuf,
    deadline: Instant,
}

impl Git {
    /// The repository that `root` is in. `None`, if it is in none: then git does not run at all.
    pub(super) fn open(root: &Path) -> Option<Self> {
        let root = std::fs::canonicalize(root).ok()?;
        let has_git = |folder: &&Path| folder.join(".git").symlink_metadata().is_ok();
        let top = root.ancestors().find(has_git)?.to_owned();
        Some(Self { root, top, deadline: Instant::now() + PATIENCE })
    }

    /// Asks if git reads the repository. `None`, if it cannot be asked.
    pub(super) fn is_readable(&self) -> Option<bool> {
        self.ask("rev-parse", &["--is-inside-work-tree"], None)
    }

    /// Asks if the file at `path` is tracked.
    pub(super) fn tracks(&self, path: &Path) -> Option<bool> {
        // A name may look like a pattern.
        let mut literal = OsString::from(":(literal)");
        literal.push(path);
        self.ask("ls-files", &["--cached", "--error-unmatch"], Some(&literal))
    }

    /// Asks if the file at `path` is ignored.
    pub(super) fn ignores(&self, path: &Path) -> Option<bool> {
        // Without the index, in which it would take a name for a pattern.
        self.ask("check-ignore", &["--quiet", "--no-index"], Some(path.as_os_str()))
    }

    /// Returns `true` if git says yes. `None`, if it does not run, or not in time.
    fn ask(&self, command: &str, options: &[&str], path: Option<&OsStr>) -> Option<bool> {
        if Instant::now() >= self.deadline {
            return None;
        }
        let mut git = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().to_ascii_uppercase().starts_with(b"GIT_") {
                git.env_remove(name);
            }
        }
        git.envs(VARIABLES).arg("--no-pager").arg("-C").arg(&self.root);
        let mut work_tree = OsString::from("--work-tree=");
        work_tree.push(&self.top);
        git.arg(work_tree);
        for setting in SETTINGS {
            git.args(["-c", setting]);
        }
        git.arg(command).args(options);
        if let Some(path) = path {
            git.arg("--").arg(path);
        }
        git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.wait(git.spawn().ok()?)
    }

    fn wait(&self, mut git: Child) -> Option<bool> {
        loop {
            match git.try_wait() {
                Ok(Some(status)) => return Some(status.success()),
                Ok(None) if Instant::now() < self.deadline => std::thread::sleep(PAUSE),
                _ => {
                    // It may have ended by now. It is waited for, so that no zombie is left.
                    let _ = git.kill();
                    let _ = git.wait();
                    return None;
                }
            }
        }
    }
}
