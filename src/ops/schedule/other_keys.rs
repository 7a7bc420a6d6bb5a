//! The keys beside the primary, as a manifest has them.

use std::time::SystemTime;

use super::status::OtherKey;
use super::trail_facts::TrailFacts;
use crate::evidence::Report;
use crate::evidence::Verdict;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::lifecycle::SigningStart;
use crate::manifest::{Entry, Manifest};
use crate::ops::inventory::{Place, SecretSpec};

/// The keys beside the primary whose secret is there.
pub(super) fn other_keys(
    item: &SecretSpec,
    manifest: &Manifest,
    reports: &[Report],
    facts: &TrailFacts,
    now: SystemTime,
) -> Vec<OtherKey> {
    let primary = manifest.primary(now);
    let keys = manifest.keys().iter();
    keys.filter(|key| key.kid() != primary && key.secret().is_some())
        .filter_map(|key| OtherKey::compute(key, item, manifest, reports, now))
        .map(|other| OtherKey { is_restaged: facts.restaged.contains(&other.kid), ..other })
        .collect()
}

impl OtherKey {
    fn compute(
        key: &Entry,
        item: &SecretSpec,
        manifest: &Manifest,
        reports: &[Report],
        now: SystemTime,
    ) -> Option<Self> {
        let (kid, state) = (key.kid(), manifest.state(&key.kid(), now)?);
        let verdict = match (state, &item.store) {
            // No instance reports: only the time decides.
            (KeyState::Live(Role::Fallback), Place::Dotenv(_)) => {
                manifest.verifies_until(&kid).map(|until| Verdict::Wait { until })
            }
            (KeyState::Live(Role::Fallback), _) => manifest.retirement(&kid, reports, now).ok(),
            (KeyState::Expired, _) if !manifest.purpose().has_expiry_by_time() => {
                manifest.retirement(&kid, reports, now).ok()
            }
            (KeyState::Revoked, _) if manifest.purpose().needs_rewrap() => {
                manifest.retirement(&kid, reports, now).ok()
            }
            _ => None,
        };
        let is_retired = key.retire_at().is_some();
        let (added_at, verifies_until) = (key.added_at(), manifest.verifies_until(&kid));
        let signs_from = match key.signing_start() {
            SigningStart::From(moment) => Some(moment.max(added_at)),
            SigningStart::Never | SigningStart::Unscheduled => None,
        };
        let variable = key.variable().map(str::to_owned);
        Some(Self {
            kid,
            variable,
            state,
            added_at,
            signs_from,
            verifies_until,
            is_retired,
            is_restaged: false,
            verdict,
        })
    }
}
