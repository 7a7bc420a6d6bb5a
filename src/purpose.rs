//! What keys are for, and what follows from it.

use std::fmt;

use crate::mac::MAX_LANES;

/// What the keys of a ring are for: one secret serves one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// Tokens, [`jwt`](crate::jwt).
    Jwt,
    /// Session cookies, [`cookie`](crate::cookie).
    Cookie,
    /// Webhook deliveries, [`webhook`](crate::webhook).
    Webhook,
    /// The tokens of a webhook's handshake.
    VerifyToken,
    /// Data at rest, [`envelope`](crate::envelope).
    Envelope,
}

/// How long a secret must be, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SecretLength {
    /// The longer the better.
    AtLeast {
        /// Unless it is relaxed.
        minimum: usize,
        /// Below which only `dangerous()` goes.
        floor: usize,
    },
    /// The length of the cipher's key: no setting relaxes it.
    Exactly(usize),
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Jwt, Self::Cookie, Self::Webhook, Self::VerifyToken, Self::Envelope];

    /// Its name: frozen, because it stands in manifests and goes into derived kids.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Cookie => "cookie",
            Self::Webhook => "webhook",
            Self::VerifyToken => "verify-token",
            Self::Envelope => "envelope",
        }
    }

    /// The purpose of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == name)
    }

    /// Whether a superseded key ends by itself when its overlap is over. What is sealed is
    /// needed until somebody has rewrapped it.
    #[must_use]
    pub fn ends_by_time(self) -> bool {
        self != Self::Envelope
    }

    /// The most keys that may verify at one time: where none is tried, more may be kept.
    #[must_use]
    pub fn cap(self) -> usize {
        match self {
            Self::Envelope => 16,
            _ => MAX_LANES,
        }
    }

    /// Whether a kid may be derived from the secret: not from one that can be guessed, of
    /// which it would confirm the guess.
    pub(crate) fn derives_kid(self) -> bool {
        self != Self::VerifyToken
    }

    /// A command that makes a good secret.
    pub(crate) fn generate(self) -> &'static str {
        match self {
            Self::Envelope => "openssl rand -hex 32",
            _ => "openssl rand -hex 64",
        }
    }

    /// How long a secret must be for `algorithm`, where there is a choice of it.
    pub(crate) fn length(self, algorithm: Option<&str>) -> SecretLength {
        match self {
            // RFC 7518 section 3.2: the output of the hash.
            Self::Jwt => SecretLength::AtLeast {
                minimum: 64,
                floor: match algorithm {
                    Some("HS512") => 64,
                    Some("HS384") => 48,
                    _ => 32,
                },
            },
            Self::Cookie => SecretLength::AtLeast { minimum: 64, floor: 32 },
            Self::Webhook => SecretLength::AtLeast { minimum: 32, floor: 32 },
            Self::VerifyToken => SecretLength::AtLeast { minimum: 16, floor: 16 },
            // The key of AES-256.
            Self::Envelope => SecretLength::Exactly(32),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
