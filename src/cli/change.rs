//! Output about a step: the change, and the next step with its moment.

use std::time::SystemTime;

use super::failure::Failure;
use super::options::DryRun;
use super::terminal::Terminal;
use crate::duration::Length;
use crate::lifecycle::KeyState;
use crate::manifest::{self, Change, RolloutEffect};
use crate::moment::{At, NotBefore};
use crate::ops::audit::Action;
use crate::ops::inventory::{Place, Project};
use crate::ops::schedule::{ScheduleState, SecretStatus, secret_status};

/// Prints the change of a step, the next step, and its moment.
pub(super) async fn print_change(
    project: &Project,
    name: &str,
    change: &Change,
    dry_run: DryRun,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let action = Action::from(change.action);
    print_key(project, name, change, dry_run, terminal)?;
    // Instances read a `.env` file when they start.
    let is_dotenv = matches!(project.inventory().secret(name)?.store, Place::Dotenv(_));
    if change.effect != RolloutEffect::NONE {
        let load = if is_dotenv { "restart with this file" } else { "reload" };
        terminal.line(&format!("  effect    {}", change.effect.describe(load)))?;
    }
    if dry_run.is_set() {
        return terminal.line("  nothing was changed");
    }
    let is_urgent = [Action::EMERGENCY_ROTATED, Action::REVOKED].contains(&action);
    if is_dotenv && is_urgent {
        return terminal.line("  next      deploy this file and restart every instance now");
    }
    print_next(&secret_status(project, name).await?, project.now(), terminal)
}

/// Prints the step, its key, and the key that ends with it.
fn print_key(
    project: &Project,
    name: &str,
    change: &Change,
    dry_run: DryRun,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let done = Action::from(change.action).as_str().to_lowercase().replace('_', " ");
    let lead = if dry_run.is_set() { "would be " } else { "" };
    terminal.line(&format!("{name} ({}): {lead}{done}", project.environment_name()))?;
    // Each run would make another key.
    let kid = if dry_run.is_set() && change.from.is_none() {
        "a new one".to_owned()
    } else {
        change.kid.to_string()
    };
    let (from, to) = (change.from.map_or("-", KeyState::as_str), change.to.as_str());
    terminal.line(&format!("  key       {kid}, {from} -> {to}"))?;
    if let Some(kid) = change.revoked {
        terminal.line(&format!("  revoked   {kid}"))?;
    }
    let Some(until) = change.verifies_until else { return Ok(()) };
    let until = moment_with_distance(until, project.now());
    // A retirement gives the key itself an end, every other step the key before it.
    if change.action == manifest::ChangeAction::Retire {
        terminal.line(&format!("  ends      {until}"))
    } else {
        terminal.line(&format!("  old key   verifies until {until}"))
    }
}

/// Prints the next step of a secret, and its moment.
pub(super) fn print_next(
    status: &SecretStatus,
    now: SystemTime,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if let ScheduleState::Unread { why } = &status.state {
        return terminal.line(&format!("  next      {why}"));
    }
    let next = &status.next;
    terminal.line(&format!("  next      {}", next.what))?;
    if let Some(at) = next.at {
        terminal.line(&format!("  when      {}", moment_with_distance(at, now)))?;
    }
    match &next.command {
        Some(command) => terminal.line(&format!("  command   {command}")),
        None => Ok(()),
    }
}

/// A moment, and its distance from `now`. One that lies ahead has come at the minute that is
/// shown.
fn moment_with_distance(moment: SystemTime, now: SystemTime) -> String {
    match moment.duration_since(now) {
        Ok(ahead) if ahead.as_secs() > 0 => {
            format!("{}, in {}", NotBefore(moment), Length(ahead))
        }
        _ => {
            let age = now.duration_since(moment).unwrap_or_default();
            format!("{}, {} ago", At(moment), Length(age))
        }
    }
}
