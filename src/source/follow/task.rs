//! A task on the tokio runtime that it is spawned from.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::{Driver, Follow, Following};
use crate::key::KeyMaterial;
use crate::source::error::StoreError;
use crate::source::store::Wake;

impl<K: KeyMaterial> Follow<K> {
    /// Loads the ring, and follows the store on a task of the current tokio runtime, of which
    /// the timers must be on.
    ///
    /// # Errors
    /// If the first load fails: without it there is no ring, and the service should not
    /// start.
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
    pub async fn spawn(self) -> Result<Following<K>, StoreError> {
        let turner = Arc::new(self.begin().await?);
        let notify = Arc::new(Notify::new());
        let woken = Arc::clone(&notify);
        let watch = turner.watch(Wake::new(move || woken.notify_one())).await;
        // What changed between the load and the watch.
        let mut delay = turner.turn().await;
        let own = Arc::clone(&turner);
        let task = tokio::spawn(async move {
            let _watch = watch;
            loop {
                // Which of the two it was does not matter.
                let _ = tokio::time::timeout(delay, notify.notified()).await;
                delay = own.turn().await;
            }
        });
        Ok(Following { turner, driver: Box::new(Task(task.abort_handle())) })
    }
}

/// It only waits and swaps: to end it anywhere between leaves nothing half done.
struct Task(AbortHandle);

impl Driver for Task {
    fn stop(&mut self) {
        self.0.abort();
    }
}
