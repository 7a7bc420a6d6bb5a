//! The facts that the next step of a secret follows from, read with those of its trail.

use std::time::SystemTime;

use super::facts::{due, next_step_facts};
use super::other_keys::other_keys;
use super::schedule_state::schedule_state;
use super::status::ScheduleState;
use super::trail_facts::TrailFacts;
use crate::evidence::Report;
use crate::evidence::next_step::facts::Facts;
use crate::manifest::Manifest;
use crate::ops::audit::Trail;
use crate::ops::error::OpsError;
use crate::ops::inventory::SecretSpec;

/// Reads the facts about the secret `item` that the next step of its status follows from.
pub(crate) async fn read_facts<'m>(
    trail: &dyn Trail,
    item: &SecretSpec,
    manifest: &'m Manifest,
    reports: &[Report],
    now: SystemTime,
) -> Result<Facts<'m>, OpsError> {
    let past = TrailFacts::read(trail, item, manifest, now).await?;
    let due = due(item, past.signing_since(manifest, now));
    let state = due.map_or(ScheduleState::UpToDate, |due| schedule_state(due, now, 0));
    let others = other_keys(item, manifest, reports, &past, now);
    Ok(next_step_facts(item, manifest, reports, &others, (due, &state), now))
}
