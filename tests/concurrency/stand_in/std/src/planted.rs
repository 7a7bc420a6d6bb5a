//! Planted faults, which the models must find.

use ::std::sync::atomic::{AtomicU8, Ordering::SeqCst};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    None,
    /// `rcu` stores its result although another writer was first.
    ReplacesWithoutComparing,
    /// `fetch_add` loads, and then stores.
    AddsInTwoSteps,
    /// `swap` loads, and then stores.
    SwapsInTwoSteps,
    /// A condition variable wakes no thread.
    WakesNoThread,
    /// The model itself breaks the protocol. A comment in each model states how.
    Caller,
}

static PLANTED: AtomicU8 = AtomicU8::new(Fault::None as u8);

/// Plants `fault` in the place of the former one.
pub fn plant(fault: Fault) {
    PLANTED.store(fault as u8, SeqCst);
}

/// Returns whether `fault` is planted.
pub fn is(fault: Fault) -> bool {
    PLANTED.load(SeqCst) == fault as u8
}
