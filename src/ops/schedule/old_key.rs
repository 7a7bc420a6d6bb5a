//! The step of a key that signs no more, in words and as a command that is accepted at its moment.

use std::time::SystemTime;

use super::{Next, Other};
use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::Verdict;
use crate::evidence::old_key::{OldKey, OldKeyStep, is_of_rewrap};
use crate::evidence::reports::{ClockProblem, clock_problem, end_of, may_run, sweeps};
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::Manifest;
use crate::moment::NotBefore;
use crate::ops::inventory::{Item, Place};

/// Returns whether rows may be under a key that opens none, or that was restaged to open them.
pub(super) fn is_rescue(own: &Other) -> bool {
    let is_blocked = matches!(own.verdict, Some(Verdict::Blocked(_)));
    own.is_restaged || (own.state == KeyState::Revoked && is_blocked)
}

/// Returns whether a command only looks.
pub(super) fn is_status(command: &str) -> bool {
    command.starts_with("dualkey status ")
}

/// The moment at which the instance of an obstacle counts as gone, if it reports no more.
fn gone_at(obstacle: &Obstacle, manifest: &Manifest) -> Option<SystemTime> {
    match obstacle {
        Obstacle::OtherKeys { reported_at, .. } => end_of(*reported_at, manifest.policy()),
        _ => None,
    }
}

/// The option for a step at `at` that no report confirms the clock of: only instances that are gone
/// have reported.
pub(super) fn clock_option(
    manifest: &Manifest,
    reports: &[Report],
    at: Option<SystemTime>,
    now: SystemTime,
) -> &'static str {
    let (policy, changed_at) = (manifest.policy(), manifest.changed_at());
    let is_running = reports.iter().any(|own| may_run(own, policy, changed_at, now));
    let problem = clock_problem(reports, policy, at.map_or(now, |at| at.max(now)));
    match problem {
        Some(ClockProblem::Silent { .. }) if !is_running => " --trust-clock",
        _ => "",
    }
}

/// The words for the moment until which an instance counts that is gone.
pub(super) fn if_gone(ends: Option<SystemTime>) -> String {
    ends.map_or_else(String::new, |ends| {
        format!("; if it is gone, its report counts until {}", NotBefore(ends))
    })
}

/// The step of an old key, in words and as a command.
pub(super) fn next_of(
    own: &Other,
    item: &Item,
    manifest: &Manifest,
    reports: &[Report],
    now: SystemTime,
) -> Option<Next> {
    let (name, kid) = (&item.name, own.kid);
    if let Place::Dotenv(_) = item.store {
        return next_in_file(own, item, manifest, now);
    }
    if own.is_restaged {
        return Some(next_of_restaged(own, item, manifest, reports, now));
    }
    let verdict = expected_verdict(own, manifest, reports, now);
    let old = OldKey {
        state: own.state,
        is_retired: own.is_retired,
        ends_at: own.ends_at,
        verdict: verdict.as_ref(),
        rewrap_from: manifest.rewrap_counts_from(&kid, now),
    };
    let step = old.next(manifest.purpose(), manifest.policy(), now)?;
    let at = step.from();
    let clock = clock_option(manifest, reports, at, now);
    let command = |step: &str| Some(format!("dualkey {step} {name} --kid {kid}{clock}"));
    let until_then = |because: Option<Obstacle>| match because.filter(|_| at.is_some()) {
        Some(obstacle) => format!("; until then: {obstacle}"),
        None => String::new(),
    };
    let against = contradiction(verdict.as_ref());
    Some(match step {
        OldKeyStep::Retire { from: None, .. } => Next {
            what: "retire the old key: nothing needs it".to_owned(),
            command: command("retire"),
            at,
        },
        OldKeyStep::Retire { because, .. } => Next {
            what: format!("retire the old key{}", until_then(because)),
            command: command("retire"),
            at,
        },
        OldKeyStep::Destroy { because, .. } => {
            let what = match (own.state, own.ends_at) {
                (KeyState::Active(_), Some(ends)) => format!(
                    "the old key is retired and ends at {}; then destroy its secret{}",
                    NotBefore(ends),
                    until_then(because)
                ),
                _ => format!(
                    "destroy the secret of the old key, which has expired{}",
                    until_then(because)
                ),
            };
            Next { what, command: command("destroy"), at }
        }
        OldKeyStep::Rewrap { obstacle, .. } if own.state == KeyState::Revoked => Next {
            what: format!(
                "rescue what the revoked key has sealed, which nothing opens: {obstacle}"
            ),
            command: Some(format!(
                "dualkey rewrap {name} --execute --open-revoked --reason 'rows under a revoked key'"
            )),
            // Deliberately at once, although the first one may not count for the destruction.
            at: at.filter(|_| is_after_the_revocation(&obstacle, manifest)),
        },
        OldKeyStep::Rewrap { obstacle, .. } => rewrap(name, &obstacle, at),
        OldKeyStep::Restage { obstacle } => Next {
            what: format!(
                "restage the old key, which has expired, then rewrap what it has sealed: {obstacle}"
            ),
            command: command("restage"),
            at,
        },
        OldKeyStep::Wait { obstacle } if is_unobserved(&obstacle) && against.is_none() => {
            by_force(own, item, manifest, reports, &obstacle, now)
        }
        OldKeyStep::Wait { obstacle } => {
            let obstacle = against.unwrap_or(&obstacle);
            Next {
                what: format!(
                    "keep the old key: {obstacle}{}",
                    if_gone(gone_at(obstacle, manifest))
                ),
                command: Some(format!("dualkey status {name}")),
                at,
            }
        }
    })
}

/// The obstacle that shows a use of the key or an instance that holds others, so that force would do harm.
fn contradiction(verdict: Option<&Verdict>) -> Option<&Obstacle> {
    let Some(Verdict::Blocked(obstacles)) = verdict else { return None };
    obstacles.iter().find(|own| {
        matches!(
            own,
            Obstacle::UsedAsFallback { .. }
                | Obstacle::OtherKeys { .. }
                | Obstacle::UnreadableReport { .. }
        )
    })
}

/// Returns whether the rewrap that started too early started after the key was revoked.
fn is_after_the_revocation(obstacle: &Obstacle, manifest: &Manifest) -> bool {
    let Obstacle::SweptTooEarly { started_at, not_before } = obstacle else { return false };
    let counts_from = started_at.checked_add(manifest.policy().window());
    counts_from.is_none_or(|from| from >= *not_before)
}

fn rewrap(name: &str, obstacle: &Obstacle, at: Option<SystemTime>) -> Next {
    let problem = match obstacle {
        Obstacle::NotSwept => String::new(),
        Obstacle::RowsUnreadable { .. } => {
            format!(": {obstacle}; correct or delete those that it lists first")
        }
        obstacle => format!(": {obstacle}"),
    };
    Next {
        what: format!("rewrap what the old key has sealed{problem}"),
        command: Some(format!("dualkey rewrap {name} --execute")),
        at,
    }
}

/// The verdict on an old key, with the traffic that is expected once its time is over: so that the moment
/// that is named is one at which the step is accepted.
fn expected_verdict(
    own: &Other,
    manifest: &Manifest,
    reports: &[Report],
    now: SystemTime,
) -> Option<Verdict> {
    let verdict = own.verdict.clone()?;
    let Verdict::Wait { until } = verdict else { return Some(verdict) };
    match manifest.expected_obstacle(&own.kid, reports, now) {
        Ok(Some(expected)) => Some(Verdict::Blocked(vec![expected, Obstacle::TooEarly { until }])),
        _ => Some(verdict),
    }
}

/// The step of a key that was restaged to read what is under it: a rewrap, then its withdrawal. It is not
/// to sign.
fn next_of_restaged(
    own: &Other,
    item: &Item,
    manifest: &Manifest,
    reports: &[Report],
    now: SystemTime,
) -> Next {
    let (name, kid) = (&item.name, own.kid);
    let withdrawal = Next {
        what: "withdraw the restaged key once nothing needs it".to_owned(),
        command: Some(format!(
            "dualkey retire {name} --kid {kid}{}",
            clock_option(manifest, reports, None, now)
        )),
        at: None,
    };
    if !item.purpose.needs_sweep() {
        return withdrawal;
    }
    let without = manifest.force("a question").retire(&kid, now).map(|own| own.manifest);
    let verdict = without.and_then(|own| own.retirement(&kid, reports, now));
    let obstacles = match verdict {
        Ok(Verdict::Blocked(obstacles)) => obstacles,
        _ => return withdrawal,
    };
    let from = manifest.rewrap_counts_from(&kid, now).filter(|from| now < *from);
    match obstacles.iter().find(|own| is_of_rewrap(own)) {
        // Without the option, what is under a staged key stays as it is.
        Some(obstacle) => Next {
            command: Some(format!("dualkey rewrap {name} --execute --renew-all")),
            ..rewrap(name, obstacle, from)
        },
        None => withdrawal,
    }
}

/// Returns whether nothing that is seen of the key says that it is unused, and no time changes that.
fn is_unobserved(obstacle: &Obstacle) -> bool {
    matches!(obstacle, Obstacle::NoInstance | Obstacle::TooLittleTraffic { from: None, .. })
}

/// The step of an old key of which nothing is seen: by force, once its time is over.
fn by_force(
    own: &Other,
    item: &Item,
    manifest: &Manifest,
    reports: &[Report],
    obstacle: &Obstacle,
    now: SystemTime,
) -> Next {
    let (name, kid, policy) = (&item.name, own.kid, manifest.policy());
    let (reason, from) = match item.purpose.needs_sweep() {
        true => {
            let finished = sweeps(reports, policy, now).first().map(|own| own.finished_at);
            let from = finished.and_then(|own| own.checked_add(policy.observation));
            ("every row is rewrapped", from)
        }
        false => {
            let end = manifest.overlap_ends_at(&kid);
            let end = end.or_else(|| own.added_at.checked_add(policy.overlap()));
            ("its overlap is over", end)
        }
    };
    let (step, words) = match own.state {
        KeyState::Active(_) if !own.is_retired => ("retire", "retire the old key"),
        _ => ("destroy", "destroy the secret of the old key"),
    };
    // A live key is not destroyed.
    let end = own.ends_at.filter(|_| step == "destroy");
    let at = from.max(end).filter(|from| now < *from);
    let clock = clock_option(manifest, reports, at, now);
    Next {
        what: format!("{words} by force, if you know that nothing needs it: {obstacle}"),
        command: Some(format!(
            "dualkey {step} {name} --kid {kid} --force --reason '{reason}'{clock}"
        )),
        at,
    }
}

/// The step of an old key in a `.env` file: its readers report nothing and end no key, so that a
/// retirement takes the key out of the file, when its time is over.
fn next_in_file(own: &Other, item: &Item, manifest: &Manifest, now: SystemTime) -> Option<Next> {
    let (name, kid) = (&item.name, own.kid);
    let retire = format!("dualkey retire {name} --kid {kid}");
    let ahead = |moment: Option<SystemTime>| moment.filter(|moment| now < *moment);
    let is_by_force = own.ends_at.is_none();
    // Of a key of unknown past, from when it was first seen.
    let overlap_end = manifest.overlap_ends_at(&kid);
    let (what, command, at) = match own.state {
        KeyState::Retired => ("take the old key out of the file", retire, None),
        KeyState::Active(Role::Fallback) if !is_by_force => {
            ("take the old key out of the file", retire, ahead(own.ends_at))
        }
        KeyState::Active(Role::Fallback) if item.purpose.needs_sweep() => (
            "rewrap what the old key has sealed, then take the key out of the file: no instance \
             reports that it is unused",
            format!(
                "dualkey rewrap {name} --execute && {retire} --force --reason 'every row is rewrapped'"
            ),
            ahead(manifest.rewrap_counts_from(&kid, now)),
        ),
        KeyState::Active(Role::Fallback) => (
            "take the old key out of the file: no instance reports that it is unused",
            format!("{retire} --force --reason 'its overlap is over'"),
            ahead(overlap_end.or_else(|| own.added_at.checked_add(manifest.policy().overlap()))),
        ),
        _ => return None,
    };
    Some(Next { what: what.to_owned(), command: Some(command), at })
}
