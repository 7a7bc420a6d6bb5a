//! The reasons why claims are not signed, and the words for them.

use crate::error::{Claim, Error, Reason};

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

pub(super) fn refuse(problem: &'static str) -> Error {
    Error::Sign { problem, source: None }
}

pub(super) fn unserializable(error: serde_json::Error) -> Error {
    Error::Sign { problem: "it does not serialize to JSON", source: Some(Box::new(error)) }
}

impl From<Refusal> for Error {
    #[cold]
    fn from(refusal: Refusal) -> Self {
        refuse(match refusal {
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

/// Returns the words for the reason that `verify` would give.
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
