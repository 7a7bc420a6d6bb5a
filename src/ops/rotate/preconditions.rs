//! The checks before a rotation.

use std::fs;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, SystemTime};

use super::check::Check;
use super::facts::{reports, with_role};
use super::past_steps::{check_new, unfinished_step};
use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::next_step::facts::max_fallbacks;
use crate::evidence::reports::{disagreement, is_possibly_running};
use crate::lifecycle::Role;
use crate::manifest::Manifest;
use crate::moment::NotBefore;
use crate::ops::audit::{Outcome, Query, Trail, Verification};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, Project, SecretSpec};
use crate::source::StoreError;

/// How long a peer may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest time since the rotation in an earlier environment.
const EARLIER_WITHIN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// All checks before a rotation of the secret `name`, in their order:
///
/// | name | what must hold |
/// |---|---|
/// | `audit` | the trail is whole |
/// | `clock` | it agrees with the last change, the last record and the instances, up to the skew |
/// | `underway` | no key is staged, no step was begun and left, and there is room for one more key |
/// | `instances` | those that report hold what the store does |
/// | `backup` | where data is sealed, or one is named: it is recent |
/// | `peers` | those that are named answer |
/// | `earlier` | it was rotated within 30 days in each environment before this one, in the order of the inventory |
///
/// # Errors
/// What keeps the inventory, the store or the trail from being read at all.
pub async fn checks(project: &Project, name: &str) -> Result<Vec<Check>, OpsError> {
    let item = project.inventory().secret(name)?;
    let store = project.store(name)?;
    let trail = project.trail().await?;
    let manifest = match store.load().await {
        Err(error @ StoreError::Missing { .. }) => {
            check_new(&*trail, name, project.environment_name()).await?;
            return Err(item.explain(error));
        }
        loaded => loaded.map_err(|error| item.explain(error))?,
    };
    let (reports, now) = (reports(&*store).await?, project.now());
    Ok(vec![
        check_audit(project.verify_trail().await?),
        check_clock(&*trail, &manifest, &reports, now).await?,
        check_underway(&*trail, item, &manifest, now).await?,
        check_instances(item, &manifest, &reports, now),
        check_backup(project, item, now),
        check_peers(item),
        check_earlier_environments(&*trail, project, item, now).await?,
    ])
}

fn check_audit(verified: Verification) -> Check {
    match &verified.problem {
        None => Check::for_pass("audit", format!("whole, {} records", verified.records)),
        Some(problem) => {
            Check::for_failure("audit", format!("{problem}: see `dualkey audit verify`"))
        }
    }
}

async fn check_clock(
    trail: &dyn Trail,
    manifest: &Manifest,
    reports: &[Report],
    now: SystemTime,
) -> Result<Check, OpsError> {
    if let Err(error) = manifest.check_clock(reports, now) {
        return Ok(Check::for_failure("clock", error.to_string()));
    }
    let query = Query::new().with_started().take(1);
    let last = trail.query(&query).await?.pop().map(|entry| entry.record.at);
    let skew = manifest.policy().skew;
    let behind = last.and_then(|last| last.duration_since(now).ok()).unwrap_or_default();
    if behind > skew {
        let found =
            format!("it is {} s behind the last record of the trail: set it", behind.as_secs());
        return Ok(Check::for_failure("clock", found));
    }
    Ok(Check::for_pass("clock", "agrees with the last change and the instances".to_owned()))
}

async fn check_underway(
    trail: &dyn Trail,
    item: &SecretSpec,
    manifest: &Manifest,
    now: SystemTime,
) -> Result<Check, OpsError> {
    const NAME: &str = "underway";
    let name = &item.name;
    if let Some(record) = unfinished_step(trail, name, manifest.environment()).await? {
        let (actor, action) = (&record.actor, &record.action);
        return Ok(Check::for_warning(
            NAME,
            format!("{actor} began {action}, and has not said how it went"),
        ));
    }
    if let Some(kid) = with_role(manifest, Role::Staged, now).first() {
        let found = format!(
            "`{kid}` is staged: promote it (`dualkey status {name}` shows the command), or take it \
             back (`dualkey retire {name} --kid {kid}`)"
        );
        return Ok(Check::for_failure(NAME, found));
    }
    let fallbacks = with_role(manifest, Role::Fallback, now);
    let is_file = matches!(item.store, Place::Dotenv(_));
    if fallbacks.len() <= max_fallbacks(item.purpose, is_file) {
        return Ok(Check::for_pass(NAME, "nothing is".to_owned()));
    }
    let ends = fallbacks.iter().filter_map(|kid| manifest.verifies_until(kid)).min();
    let ends = ends.map_or_else(String::new, |ends| {
        format!("; the first of them expires at {}", NotBefore(ends))
    });
    let found = format!(
        "{} fallbacks are there already: retire one first (`dualkey status {name}` shows the \
         command){ends}",
        fallbacks.len()
    );
    Ok(Check::for_failure(NAME, found))
}

fn check_instances(
    item: &SecretSpec,
    manifest: &Manifest,
    reports: &[Report],
    now: SystemTime,
) -> Check {
    const NAME: &str = "instances";
    if !item.purpose.needs_agreement() {
        return Check::for_unneeded(NAME, "each command reads its keys again");
    }
    let (policy, changed_at) = (manifest.policy(), manifest.changed_at());
    let running = reports
        .iter()
        .filter(|report| is_possibly_running(report, policy, changed_at, now))
        .count();
    let against = disagreement(reports, manifest.fingerprint(), policy, changed_at, now);
    if running == 0 && against.is_empty() {
        return Check::for_warning(
            NAME,
            "none reports: promote with `--assume-deployed` once every instance runs with the new key"
                .to_owned(),
        );
    }
    match against.first() {
        None => Check::for_pass(NAME, format!("{running} agree")),
        Some(obstacle @ Obstacle::UnreadableReport { .. }) => {
            Check::for_failure(NAME, obstacle.to_string())
        }
        Some(obstacle) => {
            Check::for_failure(NAME, format!("{obstacle}: wait until it has reloaded"))
        }
    }
}

fn check_backup(project: &Project, item: &SecretSpec, now: SystemTime) -> Check {
    const NAME: &str = "backup";
    let Some(backup) = &item.backup else {
        if !item.purpose.needs_rewrap() {
            return Check::for_unneeded(NAME, "nothing is sealed with it");
        }
        let found = "data is sealed with it, and no backup is named in the inventory";
        return Check::for_failure(NAME, found.to_owned());
    };
    let path = project.inventory().path(&backup.path, project.environment_name());
    let shown = path.display();
    let file = match fs::metadata(&path) {
        Ok(file) if file.len() > 0 => file,
        Ok(_) => return Check::for_failure(NAME, format!("{shown} is empty")),
        Err(error) => return Check::for_failure(NAME, format!("{shown}: {error}")),
    };
    match file.modified().map(|made| now.duration_since(made).unwrap_or_default()) {
        Ok(age) if age <= backup.max_age => {
            Check::for_pass(NAME, format!("{shown} is {} minutes old", age.as_secs() / 60))
        }
        Ok(age) => Check::for_failure(
            NAME,
            format!("{shown} is {} hours old: make a new one", age.as_secs() / 3600),
        ),
        Err(error) => Check::for_failure(NAME, format!("{shown}: {error}")),
    }
}

fn check_peers(item: &SecretSpec) -> Check {
    const NAME: &str = "peers";
    if item.peers.is_empty() {
        return Check::for_unneeded(NAME, "none are named in the inventory");
    }
    for peer in &item.peers {
        let answers = peer.to_socket_addrs().is_ok_and(|mut all| {
            all.any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok())
        });
        if !answers {
            return Check::for_failure(NAME, format!("{peer} does not answer"));
        }
    }
    Check::for_pass(NAME, format!("{} answer", item.peers.len()))
}

async fn check_earlier_environments(
    trail: &dyn Trail,
    project: &Project,
    item: &SecretSpec,
    now: SystemTime,
) -> Result<Check, OpsError> {
    const NAME: &str = "earlier";
    let current = project.environment_name();
    let before: Vec<_> = item.environments.iter().take_while(|other| *other != current).collect();
    if before.is_empty() {
        return Ok(Check::for_unneeded(NAME, "no environment comes before this one"));
    }
    for environment in before {
        let mut query = Query::new().secret(&item.name).environment(environment);
        query = query.rotations().outcome(Outcome::Success).take(1);
        if let Some(since) = now.checked_sub(EARLIER_WITHIN) {
            query = query.since(since);
        }
        if trail.query(&query).await?.is_empty() {
            let found =
                format!("it was not rotated in {environment} within 30 days: do that first");
            return Ok(Check::for_failure(NAME, found));
        }
    }
    Ok(Check::for_pass(NAME, "it was rotated before this one".to_owned()))
}
