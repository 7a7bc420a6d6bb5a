//! The retirement of a key, also out of a `.env` file.

use super::facts::no_fallback;
use super::operator::Operator;
use crate::error::Error;
use crate::error::Obstacle;
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::{Change, Entry};
use crate::ops::error::OpsError;
use crate::ops::inventory::{Place, Project, kids_apart};

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
    let is_old = |kid: &Kid| {
        let state = manifest.state(kid, now);
        matches!(state, Some(KeyState::Live(Role::Fallback) | KeyState::Expired))
    };
    let kept = manifest.keys().iter().filter(|key| key.secret().is_some());
    let apart = kids_apart(item, &manifest, now);
    let old: Vec<_> = kept.map(Entry::kid).filter(is_old).collect();
    // What belongs to something else is retired by its kid alone.
    let candidates: Vec<_> = old.into_iter().filter(|kid| !apart.contains(kid)).collect();
    let kid = match (kid, &candidates[..]) {
        (Some(kid), _) => kid,
        (None, [kid]) => *kid,
        (None, _) => return Err(no_fallback(&manifest, &candidates, now)),
    };
    if manifest.state(&kid, now) == Some(KeyState::Expired) {
        return operator.destroy(&kid).await;
    }
    match manifest.verifies_until(&kid).filter(|_| is_old(&kid) && !operator.is_forced()) {
        Some(until) => {
            Err(Error::Blocked { kid, obstacles: vec![Obstacle::TooEarly { until }] }.into())
        }
        // It settles its own end now, if that is asked for and allowed.
        None => match operator.retire(Some(kid)).await? {
            change if change.to == KeyState::Expired && !operator.is_dry_run() => {
                operator.destroy(&kid).await
            }
            change => Ok(change),
        },
    }
}
