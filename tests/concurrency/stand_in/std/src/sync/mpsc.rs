//! A channel over the mutex and the condition variable of this crate.

pub use ::std::sync::mpsc::*;

use ::std::collections::VecDeque;
use ::std::sync::Arc;
use ::std::time::Duration;

use super::{Condvar, Mutex, MutexGuard};

/// The values that were sent and not received, and whether the sender exists.
type Queue<T> = Mutex<(VecDeque<T>, bool)>;

struct Channel<T> {
    queue: Queue<T>,
    changed: Condvar,
}

pub struct Sender<T>(Arc<Channel<T>>);

pub struct Receiver<T>(Arc<Channel<T>>);

pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let queue = Mutex::new((VecDeque::new(), true));
    let channel = Arc::new(Channel { queue, changed: Condvar::new() });
    (Sender(Arc::clone(&channel)), Receiver(channel))
}

impl<T> Sender<T> {
    /// Sends a value. Always succeeds, because no model drops a receiver before its sender.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.lock().0.push_back(value);
        self.0.changed.notify_all();
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.lock().1 = false;
        self.0.changed.notify_all();
    }
}

impl<T> Receiver<T> {
    pub fn recv(&self) -> Result<T, RecvError> {
        let queue = self.0.lock();
        let must_wait = |queue: &mut (VecDeque<T>, bool)| queue.0.is_empty() && queue.1;
        let queue = self.0.changed.wait_while(queue, must_wait);
        queue.expect("no thread has panicked").0.pop_front().ok_or(RecvError)
    }

    /// Receives a value. The limit has no effect, because time does not pass.
    pub fn recv_timeout(&self, _: Duration) -> Result<T, RecvTimeoutError> {
        self.recv().map_err(|_| RecvTimeoutError::Disconnected)
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

pub struct IntoIter<T>(Receiver<T>);

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T> Channel<T> {
    fn lock(&self) -> MutexGuard<'_, (VecDeque<T>, bool)> {
        self.queue.lock().expect("no thread has panicked")
    }
}
