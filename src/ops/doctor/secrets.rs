//! The examination of every secret, and of the trail.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::audit_trail::audit;
use super::files;
use super::finding::Finding;
use crate::error::Error;
use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::reports::disagreement;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::Manifest;
use crate::ops::adopt::in_use;
use crate::ops::audit::Trail;
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, Project, SecretSpec};
use crate::ops::rotate::facts::reports;
use crate::ops::rotate::{check_new, last_step};
use crate::ops::warnings::{find_encrypted_file, report_warnings};
use crate::source::StoreError;

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
    let mut examination = Examination {
        project,
        trail: project.trail().await.ok(),
        prints: HashMap::new(),
        all: Vec::new(),
    };
    for item in &project.inventory().secrets {
        for environment in &item.environments {
            if !matches!(item.store, Place::Manual(_)) {
                examination.examine_secret(item, environment).await;
            }
        }
    }
    let Examination { prints, mut all, .. } = examination;
    for mut subjects in prints.into_values().filter(|subjects| subjects.len() > 1) {
        subjects.sort();
        let remedy = "rotate one of them: who reads one environment's secrets has the other's too";
        all.push(Finding::new(
            "shared",
            &subjects.join(", "),
            "it is one secret".to_owned(),
            remedy,
        ));
    }
    files::examine(&mut all, project);
    all.extend(audit(project).await);
    let place = |finding: &Finding| ORDER.iter().position(|name| *name == finding.check);
    all.sort_by(|one, other| (place(one), &one.subject).cmp(&(place(other), &other.subject)));
    Ok(all)
}

/// The checks in the order of the table above; the findings of each are in the order of their subjects,
/// because hashes have no order.
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

/// An examination of all secrets: the findings until now, and each secret by its print.
struct Examination<'p> {
    project: &'p Project,
    trail: Option<Arc<dyn Trail>>,
    prints: HashMap<[u8; 32], Vec<String>>,
    all: Vec<Finding>,
}

impl Examination<'_> {
    async fn examine_secret(&mut self, item: &SecretSpec, environment: &str) {
        let subject = format!("{} ({environment})", item.name);
        if let Some(file) = find_encrypted_file(self.project, item, environment) {
            self.all.push(Finding::new("encrypted", &subject, file.problem(), &file.remedy()));
        }
        let store = match self.project.store_in(item, environment) {
            Ok(store) => store,
            Err(error) => return self.all.push(unreadable_finding(subject, &error)),
        };
        let manifest = match store.load().await {
            Ok(manifest) => manifest,
            // Where a secret is not used yet there is nothing to do.
            Err(StoreError::Missing { .. }) => {
                return self.examine_missing(item, environment, subject).await;
            }
            Err(error) => return self.all.push(load_error_finding(item, subject, error)),
        };
        for print in manifest.keys().iter().filter_map(|key| key.secret_print()) {
            self.prints.entry(print).or_default().push(subject.clone());
        }
        let now = self.project.now();
        examine_keys(&mut self.all, item, &manifest, &subject, now);
        let reports = match reports(&*store).await {
            Ok(reports) => reports,
            Err(error) => {
                self.all.push(Finding::new("report", &subject, error.to_string(), "fix the store"));
                Vec::new()
            }
        };
        examine_reports(&mut self.all, &manifest, &reports, &subject, now);
        if matches!(item.store, Place::Dotenv(_)) {
            return;
        }
        if let Some(trail) = &self.trail {
            examine_last_step(&mut self.all, &**trail, item, &manifest, &subject).await;
        }
        if manifest.policy() != &item.policy {
            let remedy = format!("dualkey policy {} --env {environment}", item.name);
            let found = "its keys live by another policy than the inventory says".to_owned();
            self.all.push(Finding::new("policy", &subject, found, &remedy));
        }
    }

    async fn examine_missing(&mut self, item: &SecretSpec, environment: &str, subject: String) {
        if environment == self.project.environment_name() {
            examine_in_use(&mut self.all, self.project, item, &subject);
        }
        let Some(trail) = &self.trail else { return };
        match check_new(&**trail, &item.name, environment).await {
            // A trail that cannot be read is a finding of its own.
            Ok(()) | Err(OpsError::Audit(_)) => {}
            Err(error) => self.all.push(unreadable_finding(subject, &error)),
        }
    }
}

fn examine_reports(
    all: &mut Vec<Finding>,
    manifest: &Manifest,
    reports: &[Report],
    subject: &str,
    now: SystemTime,
) {
    for warning in report_warnings(reports, manifest.policy(), now) {
        let remedy = "fix the clock or the instance, or delete a report whose instance is gone";
        all.push(Finding::new("report", subject, warning, remedy));
    }
    let (policy, changed_at) = (manifest.policy(), manifest.changed_at());
    let against = disagreement(reports, manifest.fingerprint(), policy, changed_at, now);
    let holds_others = |obstacle: &Obstacle| matches!(obstacle, Obstacle::KeySetMismatch { .. });
    for obstacle in against.into_iter().filter(holds_others) {
        let remedy = "look at its log, or restart it";
        all.push(Finding::new("differ", subject, obstacle.to_string(), remedy));
    }
}

fn unreadable_finding(subject: String, error: &OpsError) -> Finding {
    Finding::new("unread", &subject, error.to_string(), "set what is missing, or repair the store")
}

/// A value is in use that no store holds: no step is taken on it, and a new key would refuse what
/// it signed.
fn examine_in_use(all: &mut Vec<Finding>, project: &Project, item: &SecretSpec, subject: &str) {
    match in_use(project, &item.name) {
        Ok(Some(found)) => {
            let (variable, place) = (&found.variable, found.place());
            let text = format!("{variable} is set in {place}, and its store holds nothing");
            all.push(Finding::new("unadopted", subject, text, &found.command(&item.name)));
        }
        Ok(None) => {}
        Err(error) => all.push(Finding::new("unread", subject, error.to_string(), "fix the file")),
    }
}

fn load_error_finding(item: &SecretSpec, subject: String, error: StoreError) -> Finding {
    let source = match &error {
        StoreError::Refused(source) => Some(source),
        StoreError::Manifest { source, .. } | StoreError::OnlyRevocations { source, .. } => {
            Some(&**source)
        }
        _ => None,
    };
    match source {
        Some(Error::ShortSecret { .. }) => {
            let remedy = "set the minimum in the inventory, then rotate it";
            Finding::new("short", &subject, item.explain(error).to_string(), remedy)
        }
        Some(Error::WrongLength { .. }) => {
            Finding::new("short", &subject, error.to_string(), "replace it in the store")
        }
        _ if matches!(error, StoreError::Permissions { .. } | StoreError::Writable { .. }) => {
            Finding::new(
                "readable",
                &subject,
                error.to_string(),
                "`chmod 0600` it, and rotate the secret",
            )
        }
        _ if matches!(error, StoreError::OtherDatabase { .. }) => {
            let remedy = "rename the variable, or set `other_databases = true`";
            Finding::new("unread", &subject, error.to_string(), remedy)
        }
        Some(Error::Manifest { .. }) => {
            Finding::new("unread", &subject, error.to_string(), "do what the message says")
        }
        _ => Finding::new("unread", &subject, error.to_string(), "repair the store"),
    }
}

fn examine_keys(
    all: &mut Vec<Finding>,
    item: &SecretSpec,
    manifest: &Manifest,
    subject: &str,
    now: SystemTime,
) {
    for key in manifest.keys().iter().filter(|key| key.secret().is_some()) {
        let kid = key.kid();
        let state = manifest.state(&kid, now);
        let is_dangerous =
            item.policy.dangerous_min_secret_bytes.is_some() && key.life.is_guessable;
        if (key.life.is_short || is_dangerous) && matches!(state, Some(KeyState::Live(_))) {
            let found =
                format!("`{kid}` is shorter than its purpose asks for, and can be searched for");
            let remedy = match state {
                Some(KeyState::Live(Role::Primary)) => format!("dualkey rotate {}", item.name),
                _ => format!("dualkey retire {} --kid {kid} as soon as it may go", item.name),
            };
            all.push(Finding::new("short", subject, found, &remedy));
        }
        if state == Some(KeyState::Expired) && matches!(item.store, Place::Dotenv(_)) {
            let found = format!("`{kid}` has come to its end, and still stands in the file");
            let remedy = format!("dualkey retire {} --kid {kid}", item.name);
            all.push(Finding::new("past", subject, found, &remedy));
        }
    }
}

/// An older copy of the whole trail is authentic, and lacks what was done since.
async fn examine_last_step(
    all: &mut Vec<Finding>,
    trail: &dyn Trail,
    item: &SecretSpec,
    manifest: &Manifest,
    subject: &str,
) {
    // A trail that cannot be read is a finding of its own.
    let Ok(last) = last_step(trail, &item.name, manifest.environment()).await else { return };
    let known = last.and_then(|entry| entry.record.revision).unwrap_or_default();
    if known < manifest.revision() {
        let found = format!(
            "its store holds revision {}, and the trail knows of no step after revision {known}",
            manifest.revision()
        );
        let remedy = "find out whether the step was taken without the trail, or an older copy of \
                    the trail was put in its place";
        all.push(Finding::new("audit", subject, found, remedy));
    }
}
