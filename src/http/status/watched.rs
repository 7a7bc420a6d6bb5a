//! A watched ring as the page reads it, whatever its keys are for.

use std::time::SystemTime;

use crate::error::Error;
use crate::error::Obstacle;
use crate::evidence::Report;
use crate::evidence::Verdict;
use crate::fingerprint::Fingerprint;
use crate::kid::Kid;
use crate::lifecycle::Policy;
use crate::purpose::Purpose;
use crate::ring::KeyMaterial;
use crate::ring::KeyStatus;
use crate::source::{Health, StoreError, StoreFuture};
use crate::telemetry::WatchedRing;

/// A watched ring, without the type of its keys.
pub(super) trait Watched: Send + Sync {
    /// Reads the state of the ring at this moment.
    fn read_state(&self) -> RingState;

    /// Returns the name of the instance, if it has one.
    fn instance(&self) -> Option<String>;

    /// Returns the verdict on `kid`: from the `reports` together, or from what this process saw.
    fn retirement(&self, kid: &Kid, reports: Option<&[Report]>) -> Result<Verdict, Error>;

    /// Returns the obstacle that the verdict on `kid` is expected to have once its time is over.
    fn expected_obstacle(
        &self,
        kid: &Kid,
        reports: Option<&[Report]>,
    ) -> Result<Option<Obstacle>, Error>;

    /// Returns the report of this process, under the name `instance`.
    fn report(&self, instance: &str) -> Report;

    /// Returns the state of its store, if it follows one.
    fn health(&self) -> Option<Health>;

    /// Reads the reports of the instances beside the store; `None` if the store keeps none.
    fn reports(&self) -> StoreFuture<'_, Option<Vec<Report>>>;
}

/// The state of a ring at one moment.
pub(super) struct RingState {
    pub(super) ring: String,
    pub(super) purpose: &'static str,
    pub(super) kind: Purpose,
    /// The start of the first rewrap that counts for every old key.
    pub(super) rewrap_from: Option<SystemTime>,
    pub(super) now: SystemTime,
    pub(super) generation: u64,
    pub(super) revision: u64,
    pub(super) is_stale: bool,
    /// The start of the signing of the primary.
    pub(super) signing_since: Option<SystemTime>,
    pub(super) keys: Vec<KeyStatus>,
    pub(super) next_transition: Option<SystemTime>,
    pub(super) rotation_due: Option<SystemTime>,
    pub(super) fingerprint: Fingerprint,
    pub(super) policy: Policy,
    /// The time of the last change of the keys.
    pub(super) changed_at: SystemTime,
}

impl<K: KeyMaterial> Watched for WatchedRing<K> {
    fn read_state(&self) -> RingState {
        let (set, now) = (self.ring.load(), self.ring.now());
        RingState {
            ring: self.ring.name().to_owned(),
            purpose: K::PURPOSE.as_str(),
            kind: K::PURPOSE,
            rewrap_from: set.rewrap_counts_from(now),
            now,
            generation: set.generation(),
            revision: set.revision(),
            is_stale: set.is_stale(now) || set.primary(now).is_none(),
            signing_since: set.primary(now).map(|key| key.life.signing_since()),
            keys: set.statuses(now),
            next_transition: set.next_transition(now),
            rotation_due: set.rotation_due(now),
            fingerprint: set.fingerprint(),
            policy: *set.policy(),
            changed_at: set.changed_at(),
        }
    }

    fn instance(&self) -> Option<String> {
        self.poller.as_ref()?.instance.clone()
    }

    fn retirement(&self, kid: &Kid, reports: Option<&[Report]>) -> Result<Verdict, Error> {
        match reports {
            Some(reports) => self.ring.load().retirement(kid, reports, self.ring.now()),
            None => self.ring.retirement(kid),
        }
    }

    fn expected_obstacle(
        &self,
        kid: &Kid,
        reports: Option<&[Report]>,
    ) -> Result<Option<Obstacle>, Error> {
        match reports {
            Some(reports) => self.ring.load().expected_obstacle(kid, reports, self.ring.now()),
            None => self.ring.expected_obstacle(kid),
        }
    }

    fn report(&self, instance: &str) -> Report {
        self.ring.report(instance)
    }

    fn health(&self) -> Option<Health> {
        self.poller.as_ref().map(|poller| poller.health())
    }

    fn reports(&self) -> StoreFuture<'_, Option<Vec<Report>>> {
        Box::pin(async {
            let Some(poller) = &self.poller else { return Ok(None) };
            match poller.store.reports().await {
                Ok(reports) => Ok(Some(reports)),
                Err(StoreError::NoReports { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }
}
