//! What a ring tells who watches it: facts, through a trait, without any I/O of its own.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use crate::error::Reason;
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;

/// Receives the facts of a ring.
///
/// It is called on the thread that verifies: hand over, do not wait. A ring
/// without an observer pays nothing for it.
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
}

/// Two that are told one after the other: what
/// [`RingBuilder::observer`](crate::RingBuilder::observer), called twice, makes of them.
#[derive(Debug)]
pub(crate) struct Both(pub(crate) Arc<dyn Observer>, pub(crate) Arc<dyn Observer>);

impl Observer for Both {
    fn observe(&self, event: &Event<'_>) {
        let first = catch(|| self.0.observe(event));
        self.1.observe(event);
        if first.is_none() {
            // `deliver` counts it. The payload is gone: dropping it could panic again.
            resume_unwind(Box::new("an observer panicked"));
        }
    }
}

/// Delivers `event` to `observer`, and counts in `panics` if the observer panics.
///
/// Not inlined: it keeps the unwinding code out of the callers, which are hot.
#[inline(never)]
pub(crate) fn deliver(observer: &dyn Observer, event: &Event<'_>, panics: &AtomicU64) {
    if catch(|| observer.observe(event)).is_none() {
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
    /// A key nears the number of messages that it may seal, 2^32. Told at 2^28 of this
    /// process, and each time that number has doubled.
    WearsOut {
        /// The name of the ring.
        ring: &'a str,
        /// The key in question.
        kid: Kid,
        /// How many messages this process has sealed with it.
        sealed: u64,
    },
    /// Who verifies credentials refused one: it rests.
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
        /// When it begins to sign by itself, if that is set.
        signs_from: Option<SystemTime>,
    },
    /// A key was made the primary, here or in the store that the ring follows, a rollback
    /// there included. One that promotes itself, because it was scheduled, is not told of:
    /// nobody does it.
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
        ends: SystemTime,
    },
    /// An expired key verifies again: it was restaged, or a source that is edited by hand names
    /// it again.
    LiveAgain {
        /// The name of the ring.
        ring: &'a str,
        /// The key in question.
        kid: Kid,
    },
    /// Somebody went over a refusal: for the audit.
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
