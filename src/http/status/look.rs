//! From a ring and the reports of its fleet to what is shown of them.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::model::{Instance, Key, Revoked, Ring, Store, Time, Uses, Verdict};
use super::page::{ago, moment};
use crate::key::Signs;
use crate::kid::Kid;
use crate::ring::report::{is_ahead, may_run, objection};
use crate::ring::{KeyState, KeyStatus, Report};
use crate::source::Health;
use crate::telemetry::{Look, Watched};
use crate::text::Plain;
use crate::verdict::{Obstacle, Verdict as Answer};
use crate::verified::Role;

/// What a process calls itself that has no name.
const NAMELESS: &str = "this process";

pub(super) async fn ring(watched: &dyn Watched) -> Ring {
    let (stored, problem) = match watched.reports().await {
        Ok(reports) => (reports, None),
        Err(error) => (None, Some(Plain(&error.to_string()).to_string())),
    };
    let look = watched.look();
    let own = watched.report(&watched.instance().unwrap_or_else(|| NAMELESS.to_owned()));
    // What this process says of itself is newer than what it has stored.
    let reports = stored.filter(|reports| !reports.is_empty()).map(|mut reports| {
        reports.retain(|report| report.instance != own.instance);
        reports.push(own.clone());
        reports.sort_by(|a, b| a.instance.cmp(&b.instance));
        reports
    });
    let verdict = |kid: &Kid| {
        let answer = watched.retirement(kid, reports.as_deref()).ok()?;
        let mut verdict = verdict(&look, answer);
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
    let shown = reports.as_deref().unwrap_or(std::slice::from_ref(&own));
    let keys: Vec<_> = look.keys.iter().map(|status| key(&look, status, shown, &verdict)).collect();
    let instances: Vec<_> = shown.iter().map(|report| instance(&look, report)).collect();
    Ring {
        advice: advice(&look, &keys, &instances, is_fleet),
        is_fleet,
        name: Plain(&look.ring).to_string(),
        purpose: look.purpose,
        now: Time(look.now),
        is_stale: look.is_stale,
        generation: look.generation,
        revision: look.revision,
        fingerprint: look.fingerprint.to_string(),
        overlap_seconds: look.policy.overlap().as_secs(),
        observation_seconds: look.policy.observation.as_secs(),
        next_transition: look.next_transition.map(Time),
        rotation_due: look.rotation_due.map(Time),
        keys,
        instances,
        store: watched.health().map(|health| store(health, problem)),
    }
}

fn key(
    look: &Look,
    status: &KeyStatus,
    reports: &[Report],
    verdict: &impl Fn(&Kid) -> Option<Verdict>,
) -> Key {
    let is_old = !matches!(status.state, KeyState::Active(Role::Primary | Role::Staged));
    let seen = reports.iter().flat_map(|report| &report.last_as_fallback);
    Key {
        kid: status.kid.to_string(),
        variable: status.variable.as_ref().map(|own| Plain(own).to_string()),
        state: status.state.as_str(),
        added_at: Time(status.added_at),
        signs_from: start(status).map(|start| Time(start.max(status.added_at))),
        superseded_at: superseded(look, status).map(Time),
        ends_at: status.ends_at.map(Time),
        revoked: status
            .revoked
            .as_ref()
            .map(|own| Revoked { at: Time(own.at), reason: Plain(&own.reason).to_string() }),
        last_as_fallback: seen
            .filter(|(kid, _)| *kid == status.kid)
            .map(|(_, seen)| Time(*seen))
            .max(),
        verdict: if is_old { verdict(&status.kid) } else { None },
    }
}

fn start(status: &KeyStatus) -> Option<SystemTime> {
    match status.signs {
        Signs::From(moment) => Some(moment),
        Signs::Never | Signs::Unscheduled => None,
    }
}

/// When the next later signer took over, or will: one that was revoked since counts, unless the
/// key has taken over from it again.
fn superseded(look: &Look, status: &KeyStatus) -> Option<SystemTime> {
    let own = start(status)?;
    let is_primary = status.state == KeyState::Active(Role::Primary);
    let has_signed = |other: &&KeyStatus| match (&other.revoked, start(other)) {
        (Some(revoked), Some(start)) => !is_primary && start < revoked.at,
        (_, start) => start.is_some(),
    };
    let later = look.keys.iter().filter(has_signed).filter_map(start);
    later.filter(|other| *other > own).min()
}

fn verdict(look: &Look, answer: Answer) -> Verdict {
    let (answer, until, obstacles) = match answer {
        Answer::Safe => ("safe", None, Vec::new()),
        Answer::Wait { until } => ("wait", Some(until), Vec::new()),
        Answer::Blocked(obstacles) => ("blocked", None, obstacles),
    };
    let reasons = obstacles.iter().map(|obstacle| reason(look.now, obstacle)).collect();
    Verdict { answer, until: until.map(Time), reasons }
}

/// What an obstacle says, with its moments.
fn reason(now: SystemTime, obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::TooEarly { until } => format!("{obstacle}, until {}", moment(now, *until)),
        Obstacle::UsedAsFallback { last } => format!("{obstacle}, last {}", ago(now, *last)),
        Obstacle::OtherKeys { reported_at, .. } => {
            format!("{obstacle}, as it said {}", ago(now, *reported_at))
        }
        Obstacle::SweptTooEarly { started_at, not_before } => format!(
            "{obstacle}: {}, instead of after {}",
            ago(now, *started_at),
            moment(now, *not_before),
        ),
        _ => obstacle.to_string(),
    }
}

fn instance(look: &Look, report: &Report) -> Instance {
    // Of a bucket that reaches into the window, all is shown.
    let begin = look.now.checked_sub(look.policy.observation).unwrap_or(UNIX_EPOCH);
    let mut sums: BTreeMap<Kid, crate::ring::Uses> = BTreeMap::new();
    for (kid, uses) in
        report.buckets.iter().filter(|bucket| bucket.to >= begin).flat_map(|bucket| &bucket.uses)
    {
        let sum = sums.entry(*kid).or_default();
        *sum = sum.plus(*uses);
    }
    let uses = look.keys.iter().map(|key| {
        let sum = sums.get(&key.kid).copied().unwrap_or_default();
        Uses {
            kid: key.kid.to_string(),
            verified_as_primary: sum.verified_as_primary,
            verified_as_fallback: sum.verified_as_fallback,
            signed: sum.signed,
        }
    });
    let (policy, changed_at, now) = (&look.policy, look.changed_at, look.now);
    let objection = objection(report, look.fingerprint, policy, changed_at, now);
    Instance {
        name: Plain(&report.instance).to_string(),
        reported_at: Time(report.reported_at),
        observed_since: Time(report.observed_since),
        revision: report.revision,
        fingerprint: report.fingerprint.to_string(),
        agrees: report.problem.is_none() && report.fingerprint == look.fingerprint,
        has_stopped: report.has_stopped,
        may_run: may_run(report, policy, changed_at, now),
        problem: report.problem.as_deref().map(|own| Plain(own).to_string()),
        is_from_the_future: is_ahead(report.reported_at, policy, now),
        objection: objection.map(|own| match own {
            Obstacle::UnreadableReport { .. } => "has a report that cannot be read",
            _ => "holds other keys",
        }),
        uses: uses.collect(),
    }
}

fn store(health: Health, problem: Option<String>) -> Store {
    let errors = [health.last_error, health.watch_error, health.report_error, problem];
    Store {
        last_reload: Time(health.last_success),
        reloads: health.reloads,
        failures: health.failures,
        failures_in_a_row: health.failures_in_a_row,
        errors: errors.into_iter().flatten().map(|own| Plain(&own).to_string()).collect(),
    }
}

/// What is to be done next, in a sentence.
fn advice(look: &Look, keys: &[Key], instances: &[Instance], is_fleet: bool) -> String {
    if look.is_stale {
        return "It serves nothing: the store could not be read for too long.".to_owned();
    }
    let of = |state: &'static str| keys.iter().filter(move |key| key.state == state);
    if let Some(key) = of("staged").next() {
        let behind = instances.iter().find_map(|own| Some((&own.name, own.objection?)));
        return match (key.signs_from, behind) {
            (Some(from), _) => {
                format!("The key {} begins to sign {}.", key.kid, moment(look.now, from.0))
            }
            (None, Some((name, objection))) => {
                format!("Wait before promoting {}: the instance {name} {objection}.", key.kid)
            }
            (None, None) if is_fleet => {
                format!("The key {} may be promoted: every instance holds it.", key.kid)
            }
            (None, None) => {
                format!("The key {} is staged: promote it once every instance holds it.", key.kid)
            }
        };
    }
    let verdicts = || of("fallback").filter_map(|key| Some((key, key.verdict.as_ref()?)));
    let blocked = verdicts().find(|(_, verdict)| verdict.answer == "blocked");
    let wait =
        verdicts().filter_map(|(key, verdict)| Some((verdict.until?, key))).max_by_key(|own| own.0);
    if let Some((key, verdict)) = blocked {
        let more = match verdict.reasons.len() {
            0 | 1 => String::new(),
            count => format!(", and {} more", count - 1),
        };
        let first = verdict.reasons.first().map_or("it is needed", String::as_str);
        return format!("Keep {}: {first}{more}.", key.kid);
    }
    if let Some((until, key)) = wait {
        return format!(
            "Wait until {}: the key {} is still needed.",
            moment(look.now, until.0),
            key.kid
        );
    }
    if let Some((key, _)) = verdicts().next() {
        return format!("The key {} may be retired: nothing that is valid needs it.", key.kid);
    }
    match look.rotation_due {
        Some(due) if due <= look.now => {
            format!("A rotation has been due since {}.", moment(look.now, due))
        }
        Some(due) => {
            format!("Nothing to do until {}, when a rotation is due.", moment(look.now, due))
        }
        None => "Nothing to do.".to_owned(),
    }
}
