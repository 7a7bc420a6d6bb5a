//! Re-encryption in service.

mod bad_input;
pub mod base;
mod column;
#[cfg(feature = "cli")]
mod command;
#[cfg(feature = "cli")]
pub mod live;
mod pass;
mod renew;
