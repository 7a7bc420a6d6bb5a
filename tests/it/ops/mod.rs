//! The operator's half.

mod audit;
#[cfg(feature = "cli")]
mod quarter;
#[cfg(feature = "cli")]
mod shell;
