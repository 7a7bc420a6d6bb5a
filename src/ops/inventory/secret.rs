//! A secret of the inventory: what it is for, where it is, and when it is rotated.

use std::time::Duration;

use crate::envelope::Layout;
use crate::lifecycle::Policy;
use crate::purpose::Purpose;

/// A secret: what it is for, where it is, and when it is rotated.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SecretSpec {
    /// Its name: that of its variable.
    pub name: String,
    /// What it is for.
    pub purpose: Purpose,
    /// How much hangs on it.
    pub priority: Priority,
    /// Where it is.
    pub store: Place,
    /// What its keys live by, its schedule with it.
    pub policy: Policy,
    /// The algorithm that new keys are bound to, where its purpose leaves a choice.
    pub algorithm: Option<String>,
    /// The environments that use it.
    pub environments: Vec<String>,
    /// Whether an agent rotates it without being asked.
    pub automatic: bool,
    /// Whether its values may name different databases.
    pub other_databases: bool,
    /// The form of its values, where the inventory says it.
    pub form: Option<Form>,
    /// The backup that must be recent before it is rotated.
    pub backup: Option<Backup>,
    /// What must be reachable before it is rotated: `host:port`.
    pub peers: Vec<String>,
    /// The tables that hold what it has sealed: all of them, or a rewrap says too much.
    pub data: Vec<Data>,
}

/// A table that holds sealed values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Data {
    /// The variable with the URL of the database: `postgres://…` or `sqlite:…`.
    pub database: String,
    /// The name of the table.
    pub table: String,
    /// Those of its columns that hold sealed values.
    pub columns: Vec<String>,
    /// The context of a value, as the application opens it: a text with `{table}`, `{column}`,
    /// and `{key}`, or `{0}`, `{1}` of a key of several columns.
    pub context: String,
    /// The legacy layouts in which there may be values yet.
    pub layouts: Vec<Layout>,
    /// Whether there may be nothing sealed in the table yet: see
    /// [`RewrapJob::may_hold_nothing`](crate::rewrap::RewrapJob::may_hold_nothing).
    pub may_hold_nothing: bool,
}

/// The form of the values of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// A URL.
    Url,
    /// Any text.
    Text,
}

/// How much hangs on a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Priority {
    /// Who has it is everybody, or reads everything.
    Critical,
    /// Who has it has a part.
    Standard,
    /// It is a machine's, at somebody else's.
    Service,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A manifest in a file, in the clear or sealed.
    File {
        /// The file, with `{env}` in it.
        path: String,
        /// Whether it is sealed under the key in the variable `kek`.
        sealed: bool,
    },
    /// Variables in a `.env` file, with `{env}` in its name.
    Dotenv(String),
    /// A manifest in the PostgreSQL database whose URL is in this variable, sealed.
    Postgres(String),
    /// Somewhere that this crate does not reach: it keeps the calendar alone.
    Manual(String),
}

/// A backup that must be recent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// The file, with `{env}` in it.
    pub path: String,
    /// How old it may be.
    pub max_age: Duration,
}

impl Priority {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Standard => "standard",
            Self::Service => "service",
        }
    }
}
