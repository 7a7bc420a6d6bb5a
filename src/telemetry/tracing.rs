//! The facts of a ring as events of `tracing`.

use std::time::{SystemTime, UNIX_EPOCH};

use ::tracing::{debug, info, trace, warn};

use crate::observer::{Event, Observer};
use crate::text::Plain;

/// Writes what a ring tells as events of `tracing`, under the target `dualkey`, with the fields
/// `ring`, `kid` and `reason` where there are such. Moments are in seconds since the Unix epoch.
///
/// | level | events |
/// |---|---|
/// | `WARN` | revoked, forced, opened under a revoked key, a key wears out, a reload failed, a danger in the environment |
/// | `INFO` | staged, promoted, rolled back, retired, reloaded |
/// | `DEBUG` | a value was rejected, a legacy form was accepted |
/// | `TRACE` | a value verified under a fallback |
///
/// What a peer can cause at will is at `DEBUG` and below: nobody fills a log with forgeries.
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
pub struct Tracing;

impl Observer for Tracing {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::VerifiedByFallback { ring, kid } => {
                trace!(target: "dualkey", ring, %kid, "verified by a fallback");
            }
            Event::LegacyAccepted { ring, kid, form } => {
                debug!(target: "dualkey", ring, %kid, form, "legacy form accepted");
            }
            Event::OpenedRevoked { ring, kid } => {
                warn!(target: "dualkey", ring, %kid, "opened under a revoked key");
            }
            Event::WearsOut { ring, kid, sealed } => {
                warn!(target: "dualkey", ring, %kid, sealed, "a key wears out: rotate it");
            }
            Event::CredentialRefused { ring, kid } => {
                warn!(target: "dualkey", ring, %kid, "a credential was refused");
            }
            Event::CredentialUnusable { ring, kid, error } => {
                warn!(target: "dualkey", ring, %kid, %error, "a credential cannot be used");
            }
            Event::CredentialSwitched { ring, from, to } => {
                warn!(target: "dualkey", ring, %from, %to, "another credential is shown");
            }
            Event::Rejected { ring, reason } => {
                debug!(target: "dualkey", ring, %reason, "rejected");
            }
            Event::Staged { ring, kid, signs_from } => {
                let signs_from = signs_from.map(seconds);
                info!(target: "dualkey", ring, %kid, signs_from, "staged");
            }
            Event::Promoted { ring, kid } => {
                info!(target: "dualkey", ring, %kid, "promoted");
            }
            Event::RolledBack { ring, kid } => {
                info!(target: "dualkey", ring, %kid, "rolled back");
            }
            Event::Retired { ring, kid, ends } => {
                info!(target: "dualkey", ring, %kid, ends = seconds(*ends), "retired");
            }
            Event::LiveAgain { ring, kid } => {
                warn!(target: "dualkey", ring, %kid, "expired key is live again");
            }
            Event::Forced { ring, kid, reason } => {
                warn!(target: "dualkey", ring, %kid, reason, "forced");
            }
            Event::Revoked { ring, kid, reason } => {
                warn!(target: "dualkey", ring, %kid, reason, "revoked");
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

fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
