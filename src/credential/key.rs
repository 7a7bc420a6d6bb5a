//! The material of a credential: the secret itself, because it is shown.

use std::fmt;

use crate::kid::Kid;
use crate::purpose::Purpose;
use crate::ring::KeyMaterial;
use crate::ring::key::sealed;
use crate::secret::Secret;

/// The material of a credential: a password, an API key, a URL with one. At least 16 bytes,
/// unless the ring is told otherwise; its kid is numbered or set, never derived, because a
/// credential may be guessable.
///
/// Credentials do not end by time: a superseded one is used in need until it is retired.
pub struct Credential(pub(super) Secret);

impl sealed::Sealed for Credential {}

impl KeyMaterial for Credential {
    const PURPOSE: Purpose = Purpose::Credential;
    type Options = ();

    fn prepare(secret: &[u8], _: Kid, (): &()) -> Result<Self, String> {
        Ok(Self(Secret::from(secret)))
    }

    /// Only who verifies it can say whether it is right.
    fn self_test(&self) -> bool {
        !self.0.expose().is_empty()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential([REDACTED])")
    }
}
