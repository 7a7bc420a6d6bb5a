//! `dualkey audit import`: an old log, taken over.

use std::path::PathBuf;

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::input::read_text;
use crate::cli::terminal::Terminal;
use crate::ops::OpsError;
use crate::ops::audit::import;

/// The largest log to import: 64 MiB, half a million lines. A longer one is imported in parts.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Take over an old log of lines as `2026-01-15 10:00:00 UTC | JWT_SECRET | ROTATED | who | prod | SUCCESS`
#[derive(clap::Args)]
pub(super) struct Args {
    /// The log; `-` for standard input
    log: PathBuf,
}

pub(super) async fn run(context: &Context, args: &Args, terminal: &mut Terminal) -> Status {
    let project = context.project()?;
    let text = read_text(&args.log, MAX_BYTES).map_err(OpsError::for_path(&args.log))?;
    let imported = import(&*project.trail().await?, &text, project.now()).await?;
    terminal.line(&format!(
        "{} records were taken over, {} were there already",
        imported.taken, imported.known
    ))?;
    Ok(0)
}
