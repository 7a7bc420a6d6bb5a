//! The report of an instance as JSON: public, it holds no secret.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::json::Time;
use crate::error::Error;
use crate::kid::Kid;
use crate::ring::{Bucket, Report, Sweep, Uses};

const FORMAT: &str = "dualkey report";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    version: u32,
    instance: String,
    ring: String,
    fingerprint: String,
    revision: u64,
    observed_since: Time,
    reported_at: Time,
    has_stopped: bool,
    buckets: Vec<Span>,
    last_as_fallback: Vec<(String, Time)>,
    signed: Vec<(String, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sweep: Option<Swept>,
}

#[derive(Serialize, Deserialize)]
struct Span {
    from: Time,
    to: Time,
    uses: Vec<Used>,
}

#[derive(Serialize, Deserialize)]
struct Used {
    kid: String,
    verified_as_primary: u64,
    verified_as_fallback: u64,
    signed: u64,
}

#[derive(Serialize, Deserialize)]
struct Swept {
    started_at: Time,
    finished_at: Time,
    opened_all: bool,
    unreadable: u64,
    rows: Vec<(String, u64)>,
}

impl Report {
    /// The report as text, to be kept beside the manifest.
    ///
    /// # Errors
    /// [`Error::Manifest`] for a moment beyond the year 9999.
    pub fn to_json(&self) -> Result<String, Error> {
        let counts = |counts: &[(Kid, u64)]| {
            counts.iter().map(|(kid, count)| (kid.to_string(), *count)).collect()
        };
        let document = Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            instance: self.instance.clone(),
            ring: self.ring.clone(),
            fingerprint: self.fingerprint.to_string(),
            revision: self.revision,
            observed_since: self.observed_since.try_into()?,
            reported_at: self.reported_at.try_into()?,
            has_stopped: self.has_stopped,
            buckets: self.buckets.iter().map(span).collect::<Result<_, _>>()?,
            last_as_fallback: self
                .last_as_fallback
                .iter()
                .map(|(kid, seen)| Ok((kid.to_string(), (*seen).try_into()?)))
                .collect::<Result<_, Error>>()?,
            signed: counts(&self.signed),
            sweep: match &self.sweep {
                None => None,
                Some(own) => Some(Swept {
                    started_at: own.started_at.try_into()?,
                    finished_at: own.finished_at.try_into()?,
                    opened_all: own.opened_all,
                    unreadable: own.unreadable,
                    rows: counts(&own.rows),
                }),
            },
        };
        serde_json::to_string_pretty(&document).map_err(|_| wrong("it cannot be written as JSON"))
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`Error::Manifest`], which says where it is wrong.
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        let own: Document = serde_json::from_slice(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::manifest(format!("it is no report, at line {line} column {column}"))
        })?;
        if own.format != FORMAT || own.version != VERSION {
            return Err(wrong("it is no report of version 1"));
        }
        let counts = |counts: Vec<(String, u64)>| {
            counts
                .into_iter()
                .map(|(kid, count)| Ok((Kid::new(&kid)?, count)))
                .collect::<Result<Vec<_>, Error>>()
        };
        let bucket = |own: Span| {
            let uses = own.uses.into_iter().map(|own| {
                let uses = Uses {
                    verified_as_primary: own.verified_as_primary,
                    verified_as_fallback: own.verified_as_fallback,
                    signed: own.signed,
                };
                Ok((Kid::new(&own.kid)?, uses))
            });
            let uses = uses.collect::<Result<_, Error>>()?;
            Ok(Bucket { from: own.from.into(), to: own.to.into(), uses })
        };
        Ok(Self {
            instance: own.instance,
            ring: own.ring,
            fingerprint: own.fingerprint.parse().map_err(|_| wrong("its fingerprint is none"))?,
            revision: own.revision,
            observed_since: own.observed_since.into(),
            reported_at: own.reported_at.into(),
            has_stopped: own.has_stopped,
            buckets: own.buckets.into_iter().map(bucket).collect::<Result<_, Error>>()?,
            last_as_fallback: own
                .last_as_fallback
                .into_iter()
                .map(|(kid, seen)| Ok((Kid::new(&kid)?, SystemTime::from(seen))))
                .collect::<Result<_, Error>>()?,
            signed: counts(own.signed)?,
            sweep: match own.sweep {
                None => None,
                Some(own) => Some(Sweep {
                    started_at: own.started_at.into(),
                    finished_at: own.finished_at.into(),
                    opened_all: own.opened_all,
                    unreadable: own.unreadable,
                    rows: counts(own.rows)?,
                }),
            },
        })
    }
}

fn span(bucket: &Bucket) -> Result<Span, Error> {
    let used = |(kid, uses): &(Kid, Uses)| Used {
        kid: kid.to_string(),
        verified_as_primary: uses.verified_as_primary,
        verified_as_fallback: uses.verified_as_fallback,
        signed: uses.signed,
    };
    Ok(Span {
        from: bucket.from.try_into()?,
        to: bucket.to.try_into()?,
        uses: bucket.uses.iter().map(used).collect(),
    })
}

fn wrong(problem: &str) -> Error {
    Error::manifest(problem)
}
