//! The one place where a follower's driver, its turns and its end meet.
//!
//! It guarantees: one turn runs at a time; once it is closed, no turn starts, and a turn that
//! was waiting for the store then changes nothing more; and every wait here has a limit. However
//! often it is woken, the driver starts at most one turn in [`DAMPING`], and one after the last
//! wake.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use super::health::FollowState;

/// The limit for work that waits for no store: checks, self-tests and observers.
const LOCAL_WORK: Duration = Duration::from_secs(1);

/// The least time between two turns that were woken: a store that changes all the time, or is said
/// to, keeps no processor busy. The first wake after a pause waits for nothing.
const DAMPING: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Default)]
struct SignalState {
    is_woken: bool,
    is_closed: bool,
    /// The end of the last wait, which a turn of the driver follows.
    last_turn: Option<Instant>,
    /// The thread that runs a turn.
    turning: Option<ThreadId>,
    /// Whether that turn waits for the store.
    is_calling: bool,
    driver: Driver,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Driver {
    #[default]
    None,
    Runs,
    Ended,
}

impl Signal {
    /// Has the driver run a turn now.
    pub(super) fn wake(&self) {
        self.change(|state| state.is_woken = true);
    }

    /// Waits for `time`, or until it is woken. Returns whether the driver continues.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let mut state = self.wait_while(time, |state| !state.is_closed && !state.is_woken);
        let since = state.last_turn.map(|last| last.elapsed());
        if let Some(left) = since.and_then(|since| DAMPING.checked_sub(since)) {
            drop(state);
            state = self.wait_while(left, |state| !state.is_closed);
        }
        // What changes from here on wakes it again, so that the last change is read.
        (state.is_woken, state.last_turn) = (false, Some(Instant::now()));
        !state.is_closed
    }

    /// Starts a turn once the one that runs has ended. `None` if that takes longer than `time`,
    /// if this thread runs it (an observer that asks for another), or after the end.
    pub(super) fn begin(&self, time: Duration) -> Option<TurnGuard<'_>> {
        let current = thread::current().id();
        let is_other = |running: ThreadId| running != current;
        let mut state =
            self.wait_while(time, |state| !state.is_closed && state.turning.is_some_and(is_other));
        if state.is_closed || state.turning.is_some() {
            return None;
        }
        state.turning = Some(current);
        Some(TurnGuard(self))
    }

    /// Ends it. Waits for the work of a turn, but not for a store, and at most a second.
    pub(super) fn close(&self) {
        self.change(|state| state.is_closed = true);
        drop(self.wait_while(LOCAL_WORK, |state| !state.is_calling && state.is_busy()));
    }

    /// Ends it, and waits until the turn and the driver have ended, at most for `time`.
    pub(super) fn close_and_wait(&self, time: Duration) {
        self.change(|state| state.is_closed = true);
        drop(self.wait_while(time, |state| state.is_busy()));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Marks that a driver runs turns, for as long as the result lives.
    pub(super) fn drive(self: &Arc<Self>) -> Driven {
        self.change(|state| state.driver = Driver::Runs);
        Driven(Arc::clone(self))
    }

    pub(super) fn follow_state(&self) -> FollowState {
        let state = self.lock();
        match state.driver {
            _ if state.is_closed => FollowState::Stopped,
            Driver::None => FollowState::OnDemand,
            Driver::Runs => FollowState::Running,
            Driver::Ended => FollowState::Ended,
        }
    }

    fn change(&self, change: impl FnOnce(&mut SignalState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait_while(
        &self,
        time: Duration,
        continues: impl Fn(&SignalState) -> bool,
    ) -> MutexGuard<'_, SignalState> {
        self.changed
            .wait_timeout_while(self.lock(), time, |state| continues(state))
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    fn lock(&self) -> MutexGuard<'_, SignalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SignalState {
    fn is_busy(&self) -> bool {
        self.turning.is_some() || self.driver == Driver::Runs
    }
}

/// The right to change the ring, until it is dropped.
pub(super) struct TurnGuard<'a>(&'a Signal);

impl TurnGuard<'_> {
    /// Runs `call`, which waits for the store. `None` if the follower was closed.
    pub(super) fn call<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        self.0.change(|state| state.is_calling = !state.is_closed);
        if self.0.is_closed() {
            return None;
        }
        let answer = call();
        self.0.change(|state| state.is_calling = false);
        (!self.0.is_closed()).then_some(answer)
    }
}

impl Drop for TurnGuard<'_> {
    fn drop(&mut self) {
        self.0.change(|state| (state.turning, state.is_calling) = (None, false));
    }
}

/// A driver that runs; dropped, it has ended, for whatever reason.
pub(super) struct Driven(Arc<Signal>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.change(|state| state.driver = Driver::Ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_driver_that_ends_unasked_is_shown_as_ended() {
        let signal = Arc::new(Signal::default());
        assert_eq!(signal.follow_state(), FollowState::OnDemand);
        let driven = signal.drive();
        assert_eq!(signal.follow_state(), FollowState::Running);
        let ended = thread::spawn(move || {
            let _driven = driven;
            std::panic::resume_unwind(Box::new("unasked"));
        });
        assert!(ended.join().is_err());
        assert_eq!(signal.follow_state(), FollowState::Ended);
        signal.close();
        assert_eq!(signal.follow_state(), FollowState::Stopped);
        assert!(!signal.wait(LONG));
    }

    #[test]
    fn wakes_are_damped_and_the_last_one_counts() {
        let signal = Arc::new(Signal::default());
        let start = Instant::now();
        signal.wake();
        assert!(signal.wait(LONG));
        let waking = Arc::clone(&signal);
        let storm = thread::spawn(move || {
            let start = Instant::now();
            while start.elapsed() < DAMPING * 5 {
                waking.wake();
            }
        });
        let mut turns: u32 = 1;
        while !storm.is_finished() {
            // The last wake may have come before this.
            assert!(signal.wait(DAMPING * 2));
            turns += 1;
        }
        storm.join().unwrap();
        // One that came during the last turn.
        signal.wake();
        assert!(signal.wait(LONG));
        turns += 1;
        assert!(start.elapsed() >= DAMPING * (turns - 1), "{turns} in {:?}", start.elapsed());
        assert!(!signal.lock().is_woken, "nothing is left over");
        // The end waits for no damping.
        signal.wake();
        signal.change(|state| state.is_closed = true);
        assert!(!signal.wait(LONG));
    }

    #[test]
    fn a_turn_within_a_turn_is_refused_at_once() {
        let signal = Signal::default();
        let turn = signal.begin(LONG);
        assert!(turn.is_some() && signal.begin(LONG).is_none());
        drop(turn);
        assert!(signal.begin(LONG).is_some());
    }

    #[test]
    fn an_answer_to_a_closed_follower_is_dropped() {
        let signal = Signal::default();
        let turn = signal.begin(LONG).unwrap();
        assert_eq!(turn.call(|| 1), Some(1));
        // It waits for the turn, and not for its call.
        assert_eq!(turn.call(|| signal.close()), None);
        assert_eq!(turn.call(|| 1), None);
        drop(turn);
        assert!(signal.begin(LONG).is_none());
    }
}
