//! The identity of a key: its kid, its aliases, and the digests of its secret.

use std::collections::HashSet;

use crate::encoding::BASE64URL;
use crate::error::Error;
use crate::kid::Kid;
use crate::mac::{HmacSha256, HmacSha512};
use crate::purpose::Purpose;
use crate::secret::wipe_stack;

/// Derives the kid of a key that was given none.
pub(crate) fn derive_kid(secret: &[u8], purpose: Purpose) -> Kid {
    let purpose = purpose.as_str().as_bytes();
    let tag = HmacSha256::new(secret).mac(&[b"dualkey kid v1\0", purpose].concat());
    Kid::new(&BASE64URL.encode_to_string(&tag[..12])).expect("16 characters of base64url are a kid")
}

/// The digests of a secret as HMAC pads it, with blocks of 64 bytes and with
/// blocks of 128. Two secrets with one equal digest are the same.
pub(crate) fn secret_prints(secret: &[u8]) -> [[u8; 32]; 2] {
    const LABEL: &[u8] = b"dualkey print v1";
    let wide = HmacSha512::new(secret).mac(LABEL);
    let mut half = [0; 32];
    half.copy_from_slice(&wide[..32]);
    let prints = [HmacSha256::new(secret).mac(LABEL), half];
    wipe_stack();
    prints
}

/// The identity of one key among those of its ring.
pub(crate) struct Identity<'a> {
    pub(crate) kid: Kid,
    pub(crate) aliases: &'a [Kid],
    /// The digests of the secret; `None` if the secret was destroyed.
    pub(crate) prints: Option<[[u8; 32]; 2]>,
    pub(crate) is_revoked: bool,
}

impl Identity<'_> {
    fn names(&self) -> impl Iterator<Item = Kid> {
        std::iter::once(self.kid).chain(self.aliases.iter().copied())
    }

    /// Returns whether both keys have one secret, as HMAC pads it.
    fn has_secret_of(&self, other: &Self) -> bool {
        match (&self.prints, &other.prints) {
            (Some(one), Some(other)) => one.iter().zip(other).any(|(one, other)| one == other),
            _ => false,
        }
    }
}

/// Refuses a kid, an alias or a secret that is there twice. A revoked key counts: its secret does not
/// come back under another name (V8).
pub(crate) fn check_unique(keys: &[Identity<'_>]) -> Result<(), Error> {
    // A set, not pairs: a manifest of 1 MiB has room for many thousands of aliases.
    let mut taken = HashSet::new();
    for (index, key) in keys.iter().enumerate() {
        for other in &keys[..index] {
            let is_same_secret = key.has_secret_of(other);
            if is_same_secret && other.is_revoked {
                return Err(Error::Revoked { kid: other.kid });
            }
            if is_same_secret {
                return Err(Error::DuplicateSecret {
                    key: format!("the key `{}`", key.kid),
                    other: format!("the key `{}`", other.kid),
                });
            }
        }
        if let Some(kid) = key.names().find(|name| !taken.insert(*name)) {
            return Err(Error::DuplicateKid { kid });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: a change would rename every key in the field.
    #[test]
    fn derived_kids_are_those_of_the_test_vectors() {
        let secret = b"kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5";
        for (purpose, kid) in [
            (Purpose::Jwt, "ccR5-2VI_YqfJw9i"),
            (Purpose::Cookie, "pDK4NH-BDfnjgS8_"),
            (Purpose::Webhook, "IDtCyjmk3u6bn09I"),
            (Purpose::Envelope, "xUemqEaLmY_4yeod"),
        ] {
            assert_eq!(derive_kid(secret, purpose), *kid, "{purpose:?}");
        }
    }
}
