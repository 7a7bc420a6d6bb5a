//! A stand-in for `arc_swap`: the methods that `src/ring/swap.rs` calls, over a mutex that `loom`
//! explores.
//!
//! A load and a replacement are one step each. As in the original, any other thread may run between them,
//! and the closure of `rcu` runs again if another writer was first.

use std::ops::Deref;
use std::planted::{self, Fault};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug)]
pub struct ArcSwap<T>(Mutex<Arc<T>>);

impl<T> ArcSwap<T> {
    pub fn from_pointee(value: T) -> Self {
        Self(Mutex::new(Arc::new(value)))
    }

    pub fn load(&self) -> Guard<T> {
        Guard(self.load_full())
    }

    pub fn load_full(&self) -> Arc<T> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn rcu(&self, mut change: impl FnMut(&Arc<T>) -> Arc<T>) -> Arc<T> {
        loop {
            // Kept until the comparison, so that its address is not used again before.
            let current = self.load_full();
            let next = change(&current);
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&held, &current) || planted::is(Fault::ReplacesWithoutComparing) {
                *held = next;
                return current;
            }
        }
    }
}

pub struct Guard<T>(Arc<T>);

impl<T> Deref for Guard<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.0
    }
}
