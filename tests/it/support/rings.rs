//! Secrets and rings that differ by a seed.

use dualkey::envelope::{AesKey, Backend};
use dualkey::jwt::JwtKey;
use dualkey::{KeyMaterial, KeyRing, NewKey, Secret};

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
#[cfg(feature = "aws-lc")]
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
