//! A rewrap over everything that a secret of the inventory has sealed.

mod checkpoints;
mod context;
mod followed;
mod job;
mod report;
mod run;
mod table;

pub use job::ProjectRewrap;
pub use report::INSTANCE;
