//! A manifest, written as JSON.

use std::time::SystemTime;

use zeroize::Zeroizing;

use super::model::{
    EarlierEndFields, EarlierWindowFields, Extended, ForcedStepFields, KeyFields, ManifestFields,
    PolicyFields, RecogniserFields, RevocationFields, ScheduleField, SigningStartField,
};
use super::secret::{SecretText, mark};
use super::wiped::to_wiped;
use crate::error::Error;
use crate::kid::Kid;
use crate::lifecycle::life::EarlierEnd;
use crate::lifecycle::terms::EarlierWindow;
use crate::lifecycle::{Revocation, Schedule, SigningStart};
use crate::manifest::bounds::{FORMAT, MAX_BYTES};
use crate::manifest::document::Manifest;
use crate::manifest::entry::{Entry, ForcedStep};
use crate::manifest::recogniser::Recogniser;
use crate::manifest::time::Time;
use crate::secret::{Secret, wipe_stack};

pub(super) fn write(manifest: &Manifest) -> Result<Secret, Error> {
    write_document(manifest, false)
}

/// Writes the document with marks in the place of the secrets. RevocationFields keys have a recogniser instead.
pub(in crate::manifest) fn write_marked(manifest: &Manifest) -> Result<Secret, Error> {
    write_document(manifest, true)
}

fn write_document(manifest: &Manifest, is_marked: bool) -> Result<Secret, Error> {
    let policy = &manifest.policy;
    let terms = PolicyFields {
        max_lifetime_seconds: policy.max_lifetime.as_secs(),
        rollout_window_seconds: policy.rollout_window.as_secs(),
        skew_seconds: policy.skew.as_secs(),
        observation_window_seconds: policy.observation_window.as_secs(),
        min_observed_verifications: policy.min_observed_verifications,
        min_secret_bytes: policy.min_secret_bytes,
        dangerous_min_secret_bytes: policy.dangerous_min_secret_bytes,
        schedule: policy.schedule.map(|schedule| match schedule {
            Schedule::Days(days) => ScheduleField::Days(days),
            Schedule::Quarterly => ScheduleField::Quarterly,
            Schedule::SemiAnnual => ScheduleField::SemiAnnual,
            Schedule::Annual => ScheduleField::Annual,
        }),
    };
    let keys: Vec<KeyFields> = manifest
        .keys
        .iter()
        .map(|key| {
            wipe_stack();
            write_key(key, manifest, is_marked)
        })
        .collect::<Result<_, Error>>()?;
    let document = ManifestFields {
        format: FORMAT.to_owned(),
        version: manifest.versions.version,
        min_reader_version: Some(manifest.versions.min_reader_version),
        ring: manifest.ring.clone(),
        purpose: manifest.purpose.to_string(),
        environment: manifest.environment.clone(),
        revision: manifest.revision,
        changed_at: manifest.changed_at.try_into()?,
        policy: Extended {
            known: &terms,
            unknown: manifest.unknown_policy.fields_to_write(is_marked),
        },
        earlier_window: match manifest.earlier_window {
            Some(EarlierWindow { length, until }) => {
                Some(EarlierWindowFields { seconds: length.as_secs(), until: until.try_into()? })
            }
            None => None,
        },
        keys: keys
            .iter()
            .zip(&manifest.keys)
            .map(|(known, key)| Extended { known, unknown: key.unknown.fields_to_write(is_marked) })
            .collect::<Vec<_>>(),
    };
    let unknown = manifest.unknown.fields_to_write(is_marked);
    let text = to_wiped(&Extended { known: &document, unknown })?;
    wipe_stack();
    // What is stored must be readable again.
    if text.expose().len() > MAX_BYTES {
        Err(Error::manifest("it has more than 1 MiB"))
    } else {
        Ok(text)
    }
}

fn write_key(key: &Entry, manifest: &Manifest, is_marked: bool) -> Result<KeyFields, Error> {
    let secret = key.secret.as_ref().filter(|_| !is_marked || key.life.revoked.is_none());
    let gone = (secret.is_none() && is_marked).then_some(manifest.changed_at);
    let recogniser = match (&key.secret, &key.recogniser) {
        (Some(held), _) if secret.is_none() => Some(Recogniser::new(held, manifest.purpose)?),
        (Some(_), _) => None,
        (None, kept) => kept.clone(),
    };
    let text = |secret: &Secret| {
        if is_marked {
            SecretText(Zeroizing::new(mark(&key.life.kid, secret, manifest.purpose)))
        } else {
            SecretText::new(secret)
        }
    };
    let time = |moment: Option<SystemTime>| moment.map(Time::try_from).transpose();
    let life = &key.life;
    Ok(KeyFields {
        kid: life.kid.to_string(),
        aliases: key.aliases.iter().map(Kid::to_string).collect(),
        algorithm: key.algorithm.clone(),
        added_at: life.added_at.try_into()?,
        sequence: life.sequence,
        signing_start: match life.signing_start {
            SigningStart::Never => SigningStartField::Never,
            SigningStart::Unscheduled => SigningStartField::Unscheduled,
            SigningStart::From(moment) => SigningStartField::From(moment.try_into()?),
        },
        superseded_at: time(life.superseded_at)?,
        retire_at: time(life.retire_at)?,
        kept_until: time(life.kept_until)?,
        earlier_end: match life.earlier_end {
            Some(EarlierEnd { at, until }) => {
                Some(EarlierEndFields { at: at.try_into()?, until: until.try_into()? })
            }
            None => None,
        },
        revoked: match &life.revoked {
            Some(Revocation { at, reason }) => {
                Some(RevocationFields { at: (*at).try_into()?, reason: reason.clone() })
            }
            None => None,
        },
        destroyed_at: time(life.destroyed_at.or(gone))?,
        forced_steps: key
            .forced_steps
            .iter()
            .map(|ForcedStep { at, action, reason }| {
                let (action, reason) = (action.clone(), reason.clone());
                Ok(ForcedStepFields { at: (*at).try_into()?, action, reason })
            })
            .collect::<Result<_, Error>>()?,
        secret: secret.map(text),
        recogniser: recogniser.map(|recogniser| {
            let (salt, tag) = recogniser.write();
            RecogniserFields { salt, tag }
        }),
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde_json::{Value, json};

    use crate::lifecycle::Policy;
    use crate::manifest::json::read_marked;
    use crate::manifest::{Entry, Manifest, NewEntry};
    use crate::purpose::Purpose;
    use crate::secret::Secret;

    /// V10: a record of a `.env` file holds no secret, and a field of a newer version may be one.
    #[test]
    fn a_record_has_only_the_unknown_fields_that_a_record_had() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let new = || NewEntry::generate(Purpose::Cookie).unwrap();
        let first = Manifest::new("X", Purpose::Cookie, "test", Policy::default(), new(), now);
        let staged = first.unwrap().stage(new(), now).unwrap();
        let secrets: Vec<_> = staged.manifest.keys().iter().filter_map(Entry::secret).collect();
        let with_fields = |text: &Secret| {
            let mut document: Value = serde_json::from_slice(text.expose()).unwrap();
            document["version"] = json!(3);
            document["escrow"] = json!("of a newer version");
            document["policy"]["escrow"] = json!("of a newer version");
            for key in document["keys"].as_array_mut().unwrap() {
                key["escrow"] = json!("of a newer version");
            }
            document.to_string()
        };
        let record_of = |manifest: &Manifest| -> Value {
            serde_json::from_slice(manifest.to_marked().unwrap().expose()).unwrap()
        };

        let stored = with_fields(&staged.manifest.to_json().unwrap());
        let newer = Manifest::from_json(stored.as_bytes()).unwrap();
        let record = record_of(&newer);
        assert_eq!(record["version"], 3);
        assert!(!record.to_string().contains("escrow"), "{record}");

        let recorded = with_fields(&staged.manifest.to_marked().unwrap());
        let (newer, is_less) = read_marked(recorded.as_bytes(), &secrets).unwrap();
        assert!(!is_less);
        let revoked = newer.revoke(&staged.kid, "leaked", now).unwrap().manifest;
        let record = record_of(&revoked);
        assert_eq!(record.to_string().matches("escrow").count(), 4, "{record}");
        assert_eq!(record["keys"][1].get("secret"), None);
    }
}
