//! A store that holds the keys of one secret in one environment.

use std::sync::Arc;

use crate::evidence::Report;
use crate::manifest::Manifest;
use crate::purpose::Purpose;
use crate::source::{KeyStore, StoreError, StoreFuture, Wake, Watch};

/// A store that refuses the manifest of another secret, environment or purpose: a file may have been
/// copied or moved into its place, and no step is taken on its keys.
#[derive(Debug)]
pub(super) struct IdentityCheck {
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) name: String,
    pub(super) environment: String,
    pub(super) purpose: Purpose,
}

impl IdentityCheck {
    fn check(&self, found: &Manifest) -> Result<(), StoreError> {
        Ok(found.check_is(&self.name, &self.environment, self.purpose)?)
    }
}

impl KeyStore for IdentityCheck {
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
