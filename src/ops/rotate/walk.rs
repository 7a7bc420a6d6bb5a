//! A rotation from the checks to the promotion.

use std::time::{Duration, Instant};

use super::check::{Check, CheckOutcome, checks};
use super::operator::{Operator, no_fallback};
use crate::error::Error;
use crate::error::Obstacle;
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::{Change, Entry, NewEntry};
use crate::ops::address::kids_apart;
use crate::ops::audit::{Action, Record, Sink};
use crate::ops::error::OpsError;
use crate::ops::explain::is_silence;
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
pub enum Walked {
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

/// Tells the trail what was done elsewhere to the secret `name`: to one that is rotated by hand
/// anything, and to others what is no step of a rotation, which the trail is told by who takes
/// it.
///
/// # Errors
/// [`OpsError::NotByHand`]; [`OpsError::Audit`].
pub async fn record(project: &Project, record: &Record) -> Result<(), OpsError> {
    let item = project.inventory().secret(&record.secret)?;
    item.check_environment(&record.environment)?;
    let is_step = Action::STEPS.contains(&record.action) || record.action == Action::REMINDED;
    if is_step && !matches!(item.store, Place::Manual(_)) {
        let (name, action) = (item.name.clone(), record.action.clone());
        return Err(OpsError::NotByHand { name, action });
    }
    Ok(project.trail().await?.append(std::slice::from_ref(record)).await?)
}

/// Retires the fallback of the secret `name`, or the key `kid`: [`Operator::retire`]. Out of a
/// `.env` file, whose readers know no end of a key by themselves, it is taken when its end has
/// come, and not before.
///
/// # Errors
/// As for [`Operator::retire`]; [`Error::Blocked`] with
/// [`Obstacle::TooEarly`] for a key of a `.env` file whose end lies ahead.
pub async fn retire(
    project: &Project,
    name: &str,
    operator: &Operator,
    kid: Option<Kid>,
) -> Result<Change, OpsError> {
    let item = project.inventory().secret(name)?;
    let Place::Dotenv(_) = item.store else {
        return operator.retire(kid).await;
    };
    let (manifest, now) = (operator.load().await?, project.now());
    let is_old = |own: &Kid| {
        let state = manifest.state(own, now);
        matches!(state, Some(KeyState::Active(Role::Fallback) | KeyState::Retired))
    };
    let kept = manifest.keys().iter().filter(|key| key.secret().is_some());
    let apart = kids_apart(item, &manifest, now);
    let old: Vec<_> = kept.map(Entry::kid).filter(is_old).collect();
    // What belongs to something else is retired by its kid alone.
    let own: Vec<_> = old.into_iter().filter(|own| !apart.contains(own)).collect();
    let kid = match (kid, &own[..]) {
        (Some(kid), _) => kid,
        (None, [kid]) => *kid,
        (None, _) => return Err(no_fallback(&manifest, &own, now)),
    };
    if manifest.state(&kid, now) == Some(KeyState::Retired) {
        return operator.destroy(&kid).await;
    }
    match manifest.ends_at(&kid).filter(|_| is_old(&kid) && !operator.is_forced()) {
        Some(until) => {
            Err(Error::Blocked { kid, obstacles: vec![Obstacle::TooEarly { until }] }.into())
        }
        // It settles its own end now, if that is asked for and allowed.
        None => match operator.retire(Some(kid)).await? {
            own if own.to == KeyState::Retired && !operator.is_dry_run() => {
                operator.destroy(&kid).await
            }
            own => Ok(own),
        },
    }
}

/// Rotates the secret `name`: all [`checks`], a new key staged, and promoted as soon as every
/// instance holds it, but no later than after `wait`. It waits for nothing where no instance reports
/// which keys it holds. `skip` names checks that may fail.
///
/// # Errors
/// [`OpsError::Checks`] if one fails that is not to be skipped; and what the steps refuse. Then
/// the key may be staged: the trail and the manifest say so.
pub async fn walk(
    project: &Project,
    name: &str,
    operator: &Operator,
    new: NewEntry,
    skip: &[String],
    wait: Duration,
    mut tell: impl FnMut(Progress<'_>),
) -> Result<Walked, OpsError> {
    let all = checks(project, name).await?;
    tell(Progress::Checked(&all));
    let is_bad = |own: &&Check| {
        own.outcome == CheckOutcome::Failed && !skip.iter().any(|other| other == own.name)
    };
    let failed: Vec<_> = all.iter().filter(is_bad).cloned().collect();
    if !failed.is_empty() {
        return Err(OpsError::Checks { failed });
    }
    // Another may have passed the checks at the same moment.
    let Some(staged) = operator.stage_if_none(new).await? else {
        return Err(OpsError::Checks { failed: vec![Check::underway()] });
    };
    tell(Progress::Staged(&staged));
    let is_silent = matches!(project.inventory().secret(name)?.store, Place::Dotenv(_));
    if is_silent || operator.is_dry_run() {
        return Ok(Walked::Staged { staged, obstacles: Vec::new() });
    }
    let begun = Instant::now();
    let mut last: Option<Vec<Obstacle>> = None;
    loop {
        // Asked without a step, which would be told as a refusal each time.
        let (manifest, reports) = (operator.load().await?, operator.reports().await?);
        let obstacles = match manifest.promote(&staged.kid, &reports, project.now()) {
            Ok(_) => {
                let promoted = operator.promote(Some(staged.kid)).await?;
                return Ok(Walked::Promoted(promoted));
            }
            Err(Error::NotAgreed { obstacles, .. }) => obstacles,
            Err(error) => return Err(error.into()),
        };
        // Without an instance that reports, no report will come.
        if is_silence(&obstacles) {
            return Ok(Walked::Staged { staged, obstacles });
        }
        if last.as_ref() != Some(&obstacles) {
            tell(Progress::Waiting(&obstacles));
        }
        if begun.elapsed() >= wait {
            return Ok(Walked::Staged { staged, obstacles });
        }
        last = Some(obstacles);
        tokio::time::sleep(PAUSE).await;
    }
}
