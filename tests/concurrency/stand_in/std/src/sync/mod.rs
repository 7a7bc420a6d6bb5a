//! The primitives that threads share.

mod condvar;
mod mutex;
mod once_lock;

pub mod atomic;
pub mod mpsc;

pub use ::std::sync::*;

pub use condvar::{Condvar, SHORT_WAIT, WaitTimeoutResult};
pub use mutex::{Mutex, MutexGuard};
pub use once_lock::OnceLock;
