//! What the page shows, and the JSON is.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::manifest::status_json::KeyJson;
use crate::moment::Exact;

#[derive(Serialize)]
pub(super) struct Rings {
    pub(super) rings: Vec<Ring>,
}

#[derive(Serialize)]
pub(super) struct Ring {
    pub(super) name: String,
    pub(super) purpose: &'static str,
    pub(super) now: Moment,
    /// What an operator is to do.
    pub(super) advice: String,
    /// Faults of its policy.
    pub(super) warnings: Vec<String>,
    pub(super) is_stale: bool,
    /// Whether the verdicts are of all instances, or of this process alone.
    pub(super) is_fleet: bool,
    pub(super) generation: u64,
    pub(super) revision: u64,
    pub(super) fingerprint: String,
    pub(super) overlap_seconds: u64,
    pub(super) observation_window_seconds: u64,
    pub(super) next_transition: Option<Moment>,
    pub(super) rotation_due: Option<Moment>,
    pub(super) keys: Vec<KeyDetails>,
    pub(super) instances: Vec<Instance>,
    pub(super) store: Option<Store>,
}

#[derive(Serialize)]
pub(super) struct KeyDetails {
    #[serde(flatten)]
    pub(super) status: KeyJson<Moment>,
    pub(super) added_at: Moment,
    /// When the next one took over from it, or will.
    pub(super) superseded_at: Option<Moment>,
    pub(super) revoked: Option<Revoked>,
    pub(super) last_as_fallback: Option<Moment>,
}

#[derive(Serialize)]
pub(super) struct Revoked {
    pub(super) at: Moment,
    pub(super) reason: String,
}

/// What an instance saw within the observation window.
#[derive(Serialize)]
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) reported_at: Moment,
    pub(super) observed_since: Moment,
    pub(super) revision: u64,
    pub(super) fingerprint: String,
    /// Whether it holds the same keys as this process.
    pub(super) agrees: bool,
    /// Whether it has said good-bye.
    pub(super) has_stopped: bool,
    /// Whether it may still be there: not if it was silent for the observation window.
    pub(super) may_run: bool,
    /// Why its report cannot be read, if it cannot.
    pub(super) problem: Option<String>,
    /// Whether its clock was ahead of this one by more than the skew.
    pub(super) is_from_the_future: bool,
    /// In the order of the keys of the ring.
    pub(super) uses: Vec<KeyUses>,
}

#[derive(Serialize)]
pub(super) struct KeyUses {
    pub(super) kid: String,
    pub(super) verified_as_primary: u64,
    pub(super) verified_as_fallback: u64,
    pub(super) signed: u64,
}

#[derive(Serialize)]
pub(super) struct Store {
    /// When it was last read and agreed with.
    pub(super) last_reload: Moment,
    pub(super) reloads: u64,
    pub(super) failures: u64,
    pub(super) failures_in_a_row: u64,
    /// What is wrong now.
    pub(super) errors: Vec<String>,
}

/// A moment, to the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) SystemTime);

impl Moment {
    /// A moment from which something is so, rounded up to the second.
    pub(super) fn not_before(moment: SystemTime) -> Self {
        Self(Exact::not_before(moment).0)
    }

    /// As RFC 3339 has it; `None` beyond the year 9999, and before the year -9999.
    pub(super) fn text(self) -> Option<String> {
        let time = Timestamp::try_from(self.0).ok()?;
        Some(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text().serialize(serializer)
    }
}
