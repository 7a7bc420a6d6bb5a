//! What the library calls return, as JSON for scripts: field names are stable.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Serialize;

use super::audit::{Entry, Listing};
use super::schedule::{Other, Standing, State};
use crate::evidence::Verdict;

/// RFC 3339, to the second.
pub(crate) fn time(moment: SystemTime) -> String {
    let time = Timestamp::try_from(moment).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The same of a moment from which something is so: rounded up, so that it is so then.
fn from_time(moment: SystemTime) -> String {
    let part = moment.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |own| own.subsec_nanos());
    let second = Duration::from_nanos(u64::from(1_000_000_000 - part));
    time(if part == 0 { moment } else { moment.checked_add(second).unwrap_or(moment) })
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
    verdict: Option<&'static str>,
    until: Option<String>,
    obstacles: Vec<String>,
}

#[derive(Serialize)]
struct Step<'a> {
    what: &'a str,
    command: Option<&'a str>,
    at: Option<String>,
}

/// How secrets stand, as a JSON array.
#[must_use]
pub(super) fn standings(all: &[Standing]) -> String {
    let rows: Vec<_> = all.iter().map(secret).collect();
    serde_json::to_string_pretty(&rows).expect("texts and numbers are JSON")
}

fn secret(own: &Standing) -> Secret<'_> {
    let (days, why) = match &own.state {
        State::Soon { days } | State::Overdue { days } => (Some(*days), None),
        State::Stuck { why } | State::Unread { why } => (None, Some(why.as_str())),
        _ => (None, None),
    };
    Secret {
        secret: &own.name,
        environment: &own.environment,
        purpose: own.purpose.as_str(),
        priority: own.priority.as_str(),
        state: own.state.as_str(),
        days,
        why,
        primary: own.primary.map(|kid| kid.to_string()),
        variable: own.variable.as_deref(),
        since: own.since.map(time),
        is_since_at_least: own.is_since_at_least,
        others: own.others.iter().map(key).collect(),
        due: own.due.map(time),
        next: Step {
            what: &own.next.what,
            command: own.next.command.as_deref(),
            at: own.next.at.map(from_time),
        },
        warnings: &own.warnings,
    }
}

fn key(own: &Other) -> Key<'_> {
    let (verdict, until, obstacles) = match &own.verdict {
        None => (None, None, Vec::new()),
        Some(Verdict::Safe) => (Some("safe"), None, Vec::new()),
        Some(Verdict::Wait { until }) => (Some("wait"), Some(from_time(*until)), Vec::new()),
        Some(Verdict::Blocked(all)) => {
            (Some("blocked"), None, all.iter().map(ToString::to_string).collect())
        }
    };
    let (kid, state) = (own.kid.to_string(), own.state.as_str());
    let (signs_from, ends_at) = (own.signs_from.map(from_time), own.ends_at.map(from_time));
    let variable = own.variable.as_deref();
    Key { kid, variable, state, signs_from, ends_at, verdict, until, obstacles }
}

#[derive(Serialize)]
struct Told<'a> {
    n: u64,
    at: String,
    secret: &'a str,
    action: &'a str,
    actor: &'a str,
    environment: &'a str,
    outcome: &'a str,
    kid: Option<String>,
    revoked: Option<String>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    reason: Option<&'a str>,
    fingerprint: Option<String>,
    revision: Option<u64>,
    clock_given: bool,
    imported_at: Option<String>,
}

/// Records, as a JSON array, and after them the lines that are none.
pub(super) fn listing(all: &Listing) -> String {
    let records = all.records.iter().map(|own| Row::Record(Box::new(told(own))));
    let forged = all.forged.iter().map(|own| Row::Forged { forged: &own.line, after: own.after });
    let rows: Vec<_> = records.chain(forged).collect();
    serde_json::to_string_pretty(&rows).expect("texts and numbers are JSON")
}

#[derive(Serialize)]
#[serde(untagged)]
enum Row<'a> {
    Record(Box<Told<'a>>),
    Forged { forged: &'a str, after: u64 },
}

fn told(own: &Entry) -> Told<'_> {
    let record = &own.record;
    Told {
        n: own.n,
        at: time(record.at),
        secret: &record.secret,
        action: record.action.as_str(),
        actor: &record.actor,
        environment: &record.environment,
        outcome: record.outcome.as_str(),
        kid: record.kid.map(|kid| kid.to_string()),
        revoked: record.revoked.map(|kid| kid.to_string()),
        from: record.from.as_deref(),
        to: record.to.as_deref(),
        reason: record.reason.as_deref(),
        fingerprint: record.fingerprint.map(|own| own.to_string()),
        revision: record.revision,
        clock_given: record.clock_given,
        imported_at: record.imported_at.map(time),
    }
}
