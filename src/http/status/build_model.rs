//! From a ring and the reports of its fleet to what is shown of them.

use super::watched::{RingState, Watched};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::advice::advice;
use super::model::{Instance, KeyDetails, KeyUses, Moment, Revoked, Ring, Store};
use crate::evidence::reports::is_possibly_running;
use crate::evidence::{Report, UsageCounts};
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::lifecycle::SigningStart;
use crate::lifecycle::policy::is_ahead;
use crate::manifest::status_json::{KeyJson, VerdictJson, written_end};
use crate::ring::KeyStatus;
use crate::source::Health;
use crate::text::Plain;

/// What a process calls itself that has no name.
const NAMELESS: &str = "this process";

pub(super) async fn build_ring(watched: &dyn Watched) -> Ring {
    let (stored, problem) = match watched.reports().await {
        Ok(reports) => (reports, None),
        Err(error) => (None, Some(Plain(&error.to_string()).to_string())),
    };
    let state = watched.read_state();
    let current = watched.report(&watched.instance().unwrap_or_else(|| NAMELESS.to_owned()));
    // What this process says of itself is newer than what it has stored.
    let reports = stored.filter(|reports| !reports.is_empty()).map(|mut reports| {
        reports.retain(|report| report.instance != current.instance);
        reports.push(current.clone());
        reports.sort_by(|a, b| a.instance.cmp(&b.instance));
        reports
    });
    let answers: Vec<_> = state
        .keys
        .iter()
        .map(|status| {
            let is_old = !matches!(status.state, KeyState::Live(Role::Primary | Role::Staged));
            is_old.then(|| watched.retirement(&status.kid, reports.as_deref()).ok()).flatten()
        })
        .collect();
    let expected = |kid: &Kid| watched.expected_obstacle(kid, reports.as_deref()).ok().flatten();
    let is_known = problem.is_none();
    let verdict = |place: usize| {
        let mut verdict = VerdictJson::new(answers[place].as_ref()?, Moment::not_before);
        if verdict.answer == "wait" {
            let traffic = expected(&state.keys[place].kid);
            verdict
                .reasons
                .extend(traffic.map(|obstacle| format!("expected after that: {obstacle}")));
        }
        if let Some(problem) = &problem {
            // What others saw cannot be asked for: that this process saw nothing proves nothing.
            verdict.reasons.push(format!("the other instances cannot be asked: {problem}"));
            if verdict.answer == "safe" {
                verdict.answer = "blocked";
            }
        }
        Some(verdict)
    };
    let is_fleet = reports.is_some();
    let shown = reports.as_deref().unwrap_or(std::slice::from_ref(&current));
    let keys = state.keys.iter().enumerate();
    let keys: Vec<_> =
        keys.map(|(place, status)| build_key(&state, status, shown, verdict(place))).collect();
    let instances: Vec<_> = shown.iter().map(|report| build_instance(&state, report)).collect();
    Ring {
        advice: advice(&state, reports.as_deref(), &answers, is_known, expected),
        warnings: state
            .policy
            .check_observation_window()
            .err()
            .iter()
            .map(ToString::to_string)
            .collect(),
        is_fleet,
        name: Plain(&state.ring).to_string(),
        purpose: state.purpose,
        now: Moment(state.now),
        is_stale: state.is_stale,
        generation: state.generation,
        revision: state.revision,
        fingerprint: state.fingerprint.to_string(),
        overlap_seconds: state.policy.overlap().as_secs(),
        observation_window_seconds: state.policy.observation_window.as_secs(),
        next_transition: state.next_transition.map(Moment),
        rotation_due: state.rotation_due.map(Moment),
        keys,
        instances,
        store: watched.health().map(|health| build_store(health, problem)),
    }
}

fn build_key(
    state: &RingState,
    status: &KeyStatus,
    reports: &[Report],
    verdict: Option<VerdictJson<Moment>>,
) -> KeyDetails {
    let seen = reports.iter().flat_map(|report| &report.last_as_fallback);
    KeyDetails {
        status: KeyJson {
            kid: status.kid.to_string(),
            variable: status.variable.as_ref().map(|name| Plain(name).to_string()),
            state: status.state.as_str(),
            signs_from: signs_from(status)
                .map(|start| Moment::not_before(start.max(status.added_at))),
            verifies_until: written_end(status.state, status.verifies_until)
                .map(Moment::not_before),
            verdict,
        },
        added_at: Moment(status.added_at),
        superseded_at: superseded_at(state, status).map(Moment),
        revoked: status.revoked.as_ref().map(|revoked| Revoked {
            at: Moment(revoked.at),
            reason: Plain(&revoked.reason).to_string(),
        }),
        last_as_fallback: seen
            .filter(|(kid, _)| *kid == status.kid)
            .map(|(_, seen)| Moment(*seen))
            .max(),
    }
}

fn signs_from(status: &KeyStatus) -> Option<SystemTime> {
    match status.signing_start {
        SigningStart::From(moment) => Some(moment),
        SigningStart::Never | SigningStart::Unscheduled => None,
    }
}

/// When the next later signer took over, or will: one that was revoked since counts, unless the
/// key has taken over from it again.
fn superseded_at(state: &RingState, status: &KeyStatus) -> Option<SystemTime> {
    let begin = signs_from(status)?;
    let is_primary = status.state == KeyState::Live(Role::Primary);
    let has_signed = |other: &&KeyStatus| match (&other.revoked, signs_from(other)) {
        (Some(revoked), Some(start)) => !is_primary && start < revoked.at,
        (_, start) => start.is_some(),
    };
    let later = state.keys.iter().filter(has_signed).filter_map(signs_from);
    later.filter(|other| *other > begin).min()
}

fn build_instance(state: &RingState, report: &Report) -> Instance {
    // Of a bucket that reaches into the window, all is shown.
    let begin = state.now.checked_sub(state.policy.observation_window).unwrap_or(UNIX_EPOCH);
    let mut sums: BTreeMap<Kid, UsageCounts> = BTreeMap::new();
    for (kid, uses) in
        report.buckets.iter().filter(|bucket| bucket.to >= begin).flat_map(|bucket| &bucket.uses)
    {
        let sum = sums.entry(*kid).or_default();
        *sum = sum.saturating_add(*uses);
    }
    let uses = state.keys.iter().map(|key| {
        let sum = sums.get(&key.kid).copied().unwrap_or_default();
        KeyUses {
            kid: key.kid.to_string(),
            verified_as_primary: sum.verified_as_primary,
            verified_as_fallback: sum.verified_as_fallback,
            signed: sum.signed,
        }
    });
    let (policy, changed_at, now) = (&state.policy, state.changed_at, state.now);
    Instance {
        name: Plain(&report.instance).to_string(),
        reported_at: Moment(report.reported_at),
        observed_since: Moment(report.observed_since),
        revision: report.revision,
        fingerprint: report.fingerprint.to_string(),
        agrees: report.problem.is_none() && report.fingerprint == state.fingerprint,
        has_stopped: report.has_stopped,
        may_run: is_possibly_running(report, policy, changed_at, now),
        problem: report.problem.as_deref().map(|problem| Plain(problem).to_string()),
        is_from_the_future: is_ahead(report.reported_at, policy, now),
        uses: uses.collect(),
    }
}

fn build_store(health: Health, problem: Option<String>) -> Store {
    let errors = [health.last_error, health.watch_error, health.report_error, problem];
    Store {
        last_reload: Moment(health.last_success),
        reloads: health.reloads,
        failures: health.failures,
        failures_in_a_row: health.failures_in_a_row,
        errors: errors.into_iter().flatten().map(|error| Plain(&error).to_string()).collect(),
    }
}
