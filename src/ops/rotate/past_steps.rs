//! The steps of a secret that the trail knows.

use crate::kid::Kid;
use crate::ops::audit::{Action, Entry, Outcome, Query, Record, Trail};
use crate::ops::error::OpsError;

/// The newest record of a step of a secret.
pub(crate) async fn last_step(
    trail: &dyn Trail,
    ring: &str,
    environment: &str,
) -> Result<Option<Entry>, OpsError> {
    let mut query = Query::new().secret(ring).environment(environment).with_started().of_steps();
    query = query.take(1);
    for action in Action::STEPS {
        query = query.action(action);
    }
    Ok(trail.query(&query).await?.pop())
}

/// The step of a secret that was started, and that no record says the outcome of.
pub(crate) async fn unfinished_step(
    trail: &dyn Trail,
    ring: &str,
    environment: &str,
) -> Result<Option<Record>, OpsError> {
    let last = last_step(trail, ring, environment).await?;
    // Whoever has a revoked key may have written what it signed, and nothing is signed for that.
    let set = trail.ring().load();
    let is_trusted = |kid: &Kid| set.key(kid).is_some_and(|key| key.revoked().is_none());
    let last = last.filter(|entry| is_trusted(&entry.signer)).map(|entry| entry.record);
    Ok(last.filter(|record| record.outcome == Outcome::Started))
}

/// Fails if the trail has a step of a secret whose store holds nothing: it may be another folder, or
/// one that is not mounted, and a new key would refuse all that the old ones signed.
pub(crate) async fn check_new(
    trail: &dyn Trail,
    ring: &str,
    environment: &str,
) -> Result<(), OpsError> {
    let query = Query::new().secret(ring).environment(environment).of_steps();
    if trail.query(&query.outcome(Outcome::Success).take(1)).await?.is_empty() {
        return Ok(());
    }
    Err(OpsError::WasThere {
        secret: ring.to_owned(),
        environment: environment.to_owned(),
        remedy: "bring it back; a new key refuses what the old ones signed (`dualkey generate \
               --store --force` makes one all the same)",
    })
}
