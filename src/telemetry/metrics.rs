//! The facts and counts of rings through the `metrics` facade.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ::metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::subject::{Look, Subject, Watched};
use crate::observer::{Event, Observer};

/// Counts what rings do, through the `metrics` facade. A clone counts into the same.
///
/// Given to a ring as its observer, it counts what is told at once. What verified is not told
/// of: rings count that themselves, and [`publish`](Self::publish) hands it on, so that the hot
/// path has nothing to do for it.
///
/// | name | kind | labels | |
/// |---|---|---|---|
/// | `dualkey_verifications_total` | counter | `ring`, `kid`, `role` | values verified or opened, by the role that the key had: `primary`, or `fallback`, which counts staged keys too |
/// | `dualkey_signatures_total` | counter | `ring`, `kid` | values signed or sealed |
/// | `dualkey_rejections_total` | counter | `ring`, `reason` | values refused, by [`Reason::as_str`](crate::Reason::as_str) |
/// | `dualkey_credentials_refused_total` | counter | `ring`, `kid` | refusals of a credential by who verifies it |
/// | `dualkey_legacy_total` | counter | `ring`, `form` | values accepted in a legacy form |
/// | `dualkey_rotations_total` | counter | `ring`, `step` | `staged`, `promoted`, `rolled_back`, `retired`, `revoked`, `forced` |
/// | `dualkey_reloads_total` | counter | `ring` | changes that a store brought |
/// | `dualkey_reload_failures_total` | counter | `ring` | reloads that failed |
/// | `dualkey_last_reload_timestamp_seconds` | gauge | `ring` | when the store was last read and agreed with, since the Unix epoch; only of rings that follow one |
/// | `dualkey_key_age_seconds` | gauge | `ring` | how long the primary has been signing |
/// | `dualkey_next_transition_seconds` | gauge | `ring` | how long until a role changes by itself; `+Inf` if none will |
/// | `dualkey_keys` | gauge | `ring`, `state` | keys that are `primary`, `fallback`, `staged`, `retired`, `revoked` |
/// | `dualkey_generation` | gauge | `ring` | changes that the ring has seen in this process, plus one |
/// | `dualkey_revision` | gauge | `ring` | of the manifest, 0 if there is none |
/// | `dualkey_stale` | gauge | `ring` | 1 if the ring serves nothing, because what it holds is too old |
///
/// A rotation is watched by the share of what verifies, which it must not move, and by the
/// share of that which needs the old key, which goes to zero:
///
/// ```text
/// sum(rate(dualkey_verifications_total[5m])) by (ring)
///   / (sum(rate(dualkey_verifications_total[5m])) by (ring)
///      + sum(rate(dualkey_rejections_total[5m])) by (ring))
///
/// sum(rate(dualkey_verifications_total{role="fallback"}[1h])) by (ring)
///   / sum(rate(dualkey_verifications_total[1h])) by (ring)
/// ```
///
/// Two rings of one name would be one series: name them apart. Everything goes to the recorder
/// that is installed at that time.
#[derive(Clone, Default)]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub struct RingMetrics(Arc<Mutex<Vec<Arc<dyn Watched>>>>);

impl RingMetrics {
    /// Watches no ring yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes the counts of `subject` from now on: of a ring, or of its
    /// [`Following`](crate::source::Following).
    pub fn watch(&self, subject: &impl Subject) {
        self.lock().push(subject.watched());
    }

    /// Hands the counts of all rings that it watches to the recorder: call it when an exporter
    /// is about to be asked, or from time to time.
    pub fn publish(&self) {
        describe();
        for watched in self.lock().iter() {
            let look = watched.look();
            publish(&look);
            #[cfg(feature = "store")]
            if let Some(health) = watched.health() {
                gauge!("dualkey_last_reload_timestamp_seconds", "ring" => look.ring)
                    .set(seconds(health.last_success));
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<dyn Watched>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for RingMetrics {
    fn observe(&self, event: &Event<'_>) {
        let step = |ring: &str, step: &'static str| {
            counter!("dualkey_rotations_total", "ring" => ring.to_owned(), "step" => step)
                .increment(1);
        };
        match event {
            Event::Rejected { ring, reason } => {
                let labels = [("ring", (*ring).to_owned()), ("reason", reason.as_str().to_owned())];
                counter!("dualkey_rejections_total", &labels).increment(1);
            }
            Event::CredentialRefused { ring, kid }
            | Event::CredentialUnusable { ring, kid, .. } => {
                let labels = [("ring", (*ring).to_owned()), ("kid", kid.to_string())];
                counter!("dualkey_credentials_refused_total", &labels).increment(1);
            }
            Event::LegacyAccepted { ring, form, .. } => {
                counter!("dualkey_legacy_total", "ring" => (*ring).to_owned(), "form" => *form)
                    .increment(1);
            }
            Event::Staged { ring, .. } => step(ring, "staged"),
            Event::Promoted { ring, .. } => step(ring, "promoted"),
            Event::RolledBack { ring, .. } => step(ring, "rolled_back"),
            Event::Retired { ring, .. } => step(ring, "retired"),
            Event::Revoked { ring, .. } => step(ring, "revoked"),
            Event::LiveAgain { ring, .. } => step(ring, "live_again"),
            Event::Forced { ring, .. } => step(ring, "forced"),
            Event::Reloaded { ring, .. } => {
                counter!("dualkey_reloads_total", "ring" => (*ring).to_owned()).increment(1);
            }
            Event::ReloadFailed { ring, .. } => {
                counter!("dualkey_reload_failures_total", "ring" => (*ring).to_owned())
                    .increment(1);
            }
            // Counted by the ring itself, or for a person to read.
            Event::VerifiedByFallback { .. }
            | Event::OpenedRevoked { .. }
            | Event::WearsOut { .. }
            | Event::CredentialSwitched { .. }
            | Event::EnvironmentWarning { .. } => {}
        }
    }
}

impl fmt::Debug for RingMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingMetrics").field("rings", &self.lock().len()).finish()
    }
}

fn publish(look: &Look) {
    let ring = || look.ring.clone();
    for key in &look.keys {
        let kid = || key.kid.to_string();
        let roles = [
            ("primary", key.usage.verified_as_primary),
            ("fallback", key.usage.verified_as_fallback),
        ];
        for (role, count) in roles {
            let labels = [("ring", ring()), ("kid", kid()), ("role", role.to_owned())];
            counter!("dualkey_verifications_total", &labels).absolute(count);
        }
        counter!("dualkey_signatures_total", "ring" => ring(), "kid" => kid())
            .absolute(key.usage.signed);
    }
    for state in ["primary", "fallback", "staged", "retired", "revoked"] {
        let count = look.keys.iter().filter(|key| key.state.as_str() == state).count();
        gauge!("dualkey_keys", "ring" => ring(), "state" => state).set(count as f64);
    }
    let age = look
        .signing_since
        .and_then(|since| look.now.duration_since(since).ok())
        .unwrap_or_default();
    gauge!("dualkey_key_age_seconds", "ring" => ring()).set(age.as_secs_f64());
    let next = look.next_transition.and_then(|next| next.duration_since(look.now).ok());
    gauge!("dualkey_next_transition_seconds", "ring" => ring())
        .set(next.map_or(f64::INFINITY, |left| left.as_secs_f64()));
    gauge!("dualkey_generation", "ring" => ring()).set(look.generation as f64);
    gauge!("dualkey_revision", "ring" => ring()).set(look.revision as f64);
    gauge!("dualkey_stale", "ring" => ring()).set(f64::from(u8::from(look.is_stale)));
}

#[cfg(feature = "store")]
fn seconds(moment: std::time::SystemTime) -> f64 {
    moment.duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn describe() {
    describe_counter!("dualkey_verifications_total", "Values verified or opened, by role.");
    describe_counter!("dualkey_signatures_total", "Values signed or sealed.");
    describe_counter!("dualkey_rejections_total", "Values refused, by reason.");
    describe_counter!("dualkey_credentials_refused_total", "Credentials that were refused.");
    describe_counter!("dualkey_legacy_total", "Values accepted in a legacy form.");
    describe_counter!("dualkey_rotations_total", "Steps of rotations.");
    describe_counter!("dualkey_reloads_total", "Changes that a store brought.");
    describe_counter!("dualkey_reload_failures_total", "Reloads that failed.");
    describe_gauge!(
        "dualkey_last_reload_timestamp_seconds",
        Unit::Seconds,
        "When the store was last read and agreed with."
    );
    describe_gauge!(
        "dualkey_key_age_seconds",
        Unit::Seconds,
        "How long the primary has been signing."
    );
    describe_gauge!(
        "dualkey_next_transition_seconds",
        Unit::Seconds,
        "How long until a role changes by itself."
    );
    describe_gauge!("dualkey_keys", "Keys, by state.");
    describe_gauge!("dualkey_generation", "Changes that the ring has seen, plus one.");
    describe_gauge!("dualkey_revision", "Of the manifest.");
    describe_gauge!("dualkey_stale", "Whether the ring serves nothing, being too old.");
}
