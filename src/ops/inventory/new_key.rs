//! The new keys of a secret: made here, or of a value in the form of the one in use.

use super::secret::SecretSpec;
use super::value_form;
use crate::manifest::NewEntry;
use crate::ops::error::OpsError;
use crate::ops::generate::Generated;
use crate::purpose::Purpose;
use crate::secret::Secret;

impl SecretSpec {
    /// A new key for it: of `value`, or of a new secret where those are made here.
    ///
    /// ```
    /// use dualkey::Secret;
    /// use dualkey::ops::inventory::Inventory;
    ///
    /// let inventory = Inventory::parse(Inventory::TEMPLATE, "dualkey.toml")?;
    /// assert!(inventory.secret("JWT_SECRET")?.new_key(None).is_ok());
    ///
    /// let provider = inventory.secret("ANTHROPIC_API_KEY")?;
    /// assert!(provider.new_key(None).is_err(), "who verifies it makes it");
    /// assert!(provider.new_key(Some(Secret::from("sk-T4nZ8yB1cF6gJ0sD3pA5"))).is_ok());
    /// # Ok::<(), dualkey::ops::OpsError>(())
    /// ```
    ///
    /// # Errors
    /// [`OpsError::NoValue`] if its values are [made elsewhere](Purpose::is_made_elsewhere);
    /// [`OpsError::Value`] if they are URLs, and `value` is none;
    /// [`Error::Random`](crate::Error::Random).
    pub fn new_key(&self, value: Option<Secret>) -> Result<NewEntry, OpsError> {
        let new = match (value, self.purpose) {
            (Some(value), _) => {
                self.check_value(value.expose(), None)?;
                NewEntry::new(value).label(&self.name)
            }
            (None, Purpose::Webhook) => return Err(self.no_value("signs with them")),
            (None, purpose) if purpose.is_made_elsewhere() => {
                return Err(self.no_value("verifies them"));
            }
            (None, purpose) => Generated::new(purpose)?.entry(),
        };
        Ok(match &self.algorithm {
            Some(algorithm) => new.algorithm(algorithm),
            None => new,
        })
    }

    /// Fails, unless `value` has the form of its values, of which `in_use` is one.
    pub(crate) fn check_value(&self, value: &[u8], in_use: Option<&[u8]>) -> Result<(), OpsError> {
        match value_form::problem(self, value, in_use) {
            None => Ok(()),
            Some(problem) => Err(OpsError::Value {
                problem: format!(
                    "{problem}; set `form = \"text\"` for `{}` in the inventory if its values are no \
                     URLs",
                    self.name
                ),
                name: self.name.clone(),
            }),
        }
    }

    fn no_value(&self, by: &'static str) -> OpsError {
        OpsError::NoValue { name: self.name.clone(), by }
    }

    /// The command `start`, with the value that it takes.
    pub(crate) fn command(&self, start: &str) -> String {
        let value = if self.purpose.is_made_elsewhere() { " --value-from FILE" } else { "" };
        format!("dualkey {start}{value}")
    }

    /// Fails, unless it is of `environment`.
    pub(crate) fn check_environment(&self, environment: &str) -> Result<(), OpsError> {
        if self.environments.iter().any(|name| name == environment) {
            return Ok(());
        }
        Err(OpsError::OtherEnvironment {
            name: self.name.clone(),
            environment: environment.to_owned(),
            environments: self.environments.clone(),
        })
    }
}
