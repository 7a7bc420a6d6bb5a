use ::std::sync::LockResult;
use ::std::time::Duration;

use super::MutexGuard;
use crate::planted::{self, Fault};

/// The longest wait that ends by its limit: the damping of a follower.
pub const SHORT_WAIT: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub struct Condvar(loom::sync::Condvar);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn notify_one(&self) {
        if !planted::is(Fault::WakesNoThread) {
            self.0.notify_one();
        }
    }

    pub fn notify_all(&self) {
        if !planted::is(Fault::WakesNoThread) {
            self.0.notify_all();
        }
    }

    pub fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut continues: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while continues(&mut guard) {
            let mutex = guard.mutex;
            let guard_again = self.0.wait(guard.guard).expect("no thread has panicked");
            guard = MutexGuard { mutex, guard: guard_again };
        }
        Ok(guard)
    }

    pub fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        time: Duration,
        mut continues: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        if time > SHORT_WAIT {
            let guard = self.wait_while(guard, continues).expect("no thread has panicked");
            return Ok((guard, WaitTimeoutResult(false)));
        }
        let mutex = guard.mutex;
        if continues(&mut guard) {
            // Other threads may run while the mutex is free. Afterwards the wait ends in any case.
            drop(guard);
            guard = mutex.lock().expect("no thread has panicked");
        }
        let timed_out = continues(&mut guard);
        Ok((guard, WaitTimeoutResult(timed_out)))
    }
}
