//! A finding of the doctor.

/// What is wrong, with what, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The name of the check.
    pub check: &'static str,
    /// A secret, with its environment, or a file.
    pub subject: String,
    /// What is wrong.
    pub found: String,
    /// How to fix it.
    pub remedy: String,
}

pub(super) fn finding(check: &'static str, subject: &str, found: String, remedy: &str) -> Finding {
    Finding { check, subject: subject.to_owned(), found, remedy: remedy.to_owned() }
}
