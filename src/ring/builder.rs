//! The builder of a ring, and every check before the first key signs.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::key_set::KeySet;
use super::swap::Swap;
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::evidence::window::UsageWindow;
use crate::lifecycle::admission::{Rules, number_of, numbered_kid};
use crate::lifecycle::life::FROM_BEGINNING;
use crate::lifecycle::{Policy, Role, SigningStart};
use crate::observer::{Both, Event, Observer};
use crate::ring::key_ring::{Inner, KeyRing};
use crate::ring::prepare::{check_no_end, prepare};
use crate::ring::{Key, KeyMaterial, NewKey};

/// Builds a [`KeyRing`], and checks each key alone and all of them together.
///
/// ```
/// use dualkey::{KeyRing, Secret};
/// use dualkey::jwt::JwtKey;
/// use std::time::Duration;
///
/// # let (new, old) = ("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU",
/// #     "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki");
/// let ring = KeyRing::<JwtKey>::builder()
///     .primary(Secret::from(new))
///     .fallback(Secret::from(old))
///     .max_lifetime(Duration::from_secs(12 * 60 * 60))
///     .rollout_window(Duration::from_secs(15 * 60))
///     .build()?;
/// assert_eq!(ring.keys().len(), 2);
/// # Ok::<(), dualkey::Error>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct RingBuilder<K: KeyMaterial> {
    pub(crate) name: Option<String>,
    pub(crate) environment: Option<String>,
    pub(super) keys: Vec<(Role, NewKey<K>)>,
    pub(crate) policy: Policy,
    pub(crate) max_staleness: Option<Duration>,
    pub(crate) options: K::Options,
    pub(crate) rules: Rules,
    pub(crate) clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    pub(crate) warnings: Vec<(String, &'static str)>,
    /// The first error of a source of keys; building reports it.
    pub(crate) failed: Option<Error>,
}

impl<K: KeyMaterial> KeyRing<K> {
    /// Starts a new ring.
    pub fn builder() -> RingBuilder<K> {
        RingBuilder::new()
    }
}

impl<K: KeyMaterial> RingBuilder<K> {
    pub(super) fn new() -> Self {
        Self {
            name: None,
            environment: None,
            keys: Vec::new(),
            policy: Policy::default(),
            max_staleness: None,
            options: K::Options::default(),
            rules: Rules::default(),
            clock: Arc::new(SystemClock),
            observer: None,
            warnings: Vec::new(),
            failed: None,
        }
    }

    /// Sets the name of the ring in events and errors. Without it, the purpose of its keys. It
    /// refuses the manifest of another ring, so a ring that follows a store needs it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The environment that the ring is of, `production` or `staging`: it refuses the
    /// manifest of another, so that no environment ever takes the secrets of another.
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// The key that signs, from the beginning of time.
    pub fn primary(self, key: impl Into<NewKey<K>>) -> Self {
        self.add(Role::Primary, key.into())
    }

    /// A key that verifies what it signed in the past.
    ///
    /// When it was superseded is not known, so it verifies until it is retired,
    /// or until its [`retire_at`](NewKey::retire_at).
    pub fn fallback(self, key: impl Into<NewKey<K>>) -> Self {
        self.add(Role::Fallback, key.into())
    }

    /// A key that verifies, and signs once it is promoted: by a step, or
    /// at its [`signs_from`](NewKey::signs_from).
    pub fn staged(self, key: impl Into<NewKey<K>>) -> Self {
        self.add(Role::Staged, key.into())
    }

    /// The max lifetime of what the keys sign. Seven days unless set.
    ///
    /// A superseded key verifies for this time, the
    /// [rollout window](Self::rollout_window) and the [skew](Self::skew): together
    /// the *overlap*. Too short, and valid tokens are refused.
    pub fn max_lifetime(mut self, life: Duration) -> Self {
        self.policy.max_lifetime = life;
        self
    }

    /// The longest time between the first instance's promotion and the last's.
    /// One hour unless set.
    pub fn rollout_window(mut self, window: Duration) -> Self {
        self.policy.rollout_window = window;
        self
    }

    /// The largest difference between the clocks of two instances. Five minutes
    /// unless set.
    pub fn skew(mut self, skew: Duration) -> Self {
        self.policy.skew = skew;
        self
    }

    /// Sets the whole policy at once. A manifest brings its own.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How old what the ring holds may be, where it follows a store: when the store could
    /// not be read for this long, the ring signs and verifies nothing
    /// ([`Reason::Stale`](crate::Reason::Stale)), until it can. Unless set, the last good
    /// ring serves for as long as it takes.
    ///
    /// It bounds for how long an instance that is cut off takes what a revoked key signs. It
    /// should be several times the interval at which the store is asked, and no more than
    /// the [rollout window](Self::rollout_window). A clock that jumps ahead by more has the
    /// ring serve nothing until the store is asked next.
    pub fn max_staleness(mut self, age: Duration) -> Self {
        self.max_staleness = Some(age);
        self
    }

    /// Where the time comes from. The system's clock unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Reports to `observer` what happens. Called again, it adds one more: each receives every event,
    /// in this order. Without one, the feature `tracing` writes the events to `tracing`; with one, add
    /// `telemetry::Tracing` for both.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        let new: Arc<dyn Observer> = Arc::new(observer);
        self.observer = Some(match self.observer {
            Some(before) => Arc::new(Both(before, new)),
            None => new,
        });
        self
    }

    /// Admits secrets of at least `bytes`, where less than the default of the
    /// purpose (64 for tokens and cookies, 32 for webhooks) must do.
    ///
    /// It is never less than what the standards ask for, the output of the hash
    /// (RFC 7518 §3.2: 32 bytes for HS256, 48 for HS384, 64 for HS512). An AES key has its
    /// 32 bytes whatever is set.
    pub fn min_secret_bytes(mut self, bytes: usize) -> Self {
        self.rules.min_secret_bytes = Some(bytes);
        self.rules.unlocked = false;
        self
    }

    /// Admits fallbacks of any length: a weak old secret needs a rotation most.
    /// They never sign, and new keys still have to be long enough.
    ///
    /// # Security
    /// An attacker who holds one token can search for a short secret. Until
    /// the fallback is gone, its tokens can be forged. Nothing that the ring shows allows a guess:
    /// the kid of such a key is a [number](NewKey::kid), and no fingerprint depends on its secret.
    pub fn allow_short_fallbacks(mut self) -> Self {
        self.rules.allow_short_fallbacks = true;
        self
    }

    /// Sets what keys are made with that have no options of their own.
    pub(crate) fn options(mut self, options: K::Options) -> Self {
        self.options = options;
        self
    }

    /// The settings that make a ring weaker than the standards allow.
    pub fn dangerous(self) -> Dangerous<K> {
        Dangerous(self)
    }

    /// Checks everything, and makes the ring.
    ///
    /// # Errors
    /// An [`Error`] that names the variable, the kid or the place of the key: a
    /// secret that is empty, too short, a placeholder, a public key, or there
    /// twice; a kid or alias that is there twice; more keys than are ever tried;
    /// no primary, or two; [`Error::PolicyBounds`] for a policy beyond its bounds.
    pub fn build(mut self) -> Result<KeyRing<K>, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.policy.check()?;
        let name = self.name.take().unwrap_or_else(|| K::PURPOSE.to_string());
        let mut primaries = self.keys.iter().filter(|(role, _)| *role == Role::Primary);
        let primary_unclear = |problem| primary_unclear(&name, problem);
        if primaries.next().is_none() {
            let remedy = "give it one with `primary`".to_owned();
            return Err(Error::NoPrimary { ring: name, remedy });
        }
        if primaries.next().is_some() {
            return Err(primary_unclear("two keys were given as it: all but one are fallbacks"));
        }

        let now = self.clock.now();
        let mut keys: Vec<Key<K>> = Vec::with_capacity(self.keys.len());
        for (index, (role, new)) in self.keys.iter().enumerate() {
            let label = new.label(|| format!("{} {}", key_words(*role), index + 1));
            let is_fallback = *role == Role::Fallback;
            let number = || {
                let first = number_of(new.label.as_deref(), K::PURPOSE).unwrap_or(index + 1);
                let is_free = |number: &usize| {
                    let name = numbered_kid(K::PURPOSE, *number);
                    let is_set = self.keys.iter().any(|(_, new)| new.is_named(&name));
                    !is_set && keys.iter().all(|key| key.kid() != *name)
                };
                (first..).find(is_free).unwrap_or(first)
            };
            let mut key =
                prepare(new, &label, is_fallback, &self.options, &self.rules, number, now)?;
            if !is_fallback {
                check_no_end(new, &label)?;
            } else if new.signs_from.is_some_and(|moment| moment > now) {
                return Err(primary_unclear(
                    "a fallback's `signs_from` lies ahead: that is a staged key",
                ));
            }
            (key.life.signing_start, key.life.sequence) = match (role, new.signs_from) {
                (Role::Primary, None) => (FROM_BEGINNING, self.keys.len() as u64),
                (Role::Fallback, None) => (SigningStart::Never, 0),
                (Role::Staged, None) => (SigningStart::Unscheduled, 0),
                (Role::Staged, Some(moment)) if moment <= now => {
                    return Err(Error::NotAhead { kid: key.kid(), signs_from: moment });
                }
                (_, Some(moment)) => (SigningStart::From(moment), index as u64),
            };
            keys.push(key);
        }
        let set = KeySet::new(keys, 1, now, self.policy, &name)?;
        let is_primary = self.keys.iter().zip(set.keys()).any(|((role, _), key)| {
            *role == Role::Primary && Some(key.kid()) == set.primary(now).map(Key::kid)
        });
        if !is_primary {
            return Err(primary_unclear(
                "by its `signs_from`, another key signs than the one given as it",
            ));
        }

        let warnings = std::mem::take(&mut self.warnings);
        let ring = self.ring(set, name);
        for (variable, warning) in &warnings {
            ring.inner.emit(Event::EnvironmentWarning { ring: ring.name(), variable, warning });
        }
        Ok(ring)
    }

    /// The ring around its first set.
    pub(crate) fn ring(self, set: KeySet<K>, name: String) -> KeyRing<K> {
        KeyRing {
            inner: Arc::new(Inner {
                ordinal: AtomicUsize::new(set.keys().len()),
                set: Swap::new(set),
                name,
                environment: self.environment,
                options: self.options,
                rules: self.rules,
                max_staleness: self.max_staleness,
                is_followed: AtomicBool::new(false),
                usage_window: Mutex::new(UsageWindow::new(self.clock.now())),
                report_due: Default::default(),
                clock: self.clock,
                observer: self.observer,
                warnings: Mutex::default(),
                observer_panics: Default::default(),
            }),
        }
    }

    fn add(mut self, role: Role, key: NewKey<K>) -> Self {
        self.keys.push((role, key));
        self
    }
}

pub(super) fn primary_unclear(ring: &str, problem: &'static str) -> Error {
    Error::PrimaryUnclear { ring: ring.to_owned(), problem }
}

impl<K: KeyMaterial> fmt::Debug for RingBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingBuilder").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// Settings of a [`RingBuilder`] that make a ring weaker than the standards allow.
#[must_use = "a builder does nothing until `build`"]
#[derive(Debug)]
pub struct Dangerous<K: KeyMaterial>(RingBuilder<K>);

impl<K: KeyMaterial> Dangerous<K> {
    /// Admits secrets of `bytes` and more, however short that is.
    ///
    /// # Security
    /// **An attacker who holds one signed value can search for a short secret**, and then
    /// sign as you. RFC 7518 §3.2 forbids it. The kid of such a key
    /// is derived from the secret, and allows the same search: it is in logs, metrics and reports.
    pub fn min_secret_bytes(mut self, bytes: usize) -> RingBuilder<K> {
        self.0.rules.min_secret_bytes = Some(bytes);
        self.0.rules.unlocked = true;
        self.0
    }

    /// Admits placeholders such as `changeme`: for tests against published examples.
    ///
    /// # Security
    /// **These secrets are public**: an attacker can sign as you.
    pub fn allow_placeholders(mut self) -> RingBuilder<K> {
        self.0.rules.allow_placeholders = true;
        self.0
    }
}

/// The words before the number of a key that was given in `role` and has no label.
fn key_words(role: Role) -> &'static str {
    match role {
        Role::Primary => "the primary key, key",
        Role::Fallback => "the fallback, key",
        Role::Staged => "the staged key, key",
    }
}
