//! The facts of a ring as events of `tracing`.

use std::time::{SystemTime, UNIX_EPOCH};

use ::tracing::level_filters::LevelFilter;
use ::tracing::{Level, debug, info, trace, warn};

use crate::observer::{Event, Observer};
use crate::text::Plain;

/// Writes the events of a ring to `tracing`, under the target `dualkey`, with the fields
/// `ring`, `kid`, `variable` and `reason` where there are such. Moments are in seconds since the Unix
/// epoch.
///
/// A ring that is given no observer has this one. With an observer of its own it has that alone:
/// add `Tracing` beside it for both.
///
/// | level | events |
/// |---|---|
/// | `WARN` | revoked, forced, opened under a revoked key, a key is near its message limit, a credential was refused, a reload failed, a danger in the environment |
/// | `INFO` | staged, promoted, rolled back, retired, reloaded |
/// | `DEBUG` | a value was rejected, a legacy form was accepted |
/// | `TRACE` | a value verified under a fallback |
///
/// What a peer can cause at will is at `DEBUG` and below, so that forgeries do not fill a log.
///
/// ```
/// use dualkey::cookie::CookieKey;
/// use dualkey::telemetry::Tracing;
/// use dualkey::{KeyRing, Observer, Secret};
///
/// fn is_observer(_: &impl Observer) -> bool {
///     true
/// }
/// assert!(is_observer(&Tracing));
///
/// // Both rings write the same events.
/// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
/// let builder = || KeyRing::<CookieKey>::builder().primary(Secret::from(secret));
/// let (one, other) = (builder().build()?, builder().observer(Tracing).build()?);
/// assert_eq!(one.name(), other.name());
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
pub struct Tracing;

impl Observer for Tracing {
    fn observe(&self, event: &Event<'_>) {
        self.observe_key(event, None);
    }

    fn observe_key(&self, event: &Event<'_>, variable: Option<&str>) {
        match event {
            Event::VerifiedByFallback { ring, kid } => {
                trace!(target: "dualkey", ring, %kid, variable, "verified by a fallback");
            }
            Event::LegacyAccepted { ring, kid, form } => {
                debug!(target: "dualkey", ring, %kid, variable, form, "legacy form accepted");
            }
            Event::OpenedRevoked { ring, kid } => {
                warn!(target: "dualkey", ring, %kid, variable, "opened under a revoked key");
            }
            Event::MessageLimitNear { ring, kid, sealed } => {
                warn!(target: "dualkey", ring, %kid, variable, sealed, "a key is near its message limit: rotate it");
            }
            Event::CredentialRefused { ring, kid } => {
                warn!(target: "dualkey", ring, %kid, variable, "a credential was refused");
            }
            Event::CredentialUnusable { ring, kid, error } => {
                warn!(target: "dualkey", ring, %kid, variable, %error, "a credential cannot be used");
            }
            Event::CredentialSwitched { ring, from, to } => {
                warn!(target: "dualkey", ring, %from, %to, variable, "another credential is shown");
            }
            Event::Rejected { ring, reason } => {
                debug!(target: "dualkey", ring, %reason, "rejected");
            }
            Event::Staged { ring, kid, signs_from } => {
                let signs_from = signs_from.map(seconds);
                info!(target: "dualkey", ring, %kid, variable, signs_from, "staged");
            }
            Event::Promoted { ring, kid } => {
                info!(target: "dualkey", ring, %kid, variable, "promoted");
            }
            Event::RolledBack { ring, kid } => {
                info!(target: "dualkey", ring, %kid, variable, "rolled back");
            }
            Event::Retired { ring, kid, verifies_until } => {
                info!(target: "dualkey", ring, %kid, variable, verifies_until = seconds(*verifies_until), "retired");
            }
            Event::LiveAgain { ring, kid } => {
                warn!(target: "dualkey", ring, %kid, variable, "expired key is live again");
            }
            Event::Forced { ring, kid, reason } => {
                warn!(target: "dualkey", ring, %kid, variable, reason, "forced");
            }
            Event::Revoked { ring, kid, reason } => {
                warn!(target: "dualkey", ring, %kid, variable, reason, "revoked");
            }
            Event::Reloaded { ring, revision, generation, fingerprint } => {
                info!(target: "dualkey", ring, revision, generation, %fingerprint, "reloaded");
            }
            Event::ReloadFailed { ring, error, failures } => {
                // Deliberately not the error itself: subscribers write its text as it is, and a
                // client of a store may put anything into it.
                let error = error.to_string();
                let error = Plain(&error);
                warn!(target: "dualkey", ring, %error, failures, "reload failed");
            }
            Event::EnvironmentWarning { ring, variable, warning } => {
                warn!(target: "dualkey", ring, variable, "{warning}");
            }
        }
    }
}

impl Tracing {
    /// Returns whether a subscriber may want `event`. For an event that a peer can cause it is a load
    /// and a comparison; all others are rare.
    pub(crate) fn is_heard(event: &Event<'_>) -> bool {
        match event {
            Event::VerifiedByFallback { .. } => Self::hears_verifications(),
            Event::LegacyAccepted { .. } | Event::Rejected { .. } => {
                Level::DEBUG <= LevelFilter::current()
            }
            _ => true,
        }
    }

    /// Returns whether a subscriber may want what each verification says.
    pub(crate) fn hears_verifications() -> bool {
        Level::TRACE <= LevelFilter::current()
    }
}

fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
