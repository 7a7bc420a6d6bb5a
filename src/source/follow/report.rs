//! The reports of this instance: resumed at the start, saved when due, and the last one.

use std::time::{Duration, Instant, SystemTime};

use super::poll_delay::REPORT_EVERY;
use super::poller::{Poller, text};
use super::signal::TurnGuard;
use crate::evidence::Report;
use crate::evidence::reports::observed_since;
use crate::observer::catch;
use crate::ring::KeyMaterial;
use crate::source::error::StoreError;

impl<K: KeyMaterial> Poller<K> {
    /// Continues with the observations of the instance that had this name before.
    pub(super) fn resume(&self) {
        let Some(instance) = &self.instance else { return };
        let reports = match self.calls.call(self.calls.timeout(), (), |store, ()| store.reports()) {
            Ok(reports) => reports,
            Err(StoreError::NoReports { .. }) => return,
            Err(error) => {
                self.state().report_error = Some(text(&error));
                return;
            }
        };
        if let Some(previous) = reports.iter().find(|report| report.instance == *instance) {
            let resumed = catch(|| self.ring.resume(previous));
            self.state().report_error = resumed.is_none().then(|| text(&self.calls.panic_error()));
        }
    }

    /// The first report of a follower that no driver runs.
    pub(super) fn report_at_start(&self) {
        if let Some(turn) = self.signal.begin(self.calls.timeout()) {
            let _ = self.report(&turn, true);
        }
    }

    /// Keeps a report where the fleet finds it, if one is due.
    pub(super) fn report(&self, turn: &TurnGuard<'_>, has_changed: bool) -> Result<(), StoreError> {
        let Some(instance) = &self.instance else { return Ok(()) };
        let reported = catch(|| self.report_if_due(turn, instance, has_changed));
        let reported = reported.unwrap_or_else(|| Err(self.calls.panic_error()));
        let outcome = match &reported {
            Ok(None) => return Ok(()),
            Ok(Some(now)) => (Some(*now), None),
            // Tried again at the next turn.
            Err(error) => (None, Some(text(error))),
        };
        let mut state = self.state();
        (state.reported_at, state.report_error) = outcome;
        drop(state);
        reported.map(drop)
    }

    /// Returns when it was saved; `None`, if none is due. One with a rewrap that no report has yet is
    /// due at once.
    fn report_if_due(
        &self,
        turn: &TurnGuard<'_>,
        instance: &str,
        has_changed: bool,
    ) -> Result<Option<SystemTime>, StoreError> {
        let now = self.ring.now();
        let is_due = self.state().reported_at.is_none_or(|last| {
            // A window is watched in pieces; and a clock that jumped back is no reason to be
            // silent.
            let every = REPORT_EVERY.min(self.ring.load().policy().observation_window / 24);
            now.duration_since(last).map_or(true, |since| since >= every)
        });
        let has_news = self.ring.take_report_news();
        if !is_due && !has_changed && !has_news {
            return Ok(None);
        }
        let start = Instant::now();
        let saved = self
            .save(turn, start, self.ring.report(instance))
            .and_then(|()| self.take_over(turn, start, instance, now));
        match saved {
            Ok(()) | Err(StoreError::NoReports { .. }) => Ok(Some(now)),
            Err(error) => {
                if has_news {
                    self.ring.keep_report_news();
                }
                Err(error)
            }
        }
    }

    /// Keeps of instances that are long gone what has no end, and drops their reports: where
    /// every restart has a new name they would pile up. Two that do so at once count it
    /// twice, which is on the safe side.
    fn take_over(
        &self,
        turn: &TurnGuard<'_>,
        start: Instant,
        instance: &str,
        now: SystemTime,
    ) -> Result<(), StoreError> {
        let (policy, changed_at) = (*self.ring.load().policy(), self.ring.load().changed_at());
        let counts = policy.observation_window.max(policy.window());
        let kept = counts.saturating_add(REPORT_EVERY).saturating_mul(2);
        let mut gone = self.ask(turn, self.time_left(start), (), |store, ()| store.reports())?;
        let since = observed_since(&gone, &policy, changed_at, now);
        gone.retain(|report| {
            let is_gone = now.duration_since(report.reported_at).is_ok_and(|age| age > kept);
            is_gone && report.instance != instance
        });
        if gone.is_empty() {
            return Ok(());
        }
        for report in &gone {
            self.ring.absorb(report);
            if let Some(since) = since.filter(|since| *since <= report.reported_at) {
                self.ring.continue_watch(report, since);
            }
        }
        // Kept in the own report first: whoever is killed in between loses nothing.
        self.save(turn, start, self.ring.report(instance))?;
        for report in gone {
            self.ask(turn, self.time_left(start), report.instance, |store, instance| {
                store.forget_report(instance)
            })?;
        }
        Ok(())
    }

    fn save(&self, turn: &TurnGuard<'_>, start: Instant, report: Report) -> Result<(), StoreError> {
        self.ask(turn, self.time_left(start), report, |store, report| store.save_report(report))
    }

    /// Ends it, and saves the last report of this instance: that it is no more. Both together
    /// take no longer than the timeout.
    pub(super) fn stop(&self) -> Result<(), StoreError> {
        let stopped = self.save_last_report();
        self.close();
        stopped
    }

    fn save_last_report(&self) -> Result<(), StoreError> {
        let Some(instance) = &self.instance else { return Ok(()) };
        let start = Instant::now();
        self.signal.close_and_wait(self.calls.timeout());
        let report =
            catch(|| self.ring.report(instance)).ok_or_else(|| self.calls.panic_error())?;
        let report = Report { has_stopped: true, ..report };
        let saved = self
            .calls
            .call(self.time_left(start), report, |store, report| store.save_report(report));
        match saved {
            Err(StoreError::NoReports { .. }) => Ok(()),
            saved => saved,
        }
    }

    /// What is left of the time for work that began at `start`.
    fn time_left(&self, start: Instant) -> Duration {
        self.calls.timeout().saturating_sub(start.elapsed())
    }
}
