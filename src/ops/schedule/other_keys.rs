//! The keys beside the primary, as a manifest has them.

use std::time::SystemTime;

use super::standing::Other;
use crate::evidence::Report;
use crate::evidence::Verdict;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::lifecycle::Signs;
use crate::manifest::{Entry, Manifest};
use crate::ops::inventory::{Item, Place};

impl Other {
    pub(super) fn of(
        key: &Entry,
        item: &Item,
        manifest: &Manifest,
        reports: &[Report],
        now: SystemTime,
    ) -> Option<Self> {
        let (kid, state) = (key.kid(), manifest.state(&key.kid(), now)?);
        let verdict = match (state, &item.store) {
            // No instance reports: only the time decides.
            (KeyState::Active(Role::Fallback), Place::Dotenv(_)) => {
                manifest.ends_at(&kid).map(|until| Verdict::Wait { until })
            }
            (KeyState::Active(Role::Fallback), _) => manifest.retirement(&kid, reports, now).ok(),
            (KeyState::Retired, _) if !manifest.purpose().ends_by_time() => {
                manifest.retirement(&kid, reports, now).ok()
            }
            (KeyState::Revoked, _) if manifest.purpose().needs_sweep() => {
                manifest.retirement(&kid, reports, now).ok()
            }
            _ => None,
        };
        let is_retired = key.retire_at().is_some();
        let (added_at, ends_at) = (key.added_at(), manifest.ends_at(&kid));
        let signs_from = match (state, key.signs()) {
            (KeyState::Active(Role::Staged), Signs::From(moment)) => Some(moment),
            _ => None,
        };
        let variable = key.variable().map(str::to_owned);
        Some(Self {
            kid,
            variable,
            state,
            added_at,
            signs_from,
            ends_at,
            is_retired,
            is_restaged: false,
            verdict,
        })
    }
}
