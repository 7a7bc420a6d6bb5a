//! A thread of its own, for services without a runtime.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::turn::Turner;
use super::{Driver, Follow, Following};
use crate::key::KeyMaterial;
use crate::source::error::StoreError;
use crate::source::store::Wake;

impl<K: KeyMaterial> Follow<K> {
    /// Loads the ring, and follows the store on a thread.
    ///
    /// A store whose client needs a runtime (Vault, AWS, PostgreSQL) is for
    /// [`spawn`](Self::spawn), with the feature `tokio`.
    ///
    /// # Errors
    /// If the first load fails: without it there is no ring, and the service should not
    /// start. Or if the system gives no thread.
    pub fn spawn_thread(self) -> Result<Following<K>, StoreError> {
        let turner = Arc::new(pollster::block_on(self.begin())?);
        let signal = Arc::new(Signal::default());
        let woken = Arc::clone(&signal);
        let watch = pollster::block_on(turner.watch(Wake::new(move || woken.wake())));
        // What changed between the load and the watch.
        let mut delay = pollster::block_on(turner.turn());
        let (own, heard) = (Arc::clone(&turner), Arc::clone(&signal));
        let run = move || {
            let _watch = watch;
            while heard.wait(delay) {
                delay = pollster::block_on(own.turn());
            }
        };
        let thread = std::thread::Builder::new().name(format!("dualkey {}", turner.ring.name()));
        let thread = thread.spawn(run).map_err(|source| not_started(&turner, source))?;
        Ok(Following { turner, driver: Box::new(Thread { signal, thread: Some(thread) }) })
    }
}

fn not_started<K: KeyMaterial>(turner: &Turner<K>, source: io::Error) -> StoreError {
    StoreError::Io { store: format!("{:?}", turner.store), source }
}

struct Thread {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Driver for Thread {
    fn stop(&mut self) {
        self.signal.stop();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked but in an observer, whose business that is.
            let _ = thread.join();
        }
    }
}

#[derive(Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_woken: bool,
    has_stopped: bool,
}

impl Signal {
    fn wake(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_woken = true;
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).has_stopped = true;
        self.changed.notify_all();
    }

    /// Waits for `time`, or until it is woken. Says whether to go on.
    fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.has_stopped {
                return false;
            }
            if std::mem::take(&mut state.is_woken) || left.is_zero() {
                return true;
            }
            state =
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
