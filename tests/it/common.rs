use std::sync::{Arc, Mutex};

use dualkey::envelope::{AesKey, Backend};
use dualkey::jwt::JwtKey;
use dualkey::{Event, KeyMaterial, KeyRing, NewKey, Observer, Secret};

/// A secret of 64 bytes that differs by `seed` and looks like nothing but chance.
pub fn secret(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03;
    (0..64)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + (state >> 33) as u8 % 90)
        })
        .collect()
}

/// A ring with `secret(0)` as its primary and the rest as fallbacks.
pub fn ring<K: KeyMaterial>(fallbacks: u64) -> KeyRing<K> {
    let mut builder = KeyRing::builder().primary(Secret::from(secret(0)));
    for seed in 1..=fallbacks {
        builder = builder.fallback(Secret::from(secret(seed)));
    }
    builder.build().unwrap()
}

pub fn key<K: KeyMaterial>(seed: u64, kid: &str) -> NewKey<K> {
    NewKey::new(Secret::from(secret(seed))).kid(kid.parse().unwrap())
}

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

/// The standard alphabet, padded.
pub mod base64 {
    pub fn encode(bytes: &[u8]) -> String {
        let text = super::base64url::encode(bytes).replace('-', "+").replace('_', "/");
        let padding = "=".repeat((4 - text.len() % 4) % 4);
        text + &padding
    }
}

/// An encoder that is not the library's.
pub mod base64url {
    pub fn encode(bytes: &[u8]) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
                << (8 * (3 - group.len()));
            for place in 0..=group.len() {
                text.push(char::from(ALPHABET[(word >> (18 - 6 * place) & 63) as usize]));
            }
        }
        text
    }

    pub fn decode(text: &str) -> Vec<u8> {
        let digit = |byte| match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            other => panic!("{other} is no digit of base64"),
        };
        let mut bytes = Vec::new();
        for group in text.trim_end_matches('=').as_bytes().chunks(4) {
            let word = group.iter().fold(0_u32, |word, byte| word << 6 | u32::from(digit(*byte)))
                << (6 * (4 - group.len()));
            bytes.extend_from_slice(&word.to_be_bytes()[1..group.len()]);
        }
        bytes
    }
}

/// Keeps what it is told, as text.
#[derive(Debug, Clone, Default)]
pub struct Told(pub Arc<Mutex<Vec<String>>>);

impl Observer for Told {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

impl Told {
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The events since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// The ring of tokens that interop files ask for: their secrets are short.
pub fn jwt_ring(primary: NewKey<JwtKey>, fallback: Option<NewKey<JwtKey>>) -> KeyRing<JwtKey> {
    let builder = KeyRing::builder().dangerous().min_secret_bytes(14).primary(primary);
    let builder = match fallback {
        Some(fallback) => builder.fallback(fallback),
        None => builder,
    };
    builder.build().unwrap()
}

/// A key of 32 bytes that differs by `seed`.
pub fn aes_key(seed: u64, kid: &str) -> NewKey<AesKey> {
    NewKey::new(Secret::from(&secret(seed).as_bytes()[..32])).kid(kid.parse().unwrap())
}

/// A ring of AES keys, the first of which is the primary.
pub fn aes_ring(keys: impl IntoIterator<Item = NewKey<AesKey>>) -> KeyRing<AesKey> {
    aes_ring_of(Backend::default(), keys)
}

/// The libraries that compute AES-256-GCM.
pub const BACKENDS: [Backend; 2] = [Backend::RustCrypto, Backend::AwsLc];

/// The same, computed by `backend`.
pub fn aes_ring_of(
    backend: Backend,
    keys: impl IntoIterator<Item = NewKey<AesKey>>,
) -> KeyRing<AesKey> {
    let mut builder = KeyRing::builder().dangerous().allow_placeholders().backend(backend);
    for (place, key) in keys.into_iter().enumerate() {
        builder = if place == 0 { builder.primary(key) } else { builder.fallback(key) };
    }
    builder.build().unwrap()
}

/// How many cases a property test runs: `full` under `DUALKEY_TEST_FULL`.
pub fn cases(quick: u32, full: u32) -> proptest::test_runner::Config {
    let cases = if is_full() { full } else { quick };
    proptest::test_runner::Config { cases, ..Default::default() }
}

/// A moment that is far ahead of every clock in these tests.
pub fn far() -> std::time::SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(4_102_444_800)
}

/// Whether the long runs take their full size.
pub fn is_full() -> bool {
    std::env::var_os("DUALKEY_TEST_FULL").is_some()
}
