//! One turn of a ring that follows: load, check, test, swap; and a report, when it is due.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::builder::FollowBuilder;
use super::calls::Calls;
use super::health::Health;
use super::poll_delay::PollDelay;
use super::signal::{Signal, TurnGuard};
use crate::manifest::Manifest;
use crate::observer::{Event, catch};
use crate::ring::KeyMaterial;
use crate::ring::KeyRing;
use crate::source::error::StoreError;
use crate::source::store::{KeyStore, StoreFuture, Wake, Watch, WatchStatus};

pub(crate) struct Poller<K: KeyMaterial> {
    pub(crate) ring: KeyRing<K>,
    /// For a reader of the reports of other instances. Turns use `calls`.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "only the status page, in a higher module, reads it")
    )]
    pub(crate) store: Arc<dyn KeyStore>,
    pub(super) calls: Calls,
    pub(super) signal: Arc<Signal>,
    poll_delay: PollDelay,
    pub(crate) instance: Option<String>,
    state: Mutex<PollerState>,
}

pub(super) struct PollerState {
    last_success: SystemTime,
    reloads: u64,
    failures: u64,
    failures_in_a_row: u64,
    last_error: Option<String>,
    watch_error: Option<String>,
    watch_status: Option<WatchStatus>,
    pub(super) reported_at: Option<SystemTime>,
    pub(super) report_error: Option<String>,
    turns: u64,
    last_turn: Option<SystemTime>,
    turns_timed_out: u64,
    turns_panicked: u64,
}

impl<K: KeyMaterial> FollowBuilder<K> {
    /// Loads for the first time: without that there is no ring.
    pub(super) fn begin(self) -> Result<Poller<K>, StoreError> {
        self.builder.check_follows()?;
        let calls = Calls::new(Arc::clone(&self.store), self.timeout);
        let manifest = calls.call(self.timeout, (), |store, ()| store.load())?;
        let ring = manifest.build_ring(self.builder)?;
        ring.set_followed();
        let now = ring.now();
        let poller = Poller {
            ring,
            store: self.store,
            calls,
            signal: Arc::default(),
            poll_delay: self.poll_delay,
            instance: self.instance,
            state: Mutex::new(PollerState {
                last_success: now,
                reloads: 0,
                failures: 0,
                failures_in_a_row: 0,
                last_error: None,
                watch_error: None,
                watch_status: None,
                reported_at: None,
                report_error: None,
                turns: 0,
                last_turn: None,
                turns_timed_out: 0,
                turns_panicked: 0,
            }),
        };
        poller.resume();
        let signal = Arc::downgrade(&poller.signal);
        poller.ring.on_report_news(move || {
            if let Some(signal) = signal.upgrade() {
                signal.wake();
            }
        });
        Ok(poller)
    }
}

impl<K: KeyMaterial> Poller<K> {
    /// Has the store call `wake` when it has changed, if it can. One that cannot is asked from
    /// time to time, as each is.
    pub(super) fn watch(&self, wake: Wake) -> Option<Watch> {
        let watch =
            self.calls.call(self.calls.timeout(), wake, |store, wake| store.watch(wake.clone()));
        let mut state = self.state();
        state.watch_error = watch.as_ref().err().map(text);
        let watch = watch.ok().flatten();
        state.watch_status = watch.as_ref().and_then(Watch::status).cloned();
        watch
    }

    /// One turn. Returns for how long to wait until the next, if nothing wakes before.
    pub(super) fn run_turn(&self) -> Duration {
        let random = getrandom::u64().unwrap_or(0);
        // A failure is in its health, and reported. What panics outside the parts of a turn is
        // an error of a client's that cannot be shown or dropped.
        let is_unconfirmed =
            catch(|| matches!(self.refresh(), Err(StoreError::Unconfirmed { .. })));
        if is_unconfirmed.is_none() {
            let panicked = Err(self.calls.panic_error());
            self.record(&panicked);
            self.count([panicked.as_ref().err(), None]);
        }
        match is_unconfirmed {
            // The second reading, which confirms the change, is not to wait for a poll.
            Some(true) => self.poll_delay.soon(random),
            _ => self.poll_delay.next(self.state().failures_in_a_row, random),
        }
    }

    /// One turn, after the one that runs already. Each of its two parts ends within the
    /// timeout, and a panic ends only the part that it comes from.
    pub(super) fn refresh(&self) -> Result<bool, StoreError> {
        let two_parts = self.calls.timeout().saturating_mul(2);
        let Some(turn) = self.signal.begin(two_parts) else {
            return Err(self.calls.timeout_error());
        };
        let loaded = self.ask(&turn, self.calls.timeout(), (), |store, ()| store.load());
        if self.signal.is_closed() {
            self.calls.release();
            return loaded.and(Err(self.calls.timeout_error()));
        }
        // A revocation is final, whatever else the store holds (V8).
        if let Err(StoreError::OnlyRevocations { revocations, .. }) = &loaded {
            catch(|| revocations.apply_to(&self.ring));
        }
        let applied = loaded.and_then(|manifest| self.apply(&manifest));
        self.record(&applied);
        let reported = self.report(&turn, *applied.as_ref().unwrap_or(&false));
        self.count([applied.as_ref().err(), reported.as_ref().err()]);
        applied
    }

    /// Asks the store within a turn. The answer to a follower that has ended is dropped.
    pub(super) fn ask<A, T, F>(
        &self,
        turn: &TurnGuard<'_>,
        time: Duration,
        argument: A,
        call: F,
    ) -> Result<T, StoreError>
    where
        A: Send + 'static,
        T: Send + 'static,
        F: for<'a> FnOnce(&'a dyn KeyStore, &'a A) -> StoreFuture<'a, T> + Send + 'static,
    {
        let answered = turn.call(|| self.calls.call(time, argument, call));
        answered.unwrap_or_else(|| Err(self.calls.timeout_error()))
    }

    fn apply(&self, manifest: &Manifest) -> Result<bool, StoreError> {
        // Whatever panics in it, the ring holds the old set or the new one, whole.
        let applied = catch(|| manifest.apply_to(&self.ring));
        Ok(applied.ok_or_else(|| self.calls.panic_error())??)
    }

    /// Keeps the outcome of a load, and reports a failure.
    fn record(&self, applied: &Result<bool, StoreError>) {
        let (now, error) = (self.now(), applied.as_ref().err().map(text));
        let mut state = self.state();
        match applied {
            Ok(has_changed) => {
                state.last_success = now.unwrap_or(state.last_success);
                state.reloads = state.reloads.saturating_add(u64::from(*has_changed));
                state.failures_in_a_row = 0;
                state.last_error = None;
            }
            // The store answers. Its change counts when it is read again.
            Err(StoreError::Unconfirmed { .. }) => state.last_error = error,
            Err(failure) => {
                state.failures = state.failures.saturating_add(1);
                state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
                state.last_error = error;
                let failures = state.failures_in_a_row;
                drop(state);
                let ring = self.ring.name();
                self.ring.emit(Event::ReloadFailed { ring, error: failure, failures });
            }
        }
    }

    /// Counts a turn that has ended.
    fn count(&self, errors: [Option<&StoreError>; 2]) {
        let has = |is: fn(&StoreError) -> bool| errors.iter().flatten().any(|error| is(error));
        let timed_out = has(|error| matches!(error, StoreError::TimedOut { .. }));
        let panicked = has(|error| matches!(error, StoreError::Panicked { .. }));
        let now = self.now();
        let mut state = self.state();
        state.last_turn = now.or(state.last_turn);
        state.turns = state.turns.saturating_add(1);
        state.turns_timed_out = state.turns_timed_out.saturating_add(u64::from(timed_out));
        state.turns_panicked = state.turns_panicked.saturating_add(u64::from(panicked));
    }

    pub(crate) fn health(&self) -> Health {
        let (set, now) = (self.ring.load(), self.ring.now());
        let unanswered_calls = self.calls.unanswered_count();
        let state = self.state();
        Health {
            generation: set.generation(),
            revision: set.revision(),
            fingerprint: set.fingerprint(),
            last_success: state.last_success,
            age: now.duration_since(state.last_success).unwrap_or_default(),
            is_stale: set.is_stale(now),
            is_serving: !set.is_stale(now) && set.primary(now).is_some(),
            changed_ahead: set.changed_ahead(now),
            reloads: state.reloads,
            failures: state.failures,
            failures_in_a_row: state.failures_in_a_row,
            last_error: state.last_error.clone(),
            watch_error: state
                .watch_error
                .clone()
                .or_else(|| state.watch_status.as_ref().and_then(WatchStatus::problem)),
            report_error: state.report_error.clone(),
            state: self.signal.follow_state(),
            turns: state.turns,
            last_turn: state.last_turn,
            turns_timed_out: state.turns_timed_out,
            turns_panicked: state.turns_panicked,
            unanswered_calls,
            observer_panics: self.ring.observer_panics(),
        }
    }

    /// Ends it: no further turn starts, and one that waits for the store changes nothing.
    pub(super) fn close(&self) {
        self.signal.close();
        self.calls.release();
    }

    /// The time of the ring's clock, unless that panics.
    pub(super) fn now(&self) -> Option<SystemTime> {
        catch(|| self.ring.now())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, PollerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text of `error`, of which a part may be of a client's making and panic.
pub(super) fn text(error: &StoreError) -> String {
    catch(|| error.to_string()).unwrap_or_else(|| error.as_str().to_owned())
}
