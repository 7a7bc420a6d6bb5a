//! One record: what was done to which secret, by whom, and how it went.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::action::{Action, Outcome};
use super::error::AuditError;
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::manifest::Change;

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
