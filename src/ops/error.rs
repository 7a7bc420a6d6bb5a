//! What keeps an operator from what they asked for.

use std::io;
use std::path::{Path, PathBuf};

use super::adopt::{InUse, Refusal};
use super::audit::{Action, AuditError};
use super::rotate::Check;
use crate::error::Error;
use crate::kid::Kid;
use crate::rewrap::RewrapJobError;
use crate::source::StoreError;

/// What keeps an operator from what they asked for. It names the secret, the file or the
/// variable and how to fix it, never a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpsError {
    /// A step was refused.
    #[error(transparent)]
    Refused(#[from] Error),

    /// The store cannot give or take a manifest, or refused a step.
    #[error(transparent)]
    Store(#[from] StoreError),

    /// The audit trail cannot be written or read: then nothing is changed.
    #[error("{0}; nothing was changed")]
    Audit(#[from] AuditError),

    /// The step was taken, and the trail could not be told: its record says that it was started.
    #[error(
        "the step was taken, but its record says only that it was started ({source}): the next command completes it"
    )]
    Unsettled {
        /// What the trail said.
        source: AuditError,
    },

    /// The inventory cannot be read as one.
    #[error("{}:{line}:{column}: {problem}", path.display())]
    Inventory {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1, in characters.
        column: usize,
        /// What is wrong, and how to fix it.
        problem: String,
    },

    /// No secret of the inventory has this name.
    #[error("the inventory has no secret `{name}`{}", nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?")))]
    UnknownSecret {
        /// The name.
        name: String,
        /// The one that is written most like it.
        nearest: Option<String>,
    },

    /// The secret is not used in this environment.
    #[error("`{name}` is of {}, and not of `{environment}`: name one of them with `--env`", environments.join(", "))]
    OtherEnvironment {
        /// The secret.
        name: String,
        /// The environment that was asked for.
        environment: String,
        /// Those that it is of.
        environments: Vec<String>,
    },

    /// Nothing of the inventory is of this environment.
    #[error("the inventory has no environment `{environment}`; it has {}", environments.join(", "))]
    UnknownEnvironment {
        /// What was asked for.
        environment: String,
        /// Those that there are.
        environments: Vec<String>,
    },

    /// A store holds nothing, and did once: what cannot be read is not what is not there.
    #[error(
        "`{secret}` was there in {environment}, by the audit trail, and its store holds nothing now: {remedy}"
    )]
    WasThere {
        /// The secret.
        secret: String,
        /// The environment.
        environment: String,
        /// What to do.
        remedy: &'static str,
    },

    /// The inventory names no webhook for reminders.
    #[error(
        "cannot send reminders: the inventory names no webhook; set `webhook` of `[remind]` to the name \
         of the variable that holds its URL"
    )]
    NoWebhook,

    /// The trail has no key to be signed with.
    #[error(
        "the audit trail has no key yet: make it with `dualkey generate {secret} --store`, or with \
         `dualkey adopt`, which takes over the values in use too"
    )]
    NoAuditKey {
        /// The secret of the inventory that is to sign it.
        secret: String,
    },

    /// Values in use cannot be taken over: nothing was changed.
    #[error(
        "cannot adopt {} of the secrets, and nothing was changed: {}", refusals.len(),
        refusals.iter().map(|refusal| format!("{}: {}", refusal.secret, refusal.problem)).collect::<Vec<_>>().join("; ")
    )]
    Adopt {
        /// Each that cannot be adopted.
        refusals: Vec<Refusal>,
    },

    /// A value of the secret is in use, and its store holds nothing.
    #[error(
        "cannot make a first key of `{name}`: {} is set in {}, and a new key refuses what that one \
         signed; take it over with `{}`, or pass `--force --reason WHY`",
        found.variable, found.place(), found.command(name)
    )]
    InUse {
        /// The secret.
        name: String,
        /// The variable.
        found: InUse,
    },

    /// A step was asked for of a secret whose store holds nothing, while a value of it is in use.
    #[error(
        "the store of `{name}` holds nothing yet, and {} is set in {}: take it over with `{}`",
        found.variable, found.place(), found.command(name)
    )]
    NotAdopted {
        /// The secret.
        name: String,
        /// The variable.
        found: InUse,
    },

    /// It is rotated elsewhere.
    #[error(
        "`{name}` is rotated by hand ({place}): do it there, and tell with `dualkey record {name} rotated`"
    )]
    Manual {
        /// The secret.
        name: String,
        /// Where.
        place: String,
    },

    /// No value was handed over for a secret whose values are not made here.
    #[error(
        "the values of `{name}` are made by who {by}: hand the new one over with `--value-from FILE`"
    )]
    NoValue {
        /// The secret.
        name: String,
        /// What they do with it.
        by: &'static str,
    },

    /// A new value is none of this secret: it is no URL, or names another database.
    #[error("cannot take the value for `{name}`: {problem}")]
    Value {
        /// The secret.
        name: String,
        /// What is wrong with the value, and the remedy; it holds nothing of it.
        problem: String,
    },

    /// Who takes a step tells of it, and nobody else.
    #[error(
        "`{name}` is not rotated by hand: what is {action} there is told by the command that does it"
    )]
    NotByHand {
        /// The secret.
        name: String,
        /// What was to be told.
        action: Action,
    },

    /// A variable that the inventory names is not set.
    #[error(
        "cannot read {what}: the variable {variable} is not set; set it in the environment of this \
         command"
    )]
    Variable {
        /// What it is for.
        what: &'static str,
        /// The variable.
        variable: String,
    },

    /// There is something already, and nothing is written over.
    #[error("{} is there already: it is not written over", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },

    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// A check before a rotation failed.
    #[error("{} of the checks failed: {}; fix them, or skip one with `--skip NAME --reason WHY`", failed.len(), failed.iter().map(|check| check.name).collect::<Vec<_>>().join(", "))]
    Checks {
        /// Those that did.
        failed: Vec<Check>,
    },

    /// What goes over a refusal needs a reason.
    #[error("{what} needs a reason: `--reason WHY`")]
    NoReason {
        /// What was asked for.
        what: &'static str,
    },

    /// A step names no key, and the secret has none or several that it could be for.
    #[error("{}", no_key(secret, what, kids))]
    NoKey {
        /// The secret.
        secret: String,
        /// The kind of key that the step is for: `staged key`, `fallback`.
        what: &'static str,
        /// The kids of those that it could be for.
        kids: Vec<String>,
    },

    /// A retirement names no key, and the secret has no fallback, but a staged key.
    #[error(
        "`{secret}` has no fallback to retire; to withdraw its staged key: `dualkey retire {secret} \
         --kid {staged}`"
    )]
    NoFallback {
        /// The secret.
        secret: String,
        /// The kid of the staged key.
        staged: Kid,
    },

    /// A first key was to be made of a secret that has keys.
    #[error("`{secret}` has keys already: `{command}`")]
    HasKeys {
        /// The secret.
        secret: String,
        /// The command that rotates it.
        command: String,
    },

    /// A step was to be taken on a secret that has no keys.
    #[error("`{secret}` has no keys yet: {}", first_key(secret, file.as_deref(), command))]
    HasNoKeys {
        /// The secret.
        secret: String,
        /// The `.env` file that its values belong in, if they belong in one.
        file: Option<String>,
        /// The command that makes its first key.
        command: String,
    },

    /// A key is to be promoted, and no instance reports which keys it holds.
    #[error(
        "cannot promote `{kid}`: no instance reports which keys it holds; if every instance runs \
         with this key: `{command}`"
    )]
    NoReports {
        /// The kid of the key.
        kid: Kid,
        /// The command that promotes it nevertheless.
        command: String,
    },

    /// The inventory does not exist.
    #[error("{} does not exist: write it with `dualkey init`, or name another file with `--inventory FILE`", path.display())]
    NoInventory {
        /// The path of the inventory.
        path: PathBuf,
    },

    /// What a feature of this build would be needed for.
    #[error("{what} needs the feature `{feature}`, which this build is without")]
    Feature {
        /// What was asked for.
        what: &'static str,
        /// The feature.
        feature: &'static str,
    },

    /// The inventory does not say where the data is.
    #[error(
        "the inventory does not say what `{name}` has sealed: name every table with `[[secret.data]]`"
    )]
    NoData {
        /// The secret.
        name: String,
    },

    /// A variable is to hold the URL of a database, and holds something else.
    #[error("cannot use the variable {variable} as the URL of a database: {problem}")]
    DatabaseUrl {
        /// The variable.
        variable: String,
        /// The problem with it, which holds no part of a value.
        problem: String,
    },

    /// A rewrap ended before its time: what it has committed stands, and it can be run again.
    #[error(transparent)]
    Rewrap(#[from] RewrapJobError),

    /// A reminder could not be delivered.
    #[error("the reminder could not be delivered: {problem}")]
    Remind {
        /// Why not; without the URL, which is a secret.
        problem: String,
    },
}

impl OpsError {
    pub(crate) fn for_path(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }

    /// The error of a file that is written only where there is none.
    pub(crate) fn of_new_file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| match source.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists { path },
            _ => Self::Io { path, source },
        }
    }
}

fn no_key(secret: &str, what: &str, kids: &[String]) -> String {
    let count = match kids.len() {
        0 if what == "staged key" => {
            return format!("`{secret}` has no staged key: add one with `dualkey stage {secret}`");
        }
        0 => return format!("`{secret}` has no {what}"),
        2 => "two".to_owned(),
        3 => "three".to_owned(),
        count => count.to_string(),
    };
    format!("`{secret}` has {count} {what}s: name one with `--kid`: {}", kids.join(", "))
}

fn first_key(secret: &str, file: Option<&str>, command: &str) -> String {
    match file {
        Some(file) => format!("set {secret} in {file}, or run `{command}`"),
        None => format!("make the first one with `{command}`"),
    }
}
