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
//! | [`doctor`] | what is wrong with a project, and how to mend it |
//! | `remind`, `agent` | with the feature `agent`: reminders, and rotations by the calendar |
//!
//! The command line, `dualkey`, is made of nothing but these calls.

#[cfg(feature = "agent")]
pub mod agent;
pub mod audit;
pub mod doctor;
mod error;
pub mod generate;
pub mod inventory;
mod json;
#[cfg(feature = "agent")]
pub mod remind;
pub mod rotate;
pub mod schedule;

pub use error::OpsError;
