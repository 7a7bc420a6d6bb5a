//! The words of a record: what was done, and how it went.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::manifest;

/// What was done, as one word: `ROTATED`.
///
/// Those that this crate writes are constants; a log that was imported may hold others.
///
/// ```
/// use dualkey::ops::audit::Action;
///
/// assert_eq!("rolled-back".parse(), Ok(Action::ROLLED_BACK));
/// assert!("two words".parse::<Action>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Action(Cow<'static, str>);

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It is about to be done: told before anything changes. Another record says how it went.
    Started,
    /// It was done.
    Success,
    /// It was refused, or went wrong; nothing has changed.
    Failed,
    /// Who began it was gone before anything changed.
    Abandoned,
    /// Who began it was gone, and whether it was done can no longer be told.
    Unknown,
}

/// The text is no action or outcome of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an action is one word of letters, as in ROLLED_BACK; an outcome one of STARTED, SUCCESS, FAILED, ABANDONED"
)]
pub struct ParseActionError;

impl Action {
    /// The first key of a ring was made.
    pub const CREATED: Self = Self(Cow::Borrowed("CREATED"));
    /// A key was added: it verifies, and does not sign yet.
    pub const STAGED: Self = Self(Cow::Borrowed("STAGED"));
    /// Another key signs: a promotion, or a secret that was changed elsewhere.
    pub const ROTATED: Self = Self(Cow::Borrowed("ROTATED"));
    /// The key before signs again.
    pub const ROLLED_BACK: Self = Self(Cow::Borrowed("ROLLED_BACK"));
    /// A key was given its end.
    pub const RETIRED: Self = Self(Cow::Borrowed("RETIRED"));
    /// A key was declared compromised.
    pub const REVOKED: Self = Self(Cow::Borrowed("REVOKED"));
    /// Another key signs, because the one before is compromised.
    pub const EMERGENCY_ROTATED: Self = Self(Cow::Borrowed("EMERGENCY_ROTATED"));
    /// A secret was wiped.
    pub const DESTROYED: Self = Self(Cow::Borrowed("DESTROYED"));
    /// Somebody went over a refusal.
    pub const FORCED: Self = Self(Cow::Borrowed("FORCED"));
    /// Something was opened under a revoked key.
    pub const OPENED_REVOKED: Self = Self(Cow::Borrowed("OPENED_REVOKED"));
    /// A rewrap went through what is stored.
    pub const REWRAPPED: Self = Self(Cow::Borrowed("REWRAPPED"));
    /// Somebody was reminded.
    pub const REMINDED: Self = Self(Cow::Borrowed("REMINDED"));
    /// What the keys live by was set.
    pub const POLICY_SET: Self = Self(Cow::Borrowed("POLICY_SET"));
    /// An expired key was added again: it verifies, and does not sign yet.
    pub const RESTAGED: Self = Self(Cow::Borrowed("RESTAGED"));
    /// The times of a manifest that was written with a wrong clock were corrected.
    pub const CLOCK_REPAIRED: Self = Self(Cow::Borrowed("CLOCK_REPAIRED"));
    /// The trail begins anew, after one that was broken.
    pub const RESTARTED: Self = Self(Cow::Borrowed("RESTARTED"));

    /// After which another key signs.
    pub(crate) const ROTATIONS: [Self; 3] =
        [Self::ROTATED, Self::ROLLED_BACK, Self::EMERGENCY_ROTATED];

    /// What is told before it is done, and after it.
    pub(crate) const STEPS: [Self; 11] = [
        Self::CREATED,
        Self::STAGED,
        Self::ROTATED,
        Self::ROLLED_BACK,
        Self::RETIRED,
        Self::REVOKED,
        Self::EMERGENCY_ROTATED,
        Self::DESTROYED,
        Self::POLICY_SET,
        Self::RESTAGED,
        Self::CLOCK_REPAIRED,
    ];

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<manifest::ChangeAction> for Action {
    fn from(action: manifest::ChangeAction) -> Self {
        match action {
            manifest::ChangeAction::Stage => Self::STAGED,
            manifest::ChangeAction::Promote => Self::ROTATED,
            manifest::ChangeAction::Rollback => Self::ROLLED_BACK,
            manifest::ChangeAction::Retire => Self::RETIRED,
            manifest::ChangeAction::Revoke => Self::REVOKED,
            manifest::ChangeAction::EmergencyRotate => Self::EMERGENCY_ROTATED,
            manifest::ChangeAction::Destroy => Self::DESTROYED,
            manifest::ChangeAction::Restage => Self::RESTAGED,
            manifest::ChangeAction::SetPolicy => Self::POLICY_SET,
            manifest::ChangeAction::RepairClock => Self::CLOCK_REPAIRED,
        }
    }
}

impl FromStr for Action {
    type Err = ParseActionError;

    /// In upper or lower case, `-` for `_`.
    fn from_str(text: &str) -> Result<Self, ParseActionError> {
        let word = text.to_ascii_uppercase().replace('-', "_");
        let is_word = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if is_word && (1..=32).contains(&word.len()) {
            Ok(Self(Cow::Owned(word)))
        } else {
            Err(ParseActionError)
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Started, Self::Success, Self::Failed, Self::Abandoned, Self::Unknown];

    /// The word that stands in a record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Abandoned => "ABANDONED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl FromStr for Outcome {
    type Err = ParseActionError;

    fn from_str(text: &str) -> Result<Self, ParseActionError> {
        let found =
            Self::ALL.into_iter().find(|outcome| outcome.as_str().eq_ignore_ascii_case(text));
        found.ok_or(ParseActionError)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
