//! The old log, taken over: `2026-01-15 10:00:00 UTC | JWT_SECRET | ROTATED | who | prod | SUCCESS`.

use std::collections::HashSet;
use std::time::SystemTime;

use super::action::Outcome;
use super::error::AuditError;
use super::line::{self, Start};
use super::query::Query;
use super::record::Record;
use super::sink::Trail;

/// What came of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// How many records were taken over.
    pub taken: usize,
    /// How many were there already.
    pub known: usize,
}

/// Takes a log over into `trail`, in its order and with its times: lines of six fields between
/// bars. Blank lines and those that begin with `#` are passed over; `FAILURE`, `OK` and the like
/// are taken for what they mean. A record that is in the trail already is not taken twice, so
/// that an import may be repeated.
///
/// # Errors
/// [`AuditError::Import`] for the first line that cannot be read: then nothing was imported.
pub async fn import<T: Trail + ?Sized>(
    trail: &T,
    log: &str,
    now: SystemTime,
) -> Result<Imported, AuditError> {
    let mut records = Vec::new();
    for (place, text) in log.lines().enumerate() {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let record = parse(text).ok_or(AuditError::Import { line: place + 1 })?;
        record.check().map_err(|_| AuditError::Import { line: place + 1 })?;
        records.push(record);
    }
    let known: HashSet<String> =
        trail.query(&Query::new()).await?.into_iter().map(|entry| key(&entry.record)).collect();
    let read = records.len();
    records.retain(|record| !known.contains(&key(record)));
    for record in &mut records {
        record.imported_at = Some(now);
    }
    if !records.is_empty() {
        trail.append(&records).await?;
    }
    Ok(Imported { taken: records.len(), known: read - records.len() })
}

fn parse(text: &str) -> Option<Record> {
    let fields: Vec<_> = text.split('|').map(str::trim).collect();
    let [time, secret, action, actor, environment, outcome] = fields[..] else { return None };
    let outcome = match outcome.to_ascii_uppercase().as_str() {
        "SUCCESS" | "SUCCEEDED" | "OK" | "DONE" => Outcome::Success,
        "FAILED" | "FAILURE" | "ERROR" => Outcome::Failed,
        _ => return None,
    };
    let start = Start { time, secret, action, actor, environment, outcome: outcome.as_str() };
    line::record(&start)
}

/// What tells two records of an old log apart.
fn key(record: &Record) -> String {
    let mut plain = record.clone();
    plain.imported_at = None;
    plain.to_string()
}
