//! `dualkey rollback`: the key before signs again.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::options::{Actor, Backup, DryRun, TrustClock};
use crate::cli::step::StepCommand;
use crate::cli::terminal::Terminal;

/// Have the key before sign again
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dualkey rollback JWT_SECRET --reason 'logins fail'")]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    /// Force the step, although some instances may not hold the key, or it expires soon. Needs --reason
    #[arg(long, requires = "reason")]
    force: bool,
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
    let mut step = StepCommand::open(context, &args.name, &args.actor, args.dry_run, args.backup)
        .await?
        .date_by(args.clock);
    if args.force {
        step = step.force();
    }
    let change = step.operator.rollback().await?;
    step.print(&change, terminal).await?;
    Ok(0)
}
