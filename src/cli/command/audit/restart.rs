//! `dualkey audit restart`: a new trail in place of a broken one.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::options::{Actor, Confirmation, DryRun};
use crate::cli::terminal::Terminal;
use crate::ops::OpsError;
use crate::ops::audit::Action;

/// Put a broken trail aside, and begin a new one that says so
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    confirmation: Confirmation,
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    let project = context.project()?;
    let reason = args.actor.reason.clone().filter(|reason| !reason.trim().is_empty());
    let reason = reason.ok_or(OpsError::NoReason { what: "a new trail" })?;
    let secret = &project.inventory().audit.secret;
    let effect = "the trail is put aside, and a new one begins";
    args.confirmation.ask(args.dry_run, secret, effect, terminal)?;
    let record = project.record(secret, Action::RESTARTED, &args.actor.name()?).reason(reason);
    if args.dry_run.is_set() {
        terminal.line(&match project.trail_to_put_aside().await? {
            Some(path) => format!("would put {} aside, and start with:", path.display()),
            None => "would start with:".to_owned(),
        })?;
        terminal.line(&record.to_string())?;
        return Ok(0);
    }
    terminal.line(&match project.restart_trail(&record).await? {
        Some(aside) => format!("started a new trail; the old one is in {}", aside.display()),
        None => "started a new trail; there was no old one".to_owned(),
    })?;
    Ok(0)
}
