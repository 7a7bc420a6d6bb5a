//! `JwtKey`: the material of a token's key, bound to one algorithm (V1).

use super::{Algorithm, Header};
use crate::encoding::BASE64URL;
use crate::kid::Kid;
use crate::mac::{HmacSha256, HmacSha384, HmacSha512};
use crate::purpose::Purpose;
use crate::ring::key::sealed;
use crate::ring::{KeyMaterial, NewKey};

/// The material of a key that signs tokens: HS256, unless
/// [`algorithm`](NewKey::algorithm) says HS384 or HS512.
///
/// Secrets have at least 64 bytes; RFC 7518 §3.2 asks for those of the hash, 32,
/// 48 or 64.
pub struct JwtKey {
    pub(super) mac: Mac,
    /// The header of what it signs, encoded.
    header: Box<str>,
}

/// A prepared key of one algorithm.
pub(super) enum Mac {
    Hs256(HmacSha256),
    Hs384(Box<HmacSha384>),
    Hs512(Box<HmacSha512>),
}

impl NewKey<JwtKey> {
    /// Binds the key to `algorithm`: it signs and verifies nothing else.
    ///
    /// ```
    /// use dualkey::{KeyRing, NewKey, Secret};
    /// use dualkey::jwt::{Algorithm, JwtKey};
    ///
    /// # let secret = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
    /// let key = NewKey::<JwtKey>::new(Secret::from(secret)).algorithm(Algorithm::HS512);
    /// let ring = KeyRing::builder().primary(key).build()?;
    /// # Ok::<(), dualkey::Error>(())
    /// ```
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.options = Some(algorithm);
        self
    }
}

impl JwtKey {
    pub(super) fn algorithm(&self) -> Algorithm {
        match self.mac {
            Mac::Hs256(_) => Algorithm::HS256,
            Mac::Hs384(_) => Algorithm::HS384,
            Mac::Hs512(_) => Algorithm::HS512,
        }
    }

    pub(super) fn header(&self) -> &str {
        &self.header
    }

    /// Signs `token` as it stands, and appends a dot and the signature.
    pub(super) fn append_signature(&self, token: &mut String) {
        fn append(token: &mut String, tag: &[u8]) {
            token.push('.');
            BASE64URL.encode_append(tag, token);
        }
        match &self.mac {
            Mac::Hs256(mac) => append(token, &mac.mac(token.as_bytes())),
            Mac::Hs384(mac) => append(token, &mac.mac(token.as_bytes())),
            Mac::Hs512(mac) => append(token, &mac.mac(token.as_bytes())),
        }
    }

    /// The signature of `message`.
    #[cfg(any(test, fuzzing))]
    pub(super) fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.mac {
            Mac::Hs256(mac) => mac.mac(message).to_vec(),
            Mac::Hs384(mac) => mac.mac(message).to_vec(),
            Mac::Hs512(mac) => mac.mac(message).to_vec(),
        }
    }
}

impl sealed::Sealed for JwtKey {}

impl KeyMaterial for JwtKey {
    const PURPOSE: Purpose = Purpose::Jwt;
    type Options = Algorithm;

    fn algorithm(algorithm: &Algorithm) -> Option<String> {
        Some(format!("{algorithm:?}"))
    }

    fn with_algorithm(default: &Algorithm, name: Option<&str>) -> Result<Algorithm, String> {
        name.map_or(Ok(*default), |name| name.parse().map_err(|_| name.to_owned()))
    }

    fn prepare(secret: &[u8], kid: Kid, algorithm: &Algorithm) -> Result<Self, String> {
        let mac = match algorithm {
            Algorithm::HS256 => Mac::Hs256(HmacSha256::new(secret)),
            Algorithm::HS384 => Mac::Hs384(Box::new(HmacSha384::new(secret))),
            Algorithm::HS512 => Mac::Hs512(Box::new(HmacSha512::new(secret))),
            other => return Err(format!("{other:?}")),
        };
        let header = Header { kid: Some(kid.to_string()), ..Header::new(*algorithm) };
        let header = serde_json::to_vec(&header).expect("a header of three strings is JSON");
        Ok(Self { mac, header: BASE64URL.encode_to_string(header).into() })
    }

    fn self_test(&self) -> bool {
        match &self.mac {
            Mac::Hs256(mac) => mac.self_test(),
            Mac::Hs384(mac) => mac.self_test(),
            Mac::Hs512(mac) => mac.self_test(),
        }
    }
}

impl std::fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtKey").field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}
