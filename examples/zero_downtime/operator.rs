//! The operator: four manifests in files, which both instances follow while they run.

use std::time::{Duration, SystemTime};

use dualkey::manifest::{Manifest, NewEntry};
use dualkey::source::{FileStore, KeyStore, update};
use dualkey::{Policy, Purpose, Secret, Verdict};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::Result;
use crate::service::{Kids, LIFE, ROLLOUT_WINDOW, SKEW, Secrets};

pub const ENVIRONMENT: &str = "demo";
/// The rings, in the order of the columns of the report.
pub const RINGS: [(&str, Purpose); 4] = [
    ("JWT_SECRET", Purpose::Jwt),
    ("SESSION_SECRET", Purpose::Cookie),
    ("META_APP_SECRET", Purpose::Webhook),
    ("ENCRYPTION_KEY", Purpose::Envelope),
];

/// The demo is in a hurry: a quarter of a second's silence is an answer.
const PAUSE: Duration = Duration::from_millis(50);

pub struct Operator {
    folder: TempDir,
    stores: [FileStore; 4],
}

/// What a rotation is told, in seconds instead of days.
pub fn policy() -> Policy {
    let mut policy = Policy::default();
    (policy.max_lifetime, policy.rollout_window, policy.skew) = (LIFE, ROLLOUT_WINDOW, SKEW);
    (policy.observation_window, policy.min_observed_verifications) = (Duration::from_secs(2), 100);
    // Express was content with less than the default.
    policy.min_secret_bytes = Some(32);
    policy
}

impl Operator {
    /// Writes the first manifests.
    pub async fn new(first: &Secrets) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let stores = RINGS.map(|(name, _)| FileStore::new(folder.path().join(name)));
        let operator = Self { folder, stores };
        for (place, secret) in first.all().into_iter().enumerate() {
            let (name, purpose) = RINGS[place];
            let now = SystemTime::now();
            let mut first = policy();
            first.observation_window = Policy::default().observation_window;
            let manifest = Manifest::new(name, purpose, ENVIRONMENT, first, secret.clone(), now)?;
            // Shorter than a report interval, which a service would be refused.
            let manifest = manifest.force("a demo in seconds").set_policy(policy(), now)?;
            operator.stores[place].compare_and_swap(0, &manifest).await?;
        }
        Ok(operator)
    }

    pub fn store(&self, place: usize) -> FileStore {
        self.stores[place].clone()
    }

    pub fn folder(&self) -> String {
        self.folder.path().display().to_string()
    }

    /// Stages the new keys, and waits until every instance verifies with them. They sign nothing yet.
    pub async fn stage(&self, new: &Secrets) -> Result<Kids> {
        let mut kids = Vec::new();
        for (store, secret) in self.stores.iter().zip(new.all()) {
            let new: &Secret = secret;
            let step =
                |manifest: &Manifest| manifest.stage(NewEntry::new(new.clone()), SystemTime::now());
            kids.push(update(store, step).await?.kid);
        }
        self.wait_for_agreement().await?;
        Ok(kids.try_into().map_err(|_| "four rings have four keys")?)
    }

    /// Promotes each key, which is refused unless every instance holds it, and waits until all sign
    /// with it.
    pub async fn promote(&self, kids: &Kids) -> Result<()> {
        for (store, kid) in self.stores.iter().zip(kids) {
            let reports = store.reports().await?;
            update(store, |manifest| manifest.promote(kid, &reports, SystemTime::now())).await?;
        }
        self.wait_for_agreement().await
    }

    /// Waits until every instance holds what is stored.
    pub async fn wait_for_agreement(&self) -> Result<()> {
        for store in &self.stores {
            loop {
                let (manifest, reports) = (store.load().await?, store.reports().await?);
                if reports.iter().all(|report| report.fingerprint == manifest.fingerprint()) {
                    break;
                }
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    pub async fn revoke(&self, kids: &Kids, reason: &str) -> Result<()> {
        for (store, kid) in self.stores.iter().zip(kids) {
            update(store, |manifest| manifest.revoke(kid, reason, SystemTime::now())).await?;
        }
        self.wait_for_agreement().await
    }

    /// Waits until the verdict on every key is that it may go, and retires them.
    pub async fn retire(&self, kids: &Kids) -> Result<[Verdict; 4]> {
        let verdicts = loop {
            let verdicts = self.verdicts(kids).await?;
            if verdicts.iter().all(|verdict| *verdict == Verdict::Safe) {
                break verdicts;
            }
            sleep(PAUSE).await;
        };
        for (store, kid) in self.stores.iter().zip(kids) {
            let reports = store.reports().await?;
            update(store, |manifest| manifest.retire(kid, &reports, SystemTime::now())).await?;
        }
        self.wait_for_agreement().await?;
        Ok(verdicts)
    }

    /// May the keys go? The answer of both instances together.
    pub async fn verdicts(&self, kids: &Kids) -> Result<[Verdict; 4]> {
        let mut verdicts = Vec::new();
        for (store, kid) in self.stores.iter().zip(kids) {
            let (manifest, reports) = (store.load().await?, store.reports().await?);
            verdicts.push(manifest.retirement(kid, &reports, SystemTime::now())?);
        }
        Ok(verdicts.try_into().map_err(|_| "four rings have four verdicts")?)
    }
}
