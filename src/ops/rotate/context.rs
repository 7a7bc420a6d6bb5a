//! The store, the trail and the options with which an operator takes steps.

use std::sync::Arc;
use std::time::SystemTime;

use super::facts::reports;
use super::past_steps::check_new;
use crate::clock::{Clock, SystemClock};
use crate::evidence::Report;
use crate::manifest::Manifest;
use crate::ops::audit::{Action, Outcome, Record, Trail};
use crate::ops::error::OpsError;
use crate::ops::inventory::SecretSpec;
use crate::source::{KeyStore, StoreError};

/// The store, the trail and the options of one operator.
#[derive(Clone)]
pub(super) struct RotationContext {
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) trail: Arc<dyn Trail>,
    pub(super) actor: String,
    pub(super) reason: Option<String>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) is_clock_given: bool,
    pub(super) is_dry_run: bool,
    pub(super) is_forced: bool,
    pub(super) is_deployed: bool,
    pub(super) trusts_clock: bool,
    /// The secret of the inventory whose rules new keys keep, with its environment.
    pub(super) item: Option<(SecretSpec, String)>,
}

impl RotationContext {
    pub(super) fn new(store: impl KeyStore, trail: impl Trail, actor: &str) -> Self {
        Self {
            store: Arc::new(store),
            trail: Arc::new(trail),
            actor: actor.to_owned(),
            reason: None,
            clock: Arc::new(SystemClock),
            is_clock_given: false,
            is_dry_run: false,
            is_forced: false,
            is_deployed: false,
            trusts_clock: false,
            item: None,
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Loads the manifest as it is stored now.
    pub(super) async fn load(&self) -> Result<Manifest, OpsError> {
        match (self.store.load().await, &self.item) {
            (Err(error @ StoreError::Missing { .. }), Some((item, environment))) => {
                // An empty place of a secret that had keys needs another remedy.
                check_new(&*self.trail, &item.name, environment).await?;
                Err(item.explain(error))
            }
            (Err(error), Some((item, _))) => Err(item.explain(error)),
            (loaded, _) => Ok(loaded?),
        }
    }

    /// Loads the reports of the instances.
    pub(super) async fn reports(&self) -> Result<Vec<Report>, OpsError> {
        reports(&*self.store).await
    }

    /// The error with the remedy for the secret of the inventory.
    pub(super) fn explain(&self, error: impl Into<OpsError>) -> OpsError {
        match &self.item {
            Some((item, _)) => item.explain(error),
            None => error.into(),
        }
    }

    /// A record of `action` on the ring of `manifest`.
    pub(super) fn record(&self, manifest: &Manifest, action: Action, now: SystemTime) -> Record {
        let (ring, environment) = (manifest.ring(), manifest.environment());
        let mut record = Record::new(now, ring, action, &self.actor, environment);
        record.clock_given = self.is_clock_given;
        record.reason = match (&self.reason, self.is_forced) {
            (Some(reason), true) => Some(format!("forced: {reason}")),
            (reason, _) => reason.clone(),
        };
        record
    }

    /// Appends `record` to the trail, with `outcome`.
    pub(super) async fn append(&self, record: &Record, outcome: Outcome) -> Result<(), OpsError> {
        let record = record.clone().outcome(outcome);
        Ok(self.trail.append(std::slice::from_ref(&record)).await?)
    }
}
