//! A manifest, read from JSON.

use std::time::{Duration, SystemTime};

use serde::de::IgnoredAny;

use super::fields::{UnknownFields, check_fields};
use super::model::{
    KeyFields, ManifestFields, ManifestHead, PolicyFields, ScheduleField, SigningStartField,
};
use super::secret::{MARK, SecretText, mark};
use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::admission::{Rules, check, is_below_floor};
use crate::lifecycle::life::{EarlierEnd, Life};
use crate::lifecycle::policy::MAX_DAYS;
use crate::lifecycle::terms::EarlierWindow;
use crate::lifecycle::{Policy, Revocation, Schedule, SigningStart};
use crate::manifest::bounds::{FORMAT, MAX_BYTES, MAX_REVISION};
use crate::manifest::document::Manifest;
use crate::manifest::entry::{Entry, ForcedStep};
use crate::manifest::recogniser::Recogniser;
use crate::manifest::unknown::Unknown;
use crate::manifest::versions::Versions;
use crate::purpose::Purpose;
use crate::secret::{Secret, wipe_stack};

pub(super) fn read(text: &[u8]) -> Result<Manifest, Error> {
    read_any(text, None).map(|(manifest, _)| manifest)
}

/// Reads what [`write_marked`] wrote, with the secrets from among `found`. A key whose secret is
/// not there is left out, and that is said; so it is yet to be checked as a whole.
pub(in crate::manifest) fn read_marked(
    text: &[u8],
    found: &[&Secret],
) -> Result<(Manifest, bool), Error> {
    read_any(text, Some(found))
}

fn read_any(text: &[u8], found: Option<&[&Secret]>) -> Result<(Manifest, bool), Error> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::manifest("it is empty"));
    }
    if text.len() > MAX_BYTES {
        return Err(Error::manifest("it has more than 1 MiB"));
    }
    let text = std::str::from_utf8(text).map_err(|_| Error::manifest("it is not UTF-8"))?;
    let head: ManifestHead<'_> = serde_json::from_str(text).map_err(|error| read_error(&error))?;
    if head.format != FORMAT {
        return Err(Error::manifest(format!("its `format` is not `{FORMAT}`")));
    }
    let versions = Versions::new(head.version, head.min_reader_version, "manifest")?;
    check_fields(text, versions.is_newer())?;
    let mut unknown = if versions.is_newer() {
        UnknownFields::read(text, found.is_some())
    } else {
        UnknownFields::default()
    };
    let document: ManifestFields<PolicyFields, KeyFields> =
        serde_json::from_str(text).map_err(|error| {
            match serde_json::from_str::<IgnoredAny>(text) {
                // The parser calls it an error of syntax if an enum has more than one field.
                Ok(_) if error.is_syntax() => form_error(&error),
                _ => read_error(&error),
            }
        })?;
    let purpose = Purpose::from_name(&document.purpose)
        .ok_or_else(|| Error::manifest("its `purpose` is none that this release knows"))?;
    if document.revision == 0 {
        return Err(Error::manifest("its `revision` is 0, and the first is 1"));
    }
    if document.revision > MAX_REVISION {
        return Err(Error::manifest("its `revision` is more than 2^53 - 1"));
    }
    let terms = document.policy;
    let earlier_window = document.earlier_window;
    for (field, seconds) in [
        ("earlier_window", earlier_window.as_ref().map_or(0, |window| window.seconds / 2)),
        ("max_lifetime_seconds", terms.max_lifetime_seconds),
        ("rollout_window_seconds", terms.rollout_window_seconds),
        ("skew_seconds", terms.skew_seconds),
        ("observation_window_seconds", terms.observation_window_seconds),
    ] {
        if seconds > u64::from(MAX_DAYS) * 24 * 60 * 60 {
            let problem = format!("`{field}` is more than {MAX_DAYS} days; set it to less");
            return Err(Error::manifest(problem));
        }
    }
    let policy = Policy {
        max_lifetime: Duration::from_secs(terms.max_lifetime_seconds),
        rollout_window: Duration::from_secs(terms.rollout_window_seconds),
        skew: Duration::from_secs(terms.skew_seconds),
        observation_window: Duration::from_secs(terms.observation_window_seconds),
        min_observed_verifications: terms.min_observed_verifications,
        min_secret_bytes: terms.min_secret_bytes,
        dangerous_min_secret_bytes: terms.dangerous_min_secret_bytes,
        schedule: terms.schedule.map(|schedule| match schedule {
            ScheduleField::Days(days) => Schedule::Days(days),
            ScheduleField::Quarterly => Schedule::Quarterly,
            ScheduleField::SemiAnnual => Schedule::SemiAnnual,
            ScheduleField::Annual => Schedule::Annual,
        }),
    };
    unknown.keys.resize_with(document.keys.len(), Unknown::default);
    let mut keys: Vec<_> = document.keys.into_iter().zip(unknown.keys).collect();
    let count = keys.len();
    if let Some(found) = found {
        keys.retain_mut(|(key, _)| insert_secret(key, purpose, found));
    }
    let is_less = keys.len() < count;
    let keys = keys.into_iter().map(|(key, unknown)| {
        wipe_stack();
        read_entry(key, unknown, purpose, &policy)
    });
    let manifest = Manifest {
        ring: document.ring,
        purpose,
        environment: document.environment,
        revision: document.revision,
        changed_at: document.changed_at.into(),
        policy,
        earlier_window: earlier_window.map(|window| EarlierWindow {
            length: Duration::from_secs(window.seconds),
            until: window.until.into(),
        }),
        keys: keys.collect::<Result<_, Error>>()?,
        versions,
        unknown: unknown.manifest,
        unknown_policy: unknown.policy,
        trusts_clock: false,
        warnings: Vec::new(),
    };
    wipe_stack();
    Ok((manifest, is_less))
}

/// Puts the secret from among `found` in the place of its mark; whether it is there, or none is
/// needed.
fn insert_secret(key: &mut KeyFields, purpose: Purpose, found: &[&Secret]) -> bool {
    let Some(text) = &mut key.secret else { return true };
    let Ok(kid) = Kid::new(&key.kid) else { return true };
    match found.iter().find(|secret| mark(&kid, secret, purpose) == *text.0) {
        Some(secret) => {
            *text = SecretText::new(secret);
            true
        }
        None => !text.0.starts_with(MARK),
    }
}

fn read_entry(
    key: KeyFields,
    unknown: Unknown,
    purpose: Purpose,
    policy: &Policy,
) -> Result<Entry, Error> {
    let kid = Kid::new(&key.kid)?;
    let label = format!("the key `{kid}`");
    // Deliberately before an error names it: the text may be a secret that was put into a wrong field.
    if key.algorithm.as_ref().is_some_and(|name| !is_algorithm_name(name)) {
        return Err(Error::manifest(format!("`algorithm` of {label} is no name of an algorithm")));
    }
    let secret = key.secret.map(|text| {
        let expected = "`base64:`, `hex:` or `text:` and what it says";
        text.secret().ok_or_else(|| Error::Encoding { key: label.clone(), expected })
    });
    let secret = secret.transpose()?;
    let mut life = Life::new(kid, key.added_at.into());
    if let Some(secret) = &secret {
        // A ring asks for more, by its own rules.
        let rules = Rules {
            allow_short_fallbacks: true,
            allow_placeholders: true,
            ..Rules::from_policy(policy)
        };
        let algorithm = key.algorithm.as_deref();
        life.is_short = check(secret, &label, true, purpose, algorithm, &rules)?;
        life.is_guessable = life.is_short || is_below_floor(secret, purpose, algorithm);
    }
    if key.sequence > MAX_REVISION {
        let problem = format!("`sequence` of the key `{kid}` is more than 2^53 - 1");
        return Err(Error::manifest(problem));
    }
    life.sequence = key.sequence;
    life.signing_start = match key.signing_start {
        SigningStartField::Never => SigningStart::Never,
        SigningStartField::Unscheduled => SigningStart::Unscheduled,
        SigningStartField::From(moment) => SigningStart::From(moment.into()),
    };
    life.superseded_at = key.superseded_at.map(SystemTime::from);
    life.retire_at = key.retire_at.map(SystemTime::from);
    life.kept_until = key.kept_until.map(SystemTime::from);
    life.earlier_end =
        key.earlier_end.map(|end| EarlierEnd { at: end.at.into(), until: end.until.into() });
    life.revoked =
        key.revoked.map(|revoked| Revocation { at: revoked.at.into(), reason: revoked.reason });
    life.destroyed_at = key.destroyed_at.map(SystemTime::from);
    let recogniser = key.recogniser.map(|recognised| {
        let problem = || Error::manifest(format!("{label}: its recogniser cannot be read"));
        Recogniser::read(purpose, &recognised.salt, &recognised.tag).ok_or_else(problem)
    });
    let aliases = key.aliases.iter().map(|alias| Kid::new(alias));
    let forced_steps = key.forced_steps.into_iter().map(|step| ForcedStep {
        at: step.at.into(),
        action: step.action,
        reason: step.reason,
    });
    Ok(Entry {
        life,
        aliases: aliases.collect::<Result<_, _>>()?,
        algorithm: key.algorithm,
        secret,
        recogniser: recogniser.transpose()?,
        forced_steps: forced_steps.collect(),
        unknown,
        variable: None,
    })
}

/// Returns `true` if `name` may be an algorithm of RFC 7518: `HS256`, `ES256K`, `Ed25519`, `RSA-OAEP-256`.
fn is_algorithm_name(name: &str) -> bool {
    name.len() <= 12 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Returns the error of a document that cannot be read. Deliberately not the parser's own words: they
/// may hold the text at that place.
fn read_error(error: &serde_json::Error) -> Error {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    Error::manifest(match error.classify() {
        Category::Eof => format!("it ends in the middle, at line {line} column {column}"),
        Category::Syntax => format!("it is no JSON at line {line} column {column}"),
        Category::Data | Category::Io => return form_error(error),
    })
}

fn form_error(error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    Error::manifest(format!("it is not of the form of a manifest at line {line} column {column}"))
}
