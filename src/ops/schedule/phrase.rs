//! The next step in the words of the command line, and as a command that is accepted at its moment.

use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::reports::{ClockProblem, clock_problem, is_possibly_running};
use std::time::SystemTime;

use super::status::Advice;
use crate::evidence::next_step::step::{Deployment, NextStep};
use crate::evidence::next_step::step::{Ground, Removal, RewrapScope, Staged};
use crate::kid::Kid;
use crate::manifest::Manifest;
use crate::moment::NotBefore;
use crate::ops::inventory::SecretSpec;

/// The words of a step, and its command.
type Phrase = (String, Option<String>);

/// Phrases `step` for the secret `item`.
pub(super) fn phrase(
    step: &NextStep,
    item: &SecretSpec,
    manifest: &Manifest,
    reports: &[Report],
    now: SystemTime,
) -> Advice {
    let (name, at) = (item.name.as_str(), step.from());
    let clock = clock_option(manifest, reports, at, now);
    let command = |step: &str, kid: &Kid| Some(format!("dualkey {step} {name} --kid {kid}{clock}"));
    let until_then = |because: &Option<Obstacle>| match because.as_ref().filter(|_| at.is_some()) {
        Some(obstacle) => format!("; until then: {obstacle}"),
        None => String::new(),
    };
    let (what, command) = match step {
        NextStep::SetClock => ("set the clock".to_owned(), None),
        NextStep::RepairClock => (
            "set the clock, or correct the manifest if it was written with a wrong one".to_owned(),
            Some(format!("dualkey repair-clock {name}{clock}")),
        ),
        NextStep::AwaitStart { at, obstacle, .. } => await_start(*at, obstacle.as_ref()),
        NextStep::Promote { staged, deployment } => promote(name, staged, *deployment, clock),
        NextStep::AwaitReload { staged, obstacle, gone_at } => {
            await_reload(name, staged.as_ref(), obstacle, *gone_at)
        }
        NextStep::Retire { kid, from: None, .. } => {
            ("retire the old key: nothing needs it".to_owned(), command("retire", kid))
        }
        NextStep::Retire { kid, because, .. } => {
            (format!("retire the old key{}", until_then(because)), command("retire", kid))
        }
        NextStep::Destroy { kid, because, verifies_until: Some(ends), .. } => {
            let what = format!(
                "the old key is retired and ends at {}; then destroy its secret{}",
                NotBefore(*ends),
                until_then(because)
            );
            (what, command("destroy", kid))
        }
        NextStep::Destroy { kid, because, .. } => {
            let what = "destroy the secret of the old key, which has expired";
            (format!("{what}{}", until_then(because)), command("destroy", kid))
        }
        NextStep::Rewrap { scope, obstacle, .. } => rewrap(name, *scope, obstacle),
        NextStep::Restage { kid, obstacle } => {
            let what =
                "restage the old key, which has expired, then rewrap what it has sealed".to_owned();
            (format!("{what}: {obstacle}"), command("restage", kid))
        }
        NextStep::Withdraw { kid } => {
            let what = "withdraw the restaged key once nothing needs it".to_owned();
            (what, command("retire", kid))
        }
        NextStep::Keep { obstacle, gone_at, .. } => {
            (format!("keep the old key: {obstacle}{}", if_gone(*gone_at)), Some(status(name)))
        }
        NextStep::Force { kid, removal, ground, obstacle, .. } => {
            let (step, words) = match removal {
                Removal::Retire => ("retire", "retire the old key"),
                Removal::Destroy => ("destroy", "destroy the secret of the old key"),
            };
            let option = force_option(*ground);
            (
                format!("{words} by force, if you know that nothing needs it: {obstacle}"),
                Some(format!("dualkey {step} {name} --kid {kid}{option}{clock}")),
            )
        }
        NextStep::TakeOutOfFile { kid, forced, .. } => take_out_of_file(name, kid, *forced),
        NextStep::Rotate { .. } => {
            ("the next rotation".to_owned(), Some(item.command(&format!("rotate {name}"))))
        }
        NextStep::Nothing => ("nothing".to_owned(), None),
    };
    Advice { what, command, at }
}

fn await_start(at: SystemTime, obstacle: Option<&Obstacle>) -> Phrase {
    let moment = NotBefore(at);
    let what = match obstacle {
        None => format!("nothing: the staged key signs by itself at {moment}"),
        Some(obstacle) => format!(
            "wait until every instance has reloaded, before the staged key signs by itself at \
             {moment}: {obstacle}"
        ),
    };
    (what, None)
}

fn promote(name: &str, staged: &Staged, deployment: Deployment, clock: &str) -> Phrase {
    let option = kid_option(staged);
    let (what, options) = match deployment {
        Deployment::File => (
            "deploy the file everywhere, then promote the staged key",
            format!(" --assume-deployed{option}"),
        ),
        Deployment::Unreported => (
            "promote the staged key once every instance runs with it: no instance reports",
            format!(" --assume-deployed{option}{clock}"),
        ),
        Deployment::Reported => ("promote the staged key: every instance holds it", option),
    };
    (what.to_owned(), Some(format!("dualkey promote {name}{options}")))
}

fn await_reload(
    name: &str,
    staged: Option<&Staged>,
    obstacle: &Obstacle,
    gone_at: Option<SystemTime>,
) -> Phrase {
    let what = match staged {
        Some(staged) => format!(
            "wait until every instance holds the staged key, then run `dualkey promote {name}{}`",
            kid_option(staged)
        ),
        None => "wait until every instance has reloaded".to_owned(),
    };
    (format!("{what}: {obstacle}{}", if_gone(gone_at)), Some(status(name)))
}

fn rewrap(name: &str, scope: RewrapScope, obstacle: &Obstacle) -> Phrase {
    let command = format!("dualkey rewrap {name} --execute");
    if scope == RewrapScope::Revoked {
        let what =
            format!("rescue what the revoked key has sealed, which nothing opens: {obstacle}");
        let options = "--open-revoked --reason 'rows under a revoked key'";
        return (what, Some(format!("{command} {options}")));
    }
    let problem = match obstacle {
        Obstacle::NotRewrapped => String::new(),
        Obstacle::RowsUnreadable { .. } => {
            format!(": {obstacle}; correct or delete those that it lists first")
        }
        obstacle => format!(": {obstacle}"),
    };
    let option = if scope == RewrapScope::All { " --renew-all" } else { "" };
    (format!("rewrap what the old key has sealed{problem}"), Some(format!("{command}{option}")))
}

fn take_out_of_file(name: &str, kid: &Kid, forced: Option<Ground>) -> Phrase {
    let retire = format!("dualkey retire {name} --kid {kid}");
    let (what, command) = match forced {
        None => ("take the old key out of the file", retire),
        Some(ground @ Ground::Rewrapped) => (
            "rewrap what the old key has sealed, then take the key out of the file: no instance \
             reports that it is unused",
            format!("dualkey rewrap {name} --execute && {retire}{}", force_option(ground)),
        ),
        Some(ground @ Ground::OverlapOver) => (
            "take the old key out of the file: no instance reports that it is unused",
            format!("{retire}{}", force_option(ground)),
        ),
    };
    (what.to_owned(), Some(command))
}

/// The command that only shows the state.
fn status(name: &str) -> String {
    format!("dualkey status {name}")
}

/// The option that names one staged key of several.
fn kid_option(staged: &Staged) -> String {
    if staged.is_one_of_several { format!(" --kid {}", staged.kid) } else { String::new() }
}

fn force_option(ground: Ground) -> &'static str {
    match ground {
        Ground::Rewrapped => " --force --reason 'every row is rewrapped'",
        Ground::OverlapOver => " --force --reason 'its overlap is over'",
    }
}

/// The words for the moment until which an instance counts that is gone.
fn if_gone(gone_at: Option<SystemTime>) -> String {
    gone_at.map_or_else(String::new, |gone_at| {
        format!("; if it is gone, its report counts until {}", NotBefore(gone_at))
    })
}

/// The option for a step at `at` that no report confirms the clock of: only instances that are gone
/// have reported.
fn clock_option(
    manifest: &Manifest,
    reports: &[Report],
    at: Option<SystemTime>,
    now: SystemTime,
) -> &'static str {
    let (policy, changed_at) = (manifest.policy(), manifest.changed_at());
    let is_running =
        reports.iter().any(|report| is_possibly_running(report, policy, changed_at, now));
    let problem = clock_problem(reports, policy, at.map_or(now, |at| at.max(now)));
    match problem {
        Some(ClockProblem::Silent { .. }) if !is_running => " --trust-clock",
        _ => "",
    }
}
