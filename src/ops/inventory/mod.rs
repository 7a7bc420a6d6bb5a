//! The inventory: every secret that a backend has, in one file, without a value.
//!
//! ```toml
//! version = 1
//! environment = "production"
//!
//! [audit]
//! file = "audit.log"
//! secret = "AUDIT_SECRET"
//!
//! [[secret]]
//! name = "JWT_SECRET"
//! purpose = "jwt"
//! priority = "critical"
//! store = { file = "keys/{env}/JWT_SECRET.json" }
//! rotate = "quarterly"
//! longest_life = "7 days"
//! environments = ["staging", "production"]
//! automatic = true
//! ```
//!
//! `min_secret_bytes` lowers the minimum of a secret, at most to the floor of its purpose;
//! `dangerous_min_secret_bytes` lowers it further. Both are for a short value that is in use and has
//! to sign until its first rotation: see [`adopt`](super::adopt).
//!
//! The values of a credential that are URLs name one host, port and database, unless it says
//! `other_databases = true`. Whether they are URLs follows from its name (`…_URL`, `…_URI`, `…_DSN`)
//! and from the one in use; `form = "url"` or `form = "text"` says otherwise.
//!
//! Paths are relative to the inventory; `{env}` in them is the environment. What cannot be is
//! found when the file is read, with its line and column.

mod own;
mod parse;
mod project;
mod same;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::OpsError;
use super::form;
use super::generate::{Generated, exists_or_io};
use crate::envelope::Layout;
use crate::lifecycle::Policy;
use crate::manifest::NewEntry;
use crate::purpose::Purpose;
use crate::secret::Secret;
use crate::source::disk;

pub use project::Project;

/// Every secret that a backend has, and what is to become of each.
///
/// ```
/// use dualkey::ops::inventory::Inventory;
///
/// let inventory = Inventory::parse(Inventory::TEMPLATE, "dualkey.toml")?;
/// assert_eq!(inventory.secrets.len(), 15);
/// assert!(inventory.secret("JWT_SECRET").is_ok());
///
/// let error = inventory.secret("JWT_SECRT").unwrap_err();
/// assert!(error.to_string().contains("did you mean `JWT_SECRET`?"));
/// # Ok::<(), dualkey::ops::OpsError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inventory {
    /// Where it was read.
    pub path: PathBuf,
    /// The environment that is meant where none is named.
    pub environment: String,
    /// The variable with the key that manifests are sealed under.
    pub kek: Option<String>,
    /// Where the audit trail is.
    pub audit: Audit,
    /// How somebody is reminded.
    pub remind: Remind,
    /// The secrets, in their order.
    pub secrets: Vec<Item>,
}

/// Where the audit trail is, and what signs it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Audit {
    /// Where it is.
    pub place: AuditPlace,
    /// The secret of the inventory that signs it.
    pub secret: String,
    /// How large a file may become before it is put aside.
    pub max_bytes: Option<u64>,
}

/// Where an audit trail is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditPlace {
    /// In a file.
    File(PathBuf),
    /// In the PostgreSQL database whose URL is in this variable.
    Postgres(String),
}

/// How somebody is reminded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Remind {
    /// The variable with the URL that reminders are posted to.
    pub webhook: Option<String>,
    /// How many days before a rotation is due somebody is told.
    pub days_ahead: u16,
}

/// A secret: what it is for, where it is, and when it is rotated.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Item {
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
    /// The tables that hold what it has sealed: all of them, or a sweep says too much.
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
    /// [`Rewrap::may_hold_nothing`](crate::rewrap::Rewrap::may_hold_nothing).
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

/// An inventory is a page of text: at most 1 MiB.
const MAX_BYTES: usize = 1024 * 1024;

impl Inventory {
    /// What `dualkey init` writes: the secrets of a usual backend, with comments.
    pub const TEMPLATE: &str = include_str!("template.toml");

    /// Reads the inventory at `path`.
    ///
    /// # Errors
    /// [`OpsError::NoInventory`]; [`OpsError::Io`]; [`OpsError::Inventory`] with the line and column
    /// of the problem.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, OpsError> {
        let path = path.into();
        match disk::read_text(&path, MAX_BYTES) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(OpsError::NoInventory { path })
            }
            Err(error) => Err(OpsError::io(path)(error)),
        }
    }

    /// Reads the text of one, which errors call `path`.
    ///
    /// # Errors
    /// [`OpsError::Inventory`] with the line and column of what is wrong.
    pub fn parse(text: &str, path: impl Into<PathBuf>) -> Result<Self, OpsError> {
        parse::parse(text, path.into())
    }

    /// Writes [`TEMPLATE`](Self::TEMPLATE) to a new file.
    ///
    /// # Errors
    /// [`OpsError::Exists`], [`OpsError::Io`].
    pub fn write_new(path: &Path) -> Result<(), OpsError> {
        Self::write_text(path, Self::TEMPLATE).map(drop)
    }

    /// Writes `text`, which is that of an inventory, to a new file.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse) and [`write_new`](Self::write_new).
    pub(crate) fn write_text(path: &Path, text: &str) -> Result<Self, OpsError> {
        let own = Self::parse(text, path)?;
        disk::write_new(path, text.as_bytes()).map_err(|source| exists_or_io(path, source))?;
        Ok(own)
    }

    /// The secret of this name.
    ///
    /// # Errors
    /// [`OpsError::UnknownSecret`], with the name that is written most like it.
    pub fn secret(&self, name: &str) -> Result<&Item, OpsError> {
        self.secrets.iter().find(|item| item.name == name).ok_or_else(|| {
            let names = self.secrets.iter().map(|item| item.name.as_str());
            OpsError::UnknownSecret { name: name.to_owned(), nearest: nearest(name, names) }
        })
    }

    /// Where a path of the inventory lies, for `environment`.
    pub(crate) fn path(&self, path: &str, environment: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path.replace("{env}", environment))
    }
}

impl Item {
    /// A new key for it: of `value`, or of a new secret where those are made here.
    ///
    /// ```
    /// use dualkey::Secret;
    /// use dualkey::ops::inventory::Inventory;
    ///
    /// let inventory = Inventory::parse(Inventory::TEMPLATE, "dualkey.toml")?;
    /// assert!(inventory.secret("JWT_SECRET")?.new_key(None).is_ok());
    ///
    /// let provider = inventory.secret("ANTHROPIC_API_KEY")?;
    /// assert!(provider.new_key(None).is_err(), "who verifies it makes it");
    /// assert!(provider.new_key(Some(Secret::from("sk-T4nZ8yB1cF6gJ0sD3pA5"))).is_ok());
    /// # Ok::<(), dualkey::ops::OpsError>(())
    /// ```
    ///
    /// # Errors
    /// [`OpsError::NoValue`] if its values are [made elsewhere](Purpose::is_made_elsewhere);
    /// [`OpsError::Value`] if they are URLs, and `value` is none;
    /// [`Error::Random`](crate::Error::Random).
    pub fn new_key(&self, value: Option<Secret>) -> Result<NewEntry, OpsError> {
        let new = match (value, self.purpose) {
            (Some(value), _) => {
                self.check_value(value.expose(), None)?;
                NewEntry::new(value).label(&self.name)
            }
            (None, Purpose::Webhook) => return Err(self.no_value("signs with them")),
            (None, own) if own.is_made_elsewhere() => return Err(self.no_value("verifies them")),
            (None, purpose) => Generated::new(purpose)?.entry(),
        };
        Ok(match &self.algorithm {
            Some(algorithm) => new.algorithm(algorithm),
            None => new,
        })
    }

    /// Fails, unless `value` has the form of its values, of which `in_use` is one.
    pub(crate) fn check_value(&self, value: &[u8], in_use: Option<&[u8]>) -> Result<(), OpsError> {
        match form::problem(self, value, in_use) {
            None => Ok(()),
            Some(problem) => Err(OpsError::Value {
                problem: format!(
                    "{problem}; set `form = \"text\"` for `{}` in the inventory if its values are no \
                     URLs",
                    self.name
                ),
                name: self.name.clone(),
            }),
        }
    }

    fn no_value(&self, by: &'static str) -> OpsError {
        OpsError::NoValue { name: self.name.clone(), by }
    }

    /// The command `start`, with the value that it takes.
    pub(crate) fn command(&self, start: &str) -> String {
        let value = if self.purpose.is_made_elsewhere() { " --value-from FILE" } else { "" };
        format!("dualkey {start}{value}")
    }

    /// Fails, unless it is of `environment`.
    pub(crate) fn check_environment(&self, environment: &str) -> Result<(), OpsError> {
        match self.environments.iter().any(|own| own == environment) {
            true => Ok(()),
            false => Err(OpsError::OtherEnvironment {
                name: self.name.clone(),
                environment: environment.to_owned(),
                environments: self.environments.clone(),
            }),
        }
    }
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

/// Of `names` the one that is written most like `name`, if one is.
pub(crate) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let name = name.to_lowercase();
    names
        .map(|own| (strsim::jaro_winkler(&name, &own.to_lowercase()), own))
        // As `clap` does for its own.
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, own)| own.to_owned())
}
