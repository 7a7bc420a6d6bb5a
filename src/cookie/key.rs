//! `CookieKey`: the material of a key that signs cookies.

use zeroize::Zeroize;

use super::legacy::LegacyKeys;
use crate::kid::Kid;
use crate::mac::HmacSha256;
use crate::purpose::Purpose;
use crate::ring::KeyMaterial;
use crate::ring::key::sealed;

/// The material of a key that signs cookies. Secrets have at least 64 bytes.
pub struct CookieKey {
    pub(super) native: HmacSha256,
    pub(super) legacy: LegacyKeys,
}

impl sealed::Sealed for CookieKey {}

impl KeyMaterial for CookieKey {
    const PURPOSE: Purpose = Purpose::Cookie;
    type Options = ();

    fn prepare(secret: &[u8], _: Kid, (): &()) -> Result<Self, String> {
        // A key of its own: no signature that another library makes under the same secret
        // can be one of these. Deliberately not HMAC(secret, label): a server that signs what
        // users choose would sign the label, and set the key as a cookie.
        let mut key = HmacSha256::new(b"dualkey cookie v1").mac(secret);
        let native = HmacSha256::new(&key);
        key.zeroize();
        Ok(Self { native, legacy: LegacyKeys::new(secret) })
    }

    fn self_test(&self) -> bool {
        self.native.self_test()
    }
}

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKey([REDACTED])")
    }
}
