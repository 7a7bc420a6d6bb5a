//! `VerifyToken`: the material of a verify token.

use crate::kid::Kid;
use crate::mac::HmacSha256;
use crate::mac::lanes::matching;
use crate::purpose::Purpose;
use crate::ring::KeyMaterial;
use crate::ring::key::sealed;

/// The material of a verify token, which is chosen by a person and typed into the app's
/// dashboard. Tokens have at least 16 bytes; their kids are numbered, not derived.
pub struct VerifyToken(pub(super) [u32; 8]);

/// Computes the digest of a token. Tokens of different lengths are compared by their digests, so that
/// the length of the right one does not show.
pub(super) fn digest(token: &[u8]) -> [u32; 8] {
    HmacSha256::new(b"dualkey verify token v1").mac_words(token)
}

impl sealed::Sealed for VerifyToken {}

impl KeyMaterial for VerifyToken {
    const PURPOSE: Purpose = Purpose::VerifyToken;
    type Options = ();

    fn prepare(secret: &[u8], _: Kid, (): &()) -> Result<Self, String> {
        Ok(Self(digest(secret)))
    }

    fn self_test(&self) -> bool {
        let mut other = self.0;
        other[7] ^= 1;
        matching(&[self.0], &self.0) == Some(0) && matching(&[self.0], &other).is_none()
    }
}

impl std::fmt::Debug for VerifyToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VerifyToken([REDACTED])")
    }
}
