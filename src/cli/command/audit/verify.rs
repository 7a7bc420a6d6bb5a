//! `dualkey audit verify`: the check of every record.

use crate::cli::context::Context;
use crate::cli::failure::Status;
use crate::cli::terminal::Terminal;
use crate::ops::audit::Verification;

/// Whether it is as it was written; names the first record that is not. Exit status 3 then
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(context: &Context, terminal: &mut Terminal) -> Status {
    let verification = context.project()?.verify_trail().await?;
    for forged in &verification.forged {
        terminal.line(&forged.to_string())?;
    }
    let Verification { records, is_torn, problem, .. } = verification;
    if is_torn {
        terminal.line(&format!(
            "UNFINISHED: half a record is after record {records}, and counts as none; its \
             writer was killed, or it is forged; the next record takes its place"
        ))?;
    }
    terminal.line(&match &problem {
        None => format!("whole: {records} records, each as it was written"),
        Some(problem) => format!("BROKEN: {problem}; {records} records hold"),
    })?;
    Ok(if is_torn || problem.is_some() { 3 } else { 0 })
}
