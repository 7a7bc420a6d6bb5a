//! `dualkey revoke`: a compromised key.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::options::{Actor, Backup, Confirmation, DryRun};
use crate::cli::step::StepCommand;
use crate::cli::terminal::Terminal;
use crate::kid::Kid;

/// Declare a key compromised: it verifies nothing, at once and for good
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  dualkey revoke JWT_SECRET --kid 3kZ… --reason 'in a public log'"
)]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    /// The key
    #[arg(long, allow_hyphen_values = true)]
    kid: Kid,
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
    let step =
        StepCommand::open(context, &args.name, &args.actor, args.dry_run, args.backup).await?;
    let effect = "the key verifies nothing any more";
    args.confirmation.ask(args.dry_run, &args.name, effect, terminal)?;
    let change = step.operator.revoke(&args.kid).await?;
    step.print_clock_warning(terminal).await?;
    step.print(&change, terminal).await?;
    Ok(0)
}
