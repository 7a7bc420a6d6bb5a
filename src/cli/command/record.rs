//! `dualkey record`: a record of what was done elsewhere.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::options::{Actor, DryRun};
use crate::cli::parse::action;
use crate::cli::terminal::Terminal;
use crate::ops::audit::Action;
use crate::ops::rotate;

/// Tell the audit trail what was done elsewhere
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dualkey record GITHUB_DEPLOY_KEY rotated --by ada")]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    /// What was done: rotated, revoked, or a word of yours
    #[arg(value_parser = action)]
    action: Action,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    dry_run: DryRun,
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    let project = context.project()?;
    let mut record = project.record(&args.name, args.action, &args.actor.name()?);
    record.reason = args.actor.reason;
    if !args.dry_run.is_set() {
        rotate::record(&project, &record).await?;
    }
    terminal.line(&record.to_string())?;
    Ok(0)
}
