//! The doctor: looks at a project, and says what is wrong with it and how to mend it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::error::OpsError;
use super::inventory::{AuditPlace, Item, Place, Project};
use super::rotate::reports;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::ring::KeyState;
use crate::ring::report::disagreement;
use crate::source::StoreError;
use crate::source::disk;
use crate::verified::Role;

/// A secret that was handed over is not left lying about for longer.
const HANDED_OVER: Duration = Duration::from_secs(24 * 60 * 60);

/// What is wrong, with what, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// A secret, with its environment, or a file.
    pub subject: String,
    /// What is wrong.
    pub found: String,
    /// How to mend it.
    pub mend: String,
}

/// Looks at everything that the inventory names, in all environments:
///
/// | check | what is wrong |
/// |---|---|
/// | `unread` | a store cannot be read |
/// | `short` | a secret is shorter than its purpose asks for |
/// | `shared` | two environments, or two names, have one secret |
/// | `tracked` | git tracks a file with secrets |
/// | `readable` | others may read a file with secrets |
/// | `ignored` | git would take a file with secrets |
/// | `past` | a fallback has come to its end, and still stands in its file |
/// | `differ` | instances hold other keys than the store |
/// | `policy` | a manifest lives by another policy than the inventory says |
/// | `handover` | a file of new secrets was left |
/// | `audit` | the trail is not whole, or has no key |
///
/// # Errors
/// None of what it looks at: that is a finding.
pub async fn examine(project: &Project) -> Result<Vec<Finding>, OpsError> {
    let mut all = Vec::new();
    let mut prints: HashMap<[u8; 32], Vec<String>> = HashMap::new();
    for item in &project.inventory().secrets {
        for environment in &item.environments {
            if let Place::Manual(_) = item.store {
                continue;
            }
            let subject = format!("{} ({environment})", item.name);
            let store = match project.store_in(item, environment) {
                Ok(store) => store,
                Err(error) => {
                    all.push(unread(subject, &error));
                    continue;
                }
            };
            let manifest = match store.load().await {
                Ok(manifest) => manifest,
                // Where a secret is not used yet there is nothing to mend.
                Err(StoreError::Missing { .. }) => continue,
                Err(error) => {
                    all.push(unloaded(subject, error));
                    continue;
                }
            };
            for print in manifest.keys().iter().filter_map(|key| key.print()) {
                prints.entry(print).or_default().push(subject.clone());
            }
            let reports = reports(&*store).await.unwrap_or_default();
            let now = project.now();
            keys(&mut all, item, &manifest, &subject, now);
            for obstacle in disagreement(&reports, manifest.fingerprint(), manifest.policy(), now) {
                all.push(finding(
                    "differ",
                    &subject,
                    obstacle.to_string(),
                    "look at its log, or restart it",
                ));
            }
            let is_set = manifest.policy() == &item.policy;
            if !is_set && !matches!(item.store, Place::Dotenv(_)) {
                let mend = format!("dualkey policy {} --env {environment}", item.name);
                let found = "its keys live by another policy than the inventory says".to_owned();
                all.push(finding("policy", &subject, found, &mend));
            }
        }
    }
    for mut subjects in prints.into_values().filter(|own| own.len() > 1) {
        subjects.sort();
        let mend = "rotate one of them: who reads one environment's secrets has the other's too";
        all.push(finding("shared", &subjects.join(", "), "it is one secret".to_owned(), mend));
    }
    files(&mut all, project);
    audit(&mut all, project).await;
    // As the table above has them, and in each by name: hashes have no order.
    const ORDER: [&str; 11] = [
        "unread", "short", "shared", "tracked", "readable", "ignored", "past", "differ", "policy",
        "handover", "audit",
    ];
    let place = |own: &Finding| ORDER.iter().position(|name| *name == own.check);
    all.sort_by(|one, other| (place(one), &one.subject).cmp(&(place(other), &other.subject)));
    Ok(all)
}

fn unread(subject: String, error: &OpsError) -> Finding {
    finding("unread", &subject, error.to_string(), "set what is missing, or mend the store")
}

fn unloaded(subject: String, error: StoreError) -> Finding {
    let source = match &error {
        StoreError::Refused(source) => Some(source),
        StoreError::Manifest { source, .. } => Some(&**source),
        _ => None,
    };
    match source {
        Some(Error::ShortSecret { .. } | Error::WrongLength { .. }) => {
            finding("short", &subject, error.to_string(), "rotate it")
        }
        _ if matches!(error, StoreError::Permissions { .. }) => finding(
            "readable",
            &subject,
            error.to_string(),
            "`chmod 0600` it, and rotate the secret",
        ),
        _ => finding("unread", &subject, error.to_string(), "mend the store"),
    }
}

fn keys(all: &mut Vec<Finding>, item: &Item, manifest: &Manifest, subject: &str, now: SystemTime) {
    for key in manifest.keys().iter().filter(|key| key.secret().is_some()) {
        let kid = key.kid();
        let state = manifest.state(&kid, now);
        if key.life.is_short && matches!(state, Some(KeyState::Active(_))) {
            let found =
                format!("`{kid}` is shorter than its purpose asks for, and can be searched for");
            let mend = match state {
                Some(KeyState::Active(Role::Primary)) => format!("dualkey rotate {}", item.name),
                _ => format!("dualkey retire {} --kid {kid} as soon as it may go", item.name),
            };
            all.push(finding("short", subject, found, &mend));
        }
        if state == Some(KeyState::Retired) && matches!(item.store, Place::Dotenv(_)) {
            let found = format!("`{kid}` has come to its end, and still stands in the file");
            let mend = format!("dualkey retire {} --kid {kid}", item.name);
            all.push(finding("past", subject, found, &mend));
        }
    }
}

/// Whether the files with secrets are read by nobody else, and by git.
fn files(all: &mut Vec<Finding>, project: &Project) {
    let root = disk::folder(&project.inventory().path);
    let mut paths: Vec<PathBuf> = vec![root.join(".env"), root.join(".env.rotation")];
    for item in &project.inventory().secrets {
        for environment in &item.environments {
            if let Place::File { path, .. } | Place::Dotenv(path) = &item.store {
                paths.push(project.inventory().path(path, environment));
            }
        }
    }
    paths.sort();
    paths.dedup();
    let is_repository = git(&root, &["rev-parse", "--is-inside-work-tree"]);
    for path in &paths {
        let subject = path.display().to_string();
        if path.exists() {
            readable(all, path, &subject);
        }
        match is_repository {
            Some(true)
                if git(&root, &["ls-files", "--error-unmatch", "--", &subject]) == Some(true) =>
            {
                let found = "git tracks it: everybody who has the repository has the secrets, and its history keeps them".to_owned();
                let mend = format!("git rm --cached {subject}, then rotate every secret in it");
                all.push(finding("tracked", &subject, found, &mend));
            }
            Some(true)
                if git(&root, &["check-ignore", "--quiet", "--", &subject]) != Some(true) =>
            {
                let mend = match path
                    .file_name()
                    .is_some_and(|own| own.to_string_lossy().starts_with(".env"))
                {
                    true => "add `.env*` to .gitignore".to_owned(),
                    false => {
                        format!("add its folder to .gitignore ({})", disk::folder(path).display())
                    }
                };
                all.push(finding("ignored", &subject, "git would take it".to_owned(), &mend));
            }
            Some(_) => {}
            // No git to ask: what it would read.
            None if root.join(".git").exists() || root.join(".gitignore").exists() => {
                let text = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
                let is_env = path.file_name().is_some_and(|own| own == ".env");
                if is_env
                    && !text.lines().any(|line| line.trim().trim_start_matches('/') == ".env*")
                {
                    let found = ".gitignore has no `.env*`".to_owned();
                    all.push(finding("ignored", &subject, found, "add `.env*` to .gitignore"));
                }
            }
            None => {}
        }
    }
    let sheet = root.join(".env.rotation");
    let age = fs::metadata(&sheet).and_then(|own| own.modified()).ok();
    if age
        .and_then(|made| SystemTime::now().duration_since(made).ok())
        .is_some_and(|age| age > HANDED_OVER)
    {
        let found = "it was made more than a day ago".to_owned();
        all.push(finding(
            "handover",
            &sheet.display().to_string(),
            found,
            "hand its secrets over, and delete it",
        ));
    }
}

#[cfg(unix)]
fn readable(all: &mut Vec<Finding>, path: &Path, subject: &str) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(own) = fs::metadata(path) else { return };
    let mode = own.permissions().mode() & 0o7777;
    if own.is_file() && mode & 0o077 != 0 {
        let found = format!("others may read or write it (mode {mode:04o})");
        let mend = format!("chmod 0600 {subject}, and rotate what others may have read");
        all.push(finding("readable", subject, found, &mend));
    }
}

#[cfg(not(unix))]
fn readable(_: &mut Vec<Finding>, _: &Path, _: &str) {}

/// Whether git says yes; none, if it cannot be asked.
fn git(root: &Path, arguments: &[&str]) -> Option<bool> {
    let mut git = Command::new("git");
    git.arg("-C").arg(root).args(arguments);
    git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Some(git.status().ok()?.success())
}

async fn audit(all: &mut Vec<Finding>, project: &Project) {
    let audit = &project.inventory().audit;
    let subject = match &audit.place {
        AuditPlace::File(path) => path.display().to_string(),
        AuditPlace::Postgres(variable) => format!("the database of {variable}"),
    };
    match project.trail().await {
        Err(OpsError::NoAuditKey { .. }) => {
            let mend = format!("dualkey generate {} --store", audit.secret);
            all.push(finding("audit", &subject, "it has no key yet".to_owned(), &mend));
        }
        Err(error) => {
            all.push(finding("audit", &subject, error.to_string(), "mend the store of its key"))
        }
        Ok(trail) => match trail.verify().await {
            Ok(verified) => {
                if let Some(problem) = verified.problem {
                    let mend = "find out who changed it; then `dualkey audit restart --reason WHY`";
                    all.push(finding("audit", &subject, problem.to_string(), mend));
                }
            }
            Err(error) => all.push(finding("audit", &subject, error.to_string(), "mend it")),
        },
    }
}

fn finding(check: &'static str, subject: &str, found: String, mend: &str) -> Finding {
    Finding { check, subject: subject.to_owned(), found, mend: mend.to_owned() }
}
