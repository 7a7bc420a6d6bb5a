//! A rotation from the checks to the promotion.

use std::time::{Duration, Instant};

use super::check::{Check, CheckOutcome};
use super::facts::is_silence;
use super::operator::Operator;
use super::preconditions::checks;
use crate::error::Error;
use crate::error::Obstacle;
use crate::manifest::{Change, NewEntry};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, Project};

/// So often the instances are asked whether they hold the new key.
const PAUSE: Duration = Duration::from_millis(500);

/// What a rotation is at.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// The checks, of which none failed but those that were skipped.
    Checked(&'a [Check]),
    /// The new key verifies, and does not sign yet.
    Staged(&'a Change),
    /// Not every instance holds it yet; told when that changes.
    Waiting(&'a [Obstacle]),
}

/// How far a rotation came.
#[derive(Debug)]
#[non_exhaustive]
pub enum RotationOutcome {
    /// The new key signs.
    Promoted(Change),
    /// It is staged, and the rest is for later: not every instance holds it yet, or none says
    /// whether it does.
    Staged {
        /// The step that was taken.
        staged: Change,
        /// What speaks against the promotion.
        obstacles: Vec<Obstacle>,
    },
}

/// Rotates the secret `name`: all [`checks`], a new key staged, and promoted as soon as every
/// instance holds it, but no later than after `wait`. It waits for nothing where no instance reports
/// which keys it holds. `skip` names checks that may fail.
///
/// # Errors
/// [`OpsError::Checks`] if one fails that is not to be skipped; and what the steps refuse. Then
/// the key may be staged: the trail and the manifest say so.
pub async fn run_rotation(
    project: &Project,
    name: &str,
    operator: &Operator,
    new: NewEntry,
    skip: &[String],
    wait: Duration,
    mut tell: impl FnMut(Progress<'_>),
) -> Result<RotationOutcome, OpsError> {
    let all = checks(project, name).await?;
    tell(Progress::Checked(&all));
    let is_bad = |check: &&Check| {
        check.outcome == CheckOutcome::Failed && !skip.iter().any(|name| name == check.name)
    };
    let failed: Vec<_> = all.iter().filter(is_bad).cloned().collect();
    if !failed.is_empty() {
        return Err(OpsError::Checks { failed });
    }
    // Another may have passed the checks at the same moment.
    let Some(staged) = operator.stage_if_none(new).await? else {
        return Err(OpsError::Checks { failed: vec![Check::for_underway()] });
    };
    tell(Progress::Staged(&staged));
    let is_silent = matches!(project.inventory().secret(name)?.store, Place::Dotenv(_));
    if is_silent || operator.is_dry_run() {
        return Ok(RotationOutcome::Staged { staged, obstacles: Vec::new() });
    }
    let started = Instant::now();
    let mut last: Option<Vec<Obstacle>> = None;
    loop {
        // Asked without a step, which would be told as a refusal each time.
        let (manifest, reports) = (operator.load().await?, operator.reports().await?);
        let obstacles = match manifest.promote(&staged.kid, &reports, project.now()) {
            Ok(_) => {
                let promoted = operator.promote(Some(staged.kid)).await?;
                return Ok(RotationOutcome::Promoted(promoted));
            }
            Err(Error::NotAgreed { obstacles, .. }) => obstacles,
            Err(error) => return Err(error.into()),
        };
        // Without an instance that reports, no report will come.
        if is_silence(&obstacles) {
            return Ok(RotationOutcome::Staged { staged, obstacles });
        }
        if last.as_ref() != Some(&obstacles) {
            tell(Progress::Waiting(&obstacles));
        }
        if started.elapsed() >= wait {
            return Ok(RotationOutcome::Staged { staged, obstacles });
        }
        last = Some(obstacles);
        tokio::time::sleep(PAUSE).await;
    }
}
