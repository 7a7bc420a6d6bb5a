//! The check that a store holds the keys of one secret in one environment.

use crate::manifest::Manifest;
use crate::purpose::Purpose;
use crate::source::StoreError;

use super::checked_store::ManifestCheck;

/// Refuses the manifest of another secret, environment or purpose: a file may have been copied or moved
/// into its place.
pub(super) struct IdentityCheck {
    pub(super) name: String,
    pub(super) environment: String,
    pub(super) purpose: Purpose,
}

impl ManifestCheck for IdentityCheck {
    fn check(&self, manifest: &Manifest) -> Result<(), StoreError> {
        Ok(manifest.check_is(&self.name, &self.environment, self.purpose)?)
    }
}
