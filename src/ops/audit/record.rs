//! One record: what was done to which secret, by whom, and how it went.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::AuditError;
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::manifest::{self, Change};

/// The longest text of an operator's in a record, in bytes.
const MAX_TEXT: usize = 1024;

/// What was done to which secret, by whom, and how it went.
///
/// ```
/// use dualkey::ops::audit::{Action, Outcome, Record};
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let at = UNIX_EPOCH + Duration::from_secs(1_768_471_200);
/// let record = Record::new(at, "JWT_SECRET", Action::ROTATED, "user@example.com", "prod")
///     .outcome(Outcome::Success)
///     .reason("the quarter");
/// assert_eq!(
///     record.to_string(),
///     "2026-01-15 10:00:00 UTC | JWT_SECRET | ROTATED | user@example.com | prod | SUCCESS | reason=the quarter"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// When, to the second.
    pub at: SystemTime,
    /// The name of the secret.
    pub secret: String,
    /// What was done.
    pub action: Action,
    /// Who did it: an operator, an agent, an instance.
    pub actor: String,
    /// The environment.
    pub environment: String,
    /// How it went.
    pub outcome: Outcome,
    /// The key that it was done to.
    pub kid: Option<Kid>,
    /// The key that was revoked with it, in an emergency.
    pub revoked: Option<Kid>,
    /// What the key was before that it was done to.
    pub from: Option<String>,
    /// What it is now.
    pub to: Option<String>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// Which keys the ring holds after it.
    pub fingerprint: Option<Fingerprint>,
    /// Of the manifest after it.
    pub revision: Option<u64>,
    /// Whether the time was given, and not read from the system's clock.
    pub clock_given: bool,
    /// When it was taken over from another log.
    pub imported_at: Option<SystemTime>,
}

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
    Begun,
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
    "an action is one word of letters, as in ROLLED_BACK; an outcome one of BEGUN, SUCCESS, FAILED, ABANDONED"
)]
pub struct NoWord;

impl Record {
    /// What was done at `at` to `secret`, and went well unless said otherwise.
    #[must_use]
    pub fn new(
        at: SystemTime,
        secret: &str,
        action: Action,
        actor: &str,
        environment: &str,
    ) -> Self {
        Self {
            at: whole_seconds(at),
            secret: secret.to_owned(),
            action,
            actor: actor.to_owned(),
            environment: environment.to_owned(),
            outcome: Outcome::Success,
            kid: None,
            revoked: None,
            from: None,
            to: None,
            reason: None,
            fingerprint: None,
            revision: None,
            clock_given: false,
            imported_at: None,
        }
    }

    /// How it went.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// The key that it was done to.
    #[must_use]
    pub fn kid(mut self, kid: Kid) -> Self {
        self.kid = Some(kid);
        self
    }

    /// Why, in the operator's words.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// That it was the step `change` of a manifest.
    #[must_use]
    pub fn change(mut self, change: &Change) -> Self {
        self.kid = Some(change.kid);
        self.from = change.from.map(|state| state.as_str().to_owned());
        self.to = Some(change.to.as_str().to_owned());
        self.revoked = change.revoked;
        self.fingerprint = Some(change.manifest.fingerprint());
        self.revision = Some(change.manifest.revision());
        self
    }

    /// The key of the ring `audit` that it says was revoked.
    pub(super) fn revokes(&self, audit: &str) -> Option<Kid> {
        if self.outcome != Outcome::Success || self.secret != audit {
            return None;
        }
        if self.action == Action::REVOKED { self.kid } else { self.revoked }
    }

    /// Whether it can be written: its names are there, and nothing is longer than a line
    /// should be.
    pub(super) fn check(&self) -> Result<(), AuditError> {
        for (what, text) in [
            ("the secret", &self.secret),
            ("the actor", &self.actor),
            ("the environment", &self.environment),
        ] {
            if text.is_empty() {
                return Err(AuditError::Unwritable { problem: format!("{what} is not named") });
            }
        }
        let texts = [
            Some(&self.secret),
            Some(&self.actor),
            Some(&self.environment),
            self.reason.as_ref(),
            self.from.as_ref(),
            self.to.as_ref(),
        ];
        match texts.into_iter().flatten().find(|text| text.len() > MAX_TEXT) {
            Some(text) => Err(AuditError::Unwritable {
                problem: format!("a text of {} bytes is longer than {MAX_TEXT}", text.len()),
            }),
            None => Ok(()),
        }
    }
}

/// Returns the whole seconds of a moment, as records hold them.
fn whole_seconds(at: SystemTime) -> SystemTime {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

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
    /// A sweep went through what is stored.
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

impl From<manifest::Action> for Action {
    fn from(action: manifest::Action) -> Self {
        match action {
            manifest::Action::Stage => Self::STAGED,
            manifest::Action::Promote => Self::ROTATED,
            manifest::Action::Rollback => Self::ROLLED_BACK,
            manifest::Action::Retire => Self::RETIRED,
            manifest::Action::Revoke => Self::REVOKED,
            manifest::Action::EmergencyRotate => Self::EMERGENCY_ROTATED,
            manifest::Action::Destroy => Self::DESTROYED,
            manifest::Action::Restage => Self::RESTAGED,
            manifest::Action::SetPolicy => Self::POLICY_SET,
            manifest::Action::RepairClock => Self::CLOCK_REPAIRED,
        }
    }
}

impl FromStr for Action {
    type Err = NoWord;

    /// In upper or lower case, `-` for `_`.
    fn from_str(text: &str) -> Result<Self, NoWord> {
        let word = text.to_ascii_uppercase().replace('-', "_");
        let is_word = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if is_word && (1..=32).contains(&word.len()) {
            Ok(Self(Cow::Owned(word)))
        } else {
            Err(NoWord)
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
        [Self::Begun, Self::Success, Self::Failed, Self::Abandoned, Self::Unknown];

    /// The word that stands in a record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "BEGUN",
            Self::Success => "SUCCESS",
            Self::Failed => "FAILED",
            Self::Abandoned => "ABANDONED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl FromStr for Outcome {
    type Err = NoWord;

    fn from_str(text: &str) -> Result<Self, NoWord> {
        let found =
            Self::ALL.into_iter().find(|outcome| outcome.as_str().eq_ignore_ascii_case(text));
        found.ok_or(NoWord)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
