//! A secret of the inventory, from its TOML.

use toml::Spanned;

use super::scalar::{Wrong, duration, environment_name, one_of, schedule, wrong};
use super::secret::{Backup, Data, Form, Place, Priority, SecretSpec};
use super::toml_fields::{DataFields, SecretFields, StoreFields};
use crate::envelope::Layout;
use crate::lifecycle::Policy;
use crate::purpose::Purpose;

/// Parses a secret of the inventory.
pub(super) fn parse_secret(
    secret: SecretFields,
    environment: &str,
    has_kek: bool,
) -> Result<SecretSpec, Wrong> {
    let purpose = one_of(&secret.purpose, Purpose::from_name(secret.purpose.get_ref()), || {
        Purpose::ALL.map(Purpose::as_str).to_vec()
    })?;
    let all = [Priority::Critical, Priority::Standard, Priority::Service];
    let found = all.into_iter().find(|one| one.as_str() == secret.priority.get_ref());
    let priority = one_of(&secret.priority, found, || all.map(Priority::as_str).to_vec())?;
    let store = parse_place(&secret.store, has_kek)?;
    check_automatic(&secret, &store, purpose)?;
    check_url_settings(&secret, purpose)?;
    let form = secret.form.as_ref().map(parse_form).transpose()?;
    let policy = parse_policy(&secret)?;
    let backup = secret
        .backup
        .as_ref()
        .map(|dump| Ok(Backup { path: dump.file.clone(), max_age: duration(&dump.max_age)? }));
    check_peers(&secret.peers)?;
    let environments = parse_environments(&secret.environments, environment)?;
    if let Place::File { path, .. } | Place::Dotenv(path) = &store
        && environments.len() > 1
        && !path.contains("{env}")
    {
        let problem = "it is of several environments: say which with `{env}` in its path";
        return wrong(&secret.store, problem.to_owned());
    }
    let data = secret.data.iter().map(|table| parse_data(table, purpose));
    Ok(SecretSpec {
        purpose,
        priority,
        store,
        policy,
        environments,
        form,
        data: data.collect::<Result<_, _>>()?,
        backup: backup.transpose()?,
        name: secret.name.into_inner(),
        algorithm: secret.algorithm,
        automatic: secret.automatic.is_some_and(Spanned::into_inner),
        other_databases: secret.other_databases.is_some_and(Spanned::into_inner),
        peers: secret.peers.into_iter().map(Spanned::into_inner).collect(),
    })
}

/// Checks that an agent can rotate a secret that is `automatic`.
fn check_automatic(secret: &SecretFields, store: &Place, purpose: Purpose) -> Result<(), Wrong> {
    let Some(automatic) = secret.automatic.as_ref().filter(|flag| *flag.get_ref()) else {
        return Ok(());
    };
    let problem = match (store, purpose) {
        (Place::Manual(_), _) => "it is rotated by hand",
        (Place::Dotenv(_), _) => "services take a `.env` up when they are restarted",
        (_, Purpose::Credential) => "its new value comes from who verifies it",
        (_, Purpose::Webhook | Purpose::VerifyToken) => {
            "its new value is set at the other side too"
        }
        _ => return Ok(()),
    };
    wrong(automatic, format!("an agent cannot rotate it: {problem}"))
}

/// Checks that only a credential has the settings of URLs.
fn check_url_settings(secret: &SecretFields, purpose: Purpose) -> Result<(), Wrong> {
    let places = [
        secret.other_databases.as_ref().map(Spanned::span),
        secret.form.as_ref().map(Spanned::span),
    ];
    match places.into_iter().flatten().next() {
        Some(place) if purpose != Purpose::Credential => {
            let problem = "only the values of a secret of the purpose \"credential\" may be URLs";
            Err(Wrong(place, problem.to_owned()))
        }
        _ => Ok(()),
    }
}

fn parse_policy(secret: &SecretFields) -> Result<Policy, Wrong> {
    let mut policy = Policy::default();
    for (text, into) in [
        (&secret.max_lifetime, &mut policy.max_lifetime),
        (&secret.rollout_window, &mut policy.rollout_window),
        (&secret.skew, &mut policy.skew),
        (&secret.observation_window, &mut policy.observation_window),
    ] {
        if let Some(text) = text {
            *into = duration(text)?;
        }
    }
    policy.min_observed_verifications =
        secret.min_observed_verifications.unwrap_or(policy.min_observed_verifications);
    policy.min_secret_bytes = secret.min_secret_bytes;
    policy.dangerous_min_secret_bytes = secret.dangerous_min_secret_bytes;
    policy.schedule = secret.rotate.as_ref().map(schedule).transpose()?.flatten();
    if let Err(error) = policy.check() {
        return wrong(&secret.name, error.to_string());
    }
    if let Some((text, error)) =
        secret.observation_window.as_ref().zip(policy.check_observation_window().err())
    {
        return wrong(text, error.to_string());
    }
    Ok(policy)
}

fn check_peers(peers: &[Spanned<String>]) -> Result<(), Wrong> {
    for peer in peers {
        let port = peer.get_ref().rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            return wrong(peer, "a peer is `host:port`".to_owned());
        }
    }
    Ok(())
}

/// Parses the environments of a secret; the default one, if none is named.
fn parse_environments(all: &[Spanned<String>], default: &str) -> Result<Vec<String>, Wrong> {
    let mut environments = Vec::new();
    for text in all {
        let name = environment_name(text)?;
        if environments.contains(&name) {
            return wrong(text, format!("`{name}` is there twice"));
        }
        environments.push(name);
    }
    if environments.is_empty() {
        environments.push(default.to_owned());
    }
    Ok(environments)
}

fn parse_form(text: &Spanned<String>) -> Result<Form, Wrong> {
    let found = match text.get_ref().as_str() {
        "url" => Some(Form::Url),
        "text" => Some(Form::Text),
        _ => None,
    };
    one_of(text, found, || vec!["url", "text"])
}

fn parse_data(entry: &Spanned<DataFields>, purpose: Purpose) -> Result<Data, Wrong> {
    let table = entry.get_ref();
    if purpose != Purpose::Envelope {
        return wrong(entry, "only a secret of the purpose \"envelope\" seals data".to_owned());
    }
    if table.columns.is_empty() {
        return wrong(entry, "name the columns that hold sealed values".to_owned());
    }
    if let Some(unknown) = unknown_mark(table.context.get_ref()) {
        let problem = format!(
            "`{{{unknown}}}` is none of {{table}}, {{column}}, {{key}} and, of a key of several \
             columns, {{0}}, {{1}} and so on"
        );
        return wrong(&table.context, problem);
    }
    let mut layouts = Vec::new();
    for text in &table.layouts {
        let names = || Layout::ALL.map(Layout::name).to_vec();
        let mut layout = one_of(text, Layout::named(text.get_ref()), names)?;
        if table.iv16 {
            layout = layout.iv16();
        }
        if table.context_as_aad {
            layout = layout.context_as_aad();
        }
        layouts.push(layout);
    }
    Ok(Data {
        database: table.database.clone(),
        table: table.table.clone(),
        columns: table.columns.clone(),
        context: table.context.get_ref().clone(),
        layouts,
        may_hold_nothing: table.may_hold_nothing,
    })
}

/// The first text between braces that has no meaning.
fn unknown_mark(context: &str) -> Option<&str> {
    let marks = context.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or(rest));
    let is_known =
        |mark: &&str| matches!(*mark, "table" | "column" | "key") || mark.parse::<usize>().is_ok();
    marks.into_iter().find(|mark| !is_known(mark))
}

fn parse_place(entry: &Spanned<StoreFields>, has_kek: bool) -> Result<Place, Wrong> {
    let store = entry.get_ref();
    let sealed = store.sealed;
    let place = match (&store.file, &store.dotenv, &store.postgres, &store.manual) {
        (Some(path), None, None, None) => Place::File { path: path.clone(), sealed },
        (None, Some(path), None, None) => Place::Dotenv(path.clone()),
        (None, None, Some(variable), None) => Place::Postgres(variable.clone()),
        (None, None, None, Some(place)) => Place::Manual(place.clone()),
        _ => {
            let problem = "a store is one of `file`, `dotenv`, `postgres` and `manual`";
            return wrong(entry, problem.to_owned());
        }
    };
    match &place {
        Place::File { sealed: true, .. } | Place::Postgres(_) if !has_kek => {
            let problem = "it is sealed: name the variable with its key as `kek`, above all tables";
            wrong(entry, problem.to_owned())
        }
        Place::Dotenv(_) | Place::Manual(_) if sealed => {
            wrong(entry, "only the manifest of a file can be `sealed`".to_owned())
        }
        _ => Ok(place),
    }
}
