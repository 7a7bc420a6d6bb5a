//! `WebhookKey`: the material of an app secret.

use std::fmt;

use crate::kid::Kid;
use crate::mac::HmacSha256;
use crate::purpose::Purpose;
use crate::ring::KeyMaterial;
use crate::ring::key::sealed;

/// The material of an app secret. Secrets have at least 32 bytes; Meta's are 32
/// hexadecimal digits, which are taken as the text they are.
pub struct WebhookKey(pub(super) HmacSha256);

impl sealed::Sealed for WebhookKey {}

impl KeyMaterial for WebhookKey {
    const PURPOSE: Purpose = Purpose::Webhook;
    type Options = ();

    fn prepare(secret: &[u8], _: Kid, (): &()) -> Result<Self, String> {
        Ok(Self(HmacSha256::new(secret)))
    }

    fn self_test(&self) -> bool {
        self.0.self_test()
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey([REDACTED])")
    }
}
