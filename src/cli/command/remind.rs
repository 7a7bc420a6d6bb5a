//! `dualkey remind`: reminders to a webhook.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::options::{DryRun, OperatorName};
use crate::cli::terminal::Terminal;
use crate::ops::remind::{self, Delivery, message};

/// Post what is due, overdue or stuck to a webhook, once a day
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  dualkey remind\n  dualkey remind --dry-run                     the message, not sent"
)]
pub(super) struct Args {
    #[command(flatten)]
    by: OperatorName,
    #[command(flatten)]
    dry_run: DryRun,
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    let project = context.project()?;
    if args.dry_run.is_set() {
        let reminders = remind::reminders(&project).await?;
        terminal.json(&format!("{:#}", message(&reminders)))?;
        return Ok(0);
    }
    let posted = remind::remind(&project, &args.by.name()?, Delivery::default()).await?;
    for reminder in &posted {
        let (secret, environment) = (&reminder.secret, &reminder.environment);
        terminal.line(&format!("{secret} ({environment}): {}", reminder.text))?;
    }
    terminal.line(&format!("{} reminders were posted", posted.len()))?;
    Ok(0)
}
