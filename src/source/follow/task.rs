//! A follower whose store needs a tokio runtime.

use super::builder::FollowBuilder;
use super::handle::FollowHandle;
use super::wait::run_on_thread;
use crate::ring::KeyMaterial;
use crate::source::error::StoreError;

impl<K: KeyMaterial> FollowBuilder<K> {
    /// Loads the ring, and follows the store on a thread that is in the current tokio runtime:
    /// the store's client and the observers use its timers and sockets, and may spawn tasks.
    ///
    /// Deliberately not on a task: a call that blocks would keep a thread of the runtime, and a
    /// busy runtime would delay a revocation. When the runtime is shut down, a store that needs
    /// it fails, which is counted; one that does not is followed further.
    ///
    /// # Errors
    /// If the first load fails: without it there is no ring, and the service should not
    /// start. Or if the system gives no thread.
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    pub async fn spawn(self) -> Result<FollowHandle<K>, StoreError> {
        let store = std::sync::Arc::clone(&self.store);
        run_on_thread(move || self.spawn_thread())
            .await
            .unwrap_or_else(|source| Err(StoreError::Io { store: format!("{store:?}"), source }))
    }
}
