//! A store whose manifests are checked as they come in and as they go out.

use std::fmt;
use std::sync::Arc;

use crate::evidence::Report;
use crate::manifest::Manifest;
use crate::source::{KeyStore, StoreError, StoreFuture, Wake, Watch};

/// Decides whether a manifest may be the one of a store.
pub(super) trait ManifestCheck: Send + Sync {
    fn check(&self, manifest: &Manifest) -> Result<(), StoreError>;
}

/// A store that refuses each manifest that its check refuses, both one that it holds and one that is
/// to be stored. So no step is taken on it.
pub(super) struct CheckedStore<C> {
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) check: C,
}

impl<C: ManifestCheck + 'static> KeyStore for CheckedStore<C> {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(async {
            let manifest = self.store.load().await?;
            self.check.check(&manifest).map(|()| manifest)
        })
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.check.check(next)?;
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

impl<C> fmt::Debug for CheckedStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}
