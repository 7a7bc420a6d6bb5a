//! The state of secrets as JSON for scripts: field names are stable.

use std::time::SystemTime;

use serde::Serialize;

use super::status::{OtherKey, ScheduleState, SecretStatus};
use crate::manifest::status_json::{KeyJson, VerdictJson, written_end};
use crate::moment::Exact;

/// How secrets stand, as a JSON array: what `dualkey status --json` prints.
#[must_use]
pub fn to_json(secret_statuses: &[SecretStatus]) -> String {
    let rows: Vec<_> = secret_statuses.iter().map(secret_json).collect();
    serde_json::to_string_pretty(&rows).expect("texts and numbers are JSON")
}

#[derive(Serialize)]
struct SecretJson<'a> {
    secret: &'a str,
    environment: &'a str,
    purpose: &'a str,
    priority: &'a str,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    primary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<&'a str>,
    since: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_since_at_least: bool,
    others: Vec<KeyJson<String>>,
    due: Option<String>,
    next: NextStepJson<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct NextStepJson<'a> {
    what: &'a str,
    command: Option<&'a str>,
    at: Option<String>,
}

fn secret_json(status: &SecretStatus) -> SecretJson<'_> {
    let (days, why) = match &status.state {
        ScheduleState::Soon { days } | ScheduleState::Overdue { days } => (Some(*days), None),
        ScheduleState::Stuck { why } | ScheduleState::Unread { why } => (None, Some(why.as_str())),
        _ => (None, None),
    };
    SecretJson {
        secret: &status.name,
        environment: &status.environment,
        purpose: status.purpose.as_str(),
        priority: status.priority.as_str(),
        state: status.state.as_str(),
        days,
        why,
        primary: status.primary.map(|kid| kid.to_string()),
        variable: status.variable.as_deref(),
        since: status.since.map(time),
        is_since_at_least: status.is_since_at_least,
        others: status.others.iter().map(key_json).collect(),
        due: status.due.map(time),
        next: NextStepJson {
            what: &status.next.what,
            command: status.next.command.as_deref(),
            at: status.next.at.map(time_from),
        },
        warnings: &status.warnings,
    }
}

fn key_json(other: &OtherKey) -> KeyJson<String> {
    KeyJson {
        kid: other.kid.to_string(),
        variable: other.variable.clone(),
        state: other.state.as_str(),
        signs_from: other.signs_from.map(time_from),
        verifies_until: written_end(other.state, other.verifies_until).map(time_from),
        verdict: other.verdict.as_ref().map(|verdict| VerdictJson::new(verdict, time_from)),
    }
}

/// Writes a moment, rounded down to the second.
fn time(moment: SystemTime) -> String {
    Exact(moment).to_string()
}

fn time_from(moment: SystemTime) -> String {
    Exact::not_before(moment).to_string()
}
