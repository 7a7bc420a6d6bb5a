//! The state of a secret, as a pure function of what is stored and of the time.

use std::time::SystemTime;

use super::facts::{due, next_step_facts};
use super::other_keys::other_keys;
use super::phrase::phrase;
use super::schedule_state::schedule_state;
use super::stall::state_of;
use super::status::{Advice, ScheduleState, SecretStatus};
use super::traffic::expected_traffic;
use super::trail_facts::TrailFacts;
use crate::evidence::Report;
use crate::evidence::next_step::next_step;
use crate::evidence::next_step::step::NextStep;
use crate::manifest::{Entry, Manifest};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, SecretSpec};
use crate::ops::warnings::{policy_warning, report_warnings};
use crate::source::StoreError;

impl SecretStatus {
    /// How a secret stands of which `manifest` is stored, by what the instances `reports` say.
    #[must_use]
    pub fn compute(
        item: &SecretSpec,
        manifest: &Manifest,
        reports: &[Report],
        now: SystemTime,
        ahead: u16,
    ) -> Self {
        let facts = TrailFacts::for_manifest(item, manifest, now);
        Self::for_trail_facts(item, manifest, reports, now, (ahead, &facts))
    }

    /// The same, with the facts of the trail.
    pub(super) fn for_trail_facts(
        item: &SecretSpec,
        manifest: &Manifest,
        reports: &[Report],
        now: SystemTime,
        (ahead, facts): (u16, &TrailFacts),
    ) -> Self {
        let kid = manifest.primary(now);
        let since = facts.signing_since(manifest, now);
        let due = due(item, since);
        let others = other_keys(item, manifest, reports, facts, now);
        let schedule_state =
            due.map_or(ScheduleState::UpToDate, |due| schedule_state(due, now, ahead));
        let (next, state) = {
            let facts =
                next_step_facts(item, manifest, reports, &others, (due, &schedule_state), now);
            let words = |step: &NextStep| phrase(step, item, manifest, reports, now);
            (words(&next_step(&facts)), state_of(schedule_state, &facts, words))
        };
        let variable = manifest.key(&kid).and_then(Entry::variable).map(str::to_owned);
        let mut warnings = report_warnings(reports, manifest.policy(), now);
        warnings
            .extend(manifest.warnings.iter().map(|(name, warning)| format!("{name}: {warning}")));
        warnings.extend(policy_warning(manifest.policy(), &item.name));
        warnings.extend(expected_traffic(item, manifest, reports, &others, now));
        Self {
            name: item.name.clone(),
            environment: manifest.environment().to_owned(),
            purpose: manifest.purpose(),
            priority: item.priority,
            primary: Some(kid),
            variable,
            since,
            is_since_at_least: facts.is_at_least,
            others,
            due,
            state,
            next,
            warnings,
        }
    }

    /// How a secret stands that is rotated by hand, the last time at `last`.
    #[must_use]
    pub fn for_manual(
        (item, environment): (&SecretSpec, &str),
        last: Option<SystemTime>,
        now: SystemTime,
        ahead: u16,
    ) -> Self {
        let due = item.policy.schedule.and_then(|schedule| match last {
            Some(last) => schedule.next(last),
            // No record says that it was ever done.
            None => Some(now),
        });
        let mut status = Self::for_item((item, environment));
        (status.since, status.due) = (last, due);
        status.state = due.map_or(ScheduleState::UpToDate, |due| schedule_state(due, now, ahead));
        let Place::Manual(place) = &item.store else { return status };
        let command = format!("dualkey record {} rotated", item.name);
        status.next = match due {
            Some(at) => Advice {
                what: format!("rotate it in {place}, and say so"),
                command: Some(command),
                at: Some(at),
            },
            None => Advice { what: "nothing".to_owned(), command: None, at: None },
        };
        status
    }

    /// One that cannot be read.
    #[must_use]
    pub fn for_unreadable((item, environment): (&SecretSpec, &str), error: &OpsError) -> Self {
        let mut status = Self::for_item((item, environment));
        if !matches!(error, OpsError::Store(StoreError::Missing { .. })) {
            status.state = ScheduleState::Unread { why: error.to_string() };
            return status;
        }
        status.state = ScheduleState::Absent;
        (status.next.what, status.next.command) = match &item.store {
            Place::Dotenv(path) => (format!("set it in {path}"), None),
            _ => {
                let command = item.command(&format!("generate {} --store", item.name));
                ("make its first key".to_owned(), Some(command))
            }
        };
        status
    }

    fn for_item((item, environment): (&SecretSpec, &str)) -> Self {
        Self {
            name: item.name.clone(),
            environment: environment.to_owned(),
            purpose: item.purpose,
            priority: item.priority,
            primary: None,
            variable: None,
            since: None,
            is_since_at_least: false,
            others: Vec::new(),
            due: None,
            state: ScheduleState::UpToDate,
            next: Advice {
                what: "correct what is wrong with it".to_owned(),
                command: None,
                at: None,
            },
            warnings: Vec::new(),
        }
    }
}
