//! Waiting that ends: for a future until a deadline, and for a thread without blocking.
//!
//! Time is the monotonic clock of the system. Deliberately not the timers of a runtime: they
//! stop when the runtime does, and jump when a test pauses them.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::runtime::Runtime;

/// Runs `future` on this thread, and drops it if it is not done after `time`.
pub(super) fn block_on<F>(mut future: Pin<Box<F>>, time: Duration) -> Option<F::Output>
where
    F: Future + ?Sized,
{
    let start = Instant::now();
    let alarm = Arc::new(Alarm { thread: thread::current(), is_woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&alarm));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return Some(answer);
        }
        // The flag, not the token of `park`: the future may have parked this thread itself.
        while !alarm.is_woken.swap(false, AcqRel) {
            let left = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero())?;
            thread::park_timeout(left);
        }
        if start.elapsed() >= time {
            return None;
        }
    }
}

struct Alarm {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Release);
        self.thread.unpark();
    }
}

/// Runs `work` on a thread of its own, in the caller's runtime, and waits without blocking.
/// A panic of `work` is passed to the caller.
///
/// # Errors
/// If the system gives no thread.
pub(super) async fn run_on_thread<T, W>(work: W) -> io::Result<T>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let runtime = Runtime::for_current_thread();
    let shared = Arc::new(Mutex::new((None, None::<Waker>)));
    let result = Arc::clone(&shared);
    let run = move || {
        let done = catch_unwind(AssertUnwindSafe(|| runtime.enter(work)));
        let mut state = result.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = Some(done);
        let waker = state.1.take();
        drop(state);
        // If no caller waits any more, the result is dropped here.
        drop(result);
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    thread::Builder::new().name("dualkey turn".to_owned()).spawn(run)?;
    let done = poll_fn(|context| {
        let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = state.0.take() {
            return Poll::Ready(done);
        }
        state.1 = Some(context.waker().clone());
        Poll::Pending
    });
    done.await.map_or_else(|payload| resume_unwind(payload), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[test]
    fn a_future_that_never_completes_is_dropped_at_the_deadline() {
        struct Never(Arc<AtomicBool>);
        impl Future for Never {
            type Output = ();
            fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
                Poll::Pending
            }
        }
        impl Drop for Never {
            fn drop(&mut self) {
                self.0.store(true, Release);
            }
        }
        let is_dropped = Arc::new(AtomicBool::new(false));
        assert!(block_on(Box::pin(Never(Arc::clone(&is_dropped))), SHORT).is_none());
        assert!(is_dropped.load(std::sync::atomic::Ordering::Acquire));
    }

    #[test]
    fn a_future_that_is_always_woken_ends_as_well() {
        let busy = poll_fn(|context: &mut Context<'_>| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert!(block_on(Box::pin(busy), SHORT).is_none());
    }

    #[test]
    fn a_wake_is_not_lost_when_the_future_parks_its_thread() {
        let mut polls = 0;
        let parks = poll_fn(|context: &mut Context<'_>| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            // Takes the token that the wake left.
            thread::park_timeout(Duration::from_millis(1));
            Poll::Pending
        });
        assert!(block_on(Box::pin(parks), Duration::MAX).is_some());
    }
}
