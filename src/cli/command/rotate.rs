//! `dualkey rotate`: a whole rotation.

use std::time::Duration;

use clap::builder::PossibleValuesParser;

use crate::cli::change::print_next;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Status};
use crate::cli::new_value::NewValue;
use crate::cli::options::{Actor, Backup, DryRun};
use crate::cli::parse::duration;
use crate::cli::step::StepCommand;
use crate::cli::terminal::Terminal;
use crate::duration::Length;
use crate::error::Obstacle;
use crate::evidence::Verdict;
use crate::ops::OpsError;
use crate::ops::rotate::{CHECKS, Check, CheckOutcome, Progress, RotationOutcome, run_rotation};
use crate::ops::schedule::secret_status;

/// The exit status of a rotation whose new key is staged, and does not sign yet.
const STAGED: u8 = 3;

/// Rotate: check, stage a new key, wait until every instance holds it, promote it
#[derive(clap::Args)]
#[command(
    after_help = "Exit status: 0 rotated, 3 the new key is staged and does not sign yet: the output names the command that promotes it, 1 failed.\n\nA value that is shorter than its purpose asks for, such as one of 44 bytes from `openssl rand -base64 32`, needs `min_secret_bytes` in the inventory.\n\nExamples:\n  dualkey rotate JWT_SECRET --by ada --reason 'the quarter'\n  dualkey rotate JWT_SECRET --dry-run\n  pbpaste | dualkey rotate ANTHROPIC_API_KEY --value-from -"
)]
pub(super) struct Args {
    /// The secret, by its name in the inventory
    name: String,
    #[command(flatten)]
    value: NewValue,
    /// Go on although this check fails; again for another. Needs --reason
    #[arg(long, value_name = "CHECK", requires = "reason", value_parser = PossibleValuesParser::new(CHECKS))]
    skip: Vec<String>,
    /// The longest wait until every instance that reports holds the new key
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "TIME")]
    wait: Duration,
    #[command(flatten)]
    actor: Actor,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    backup: Backup,
}

pub(super) async fn run(context: &Context, args: Args, terminal: &mut Terminal) -> Status {
    let name = args.name.as_str();
    let step = StepCommand::open(context, name, &args.actor, args.dry_run, args.backup).await?;
    let key = args.value.new_key(&step.project, name)?;
    terminal.line(&format!("{name} ({}): rotate", step.project.environment_name()))?;
    let step = skip_checks(step, &args)?;
    let mut failed = None;
    let outcome =
        run_rotation(&step.project, name, &step.operator, key, &args.skip, args.wait, |progress| {
            let printed = print_progress(&progress, &args, terminal);
            failed = failed.take().or(printed.err());
        })
        .await?;
    if let Some(failure) = failed {
        return Err(failure);
    }
    match outcome {
        RotationOutcome::Promoted(change) => step.print(&change, terminal).await?,
        RotationOutcome::Staged { staged, .. } if args.dry_run.is_set() => {
            step.print(&staged, terminal).await?;
        }
        RotationOutcome::Staged { .. } => {
            terminal.line("  the new key verifies, and does not sign yet")?;
            print_next(&secret_status(&step.project, name).await?, step.project.now(), terminal)?;
            return Ok(STAGED);
        }
    }
    Ok(0)
}

/// Has the trail name the checks that are skipped.
fn skip_checks<'a>(mut step: StepCommand<'a>, args: &Args) -> Result<StepCommand<'a>, OpsError> {
    if args.skip.iter().any(|check| check == "clock") {
        step.operator = step.operator.trust_clock();
    }
    if !args.skip.is_empty() {
        let reason = args.actor.reason.as_deref().filter(|reason| !reason.trim().is_empty());
        let reason = reason.ok_or(OpsError::NoReason { what: "to skip a check" })?;
        let skipped = args.skip.join(", ");
        step.operator = step.operator.reason(format!("{reason} (skipped: {skipped})"));
    }
    Ok(step)
}

fn print_progress(
    progress: &Progress<'_>,
    args: &Args,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    match progress {
        Progress::Checked(checks) => print_checks(checks, terminal),
        Progress::Staged(_) if args.dry_run.is_set() => Ok(()),
        Progress::Staged(change) => terminal.line(&format!("  staged    {}", change.kid)),
        Progress::Waiting(obstacles) => print_wait(obstacles, args.wait, terminal),
    }
}

fn print_checks(checks: &[Check], terminal: &mut Terminal) -> Result<(), Failure> {
    for check in checks {
        let mark = match check.outcome {
            CheckOutcome::Passed => "ok  ",
            CheckOutcome::Warned => "note",
            CheckOutcome::Failed => "FAIL",
            CheckOutcome::Unneeded => "-   ",
        };
        terminal.line(&format!("  {mark} {:<10} {}", check.name, check.found))?;
    }
    Ok(())
}

/// Prints the reason of a wait of at most `wait`, and the effect of an interruption.
fn print_wait(
    obstacles: &[Obstacle],
    wait: Duration,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let text = Verdict::Blocked(obstacles.to_vec()).to_string();
    let text = text.trim_start_matches("blocked: ");
    let wait = Length(wait);
    terminal.line(&format!("  waiting   up to {wait} (Ctrl-C leaves the key staged): {text}"))
}
