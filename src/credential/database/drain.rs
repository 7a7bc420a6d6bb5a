//! Which connections are closed as they come back: those of before a switch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A connection that was made before the last switch is closed as it comes back.
#[derive(Debug, Clone, Default)]
pub(super) struct Drain(Arc<Mutex<Switches>>);

#[derive(Debug, Default)]
struct Switches {
    /// Numbers the switches.
    epoch: u64,
    /// What was made until then may be of before.
    until: Option<Instant>,
}

/// A caller that may be making a connection.
pub(super) struct Entered {
    drain: Drain,
    epoch: u64,
}

impl Drain {
    /// From now on.
    pub(super) fn begin(&self) {
        let mut switches = self.lock();
        switches.epoch += 1;
        switches.until = Some(Instant::now());
    }

    pub(super) fn enter(&self) -> Entered {
        Entered { drain: self.clone(), epoch: self.lock().epoch }
    }

    /// Whether a connection of this age is of before.
    pub(super) fn is_over(&self, age: Duration) -> bool {
        let Some(until) = self.lock().until else { return false };
        Instant::now().checked_sub(age).is_none_or(|made| made <= until)
    }

    fn lock(&self) -> MutexGuard<'_, Switches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered {
    /// Who began before a switch may have made, after it, a connection as they were before.
    fn drop(&mut self) {
        let mut switches = self.drain.lock();
        if self.epoch < switches.epoch {
            switches.until = Some(Instant::now());
        }
    }
}
