//! The document: where the audit trail is, who is reminded, and the secrets in their order.

use std::path::{Path, PathBuf};

use super::nearest::nearest;
use super::secret::SecretSpec;
use crate::ops::error::OpsError;

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
    pub secrets: Vec<SecretSpec>,
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

impl Inventory {
    /// The secret of this name.
    ///
    /// # Errors
    /// [`OpsError::UnknownSecret`], with the name that is written most like it.
    pub fn secret(&self, name: &str) -> Result<&SecretSpec, OpsError> {
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
