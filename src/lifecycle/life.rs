//! The stored times of a key.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::kid::Kid;

/// The start of a ring's first key: since when its secret has signed is not known.
pub(crate) const FROM_BEGINNING: SigningStart = SigningStart::From(UNIX_EPOCH);

/// When a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SigningStart {
    /// It only ever verifies: an old key whose past is not known.
    Never,
    /// It is staged, and waits for `promote`.
    Unscheduled,
    /// From this moment on, until another one takes over.
    From(SystemTime),
}

/// That a key is compromised: since when this is known, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revocation {
    /// When it was revoked.
    pub at: SystemTime,
    /// Why, in the operator's words.
    pub reason: String,
}

/// What is stored of the times of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) kid: Kid,
    pub(crate) signing_start: SigningStart,
    /// Which of two keys that sign from the same moment is the later one.
    pub(crate) sequence: u64,
    pub(crate) added_at: SystemTime,
    /// When a later key started to sign in its place, once a step has recorded that.
    pub(crate) superseded_at: Option<SystemTime>,
    pub(crate) retire_at: Option<SystemTime>,
    /// A policy that was made shorter does not end the key before this moment.
    pub(crate) kept_until: Option<SystemTime>,
    /// The end that the key has on instances that do not hold the last steps yet.
    pub(crate) earlier_end: Option<EarlierEnd>,
    pub(crate) revoked: Option<Revocation>,
    /// When its secret was wiped.
    pub(crate) destroyed_at: Option<SystemTime>,
    /// Whether its secret is shorter than a key's that signs.
    pub(crate) is_short: bool,
    /// True if its secret is too short by the policy of the manifest, or by the rules of a ring
    /// without one, or below the floor of its purpose, and may be guessed: the same on every
    /// instance, whatever its ring allows.
    pub(crate) is_guessable: bool,
}

/// An end that a step moved. Until every instance holds that step, some still act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EarlierEnd {
    pub(crate) at: SystemTime,
    /// From this moment on every instance holds the step.
    pub(crate) until: SystemTime,
}

impl Life {
    pub(crate) fn new(kid: Kid, added_at: SystemTime) -> Self {
        Self {
            kid,
            signing_start: SigningStart::Unscheduled,
            sequence: 0,
            added_at,
            superseded_at: None,
            retire_at: None,
            kept_until: None,
            earlier_end: None,
            revoked: None,
            destroyed_at: None,
            is_short: false,
            is_guessable: false,
        }
    }

    /// Since when it signs or will, and which of two of one moment is the later.
    pub(crate) fn start(&self) -> Option<(SystemTime, u64)> {
        match self.signing_start {
            SigningStart::From(moment) => Some((moment, self.sequence)),
            SigningStart::Never | SigningStart::Unscheduled => None,
        }
    }

    /// Since when it signs, once it does. A key from the beginning of time was added when its
    /// ring was first stored.
    pub(crate) fn signing_since(&self) -> SystemTime {
        self.start().map_or(self.added_at, |(from, _)| from.max(self.added_at))
    }

    /// Returns its start, if that is past and it may sign: a short fallback never does.
    pub(crate) fn past_start(&self, now: SystemTime) -> Option<(SystemTime, u64)> {
        self.start().filter(|(from, _)| *from <= now && !self.is_short)
    }

    /// Whether it may ever verify again.
    pub(crate) fn is_alive(&self) -> bool {
        self.revoked.is_none() && self.destroyed_at.is_none()
    }
}
