//! Threads of `loom`.

pub use ::std::thread::*;

use ::std::io;
use ::std::num::NonZeroUsize;
use ::std::time::Duration;

pub use loom::thread::{Thread, ThreadId, current, park, yield_now};

/// The stack of a thread, in words. The default of `loom` is too small for a build without
/// optimization.
const STACK: usize = 64 * 1024;

/// Returns the same number on every machine.
pub fn available_parallelism() -> io::Result<NonZeroUsize> {
    Ok(NonZeroUsize::MIN.saturating_add(1))
}

pub fn park_timeout(_: Duration) {
    park();
}

pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().spawn(work).expect("loom starts every thread")
}

#[derive(Debug)]
pub struct Builder(loom::thread::Builder);

impl Builder {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(loom::thread::Builder::new().stack_size(STACK))
    }

    pub fn name(self, name: String) -> Self {
        Self(self.0.name(name))
    }

    pub fn spawn<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        self.0.spawn(work).map(JoinHandle)
    }
}

#[derive(Debug)]
pub struct JoinHandle<T>(loom::thread::JoinHandle<T>);

impl<T> JoinHandle<T> {
    pub fn join(self) -> Result<T> {
        self.0.join()
    }

    /// Returns false. The library only asks for a thread that did not answer in time, and there is none.
    pub fn is_finished(&self) -> bool {
        false
    }
}
