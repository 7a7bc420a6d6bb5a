//! One turn of a ring that follows: load, check, test, swap; and a report, when it is due.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::pace::{Pace, REPORT_EVERY};
use super::{Follow, Health};
use crate::key::KeyMaterial;
use crate::manifest::Manifest;
use crate::observer::Event;
use crate::ring::KeyRing;
use crate::source::error::StoreError;
use crate::source::store::{KeyStore, Wake, Watch};

pub(crate) struct Turner<K: KeyMaterial> {
    pub(crate) ring: KeyRing<K>,
    pub(crate) store: Arc<dyn KeyStore>,
    pace: Pace,
    pub(crate) instance: Option<String>,
    state: Mutex<State>,
}

struct State {
    last_success: SystemTime,
    reloads: u64,
    failures: u64,
    failures_in_a_row: u64,
    last_error: Option<String>,
    watch_error: Option<String>,
    reported_at: Option<SystemTime>,
    report_error: Option<String>,
}

impl<K: KeyMaterial> Follow<K> {
    /// Loads for the first time: without that there is no ring.
    pub(super) async fn begin(self) -> Result<Turner<K>, StoreError> {
        let manifest = self.store.load().await?;
        let ring = self.builder.build_from(&manifest)?;
        ring.set_followed();
        let now = ring.now();
        let turner = Turner {
            ring,
            store: self.store,
            pace: self.pace,
            instance: self.instance,
            state: Mutex::new(State {
                last_success: now,
                reloads: 0,
                failures: 0,
                failures_in_a_row: 0,
                last_error: None,
                watch_error: None,
                reported_at: None,
                report_error: None,
            }),
        };
        turner.resume().await;
        Ok(turner)
    }
}

impl<K: KeyMaterial> Turner<K> {
    /// Has the store call `wake` when it has changed, if it can. One that cannot is asked from
    /// time to time, as each is.
    pub(super) async fn watch(&self, wake: Wake) -> Option<Watch> {
        let watch = self.store.watch(wake).await;
        self.state().watch_error = watch.as_ref().err().map(ToString::to_string);
        watch.ok().flatten()
    }

    /// One turn. Returns for how long to wait until the next, if nothing wakes before.
    pub(super) async fn turn(&self) -> Duration {
        // What went wrong is in its health, and told.
        let _ = self.refresh_and_report().await;
        let failures = self.state().failures_in_a_row;
        self.pace.next(failures, getrandom::u64().unwrap_or(0))
    }

    pub(super) async fn refresh_and_report(&self) -> Result<bool, StoreError> {
        let loaded = self.store.load().await;
        let applied = self.take(loaded);
        self.report(*applied.as_ref().unwrap_or(&false)).await;
        applied
    }

    /// What the store gave: a manifest, or why not.
    fn take(&self, loaded: Result<Manifest, StoreError>) -> Result<bool, StoreError> {
        let applied = loaded.and_then(|manifest| Ok(self.ring.apply(&manifest)?));
        let now = self.ring.now();
        let mut state = self.state();
        match &applied {
            Ok(has_changed) => {
                state.last_success = now;
                state.reloads += u64::from(*has_changed);
                state.failures_in_a_row = 0;
                state.last_error = None;
            }
            Err(error) => {
                state.failures += 1;
                state.failures_in_a_row += 1;
                state.last_error = Some(error.to_string());
                let failures = state.failures_in_a_row;
                drop(state);
                let ring = self.ring.name();
                self.ring.tell(Event::ReloadFailed { ring, error, failures });
            }
        }
        applied
    }

    pub(crate) fn health(&self) -> Health {
        let (set, now) = (self.ring.load(), self.ring.now());
        let state = self.state();
        Health {
            generation: set.generation(),
            revision: set.revision(),
            fingerprint: set.fingerprint(),
            last_success: state.last_success,
            age: now.duration_since(state.last_success).unwrap_or_default(),
            is_stale: set.fresh_until().is_some_and(|end| now >= end),
            reloads: state.reloads,
            failures: state.failures,
            failures_in_a_row: state.failures_in_a_row,
            last_error: state.last_error.clone(),
            watch_error: state.watch_error.clone(),
            report_error: state.report_error.clone(),
        }
    }

    /// The last report of this instance: that it is no more.
    pub(super) async fn farewell(&self) -> Result<(), StoreError> {
        let Some(instance) = &self.instance else { return Ok(()) };
        let mut report = self.ring.report(instance);
        report.has_stopped = true;
        match self.store.save_report(&report).await {
            Err(StoreError::NoReports { .. }) => Ok(()),
            saved => saved,
        }
    }

    /// Goes on with what the instance of this name saw before.
    async fn resume(&self) {
        let Some(instance) = &self.instance else { return };
        let reports = match self.store.reports().await {
            Ok(reports) => reports,
            Err(StoreError::NoReports { .. }) => return,
            Err(error) => {
                self.state().report_error = Some(error.to_string());
                return;
            }
        };
        if let Some(own) = reports.iter().find(|report| report.instance == *instance) {
            self.ring.resume(own);
        }
    }

    /// Keeps a report where the fleet finds it, if one is due.
    pub(super) async fn report(&self, has_changed: bool) {
        let Some(instance) = &self.instance else { return };
        let now = self.ring.now();
        let is_due = self.state().reported_at.is_none_or(|last| {
            // A window is watched in pieces; and a clock that jumped back is no reason to be
            // silent.
            let every = REPORT_EVERY.min(self.ring.load().policy().observation / 24);
            now.duration_since(last).map_or(true, |since| since >= every)
        });
        if !is_due && !has_changed {
            return;
        }
        let saved = self.store.save_report(&self.ring.report(instance)).await;
        let saved = match saved {
            Ok(()) => self.take_over(instance, now).await,
            error => error,
        };
        let mut state = self.state();
        (state.reported_at, state.report_error) = match saved {
            Ok(()) | Err(StoreError::NoReports { .. }) => (Some(now), None),
            // Tried again at the next turn.
            Err(error) => (None, Some(error.to_string())),
        };
    }

    /// Keeps of instances that are long gone what has no end, and drops their reports: where
    /// every restart has a new name they would pile up. Two that do so at once count it
    /// twice, which is on the safe side.
    async fn take_over(&self, own: &str, now: SystemTime) -> Result<(), StoreError> {
        let set = self.ring.load();
        let kept = (set.policy().observation + REPORT_EVERY).saturating_mul(2);
        let mut gone = self.store.reports().await?;
        gone.retain(|report| {
            let is_gone = now.duration_since(report.reported_at).is_ok_and(|age| age > kept);
            is_gone && report.instance != own
        });
        if gone.is_empty() {
            return Ok(());
        }
        gone.iter().for_each(|report| self.ring.absorb(report));
        // Kept in the own report first: whoever is killed in between loses nothing.
        self.store.save_report(&self.ring.report(own)).await?;
        for report in &gone {
            self.store.forget_report(&report.instance).await?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
