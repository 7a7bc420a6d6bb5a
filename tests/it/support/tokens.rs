//! Tokens that the library did not sign.

use super::base64url;

pub fn encode(secret: &[u8], header: &jsonwebtoken::Header, claims: &serde_json::Value) -> String {
    jsonwebtoken::encode(header, claims, &jsonwebtoken::EncodingKey::from_secret(secret)).unwrap()
}

/// A token for `header` and `payload` as they stand, signed with HS256.
pub fn forge(secret: &[u8], header: &str, payload: &[u8]) -> String {
    use base64url::encode;
    let message = format!("{}.{}", encode(header.as_bytes()), encode(payload));
    let tag = dualkey::mac::HmacSha256::new(secret).mac(message.as_bytes());
    format!("{message}.{}", encode(&tag))
}
