//! The evidence on which an old key is retired, and what follows from it.

#[cfg(any(feature = "status", feature = "ops"))]
pub(crate) mod next_step;
