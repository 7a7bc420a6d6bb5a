//! What can be watched, whatever its keys are for.

use std::sync::Arc;
use std::time::SystemTime;

#[cfg(feature = "status")]
use crate::error::Error;
#[cfg(feature = "status")]
use crate::error::Obstacle;
#[cfg(feature = "status")]
use crate::evidence::Report;
#[cfg(feature = "status")]
use crate::evidence::Verdict;
#[cfg(feature = "status")]
use crate::kid::Kid;
#[cfg(feature = "status")]
use crate::purpose::Purpose;
use crate::ring::KeyMaterial;
use crate::ring::{KeyRing, KeyStatus};
#[cfg(feature = "store")]
use crate::source::{Following, Health};
#[cfg(feature = "status")]
use crate::source::{StoreError, StoreFuture};

/// What can be watched: a [`KeyRing`], or the [`Following`](crate::source::Following) of one,
/// which also says how it fares with its store. Sealed.
pub trait Subject: sealed::Sealed {
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn watched(&self) -> Arc<dyn Watched>;
}

mod sealed {
    pub trait Sealed {}
}

/// The same, without the kind of its keys.
pub(crate) trait Watched: Send + Sync {
    /// What it is right now.
    fn look(&self) -> Look;

    /// What the instance is called, if it has a name.
    #[cfg(feature = "status")]
    fn instance(&self) -> Option<String>;

    /// May `kid` go? By what `reports` say together, or by what this process saw.
    #[cfg(feature = "status")]
    fn retirement(&self, kid: &Kid, reports: Option<&[Report]>) -> Result<Verdict, Error>;

    /// The obstacle that the verdict on `kid` is expected to have once its time is over.
    #[cfg(feature = "status")]
    fn expected_obstacle(
        &self,
        kid: &Kid,
        reports: Option<&[Report]>,
    ) -> Result<Option<Obstacle>, Error>;

    /// What this process saw, under a name for it.
    #[cfg(feature = "status")]
    fn report(&self, instance: &str) -> Report;

    /// How it fares with its store, if it follows one.
    #[cfg(feature = "store")]
    fn health(&self) -> Option<Health>;

    /// What the instances said beside the store; `None` where nobody does.
    #[cfg(feature = "status")]
    fn reports(&self) -> StoreFuture<'_, Option<Vec<Report>>>;
}

/// One look at a ring.
pub(crate) struct Look {
    pub(crate) ring: String,
    #[cfg(feature = "status")]
    pub(crate) purpose: &'static str,
    #[cfg(feature = "status")]
    pub(crate) kind: Purpose,
    /// The start of the first rewrap that counts for every old key.
    #[cfg(feature = "status")]
    pub(crate) rewrap_from: Option<SystemTime>,
    pub(crate) now: SystemTime,
    pub(crate) generation: u64,
    pub(crate) revision: u64,
    pub(crate) is_stale: bool,
    /// Since when the primary has been signing.
    pub(crate) signing_since: Option<SystemTime>,
    pub(crate) keys: Vec<KeyStatus>,
    pub(crate) next_transition: Option<SystemTime>,
    #[cfg(feature = "status")]
    pub(crate) rotation_due: Option<SystemTime>,
    #[cfg(feature = "status")]
    pub(crate) fingerprint: crate::fingerprint::Fingerprint,
    #[cfg(feature = "status")]
    pub(crate) policy: crate::lifecycle::Policy,
    /// When the keys last changed.
    #[cfg(feature = "status")]
    pub(crate) changed_at: SystemTime,
}

fn look<K: KeyMaterial>(ring: &KeyRing<K>) -> Look {
    let (set, now) = (ring.load(), ring.now());
    Look {
        ring: ring.name().to_owned(),
        #[cfg(feature = "status")]
        purpose: K::PURPOSE.as_str(),
        #[cfg(feature = "status")]
        kind: K::PURPOSE,
        #[cfg(feature = "status")]
        rewrap_from: set.rewrap_counts_from(now),
        now,
        generation: set.generation(),
        revision: set.revision(),
        is_stale: set.fresh_until().is_some_and(|end| now >= end) || set.primary(now).is_none(),
        signing_since: set.primary(now).map(|key| key.life.signing_since()),
        keys: set.statuses(now),
        next_transition: set.next_transition(now),
        #[cfg(feature = "status")]
        rotation_due: set.rotation_due(now),
        #[cfg(feature = "status")]
        fingerprint: set.fingerprint(),
        #[cfg(feature = "status")]
        policy: *set.policy(),
        #[cfg(feature = "status")]
        changed_at: set.changed_at(),
    }
}

#[cfg(feature = "status")]
fn retirement<K: KeyMaterial>(
    ring: &KeyRing<K>,
    kid: &Kid,
    reports: Option<&[Report]>,
) -> Result<Verdict, Error> {
    match reports {
        Some(reports) => ring.load().retirement(kid, reports, ring.now()),
        None => ring.retirement(kid),
    }
}

#[cfg(feature = "status")]
fn expected_obstacle<K: KeyMaterial>(
    ring: &KeyRing<K>,
    kid: &Kid,
    reports: Option<&[Report]>,
) -> Result<Option<Obstacle>, Error> {
    match reports {
        Some(reports) => ring.load().expected_obstacle(kid, reports, ring.now()),
        None => ring.expected_obstacle(kid),
    }
}

impl<K: KeyMaterial> sealed::Sealed for KeyRing<K> {}

impl<K: KeyMaterial> Subject for KeyRing<K> {
    #[allow(private_interfaces)]
    fn watched(&self) -> Arc<dyn Watched> {
        Arc::new(self.clone())
    }
}

impl<K: KeyMaterial> Watched for KeyRing<K> {
    fn look(&self) -> Look {
        look(self)
    }

    #[cfg(feature = "status")]
    fn instance(&self) -> Option<String> {
        None
    }

    #[cfg(feature = "status")]
    fn retirement(&self, kid: &Kid, reports: Option<&[Report]>) -> Result<Verdict, Error> {
        retirement(self, kid, reports)
    }

    #[cfg(feature = "status")]
    fn expected_obstacle(
        &self,
        kid: &Kid,
        reports: Option<&[Report]>,
    ) -> Result<Option<Obstacle>, Error> {
        expected_obstacle(self, kid, reports)
    }

    #[cfg(feature = "status")]
    fn report(&self, instance: &str) -> Report {
        KeyRing::report(self, instance)
    }

    #[cfg(feature = "store")]
    fn health(&self) -> Option<Health> {
        None
    }

    #[cfg(feature = "status")]
    fn reports(&self) -> StoreFuture<'_, Option<Vec<Report>>> {
        Box::pin(async { Ok(None) })
    }
}

#[cfg(feature = "store")]
impl<K: KeyMaterial> sealed::Sealed for Following<K> {}

#[cfg(feature = "store")]
impl<K: KeyMaterial> Subject for Following<K> {
    #[allow(private_interfaces)]
    fn watched(&self) -> Arc<dyn Watched> {
        Arc::new(Followed { turner: self.turner() })
    }
}

/// Of a following that others own: when they stop it, it shows what was last.
#[cfg(feature = "store")]
struct Followed<K: KeyMaterial> {
    turner: Arc<crate::source::Turner<K>>,
}

#[cfg(feature = "store")]
impl<K: KeyMaterial> Watched for Followed<K> {
    fn look(&self) -> Look {
        look(&self.turner.ring)
    }

    #[cfg(feature = "status")]
    fn instance(&self) -> Option<String> {
        self.turner.instance.clone()
    }

    #[cfg(feature = "status")]
    fn retirement(&self, kid: &Kid, reports: Option<&[Report]>) -> Result<Verdict, Error> {
        retirement(&self.turner.ring, kid, reports)
    }

    #[cfg(feature = "status")]
    fn expected_obstacle(
        &self,
        kid: &Kid,
        reports: Option<&[Report]>,
    ) -> Result<Option<Obstacle>, Error> {
        expected_obstacle(&self.turner.ring, kid, reports)
    }

    #[cfg(feature = "status")]
    fn report(&self, instance: &str) -> Report {
        self.turner.ring.report(instance)
    }

    fn health(&self) -> Option<Health> {
        Some(self.turner.health())
    }

    #[cfg(feature = "status")]
    fn reports(&self) -> StoreFuture<'_, Option<Vec<Report>>> {
        Box::pin(async {
            match self.turner.store.reports().await {
                Ok(reports) => Ok(Some(reports)),
                Err(StoreError::NoReports { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }
}
