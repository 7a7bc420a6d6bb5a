//! How a step is taken: under a lock, with what was left by others settled, told before and
//! after.

use std::time::SystemTime;

use super::operator::Operator;
use crate::error::Error;
use crate::evidence::Report;
use crate::kid::Kid;
use crate::lifecycle::KeyState;
use crate::lifecycle::Role;
use crate::manifest::{Action, Change, Entry, Manifest, RolloutEffect};
use crate::ops::address::difference;
use crate::ops::audit::{self, AuditError, Guard, Outcome, Problem, Query, Record, Trail};
use crate::ops::error::OpsError;
use crate::purpose::Purpose;
use crate::source::{KeyStore, StoreError};

/// So often is a step taken anew because another was faster.
const ATTEMPTS: usize = 10;

/// What a step is made of: a manifest, what the instances say of it, and the time.
pub(super) type Step<'s> =
    dyn FnMut(&Manifest, &[Report], SystemTime) -> Result<Change, Error> + Send + 's;

impl Operator {
    /// The same, under the lock.
    pub(super) async fn settle_held(
        &self,
        ring: &str,
        environment: &str,
    ) -> Result<Option<Outcome>, OpsError> {
        let Some(begun) = begun(&*self.trail, ring, environment).await? else { return Ok(None) };
        let outcome = match self.store.load().await {
            Ok(manifest) => self.came_of(&begun, &manifest),
            Err(StoreError::Missing { .. }) => Outcome::Abandoned,
            Err(error) => return Err(error.into()),
        };
        let mut record = begun;
        (record.at, record.clock_given) = (self.clock.now(), self.is_clock_given);
        self.tell(&record, outcome).await?;
        Ok(Some(outcome))
    }

    /// Fails, if a key that `next` has and `current` has not is no value of this secret: it has
    /// another form, or names another database.
    fn check_new_keys(
        &self,
        current: &Manifest,
        next: &Manifest,
        now: SystemTime,
    ) -> Result<(), OpsError> {
        let Some((item, _)) = &self.item else { return Ok(()) };
        let in_use = current.key(&current.primary(now)).and_then(Entry::secret);
        let in_use = in_use.map(|secret| secret.expose());
        for key in next.keys().iter().filter(|key| current.key(&key.kid()).is_none()) {
            let Some(secret) = key.secret() else { continue };
            item.check_value(secret.expose(), in_use)?;
            let difference = in_use.and_then(|own| difference(own, secret.expose()));
            if let Some(difference) = difference.filter(|_| !item.other_databases)
                && item.purpose == Purpose::Credential
            {
                let problem = format!(
                    "it {} the one in use; correct it, or set `other_databases = true` for `{}` in the \
                     inventory",
                    difference.than(),
                    item.name
                );
                return Err(OpsError::Value { name: item.name.clone(), problem });
            }
        }
        Ok(())
    }

    /// What came of the step that `begun` tells of, by what is stored.
    pub(super) fn came_of(&self, begun: &Record, manifest: &Manifest) -> Outcome {
        let Some(revision) = begun.revision else { return Outcome::Unknown };
        if manifest.revision() < revision {
            return Outcome::Abandoned;
        }
        if manifest.revision() > revision {
            return Outcome::Unknown;
        }
        let is_same = begun.fingerprint == Some(manifest.fingerprint());
        // A `.env` file keeps nothing of a key that is revoked.
        let state = begun.kid.and_then(|kid| manifest.state(&kid, manifest.changed_at()));
        let is_so = state.map(|own| own.as_str().to_owned()) == begun.to;
        match is_same || is_so {
            true => Outcome::Success,
            false => Outcome::Abandoned,
        }
    }

    /// Takes a step: under the lock, and told before and after.
    pub(super) async fn step(
        &self,
        action: audit::Action,
        step: &mut Step<'_>,
    ) -> Result<Change, OpsError> {
        self.take(action, step).await.map_err(|error| self.explain(error))
    }

    async fn take(&self, action: audit::Action, step: &mut Step<'_>) -> Result<Change, OpsError> {
        let current = self.load().await?;
        if self.store.has_steps(&current) && self.trail.is_empty().await? {
            return Err(AuditError::Broken { problem: Problem::Missing }.into());
        }
        let (ring, environment) = (current.ring().to_owned(), current.environment().to_owned());
        // What is compromised waits for no report, for no clock, and for no old record.
        let is_urgent =
            [audit::Action::REVOKED, audit::Action::EMERGENCY_ROTATED].contains(&action);
        let _guard = match self.guard(&ring, &environment).await {
            // The record that comes next is refused by itself, if the trail cannot be written.
            Err(OpsError::Audit(
                AuditError::Broken { .. } | AuditError::Io { .. } | AuditError::Client { .. },
            )) if is_urgent => Some(self.trail.lock(&lock_name(&environment, &ring)).await?),
            guard => guard?,
        };
        let checks_clock = !is_urgent && action != audit::Action::CLOCK_REPAIRED;
        // As it is now that nobody else changes it.
        let mut current = self.trusting(self.load().await?);
        for _ in 0..ATTEMPTS {
            let reports = if is_urgent { Vec::new() } else { self.reports().await? };
            let now = self.clock.now();
            let taken = step(&current, &reports, now).and_then(|change| {
                if checks_clock && change.has_changed(&current) {
                    match self.is_deployed {
                        true => current.check_clock_but_silence(&reports, now)?,
                        false => current.check_clock(&reports, now)?,
                    }
                }
                Ok(change)
            });
            let change = match taken {
                Ok(change) => change,
                Err(refusal) => return self.refused(&current, action, refusal, now).await,
            };
            self.check_new_keys(&current, &change.manifest, now)?;
            if self.is_rehearsal || !change.has_changed(&current) {
                return Ok(change);
            }
            let record = self.record(&change.manifest, action.clone(), now).change(&change);
            self.tell(&record, Outcome::Begun).await?;
            let stored = self.store.compare_and_swap(current.revision(), &change.manifest).await;
            match self.conclude(&record, &change.manifest, stored).await {
                Err(OpsError::Store(StoreError::Conflict { .. })) => {
                    current = self.trusting(self.load().await?);
                }
                concluded => return concluded.map(|()| change),
            }
        }
        let (store, found) = (format!("{environment}/{ring}"), current.revision());
        Err(StoreError::Conflict { store, expected: found, found }.into())
    }

    fn trusting(&self, manifest: Manifest) -> Manifest {
        if self.trusts_clock { manifest.trust_clock() } else { manifest }
    }

    /// The lock, with everything settled that was left; none, where nothing is changed.
    pub(super) async fn guard(
        &self,
        ring: &str,
        environment: &str,
    ) -> Result<Option<Guard>, OpsError> {
        if self.is_rehearsal {
            return Ok(None);
        }
        let guard = self.trail.lock(&lock_name(environment, ring)).await?;
        self.settle_held(ring, environment).await?;
        Ok(Some(guard))
    }

    /// Tells how a step went of which the store says `stored`.
    pub(super) async fn conclude(
        &self,
        record: &Record,
        manifest: &Manifest,
        stored: Result<(), StoreError>,
    ) -> Result<(), OpsError> {
        let outcome = match &stored {
            Ok(()) => Outcome::Success,
            Err(StoreError::Conflict { .. }) => Outcome::Abandoned,
            // It may have been stored all the same: what is there says it.
            Err(_) => match self.store.load().await {
                Ok(own) => match self.came_of(record, &own) {
                    Outcome::Success => Outcome::Success,
                    _ => Outcome::Failed,
                },
                Err(StoreError::Missing { .. }) => Outcome::Failed,
                // It stays begun, and is settled when the store answers.
                Err(_) => return stored.map_err(OpsError::from),
            },
        };
        if outcome == Outcome::Success && manifest.purpose() == Purpose::Audit {
            self.sign_with(manifest)?;
        }
        match (self.tell(record, outcome).await, stored) {
            (Ok(()), Err(error)) if outcome != Outcome::Success => Err(error.into()),
            (Ok(()), _) => Ok(()),
            (Err(OpsError::Audit(source)), _) if outcome == Outcome::Success => {
                Err(OpsError::Unsettled { source })
            }
            (Err(error), Ok(())) => Err(error),
            (Err(_), Err(error)) => Err(error.into()),
        }
    }

    /// The trail itself is signed by what was just changed.
    pub(super) fn sign_with(&self, manifest: &Manifest) -> Result<(), OpsError> {
        let ring = self.trail.ring();
        match ring.name() == manifest.ring() {
            true => Ok(manifest.apply_to(&ring).map(|_| ())?),
            false => Ok(()),
        }
    }

    /// Tells that a step was refused; that it was is what matters, told or not.
    pub(super) async fn refused(
        &self,
        current: &Manifest,
        action: audit::Action,
        refusal: Error,
        now: SystemTime,
    ) -> Result<Change, OpsError> {
        if !self.is_rehearsal {
            let mut record = self.record(current, action, now).outcome(Outcome::Failed);
            let why: String = refusal.to_string().chars().take(200).collect();
            record.reason = Some(match &self.reason {
                Some(reason) => format!("{reason}; refused: {why}"),
                None => format!("refused: {why}"),
            });
            let _ = self.trail.append(std::slice::from_ref(&record)).await;
        }
        Err(refusal.into())
    }

    pub(super) fn record(
        &self,
        manifest: &Manifest,
        action: audit::Action,
        now: SystemTime,
    ) -> Record {
        let (ring, environment) = (manifest.ring(), manifest.environment());
        let mut record = Record::new(now, ring, action, &self.actor, environment);
        record.clock_given = self.is_clock_given;
        record.reason = match (&self.reason, self.forces) {
            (Some(reason), true) => Some(format!("forced: {reason}")),
            (reason, _) => reason.clone(),
        };
        record
    }

    pub(super) async fn tell(&self, record: &Record, outcome: Outcome) -> Result<(), OpsError> {
        let record = record.clone().outcome(outcome);
        Ok(self.trail.append(std::slice::from_ref(&record)).await?)
    }
}

/// The newest record of a step of a secret.
pub(crate) async fn last_step(
    trail: &dyn Trail,
    ring: &str,
    environment: &str,
) -> Result<Option<audit::Entry>, OpsError> {
    let mut query = Query::new().secret(ring).environment(environment).with_begun().of_steps();
    query = query.take(1);
    for action in audit::Action::STEPS {
        query = query.action(action);
    }
    Ok(trail.query(&query).await?.pop())
}

/// The step of a secret that was started, and that no record says the outcome of.
pub(crate) async fn begun(
    trail: &dyn Trail,
    ring: &str,
    environment: &str,
) -> Result<Option<Record>, OpsError> {
    let last = last_step(trail, ring, environment).await?;
    // Whoever has a revoked key may have written what it signed, and nothing is signed for that.
    let set = trail.ring().load();
    let is_trusted = |kid: &Kid| set.key(kid).is_some_and(|key| key.revoked().is_none());
    let last = last.filter(|own| is_trusted(&own.signer)).map(|own| own.record);
    Ok(last.filter(|record| record.outcome == Outcome::Begun))
}

/// Fails, if `store` holds something.
pub(super) async fn check_missing(
    store: &dyn KeyStore,
    ring: &str,
    environment: &str,
) -> Result<(), OpsError> {
    match store.load().await {
        Err(StoreError::Missing { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(own) => {
            let (store, found) = (format!("{environment}/{ring}"), own.revision());
            Err(StoreError::Conflict { store, expected: 0, found }.into())
        }
    }
}

/// Fails, if the trail tells of a step of a secret whose store holds nothing: it may be another
/// folder, or one that is not mounted, and a new key would refuse all that the old ones signed.
pub(crate) async fn check_new(
    trail: &dyn Trail,
    ring: &str,
    environment: &str,
) -> Result<(), OpsError> {
    let query = Query::new().secret(ring).environment(environment).of_steps();
    match trail.query(&query.outcome(Outcome::Success).take(1)).await?.is_empty() {
        true => Ok(()),
        false => Err(OpsError::WasThere {
            secret: ring.to_owned(),
            environment: environment.to_owned(),
            mend: "bring it back; a new key refuses what the old ones signed (`dualkey generate \
                   --store --force` makes one all the same)",
        }),
    }
}

/// What the instances say; nothing, where the store keeps no reports.
pub(crate) async fn reports(store: &dyn KeyStore) -> Result<Vec<Report>, OpsError> {
    match store.reports().await {
        Err(StoreError::NoReports { .. }) => Ok(Vec::new()),
        reports => Ok(reports?),
    }
}

/// The keys that a retirement may be asked for: fallbacks, and those whose end has come by itself
/// and was not settled.
pub(crate) fn to_retire(manifest: &Manifest, now: SystemTime) -> Vec<Kid> {
    let is = |key: &&Entry| match manifest.state(&key.kid(), now) {
        Some(KeyState::Active(Role::Fallback)) => true,
        Some(KeyState::Retired) => key.secret().is_some() && key.retire_at().is_none(),
        _ => false,
    };
    manifest.keys().iter().filter(is).map(Entry::kid).collect()
}

/// The keys that have `role`.
pub(crate) fn with_role(manifest: &Manifest, role: Role, now: SystemTime) -> Vec<Kid> {
    let is = |kid: &Kid| manifest.state(kid, now) == Some(KeyState::Active(role));
    manifest.keys().iter().map(|key| key.kid()).filter(is).collect()
}

pub(super) fn lock_name(environment: &str, ring: &str) -> String {
    format!("{environment}/{ring}")
}

impl Change {
    /// That another policy was set, which is done to no key: it is told of the primary.
    pub(super) fn of_policy(before: &Manifest, next: Manifest, kid: Kid, now: SystemTime) -> Self {
        let to = next.state(&kid, now).unwrap_or(KeyState::Active(Role::Primary));
        Self {
            action: Action::SetPolicy,
            kid,
            from: before.state(&kid, now),
            to,
            revoked: None,
            until: None,
            effect: RolloutEffect::NONE,
            manifest: next,
        }
    }
}
