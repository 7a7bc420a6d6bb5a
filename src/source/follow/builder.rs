//! The settings with which a ring follows its store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::poll_delay::PollDelay;
use crate::evidence::report::to_instance_name;
use crate::ring::{KeyMaterial, RingBuilder};
use crate::source::store::KeyStore;

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
    pub fn follow(self, store: impl KeyStore) -> FollowBuilder<K> {
        FollowBuilder {
            builder: self,
            store: Arc::new(store),
            poll_delay: PollDelay::default(),
            timeout: TIMEOUT,
            instance: None,
        }
    }
}

/// How a ring is to follow its store.
#[must_use = "nothing follows until it is spawned"]
pub struct FollowBuilder<K: KeyMaterial> {
    pub(super) builder: RingBuilder<K>,
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) poll_delay: PollDelay,
    pub(super) timeout: Duration,
    pub(super) instance: Option<String>,
}

impl<K: KeyMaterial> FollowBuilder<K> {
    /// How often the store is asked, whether or not it said anything: every 30 seconds unless
    /// set, between a second and two minutes; each time a quarter more or less, so that a
    /// fleet does not ask as one.
    ///
    /// A failure is followed by a second's pause, which doubles with each further one up to
    /// this interval.
    pub fn poll(mut self, interval: Duration) -> Self {
        self.poll_delay = PollDelay::new(interval);
        self
    }

    /// Sets the time within which the store must answer: 20 seconds unless set, between 10
    /// milliseconds and 10 minutes. The first load has it, the load of each turn, the reports
    /// of a turn together, and the last report.
    ///
    /// A call that is out of time counts as a failure, [`StoreError::TimedOut`](crate::source::StoreError::TimedOut), and its answer
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
    /// of one that ran before continues with the observations of that one.
    ///
    /// A name has 1 to 128 characters of `A-Z a-z 0-9 - _ . : / @ + =`. In another one, which a
    /// `HOSTNAME` may be, each other character becomes `-`, the rest is cut off, and a digest of
    /// the whole is appended: the service starts, and two such names stay two. Under an empty name
    /// no report is stored, and [`Health::report_error`](crate::source::Health::report_error) says why.
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(to_instance_name(name.into()));
        self
    }
}

impl<K: KeyMaterial> fmt::Debug for FollowBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowBuilder").field("store", &self.store).finish_non_exhaustive()
    }
}
