//! The header of a token: which algorithm it claims, and which key it names.

use std::collections::HashSet;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::key::JwtKey;
use super::{Algorithm, Header};
use crate::encoding::BASE64URL;
use crate::error::Reason;
use crate::kid::is_same;
use crate::ring::snapshot::{Matched, View};

/// The algorithm and the key that a header names.
pub(super) struct Named<'r> {
    pub(super) algorithm: Algorithm,
    /// The key that it names, if it names one.
    pub(super) key: Option<Matched<'r, JwtKey>>,
}

/// The headers without a `kid` that other libraries write: npm jsonwebtoken and
/// PyJWT the first, jsonwebtoken and most others the second, panva/jose the third.
pub(super) const KNOWN: [(&str, Algorithm); 9] = [
    // {"alg":"HS256","typ":"JWT"}
    ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", Algorithm::HS256),
    // {"typ":"JWT","alg":"HS256"}
    ("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9", Algorithm::HS256),
    // {"alg":"HS256"}
    ("eyJhbGciOiJIUzI1NiJ9", Algorithm::HS256),
    ("eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9", Algorithm::HS384),
    ("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzM4NCJ9", Algorithm::HS384),
    ("eyJhbGciOiJIUzM4NCJ9", Algorithm::HS384),
    ("eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9", Algorithm::HS512),
    ("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9", Algorithm::HS512),
    ("eyJhbGciOiJIUzUxMiJ9", Algorithm::HS512),
];

/// Returns the claims of the header of `token` and its length, if the ring's keys or a common
/// library wrote it: by comparison alone.
pub(super) fn recognize<'r>(token: &str, view: &View<'r, JwtKey>) -> Option<(Named<'r>, usize)> {
    if let Some(key) = view.verifying().find(|(key, _)| has_header(token, key.material().header()))
    {
        let material = key.0.material();
        let named = Named { algorithm: material.algorithm(), key: Some(key) };
        return Some((named, material.header().len()));
    }
    let (header, algorithm) = KNOWN.iter().find(|(header, _)| has_header(token, header))?;
    Some((Named { algorithm: *algorithm, key: None }, header.len()))
}

/// Returns whether `token` has this header.
#[inline]
fn has_header(token: &str, header: &str) -> bool {
    token.as_bytes().split_at_checked(header.len()).is_some_and(|(start, rest)| {
        rest.first() == Some(&b'.') && is_same(start, header.as_bytes())
    })
}

/// Reads any other header, without its dot.
pub(super) fn read<'r>(encoded: &str, view: &View<'r, JwtKey>) -> Result<Named<'r>, Reason> {
    let json = BASE64URL.decode_to_vec(encoded).map_err(|_| Reason::Malformed)?;
    let (algorithm, kid) = parse(&json)?;
    let key = kid.map(|kid| view.named(kid.as_bytes())).transpose()?;
    Ok(Named { algorithm, key })
}

/// Decodes the whole header of a token that verified.
pub(super) fn decode(encoded: &str) -> Result<Header, Reason> {
    let json = BASE64URL.decode_to_vec(encoded).map_err(|_| Reason::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Reason::Malformed)
}

/// Reads the algorithm and the `kid` of a header in JSON, unless it is ambiguous or asks
/// for what is not understood.
pub(super) fn parse(json: &[u8]) -> Result<(Algorithm, Option<String>), Reason> {
    let text = std::str::from_utf8(json).map_err(|_| Reason::Malformed)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members =
        deserializer.deserialize_map(Members::default()).map_err(|_| Reason::Malformed)?;
    deserializer.end().map_err(|_| Reason::Malformed)?;
    if members.unsupported {
        return Err(Reason::UnsupportedHeader);
    }
    let algorithm = members.alg.ok_or(Reason::Malformed)?;
    let algorithm = algorithm.parse().map_err(|_| Reason::Algorithm)?;
    // The types of everything else, as `jsonwebtoken` has them.
    serde_json::from_str::<Header>(text).map_err(|_| Reason::Malformed)?;
    Ok((algorithm, members.kid))
}

#[derive(Default)]
struct Members {
    alg: Option<String>,
    kid: Option<String>,
    unsupported: bool,
}

impl<'de> Visitor<'de> for Members {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the header of a JWS")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "alg" => self.alg = Some(map.next_value()?),
                // A string and nothing else: `null` would be a key that is not named.
                "kid" => self.kid = Some(map.next_value()?),
                // RFC 7515 §4.1.11: what is critical and not understood is invalid.
                // `zip` belongs to JWE, and asks to inflate what was not verified.
                "crit" | "zip" => {
                    map.next_value::<IgnoredAny>()?;
                    self.unsupported = true;
                }
                // RFC 7797 §3: `false` means another signing input.
                "b64" => self.unsupported |= !map.next_value::<bool>()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            // RFC 7515 §4: names are unique; of two, some would take the other.
            if !names.insert(name) {
                return Err(serde::de::Error::custom("a name is there twice"));
            }
        }
        Ok(self)
    }
}
