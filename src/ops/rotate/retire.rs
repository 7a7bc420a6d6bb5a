//! The retirement of a key, also out of a `.env` file.

use super::facts::{no_fallback, retirable_keys};
use super::operator::Operator;
use crate::error::Error;
use crate::error::Obstacle;
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::Change;
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
    // What belongs to something else is retired by its kid alone.
    let apart = kids_apart(item, &manifest, now);
    let mut candidates = retirable_keys(&manifest, true, now);
    candidates.retain(|kid| !apart.contains(kid));
    let kid = match (kid, &candidates[..]) {
        (Some(kid), _) => kid,
        (None, [kid]) => *kid,
        (None, _) => return Err(no_fallback(&manifest, &candidates, now)),
    };
    let state = manifest.state(&kid, now);
    if state == Some(KeyState::Expired) {
        return operator.destroy(&kid).await;
    }
    let is_fallback = state == Some(KeyState::Live(Role::Fallback));
    match manifest.verifies_until(&kid).filter(|_| is_fallback && !operator.is_forced()) {
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
