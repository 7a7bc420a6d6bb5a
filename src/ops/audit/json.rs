//! Records as JSON for scripts: field names are stable.

use serde::Serialize;

use super::query::{Entry, Listing};
use crate::moment::Exact;

/// A listing as a JSON array: what `dualkey audit --json` prints. A forged line is an object
/// with `forged`, the line, and `after`.
#[must_use]
pub fn to_json(listing: &Listing) -> String {
    let records =
        listing.records.iter().map(|entry| EntryJson::Record(Box::new(record_json(entry))));
    let forged = listing
        .forged
        .iter()
        .map(|line| EntryJson::Forged { forged: &line.line, after: line.after });
    let rows: Vec<_> = records.chain(forged).collect();
    serde_json::to_string_pretty(&rows).expect("texts and numbers are JSON")
}

#[derive(Serialize)]
#[serde(untagged)]
enum EntryJson<'a> {
    Record(Box<RecordJson<'a>>),
    Forged { forged: &'a str, after: u64 },
}

#[derive(Serialize)]
struct RecordJson<'a> {
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

fn record_json(entry: &Entry) -> RecordJson<'_> {
    let record = &entry.record;
    RecordJson {
        n: entry.n,
        at: Exact(record.at).to_string(),
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
        fingerprint: record.fingerprint.map(|print| print.to_string()),
        revision: record.revision,
        clock_given: record.clock_given,
        imported_at: record.imported_at.map(|at| Exact(at).to_string()),
    }
}
