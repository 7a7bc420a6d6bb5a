//! A fleet in simulated time: instances with clocks that differ, stores that fail or lie,
//! restarts, operators who rotate, and clients who hold what they were given for its whole
//! life. Everything that verifies, signs, reloads and rotates is the crate itself; only time,
//! the store and the people are made up.
//!
//! A run is determined by its seed. After each step it is checked:
//! - what is valid is accepted by every instance;
//! - what a revoked key signed is accepted by none beyond the propagation bound, counted from
//!   when the instance can reach its store, or beyond `max_staleness`.
//!
//! Where operators take any step, a rejection is no violation if the step declared it; see
//! `ledger.rs` for what else must hold.

pub mod artefact;
pub mod bounds;
pub mod instance;
pub mod ledger;
pub mod operator;
pub mod probe;
pub mod program;
pub mod shelf;
pub mod world;

pub use bounds::Bounds;
pub use operator::Way;
pub use world::run;
