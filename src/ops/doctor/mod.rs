//! The doctor: looks at a project, and says what is wrong with it and how to mend it.

mod files;
mod git;

use std::collections::HashMap;
use std::time::SystemTime;

use super::adopt::{begin_command, in_use};
use super::audit::Trail;
use super::error::OpsError;
use super::inventory::{AuditPlace, Item, Place, Project};
use super::rotate::{check_new, last_step, reports};
use super::warnings::{encrypted, of_reports};
use crate::error::Error;
use crate::error::Obstacle;
use crate::evidence::reports::disagreement;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::Manifest;
use crate::source::StoreError;

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

/// Looks at everything that the inventory names, in all environments, and at the `.env*` files
/// beside it:
///
/// | check | what is wrong |
/// |---|---|
/// | `unread` | a store cannot be read |
/// | `unadopted` | a value is in use, and the store of its secret holds nothing |
/// | `short` | a secret is shorter than its purpose asks for |
/// | `shared` | two environments, or two names, have one secret |
/// | `tracked` | git tracks a file with secrets |
/// | `readable` | others may read a file with secrets |
/// | `ignored` | git would take a file with secrets |
/// | `encrypted` | a tool encrypts the `.env` file of a secret, so that no step writes there |
/// | `past` | a fallback has come to its end, and still stands in its file |
/// | `differ` | instances hold other keys than the store |
/// | `report` | a report of an instance cannot be read, or is from the future |
/// | `policy` | a manifest lives by another policy than the inventory says |
/// | `handover` | a file of new secrets was left |
/// | `audit` | the trail is not whole, has no key, or lacks the last step of a secret |
///
/// It asks git, and runs no program that the configuration of the repository names.
///
/// # Errors
/// None of what it looks at: that is a finding.
pub async fn examine(project: &Project) -> Result<Vec<Finding>, OpsError> {
    let mut all = Vec::new();
    let mut prints: HashMap<[u8; 32], Vec<String>> = HashMap::new();
    let trail = project.trail().await.ok();
    for item in &project.inventory().secrets {
        for environment in &item.environments {
            if let Place::Manual(_) = item.store {
                continue;
            }
            let subject = format!("{} ({environment})", item.name);
            if let Some(own) = encrypted(project, item, environment) {
                all.push(finding("encrypted", &subject, own.found(), &own.remedy()));
            }
            let store = match project.store_in(item, environment) {
                Ok(store) => store,
                Err(error) => {
                    all.push(unread(subject, &error));
                    continue;
                }
            };
            let manifest = match store.load().await {
                Ok(manifest) => manifest,
                // Where a secret is not used yet there is nothing to do.
                Err(StoreError::Missing { .. }) => {
                    if environment == project.environment_name() {
                        unadopted(&mut all, project, item, &subject);
                    }
                    let Some(trail) = &trail else { continue };
                    match check_new(&**trail, &item.name, environment).await {
                        // A trail that cannot be read is a finding of its own.
                        Ok(()) | Err(OpsError::Audit(_)) => {}
                        Err(error) => all.push(unread(subject, &error)),
                    }
                    continue;
                }
                Err(error) => {
                    all.push(unloaded(item, subject, error));
                    continue;
                }
            };
            for print in manifest.keys().iter().filter_map(|key| key.print()) {
                prints.entry(print).or_default().push(subject.clone());
            }
            let now = project.now();
            keys(&mut all, item, &manifest, &subject, now);
            let reports = match reports(&*store).await {
                Ok(reports) => reports,
                Err(error) => {
                    all.push(finding("report", &subject, error.to_string(), "fix the store"));
                    Vec::new()
                }
            };
            for warning in of_reports(&reports, manifest.policy(), now) {
                let remedy =
                    "fix the clock or the instance, or delete a report whose instance is gone";
                all.push(finding("report", &subject, warning, remedy));
            }
            let (policy, changed_at) = (manifest.policy(), manifest.changed_at());
            let against = disagreement(&reports, manifest.fingerprint(), policy, changed_at, now);
            let holds_others = |own: &Obstacle| matches!(own, Obstacle::OtherKeys { .. });
            for obstacle in against.into_iter().filter(holds_others) {
                all.push(finding(
                    "differ",
                    &subject,
                    obstacle.to_string(),
                    "look at its log, or restart it",
                ));
            }
            if let Some(trail) = &trail
                && !matches!(item.store, Place::Dotenv(_))
            {
                last_step_missing(&mut all, &**trail, item, &manifest, &subject).await;
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
    files::examine(&mut all, project);
    audit(&mut all, project).await;
    // As the table above has them, and in each by name: hashes have no order.
    const ORDER: [&str; 14] = [
        "unread",
        "unadopted",
        "short",
        "shared",
        "tracked",
        "readable",
        "ignored",
        "encrypted",
        "past",
        "differ",
        "report",
        "policy",
        "handover",
        "audit",
    ];
    let place = |own: &Finding| ORDER.iter().position(|name| *name == own.check);
    all.sort_by(|one, other| (place(one), &one.subject).cmp(&(place(other), &other.subject)));
    Ok(all)
}

fn unread(subject: String, error: &OpsError) -> Finding {
    finding("unread", &subject, error.to_string(), "set what is missing, or repair the store")
}

/// A value is in use that no store holds: no step is taken on it, and a new key would refuse what
/// it signed.
fn unadopted(all: &mut Vec<Finding>, project: &Project, item: &Item, subject: &str) {
    match in_use(project, &item.name) {
        Ok(Some(found)) => {
            let (variable, place) = (&found.variable, found.place());
            let text = format!("{variable} is set in {place}, and its store holds nothing");
            all.push(finding("unadopted", subject, text, &found.command(&item.name)));
        }
        Ok(None) => {}
        Err(error) => all.push(finding("unread", subject, error.to_string(), "fix the file")),
    }
}

fn unloaded(item: &Item, subject: String, error: StoreError) -> Finding {
    let source = match &error {
        StoreError::Refused(source) => Some(source),
        StoreError::Manifest { source, .. } => Some(&**source),
        _ => None,
    };
    match source {
        Some(Error::ShortSecret { .. }) => {
            let remedy = "set the minimum in the inventory, then rotate it";
            finding("short", &subject, item.explain(error).to_string(), remedy)
        }
        Some(Error::WrongLength { .. }) => {
            finding("short", &subject, error.to_string(), "replace it in the store")
        }
        _ if matches!(error, StoreError::Permissions { .. } | StoreError::Writable { .. }) => {
            finding(
                "readable",
                &subject,
                error.to_string(),
                "`chmod 0600` it, and rotate the secret",
            )
        }
        _ if matches!(error, StoreError::OtherDatabase { .. }) => {
            let remedy = "rename the variable, or set `other_databases = true`";
            finding("unread", &subject, error.to_string(), remedy)
        }
        _ => finding("unread", &subject, error.to_string(), "repair the store"),
    }
}

fn keys(all: &mut Vec<Finding>, item: &Item, manifest: &Manifest, subject: &str, now: SystemTime) {
    for key in manifest.keys().iter().filter(|key| key.secret().is_some()) {
        let kid = key.kid();
        let state = manifest.state(&kid, now);
        let is_dangerous =
            item.policy.dangerous_min_secret_bytes.is_some() && key.life.is_guessable;
        if (key.life.is_short || is_dangerous) && matches!(state, Some(KeyState::Active(_))) {
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

/// An older copy of the whole trail is authentic, and lacks what was done since.
async fn last_step_missing(
    all: &mut Vec<Finding>,
    trail: &dyn Trail,
    item: &Item,
    manifest: &Manifest,
    subject: &str,
) {
    // A trail that cannot be read is a finding of its own.
    let Ok(last) = last_step(trail, &item.name, manifest.environment()).await else { return };
    let known = last.and_then(|own| own.record.revision).unwrap_or_default();
    if known < manifest.revision() {
        let found = format!(
            "its store holds revision {}, and the trail knows of no step after revision {known}",
            manifest.revision()
        );
        let remedy = "find out whether the step was taken without the trail, or an older copy of \
                    the trail was put in its place";
        all.push(finding("audit", subject, found, remedy));
    }
}

async fn audit(all: &mut Vec<Finding>, project: &Project) {
    let audit = &project.inventory().audit;
    let subject = match &audit.place {
        AuditPlace::File(path) => path.display().to_string(),
        AuditPlace::Postgres(variable) => format!("the database of {variable}"),
    };
    match project.verify_trail().await {
        Err(OpsError::NoAuditKey { .. }) => {
            let mend = begin_command(project);
            all.push(finding("audit", &subject, "it has no key yet".to_owned(), &mend));
        }
        Err(error) => {
            all.push(finding("audit", &subject, error.to_string(), "repair the store of its key"))
        }
        Ok(verified) => {
            if let Some(problem) = verified.problem {
                let remedy = "find out who changed it; then `dualkey audit restart --reason WHY`";
                all.push(finding("audit", &subject, problem.to_string(), remedy));
            }
        }
    }
}

/// Returns the finding on a file with secrets that git has or would take, if there is one.
#[cfg(feature = "cli")]
pub(crate) fn ignored(project: &Project) -> Option<Finding> {
    files::ignored(project)
}

fn finding(check: &'static str, subject: &str, found: String, mend: &str) -> Finding {
    Finding { check, subject: subject.to_owned(), found, mend: mend.to_owned() }
}
