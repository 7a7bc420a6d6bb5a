//! The inventory as its TOML has it, before it is checked.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) version: Spanned<u32>,
    pub(super) environment: Spanned<String>,
    pub(super) kek: Option<String>,
    pub(super) audit: Trail,
    #[serde(default)]
    pub(super) remind: Reminders,
    #[serde(default)]
    pub(super) secret: Vec<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trail {
    pub(super) file: Option<Spanned<PathBuf>>,
    pub(super) postgres: Option<Spanned<String>>,
    pub(super) secret: Spanned<String>,
    pub(super) max_bytes: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Reminders {
    pub(super) webhook: Option<String>,
    pub(super) days_ahead: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Secret {
    pub(super) name: Spanned<String>,
    pub(super) purpose: Spanned<String>,
    pub(super) priority: Spanned<String>,
    pub(super) store: Spanned<Store>,
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
    pub(super) backup: Option<Dump>,
    #[serde(default)]
    pub(super) peers: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) data: Vec<Spanned<Table>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
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
#[serde(deny_unknown_fields)]
pub(super) struct Store {
    pub(super) file: Option<String>,
    #[serde(default)]
    pub(super) sealed: bool,
    pub(super) dotenv: Option<String>,
    pub(super) postgres: Option<String>,
    pub(super) manual: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dump {
    pub(super) file: String,
    pub(super) max_age: Spanned<String>,
}
