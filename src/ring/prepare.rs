//! Checks a new key and prepares it for its ring.

use std::time::SystemTime;

use crate::error::Error;
use crate::lifecycle::admission::{Rules, check, kid};
use crate::ring::{Key, KeyMaterial, NewKey};

/// Checks `new`, which errors call `label`, and prepares it; `number` names a key whose
/// kid may not be derived.
pub(super) fn prepare<K: KeyMaterial>(
    new: &NewKey<K>,
    label: &str,
    is_fallback: bool,
    options: &K::Options,
    rules: &Rules,
    number: impl FnOnce() -> usize,
    now: SystemTime,
) -> Result<Key<K>, Error> {
    let options = new.options.as_ref().unwrap_or(options);
    let algorithm = K::algorithm(options);
    let is_short = check(&new.secret, label, is_fallback, K::PURPOSE, algorithm.as_deref(), rules)?;
    let kid = kid(new.kid, &new.secret, K::PURPOSE, is_short, number)?;
    new.prepare(kid, options, is_short, now)
        .map_err(|algorithm| Error::UnsupportedAlgorithm { key: label.to_owned(), algorithm })
}

/// A key that is to sign has no end of its own: what it signed last would be cut off.
pub(super) fn check_no_end<K: KeyMaterial>(new: &NewKey<K>, label: &str) -> Result<(), Error> {
    match new.retire_at {
        Some(_) => Err(Error::EndsWhileItSigns { key: label.to_owned() }),
        None => Ok(()),
    }
}
