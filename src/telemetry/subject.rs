//! Rings that can be watched, by metrics and by the status page.

#[cfg(feature = "store")]
use std::sync::Arc;

use crate::ring::KeyMaterial;
use crate::ring::KeyRing;
#[cfg(feature = "store")]
use crate::source::FollowHandle;
#[cfg(feature = "store")]
use crate::source::follow::poller::Poller;

/// A ring that can be watched: a [`KeyRing`], or the [`FollowHandle`](crate::source::FollowHandle) of one,
/// which also reports the state of its store. Sealed.
pub trait Subject: sealed::Subject {}

mod sealed {
    use super::WatchedRing;
    use crate::ring::KeyMaterial;

    pub trait Subject {
        type Key: KeyMaterial;

        fn watched_ring(&self) -> WatchedRing<Self::Key>;
    }
}

/// A ring that is watched. Metrics and the status page each read of it what they show.
#[cfg_attr(
    not(feature = "full"),
    allow(
        dead_code,
        reason = "only metrics and the status page, each a feature of its own, read it"
    )
)]
pub struct WatchedRing<K: KeyMaterial> {
    pub(crate) ring: KeyRing<K>,
    /// The task that keeps the ring equal to its store, if the ring follows one. The caller owns the
    /// [`FollowHandle`](crate::source::FollowHandle): after it was stopped, this has the last state.
    #[cfg(feature = "store")]
    pub(crate) poller: Option<Arc<Poller<K>>>,
}

impl<K: KeyMaterial> Subject for KeyRing<K> {}

impl<K: KeyMaterial> sealed::Subject for KeyRing<K> {
    type Key = K;

    fn watched_ring(&self) -> WatchedRing<K> {
        WatchedRing {
            ring: self.clone(),
            #[cfg(feature = "store")]
            poller: None,
        }
    }
}

#[cfg(feature = "store")]
impl<K: KeyMaterial> Subject for FollowHandle<K> {}

#[cfg(feature = "store")]
impl<K: KeyMaterial> sealed::Subject for FollowHandle<K> {
    type Key = K;

    fn watched_ring(&self) -> WatchedRing<K> {
        WatchedRing { ring: self.ring().clone(), poller: Some(self.poller()) }
    }
}
