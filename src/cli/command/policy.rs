//! `dualkey policy`: the policy of the inventory, in the store.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::options::{Actor, Backup, DryRun, TrustClock};
use crate::cli::step::StepCommand;
use crate::cli::terminal::Terminal;

/// Have a secret live by the policy of the inventory
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dualkey policy JWT_SECRET")]
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
    let policy = step.project.inventory().secret(&args.name)?.policy;
    let has_changed = step.operator.set_policy(policy).await?;
    let outcome = match (has_changed, args.dry_run.is_set()) {
        (false, _) => "it lives by the policy of the inventory already",
        (true, false) => "it lives by the policy of the inventory",
        (true, true) => "it would live by the policy of the inventory; nothing was changed",
    };
    let environment = step.project.environment_name();
    terminal.line(&format!("{} ({environment}): {outcome}", args.name))?;
    Ok(0)
}
