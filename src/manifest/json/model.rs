//! The fields of a manifest as JSON, version 1.

use std::borrow::Cow;
use std::time::SystemTime;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use super::secret::SecretText;
use crate::manifest::bounds::is_date;
use crate::manifest::revocations::UNREAD;
use crate::manifest::time::Time;
use crate::manifest::unknown::Unknown;

/// What a document says of itself, read before the rest: a later version may hold anything.
#[derive(Deserialize)]
pub(super) struct ManifestHead<'a> {
    #[serde(borrow)]
    pub(super) format: Cow<'a, str>,
    pub(super) version: u32,
    pub(super) min_reader_version: Option<u32>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ManifestFields<P, K> {
    pub(super) format: String,
    pub(super) version: u32,
    #[serde(default)]
    pub(super) min_reader_version: Option<u32>,
    pub(super) ring: String,
    pub(super) purpose: String,
    pub(super) environment: String,
    pub(super) revision: u64,
    pub(super) changed_at: Time,
    pub(super) policy: P,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) earlier_window: Option<EarlierWindowFields>,
    pub(super) keys: Vec<K>,
}

/// An object to be written, with the fields of a newer version that it was read with.
#[derive(Serialize)]
pub(super) struct Extended<'a, T> {
    #[serde(flatten)]
    pub(super) known: &'a T,
    #[serde(flatten)]
    pub(super) unknown: Option<&'a Unknown>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct EarlierWindowFields {
    pub(super) seconds: u64,
    pub(super) until: Time,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PolicyFields {
    pub(super) max_lifetime_seconds: u64,
    pub(super) rollout_window_seconds: u64,
    pub(super) skew_seconds: u64,
    pub(super) observation_window_seconds: u64,
    pub(super) min_observed_verifications: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) min_secret_bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dangerous_min_secret_bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) schedule: Option<ScheduleField>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ScheduleField {
    Days(u16),
    Quarterly,
    SemiAnnual,
    Annual,
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeyFields {
    pub(super) kid: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) aliases: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) algorithm: Option<String>,
    pub(super) added_at: Time,
    pub(super) sequence: u64,
    pub(super) signing_start: SigningStartField,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) superseded_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retire_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kept_until: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) earlier_end: Option<EarlierEndFields>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "read_revoked")]
    pub(super) revoked: Option<RevocationFields>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) destroyed_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) forced_steps: Vec<ForcedStepFields>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<SecretText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) recogniser: Option<RecogniserFields>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RecogniserFields {
    pub(super) salt: String,
    pub(super) tag: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SigningStartField {
    Never,
    Unscheduled,
    From(Time),
}

#[derive(Serialize, Deserialize)]
pub(super) struct EarlierEndFields {
    pub(super) at: Time,
    pub(super) until: Time,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RevocationFields {
    pub(super) at: Time,
    pub(super) reason: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ForcedStepFields {
    pub(super) at: Time,
    pub(super) action: String,
    pub(super) reason: String,
}

/// Reads a revocation. Any value revokes the key, also one that cannot be read (V8).
fn read_revoked<'de, D: Deserializer<'de>>(input: D) -> Result<Option<RevocationFields>, D::Error> {
    let value = serde_json::Value::deserialize(input)?;
    let read = RevocationFields::deserialize(value).ok().filter(|revoked| is_date(revoked.at.0));
    Ok(Some(read.unwrap_or_else(|| RevocationFields {
        at: Time(SystemTime::UNIX_EPOCH),
        reason: UNREAD.to_owned(),
    })))
}
