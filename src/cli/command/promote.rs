//! `dualkey promote`: the staged key signs.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::options::{Actor, Backup, Confirmation, DryRun, TrustClock};
use crate::cli::step::StepCommand;
use crate::cli::terminal::Terminal;
use crate::kid::Kid;

/// Have the staged key sign
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  dualkey promote JWT_SECRET\n  dualkey promote SMTP_PASSWORD --assume-deployed     every instance was restarted with the staged key"
)]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    /// The key; the staged one unless named
    #[arg(long, allow_hyphen_values = true)]
    kid: Option<Kid>,
    /// Every instance has been restarted with the staged key, and none reports it
    #[arg(long, conflicts_with = "force")]
    assume_deployed: bool,
    /// Whatever the instances say: those that do not hold it refuse what it signs
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    clock: TrustClock,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    backup: Backup,
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    let mut step = StepCommand::open(context, &args.name, &args.actor, args.dry_run, args.backup)
        .await?
        .date_by(args.clock);
    if args.assume_deployed {
        step.operator = step.operator.assume_deployed();
    }
    if args.force {
        let effect = "instances that do not hold the key refuse what it signs";
        args.confirmation.ask(args.dry_run, &args.name, effect, terminal)?;
        step = step.force();
    }
    let change = step.operator.promote(args.kid).await?;
    step.print(&change, terminal).await?;
    Ok(0)
}
