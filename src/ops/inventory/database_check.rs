//! The check that all values of a credential name the same database.

use std::sync::Arc;

use crate::clock::Clock;
use crate::manifest::{Entry, Manifest};
use crate::secret::Secret;
use crate::source::{DotenvStore, StoreError};

use super::checked_store::ManifestCheck;
use super::other_databases::keys_apart;
use super::secret::SecretSpec;

/// Refuses the manifest of a credential with values of several databases: a `DATABASE_URL_BACKUP` that
/// names another database is no other value of `DATABASE_URL`.
pub(super) struct DatabaseCheck {
    pub(super) item: SecretSpec,
    pub(super) clock: Arc<dyn Clock>,
    /// Says in which variable a value stands.
    pub(super) variables: Option<DotenvStore>,
}

impl DatabaseCheck {
    /// The variable of a key, or its kid.
    fn name(&self, key: &Entry) -> String {
        let secret = key.secret().map(Secret::expose).unwrap_or_default();
        let variable = self.variables.as_ref().and_then(|file| file.variable_of(secret));
        variable.map_or_else(|| format!("the key `{}`", key.kid()), |name| format!("`{name}`"))
    }
}

impl ManifestCheck for DatabaseCheck {
    fn check(&self, found: &Manifest) -> Result<(), StoreError> {
        let now = self.clock.now().max(found.changed_at());
        let apart = keys_apart(&self.item, found, now);
        let Some((key, difference)) = apart.into_iter().next() else { return Ok(()) };
        let primary = found.key(&found.primary(now)).unwrap_or(key);
        let differs = format!("{} {}", difference.than(), self.name(primary));
        Err(StoreError::OtherDatabase {
            ring: self.item.name.clone(),
            other: self.name(key),
            differs,
        })
    }
}
