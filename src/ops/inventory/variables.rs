//! The variables of a project, and what they name: values, the ring that seals manifests, and
//! databases.

use super::project::Project;
use crate::envelope::AesKey;
use crate::error::Error;
use crate::ops::error::OpsError;
#[cfg(any(feature = "store-postgres", feature = "rewrap-postgres"))]
use crate::postgres::ConnectionString;
#[cfg(feature = "store-postgres")]
use crate::postgres::ConnectionStringError;
use crate::ring::KeyRing;
use crate::ring::env::LookupError;

impl Project {
    /// The value of a variable, if it is set and not empty.
    ///
    /// # Errors
    /// [`Error::NotUnicode`]: a lookup that fails is no absence.
    pub(crate) fn value(&self, variable: &str) -> Result<Option<String>, Error> {
        let found = (self.lookup)(variable);
        let found = found.map_err(|error| error.for_variable(variable.to_owned()));
        Ok(found?.filter(|value| !value.is_empty()))
    }

    /// The same, with the error of a lookup.
    pub(crate) fn lookup(&self, variable: &str) -> Result<Option<String>, LookupError> {
        (self.lookup)(variable)
    }

    /// The value of a variable that the inventory names.
    pub(crate) fn variable(&self, what: &'static str, variable: &str) -> Result<String, OpsError> {
        self.value(variable)?
            .ok_or_else(|| OpsError::Variable { what, variable: variable.to_owned() })
    }

    /// The ring that manifests are sealed under.
    pub(super) fn kek(&self) -> Result<KeyRing<AesKey>, OpsError> {
        let name = self.inventory.kek.as_deref().unwrap_or("DUALKEY_KEK");
        let lookup = |variable: &str| (self.lookup)(variable);
        Ok(KeyRing::builder().vars(name, lookup).build()?)
    }

    /// The connection string `text` of a variable, with its notes passed on.
    #[cfg(any(feature = "store-postgres", feature = "rewrap-postgres"))]
    pub(crate) fn connection_string(
        &self,
        variable: &str,
        text: &str,
    ) -> Result<ConnectionString, OpsError> {
        let connection = ConnectionString::parse(text).map_err(|error| OpsError::DatabaseUrl {
            variable: variable.to_owned(),
            problem: error.to_string(),
        })?;
        for note in connection.notes() {
            self.notes.pass(format!("{variable}: {note}"));
        }
        Ok(connection)
    }

    /// The pool of the database whose URL is in `variable`, opened once.
    #[cfg(feature = "store-postgres")]
    pub(super) fn pool(&self, variable: &str) -> Result<sqlx::PgPool, OpsError> {
        let wrong = |error: ConnectionStringError| OpsError::DatabaseUrl {
            variable: variable.to_owned(),
            problem: error.to_string(),
        };
        let url = self.variable("the URL of a database", variable)?;
        let url = self.connection_string(variable, &url)?;
        let mut pools = self.pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(pool) = pools.get(variable) {
            return Ok(pool.clone());
        }
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(std::time::Duration::from_secs(5))
            .connect_lazy_with(url.connect_options().map_err(wrong)?);
        pools.insert(variable.to_owned(), pool.clone());
        Ok(pool)
    }
}
