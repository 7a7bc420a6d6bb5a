//! `dualkey destroy`: a key without its secret.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::options::{Actor, Backup, Confirmation, DryRun, TrustClock};
use crate::cli::step::StepCommand;
use crate::cli::terminal::Terminal;
use crate::kid::Kid;

/// Wipe the secret of a key that is retired or revoked, and keep its record
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dualkey destroy JWT_SECRET --kid 3kZ…")]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    /// The key
    #[arg(long, allow_hyphen_values = true)]
    kid: Kid,
    /// Whatever the verdict: what an encryption key sealed is lost
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
    let effect = "the secret of the key is wiped";
    args.confirmation.ask(args.dry_run, &args.name, effect, terminal)?;
    if args.force {
        step = step.force();
    }
    let change = step.operator.destroy(&args.kid).await?;
    step.print(&change, terminal).await?;
    Ok(0)
}
