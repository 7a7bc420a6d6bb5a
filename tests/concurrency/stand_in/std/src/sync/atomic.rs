//! Atomics. `loom` shows a load every value that the memory model allows it.

pub use ::std::sync::atomic::*;

use ::std::sync::Mutex;

use crate::execution;
use crate::planted::{self, Fault};

#[derive(Debug, Default)]
pub struct AtomicBool(loom::sync::atomic::AtomicBool);

impl AtomicBool {
    pub fn new(value: bool) -> Self {
        Self(loom::sync::atomic::AtomicBool::new(value))
    }

    pub fn load(&self, order: Ordering) -> bool {
        self.0.load(order)
    }

    /// Stores with a swap. `loom` may order a plain store before a swap of another thread that has not
    /// seen it, and so lose the store. No memory model allows that: a swap directly follows the store
    /// whose value it returns.
    pub fn store(&self, value: bool, order: Ordering) {
        self.0.swap(value, order);
    }

    pub fn swap(&self, value: bool, order: Ordering) -> bool {
        if planted::is(Fault::SwapsInTwoSteps) {
            let before = self.0.load(Ordering::SeqCst);
            self.store(value, Ordering::SeqCst);
            return before;
        }
        self.0.swap(value, order)
    }
}

#[derive(Debug, Default)]
pub struct AtomicU64(loom::sync::atomic::AtomicU64);

impl AtomicU64 {
    pub fn new(value: u64) -> Self {
        Self(loom::sync::atomic::AtomicU64::new(value))
    }

    pub fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    pub fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }

    pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        if planted::is(Fault::AddsInTwoSteps) {
            let before = self.0.load(Ordering::SeqCst);
            self.0.store(before + value, Ordering::SeqCst);
            return before;
        }
        self.0.fetch_add(value, order)
    }
}

/// A counter that numbers threads and keys. It may be a static, because it starts again in each
/// execution. `loom` does not explore it: the models only need that no number is given twice.
#[derive(Debug)]
pub struct AtomicUsize {
    start: usize,
    current: Mutex<(u64, usize)>,
}

impl AtomicUsize {
    pub const fn new(start: usize) -> Self {
        Self { start, current: Mutex::new((0, start)) }
    }

    pub fn fetch_add(&self, value: usize, _: Ordering) -> usize {
        let mut current = self.current.lock().expect("no thread has panicked");
        if current.0 != execution::number() {
            *current = (execution::number(), self.start);
        }
        let before = current.1;
        current.1 += value;
        before
    }
}
