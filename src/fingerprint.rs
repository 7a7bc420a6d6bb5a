//! The fingerprint of a state of a ring, which holds nothing secret.

use std::fmt;
use std::str::FromStr;

use crate::encoding::{BASE64URL, decode_exact};

/// The public digest of a state of a ring. Two instances with equal fingerprints hold the same keys
/// with the same times. 16 characters of base64url as text; public, safe to log.
///
/// It does not depend on the moment: a promotion by the clock leaves it as it is.
///
/// ```
/// use dualkey::{KeyRing, Secret};
/// use dualkey::cookie::CookieKey;
///
/// # let (new, old) = ("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU",
/// #     "Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki");
/// let instance = || KeyRing::<CookieKey>::builder().primary(Secret::from(old)).build();
/// let (one, other) = (instance()?, instance()?);
/// assert_eq!(one.fingerprint(), other.fingerprint());
/// one.stage(Secret::from(new))?;
/// assert_ne!(one.fingerprint(), other.fingerprint());
/// # Ok::<(), dualkey::Error>(())
/// ```
///
/// # Security
/// A secret that may be guessed (a verify token) is not part of it: only its kid is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 12]);

impl Fingerprint {
    /// The fingerprint of a report that cannot be read: of no ring.
    pub(crate) const NONE: Self = Self([0; 12]);

    /// The first bytes of a digest.
    pub(crate) fn from_digest(digest: &[u8; 32]) -> Self {
        let mut bytes = [0; 12];
        bytes.copy_from_slice(&digest[..12]);
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BASE64URL.encode_to_string(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The text was no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 16 characters of base64url")]
pub struct ParseFingerprintError;

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, ParseFingerprintError> {
        decode_exact(text.as_bytes()).map(Self).ok_or(ParseFingerprintError)
    }
}
