//! The events of a ring, through a trait, without any I/O of its own.

#[cfg(feature = "tracing")]
mod tracing;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use crate::error::Reason;
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;

#[cfg(feature = "tracing")]
pub use self::tracing::Tracing;

/// Receives the facts of a ring.
///
/// It is called on the thread that verifies: pass the event on, and do not wait. A ring
/// without an observer pays nothing for it; with the feature `tracing` it writes its facts to
/// `tracing`, as `telemetry::Tracing` does, and pays for the check of a level.
///
/// A panic of an observer ends with the event: it is caught and counted (see
/// `source::Health::observer_panics`), other observers receive the event, and the verification
/// or step continues. This needs unwinding: a program that is built with `panic = "abort"` ends.
///
/// ```
/// use dualkey::{Event, Observer};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Debug, Default)]
/// struct Refusals(AtomicU64);
///
/// impl Observer for Refusals {
///     fn observe(&self, event: &Event<'_>) {
///         if let Event::Rejected { .. } = event {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// Takes note of `event`.
    fn observe(&self, event: &Event<'_>);

    /// Takes note of `event`, with the name of the variable that its key was read from. A ring calls
    /// this method; unless it is implemented, it calls [`observe`](Self::observe).
    ///
    /// The kid of a credential is a number, which another secret may have after a restart. The name
    /// of the variable remains.
    ///
    /// ```
    /// use dualkey::cookie::CookieKey;
    /// use dualkey::{Event, KeyRing, Observer};
    /// use std::sync::{Arc, Mutex};
    ///
    /// #[derive(Debug, Clone, Default)]
    /// struct Log(Arc<Mutex<Vec<String>>>);
    ///
    /// impl Observer for Log {
    ///     fn observe(&self, event: &Event<'_>) {
    ///         self.observe_key(event, None);
    ///     }
    ///
    ///     fn observe_key(&self, event: &Event<'_>, variable: Option<&str>) {
    ///         let kid = event.kid().map(|kid| kid.to_string());
    ///         let name = variable.map(str::to_owned).or(kid);
    ///         self.0.lock().unwrap().extend(name);
    ///     }
    /// }
    ///
    /// # let (new, old) = ("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU",
    /// #     "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki");
    /// let lookup = |name: &str| Ok(match name {
    ///     "SESSION_SECRET" => Some(new.to_owned()),
    ///     "SESSION_SECRET_OLD" => Some(old.to_owned()),
    ///     _ => None,
    /// });
    /// let log = Log::default();
    /// let ring = KeyRing::<CookieKey>::builder()
    ///     .vars("SESSION_SECRET", lookup)
    ///     .observer(log.clone())
    ///     .build()?;
    /// ring.revoke(&ring.keys()[1].kid, "it leaked")?;
    /// assert_eq!(*log.0.lock().unwrap(), ["SESSION_SECRET_OLD"]);
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    fn observe_key(&self, event: &Event<'_>, variable: Option<&str>) {
        let _ = variable;
        self.observe(event);
    }
}

/// Two observers, which receive each event one after the other: the result of
/// [`RingBuilder::observer`](crate::RingBuilder::observer), called twice.
#[derive(Debug)]
pub(crate) struct Both(pub(crate) Arc<dyn Observer>, pub(crate) Arc<dyn Observer>);

impl Observer for Both {
    fn observe(&self, event: &Event<'_>) {
        self.observe_key(event, None);
    }

    fn observe_key(&self, event: &Event<'_>, variable: Option<&str>) {
        let first = catch(|| self.0.observe_key(event, variable));
        self.1.observe_key(event, variable);
        if first.is_none() {
            // `deliver` counts it. The payload is gone: dropping it could panic again.
            resume_unwind(Box::new("an observer panicked"));
        }
    }
}

/// Delivers `event`, whose key was read from `variable`, to `observer`, and counts in `panics` if the
/// observer panics.
///
/// Not inlined: it keeps the unwinding code out of the callers, which are hot.
#[inline(never)]
pub(crate) fn deliver(
    observer: &dyn Observer,
    event: &Event<'_>,
    variable: Option<&str>,
    panics: &AtomicU64,
) {
    if catch(|| observer.observe_key(event, variable)).is_none() {
        panics.fetch_add(1, Relaxed);
    }
}

/// Runs `work`, and returns `None` if it panicked.
///
/// Callers ensure that what `work` shares stays consistent: locks are taken over when
/// poisoned, and a set is swapped in whole.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(discard).ok()
}

/// Drops the payload of a panic. One of an unknown type is leaked: its `Drop` could panic.
fn discard(payload: Box<dyn Any + Send>) {
    if !payload.is::<&'static str>() && !payload.is::<String>() {
        std::mem::forget(payload);
    }
}

/// A fact about a ring. No event holds a byte of a secret or of a payload.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A value verified under a key that is not the primary.
    VerifiedByFallback {
        /// The name of the ring.
        ring: &'a str,
        /// The key that matched.
        kid: Kid,
    },
    /// A value in a legacy form verified: as long as this happens, the form is needed.
    LegacyAccepted {
        /// The name of the ring.
        ring: &'a str,
        /// The key that matched.
        kid: Kid,
        /// The name of the form.
        form: &'static str,
    },
    /// A value was opened under a revoked key, through `dangerous()`: for the audit.
    OpenedRevoked {
        /// The name of the ring.
        ring: &'a str,
        /// The revoked key.
        kid: Kid,
    },
    /// A key nears the number of messages that it may seal, 2^32. Reported at 2^28 of this
    /// process, and each time that number has doubled.
    MessageLimitNear {
        /// The name of the ring.
        ring: &'a str,
        /// The key in question.
        kid: Kid,
        /// How many messages this process has sealed with it.
        sealed: u64,
    },
    /// Who verifies credentials refused one: it cools down.
    CredentialRefused {
        /// The name of the ring.
        ring: &'a str,
        /// The credential in question.
        kid: Kid,
    },
    /// A credential cannot be used as it is: it is no URL, names another database, or its role lacks
    /// a right. It is never shown; the pool keeps the one before.
    CredentialUnusable {
        /// The name of the ring.
        ring: &'a str,
        /// The credential in question.
        kid: Kid,
        /// What is wrong, without a byte of a secret.
        error: &'a (dyn std::error::Error + 'static),
    },
    /// Another credential is shown than before, because of a refusal, or because that is over.
    CredentialSwitched {
        /// The name of the ring.
        ring: &'a str,
        /// The one that was shown.
        from: Kid,
        /// The one that is shown from now on.
        to: Kid,
    },
    /// A value did not verify.
    Rejected {
        /// The name of the ring.
        ring: &'a str,
        /// Why.
        reason: Reason,
    },
    /// A key was added: it verifies, and does not sign yet.
    Staged {
        /// The name of the ring.
        ring: &'a str,
        /// The new key.
        kid: Kid,
        /// The scheduled start of its signing, if there is one.
        signs_from: Option<SystemTime>,
    },
    /// A key was made the primary, here or in the store that the ring follows, a rollback
    /// there included. A scheduled start is not reported: it needs
    /// no step.
    Promoted {
        /// The name of the ring.
        ring: &'a str,
        /// The primary from now on.
        kid: Kid,
    },
    /// The key before the primary became the primary again.
    RolledBack {
        /// The name of the ring.
        ring: &'a str,
        /// The primary from now on.
        kid: Kid,
    },
    /// A key will stop verifying, or has.
    Retired {
        /// The name of the ring.
        ring: &'a str,
        /// The key in question.
        kid: Kid,
        /// From when on it verifies nothing.
        verifies_until: SystemTime,
    },
    /// An expired key verifies again: it was restaged, or a source that is edited by hand names
    /// it again.
    LiveAgain {
        /// The name of the ring.
        ring: &'a str,
        /// The key in question.
        kid: Kid,
    },
    /// An operator forced a step that a check refused: for the audit.
    Forced {
        /// The name of the ring.
        ring: &'a str,
        /// The key in question.
        kid: Kid,
        /// Why, in the operator's words.
        reason: &'a str,
    },
    /// A key verifies nothing any more, at once.
    Revoked {
        /// The name of the ring.
        ring: &'a str,
        /// The key in question.
        kid: Kid,
        /// Why, in the operator's words.
        reason: &'a str,
    },
    /// The ring was changed to another manifest.
    Reloaded {
        /// The name of the ring.
        ring: &'a str,
        /// Of the manifest.
        revision: u64,
        /// Of the ring.
        generation: u64,
        /// Of the ring.
        fingerprint: Fingerprint,
    },
    /// The store could not be read, or holds what cannot be used: the ring stays as it is.
    ReloadFailed {
        /// The name of the ring.
        ring: &'a str,
        /// What went wrong, without a byte of a secret.
        error: &'a (dyn std::error::Error + 'static),
        /// How often in a row it has.
        failures: u64,
    },
    /// The environment works, and holds a danger.
    EnvironmentWarning {
        /// The name of the ring.
        ring: &'a str,
        /// The variable in question.
        variable: &'a str,
        /// What the danger is, and how to be rid of it.
        warning: &'static str,
    },
}

impl Event<'_> {
    /// Returns the kid of the key that the event is about; `None` for an event about a value or a
    /// ring. For [`Event::CredentialSwitched`] it is the credential that is shown from now on.
    ///
    /// ```
    /// use dualkey::Event;
    ///
    /// let kid = "2026-q1".parse()?;
    /// assert_eq!(Event::Promoted { ring: "JWT_SECRET", kid }.kid(), Some(kid));
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn kid(&self) -> Option<Kid> {
        match *self {
            Self::VerifiedByFallback { kid, .. }
            | Self::LegacyAccepted { kid, .. }
            | Self::OpenedRevoked { kid, .. }
            | Self::MessageLimitNear { kid, .. }
            | Self::CredentialRefused { kid, .. }
            | Self::CredentialUnusable { kid, .. }
            | Self::CredentialSwitched { to: kid, .. }
            | Self::Staged { kid, .. }
            | Self::Promoted { kid, .. }
            | Self::RolledBack { kid, .. }
            | Self::Retired { kid, .. }
            | Self::LiveAgain { kid, .. }
            | Self::Forced { kid, .. }
            | Self::Revoked { kid, .. } => Some(kid),
            Self::Rejected { .. }
            | Self::Reloaded { .. }
            | Self::ReloadFailed { .. }
            | Self::EnvironmentWarning { .. } => None,
        }
    }
}
