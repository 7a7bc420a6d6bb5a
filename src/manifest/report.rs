//! The report of an instance as JSON: public, it holds no secret.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::bounds::{MAX_BYTES, MAX_KEYS, MAX_REVISION, is_date};
use super::time::Time;
use super::versions::Versions;
use crate::error::Error;
use crate::evidence::report::is_instance_name;
use crate::evidence::{Report, RewrapRecord, UsageBucket, UsageCounts};
use crate::kid::Kid;
use crate::lifecycle::policy::MAX_COUNT;
use crate::text::is_hidden;

const FORMAT: &str = "dualkey report";

/// The longest name of a ring, in bytes. A manifest allows 128, a ring in memory any.
const MAX_NAME: usize = 256;
/// The most buckets of a report: a window is watched in 24 pieces, and each restart may leave as many
/// of the process before it.
const MAX_BUCKETS: usize = 1_000;

/// The part of a report that is read first: a newer version may hold anything else.
#[derive(Deserialize)]
struct ReportHead {
    format: String,
    version: u32,
    min_reader_version: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct ReportFields {
    format: String,
    version: u32,
    #[serde(default)]
    min_reader_version: Option<u32>,
    instance: String,
    ring: String,
    fingerprint: String,
    revision: u64,
    observed_since: Time,
    reported_at: Time,
    has_stopped: bool,
    buckets: Vec<BucketFields>,
    last_as_fallback: Vec<(String, Time)>,
    signed: Vec<(String, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rewrap: Option<RewrapFields>,
}

#[derive(Serialize, Deserialize)]
struct BucketFields {
    from: Time,
    to: Time,
    uses: Vec<UsageFields>,
}

#[derive(Serialize, Deserialize)]
struct UsageFields {
    kid: String,
    verified_as_primary: u64,
    verified_as_fallback: u64,
    signed: u64,
}

#[derive(Serialize, Deserialize)]
struct RewrapFields {
    started_at: Time,
    finished_at: Time,
    /// False for a rewrap that left rows unopened; since then each opens all of them.
    #[serde(default, skip_serializing)]
    opened_all: Option<bool>,
    unreadable: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    nothing_sealed: u64,
    rows: Vec<(String, u64)>,
}

impl Report {
    /// The report as text, to be kept beside the manifest.
    ///
    /// # Errors
    /// [`Error::Manifest`] for what [`from_json`](Self::from_json) refuses, and for a report that
    /// could not be read itself.
    pub fn to_json(&self) -> Result<String, Error> {
        if self.problem.is_some() {
            return Err(report_error("the report could not be read, and is not stored again"));
        }
        check_names(&self.instance, &self.ring)?;
        check_length("buckets", self.buckets.len(), MAX_BUCKETS)?;
        check_length("last_as_fallback", self.last_as_fallback.len(), MAX_KEYS)?;
        check_length("signed", self.signed.len(), MAX_KEYS)?;
        let counts = |counts: &[(Kid, u64)]| {
            let written = |(kid, count): &(Kid, u64)| (kid.to_string(), (*count).min(MAX_COUNT));
            counts.iter().map(written).collect()
        };
        let document = ReportFields {
            format: FORMAT.to_owned(),
            version: Versions::CURRENT.version,
            min_reader_version: Some(Versions::CURRENT.min_reader_version),
            instance: self.instance.clone(),
            ring: self.ring.clone(),
            fingerprint: self.fingerprint.to_string(),
            revision: self.revision,
            observed_since: self.observed_since.try_into()?,
            reported_at: self.reported_at.try_into()?,
            has_stopped: self.has_stopped,
            buckets: self.buckets.iter().map(write_bucket).collect::<Result<_, _>>()?,
            last_as_fallback: self
                .last_as_fallback
                .iter()
                .map(|(kid, seen)| Ok((kid.to_string(), (*seen).try_into()?)))
                .collect::<Result<_, Error>>()?,
            signed: counts(&self.signed),
            rewrap: match &self.rewrap {
                None => None,
                Some(rewrap) => Some(RewrapFields {
                    started_at: rewrap.started_at.try_into()?,
                    finished_at: rewrap.finished_at.try_into()?,
                    opened_all: None,
                    unreadable: rewrap.unreadable.min(MAX_COUNT),
                    nothing_sealed: rewrap.nothing_sealed.min(MAX_COUNT),
                    rows: counts(&rewrap.rows),
                }),
            },
        };
        let text = serde_json::to_string_pretty(&document);
        let text = text.map_err(|_| report_error("it cannot be written as JSON"))?;
        if text.len() > MAX_BYTES {
            Err(report_error("the report has more than 1 MiB"))
        } else {
            Ok(text)
        }
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`Error::Manifest`], which says where it is wrong, or which field is out of bounds: a report
    /// has at most 1 MiB, 1,000 buckets and 4,096 keys in each list, counts up to 2^53 - 1, moments
    /// from 1970 to 9999, and an instance with a name of 1 to 128 characters of
    /// `A-Z a-z 0-9 - _ . : / @ + =`.
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(report_error("the report has more than 1 MiB"));
        }
        let head: ReportHead = serde_json::from_slice(text).map_err(|error| parse_error(&error))?;
        if head.format != FORMAT {
            return Err(report_error("its `format` is not `dualkey report`"));
        }
        // Further fields, which a newer report may have, say nothing to this release.
        if !Versions::new(head.version, head.min_reader_version, "report")?.is_newer() {
            check_former(text)?;
        }
        let report: ReportFields =
            serde_json::from_slice(text).map_err(|error| parse_error(&error))?;
        check_names(&report.instance, &report.ring)?;
        if report.revision > MAX_REVISION {
            return Err(report_error("its `revision` is more than 2^53 - 1"));
        }
        check_length("buckets", report.buckets.len(), MAX_BUCKETS)?;
        check_length("last_as_fallback", report.last_as_fallback.len(), MAX_KEYS)?;
        Ok(Self {
            instance: report.instance,
            ring: report.ring,
            fingerprint: report
                .fingerprint
                .parse()
                .map_err(|_| report_error("its fingerprint is none"))?,
            revision: report.revision,
            observed_since: read_date("observed_since", report.observed_since)?,
            reported_at: read_date("reported_at", report.reported_at)?,
            has_stopped: report.has_stopped,
            buckets: report.buckets.into_iter().map(read_bucket).collect::<Result<_, Error>>()?,
            last_as_fallback: report
                .last_as_fallback
                .into_iter()
                .map(|(kid, seen)| Ok((Kid::new(&kid)?, read_date("last_as_fallback", seen)?)))
                .collect::<Result<_, Error>>()?,
            signed: read_counts("signed", report.signed)?,
            rewrap: match report.rewrap {
                // It opened no payload, and is evidence of nothing.
                Some(RewrapFields { opened_all: Some(false), .. }) | None => None,
                Some(rewrap) => Some(RewrapRecord {
                    started_at: read_date("started_at", rewrap.started_at)?,
                    finished_at: read_date("finished_at", rewrap.finished_at)?,
                    unreadable: check_count("unreadable", rewrap.unreadable)?,
                    nothing_sealed: check_count("nothing_sealed", rewrap.nothing_sealed)?,
                    rows: read_counts("rows", rewrap.rows)?,
                }),
            },
            problem: None,
        })
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn read_bucket(span: BucketFields) -> Result<UsageBucket, Error> {
    check_length("uses", span.uses.len(), MAX_KEYS)?;
    let uses = span.uses.into_iter().map(|uses| {
        let counts = UsageCounts {
            verified_as_primary: check_count("verified_as_primary", uses.verified_as_primary)?,
            verified_as_fallback: check_count("verified_as_fallback", uses.verified_as_fallback)?,
            signed: check_count("signed", uses.signed)?,
        };
        Ok((Kid::new(&uses.kid)?, counts))
    });
    let uses = uses.collect::<Result<_, Error>>()?;
    Ok(UsageBucket { from: read_date("from", span.from)?, to: read_date("to", span.to)?, uses })
}

fn read_counts(field: &str, all: Vec<(String, u64)>) -> Result<Vec<(Kid, u64)>, Error> {
    check_length(field, all.len(), MAX_KEYS)?;
    all.into_iter().map(|(kid, count)| Ok((Kid::new(&kid)?, check_count(field, count)?))).collect()
}

fn check_count(field: &str, count: u64) -> Result<u64, Error> {
    if count > MAX_COUNT {
        Err(Error::manifest(format!("`{field}` of the report is more than 2^53 - 1")))
    } else {
        Ok(count)
    }
}

fn read_date(field: &str, time: Time) -> Result<SystemTime, Error> {
    let moment = SystemTime::from(time);
    if is_date(moment) {
        Ok(moment)
    } else {
        Err(Error::manifest(format!("`{field}` of the report is not from 1970 to 9999")))
    }
}

fn check_length(field: &str, found: usize, most: usize) -> Result<(), Error> {
    if found > most {
        Err(Error::manifest(format!("`{field}` of the report has more than {most} entries")))
    } else {
        Ok(())
    }
}

fn check_names(instance: &str, ring: &str) -> Result<(), Error> {
    if !is_instance_name(instance) {
        return Err(report_error(
            "the name of the instance must have 1 to 128 characters of \
             `A-Z a-z 0-9 - _ . : / @ + =`",
        ));
    }
    if ring.len() > MAX_NAME || ring.chars().any(is_hidden) {
        Err(report_error(
            "the name of the ring must have at most 256 bytes, and no character that is not shown",
        ))
    } else {
        Ok(())
    }
}

fn write_bucket(bucket: &UsageBucket) -> Result<BucketFields, Error> {
    let used = |(kid, uses): &(Kid, UsageCounts)| UsageFields {
        kid: kid.to_string(),
        verified_as_primary: uses.verified_as_primary.min(MAX_COUNT),
        verified_as_fallback: uses.verified_as_fallback.min(MAX_COUNT),
        signed: uses.signed.min(MAX_COUNT),
    };
    Ok(BucketFields {
        from: bucket.from.try_into()?,
        to: bucket.to.try_into()?,
        uses: bucket.uses.iter().map(used).collect(),
    })
}

/// Refuses a former name of a field: it would not be read, and a rewrap would be lost.
fn check_former(text: &[u8]) -> Result<(), Error> {
    const FORMER: [(&str, &str); 1] = [("sweep", "rewrap")];
    let fields: BTreeMap<String, IgnoredAny> = serde_json::from_slice(text).unwrap_or_default();
    match FORMER.iter().find(|(former, _)| fields.contains_key(*former)) {
        Some((former, present)) => Err(Error::manifest(format!(
            "the field `{former}` of the report is called `{present}` now; update dualkey in the instance"
        ))),
        None => Ok(()),
    }
}

fn parse_error(error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    Error::manifest(format!("it is no report, at line {line} column {column}"))
}

fn report_error(problem: &str) -> Error {
    Error::manifest(problem)
}
