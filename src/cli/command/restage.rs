//! `dualkey restage`: an expired key, staged again.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::options::{Actor, Backup, Confirmation, DryRun, TrustClock};
use crate::cli::step::StepCommand;
use crate::cli::terminal::Terminal;
use crate::kid::Kid;

/// Add an expired key again: it verifies, and does not sign until it is promoted
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  dualkey restage ENCRYPTION_KEY --kid 3kZ… --reason 'rows in a restored backup'"
)]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    /// The expired key
    #[arg(long, allow_hyphen_values = true)]
    kid: Kid,
    /// Force the step, although tokens or sessions become valid again. Needs --reason
    #[arg(long, requires = "reason")]
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
        let effect = "what the key signed becomes valid again";
        args.confirmation.ask(args.dry_run, &args.name, effect, terminal)?;
        step = step.force();
    }
    let change = step.operator.restage(&args.kid).await?;
    step.print(&change, terminal).await?;
    Ok(0)
}
