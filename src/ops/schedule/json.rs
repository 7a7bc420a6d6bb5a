//! The state of secrets as JSON for scripts: field names are stable.

use serde::Serialize;

use super::standing::{Other, Standing, State};
use crate::manifest::verdict_json::VerdictJson;
use crate::ops::rfc3339::{time, time_from};

/// How secrets stand, as a JSON array: what `dualkey status --json` prints.
#[must_use]
pub fn to_json(standings: &[Standing]) -> String {
    let rows: Vec<_> = standings.iter().map(secret).collect();
    serde_json::to_string_pretty(&rows).expect("texts and numbers are JSON")
}

#[derive(Serialize)]
struct Secret<'a> {
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
    others: Vec<Key<'a>>,
    due: Option<String>,
    next: Step<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Key<'a> {
    kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<&'a str>,
    state: &'static str,
    signs_from: Option<String>,
    ends_at: Option<String>,
    verdict: Option<VerdictJson<String>>,
}

#[derive(Serialize)]
struct Step<'a> {
    what: &'a str,
    command: Option<&'a str>,
    at: Option<String>,
}

fn secret(standing: &Standing) -> Secret<'_> {
    let (days, why) = match &standing.state {
        State::Soon { days } | State::Overdue { days } => (Some(*days), None),
        State::Stuck { why } | State::Unread { why } => (None, Some(why.as_str())),
        _ => (None, None),
    };
    Secret {
        secret: &standing.name,
        environment: &standing.environment,
        purpose: standing.purpose.as_str(),
        priority: standing.priority.as_str(),
        state: standing.state.as_str(),
        days,
        why,
        primary: standing.primary.map(|kid| kid.to_string()),
        variable: standing.variable.as_deref(),
        since: standing.since.map(time),
        is_since_at_least: standing.is_since_at_least,
        others: standing.others.iter().map(key).collect(),
        due: standing.due.map(time),
        next: Step {
            what: &standing.next.what,
            command: standing.next.command.as_deref(),
            at: standing.next.at.map(time_from),
        },
        warnings: &standing.warnings,
    }
}

fn key(other: &Other) -> Key<'_> {
    Key {
        kid: other.kid.to_string(),
        variable: other.variable.as_deref(),
        state: other.state.as_str(),
        signs_from: other.signs_from.map(time_from),
        ends_at: other.ends_at.map(time_from),
        verdict: other.verdict.as_ref().map(|verdict| VerdictJson::new(verdict, time_from)),
    }
}
