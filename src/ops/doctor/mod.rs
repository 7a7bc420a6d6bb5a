//! The doctor: looks at a project, and says what is wrong with it and how to mend it.

mod audit_trail;
mod files;
mod finding;
mod git;
mod secrets;

#[cfg(feature = "cli")]
pub(crate) use files::ignored;
pub use finding::Finding;
pub use secrets::examine;
