//! The head of a trail: its signed end.

use super::error::AuditError;
use super::key::{AuditKey, MacOutcome, check, sign_text};
use super::line;
use crate::encoding::{BASE64URL, decode_exact};
use crate::error::Error;
use crate::kid::Kid;
use crate::ring::KeyRing;

const HEAD: &str = "dualkey audit head v1";

/// The place where a trail ends: kept beside it, so that its last records cannot be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    /// The number of records.
    pub(super) n: u64,
    /// The hash of the last line; `None` if there is no record.
    pub(super) hash: Option<[u8; 32]>,
    /// The key that signed the head, if it is revoked.
    pub(super) revoked: Option<Kid>,
}

/// The end of a trail, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrailEnd {
    /// No head was ever written, or it was removed.
    Missing,
    /// The head was changed, or is under a key that the ring does not hold.
    Unreadable,
    At(Head),
}

impl TrailEnd {
    /// Takes the result of reading the head: a broken one is an end that is unreadable.
    pub(super) fn from_read(head: Result<Option<Head>, AuditError>) -> Result<Self, AuditError> {
        match head {
            Err(AuditError::Broken { .. }) => Ok(Self::Unreadable),
            head => Ok(Self::from(head?)),
        }
    }

    pub(super) fn head(self) -> Option<Head> {
        match self {
            Self::At(head) => Some(head),
            Self::Missing | Self::Unreadable => None,
        }
    }
}

impl From<Option<Head>> for TrailEnd {
    fn from(head: Option<Head>) -> Self {
        head.map_or(Self::Missing, Self::At)
    }
}

impl Head {
    /// Returns the head as one line, which no record can be: those begin with a date.
    pub(super) fn write(&self, ring: &KeyRing<AuditKey>) -> Result<String, Error> {
        let hash =
            self.hash.map_or_else(|| "-".to_owned(), |hash| BASE64URL.encode_to_string(hash));
        sign_text(ring, &format!("{HEAD} | n={} | last={hash}", self.n))
    }

    /// Reads what [`write`](Self::write) wrote; `None` if no key of this ring signed it.
    pub(super) fn read(ring: &KeyRing<AuditKey>, text: &str) -> Option<Self> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let revoked = match check(ring, text) {
            MacOutcome::Holds => None,
            MacOutcome::UnderRevoked(kid) => Some(kid),
            MacOutcome::Unknown(_) | MacOutcome::Wrong => return None,
        };
        let (part, ..) = line::split(text)?;
        let (n, hash) = part.strip_prefix(HEAD)?.strip_prefix(" | n=")?.split_once(" | last=")?;
        let hash = match hash {
            "-" => None,
            hash => Some(decode_exact(hash.as_bytes())?),
        };
        Some(Self { n: n.parse().ok()?, hash, revoked })
    }
}
