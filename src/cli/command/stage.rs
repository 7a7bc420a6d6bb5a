//! `dualkey stage`: a new key that does not sign yet.

use std::time::SystemTime;

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::new_value::NewValue;
use crate::cli::options::{Actor, Backup, DryRun, TrustClock};
use crate::cli::parse::moment;
use crate::cli::step::StepCommand;
use crate::cli::terminal::Terminal;

/// Add a new key: it verifies, and does not sign yet
#[derive(clap::Args)]
#[command(
    after_help = "A value that is shorter than its purpose asks for, such as one of 44 bytes from `openssl rand -base64 32`, needs `min_secret_bytes` in the inventory.\n\nExamples:\n  dualkey stage JWT_SECRET\n  dualkey stage JWT_SECRET --at 2026-04-15T00:00:00Z\n  dualkey stage DATABASE_URL --value-from new-url.txt"
)]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    #[command(flatten)]
    value: NewValue,
    /// When it begins to sign by itself, on all instances at once
    #[arg(long, value_parser = moment, value_name = "TIME")]
    at: Option<SystemTime>,
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
    let mut key = args.value.new_key(&step.project, &args.name)?;
    if let Some(moment) = args.at {
        key = key.signs_from(moment);
    }
    let change = step.operator.stage(key).await?;
    step.print(&change, terminal).await?;
    Ok(0)
}
