//! The inventory from its text: each mistake with its place.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::words::{Wrong, duration, environment_name, one_of, schedule, wrong};
use super::{
    Audit, AuditPlace, Backup, Data, Form, Inventory, Item, Place, Priority, Remind, nearest,
};
use crate::envelope::Layout;
use crate::lifecycle::Policy;
use crate::ops::error::OpsError;
use crate::purpose::Purpose;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: Spanned<u32>,
    environment: Spanned<String>,
    kek: Option<String>,
    audit: Trail,
    #[serde(default)]
    remind: Reminders,
    #[serde(default)]
    secret: Vec<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trail {
    file: Option<Spanned<PathBuf>>,
    postgres: Option<Spanned<String>>,
    secret: Spanned<String>,
    max_bytes: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Reminders {
    webhook: Option<String>,
    days_ahead: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    name: Spanned<String>,
    purpose: Spanned<String>,
    priority: Spanned<String>,
    store: Spanned<Store>,
    rotate: Option<Spanned<String>>,
    algorithm: Option<String>,
    #[serde(default)]
    environments: Vec<Spanned<String>>,
    automatic: Option<Spanned<bool>>,
    other_databases: Option<Spanned<bool>>,
    form: Option<Spanned<String>>,
    longest_life: Option<Spanned<String>>,
    rollout_window: Option<Spanned<String>>,
    skew: Option<Spanned<String>>,
    observation: Option<Spanned<String>>,
    enough_traffic: Option<u64>,
    min_secret_bytes: Option<usize>,
    dangerous_min_secret_bytes: Option<usize>,
    backup: Option<Dump>,
    #[serde(default)]
    peers: Vec<Spanned<String>>,
    #[serde(default)]
    data: Vec<Spanned<Table>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    database: String,
    table: String,
    columns: Vec<String>,
    context: Spanned<String>,
    #[serde(default)]
    layouts: Vec<Spanned<String>>,
    #[serde(default)]
    iv16: bool,
    #[serde(default)]
    context_as_aad: bool,
    #[serde(default)]
    may_hold_nothing: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Store {
    file: Option<String>,
    #[serde(default)]
    sealed: bool,
    dotenv: Option<String>,
    postgres: Option<String>,
    manual: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dump {
    file: String,
    max_age: Spanned<String>,
}

pub(super) fn parse(text: &str, path: PathBuf) -> Result<Inventory, OpsError> {
    let read = toml::from_str(text)
        .map_err(|error| Wrong(error.span().unwrap_or(0..0), error.message().to_owned()));
    read.and_then(|document| checked(document, path.clone())).map_err(|Wrong(place, problem)| {
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

fn checked(document: Document, path: PathBuf) -> Result<Inventory, Wrong> {
    let Document { version, environment, kek, audit, remind, secret } = document;
    if *version.get_ref() != 1 {
        let found = version.get_ref();
        return wrong(&version, format!("version {found}: this release reads version 1"));
    }
    let environment = environment_name(&environment)?;
    let (mut names, mut files, mut secrets) = (HashSet::new(), HashSet::new(), Vec::new());
    for own in secret {
        let name = &own.name;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.get_ref().is_empty() || !name.get_ref().bytes().all(is_name) {
            return wrong(name, "a name is that of a variable: letters, digits and _".to_owned());
        }
        if !names.insert(name.get_ref().clone()) {
            return wrong(name, format!("`{}` is there twice", name.get_ref()));
        }
        if let Some(file) =
            own.store.get_ref().file.as_ref().filter(|own| !files.insert((*own).clone()))
        {
            return wrong(&own.store, format!("`{file}` is the file of another secret"));
        }
        secrets.push(item(own, &environment, kek.is_some())?);
    }
    let signer = secrets.iter().find(|item| item.name == *audit.secret.get_ref());
    let problem = match signer {
        None => {
            let near = nearest(audit.secret.get_ref(), names.iter().map(String::as_str));
            let near = near.map_or_else(String::new, |own| format!("; did you mean `{own}`?"));
            Some(format!("no secret has this name{near}"))
        }
        Some(item) if item.purpose != Purpose::Audit => {
            Some("the purpose of this secret must be \"audit\": it signs nothing else".to_owned())
        }
        Some(Item { store: Place::Manual(_), .. }) => {
            Some("this secret must be in a store: it signs every record".to_owned())
        }
        Some(item) if !item.environments.contains(&environment) => {
            Some(format!("this secret must be of `{environment}`: it signs the records of all"))
        }
        Some(_) => None,
    };
    if let Some(problem) = problem {
        return wrong(&audit.secret, problem);
    }
    let place = match (audit.file, audit.postgres) {
        (Some(file), None) => AuditPlace::File(file.into_inner()),
        (None, Some(variable)) => AuditPlace::Postgres(variable.into_inner()),
        _ => {
            let problem = "the trail is in a `file` or in `postgres`: name one of them";
            return wrong(&audit.secret, problem.to_owned());
        }
    };
    Ok(Inventory {
        path,
        environment,
        kek,
        audit: Audit { place, secret: audit.secret.into_inner(), max_bytes: audit.max_bytes },
        remind: Remind { webhook: remind.webhook, days_ahead: remind.days_ahead.unwrap_or(7) },
        secrets,
    })
}

fn item(own: Secret, environment: &str, has_kek: bool) -> Result<Item, Wrong> {
    let purpose = one_of(&own.purpose, Purpose::named(own.purpose.get_ref()), || {
        Purpose::ALL.map(Purpose::as_str).to_vec()
    })?;
    let all = [Priority::Critical, Priority::Standard, Priority::Service];
    let found = all.into_iter().find(|one| one.as_str() == own.priority.get_ref());
    let priority = one_of(&own.priority, found, || all.map(Priority::as_str).to_vec())?;
    let store = place(&own.store, has_kek)?;
    if let Some(automatic) = own.automatic.as_ref().filter(|own| *own.get_ref()) {
        let problem = match (&store, purpose) {
            (Place::Manual(_), _) => Some("it is rotated by hand"),
            (Place::Dotenv(_), _) => Some("services take a `.env` up when they are restarted"),
            (_, Purpose::Credential) => Some("its new value comes from who verifies it"),
            (_, Purpose::Webhook | Purpose::VerifyToken) => {
                Some("its new value is set at the other side too")
            }
            _ => None,
        };
        if let Some(problem) = problem {
            return wrong(automatic, format!("an agent cannot rotate it: {problem}"));
        }
    }
    if purpose != Purpose::Credential {
        let places =
            [own.other_databases.as_ref().map(Spanned::span), own.form.as_ref().map(Spanned::span)];
        if let Some(place) = places.into_iter().flatten().next() {
            let problem = "only the values of a secret of the purpose \"credential\" may be URLs";
            return Err(Wrong(place, problem.to_owned()));
        }
    }
    let form = own.form.as_ref().map(form).transpose()?;
    let mut policy = Policy::default();
    for (text, into) in [
        (&own.longest_life, &mut policy.longest_life),
        (&own.rollout_window, &mut policy.rollout_window),
        (&own.skew, &mut policy.skew),
        (&own.observation, &mut policy.observation),
    ] {
        if let Some(text) = text {
            *into = duration(text)?;
        }
    }
    policy.enough_traffic = own.enough_traffic.unwrap_or(policy.enough_traffic);
    policy.min_secret_bytes = own.min_secret_bytes;
    policy.dangerous_min_secret_bytes = own.dangerous_min_secret_bytes;
    policy.schedule = own.rotate.as_ref().map(schedule).transpose()?.flatten();
    if let Err(error) = policy.check() {
        return wrong(&own.name, error.to_string());
    }
    if let Some((text, error)) = own.observation.as_ref().zip(policy.check_observation().err()) {
        return wrong(text, error.to_string());
    }
    let backup =
        own.backup.map(|own| Ok(Backup { path: own.file, max_age: duration(&own.max_age)? }));
    for peer in &own.peers {
        let port = peer.get_ref().rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            return wrong(peer, "a peer is `host:port`".to_owned());
        }
    }
    let mut environments = Vec::new();
    for other in &own.environments {
        let name = environment_name(other)?;
        if environments.contains(&name) {
            return wrong(other, format!("`{name}` is there twice"));
        }
        environments.push(name);
    }
    if environments.is_empty() {
        environments.push(environment.to_owned());
    }
    if let Place::File { path, .. } | Place::Dotenv(path) = &store
        && environments.len() > 1
        && !path.contains("{env}")
    {
        let problem = "it is of several environments: say which with `{env}` in its path";
        return wrong(&own.store, problem.to_owned());
    }
    let data = own.data.iter().map(|table| data(table, purpose)).collect::<Result<_, _>>()?;
    Ok(Item {
        name: own.name.into_inner(),
        purpose,
        priority,
        store,
        policy,
        algorithm: own.algorithm,
        environments,
        automatic: own.automatic.is_some_and(Spanned::into_inner),
        other_databases: own.other_databases.is_some_and(Spanned::into_inner),
        form,
        backup: backup.transpose()?,
        peers: own.peers.into_iter().map(Spanned::into_inner).collect(),
        data,
    })
}

fn form(text: &Spanned<String>) -> Result<Form, Wrong> {
    let found = match text.get_ref().as_str() {
        "url" => Some(Form::Url),
        "text" => Some(Form::Text),
        _ => None,
    };
    one_of(text, found, || vec!["url", "text"])
}

fn data(own: &Spanned<Table>, purpose: Purpose) -> Result<Data, Wrong> {
    let table = own.get_ref();
    if purpose != Purpose::Envelope {
        return wrong(own, "only a secret of the purpose \"envelope\" seals data".to_owned());
    }
    if table.columns.is_empty() {
        return wrong(own, "name the columns that hold sealed values".to_owned());
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

/// The first that stands between braces and stands for nothing.
fn unknown_mark(context: &str) -> Option<&str> {
    let marks = context.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or(rest));
    let is_known =
        |mark: &&str| matches!(*mark, "table" | "column" | "key") || mark.parse::<usize>().is_ok();
    marks.into_iter().find(|mark| !is_known(mark))
}

fn place(own: &Spanned<Store>, has_kek: bool) -> Result<Place, Wrong> {
    let store = own.get_ref();
    let sealed = store.sealed;
    let place = match (&store.file, &store.dotenv, &store.postgres, &store.manual) {
        (Some(path), None, None, None) => Place::File { path: path.clone(), sealed },
        (None, Some(path), None, None) => Place::Dotenv(path.clone()),
        (None, None, Some(variable), None) => Place::Postgres(variable.clone()),
        (None, None, None, Some(place)) => Place::Manual(place.clone()),
        _ => {
            let problem = "a store is one of `file`, `dotenv`, `postgres` and `manual`";
            return wrong(own, problem.to_owned());
        }
    };
    match &place {
        Place::File { sealed: true, .. } | Place::Postgres(_) if !has_kek => {
            let problem = "it is sealed: name the variable with its key as `kek`, above all tables";
            wrong(own, problem.to_owned())
        }
        Place::Dotenv(_) | Place::Manual(_) if sealed => {
            wrong(own, "only the manifest of a file can be `sealed`".to_owned())
        }
        _ => Ok(place),
    }
}
