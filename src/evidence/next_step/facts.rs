//! The facts that the next step follows from.

use std::time::SystemTime;

use crate::error::Obstacle;
use crate::evidence::reports::{
    ClockProblem, clock_problem, disagreement, disagreement_end, is_possibly_running, rewraps,
};
use crate::evidence::{Report, Verdict};
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::lifecycle::policy::is_ahead;
use crate::lifecycle::{KeyState, Policy, Role};
use crate::purpose::Purpose;

/// The facts about a ring.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    pub(crate) purpose: Purpose,
    pub(crate) policy: &'a Policy,
    pub(crate) changed_at: SystemTime,
    pub(crate) now: SystemTime,
    /// The keys beside the primary.
    pub(crate) keys: Vec<KeyFacts>,
    pub(crate) fleet: Fleet,
    /// True if the keys are in a file: its readers report nothing and end no key.
    pub(crate) is_file: bool,
    /// Since when the primary signs.
    pub(crate) signing_since: Option<SystemTime>,
    /// When the next rotation is due.
    pub(crate) due: Option<SystemTime>,
    /// True if it is due now.
    pub(crate) is_due: bool,
}

/// The facts about a key beside the primary.
#[derive(Debug, Clone)]
pub(crate) struct KeyFacts {
    pub(crate) kid: Kid,
    pub(crate) state: KeyState,
    pub(crate) added_at: SystemTime,
    /// The moment from which it signs, if it is staged for one.
    pub(crate) signs_from: Option<SystemTime>,
    pub(crate) verifies_until: Option<SystemTime>,
    /// True if its end was set by a retirement.
    pub(crate) is_retired: bool,
    /// True if it is staged because it was added again after it had expired, to read what is under it.
    pub(crate) is_restaged: bool,
    /// True if it belongs to another database, and no step is proposed for it.
    pub(crate) is_apart: bool,
    pub(crate) verdict: Option<Verdict>,
    /// The obstacle that the verdict will have once its time is over.
    pub(crate) expected: Option<Obstacle>,
    /// The start of the first rewrap that counts for it.
    pub(crate) rewrap_from: Option<SystemTime>,
    /// When its overlap is over, whether or not it ends then.
    pub(crate) overlap_end: Option<SystemTime>,
    /// Of a restaged key, the obstacles that it will have once it is withdrawn.
    pub(crate) after_withdrawal: Vec<Obstacle>,
}

/// The facts that the reports of the instances show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fleet {
    /// The first instance that holds other keys, or whose report cannot be read.
    pub(crate) objection: Option<Obstacle>,
    /// When the objections are over, if those instances are gone.
    pub(crate) objections_end: Option<SystemTime>,
    /// True if an instance that may be running reports.
    pub(crate) is_reported: bool,
    /// True if the clock is behind every report.
    pub(crate) is_clock_behind: bool,
    /// When the latest rewrap finished.
    pub(crate) rewrapped_at: Option<SystemTime>,
}

impl Fleet {
    /// The facts that `reports` show to an operator whose manifest has the fingerprint `expected`.
    pub(crate) fn new(
        reports: &[Report],
        expected: Fingerprint,
        policy: &Policy,
        changed_at: SystemTime,
        now: SystemTime,
    ) -> Self {
        let clock = clock_problem(reports, policy, now);
        Self {
            objection: disagreement(reports, expected, policy, changed_at, now).into_iter().next(),
            objections_end: disagreement_end(reports, expected, policy, changed_at, now),
            is_reported: reports
                .iter()
                .any(|report| is_possibly_running(report, policy, changed_at, now)),
            is_clock_behind: matches!(clock, Some(ClockProblem::Behind { .. })),
            rewrapped_at: rewraps(reports, policy, now).first().map(|rewrap| rewrap.finished_at),
        }
    }
}

impl Facts<'_> {
    /// Returns whether the last change lies ahead of the clock.
    pub(super) fn is_clock_behind(&self) -> bool {
        is_ahead(self.changed_at, self.policy, self.now)
    }

    /// The staged keys that are to sign.
    pub(super) fn staged_keys(&self) -> impl Iterator<Item = &KeyFacts> {
        let is_staged =
            |key: &&KeyFacts| key.state == KeyState::Live(Role::Staged) && !key.is_restaged;
        self.keys.iter().filter(is_staged)
    }

    /// The staged key whose step is next.
    pub(crate) fn staged(&self) -> Option<&KeyFacts> {
        self.staged_keys().min_by_key(|key| key.signs_from)
    }

    /// Returns whether a rotation finds room for a new key.
    pub(super) fn has_room(&self) -> bool {
        let fallbacks = self.keys.iter().filter(|key| key.is_fallback()).count();
        fallbacks <= max_fallbacks(self.purpose, self.is_file)
    }

    /// The first fallback. Those of an audit ring are kept, to verify old records.
    pub(super) fn fallback(&self) -> Option<&KeyFacts> {
        let is_fallback = |key: &&KeyFacts| key.is_fallback() && !key.is_apart;
        self.keys.iter().find(is_fallback).filter(|_| self.purpose != Purpose::Audit)
    }
}

/// The most fallbacks beside which a rotation finds room for a new key: the primary is there as well.
pub(crate) fn max_fallbacks(purpose: Purpose, is_file: bool) -> usize {
    // A file has `X`, `X_OLD` and `X_BACKUP`.
    let max_live_keys = if is_file { 3 } else { purpose.max_live_keys() };
    max_live_keys.saturating_sub(2)
}

impl KeyFacts {
    pub(super) fn is_fallback(&self) -> bool {
        self.state == KeyState::Live(Role::Fallback)
    }

    /// Returns whether rows may be under this key, which opens none, or was restaged to open them.
    pub(super) fn is_rescue(&self) -> bool {
        let is_blocked = matches!(self.verdict, Some(Verdict::Blocked(_)));
        self.is_restaged || (self.state == KeyState::Revoked && is_blocked)
    }

    /// The verdict, with the traffic that is expected once its time is over: so the moment that is named
    /// is one at which the step is accepted.
    pub(super) fn expected_verdict(&self) -> Option<Verdict> {
        match (&self.verdict, &self.expected) {
            (Some(Verdict::Wait { until }), Some(expected)) => {
                let until = Obstacle::TooEarly { until: *until };
                Some(Verdict::Blocked(vec![expected.clone(), until]))
            }
            (verdict, _) => verdict.clone(),
        }
    }
}
