//! The check of the values of new keys.

use std::time::SystemTime;

use crate::manifest::{Entry, Manifest};
use crate::ops::address::difference;
use crate::ops::error::OpsError;
use crate::ops::inventory::SecretSpec;
use crate::purpose::Purpose;
use crate::secret::Secret;

/// Fails if a key that `next` has and `current` has not is no value of `item`: it has another form, or
/// names another database.
pub(super) fn check_new_keys(
    item: &SecretSpec,
    current: &Manifest,
    next: &Manifest,
    now: SystemTime,
) -> Result<(), OpsError> {
    let in_use = current.key(&current.primary(now)).and_then(Entry::secret);
    let in_use = in_use.map(Secret::expose);
    for key in next.keys().iter().filter(|key| current.key(&key.kid()).is_none()) {
        let Some(secret) = key.secret() else { continue };
        item.check_value(secret.expose(), in_use)?;
        let difference = in_use.and_then(|value| difference(value, secret.expose()));
        if let Some(difference) = difference.filter(|_| !item.other_databases)
            && item.purpose == Purpose::Credential
        {
            let problem = format!(
                "it {} the one in use; correct it, or set `other_databases = true` for `{}` in the \
                 inventory",
                difference.than(),
                item.name
            );
            return Err(OpsError::Value { name: item.name.clone(), problem });
        }
    }
    Ok(())
}
