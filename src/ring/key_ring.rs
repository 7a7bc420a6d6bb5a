//! `KeyRing<K>`, a handle on the current generation of keys.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::clock::Clock;
use crate::evidence::window::UsageWindow;
use crate::kid::Kid;
use crate::lifecycle::Policy;
use crate::lifecycle::admission::Rules;
#[cfg(feature = "tracing")]
use crate::observer::Tracing;
use crate::observer::{Event, Observer, deliver};
use crate::ring::key::{Key, KeyMaterial};
use crate::ring::key_set::KeySet;
use crate::ring::report_due::ReportDue;
use crate::ring::status::KeyStatus;
use crate::ring::swap::Swap;

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
    pub(super) inner: Arc<Inner<K>>,
}

pub(super) struct Inner<K: KeyMaterial> {
    pub(super) set: Swap<KeySet<K>>,
    pub(super) name: String,
    pub(super) environment: Option<String>,
    pub(super) options: K::Options,
    pub(super) rules: Rules,
    /// Up to which age of what it holds it serves.
    pub(super) max_staleness: Option<Duration>,
    /// Whether a store says what it holds: then only a revocation is made here.
    pub(super) is_followed: AtomicBool,
    pub(super) usage_window: Mutex<UsageWindow>,
    /// What a follower reports at once.
    pub(super) report_due: ReportDue,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    /// The dangers of variables that were reported last.
    pub(super) warnings: Mutex<Vec<(String, &'static str)>>,
    /// Number of events on which an observer panicked.
    pub(super) observer_panics: AtomicU64,
    /// Numbers the keys whose kid may not be derived.
    pub(super) ordinal: AtomicUsize,
}

impl<K: KeyMaterial> KeyRing<K> {
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
    /// assert_eq!(key.state, KeyState::Live(Role::Primary));
    /// assert_eq!(key.usage.signed, 1);
    /// assert_eq!(key.verifies_until, None);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn keys(&self) -> Vec<KeyStatus> {
        self.load().statuses(self.inner.clock.now())
    }

    /// Returns how long a superseded key still verifies: the max lifetime, the rollout window, and the
    /// skew twice. See [`Policy::overlap`].
    ///
    /// ```
    /// use dualkey::{KeyRing, Secret};
    /// use dualkey::cookie::CookieKey;
    /// use std::time::Duration;
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// let ring = KeyRing::<CookieKey>::builder()
    ///     .primary(Secret::from(secret))
    ///     .max_lifetime(Duration::from_secs(3600))
    ///     .rollout_window(Duration::from_secs(600))
    ///     .skew(Duration::from_secs(60))
    ///     .build()?;
    /// assert_eq!(ring.overlap(), Duration::from_secs(4320));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn overlap(&self) -> Duration {
        self.load().policy().overlap()
    }

    /// Returns the [`Policy`] of this ring.
    #[must_use]
    pub fn policy(&self) -> Policy {
        *self.load().policy()
    }

    /// What its clock shows.
    pub(crate) fn now(&self) -> SystemTime {
        self.inner.clock.now()
    }

    pub(crate) fn emit(&self, event: Event<'_>) {
        self.inner.emit(event);
    }

    /// Number of events on which an observer panicked.
    pub(crate) fn observer_panics(&self) -> u64 {
        self.inner.observer_panics.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl<K: KeyMaterial> Inner<K> {
    pub(super) fn emit(&self, event: Event<'_>) {
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
    pub(super) fn hears_verifications(&self) -> bool {
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
