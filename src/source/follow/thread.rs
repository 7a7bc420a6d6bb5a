//! The thread that runs the turns.

use std::sync::Arc;

use super::builder::FollowBuilder;
use super::handle::FollowHandle;
use crate::ring::KeyMaterial;
use crate::source::error::StoreError;
use crate::source::store::Wake;

impl<K: KeyMaterial> FollowBuilder<K> {
    /// Loads the ring, and follows the store on a thread. A second one makes the calls to the
    /// store.
    ///
    /// A store whose client needs a runtime (Vault, AWS, PostgreSQL) is for
    /// [`spawn`](Self::spawn), with the feature `tokio`.
    ///
    /// # Errors
    /// If the first load fails: without it there is no ring, and the service should not
    /// start. Or if the system gives no thread.
    pub fn spawn_thread(self) -> Result<FollowHandle<K>, StoreError> {
        let poller = Arc::new(self.begin()?);
        let woken = Arc::clone(&poller.signal);
        let watch = poller.watch(Wake::new(move || woken.wake()));
        // What changed between the load and the watch.
        let first = poller.run_turn();
        let (driven, driving) = (poller.signal.drive(), Arc::clone(&poller));
        let run = move || {
            // Dropped last: whoever waits for the end waits for the end of the watch as well.
            let _driven = driven;
            let _watch = watch;
            driving.calls.runtime().enter(|| {
                let mut delay = first;
                while driving.signal.wait(delay) {
                    delay = driving.run_turn();
                }
            });
        };
        let thread = std::thread::Builder::new().name(format!("dualkey {}", poller.ring.name()));
        // Not joined: `Signal` says when it has ended, and a join has no limit.
        thread.spawn(run).map_err(|source| poller.calls.thread_error(source))?;
        Ok(FollowHandle { poller })
    }
}
