//! A stand-in for the standard library. The types that threads share are those of `loom`. All others are
//! the original ones.
//!
//! Each operation on a mutex, a condition variable, an `AtomicBool`, an `AtomicU64`, a `OnceLock`
//! or a channel is a point at which `loom` tries every other thread. `Arc` is the original.
//!
//! Time does not pass. So a wait with a limit ends only when its condition holds, and a lost wake is a
//! deadlock, which `loom` reports. The one exception is a wait of at most [`sync::SHORT_WAIT`], which
//! ends by its limit.

pub use ::std::*;

pub use loom::thread_local;

pub mod execution;
pub mod planted;
pub mod sync;
pub mod thread;
pub mod time;

/// The original standard library.
pub mod original {
    pub use ::std::*;
}
