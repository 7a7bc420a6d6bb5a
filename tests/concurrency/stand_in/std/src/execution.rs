//! The number of the current execution of a model.
//!
//! Each execution must begin with the same state, and statics must also be reset.

use ::std::sync::atomic::{AtomicU64, Ordering::SeqCst};

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Begins the next execution.
pub fn begin() {
    NUMBER.fetch_add(1, SeqCst);
}

pub(crate) fn number() -> u64 {
    NUMBER.load(SeqCst)
}
