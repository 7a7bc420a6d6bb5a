//! The outcome of a check before a rotation.

/// The names of the checks, by which they can be skipped.
pub const CHECKS: [&str; 7] =
    ["audit", "clock", "underway", "instances", "backup", "peers", "earlier"];

/// A check before a rotation, and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// Its name, by which it can be skipped.
    pub name: &'static str,
    /// How it went.
    pub outcome: CheckOutcome,
    /// What was found, and how to fix it.
    pub found: String,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckOutcome {
    /// It holds.
    Passed,
    /// It does not hold, or cannot be told, and a rotation may go on.
    Warned,
    /// It does not hold.
    Failed,
    /// It says nothing of this secret.
    Unneeded,
}

impl Check {
    pub(super) fn for_pass(name: &'static str, found: String) -> Self {
        Self { name, outcome: CheckOutcome::Passed, found }
    }

    pub(super) fn for_warning(name: &'static str, found: String) -> Self {
        Self { name, outcome: CheckOutcome::Warned, found }
    }

    pub(super) fn for_failure(name: &'static str, found: String) -> Self {
        Self { name, outcome: CheckOutcome::Failed, found }
    }

    pub(super) fn for_unneeded(name: &'static str, found: &str) -> Self {
        Self { name, outcome: CheckOutcome::Unneeded, found: found.to_owned() }
    }

    /// The failure of an operator who began at the same moment as another.
    pub(super) fn for_underway() -> Self {
        Self::for_failure("underway", "another has staged a key at this moment".to_owned())
    }
}

impl CheckOutcome {
    /// A stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Failed => "failed",
            Self::Unneeded => "unneeded",
        }
    }
}
