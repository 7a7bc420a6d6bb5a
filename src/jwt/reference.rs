//! The reference verifier, for tests and fuzzing: it parses every header, computes the keys one
//! after the other without the lanes, and reads the claims in a pass of its own. The fast path
//! must come to the same verdict.

use serde::de::DeserializeOwned;

use super::adapter::Jwt;
use super::authenticate::SIGNATURE_LENGTHS;
use super::key::JwtKey;
use super::verify::describe_unfit;
use super::{claims, header};
use crate::encoding::BASE64URL;
use crate::error::{Reason, VerifyError};
use crate::kid::Kid;
use crate::ring::snapshot::Matched;

impl Jwt {
    /// Verifies as [`verify`](Self::verify) does, without shortcuts. It counts nothing, and calls no
    /// observer.
    #[doc(hidden)]
    pub fn verify_plainly<C: DeserializeOwned>(
        &self,
        token: &str,
    ) -> Result<(Kid, C), VerifyError> {
        if token.len() > self.max_token_bytes {
            return Err(Reason::TooLarge.into());
        }
        let parts: Vec<_> = token.split('.').collect();
        let [encoded, payload, signature] = parts[..] else { return Err(Reason::Malformed.into()) };
        if payload.len() % 4 == 1 || !SIGNATURE_LENGTHS.contains(&signature.len()) {
            return Err(Reason::Malformed.into());
        }
        let json = BASE64URL.decode_to_vec(encoded).map_err(|_| Reason::Malformed)?;
        let (algorithm, kid) = header::parse(&json)?;
        self.ring.read(|view| {
            let named = kid.map(|kid| view.named(kid.as_bytes())).transpose()?;
            if !self.rules.validation.algorithms.contains(&algorithm) {
                return Err(Reason::Algorithm.into());
            }
            let tried = match named {
                Some(key) => vec![key],
                None => view.verifying().collect(),
            };
            let is_able = |(key, _): &Matched<'_, JwtKey>| key.material().algorithm() == algorithm;
            let tried: Vec<_> = tried.into_iter().filter(is_able).collect();
            if tried.is_empty() {
                return Err(Reason::Algorithm.into());
            }
            let length = tried[0].0.material().signature(b"").len();
            let shown = BASE64URL.decode_to_vec(signature).map_err(|_| Reason::Malformed)?;
            if shown.len() != length {
                return Err(Reason::Malformed.into());
            }
            let message = [encoded, payload].join(".");
            let key = tried
                .iter()
                .find(|(key, _)| key.material().signature(message.as_bytes()) == shown)
                .ok_or(Reason::Signature)?;

            let payload = BASE64URL.decode_to_vec(payload).map_err(|_| Reason::Malformed)?;
            let payload = std::str::from_utf8(&payload).map_err(|_| Reason::Payload)?;
            claims::read(payload, &self.rules)?.check(&self.rules, view.since_epoch())?;
            let claims = serde_json::from_str(payload)
                .map_err(|error| describe_unfit(Reason::Payload, &error))?;
            Ok((key.0.kid(), claims))
        })
    }
}
