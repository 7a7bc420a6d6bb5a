//! `dualkey emergency-rotate`: another key signs in place of a compromised one.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::new_value::NewValue;
use crate::cli::options::{Actor, Backup, Confirmation, DryRun};
use crate::cli::step::StepCommand;
use crate::cli::terminal::Terminal;
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;

/// Revoke the key that signs, and have another sign at once: a staged one, or a new one
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  dualkey emergency-rotate JWT_SECRET --reason 'in a public log'"
)]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    /// The compromised key; the one that signs unless named
    #[arg(long, allow_hyphen_values = true)]
    kid: Option<Kid>,
    #[command(flatten)]
    value: NewValue,
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
    let key = args.value.new_key(&step.project, &args.name)?;
    let effect = "everything that the key signed is refused";
    args.confirmation.ask(args.dry_run, &args.name, effect, terminal)?;
    let change = step.operator.emergency_rotate(args.kid, key).await?;
    step.print_clock_warning(terminal).await?;
    step.print(&change, terminal).await?;
    let was_staged = change.from == Some(KeyState::Live(Role::Staged));
    if args.value.value_from.is_some() && was_staged {
        terminal
            .line("  note      a key was staged already, and was taken: not the one handed over")?;
    }
    Ok(0)
}
