//! The audit trail of a project: opened, verified, and put aside.

use std::path::PathBuf;
use std::sync::Arc;

use super::document::AuditPlace;
use super::project::Project;
use crate::manifest::Manifest;
use crate::ops::audit::{AuditError, AuditKey, FileTrail, Problem, Record, Trail, Verification};
use crate::ops::error::OpsError;
use crate::ring::KeyRing;
use crate::source::StoreError;

impl Project {
    /// The audit trail, signed by its secret as its store holds it now.
    ///
    /// # Errors
    /// As for [`store`](Self::store); [`OpsError::NoAuditKey`] where there is no such key yet;
    /// [`AuditError::Broken`] with [`Problem::Missing`] if the trail has no record, although a
    /// store of the inventory holds what a step made.
    pub async fn trail(&self) -> Result<Arc<dyn Trail>, OpsError> {
        let trail = self.open_trail().await?;
        if trail.is_empty().await? && self.has_steps().await {
            return Err(AuditError::Broken { problem: Problem::Missing }.into());
        }
        Ok(trail)
    }

    /// Checks whether the audit trail is as it was written: [`Trail::verify`]. One without a
    /// record is not, if a store of the inventory holds what a step made.
    ///
    /// # Errors
    /// As for [`trail`](Self::trail), but for a trail that is missing.
    pub async fn verify_trail(&self) -> Result<Verification, OpsError> {
        let trail = self.open_trail().await?;
        let mut verified = trail.verify().await?;
        if verified.is_whole() && trail.is_empty().await? && self.has_steps().await {
            verified.problem = Some(Problem::Missing);
        }
        Ok(verified)
    }

    /// Returns whether a store whose steps this trail records holds what a step made.
    async fn has_steps(&self) -> bool {
        // A trail is of all environments, unless its path names one.
        let is_of_one = matches!(&self.inventory.audit.place, AuditPlace::File(path)
            if path.to_string_lossy().contains("{env}"));
        let is_of_trail = |name: &&String| !is_of_one || **name == self.environment;
        for item in &self.inventory.secrets {
            for environment in item.environments.iter().filter(is_of_trail) {
                let Ok(store) = self.store_in(item, environment) else { continue };
                if store.load().await.is_ok_and(|manifest| store.has_steps(&manifest)) {
                    return true;
                }
            }
        }
        false
    }

    /// The audit trail, even one that is missing.
    async fn open_trail(&self) -> Result<Arc<dyn Trail>, OpsError> {
        let audit = &self.inventory.audit;
        let item = self.inventory.secret(&audit.secret)?;
        // One trail for all environments, and one key.
        let environment = &self.inventory.environment;
        let manifest = match self.store_in(item, environment)?.load().await {
            Err(StoreError::Missing { .. }) => {
                return Err(OpsError::NoAuditKey { secret: audit.secret.clone() });
            }
            manifest => manifest?,
        };
        self.trail_under(&manifest)
    }

    /// The audit trail, signed by the keys of `manifest`.
    pub(crate) fn trail_under(&self, manifest: &Manifest) -> Result<Arc<dyn Trail>, OpsError> {
        let ring = manifest.build_ring(
            KeyRing::<AuditKey>::builder()
                .name(&self.inventory.audit.secret)
                .environment(&self.inventory.environment)
                .clock(self.shared_clock()),
        )?;
        self.trail_with(ring)
    }

    /// Puts the trail aside, and starts a new one with `record`: [`FileTrail::restart`].
    /// Returns where the old one is; `None` if there was none.
    ///
    /// # Errors
    /// As there; and for a trail in a database, of which an operator renames the tables first.
    pub async fn restart_trail(&self, record: &Record) -> Result<Option<PathBuf>, OpsError> {
        let trail = self.open_trail().await?;
        if let Some(path) = self.trail_file() {
            return Ok(FileTrail::new(path, trail.ring().clone()).restart(record)?);
        }
        self.trail_to_put_aside().await?;
        trail.append(std::slice::from_ref(record)).await?;
        Ok(None)
    }

    /// The file that [`restart_trail`](Self::restart_trail) would put aside, if there is a trail.
    ///
    /// # Errors
    /// As there, but for those of the file.
    pub(crate) async fn trail_to_put_aside(&self) -> Result<Option<PathBuf>, OpsError> {
        let is_empty = self.open_trail().await?.is_empty().await?;
        match self.trail_file() {
            _ if is_empty => Ok(None),
            Some(path) => Ok(Some(path)),
            None => {
                let problem =
                    "rename the tables dualkey_audit and dualkey_audit_head, and make new ones";
                Err(AuditError::Unwritable { problem: problem.to_owned() }.into())
            }
        }
    }

    fn trail_file(&self) -> Option<PathBuf> {
        match &self.inventory.audit.place {
            AuditPlace::File(path) => {
                Some(self.inventory.path(&path.to_string_lossy(), &self.environment))
            }
            AuditPlace::Postgres(_) => None,
        }
    }

    fn trail_with(&self, ring: KeyRing<AuditKey>) -> Result<Arc<dyn Trail>, OpsError> {
        let audit = &self.inventory.audit;
        match &audit.place {
            AuditPlace::File(path) => {
                let path = path.to_string_lossy();
                let trail = FileTrail::new(self.inventory.path(&path, &self.environment), ring);
                Ok(match audit.max_bytes {
                    Some(bytes) => Arc::new(trail.max_bytes(bytes)),
                    None => Arc::new(trail),
                })
            }
            #[cfg(feature = "store-postgres")]
            AuditPlace::Postgres(variable) => {
                let pool = self.pool(variable)?;
                Ok(Arc::new(crate::ops::audit::PostgresTrail::new(pool, ring)))
            }
            #[cfg(not(feature = "store-postgres"))]
            AuditPlace::Postgres(_) => {
                Err(OpsError::Feature { what: "a trail in PostgreSQL", feature: "store-postgres" })
            }
        }
    }
}
