//! Errors of the library in an operator's terms: with the command to type or the setting to write.

use super::secret::{Place, SecretSpec};
use crate::error::Error;
use crate::ops::error::OpsError;
use crate::ops::recognise::Shortfall;
use crate::source::StoreError;

impl SecretSpec {
    /// The error with the remedy for this secret, where it has one that the library does not know.
    pub(crate) fn explain(&self, error: impl Into<OpsError>) -> OpsError {
        let error = error.into();
        match &error {
            OpsError::Store(StoreError::Missing { .. }) => self.has_no_keys(),
            OpsError::Store(StoreError::Conflict { expected: 0, .. }) => OpsError::HasKeys {
                secret: self.name.clone(),
                command: self.command(&format!("rotate {}", self.name)),
            },
            OpsError::Refused(source) | OpsError::Store(StoreError::Refused(source)) => {
                self.too_short(source).unwrap_or(error)
            }
            OpsError::Store(StoreError::Manifest { source, .. }) => {
                self.too_short(source).unwrap_or(error)
            }
            _ => error,
        }
    }

    fn has_no_keys(&self) -> OpsError {
        OpsError::HasNoKeys {
            secret: self.name.clone(),
            file: match &self.store {
                Place::Dotenv(path) => Some(path.clone()),
                _ => None,
            },
            command: self.command(&format!("generate {} --store", self.name)),
        }
    }

    /// The refusal of a secret that is too short, with the setting that admits it.
    fn too_short(&self, error: &Error) -> Option<OpsError> {
        let Error::ShortSecret { key, length, minimum, .. } = error else { return None };
        let name = &self.name;
        let setting =
            Shortfall::for_length(self.purpose, self.algorithm.as_deref(), *length).setting()?;
        // A `.env` file keeps no policy of its own.
        let then = match self.store {
            Place::Dotenv(_) => String::new(),
            _ => format!(" and run `dualkey policy {name}`"),
        };
        let what = if key == name { "it".to_owned() } else { format!("`{key}`") };
        let problem = format!(
            "{what} has {length} bytes, and the minimum is {minimum}; make a longer one with `{}`, or \
             add `{setting}` to `{name}` in the inventory{then}",
            self.purpose.generate()
        );
        Some(OpsError::Value { name: name.clone(), problem })
    }
}
