//! The standard alphabet of base64, padded.

pub fn encode(bytes: &[u8]) -> String {
    let text = super::base64url::encode(bytes).replace('-', "+").replace('_', "/");
    let padding = "=".repeat((4 - text.len() % 4) % 4);
    text + &padding
}
