//! The facts and counts of rings through the `metrics` facade.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use ::metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::subject::{Subject, WatchedRing};
use crate::observer::{Event, Observer};
use crate::ring::KeyMaterial;
use crate::ring::KeyStatus;

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
/// | `dualkey_keys` | gauge | `ring`, `state` | keys that are `primary`, `fallback`, `staged`, `expired`, `revoked` |
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
pub struct RingMetrics(Arc<Mutex<Vec<Arc<dyn Sampled>>>>);

impl RingMetrics {
    /// Watches no ring yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes the counts of `subject` from now on: of a ring, or of its
    /// [`FollowHandle`](crate::source::FollowHandle).
    pub fn watch(&self, subject: &impl Subject) {
        self.lock().push(Arc::new(subject.watched_ring()));
    }

    /// Hands the counts of all rings that it watches to the recorder: call it when an exporter
    /// is about to be asked, or from time to time.
    pub fn publish(&self) {
        describe();
        for ring in self.lock().iter() {
            publish(&ring.sample());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<dyn Sampled>>> {
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
            | Event::MessageLimitNear { .. }
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

/// A watched ring, without the type of its keys.
trait Sampled: Send + Sync {
    fn sample(&self) -> Sample;
}

/// The numbers of a ring at one moment.
struct Sample {
    ring: String,
    now: SystemTime,
    generation: u64,
    revision: u64,
    is_stale: bool,
    /// The time since which the primary has been signing.
    signing_since: Option<SystemTime>,
    keys: Vec<KeyStatus>,
    next_transition: Option<SystemTime>,
    /// The last time at which the ring was equal to its store, if it follows one.
    last_reload: Option<SystemTime>,
}

impl<K: KeyMaterial> Sampled for WatchedRing<K> {
    fn sample(&self) -> Sample {
        let (set, now) = (self.ring.load(), self.ring.now());
        Sample {
            ring: self.ring.name().to_owned(),
            now,
            generation: set.generation(),
            revision: set.revision(),
            is_stale: set.is_stale(now) || set.primary(now).is_none(),
            signing_since: set.primary(now).map(|key| key.life.signing_since()),
            keys: set.statuses(now),
            next_transition: set.next_transition(now),
            last_reload: last_reload(self),
        }
    }
}

#[cfg(feature = "store")]
fn last_reload<K: KeyMaterial>(watched: &WatchedRing<K>) -> Option<SystemTime> {
    watched.poller.as_ref().map(|poller| poller.health().last_success)
}

#[cfg(not(feature = "store"))]
fn last_reload<K: KeyMaterial>(_: &WatchedRing<K>) -> Option<SystemTime> {
    None
}

fn publish(sample: &Sample) {
    let ring = || sample.ring.clone();
    for key in &sample.keys {
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
    for state in ["primary", "fallback", "staged", "expired", "revoked"] {
        let count = sample.keys.iter().filter(|key| key.state.as_str() == state).count();
        gauge!("dualkey_keys", "ring" => ring(), "state" => state).set(count as f64);
    }
    let age = sample
        .signing_since
        .and_then(|since| sample.now.duration_since(since).ok())
        .unwrap_or_default();
    gauge!("dualkey_key_age_seconds", "ring" => ring()).set(age.as_secs_f64());
    let next = sample.next_transition.and_then(|next| next.duration_since(sample.now).ok());
    gauge!("dualkey_next_transition_seconds", "ring" => ring())
        .set(next.map_or(f64::INFINITY, |left| left.as_secs_f64()));
    gauge!("dualkey_generation", "ring" => ring()).set(sample.generation as f64);
    gauge!("dualkey_revision", "ring" => ring()).set(sample.revision as f64);
    gauge!("dualkey_stale", "ring" => ring()).set(f64::from(u8::from(sample.is_stale)));
    if let Some(last_reload) = sample.last_reload {
        gauge!("dualkey_last_reload_timestamp_seconds", "ring" => ring()).set(seconds(last_reload));
    }
}

fn seconds(moment: SystemTime) -> f64 {
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
