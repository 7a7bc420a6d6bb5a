//! `dualkey audit`: the audit trail.

mod import;
mod query;
mod restart;
mod verify;

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::terminal::Terminal;

/// Look at the audit trail
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  dualkey audit --secret JWT_SECRET --take 10\n  dualkey audit --action rotated --since 2026-01-01T00:00:00Z --json\n  dualkey audit verify\n  dualkey audit import rotation.log"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    query: query::QueryArgs,
}

#[derive(clap::Subcommand)]
enum Command {
    Verify(verify::Args),
    Import(import::Args),
    Restart(restart::Args),
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    match args.command {
        None => query::run(context, &args.query, terminal).await,
        Some(Command::Verify(_)) => verify::run(context, terminal).await,
        Some(Command::Import(args)) => import::run(context, &args, terminal).await,
        Some(Command::Restart(args)) => restart::run(context, args, terminal).await,
    }
}
