//! The fields of a manifest by name, whatever they hold.
//!
//! A manifest of this version has only fields that this release knows: another one is a mistake in an
//! edit by hand, or has a former name. A manifest of a newer version may have more.

use serde_json::value::RawValue;

use crate::error::Error;
use crate::manifest::members::Members;
use crate::manifest::unknown::Unknown;

/// The form of a value.
enum FieldForm {
    /// A value without fields of its own.
    Value,
    Object(&'static [(&'static str, FieldForm)]),
    List(&'static FieldForm),
}

use FieldForm::{List, Object, Value};

const MANIFEST: &[(&str, FieldForm)] = &[
    ("format", Value),
    ("version", Value),
    ("min_reader_version", Value),
    ("ring", Value),
    ("purpose", Value),
    ("environment", Value),
    ("revision", Value),
    ("changed_at", Value),
    ("policy", Object(POLICY)),
    ("earlier_window", Object(&[("seconds", Value), ("until", Value)])),
    ("keys", List(&Object(KEY))),
];

const POLICY: &[(&str, FieldForm)] = &[
    ("max_lifetime_seconds", Value),
    ("rollout_window_seconds", Value),
    ("skew_seconds", Value),
    ("observation_window_seconds", Value),
    ("min_observed_verifications", Value),
    ("min_secret_bytes", Value),
    ("dangerous_min_secret_bytes", Value),
    ("schedule", Value),
];

const KEY: &[(&str, FieldForm)] = &[
    ("kid", Value),
    ("aliases", Value),
    ("algorithm", Value),
    ("added_at", Value),
    ("sequence", Value),
    ("signing_start", Value),
    ("superseded_at", Value),
    ("retire_at", Value),
    ("kept_until", Value),
    ("earlier_end", Object(&[("at", Value), ("until", Value)])),
    // A revocation that cannot be read revokes as well (V8).
    ("revoked", Value),
    ("destroyed_at", Value),
    ("forced_steps", List(&Object(&[("at", Value), ("action", Value), ("reason", Value)]))),
    ("secret", Value),
    ("recogniser", Object(&[("salt", Value), ("tag", Value)])),
];

/// Former names of fields, with the present ones.
const FORMER: [(&str, &str); 5] = [
    ("longest_life_seconds", "max_lifetime_seconds"),
    ("observation_seconds", "observation_window_seconds"),
    ("enough_traffic", "min_observed_verifications"),
    ("signs", "signing_start"),
    ("overrides", "forced_steps"),
];

/// Refuses a value that is no object where one belongs and, unless it is of a version that `is_newer`,
/// a field of `text` that this release does not know. The error names a field only by its place, because
/// the name may be a secret; a former name is known.
pub(super) fn check_fields(text: &str, is_newer: bool) -> Result<(), Error> {
    match serde_json::from_str(text) {
        Ok(value) => check(value, &Object(MANIFEST), "the manifest", is_newer),
        // It is reported when the fields are read.
        Err(_) => Ok(()),
    }
}

fn check(value: &RawValue, form: &FieldForm, place: &str, is_newer: bool) -> Result<(), Error> {
    match form {
        Value => Ok(()),
        List(form) => {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
            items.into_iter().try_for_each(|item| check(item, form, place, is_newer))
        }
        // Deliberately not left to the parser: it would take a list by the order of the fields, of which
        // neither the names nor the revocations are known.
        Object(_) if !value.get().starts_with('{') && value.get() != "null" => {
            Err(Error::manifest(format!("`{place}` is not an object")))
        }
        Object(fields) => {
            for (name, value) in Members::read(value.get()).iter() {
                match fields.iter().find(|(field, _)| *field == name) {
                    Some((field, form)) => check(value, form, field, is_newer)?,
                    None if is_newer => {}
                    None => return Err(unknown_field(name, place)),
                }
            }
            Ok(())
        }
    }
}

fn unknown_field(name: &str, place: &str) -> Error {
    Error::manifest(match FORMER.iter().find(|(former, _)| *former == name) {
        Some((former, present)) => {
            format!("the field `{former}` of `{place}` is called `{present}` now; rename it")
        }
        None => format!(
            "`{place}` has a field that version 1 of the format does not have; remove the field, or fix \
             its name"
        ),
    })
}

/// The unknown fields of a manifest: its own, those of its policy, and those of each key.
#[derive(Default)]
pub(super) struct UnknownFields {
    pub(super) manifest: Unknown,
    pub(super) policy: Unknown,
    pub(super) keys: Vec<Unknown>,
}

impl UnknownFields {
    /// Reads those of `text`; `is_public` is set for a record, which holds no secret. In the objects
    /// within these they are not kept: a version that adds fields there, or that expresses a
    /// revocation in another way, raises the lowest reader version.
    pub(super) fn read(text: &str, is_public: bool) -> Self {
        let manifest = Members::read(text);
        let policy = manifest.values_of("policy").next().unwrap_or_default();
        let keys = manifest.values_of("keys").next().unwrap_or_default();
        let keys: Vec<&RawValue> = serde_json::from_str(keys).unwrap_or_default();
        Self {
            policy: read_unknown(&Members::read(policy), POLICY, is_public),
            keys: keys
                .into_iter()
                .map(|key| read_unknown(&Members::read(key.get()), KEY, is_public))
                .collect(),
            manifest: read_unknown(&manifest, MANIFEST, is_public),
        }
    }
}

fn read_unknown(members: &Members<'_>, known: &[(&str, FieldForm)], is_public: bool) -> Unknown {
    let mut unknown = Unknown::new(is_public);
    for (name, value) in members.iter() {
        if known.iter().all(|(field, _)| *field != name) {
            unknown.insert(name, value);
        }
    }
    unknown
}
