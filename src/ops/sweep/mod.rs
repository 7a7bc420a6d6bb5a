//! A sweep over everything that a secret of the inventory has sealed.

mod checkpoints;
mod context;
mod report;
mod run;
mod sweeper;
mod table;

pub use report::INSTANCE;
pub use sweeper::Sweeper;
