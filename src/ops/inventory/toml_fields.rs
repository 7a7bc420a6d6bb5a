//! The inventory as its TOML has it, before it is checked.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct InventoryFields {
    pub(super) version: Spanned<u32>,
    pub(super) environment: Spanned<String>,
    pub(super) kek: Option<String>,
    pub(super) audit: AuditFields,
    #[serde(default)]
    pub(super) remind: RemindFields,
    #[serde(default)]
    pub(super) secret: Vec<SecretFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct AuditFields {
    pub(super) file: Option<Spanned<PathBuf>>,
    pub(super) postgres: Option<Spanned<String>>,
    pub(super) secret: Spanned<String>,
    pub(super) max_bytes: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RemindFields {
    pub(super) webhook: Option<String>,
    pub(super) days_ahead: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct SecretFields {
    pub(super) name: Spanned<String>,
    pub(super) purpose: Spanned<String>,
    pub(super) priority: Spanned<String>,
    pub(super) store: Spanned<StoreFields>,
    pub(super) rotate: Option<Spanned<String>>,
    pub(super) algorithm: Option<String>,
    #[serde(default)]
    pub(super) environments: Vec<Spanned<String>>,
    pub(super) automatic: Option<Spanned<bool>>,
    pub(super) other_databases: Option<Spanned<bool>>,
    pub(super) form: Option<Spanned<String>>,
    pub(super) max_lifetime: Option<Spanned<String>>,
    pub(super) rollout_window: Option<Spanned<String>>,
    pub(super) skew: Option<Spanned<String>>,
    pub(super) observation_window: Option<Spanned<String>>,
    pub(super) min_observed_verifications: Option<u64>,
    pub(super) min_secret_bytes: Option<usize>,
    pub(super) dangerous_min_secret_bytes: Option<usize>,
    pub(super) backup: Option<BackupFields>,
    #[serde(default)]
    pub(super) peers: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) data: Vec<Spanned<DataFields>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct DataFields {
    pub(super) database: String,
    pub(super) table: String,
    pub(super) columns: Vec<String>,
    pub(super) context: Spanned<String>,
    #[serde(default)]
    pub(super) layouts: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) iv16: bool,
    #[serde(default)]
    pub(super) context_as_aad: bool,
    #[serde(default)]
    pub(super) may_hold_nothing: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct StoreFields {
    pub(super) file: Option<String>,
    #[serde(default)]
    pub(super) sealed: bool,
    pub(super) dotenv: Option<String>,
    pub(super) postgres: Option<String>,
    pub(super) manual: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct BackupFields {
    pub(super) file: String,
    pub(super) max_age: Spanned<String>,
}
