//! The facts that steps depend on: what the store holds, the reports, the keys in a role.

use std::time::SystemTime;

use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::old_key::is_retirable;
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::{Entry, Manifest};
use crate::ops::error::OpsError;
use crate::source::{KeyStore, StoreError};

/// Fails if `store` holds something.
pub(super) async fn check_missing(
    store: &dyn KeyStore,
    ring: &str,
    environment: &str,
) -> Result<(), OpsError> {
    match store.load().await {
        Err(StoreError::Missing { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(manifest) => {
            let (store, found) = (format!("{environment}/{ring}"), manifest.revision());
            Err(StoreError::Conflict { store, expected: 0, found }.into())
        }
    }
}

/// Loads the reports of the instances; none, where the store keeps no reports.
pub(crate) async fn reports(store: &dyn KeyStore) -> Result<Vec<Report>, OpsError> {
    match store.reports().await {
        Err(StoreError::NoReports { .. }) => Ok(Vec::new()),
        reports => Ok(reports?),
    }
}

/// The keys that a retirement may be asked for: see [`is_retirable`].
pub(super) fn retirable_keys(manifest: &Manifest, is_file: bool, now: SystemTime) -> Vec<Kid> {
    let is_old = |key: &&Entry| {
        let state = manifest.state(&key.kid(), now).filter(|_| key.secret().is_some());
        state.is_some_and(|state| is_retirable(state, key.retire_at().is_some(), is_file))
    };
    manifest.keys().iter().filter(is_old).map(Entry::kid).collect()
}

/// The keys that have `role`.
pub(super) fn with_role(manifest: &Manifest, role: Role, now: SystemTime) -> Vec<Kid> {
    let has_role = |kid: &Kid| manifest.state(kid, now) == Some(KeyState::Live(role));
    manifest.keys().iter().map(Entry::kid).filter(has_role).collect()
}

/// The refusal of a retirement that names no key, where not exactly one of `old` may be meant.
pub(super) fn no_fallback(manifest: &Manifest, old: &[Kid], now: SystemTime) -> OpsError {
    let secret = manifest.ring().to_owned();
    match (old, &with_role(manifest, Role::Staged, now)[..]) {
        ([], [staged, ..]) => OpsError::NoFallback { secret, staged: *staged },
        _ => {
            let kids = old.iter().map(Kid::to_string).collect();
            OpsError::NoKey { secret, what: "fallback", kids }
        }
    }
}

/// Returns whether nothing but the silence of the instances speaks against a promotion.
pub(super) fn is_silence(obstacles: &[Obstacle]) -> bool {
    !obstacles.is_empty() && obstacles.iter().all(|other| *other == Obstacle::NoInstance)
}
