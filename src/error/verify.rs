//! Why a value did not verify: opaque to the peer, with a reason for the operator.

use std::fmt;

/// A value did not verify.
///
/// To the peer every failure before the signature held is one and the same:
/// `Display` says `verification failed` for all of them. [`reason`](Self::reason)
/// is for the operator's eyes, as is `Debug`. None of them, nor the source, holds a byte of the
/// value: a payload that the caller's type does not take is described by its place alone.
#[derive(Debug)]
pub struct VerifyError {
    reason: Reason,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl VerifyError {
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason, source: None }
    }

    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "the adapters use it, each behind a feature")
    )]
    pub(crate) fn with_source(
        reason: Reason,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self { reason, source: Some(Box::new(source)) }
    }

    /// Why, for the operator: not to be sent to the peer unless
    /// [`is_authentic`](Self::is_authentic).
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether the signature held and only the content was refused (expired,
    /// another audience). Only then the peer may learn the reason.
    #[must_use]
    pub fn is_authentic(&self) -> bool {
        self.reason.is_authentic()
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_authentic() {
            write!(f, "refused: {}", self.reason)
        } else {
            f.write_str("verification failed")
        }
    }
}

impl std::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Why a value did not verify: a small closed set, fit for a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// There was nothing to verify: no header, no cookie of that name.
    Missing,
    /// More than one value where exactly one belongs.
    Repeated,
    /// Larger than the bound.
    TooLarge,
    /// The body broke off: the peer went away, or sent less than it had said.
    Interrupted,
    /// Not of the form at all: parts, alphabet, JSON of the header.
    Malformed,
    /// A header demands what is not understood: `crit`, `b64` or `zip` in a token, the
    /// version or the algorithm of an envelope.
    UnsupportedHeader,
    /// The algorithm is not the key's, or not among those asked for.
    Algorithm,
    /// It names a key that the ring does not have.
    UnknownKid,
    /// It names a key that is revoked.
    RevokedKey,
    /// It names a key that has stopped verifying.
    ExpiredKey,
    /// The ring serves nothing: what it holds is older than its `max_staleness`. Answer that
    /// the service is not available.
    Stale,
    /// The ring serves nothing: its last key that could sign was revoked. Answer that the
    /// service is not available.
    NoPrimary,
    /// No key of the ring made this signature, or the tag of this ciphertext.
    Signature,
    /// Of a legacy form that was not turned on.
    LegacyNotAccepted,
    /// Of a legacy form whose date is past.
    LegacyEnded,
    /// A ciphertext that opens under more than one key, or in more than one form: made by
    /// who holds two keys, to mean two things.
    Ambiguous,
    /// Authentic, but past its end.
    Expired,
    /// Authentic, but its time has not come.
    NotYetValid,
    /// Authentic, but a required claim is missing.
    MissingClaim(Claim),
    /// Authentic, but a registered claim is of the wrong JSON type.
    ClaimType(Claim),
    /// Authentic, but a registered claim is there twice.
    DuplicateClaim(Claim),
    /// Authentic, but for another issuer, audience or subject.
    WrongClaim(Claim),
    /// Authentic, but the payload is not what the caller's type asks for.
    Payload,
    /// Authentic, but a text of the payload holds an escape, and the caller's type borrows
    /// it as `&str`: take `Cow<str>` with `#[serde(borrow)]`.
    Escaped,
}

impl Reason {
    /// Whether the signature held.
    #[must_use]
    pub fn is_authentic(self) -> bool {
        match self {
            Self::Expired
            | Self::NotYetValid
            | Self::MissingClaim(_)
            | Self::ClaimType(_)
            | Self::DuplicateClaim(_)
            | Self::WrongClaim(_)
            | Self::Payload
            | Self::Escaped => true,
            Self::Missing
            | Self::Repeated
            | Self::TooLarge
            | Self::Interrupted
            | Self::Malformed
            | Self::UnsupportedHeader
            | Self::Algorithm
            | Self::UnknownKid
            | Self::RevokedKey
            | Self::ExpiredKey
            | Self::Stale
            | Self::NoPrimary
            | Self::Signature
            | Self::LegacyNotAccepted
            | Self::LegacyEnded
            | Self::Ambiguous => false,
        }
    }

    /// Returns `true` if the ring serves nothing now, so that the value says nothing about its
    /// sender: [`Stale`](Self::Stale) and [`NoPrimary`](Self::NoPrimary).
    #[must_use]
    pub fn is_unavailable(self) -> bool {
        matches!(self, Self::Stale | Self::NoPrimary)
    }

    /// Returns the reason that says most of several, in whichever order they came. An authentic
    /// one first, which alone may be shown to the peer. Where the ring `is_idle`, a revoked key
    /// last: it must not hide that another value may be good.
    #[cfg_attr(
        not(feature = "full"),
        allow(
            dead_code,
            reason = "only `jwt` and `cookie`, higher modules, verify one of several"
        )
    )]
    pub(crate) fn foremost(reasons: &[Self], is_idle: bool) -> Self {
        let rank = |reason: Self| match reason {
            Self::RevokedKey if is_idle => 0,
            Self::Malformed => 1,
            Self::TooLarge => 2,
            Self::UnsupportedHeader => 3,
            Self::Algorithm => 4,
            Self::LegacyNotAccepted => 5,
            Self::LegacyEnded => 6,
            Self::UnknownKid => 7,
            Self::Signature => 8,
            Self::ExpiredKey => 9,
            Self::RevokedKey => 10,
            Self::NotYetValid => 11,
            Self::Expired => 12,
            _ => 13,
        };
        let foremost = reasons.iter().copied().max_by_key(|reason| (rank(*reason), *reason));
        foremost.unwrap_or(Self::Malformed)
    }

    /// A stable name for logs and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Repeated => "repeated",
            Self::TooLarge => "too_large",
            Self::Interrupted => "interrupted",
            Self::Malformed => "malformed",
            Self::UnsupportedHeader => "unsupported_header",
            Self::Algorithm => "algorithm",
            Self::UnknownKid => "unknown_kid",
            Self::RevokedKey => "revoked_key",
            Self::ExpiredKey => "expired_key",
            Self::Stale => "stale",
            Self::NoPrimary => "no_primary",
            Self::Signature => "signature",
            Self::LegacyNotAccepted => "legacy_not_accepted",
            Self::LegacyEnded => "legacy_ended",
            Self::Ambiguous => "ambiguous",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::MissingClaim(_) => "missing_claim",
            Self::ClaimType(_) => "claim_type",
            Self::DuplicateClaim(_) => "duplicate_claim",
            Self::WrongClaim(_) => "wrong_claim",
            Self::Payload => "payload",
            Self::Escaped => "escaped",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingClaim(claim)
            | Self::ClaimType(claim)
            | Self::DuplicateClaim(claim)
            | Self::WrongClaim(claim) => write!(f, "{} {}", self.as_str(), claim.as_str()),
            _ => f.write_str(self.as_str()),
        }
    }
}

/// A registered claim of RFC 7519 §4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// `iss`, the issuer.
    Iss,
    /// `sub`, the subject.
    Sub,
    /// `aud`, the audience.
    Aud,
    /// `exp`, the end.
    Exp,
    /// `nbf`, the beginning.
    Nbf,
    /// `iat`, the time of issue.
    Iat,
    /// `jti`, the token's id.
    Jti,
}

impl Claim {
    /// The name of the claim, as in a token.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Iss => "iss",
            Self::Sub => "sub",
            Self::Aud => "aud",
            Self::Exp => "exp",
            Self::Nbf => "nbf",
            Self::Iat => "iat",
            Self::Jti => "jti",
        }
    }
}
