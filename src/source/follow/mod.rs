//! A ring that follows its store while the service runs.
//!
//! It promises: a change in the store is swapped in whole, after it was checked and every new
//! key tested; whatever goes wrong, the last good ring serves, is told of and counted, and the
//! store is asked again; what was revoked stays so.
//!
//! A store that can tell says that it has changed; each is asked from time to time as well, at
//! moments that differ between instances; and [`Following::refresh`] asks at once. A store that
//! says so all the time is asked at most once in 100 milliseconds, and once after the last time.
//!
//! A follower ends only when it is stopped or dropped. Panics of the store and of observers are
//! caught and counted. Every call to the store is made on a worker thread and ends within the
//! [`Follow::timeout`], also one that never answers or blocks its thread; the next turn asks
//! again. It does not survive `panic = "abort"`, nor an observer or a clock that blocks for ever.

mod builder;
mod calls;
mod handle;
mod health;
mod pace;
mod report;
mod runtime;
mod signal;
mod turn;
mod wait;

#[cfg(feature = "tokio")]
mod task;
mod thread;

pub use builder::Follow;
pub use handle::Following;
pub use health::{FollowState, Health};
#[cfg(any(feature = "metrics", feature = "status"))]
pub(crate) use turn::Turner;
use wait::off_thread;

/// Twice the ten seconds after which a database client like that of `PostgresStore` gives up.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Below it a healthy store on a busy machine would fail; above it an emergency would wait too
/// long.
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(600));

impl<K: KeyMaterial> RingBuilder<K> {
    /// Makes a ring of what `store` holds, and has it follow the store. The ring needs its
    /// [`name`](Self::name) and its [`environment`](Self::environment): it refuses the manifest of
    /// another ring or environment, which a writer of the store may put into its place. It needs
    /// no keys: they come from the store, as does its policy.
    ///
    /// ```no_run
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// use dualkey::KeyRing;
    /// use dualkey::jwt::{Jwt, JwtKey};
    /// use dualkey::source::FileStore;
    /// use std::time::Duration;
    ///
    /// let builder = KeyRing::<JwtKey>::builder()
    ///     .name("JWT_SECRET")
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
    ///
    /// A builder without a name or an environment is refused when the follower starts, before the
    /// store is asked: [`Error::NoName`](crate::Error::NoName),
    /// [`Error::NoEnvironment`](crate::Error::NoEnvironment).
    pub fn follow(self, store: impl KeyStore) -> Follow<K> {
        Follow {
            builder: self,
            store: Arc::new(store),
            pace: Pace::default(),
            timeout: TIMEOUT,
            instance: None,
        }
    }
}

/// How a ring is to follow its store.
#[must_use = "nothing follows until it is spawned"]
pub struct Follow<K: KeyMaterial> {
    builder: RingBuilder<K>,
    store: Arc<dyn KeyStore>,
    pace: Pace,
    timeout: Duration,
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

    /// Sets the time within which the store must answer: 20 seconds unless set, between 10
    /// milliseconds and 10 minutes. The first load has it, the load of each turn, the reports
    /// of a turn together, and the last report.
    ///
    /// A call that is out of time counts as a failure, [`StoreError::TimedOut`], and its answer
    /// is dropped. A future is dropped too. A call that blocks its thread, as a file on a dead
    /// network mount does, keeps that thread until the system lets it go. While eight calls block
    /// so, the follower makes no further one, and asks again when one has returned.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time.clamp(TIMEOUTS.0, TIMEOUTS.1);
        self
    }

    /// The name of this instance, of the host or the pod: under it the ring's reports are kept
    /// beside the manifest, where the fleet's verdicts and promotions look. Without a name
    /// there are none.
    ///
    /// No two instances that run at one time may share a name. One that starts under the name
    /// of one that ran before goes on with what that saw.
    ///
    /// A name has 1 to 128 characters of `A-Z a-z 0-9 - _ . : / @ + =`. In another one, which a
    /// `HOSTNAME` may be, each other character becomes `-`, the rest is cut off, and a digest of
    /// the whole is appended: the service starts, and two such names stay two. Under an empty name
    /// no report is stored, and [`Health::report_error`] says why.
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(instance_name(name.into()));
        self
    }

    /// Loads the ring, and asks the store again only when [`Following::refresh`] is called: for
    /// who has a loop of his own, and for tests.
    ///
    /// # Errors
    /// If the first load fails.
    pub fn on_demand(self) -> Result<Following<K>, StoreError> {
        let turner = Arc::new(self.begin()?);
        turner.report_at_start();
        Ok(Following { turner })
    }
}

impl<K: KeyMaterial> fmt::Debug for Follow<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A ring that follows its store, until this is dropped; then the ring stays as it is.
///
/// To drop it, or to stop it, takes a bounded time, also while a call to the store hangs: a
/// drop waits for no store, and at most a second for other work of a turn.
#[must_use = "dropped, the ring follows no more"]
pub struct Following<K: KeyMaterial> {
    turner: Arc<Turner<K>>,
}

impl<K: KeyMaterial> Following<K> {
    /// The ring, to be handed to adapters: a clone follows as well.
    #[must_use]
    pub fn ring(&self) -> &KeyRing<K> {
        &self.turner.ring
    }

    /// Asks the store at once, on this thread, and says whether there was news. A report of
    /// this instance that is due is kept as well. In async code, take
    /// [`refresh_async`](Self::refresh_async), which blocks no thread of the runtime.
    ///
    /// It takes at most four times the [`timeout`](Follow::timeout): two for a turn that runs
    /// already, two for its own.
    ///
    /// # Errors
    /// What keeps the ring from it: the ring stays as it is.
    pub fn refresh(&self) -> Result<bool, StoreError> {
        self.turner.refresh()
    }

    /// The same, without blocking the thread: it runs on one of its own.
    ///
    /// # Errors
    /// As for [`refresh`](Self::refresh).
    pub async fn refresh_async(&self) -> Result<bool, StoreError> {
        let turner = Arc::clone(&self.turner);
        off_thread(move || turner.refresh()).await.unwrap_or_else(|error| self.no_thread(error))
    }

    /// Returns the task that keeps the ring equal to its store: this remains the one that stops it.
    #[allow(dead_code, reason = "only `telemetry`, a higher module, watches a task")]
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
    /// It takes at most the [`timeout`](Follow::timeout), for a turn that runs and the report
    /// together. Without an [`instance`](Follow::instance) it waits for no store.
    ///
    /// # Errors
    /// If the report cannot be stored. The follower has ended all the same.
    pub fn stop(self) -> Result<(), StoreError> {
        self.turner.stop()
    }

    /// The same, without blocking the thread.
    ///
    /// # Errors
    /// As for [`stop`](Self::stop).
    pub async fn stop_async(self) -> Result<(), StoreError> {
        let turner = Arc::clone(&self.turner);
        off_thread(move || turner.stop()).await.unwrap_or_else(|error| self.no_thread(error))
    }

    fn no_thread<T>(&self, error: io::Error) -> Result<T, StoreError> {
        Err(self.turner.calls.no_thread(error))
    }
}

impl<K: KeyMaterial> Drop for Following<K> {
    fn drop(&mut self) {
        self.turner.close();
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
