//! Calls to a store, each of which ends: answered, panicked, or out of time.
//!
//! One worker thread makes the calls. A future that is not done in time is dropped there, and
//! the worker continues. A call that blocks its thread keeps the worker: both are abandoned,
//! the next call gets a new worker, and the answer, if it ever comes, is dropped. While
//! [`MAX_UNANSWERED`] calls block, no further one starts.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::runtime::Runtime;
use super::wait::block_on;
use crate::observer::catch;
use crate::source::error::StoreError;
use crate::source::store::{KeyStore, StoreFuture};

/// The number of calls of one follower that may block at a time. Small, because each keeps a
/// thread; more than one, because a single call that is lost for ever says little about the next.
pub(super) const MAX_UNANSWERED: usize = 8;

/// The longest that a worker may take to drop a future that is out of time.
const GRACE: Duration = Duration::from_millis(100);

pub(super) struct Calls {
    store: Arc<dyn KeyStore>,
    /// The store as errors name it.
    name: String,
    timeout: Duration,
    runtime: Runtime,
    workers: Mutex<Workers>,
}

#[derive(Default)]
struct Workers {
    idle: Option<Worker>,
    abandoned: Vec<JoinHandle<()>>,
}

struct Worker {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Calls {
    /// Calls to `store`, in the runtime of the calling thread.
    pub(super) fn new(store: Arc<dyn KeyStore>, timeout: Duration) -> Self {
        let name = catch(|| format!("{store:?}")).unwrap_or_else(|| "the store".to_owned());
        let workers = Mutex::default();
        Self { store, name, timeout, runtime: Runtime::for_current_thread(), workers }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Makes one call, and waits for its answer at most for `time`.
    pub(super) fn call<A, T, F>(
        &self,
        time: Duration,
        argument: A,
        call: F,
    ) -> Result<T, StoreError>
    where
        A: Send + 'static,
        T: Send + 'static,
        F: for<'a> FnOnce(&'a dyn KeyStore, &'a A) -> StoreFuture<'a, T> + Send + 'static,
    {
        if time.is_zero() {
            return Err(self.timeout_error());
        }
        let (sender, answer) = channel();
        let (store, runtime) =
            (Arc::clone(&self.store), Runtime::for_current_thread().or(&self.runtime));
        let job = move || {
            let run = move || {
                runtime.enter(|| block_on(call(&*store, &argument), time))
                // The store and the argument are dropped here, where a panic is caught.
            };
            // If the call was abandoned, its answer is dropped.
            let _ = sender.send(catch(run));
        };
        let worker = self.take_worker()?;
        if worker.jobs.send(Box::new(job)).is_err() {
            return Err(self.panic_error());
        }
        match answer.recv_timeout(time.saturating_add(GRACE.min(time / 4))) {
            Ok(answered) => {
                self.lock_workers().idle = Some(worker);
                let answered = answered.ok_or_else(|| self.panic_error())?;
                answered.unwrap_or_else(|| Err(self.timeout_error()))
            }
            Err(_) => {
                self.lock_workers().abandoned.push(worker.thread);
                Err(self.timeout_error())
            }
        }
    }

    /// The number of calls that still block a thread.
    pub(super) fn unanswered_count(&self) -> usize {
        let mut workers = self.lock_workers();
        workers.abandoned.retain(|thread| !thread.is_finished());
        workers.abandoned.len()
    }

    /// Lets the worker go, once no further call is to be made.
    pub(super) fn release(&self) {
        self.lock_workers().idle = None;
    }

    pub(super) fn timeout_error(&self) -> StoreError {
        StoreError::TimedOut { store: self.name.clone(), after: self.timeout }
    }

    pub(super) fn panic_error(&self) -> StoreError {
        StoreError::Panicked { store: self.name.clone() }
    }

    pub(super) fn thread_error(&self, source: io::Error) -> StoreError {
        StoreError::Io { store: self.name.clone(), source }
    }

    fn take_worker(&self) -> Result<Worker, StoreError> {
        if let Some(worker) = self.lock_workers().idle.take() {
            return Ok(worker);
        }
        if self.unanswered_count() >= MAX_UNANSWERED {
            return Err(self.timeout_error());
        }
        let (jobs, received) = channel::<Job>();
        let run = move || received.into_iter().for_each(|job| job());
        let thread = thread::Builder::new().name("dualkey store".to_owned()).spawn(run);
        Ok(Worker { jobs, thread: thread.map_err(|source| self.thread_error(source))? })
    }

    fn lock_workers(&self) -> MutexGuard<'_, Workers> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
