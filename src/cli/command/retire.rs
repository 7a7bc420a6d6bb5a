//! `dualkey retire`: the end of the old key.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::options::{Actor, Backup, Confirmation, DryRun, TrustClock};
use crate::cli::step::StepCommand;
use crate::cli::terminal::Terminal;
use crate::kid::Kid;
use crate::ops::rotate;

/// Give the old key its end, if nothing needs it
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dualkey retire JWT_SECRET")]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    /// The key; the only fallback unless named
    #[arg(long, allow_hyphen_values = true)]
    kid: Option<Kid>,
    /// Whatever the verdict: what it signed is refused, what it sealed cannot be opened
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
    if args.force {
        let effect = "what the key signed is refused, what it sealed cannot be opened";
        args.confirmation.ask(args.dry_run, &args.name, effect, terminal)?;
        step = step.force();
    }
    let change = rotate::retire(&step.project, &args.name, &step.operator, args.kid).await?;
    step.print(&change, terminal).await?;
    Ok(0)
}
