//! The warning that too little traffic is expected for a verdict.

use std::time::{Duration, SystemTime};

use super::status::OtherKey;
use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::silence::SILENT_WINDOWS;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::Manifest;
use crate::moment::NotBefore;
use crate::ops::inventory::{Place, SecretSpec, kids_apart};
use crate::purpose::Purpose;

/// A warning that the verdict on a fallback will find too little traffic, with the setting: known
/// before the overlap is over.
pub(super) fn expected_traffic(
    item: &SecretSpec,
    manifest: &Manifest,
    reports: &[Report],
    others: &[OtherKey],
    now: SystemTime,
) -> Option<String> {
    // Instances that read a `.env` file report nothing.
    if let Place::Dotenv(_) = item.store {
        return None;
    }
    let apart = kids_apart(item, manifest, now);
    let is_fallback = |other: &&OtherKey| {
        other.state == KeyState::Live(Role::Fallback) && !apart.contains(&other.kid)
    };
    let fallback = others.iter().find(is_fallback).filter(|_| item.purpose != Purpose::Audit)?;
    let (kid, verifies_until) = (fallback.kid, fallback.verifies_until);
    let expected = manifest.expected_obstacle(&kid, reports, now).ok()??;
    let Obstacle::TooLittleTraffic { seen, enough, from } = expected else { return None };
    let window = length(manifest.policy().observation_window);
    let ends = verifies_until.map_or_else(String::new, |ends| {
        format!("; the key expires at {} all the same", NotBefore(ends))
    });
    let name = &item.name;
    let Some(from) = from else {
        return Some(format!(
            "the primary verified nothing within {window}, and the verdict on `{kid}` needs {enough} \
             verifications (`min_observed_verifications`): that the key is unused says nothing until there are \
             some{ends}"
        ));
    };
    // Half of them, so that a quiet day does not matter.
    let line = (seen / 2).max(1);
    Some(format!(
        "about {seen} verifications per {window}, and the verdict on `{kid}` needs {enough}: without \
         them the key must stay unused for {SILENT_WINDOWS} times as long, until {} at the \
         earliest{ends}; to need fewer, write `min_observed_verifications = {line}` for {name} in the inventory, \
         then run `dualkey policy {name}`",
        NotBefore(from)
    ))
}

/// A length of time, in the largest unit that it is a multiple of.
fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    match units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}
