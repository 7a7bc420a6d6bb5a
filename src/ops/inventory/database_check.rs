//! A store whose values must all name the same database.

use std::fmt;
use std::sync::Arc;

use crate::clock::Clock;
use crate::evidence::Report;
use crate::manifest::{Entry, Manifest};
use crate::secret::Secret;
use crate::source::{DotenvStore, KeyStore, StoreError, StoreFuture, Wake, Watch};

use super::other_databases::keys_apart;
use super::secret::SecretSpec;

/// The store of a credential: `DATABASE_URL_BACKUP` that names another database is no other value
/// of `DATABASE_URL`, and no step is taken on both.
pub(super) struct DatabaseCheck {
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) item: SecretSpec,
    pub(super) clock: Arc<dyn Clock>,
    /// Says in which variable a value stands.
    pub(super) variables: Option<DotenvStore>,
}

impl DatabaseCheck {
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

    /// The variable of a key, or its kid.
    fn name(&self, key: &Entry) -> String {
        let secret = key.secret().map(Secret::expose).unwrap_or_default();
        let variable = self.variables.as_ref().and_then(|file| file.variable_of(secret));
        variable.map_or_else(|| format!("the key `{}`", key.kid()), |name| format!("`{name}`"))
    }
}

impl KeyStore for DatabaseCheck {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(async {
            let manifest = self.store.load().await?;
            self.check(&manifest).map(|()| manifest)
        })
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.check(next)?;
            self.store.compare_and_swap(expected, next).await
        })
    }

    fn watch(&self, wake: Wake) -> StoreFuture<'_, Option<Watch>> {
        self.store.watch(wake)
    }

    fn reports(&self) -> StoreFuture<'_, Vec<Report>> {
        self.store.reports()
    }

    fn save_report<'a>(&'a self, report: &'a Report) -> StoreFuture<'a, ()> {
        self.store.save_report(report)
    }

    fn forget_report<'a>(&'a self, instance: &'a str) -> StoreFuture<'a, ()> {
        self.store.forget_report(instance)
    }

    fn has_steps(&self, manifest: &Manifest) -> bool {
        self.store.has_steps(manifest)
    }
}

impl fmt::Debug for DatabaseCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}
