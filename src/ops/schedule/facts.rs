//! The facts that the next step of a secret follows from, as its manifest and the reports have them.

use std::time::SystemTime;

use super::status::{OtherKey, ScheduleState};
use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::Verdict;
use crate::evidence::next_step::facts::{Facts, Fleet, KeyFacts};
use crate::kid::Kid;
use crate::lifecycle::{KeyState, Role};
use crate::manifest::Manifest;
use crate::ops::inventory::{Place, SecretSpec, kids_apart};

/// The facts about the secret `item`, of which the keys `others` are beside the primary.
pub(super) fn next_step_facts<'m>(
    item: &SecretSpec,
    manifest: &'m Manifest,
    reports: &[Report],
    others: &[OtherKey],
    (due, schedule_state): (Option<SystemTime>, &ScheduleState),
    now: SystemTime,
) -> Facts<'m> {
    let (policy, changed_at) = (manifest.policy(), manifest.changed_at());
    let apart = kids_apart(item, manifest, now);
    let primary = manifest.primary(changed_at);
    Facts {
        purpose: item.purpose,
        policy,
        changed_at,
        now,
        keys: others
            .iter()
            .map(|other| key_facts(other, item, manifest, reports, &apart, now))
            .collect(),
        fleet: Fleet::new(reports, manifest.fingerprint(), policy, changed_at, now),
        is_file: matches!(item.store, Place::Dotenv(_)),
        signing_since: manifest.key(&primary).map(|key| key.life.signing_since()),
        due,
        is_due: matches!(schedule_state, ScheduleState::Due | ScheduleState::Overdue { .. }),
    }
}

/// When the next rotation is due of a secret that signs since `since`: by the inventory, which is what an
/// operator edits.
pub(super) fn due(item: &SecretSpec, since: Option<SystemTime>) -> Option<SystemTime> {
    item.policy.schedule.zip(since).and_then(|(schedule, since)| schedule.next(since))
}

fn key_facts(
    other: &OtherKey,
    item: &SecretSpec,
    manifest: &Manifest,
    reports: &[Report],
    apart: &[Kid],
    now: SystemTime,
) -> KeyFacts {
    let kid = other.kid;
    let expected = match &other.verdict {
        Some(Verdict::Wait { .. }) => manifest.expected_obstacle(&kid, reports, now).ok().flatten(),
        _ => None,
    };
    let after_withdrawal = if other.is_restaged && item.purpose.needs_rewrap() {
        obstacles_after_withdrawal(&kid, manifest, reports, now)
    } else {
        Vec::new()
    };
    KeyFacts {
        kid,
        state: other.state,
        added_at: other.added_at,
        signs_from: other.signs_from.filter(|_| other.state == KeyState::Live(Role::Staged)),
        verifies_until: other.verifies_until,
        is_retired: other.is_retired,
        is_restaged: other.is_restaged,
        is_apart: apart.contains(&kid),
        verdict: other.verdict.clone(),
        expected,
        rewrap_from: manifest.rewrap_counts_from(&kid, now),
        overlap_end: manifest.overlap_end(&kid),
        after_withdrawal,
    }
}

/// The obstacles to the destruction of the restaged key `kid`, once it is withdrawn.
fn obstacles_after_withdrawal(
    kid: &Kid,
    manifest: &Manifest,
    reports: &[Report],
    now: SystemTime,
) -> Vec<Obstacle> {
    let without = manifest.force("a question").retire(kid, now).map(|change| change.manifest);
    match without.and_then(|manifest| manifest.retirement(kid, reports, now)) {
        Ok(Verdict::Blocked(obstacles)) => obstacles,
        _ => Vec::new(),
    }
}
