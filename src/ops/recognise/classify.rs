//! The classification of a variable: a secret of which purpose, or the reason to leave it out.

use std::path::Path;

use super::measure::{explain_unset, measure};
use super::name_table::{Meaning, Wants};
use super::recognised::Recognised;
use super::shortfall::Shortfall;
use super::{names, shape};
use crate::ops::address::is_elsewhere;
use crate::ops::inventory::Priority;
use crate::purpose::Purpose;
use crate::reference::Reference;
use crate::source::dotenv::listing::Variable;

/// Classifies a variable, with the others of its secret. The error is the reason to leave it out.
pub(super) fn classify(
    variable: &Variable,
    with: &[&Variable],
    file: &Path,
) -> Result<Recognised, String> {
    let (name, value) = (&variable.name, variable.value.as_str());
    if value.is_empty() {
        let why = variable.problem.as_ref().map(ToString::to_string);
        return Err(why.unwrap_or_else(|| "it has no value".to_owned()));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let meaning = names::meaning(name);
    check_shape(variable, with, meaning)?;
    let (purpose, priority, rotate, manual) = classify_value(value, meaning)?;
    if !name.bytes().all(is_name) {
        return Err("a secret is named with letters, digits and `_`: rename it".to_owned());
    }
    // What is rotated elsewhere is not read here.
    let mut all = std::iter::once(variable).chain(with.iter().copied());
    if manual.is_none()
        && let Some(unclear) = all.find(|one| one.problem.is_some())
    {
        let problem = unclear.problem.as_ref().map(ToString::to_string).unwrap_or_default();
        let lead = lead(unclear, name);
        return Err(format!("{lead}{problem}; then add the secret to the inventory"));
    }
    if purpose == Purpose::Credential && shape::is_abbreviated(value) {
        return Err(explain_unset(name));
    }
    let mut recognised = Recognised {
        name: name.clone(),
        with: with.iter().map(|other| other.name.clone()).collect(),
        file: file.to_owned(),
        purpose,
        priority,
        rotate,
        manual,
        shortfall: Shortfall::No,
        is_placeholder: false,
    };
    if recognised.manual.is_none() {
        measure(&mut recognised, variable, with)?;
    }
    Ok(recognised)
}

/// Fails with the reason, if the shape of a value shows that it is no secret of an inventory.
fn check_shape(
    variable: &Variable,
    with: &[&Variable],
    meaning: Option<Meaning>,
) -> Result<(), String> {
    let (name, value) = (&variable.name, variable.value.as_str());
    if let Some(Meaning::Out(why)) = meaning {
        let is_provider = shape::has_known_prefix(value) && !shape::is_publishable(value);
        return Err(if is_provider {
            format!("{why}; but its value has the shape of a provider's secret: revoke it")
        } else {
            why.to_owned()
        });
    }
    if shape::is_publishable(value) {
        return Err("its value is made to be published".to_owned());
    }
    let is_document = matches!(meaning, Some(Meaning::Secret { manual: Some(_), .. }));
    for one in std::iter::once(variable).chain(with.iter().copied()) {
        let lead = lead(one, name);
        if let Some(why) = Reference::recognise(&one.value) {
            return Err(format!("{lead}{why}"));
        }
        if let Some(why) = shape::asymmetric(&one.value).filter(|_| !is_document) {
            return Err(format!("{lead}{why}"));
        }
    }
    match with.iter().find(|other| is_elsewhere(value, &other.value)) {
        Some(Variable { name: other, .. }) => Err(format!(
            "`{other}` is of another server or database, and not an old value of it: rename `{other}`"
        )),
        None => Ok(()),
    }
}

/// The words that name `one`, where it is not the variable `name` itself.
fn lead(one: &Variable, name: &str) -> String {
    if one.name == name { String::new() } else { format!("`{}`: ", one.name) }
}

/// The purpose of a secret, with its priority, its schedule, and the place where it is rotated by hand.
fn classify_value(
    value: &str,
    meaning: Option<Meaning>,
) -> Result<(Purpose, Priority, &'static str, Option<String>), String> {
    Ok(match meaning {
        Some(Meaning::Secret { purpose, priority, rotate, wants, manual }) => {
            check_value(value, wants)?;
            (purpose, priority, rotate, manual.map(str::to_owned))
        }
        _ if value.starts_with("whsec_") => {
            (Purpose::Webhook, Priority::Standard, "semi-annual", None)
        }
        _ if shape::has_password(value) && shape::is_of_database(value) => {
            (Purpose::Credential, Priority::Critical, "quarterly", None)
        }
        _ if shape::has_password(value)
            || shape::has_known_prefix(value)
            || shape::is_hook(value, false) =>
        {
            (Purpose::Credential, Priority::Standard, "semi-annual", None)
        }
        _ => return Err(explain_unknown(value)),
    })
}

/// Fails with the reason, if the value is not what the name lets expect.
fn check_value(value: &str, wants: Wants) -> Result<(), String> {
    let without = || "it is a URL or a name without a password".to_owned();
    match wants {
        Wants::Anything => Ok(()),
        Wants::Secretive => match shape::plain(value) {
            Some(why) => Err(why.to_owned()),
            // The key of a DSN stands before its host.
            None if shape::is_url(value)
                && !shape::is_hook(value, true)
                && !value.contains('@') =>
            {
                Err(without())
            }
            None => Ok(()),
        },
        Wants::Random if shape::is_random(value) || shape::has_known_prefix(value) => Ok(()),
        Wants::Random => Err("neither its name nor its value is that of a secret".to_owned()),
        Wants::Password if shape::has_password(value) => Ok(()),
        Wants::Hook if shape::is_hook(value, true) || shape::is_random(value) => Ok(()),
        Wants::Password | Wants::Hook => Err(without()),
    }
}

/// The remark on a variable of which neither the name nor the value is known.
fn explain_unknown(value: &str) -> String {
    match () {
        () if shape::is_url(value) => "it is a URL without a password",
        () if value.len() >= 32 && shape::is_random(value) => {
            "its name is not that of a secret, but its value looks random: add it by hand if it is one"
        }
        () => "its name is not that of a secret",
    }
    .to_owned()
}
