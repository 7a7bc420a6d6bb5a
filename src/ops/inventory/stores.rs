//! The stores of a project, each of which holds what the inventory says.

use std::sync::Arc;

use super::checked_store::CheckedStore;
use super::database_check::DatabaseCheck;
use super::identity_check::IdentityCheck;
use super::project::Project;
use super::secret::{Place, SecretSpec};
use crate::ops::address::is_apart;
use crate::ops::error::OpsError;
use crate::purpose::Purpose;
use crate::source::{DotenvStore, FileStore, KeyStore};

impl Project {
    /// The store of the secret `name`.
    ///
    /// # Errors
    /// [`OpsError::UnknownSecret`], [`OpsError::OtherEnvironment`], [`OpsError::Manual`], or
    /// [`OpsError::Variable`] if it needs one that is not set.
    pub fn store(&self, name: &str) -> Result<Arc<dyn KeyStore>, OpsError> {
        self.store_in(self.inventory.secret(name)?, &self.environment)
    }

    /// The store of `item` in `environment`.
    ///
    /// # Errors
    /// As for [`store`](Self::store).
    pub(crate) fn store_in(
        &self,
        item: &SecretSpec,
        environment: &str,
    ) -> Result<Arc<dyn KeyStore>, OpsError> {
        item.check_environment(environment)?;
        let (store, variables) = self.open_store(item, environment)?;
        // A credential names one database, unless the inventory says otherwise.
        if item.purpose != Purpose::Credential || item.other_databases {
            return Ok(store);
        }
        let (item, clock) = (item.clone(), Arc::clone(&self.clock));
        Ok(Arc::new(CheckedStore { store, check: DatabaseCheck { item, clock, variables } }))
    }

    /// The store, and the `.env` file if it is one.
    fn open_store(
        &self,
        item: &SecretSpec,
        environment: &str,
    ) -> Result<(Arc<dyn KeyStore>, Option<DotenvStore>), OpsError> {
        match &item.store {
            Place::File { path, sealed } => {
                let store = FileStore::new(self.inventory.path(path, environment));
                let store: Arc<dyn KeyStore> = if *sealed {
                    Arc::new(store.sealed(self.kek()?, &item.name, environment))
                } else {
                    Arc::new(store)
                };
                let (name, environment) = (item.name.clone(), environment.to_owned());
                let check = IdentityCheck { name, environment, purpose: item.purpose };
                Ok((Arc::new(CheckedStore { store, check }), None))
            }
            Place::Dotenv(path) => {
                let path = self.inventory.path(path, environment);
                let store = DotenvStore::new(path, &item.name, item.purpose, environment)
                    .policy(item.policy)
                    .clock(self.shared_clock());
                let store = if self.with_backup { store.backup() } else { store };
                let store =
                    if item.other_databases { store.keep_variable_if(is_apart) } else { store };
                Ok((Arc::new(store.clone()), Some(store)))
            }
            #[cfg(feature = "store-postgres")]
            Place::Postgres(variable) => {
                let pool = self.pool(variable)?;
                let kek = self.kek()?;
                let store = crate::source::PostgresStore::new(pool, &item.name, environment, kek);
                Ok((Arc::new(store), None))
            }
            #[cfg(not(feature = "store-postgres"))]
            Place::Postgres(_) => {
                Err(OpsError::Feature { what: "a store in PostgreSQL", feature: "store-postgres" })
            }
            Place::Manual(place) => {
                Err(OpsError::Manual { name: item.name.clone(), place: place.clone() })
            }
        }
    }
}
