//! Faults of the primitives, to show that the models find them.

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
    /// The code that uses the library keeps to no protocol. Each model says what it does instead.
    Caller,
}

static PLANTED: AtomicU8 = AtomicU8::new(Fault::None as u8);

/// Plants `fault`, which replaces the one before.
pub fn plant(fault: Fault) {
    PLANTED.store(fault as u8, SeqCst);
}

pub fn is(fault: Fault) -> bool {
    PLANTED.load(SeqCst) == fault as u8
}
