//! The operator's half.

mod audit;
