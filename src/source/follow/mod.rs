//! A ring that follows its store while the service runs.
//!
//! It promises: a change in the store is swapped in whole, after it was checked and every new
//! key tested; whatever goes wrong, the last good ring serves, is told of and counted, and the
//! store is asked again; what was revoked stays so.
//!
//! A store that can tell says that it has changed; each is asked from time to time as well, at
//! moments that differ between instances; and [`Following::refresh`] asks at once.

mod pace;
mod turn;

#[cfg(feature = "tokio")]
mod task;
mod thread;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::error::StoreError;
use super::store::KeyStore;
use crate::fingerprint::Fingerprint;
use crate::key::KeyMaterial;
use crate::ring::{KeyRing, RingBuilder};

use pace::Pace;
pub(crate) use turn::Turner;

impl<K: KeyMaterial> RingBuilder<K> {
    /// Makes a ring of what `store` holds, and has it follow the store. The ring needs its
    /// [`environment`](Self::environment), and no keys: they come from the store, as does its
    /// policy.
    ///
    /// ```no_run
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// use dualkey::KeyRing;
    /// use dualkey::jwt::{Jwt, JwtKey};
    /// use dualkey::source::FileStore;
    /// use std::time::Duration;
    ///
    /// let builder = KeyRing::<JwtKey>::builder()
    ///     .environment("production")
    ///     .max_staleness(Duration::from_secs(15 * 60));
    /// let following = builder
    ///     .follow(FileStore::new("/run/secrets/jwt.json"))
    ///     .instance(std::env::var("HOSTNAME")?)
    ///     .spawn_thread()?; // or `.spawn().await?` with the feature `tokio`
    /// let jwt = Jwt::new(following.ring().clone());
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(self, store: impl KeyStore) -> Follow<K> {
        Follow { builder: self, store: Arc::new(store), pace: Pace::default(), instance: None }
    }
}

/// How a ring is to follow its store.
#[must_use = "nothing follows until it is spawned"]
pub struct Follow<K: KeyMaterial> {
    builder: RingBuilder<K>,
    store: Arc<dyn KeyStore>,
    pace: Pace,
    instance: Option<String>,
}

impl<K: KeyMaterial> Follow<K> {
    /// How often the store is asked, whether or not it said anything: every 30 seconds unless
    /// set, between a second and two minutes; each time a quarter more or less, so that a
    /// fleet does not ask as one.
    ///
    /// A failure is followed by a second's pause, which doubles with each further one up to
    /// this interval.
    pub fn poll(mut self, interval: Duration) -> Self {
        self.pace = Pace::new(interval);
        self
    }

    /// The name of this instance, of the host or the pod: under it the ring's reports are kept
    /// beside the manifest, where the fleet's verdicts and promotions look. Without a name
    /// there are none.
    ///
    /// No two instances that run at one time may share a name. One that starts under the name
    /// of one that ran before goes on with what that saw.
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// Loads the ring, and asks the store again only when [`Following::refresh`] is called: for
    /// who has a loop of his own, and for tests.
    ///
    /// # Errors
    /// If the first load fails.
    pub fn on_demand(self) -> Result<Following<K>, StoreError> {
        let turner = Arc::new(pollster::block_on(self.begin())?);
        pollster::block_on(turner.report(true));
        Ok(Following { turner, driver: Box::new(Nobody) })
    }
}

impl<K: KeyMaterial> fmt::Debug for Follow<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A ring that follows its store, until this is dropped; then the ring stays as it is.
#[must_use = "dropped, the ring follows no more"]
pub struct Following<K: KeyMaterial> {
    turner: Arc<Turner<K>>,
    driver: Box<dyn Driver>,
}

/// What runs the turns: a thread or a task.
trait Driver: Send + Sync {
    /// Ends it, and waits for it where that does not block a runtime.
    fn stop(&mut self);
}

/// Its user does.
struct Nobody;

impl Driver for Nobody {
    fn stop(&mut self) {}
}

impl<K: KeyMaterial> Following<K> {
    /// The ring, to be handed to adapters: a clone follows as well.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<K> {
        &self.turner.ring
    }

    /// Asks the store at once, on this thread, and says whether there was news. A report of
    /// this instance that is due is kept as well. In async code, take
    /// [`refresh_async`](Self::refresh_async): a store whose client needs the runtime would
    /// wait for a thread that waits for it.
    ///
    /// # Errors
    /// What keeps the ring from it: the ring stays as it is.
    pub fn refresh(&self) -> Result<bool, StoreError> {
        pollster::block_on(self.turner.refresh_and_report())
    }

    /// The same, without blocking the thread.
    ///
    /// # Errors
    /// As for [`refresh`](Self::refresh).
    pub async fn refresh_async(&self) -> Result<bool, StoreError> {
        self.turner.refresh_and_report().await
    }

    /// What others may look at, while this one stays who stops it.
    #[cfg(any(feature = "metrics", feature = "status"))]
    pub(crate) fn turner(&self) -> Arc<Turner<K>> {
        Arc::clone(&self.turner)
    }

    /// How it goes.
    #[must_use]
    pub fn health(&self) -> Health {
        self.turner.health()
    }

    /// Ends it, and says good-bye: the last report of this instance says that it holds nothing
    /// any more, so that no verdict waits for it. To be called when the service has stopped
    /// serving; in async code, as [`stop_async`](Self::stop_async).
    ///
    /// # Errors
    /// If the report cannot be stored.
    pub fn stop(mut self) -> Result<(), StoreError> {
        self.driver.stop();
        pollster::block_on(self.turner.farewell())
    }

    /// The same, without blocking the thread.
    ///
    /// # Errors
    /// As for [`stop`](Self::stop).
    pub async fn stop_async(mut self) -> Result<(), StoreError> {
        self.driver.stop();
        self.turner.farewell().await
    }
}

impl<K: KeyMaterial> Drop for Following<K> {
    fn drop(&mut self) {
        self.driver.stop();
    }
}

impl<K: KeyMaterial> fmt::Debug for Following<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Following")
            .field("ring", self.ring())
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

/// How a ring fares that follows a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// How many changes the ring has seen in this process, plus one.
    pub generation: u64,
    /// The revision of the manifest that it holds.
    pub revision: u64,
    /// What tells its state apart from others.
    pub fingerprint: Fingerprint,
    /// When the store was last read and agreed with.
    pub last_success: SystemTime,
    /// How long ago that is.
    pub age: Duration,
    /// Whether the ring serves nothing, because that is too long ago.
    pub is_stale: bool,
    /// How often it was changed by what the store held.
    pub reloads: u64,
    /// How often the store could not be read, or held what cannot be used.
    pub failures: u64,
    /// How often in a row, up to now.
    pub failures_in_a_row: u64,
    /// What went wrong last; none, if nothing has since the last success.
    pub last_error: Option<String>,
    /// What keeps the store from saying itself that it has changed; none, if it does or if it
    /// never can. It is asked from time to time all the same.
    pub watch_error: Option<String>,
    /// What went wrong with the last report of this instance; none, if it is stored or none
    /// is kept.
    pub report_error: Option<String>,
}
