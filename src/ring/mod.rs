//! `KeyRing<K>`, the one thing that changes: a handle on the current generation.
//!
//! It promises: a reader sees one whole generation and never waits; two changes at
//! once are both there; a change that would leave a moment without a primary is
//! refused; a revoked key verifies nothing from the next load on.
//!
//! It does not promise to remember: a ring in memory forgets its changes, its
//! revocations too, when the process ends.

pub(crate) mod admit;
#[cfg(feature = "store")]
mod adopt;
mod builder;
#[cfg(feature = "store")]
mod effect;
mod evidence;
#[cfg(all(test, feature = "store"))]
mod exhaustive;
pub(crate) mod fingerprint;
mod history;
mod key_set;
#[cfg(feature = "store")]
mod news;
#[cfg(any(feature = "status", feature = "ops"))]
pub(crate) mod old_key;
pub(crate) mod policy;
pub(crate) mod report;
pub(crate) mod retirement;
mod rotate;
pub(crate) mod silence;
pub(crate) mod steps;
mod swap;
pub(crate) mod timeline;
pub(crate) mod usage;
mod view;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::clock::Clock;
use crate::error::{Reason, VerifyError};
use crate::key::{Key, KeyMaterial, Revocation, Signs};
use crate::kid::Kid;
#[cfg(feature = "tracing")]
use crate::observer::Tracing;
use crate::observer::{Event, Observer, deliver};

pub use builder::{Dangerous, RingBuilder};
#[cfg(feature = "store")]
pub use effect::RolloutEffect;
pub use history::{Bucket, Uses};
pub use key_set::{KeySet, KeyState};
pub use policy::{Policy, Schedule};
pub use report::Report;
pub use retirement::Sweep;
pub use rotate::Promotion;
pub(crate) use timeline::Life;
#[cfg(feature = "store")]
pub(crate) use timeline::{EarlierEnd, EarlierWindow, Terms, Timeline};
pub(crate) use view::{Matched, Tried, Unit, View};

/// The keys of one purpose: one primary that signs, fallbacks that still verify.
///
/// A ring is a handle: clones are the same ring, and a clone is cheap. It is
/// swapped lock-free while the service runs.
///
/// ```
/// use dualkey::{KeyRing, Secret};
/// use dualkey::jwt::{Jwt, JwtKey};
///
/// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki",
/// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU");
/// let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(old)).build()?;
/// let before = ring.primary();
///
/// let kid = ring.stage(Secret::from(new))?; // verifies everywhere ...
/// ring.promote(&kid)?;                      // ... before it signs anywhere
/// assert_eq!(ring.primary(), Some(kid));
/// assert_ne!(before, Some(kid));
/// # Ok::<(), dualkey::Error>(())
/// ```
pub struct KeyRing<K: KeyMaterial> {
    inner: Arc<Inner<K>>,
}

struct Inner<K: KeyMaterial> {
    set: swap::Swap<KeySet<K>>,
    name: String,
    #[cfg(feature = "store")]
    environment: Option<String>,
    options: K::Options,
    rules: admit::Rules,
    /// Up to which age of what it holds it serves.
    #[cfg(feature = "store")]
    max_staleness: Option<Duration>,
    /// Whether a store says what it holds: then only a revocation is made here.
    is_followed: AtomicBool,
    history: Mutex<history::History>,
    /// What a follower reports at once.
    #[cfg(feature = "store")]
    news: news::News,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    /// The dangers of variables that were reported last.
    #[cfg(feature = "store")]
    warnings: Mutex<Vec<(String, &'static str)>>,
    /// Number of events on which an observer panicked.
    observer_panics: AtomicU64,
    /// Numbers the keys whose kid may not be derived.
    ordinal: AtomicUsize,
}

/// What a key of a ring is right now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyStatus {
    /// Its public name.
    pub kid: Kid,
    /// The environment variable that it was read from, if it was.
    pub variable: Option<String>,
    /// What it is.
    pub state: KeyState,
    /// When it signs.
    pub signs: Signs,
    /// When it came into the ring, or into the manifest that the ring is made of.
    pub added_at: SystemTime,
    /// When it stops verifying, if that is known.
    pub ends_at: Option<SystemTime>,
    /// Whether its end was set by a retirement, and does not only follow from its overlap.
    pub is_retired: bool,
    /// That it is compromised, since when, and why.
    pub revoked: Option<Revocation>,
    /// How often this process used it.
    pub usage: usage::Usage,
}

impl<K: KeyMaterial> KeyRing<K> {
    /// Starts a new ring.
    pub fn builder() -> RingBuilder<K> {
        RingBuilder::new()
    }

    /// What events and errors call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The current generation, to look at as a whole.
    #[must_use]
    pub fn load(&self) -> Arc<KeySet<K>> {
        self.inner.set.load()
    }

    /// Returns the kid of the key that signs now; `None` if no key can, so that the ring serves
    /// nothing.
    #[must_use]
    pub fn primary(&self) -> Option<Kid> {
        self.inner.set.read(|set| {
            // Where no transition lies ahead, every hour is the same.
            let timed = set.timeline().is_timed();
            let now = if timed { self.inner.clock.now() } else { set.timeline().as_of() };
            set.primary(now).map(Key::kid)
        })
    }

    /// All keys with what they are now, in the order in which they came.
    ///
    /// ```
    /// use dualkey::{KeyRing, KeyState, Role, Secret};
    /// use dualkey::cookie::{CookieKey, CookieSigner};
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// let ring = KeyRing::<CookieKey>::builder().primary(Secret::from(secret)).build()?;
    /// CookieSigner::new(ring.clone()).sign("session", "user-42")?;
    ///
    /// let key = &ring.keys()[0];
    /// assert_eq!(key.state, KeyState::Active(Role::Primary));
    /// assert_eq!(key.usage.signed, 1);
    /// assert_eq!(key.ends_at, None);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn keys(&self) -> Vec<KeyStatus> {
        self.load().statuses(self.inner.clock.now())
    }

    /// How long a superseded key still verifies: longest life, rollout window and
    /// skew together.
    ///
    /// ```
    /// use dualkey::{KeyRing, Secret};
    /// use dualkey::cookie::CookieKey;
    /// use std::time::Duration;
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// let ring = KeyRing::<CookieKey>::builder()
    ///     .primary(Secret::from(secret))
    ///     .longest_life(Duration::from_secs(3600))
    ///     .rollout_window(Duration::from_secs(600))
    ///     .skew(Duration::from_secs(60))
    ///     .build()?;
    /// assert_eq!(ring.overlap(), Duration::from_secs(4260));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn overlap(&self) -> Duration {
        self.load().policy().overlap()
    }

    /// What its keys live by.
    #[must_use]
    pub fn policy(&self) -> Policy {
        *self.load().policy()
    }

    /// What its clock shows.
    #[cfg(any(feature = "store", feature = "metrics"))]
    pub(crate) fn now(&self) -> SystemTime {
        self.inner.clock.now()
    }

    #[cfg(feature = "store")]
    pub(crate) fn tell(&self, event: Event<'_>) {
        self.inner.tell(event);
    }

    /// Number of events on which an observer panicked.
    #[cfg(feature = "store")]
    pub(crate) fn observer_panics(&self) -> u64 {
        self.inner.observer_panics.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Tells the operator that a value was refused before its signature was looked at.
    pub(crate) fn reject(&self, reason: Reason) -> VerifyError {
        self.read(|view| view.reject(reason))
    }

    /// One unit of work on one generation.
    pub(crate) fn read<R>(&self, work: impl FnOnce(&View<'_, K>) -> R) -> R {
        self.inner.set.read(|set| work(&View::new(&self.inner, set)))
    }
}

impl<K: KeyMaterial> Inner<K> {
    fn tell(&self, event: Event<'_>) {
        if let Some(observer) = &self.observer {
            self.deliver(&**observer, &event);
            return;
        }
        #[cfg(feature = "tracing")]
        if Tracing::is_heard(&event) {
            self.deliver(&Tracing, &event);
        }
    }

    fn deliver(&self, observer: &dyn Observer, event: &Event<'_>) {
        let set = event.kid().map(|kid| (self.set.load(), kid));
        let variable = set.as_ref().and_then(|(set, kid)| set.key(kid)?.variable());
        deliver(observer, event, variable, &self.observer_panics);
    }

    /// Returns whether each verification is reported: to an observer, or to a subscriber of `tracing`.
    #[inline]
    fn hears_verifications(&self) -> bool {
        #[cfg(feature = "tracing")]
        return self.observer.is_some() || Tracing::hears_verifications();
        #[cfg(not(feature = "tracing"))]
        self.observer.is_some()
    }
}

impl<K: KeyMaterial> Clone for KeyRing<K> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K: KeyMaterial> fmt::Debug for KeyRing<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("name", &self.inner.name)
            .field("set", &self.load())
            .finish_non_exhaustive()
    }
}
