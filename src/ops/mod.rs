//! The operator's half.

pub mod audit;
