//! A finding of the doctor.

/// A problem, its subject, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// A secret, with its environment, or a file.
    pub subject: String,
    /// What is wrong.
    pub found: String,
    /// The remedy.
    pub remedy: String,
}

impl Finding {
    pub(super) fn new(check: &'static str, subject: &str, found: String, remedy: &str) -> Self {
        Self { check, subject: subject.to_owned(), found, remedy: remedy.to_owned() }
    }
}
