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
//! max_lifetime = "7 days"
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

mod checked_store;
mod database_check;
mod document;
mod explain;
mod file;
mod identity_check;
mod nearest;
mod new_key;
mod notes;
mod other_databases;
mod parse;
mod parse_secret;
mod project;
mod scalar;
mod secret;
mod stores;
mod toml_fields;
mod trail;
mod value_form;
mod variables;

pub use document::{Audit, AuditPlace, Inventory, Remind};
pub(crate) use other_databases::kids_apart;
pub use project::Project;
pub use secret::{Backup, Data, Form, Place, Priority, SecretSpec};
