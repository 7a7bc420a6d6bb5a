//! `JwtKey`: the material of a token's key, bound to one algorithm (V1).

use super::header::Named;
use super::{Algorithm, Header};
use crate::encoding::{BASE64URL, TAG_TEXT_LEN, exactly};
use crate::error::Reason;
use crate::kid::Kid;
use crate::mac::{HmacSha256, HmacSha384, HmacSha512, Tags};
use crate::purpose::Purpose;
use crate::ring::key::sealed;
use crate::ring::snapshot::{Matched, Tried, View};
use crate::ring::{KeyMaterial, NewKey};

/// The material of a key that signs tokens: HS256, unless
/// [`algorithm`](NewKey::algorithm) says HS384 or HS512.
///
/// Secrets have at least 64 bytes; RFC 7518 §3.2 asks for those of the hash, 32,
/// 48 or 64.
pub struct JwtKey {
    mac: Mac,
    /// The header of what it signs, encoded.
    header: Box<str>,
}

enum Mac {
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

/// The key that made `signature`: the one that is named, or one of all of its
/// algorithm (V2). V5: one call for all.
pub(super) fn matching<'r>(
    view: &View<'r, JwtKey>,
    named: &Named<'r>,
    message: &[u8],
    signature: &[u8],
) -> Result<Matched<'r, JwtKey>, Reason> {
    // V1: a key of another algorithm is not among those that are tried.
    macro_rules! tried {
        ($own:pat => $mac:expr) => {{
            let able = |key: Matched<'r, JwtKey>| match &key.0.material().mac {
                $own => Some(($mac, key)),
                _ => None,
            };
            match named.key {
                Some(key) => Tried::of(able(key)),
                None => Tried::of(view.verifying().filter_map(able)),
            }
            .ok_or(Reason::Algorithm)?
        }};
    }
    macro_rules! matching {
        ($own:pat => $mac:expr, $verify_any:path) => {{
            let tried = tried!($own => $mac);
            let place = $verify_any(tried.macs(), message, &tag(signature)?);
            place.and_then(|place| tried.key(place))
        }};
    }
    let found = match named.algorithm {
        Algorithm::HS256 => {
            let tried = tried!(Mac::Hs256(mac) => mac);
            if signature.len() != TAG_TEXT_LEN {
                return Err(Reason::Malformed);
            }
            // Before the signature is decoded: a hash waits for itself most of the time, and
            // the processor has what comes behind it done meanwhile.
            let tags = Tags::of(tried.macs(), message);
            tags.matching(&tag(signature)?).and_then(|place| tried.key(place))
        }
        Algorithm::HS384 => matching!(Mac::Hs384(mac) => &**mac, HmacSha384::verify_any),
        Algorithm::HS512 => matching!(Mac::Hs512(mac) => &**mac, HmacSha512::verify_any),
        // No key has another.
        _ => return Err(Reason::Algorithm),
    };
    found.ok_or(Reason::Signature)
}

fn tag<const N: usize>(signature: &[u8]) -> Result<[u8; N], Reason> {
    exactly(signature).ok_or(Reason::Malformed)
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
