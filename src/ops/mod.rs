//! The operator's half: new secrets, an inventory of all, rotations that are checked and told, a
//! calendar, an audit trail.
//!
//! | module | |
//! |---|---|
//! | [`generate`] | new secrets, of the right length and alphabet |
//! | [`inventory`] | every secret that a backend has, without a value |
//! | [`rotate`] | the steps of a rotation, each told to the trail before it is taken |
//! | [`schedule`] | what is due, overdue, under way or stuck |
//! | [`audit`] | records that nobody edits unseen |
//!
//! The command line, `dualkey`, is made of nothing but these calls.

pub mod audit;
mod error;
pub mod generate;
pub mod inventory;
pub mod rotate;
pub mod schedule;

pub use error::OpsError;
