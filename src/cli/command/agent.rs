//! `dualkey agent`: a process that follows the inventory.

use std::time::Duration;

use crate::cli::context::Context;
use crate::cli::failure::{Failure, Status};
use crate::cli::parse::duration;
use crate::cli::terminal::Terminal;
use crate::ops::OpsError;
use crate::ops::agent::{Agent, Tick};
use crate::ops::audit::Action;
use crate::ops::inventory::Project;

/// Follow the inventory: rotate what is automatic, remind of the rest
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  dualkey agent --every 1m\n  dualkey agent --once                         for cron"
)]
pub(super) struct Args {
    /// How often it looks
    #[arg(long, default_value = "1m", value_parser = duration, value_name = "TIME")]
    every: Duration,
    /// Look once, and end
    #[arg(long)]
    once: bool,
    /// What the audit trail calls it
    #[arg(
        long,
        env = "DUALKEY_BY",
        hide_env_values = true,
        default_value = "agent",
        value_name = "NAME"
    )]
    by: String,
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    let agent = Agent::new(context.project()?, &args.by);
    if args.once {
        let tick = agent.tick().await;
        print_tick(&tick, terminal)?;
        return Ok(u8::from(!tick.errors.is_empty()));
    }
    let mut failed: Option<Failure> = None;
    let mut last_errors = String::new();
    agent
        .run(
            args.every,
            wait_for_stop(),
            || reopen(context),
            |tick| {
                // An error is printed once, and not at every turn.
                let errors: String =
                    tick.errors.iter().map(|(name, error)| format!("{name}: {error}")).collect();
                let is_news =
                    errors != last_errors || !tick.steps.is_empty() || !tick.settled.is_empty();
                let printed = if is_news { print_tick(&tick, terminal) } else { Ok(()) };
                last_errors = errors;
                failed = failed.take().or(printed.err());
            },
        )
        .await;
    match failed {
        Some(failure) => Err(failure),
        None => Ok(0),
    }
}

/// Opens the project again: an inventory that is edited is followed, and one that cannot be read
/// leaves the last.
fn reopen(context: &Context) -> Result<Project, OpsError> {
    context.project().map_err(|failure| match failure {
        Failure::Ops(error) => error,
        failure => OpsError::Io {
            path: context.inventory.clone(),
            source: std::io::Error::other(failure.to_string()),
        },
    })
}

fn print_tick(tick: &Tick, terminal: &mut Terminal) -> Result<(), Failure> {
    for (name, outcome) in &tick.settled {
        terminal.line(&format!("{name}: a step that was left: {outcome}"))?;
    }
    for (name, change) in &tick.steps {
        let action = Action::from(change.action);
        terminal.line(&format!("{name}: {action} {}, {}", change.kid, change.to.as_str()))?;
    }
    for reminder in &tick.reminded {
        terminal.line(&format!("{}: reminded, {}", reminder.secret, reminder.text))?;
    }
    for (name, error) in &tick.errors {
        terminal.line(&format!("{name}: error: {error}"))?;
    }
    terminal.flush()
}

/// Waits for a signal that ends this process in an orderly way.
async fn wait_for_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    // Without it, a kill ends it, at any moment.
    let _ = tokio::signal::ctrl_c().await;
}
