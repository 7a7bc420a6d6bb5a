//! The inventory from its text: each mistake with its place.

use std::collections::HashSet;
use std::path::PathBuf;

use toml::Spanned;

use super::document::{Audit, AuditPlace, Inventory, Remind};
use super::nearest::nearest;
use super::parse_secret::parse_secret;
use super::scalar::{Wrong, environment_name, wrong};
use super::secret::{Place, SecretSpec};
use super::toml_fields::{AuditFields, InventoryFields, SecretFields};
use crate::ops::error::OpsError;
use crate::purpose::Purpose;

/// Parses the text of an inventory, which errors call `path`.
pub(super) fn parse(text: &str, path: PathBuf) -> Result<Inventory, OpsError> {
    let read = toml::from_str(text)
        .map_err(|error| Wrong(error.span().unwrap_or(0..0), name_former_field(error.message())));
    read.and_then(|document| check(document, path.clone())).map_err(|Wrong(place, problem)| {
        let before = text.get(..place.start).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        OpsError::Inventory {
            path,
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            problem,
        }
    })
}

/// Former names of fields, with the present ones.
const FORMER: [(&str, &str); 3] = [
    ("longest_life", "max_lifetime"),
    ("observation", "observation_window"),
    ("enough_traffic", "min_observed_verifications"),
];

/// The message of the parser, with the present name of a field that it calls unknown.
fn name_former_field(message: &str) -> String {
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    match FORMER.iter().find(|(former, _)| unknown == Some(former)) {
        Some((former, present)) => {
            format!("the field `{former}` is called `{present}` now: rename it")
        }
        None => message.to_owned(),
    }
}

fn check(document: InventoryFields, path: PathBuf) -> Result<Inventory, Wrong> {
    let InventoryFields { version, environment, kek, audit, remind, secret } = document;
    if *version.get_ref() != 1 {
        let found = version.get_ref();
        return wrong(&version, format!("version {found}: this release reads version 1"));
    }
    let environment = environment_name(&environment)?;
    let secrets = parse_secrets(secret, &environment, kek.is_some())?;
    check_signer(&audit.secret, &secrets, &environment)?;
    Ok(Inventory {
        path,
        environment,
        kek,
        audit: parse_audit(audit)?,
        remind: Remind { webhook: remind.webhook, days_ahead: remind.days_ahead.unwrap_or(7) },
        secrets,
    })
}

/// Parses the secrets, each of which has a name and a file of its own.
fn parse_secrets(
    all: Vec<SecretFields>,
    environment: &str,
    has_kek: bool,
) -> Result<Vec<SecretSpec>, Wrong> {
    let (mut names, mut files, mut secrets) = (HashSet::new(), HashSet::new(), Vec::new());
    for secret in all {
        let name = &secret.name;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.get_ref().is_empty() || !name.get_ref().bytes().all(is_name) {
            return wrong(name, "a name is that of a variable: letters, digits and _".to_owned());
        }
        if !names.insert(name.get_ref().clone()) {
            return wrong(name, format!("`{}` is there twice", name.get_ref()));
        }
        let file = secret.store.get_ref().file.as_ref();
        if let Some(file) = file.filter(|file| !files.insert((*file).clone())) {
            return wrong(&secret.store, format!("`{file}` is the file of another secret"));
        }
        secrets.push(parse_secret(secret, environment, has_kek)?);
    }
    Ok(secrets)
}

/// Checks that the secret `name` can sign the audit trail.
fn check_signer(
    name: &Spanned<String>,
    secrets: &[SecretSpec],
    environment: &str,
) -> Result<(), Wrong> {
    let signer = secrets.iter().find(|item| item.name == *name.get_ref());
    let problem = match signer {
        None => {
            let near = nearest(name.get_ref(), secrets.iter().map(|item| item.name.as_str()));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            format!("no secret has this name{near}")
        }
        Some(item) if item.purpose != Purpose::Audit => {
            "the purpose of this secret must be \"audit\": it signs nothing else".to_owned()
        }
        Some(SecretSpec { store: Place::Manual(_), .. }) => {
            "this secret must be in a store: it signs every record".to_owned()
        }
        Some(item) if !item.environments.iter().any(|name| name == environment) => {
            format!("this secret must be of `{environment}`: it signs the records of all")
        }
        Some(_) => return Ok(()),
    };
    wrong(name, problem)
}

fn parse_audit(audit: AuditFields) -> Result<Audit, Wrong> {
    let place = match (audit.file, audit.postgres) {
        (Some(file), None) => AuditPlace::File(file.into_inner()),
        (None, Some(variable)) => AuditPlace::Postgres(variable.into_inner()),
        _ => {
            let problem = "the trail is in a `file` or in `postgres`: name one of them";
            return wrong(&audit.secret, problem.to_owned());
        }
    };
    Ok(Audit { place, secret: audit.secret.into_inner(), max_bytes: audit.max_bytes })
}
