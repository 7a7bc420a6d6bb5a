//! The handle on a ring that follows its store.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::builder::FollowBuilder;
use super::health::Health;
use super::poller::Poller;
use super::wait::run_on_thread;
use crate::ring::{KeyMaterial, KeyRing};
use crate::source::error::StoreError;

impl<K: KeyMaterial> FollowBuilder<K> {
    /// Loads the ring, and asks the store again only when [`FollowHandle::refresh`] is called: for
    /// a caller that has its own loop, and for tests.
    ///
    /// # Errors
    /// If the first load fails.
    pub fn on_demand(self) -> Result<FollowHandle<K>, StoreError> {
        let poller = Arc::new(self.begin()?);
        poller.report_at_start();
        Ok(FollowHandle { poller })
    }
}

/// A ring that follows its store, until this is dropped; then the ring stays as it is.
///
/// To drop it, or to stop it, takes a bounded time, also while a call to the store hangs: a
/// drop waits for no store, and at most a second for other work of a turn.
#[must_use = "dropped, the ring follows no more"]
pub struct FollowHandle<K: KeyMaterial> {
    pub(super) poller: Arc<Poller<K>>,
}

impl<K: KeyMaterial> FollowHandle<K> {
    /// The ring, to be handed to adapters: a clone follows as well.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<K> {
        &self.poller.ring
    }

    /// Asks the store at once, on this thread, and says whether there was news. A report of
    /// this instance that is due is kept as well. In async code, take
    /// [`refresh_async`](Self::refresh_async), which blocks no thread of the runtime.
    ///
    /// It takes at most four times the [`timeout`](FollowBuilder::timeout): two for a turn that runs
    /// already, two for its own.
    ///
    /// # Errors
    /// What keeps the ring from it: the ring stays as it is.
    pub fn refresh(&self) -> Result<bool, StoreError> {
        self.poller.refresh()
    }

    /// The same, without blocking the thread: it runs on one of its own.
    ///
    /// # Errors
    /// As for [`refresh`](Self::refresh).
    pub async fn refresh_async(&self) -> Result<bool, StoreError> {
        let poller = Arc::clone(&self.poller);
        run_on_thread(move || poller.refresh())
            .await
            .unwrap_or_else(|error| self.thread_error(error))
    }

    /// Returns the task that keeps the ring equal to its store: this remains the one that stops it.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "only `telemetry`, a higher module, watches a task")
    )]
    pub(crate) fn poller(&self) -> Arc<Poller<K>> {
        Arc::clone(&self.poller)
    }

    /// Returns the health of the follower.
    #[must_use]
    pub fn health(&self) -> Health {
        self.poller.health()
    }

    /// Ends it, and saves a last report: the last report of this instance says that it holds nothing
    /// any more, so that no verdict waits for it. To be called when the service has stopped
    /// serving; in async code, as [`stop_async`](Self::stop_async).
    ///
    /// It takes at most the [`timeout`](FollowBuilder::timeout), for a turn that runs and the report
    /// together. Without an [`instance`](FollowBuilder::instance) it waits for no store.
    ///
    /// # Errors
    /// If the report cannot be stored. The follower has ended all the same.
    pub fn stop(self) -> Result<(), StoreError> {
        self.poller.stop()
    }

    /// The same, without blocking the thread.
    ///
    /// # Errors
    /// As for [`stop`](Self::stop).
    pub async fn stop_async(self) -> Result<(), StoreError> {
        let poller = Arc::clone(&self.poller);
        run_on_thread(move || poller.stop()).await.unwrap_or_else(|error| self.thread_error(error))
    }

    fn thread_error<T>(&self, error: io::Error) -> Result<T, StoreError> {
        Err(self.poller.calls.thread_error(error))
    }
}

impl<K: KeyMaterial> Drop for FollowHandle<K> {
    fn drop(&mut self) {
        self.poller.close();
    }
}

impl<K: KeyMaterial> fmt::Debug for FollowHandle<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowHandle")
            .field("ring", self.ring())
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}
