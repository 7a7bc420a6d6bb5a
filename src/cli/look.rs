//! What looks, and changes nothing; and what goes on by itself.

use serde_json::json;

use super::args;
use super::{Context, Failure, Status, Terminal};
use crate::ops::OpsError;
use crate::ops::agent::{Agent, Turn};
use crate::ops::audit::{Action, PostgresTrail};
use crate::ops::doctor::{Finding, examine};
use crate::ops::remind::{self, Delivery, message};
use crate::ops::schedule::{self, standing_of, standings};
use crate::source::PostgresStore;

pub(super) async fn status(
    context: &Context,
    args: args::Status,
    terminal: &mut Terminal,
) -> Status {
    let project = context.project()?;
    let mut all = Vec::new();
    for name in &args.names {
        all.push(standing_of(&project, name).await?);
    }
    if args.names.is_empty() {
        all = standings(&project).await?;
    }
    match args.json {
        true => terminal.json(&schedule::to_json(&all))?,
        false => terminal.table(&all, project.now())?,
    }
    Ok(all.iter().map(|own| &own.state).max().map_or(0, schedule::State::exit_status))
}

pub(super) async fn doctor(
    context: &Context,
    args: args::Doctor,
    terminal: &mut Terminal,
) -> Status {
    let all = examine(&context.project()?).await?;
    match args.json {
        true => {
            let row = |own: &Finding| json!({ "check": own.check, "subject": own.subject, "found": own.found, "mend": own.mend });
            let rows: Vec<_> = all.iter().map(row).collect();
            terminal.json(&format!("{:#}", json!(rows)))?;
        }
        false => terminal.findings(&all)?,
    }
    Ok(if all.is_empty() { 0 } else { 3 })
}

pub(super) async fn remind(
    context: &Context,
    args: args::Remind,
    terminal: &mut Terminal,
) -> Status {
    let project = context.project()?;
    if args.who.dry_run {
        let all = remind::reminders(&project).await?;
        terminal.json(&format!("{:#}", message(&all)))?;
        return Ok(0);
    }
    let told = remind::remind(&project, &args.who.actor()?, Delivery::default()).await?;
    for own in &told {
        terminal.line(&format!("{} ({}): {}", own.secret, own.environment, own.text))?;
    }
    terminal.line(&format!("{} reminders were posted", told.len()))?;
    Ok(0)
}

pub(super) async fn agent(context: &Context, args: args::Agent, terminal: &mut Terminal) -> Status {
    let project = context.project()?;
    let agent = Agent::new(project, &args.by);
    if args.once {
        let turn = agent.turn().await;
        tell(&turn, terminal)?;
        return Ok(u8::from(!turn.errors.is_empty()));
    }
    let mut failed: Option<Failure> = None;
    let mut last = String::new();
    // An inventory that is edited is followed, and one that cannot be read leaves the last.
    let reopen = || match context.project() {
        Ok(project) => Ok(project),
        Err(Failure::Ops(error)) => Err(error),
        Err(failure) => Err(OpsError::Io {
            path: context.inventory.clone(),
            source: std::io::Error::other(failure.to_string()),
        }),
    };
    agent
        .run(args.every, stopped(), reopen, |turn| {
            // What is wrong is said once, and not at every turn.
            let errors: String =
                turn.errors.iter().map(|(name, error)| format!("{name}: {error}")).collect();
            let told = match errors == last && turn.steps.is_empty() && turn.settled.is_empty() {
                true => Ok(()),
                false => tell(&turn, terminal),
            };
            last = errors;
            failed = failed.take().or(told.err());
        })
        .await;
    match failed {
        Some(failure) => Err(failure),
        None => Ok(0),
    }
}

fn tell(turn: &Turn, terminal: &mut Terminal) -> Result<(), Failure> {
    for (name, outcome) in &turn.settled {
        terminal.line(&format!("{name}: a step that was left: {outcome}"))?;
    }
    for (name, change) in &turn.steps {
        let action = Action::from(change.action);
        terminal.line(&format!("{name}: {action} {}, {}", change.kid, change.to.as_str()))?;
    }
    for own in &turn.reminded {
        terminal.line(&format!("{}: reminded, {}", own.secret, own.text))?;
    }
    for (name, error) in &turn.errors {
        terminal.line(&format!("{name}: error: {error}"))?;
    }
    terminal.flush()
}

/// Until somebody ends this process in an orderly way.
async fn stopped() {
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

pub(super) fn schema(terminal: &mut Terminal) -> Status {
    terminal.lines(PostgresStore::SCHEMA)?;
    terminal.lines(PostgresTrail::SCHEMA)?;
    Ok(0)
}
