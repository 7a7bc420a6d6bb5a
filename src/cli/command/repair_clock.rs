//! `dualkey repair-clock`: the times of a manifest, corrected.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::options::{Actor, Backup, DryRun, TrustClock};
use crate::cli::step::StepCommand;
use crate::cli::terminal::Terminal;

/// Correct the times of a manifest that was written while a clock was ahead
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dualkey repair-clock JWT_SECRET")]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    #[command(flatten)]
    clock: TrustClock,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    backup: Backup,
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    let step = StepCommand::open(context, &args.name, &args.actor, args.dry_run, args.backup)
        .await?
        .date_by(args.clock);
    let before = step.operator.load().await?;
    let change = step.operator.repair_clock().await?;
    if !change.has_changed(&before) {
        let environment = step.project.environment_name();
        terminal.line(&format!(
            "{} ({environment}): nothing to correct: the last change is not ahead of this clock",
            args.name
        ))?;
        return Ok(0);
    }
    step.print(&change, terminal).await?;
    Ok(0)
}
