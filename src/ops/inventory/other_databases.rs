//! The keys of a credential that name another database than the one in use.

use std::time::SystemTime;

use super::secret::SecretSpec;
use crate::kid::Kid;
use crate::manifest::{Entry, Manifest};
use crate::ops::address::{Difference, difference};
use crate::purpose::Purpose;

/// The keys of `manifest` that name another database than its primary does.
pub(super) fn keys_apart<'m>(
    item: &SecretSpec,
    manifest: &'m Manifest,
    now: SystemTime,
) -> Vec<(&'m Entry, Difference)> {
    let primary = manifest.key(&manifest.primary(now));
    let Some(first) =
        primary.and_then(Entry::secret).filter(|_| item.purpose == Purpose::Credential)
    else {
        return Vec::new();
    };
    let live = manifest.keys().iter().filter(|key| key.revoked().is_none());
    live.filter_map(|key| {
        difference(first.expose(), key.secret()?.expose()).map(|difference| (key, difference))
    })
    .collect()
}

/// The kids of those keys.
pub(crate) fn kids_apart(item: &SecretSpec, manifest: &Manifest, now: SystemTime) -> Vec<Kid> {
    keys_apart(item, manifest, now).into_iter().map(|(key, _)| key.kid()).collect()
}
