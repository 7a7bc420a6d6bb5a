//! `dualkey status`: the state of every secret.

use std::time::SystemTime;

use comfy_table::{Cell, Color};

use crate::cli::context::Context;
use crate::cli::failure::{self, Failure};
use crate::cli::terminal::{Terminal, cell};
use crate::duration::Length;
use crate::evidence::Verdict;
use crate::lifecycle::KeyState;
use crate::moment::{At, NotBefore};
use crate::ops::schedule::{
    self, OtherKey, ScheduleState, SecretStatus, secret_status, secret_statuses,
};

/// Show how every secret stands
#[derive(clap::Args)]
#[command(
    after_help = "Exit status: 0 nothing to do, 3 due, 4 overdue, 5 stuck, 1 absent or unread; the worst counts.\n\nExamples:\n  dualkey status\n  dualkey status --json | jq '.[] | select(.state == \"overdue\")'"
)]
pub(super) struct Args {
    /// The secrets; all unless named
    names: Vec<String>,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> failure::Status {
    let project = context.project()?;
    let mut secrets = Vec::new();
    for name in &args.names {
        secrets.push(secret_status(&project, name).await?);
    }
    if args.names.is_empty() {
        secrets = secret_statuses(&project).await?;
    }
    if args.json {
        terminal.json(&schedule::to_json(&secrets))?;
    } else {
        print_table(&secrets, project.now(), terminal)?;
    }
    Ok(secrets.iter().map(|secret| &secret.state).max().map_or(0, ScheduleState::exit_status))
}

/// Prints a row for each secret, and below the table what fits in no column.
fn print_table(
    secrets: &[SecretStatus],
    now: SystemTime,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let header = ["secret", "priority", "state", "primary", "since", "others", "due", "next"];
    let mut table = terminal.new_table(&header);
    for secret in secrets {
        table.add_row(row(secret, now, terminal.is_colored()));
    }
    terminal.print(&table)?;
    for secret in secrets {
        let name = &secret.name;
        if let ScheduleState::Stuck { why } | ScheduleState::Unread { why } = &secret.state {
            terminal.line(&format!("{name}: {why}"))?;
        }
        if let Some(wait) = wait(secret) {
            terminal.line(&format!("{name}: {wait}"))?;
        }
        for warning in &secret.warnings {
            terminal.line(&format!("{name}: {warning}"))?;
        }
    }
    Ok(())
}

fn row(secret: &SecretStatus, now: SystemTime, is_colored: bool) -> Vec<Cell> {
    let variable = variable(secret.variable.as_deref());
    let primary = secret.primary.map(|kid| format!("{kid}{variable}"));
    let since = secret.since.map(|since| {
        let age = Length(now.duration_since(since).unwrap_or_default());
        if secret.is_since_at_least { format!("at least {age}") } else { age.to_string() }
    });
    let others: Vec<_> = secret.others.iter().map(|other| other_key(other, now)).collect();
    let due = secret.due.map(|due| {
        let moment = At(due).to_string();
        moment.split(' ').next().unwrap_or_default().to_owned()
    });
    let text = |text: Option<String>| cell([text.unwrap_or_else(|| "-".to_owned())]);
    vec![
        cell([&secret.name]),
        cell([secret.priority.as_str()]),
        state(&secret.state, is_colored),
        text(primary),
        text(since),
        if others.is_empty() { cell(["-"]) } else { cell(others) },
        text(due),
        cell([next(secret, now)]),
    ]
}

fn state(state: &ScheduleState, is_colored: bool) -> Cell {
    let text = match state {
        ScheduleState::Overdue { days } => format!("overdue {days}d"),
        ScheduleState::Soon { days } => format!("in {days}d"),
        other => other.as_str().to_owned(),
    };
    let cell = cell([text]);
    match state {
        _ if !is_colored => cell,
        ScheduleState::Overdue { .. }
        | ScheduleState::Stuck { .. }
        | ScheduleState::Absent
        | ScheduleState::Unread { .. } => cell.fg(Color::Red),
        ScheduleState::Due | ScheduleState::Soon { .. } => cell.fg(Color::Yellow),
        _ => cell,
    }
}

fn other_key(other: &OtherKey, now: SystemTime) -> String {
    let (kid, state) = (other.kid, other.state.as_str());
    let variable = variable(other.variable.as_deref());
    match future(other, now) {
        Some(future) => format!("{kid} ({state}, {future}){variable}"),
        None => format!("{kid} ({state}){variable}"),
    }
}

/// The variable of a key. Its kid is a number, which another secret may have after a restart.
fn variable(name: Option<&str>) -> String {
    name.map(|name| format!(" in {name}")).unwrap_or_default()
}

/// The words of a wait, which the command to look again does not say.
fn wait(secret: &SecretStatus) -> Option<&str> {
    let is_status = |command: &&String| command.starts_with("dualkey status ");
    secret.next.command.as_ref().filter(is_status).map(|_| secret.next.what.as_str())
}

/// The next step of a secret, with the moment from which it is accepted. A rotation is accepted at
/// once: when it is due is in its own column.
fn next(secret: &SecretStatus, now: SystemTime) -> String {
    let step = secret.next.command.as_deref().unwrap_or(&secret.next.what);
    let at = secret.next.at.filter(|at| now < *at && Some(*at) != secret.due);
    match at.filter(|_| secret.next.command.is_some()) {
        Some(at) => format!("from {}: {step}", NotBefore(at)),
        None => step.to_owned(),
    }
}

/// The future of a key, or why it cannot be retired.
fn future(other: &OtherKey, now: SystemTime) -> Option<String> {
    if let Some(at) = other.signs_from.filter(|at| now < *at) {
        return Some(format!("signs from {}", NotBefore(at)));
    }
    let ends = other.verifies_until.filter(|ends| now < *ends);
    let is_live = matches!(other.state, KeyState::Live(_));
    if let Some(ends) = ends.filter(|_| is_live) {
        return Some(format!("ends {}", NotBefore(ends)));
    }
    other.verdict.as_ref().map(|verdict| match verdict {
        Verdict::Safe if is_live => "can be retired".to_owned(),
        Verdict::Safe => "can be destroyed".to_owned(),
        Verdict::Wait { until } => format!("needed until {}", NotBefore(*until)),
        Verdict::Blocked(obstacles) => match obstacles.first() {
            Some(obstacle) => obstacle.to_string(),
            None => "needed".to_owned(),
        },
    })
}
