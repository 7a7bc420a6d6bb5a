//! The files with secrets: who may read them, and whether git has them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::finding::Finding;
use super::git::Git;
use crate::ops::inventory::{Place, Project};
use crate::source::disk;

/// A secret that was handed over is not left lying about for longer.
const HANDED_OVER: Duration = Duration::from_secs(24 * 60 * 60);

/// A `.gitignore` is a page of text.
const MAX_BYTES: usize = 1024 * 1024;

/// Whether the files with secrets are read by nobody else, and by git.
pub(super) fn examine(all: &mut Vec<Finding>, project: &Project) {
    let root = disk::folder(&project.inventory().path);
    let git = Git::open(&root);
    let is_repository = git.as_ref().and_then(Git::is_readable);
    for path in secret_files(project, &root) {
        let subject = path.display().to_string();
        if path.exists() {
            examine_mode(all, &path, &subject);
        }
        // Git looks from the folder of the project, and not from that of this process.
        let place = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        let ask = |question: fn(&Git, &Path) -> Option<bool>| {
            let git = git.as_ref().filter(|_| is_repository == Some(true));
            git.and_then(|git| question(git, &place))
        };
        let is_tracked = ask(Git::tracks);
        match (is_tracked, is_tracked.and_then(|_| ask(Git::ignores))) {
            (Some(true), _) => {
                let found = "git tracks it: everybody who has the repository has the secrets, and its history keeps them".to_owned();
                let remedy = format!("git rm --cached {subject}, then rotate every secret in it");
                all.push(Finding::new("tracked", &subject, found, &remedy));
            }
            (_, Some(false)) => {
                let remedy = if is_env(&path) {
                    "add `.env*` to .gitignore".to_owned()
                } else {
                    format!("add its folder to .gitignore ({})", disk::folder(&path).display())
                };
                all.push(Finding::new(
                    "ignored",
                    &subject,
                    "git would take it".to_owned(),
                    &remedy,
                ));
            }
            (_, Some(true)) => {}
            // No git to ask, or one that does not answer, or not to this user: what it would read.
            _ if root.join(".git").exists() || root.join(".gitignore").exists() => {
                let ignored = root.join(".gitignore");
                let text = match disk::read_text(&ignored, MAX_BYTES) {
                    Ok(text) => text,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Default::default(),
                    Err(error) => {
                        let subject = ignored.display().to_string();
                        all.push(Finding::new(
                            "ignored",
                            &subject,
                            error.to_string(),
                            "replace it",
                        ));
                        continue;
                    }
                };
                let is_line = |line: &str| line.trim().trim_start_matches('/') == ".env*";
                if path.file_name() == Some(OsStr::new(".env")) && !text.lines().any(is_line) {
                    let found = ".gitignore has no `.env*`".to_owned();
                    all.push(Finding::new("ignored", &subject, found, "add `.env*` to .gitignore"));
                }
            }
            _ => {}
        }
    }
    let sheet = root.join(".env.rotation");
    let age = fs::metadata(&sheet).and_then(|file| file.modified()).ok();
    if age
        .and_then(|made| SystemTime::now().duration_since(made).ok())
        .is_some_and(|age| age > HANDED_OVER)
    {
        let found = "it was made more than a day ago".to_owned();
        all.push(Finding::new(
            "handover",
            &sheet.display().to_string(),
            found,
            "hand its secrets over, and delete it",
        ));
    }
}

/// Returns the finding on a file with secrets that git has or would take, if there is one.
#[allow(dead_code, reason = "the command line uses it, behind a feature")]
pub(crate) fn find_ignored_file(project: &Project) -> Option<Finding> {
    let mut all = Vec::new();
    examine(&mut all, project);
    all.into_iter().find(|finding| finding.check == "ignored" || finding.check == "tracked")
}

/// The files that the inventory names, and what else there is beside it of the kind of `.env`:
/// one of another environment, new secrets, copies.
fn secret_files(project: &Project, root: &Path) -> BTreeSet<PathBuf> {
    let mut paths = vec![root.join(".env"), root.join(".env.rotation")];
    for item in &project.inventory().secrets {
        for environment in &item.environments {
            if let Place::File { path, .. } | Place::Dotenv(path) = &item.store {
                paths.push(project.inventory().path(path, environment));
            }
        }
    }
    // Those that are made to be shared hold no secret, and neither do locks.
    const SHARED: [&str; 4] = [".env.example", ".env.sample", ".env.template", ".env.dist"];
    let is_shared =
        |path: &Path| SHARED.map(OsStr::new).contains(&path.file_name().unwrap_or_default());
    let is_full =
        |path: &Path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0);
    let beside = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.extend(beside.filter(|path| is_env(path) && is_full(path) && !is_shared(path)));
    // `./.env` and `.env` are one.
    let plain =
        |path: PathBuf| path.components().filter(|part| *part != Component::CurDir).collect();
    paths.into_iter().map(plain).collect()
}

fn is_env(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".env"))
}

#[cfg(unix)]
fn examine_mode(all: &mut Vec<Finding>, path: &Path, subject: &str) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(file) = fs::metadata(path) else { return };
    let mode = file.permissions().mode() & 0o7777;
    if file.is_file() && mode & 0o077 != 0 {
        let found = format!("others may read or write it (mode {mode:04o})");
        let remedy = format!("chmod 0600 {subject}, and rotate what others may have read");
        all.push(Finding::new("readable", subject, found, &remedy));
    }
}

#[cfg(not(unix))]
fn examine_mode(_: &mut Vec<Finding>, _: &Path, _: &str) {}
