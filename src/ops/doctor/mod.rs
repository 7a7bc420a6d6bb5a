//! The doctor: looks at a project, and says what is wrong with it and how to fix it.

mod audit_trail;
pub(crate) mod files;
mod finding;
mod git;
mod secrets;

pub use finding::Finding;
pub use secrets::examine;
