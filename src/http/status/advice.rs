//! What should be done next, in a sentence of the page.

use std::time::SystemTime;

use super::page::moment;
use super::watched::RingState;
use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::Verdict;
use crate::evidence::next_step::facts::{Facts, Fleet, KeyFacts};
use crate::evidence::next_step::next_step;
use crate::evidence::next_step::step::{Deployment, NextStep};
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::lifecycle::SigningStart;
use crate::ring::KeyStatus;
use crate::text::Plain;

/// The next step in a sentence, by the `reports` of the fleet and the verdicts on the keys. `expected`
/// is the obstacle that the verdict on a key will have; `is_known` is false if the reports could not be
/// read.
pub(super) fn advice(
    state: &RingState,
    reports: Option<&[Report]>,
    verdicts: &[Option<Verdict>],
    is_known: bool,
    expected: impl Fn(&Kid) -> Option<Obstacle>,
) -> String {
    if state.is_stale {
        return "It serves nothing: the store could not be read for too long.".to_owned();
    }
    // An expired key may be destroyed in its store, which a ring in memory has not.
    let is_shown =
        |status: &KeyStatus| matches!(status.state, KeyState::Live(Role::Staged | Role::Fallback));
    let keys = state.keys.iter().zip(verdicts).filter(|(status, _)| is_shown(status));
    let (policy, now) = (&state.policy, state.now);
    let facts = Facts {
        purpose: state.kind,
        policy,
        changed_at: state.changed_at,
        now,
        keys: keys
            .map(|(status, verdict)| {
                // A store that cannot be read blocks a retirement, whatever this process saw.
                let is_unknown = !is_known && *verdict == Some(Verdict::Safe);
                let unknown = Verdict::Blocked(vec![Obstacle::NoInstance]);
                let verdict = if is_unknown { Some(unknown) } else { verdict.clone() };
                key_facts(state, status, verdict, &expected)
            })
            .collect(),
        // This process alone is no fleet.
        fleet: Fleet::new(
            reports.unwrap_or_default(),
            state.fingerprint,
            policy,
            state.changed_at,
            now,
        ),
        is_file: false,
        signing_since: state.signing_since,
        due: state.rotation_due,
        is_due: state.rotation_due.is_some_and(|due| due <= now),
    };
    sentence(&next_step(&facts), reports.is_some(), now)
}

fn key_facts(
    state: &RingState,
    status: &KeyStatus,
    verdict: Option<Verdict>,
    expected: &impl Fn(&Kid) -> Option<Obstacle>,
) -> KeyFacts {
    let is_staged = status.state == KeyState::Live(Role::Staged);
    let expected = match verdict {
        Some(Verdict::Wait { .. }) => expected(&status.kid),
        _ => None,
    };
    KeyFacts {
        kid: status.kid,
        state: status.state,
        added_at: status.added_at,
        signs_from: match status.signing_start {
            SigningStart::From(moment) if is_staged => Some(moment),
            _ => None,
        },
        verifies_until: status.verifies_until,
        is_retired: status.is_retired,
        is_restaged: false,
        is_apart: false,
        verdict,
        expected,
        rewrap_from: state.rewrap_from,
        overlap_end: None,
        after_withdrawal: Vec::new(),
    }
}

/// The step in a sentence. `is_fleet` is false if no instance reports: then no sentence says what
/// instances hold, also of keys that need no report.
fn sentence(step: &NextStep, is_fleet: bool, now: SystemTime) -> String {
    let at = |from: &SystemTime| moment(now, *from);
    let until_then = |because: &Option<Obstacle>| match because {
        Some(obstacle) => format!(" Until then: {obstacle}."),
        None => String::new(),
    };
    match step {
        NextStep::SetClock => {
            "Set the clock of this machine: the reports contradict it.".to_owned()
        }
        NextStep::RepairClock => {
            "Set the clock of this machine, or correct the manifest if it was written with a wrong \
             one."
                .to_owned()
        }
        NextStep::AwaitStart { kid, at: start, obstacle: None } => {
            format!("The key {kid} begins to sign {}.", at(start))
        }
        NextStep::AwaitStart { kid, at: start, obstacle: Some(obstacle) } => format!(
            "The key {kid} begins to sign {}: every instance must have reloaded by then, and {obstacle}.",
            at(start)
        ),
        NextStep::Promote { staged, deployment: Deployment::Reported } if is_fleet => {
            format!("The key {} may be promoted: every instance holds it.", staged.kid)
        }
        NextStep::Promote { staged, .. } => {
            format!("The key {} is staged: promote it once every instance holds it.", staged.kid)
        }
        NextStep::AwaitReload { staged: Some(staged), obstacle, .. } => {
            format!("Wait before promoting {}: {}.", staged.kid, objection(obstacle))
        }
        NextStep::AwaitReload { staged: None, obstacle, .. } => {
            format!("Wait until every instance has reloaded: {}.", objection(obstacle))
        }
        NextStep::Retire { kid, from: None, .. } => {
            format!("The key {kid} may be retired: nothing that is valid needs it.")
        }
        NextStep::Retire { kid, from: Some(from), because } => format!(
            "Wait until {}: the key {kid} is still needed, and may be retired then.{}",
            at(from),
            until_then(because)
        ),
        NextStep::Destroy { kid, from: None, .. } => {
            format!("The secret of the key {kid} may be destroyed.")
        }
        NextStep::Destroy { kid, from: Some(from), because, .. } => format!(
            "The key {kid} is retired: its secret may be destroyed from {}.{}",
            at(from),
            until_then(because)
        ),
        NextStep::Rewrap { kid, from, obstacle, .. } => {
            let from = from.as_ref().map_or_else(String::new, |from| format!(" from {}", at(from)));
            format!("Keep {kid}, and rewrap what it has sealed{from}: {obstacle}.")
        }
        NextStep::Restage { kid, obstacle } => {
            format!("Restage {kid}, and rewrap what it has sealed: {obstacle}.")
        }
        NextStep::Keep { kid, obstacle, .. } | NextStep::Force { kid, obstacle, .. } => {
            format!("Keep {kid}: {obstacle}.")
        }
        NextStep::Withdraw { kid } => format!("Withdraw {kid} once nothing needs it."),
        NextStep::TakeOutOfFile { kid, .. } => format!("Take {kid} out of its file."),
        NextStep::Rotate { due } if *due <= now => {
            format!("A rotation has been due since {}.", at(due))
        }
        NextStep::Rotate { due } => {
            format!("Nothing to do until {}, when a rotation is due.", at(due))
        }
        NextStep::Nothing => "Nothing to do.".to_owned(),
    }
}

/// The instance of an obstacle, and what it reports.
fn objection(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::KeySetMismatch { instance, .. } => {
            format!("the instance {} holds other keys", Plain(instance))
        }
        Obstacle::UnreadableReport { instance, .. } => {
            format!("the instance {} has a report that cannot be read", Plain(instance))
        }
        obstacle => obstacle.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::next_step::step::Staged;
    use crate::fingerprint::Fingerprint;

    /// The page says what the command line says, where both once differed: see
    /// [`next_step`](crate::evidence::next_step).
    #[test]
    fn each_sentence_names_the_key_and_the_obstacle() {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
        let kid: Kid = "new".parse().unwrap();
        let staged = Some(Staged { kid, is_one_of_several: false });
        let obstacle = Obstacle::KeySetMismatch {
            instance: "web-2".to_owned(),
            fingerprint: Fingerprint::NONE,
            reported_at: now,
        };
        let problem = "unknown field".to_owned();
        let unreadable = Obstacle::UnreadableReport { instance: "web-3".to_owned(), problem };
        for (step, parts) in [
            (
                NextStep::AwaitReload { staged, obstacle: obstacle.clone(), gone_at: None },
                ["Wait before promoting new", "web-2 holds other keys"],
            ),
            (
                NextStep::AwaitReload { staged: None, obstacle: unreadable, gone_at: None },
                ["Wait until every instance has reloaded", "web-3 has a report"],
            ),
            (
                NextStep::AwaitStart { kid, at: now, obstacle: Some(obstacle) },
                ["The key new begins to sign", "`web-2` holds other keys"],
            ),
            (NextStep::Rotate { due: now }, ["A rotation has been due since", "2027-01-15"]),
            (
                NextStep::Keep { kid, obstacle: Obstacle::NoInstance, gone_at: None },
                ["Keep new", "no instance has reported"],
            ),
        ] {
            let text = sentence(&step, true, now);
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }
}
