//! Signing: claims that a verifier with the same settings would reject are refused.

use serde::Serialize;

use super::{Jwt, JwtKey, form};
use crate::encoding::BASE64URL;
use crate::error::{Claim, Error, Reason};
use crate::ring::Key;

/// A reason why claims are not signed.
pub(super) enum Refusal {
    Serialize(serde_json::Error),
    NoObject,
    /// `verify` would reject them for it.
    Rejected(Reason),
    /// A claim that is not registered is there twice.
    Twice,
    TooDeep,
    LoneSurrogate,
    BeforeTheEpoch,
}

impl Jwt {
    /// Signs `claims` with `key`, under `header`, which is encoded.
    pub(super) fn signed<C: Serialize + ?Sized>(
        &self,
        key: &Key<JwtKey>,
        header: &str,
        claims: &C,
    ) -> Result<String, Error> {
        if !self.rules.validation.algorithms.contains(&key.material().algorithm()) {
            return Err(refused("the settings do not allow the algorithm of the primary"));
        }
        let json = form::to_json(claims, &self.rules).map_err(Error::from)?;
        let mut token = String::with_capacity(header.len() + json.len().div_ceil(3) * 4 + 88);
        token.push_str(header);
        token.push('.');
        BASE64URL.encode_append(json, &mut token);
        key.material().append_signature(&mut token);
        if token.len() > self.max_token_bytes {
            return Err(refused(
                "the token is larger than a verifier accepts; shorten the claims, or raise \
                 `max_token_bytes` of every verifier",
            ));
        }
        key.counters().signed();
        Ok(token)
    }
}

fn refused(problem: &'static str) -> Error {
    Error::Sign { problem, source: None }
}

pub(super) fn unserializable(error: serde_json::Error) -> Error {
    Error::Sign { problem: "it does not serialize to JSON", source: Some(Box::new(error)) }
}

impl From<Refusal> for Error {
    #[cold]
    fn from(refusal: Refusal) -> Self {
        refused(match refusal {
            Refusal::Serialize(error) => return unserializable(error),
            Refusal::NoObject => "claims must serialize to a JSON object (RFC 7519 section 4)",
            Refusal::Rejected(reason) => problem(reason),
            Refusal::Twice => {
                "a claim is there twice, and verifiers differ in which one they take; write it \
                 once (RFC 7519 section 4)"
            }
            Refusal::TooDeep => "the claims are nested more than 127 deep; flatten them",
            Refusal::LoneSurrogate => {
                "a text has half a character (a lone surrogate), which verifiers read differently; \
                 remove it (RFC 8259 section 8.2)"
            }
            Refusal::BeforeTheEpoch => {
                "the claim `exp` is negative, so that the token is never valid; write seconds \
                 since 1970"
            }
        })
    }
}

/// The words for what `verify` calls `reason`.
fn problem(reason: Reason) -> &'static str {
    macro_rules! claim {
        ($claim:ident, $problem:literal) => {
            match $claim {
                Claim::Iss => concat!("the claim `iss` ", $problem),
                Claim::Sub => concat!("the claim `sub` ", $problem),
                Claim::Aud => concat!("the claim `aud` ", $problem),
                Claim::Exp => concat!("the claim `exp` ", $problem),
                Claim::Nbf => concat!("the claim `nbf` ", $problem),
                Claim::Iat => concat!("the claim `iat` ", $problem),
                Claim::Jti => concat!("the claim `jti` ", $problem),
            }
        };
    }
    match reason {
        Reason::MissingClaim(claim) => {
            claim!(claim, "is missing, and the settings require it; add it")
        }
        Reason::ClaimType(claim) => claim!(
            claim,
            "has the wrong type; write dates as numbers of seconds, and the others as strings \
             (RFC 7519 section 4.1)"
        ),
        Reason::DuplicateClaim(claim) => claim!(claim, "is there twice; write it once"),
        _ => "a verifier cannot read the claims",
    }
}
