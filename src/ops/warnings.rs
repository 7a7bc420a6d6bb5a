//! Warnings about the reports of instances: what cannot be read, and what a wrong clock made.

use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::reports::{ClockProblem, clock_problem};
use std::time::SystemTime;

use super::inventory::{Place, Project, SecretSpec};
use crate::kid::Kid;
use crate::lifecycle::Policy;
use crate::lifecycle::policy::is_ahead;
use crate::moment::Exact;
use crate::source::dotenv::listing::{EncryptedFile, Listing};
use crate::text::Plain;

/// A warning for a stored policy whose observation window no instance can report on.
pub(super) fn policy_warning(policy: &Policy, name: &str) -> Option<String> {
    let error = policy.check_observation_window().err()?;
    Some(format!(
        "the stored policy has a fault: {error} in the inventory, then run `dualkey policy {name}`"
    ))
}

/// The tool that encrypts the `.env` file which is the store of `item`, if there is one.
pub(crate) fn find_encrypted_file(
    project: &Project,
    item: &SecretSpec,
    environment: &str,
) -> Option<EncryptedFile> {
    let Place::Dotenv(path) = &item.store else { return None };
    let path = project.inventory().path(path, environment);
    // A file that cannot be read has an error of its own.
    Listing::read(&path).ok().flatten()?.encrypted
}

/// A warning for each report that cannot be read or is from the future, and one for a clock that is
/// behind all of them.
pub(super) fn report_warnings(reports: &[Report], policy: &Policy, now: SystemTime) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(ClockProblem::Behind { newest }) = clock_problem(reports, policy, now) {
        let (newest, now) = (Exact(newest), Exact(now));
        all.push(format!("the clock is behind every report: it shows {now}, the newest was made at {newest}; set the clock"));
    }
    for report in reports {
        if let Some(problem) = &report.problem {
            let (instance, problem) = (report.instance.clone(), problem.clone());
            all.push(Obstacle::UnreadableReport { instance, problem }.to_string());
        } else if is_ahead(report.reported_at, policy, now) {
            all.push(format!(
                "the report of the instance `{}` is from the future ({}): set its clock, or delete the \
                 report if it is gone",
                Plain(&report.instance),
                Exact(report.reported_at)
            ));
        } else if let Some((kid, seen)) = last_ahead(report, policy, now) {
            all.push(format!(
                "the instance `{}` dates a use of `{kid}` in the future ({}): its clock was ahead; set it, \
                 then restart the instance",
                Plain(&report.instance),
                Exact(seen)
            ));
        }
    }
    all
}

/// The use of a key that a report dates in the future.
fn last_ahead(report: &Report, policy: &Policy, now: SystemTime) -> Option<(Kid, SystemTime)> {
    let ahead = report.last_as_fallback.iter().filter(|(_, seen)| is_ahead(*seen, policy, now));
    ahead.max_by_key(|(_, seen)| *seen).copied()
}
