//! An inventory that is open in one environment, with its clock and its variables.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::document::Inventory;
use super::notes::Notes;
use super::secret::SecretSpec;
use crate::clock::{Clock, SystemClock};
use crate::ops::audit::{Action, Record};
use crate::ops::error::OpsError;
use crate::ring::env::{Lookup, process};

/// An inventory, opened: from the names in it to stores and to the trail.
///
/// ```
/// use dualkey::ops::inventory::{Inventory, Project};
///
/// let inventory = Inventory::parse(Inventory::TEMPLATE, "dualkey.toml")?;
/// let project = Project::new(inventory).environment("production")?;
/// assert!(project.store("JWT_SECRET").is_ok());
/// assert!(project.store("GITHUB_DEPLOY_KEY").is_err(), "it is rotated by hand");
/// # Ok::<(), dualkey::ops::OpsError>(())
/// ```
#[derive(Clone)]
pub struct Project {
    pub(super) inventory: Arc<Inventory>,
    pub(super) environment: String,
    pub(super) clock: Arc<dyn Clock>,
    is_clock_given: bool,
    pub(super) lookup: Arc<Lookup>,
    pub(super) with_backup: bool,
    pub(super) notes: Notes,
    #[cfg(feature = "store-postgres")]
    pub(super) pools: Arc<std::sync::Mutex<std::collections::HashMap<String, sqlx::PgPool>>>,
}

impl Project {
    /// `inventory`, in its environment, with the variables of this process.
    #[must_use]
    pub fn new(inventory: Inventory) -> Self {
        Self {
            environment: inventory.environment.clone(),
            inventory: Arc::new(inventory),
            clock: Arc::new(SystemClock),
            is_clock_given: false,
            lookup: Arc::new(process),
            with_backup: false,
            notes: Notes::default(),
            #[cfg(feature = "store-postgres")]
            pools: Arc::default(),
        }
    }

    /// Another environment.
    ///
    /// # Errors
    /// [`OpsError::UnknownEnvironment`] if nothing of the inventory is of it.
    pub fn environment(mut self, environment: &str) -> Result<Self, OpsError> {
        let default = std::iter::once(&self.inventory.environment);
        let all = default.chain(self.inventory.secrets.iter().flat_map(|item| &item.environments));
        let all: BTreeSet<_> = all.cloned().collect();
        if !all.contains(environment) {
            let (environment, environments) = (environment.to_owned(), all.into_iter().collect());
            return Err(OpsError::UnknownEnvironment { environment, environments });
        }
        self.environment = environment.to_owned();
        Ok(self)
    }

    /// Where the time comes from, which records then say. The system's clock unless set.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        (self.clock, self.is_clock_given) = (Arc::new(clock), true);
        self
    }

    /// Where the values of variables come from. The environment of this process unless set.
    #[must_use]
    pub fn variables(
        mut self,
        lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.lookup = Arc::new(move |name| Ok(lookup(name)));
        self
    }

    /// Has `note` called with each sentence on a connection string that has a parameter which is
    /// dropped, or has a limit: once for each, with the variable and without a value.
    #[must_use]
    pub fn on_note(mut self, note: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.notes.set_listener(note);
        self
    }

    /// Keeps a copy of a `.env` file before it is changed.
    #[must_use]
    pub fn backup(mut self) -> Self {
        self.with_backup = true;
        self
    }

    /// What it was opened from.
    #[must_use]
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// The environment that it is open in.
    #[must_use]
    pub fn environment_name(&self) -> &str {
        &self.environment
    }

    /// What its clock shows.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Its clock.
    pub(crate) fn shared_clock(&self) -> SharedClock {
        SharedClock(Arc::clone(&self.clock))
    }

    /// Its clock, if it is not the system's.
    pub(crate) fn given_clock(&self) -> Option<SharedClock> {
        self.is_clock_given.then(|| self.shared_clock())
    }

    /// That `actor` did `action` to the secret `name` now, in this environment.
    pub(crate) fn record(&self, name: &str, action: Action, actor: &str) -> Record {
        let mut record = Record::new(self.now(), name, action, actor, &self.environment);
        record.clock_given = self.is_clock_given;
        record
    }

    /// The secrets of this environment.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretSpec> {
        self.inventory.secrets.iter().filter(|item| item.environments.contains(&self.environment))
    }
}

/// A clock that several share.
#[derive(Debug)]
pub(crate) struct SharedClock(Arc<dyn Clock>);

impl Clock for SharedClock {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

impl fmt::Debug for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Project")
            .field("inventory", &self.inventory.path)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}
