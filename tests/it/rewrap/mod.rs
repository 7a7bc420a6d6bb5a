//! Re-encryption in service.

mod bad_input;
mod column;
#[cfg(feature = "cli")]
mod command;
#[cfg(feature = "cli")]
mod followed;
#[cfg(feature = "cli")]
mod live;
mod renew;
mod rewrap_job;
