//! The inventory, opened: its stores and its trail, in one environment.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use super::own::Own;
use super::same::Same;
use super::{AuditPlace, Inventory, Item, Place};
use crate::clock::{Clock, SystemClock};
use crate::envelope::AesKey;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::ops::address::is_apart;
use crate::ops::audit::{
    Action, AuditError, AuditKey, FileTrail, Problem, Record, Trail, Verification,
};
use crate::ops::error::OpsError;
#[cfg(any(feature = "postgres", feature = "sqlx-postgres"))]
use crate::postgres::{ConnectionString, ConnectionStringError};
use crate::purpose::Purpose;
use crate::ring::KeyRing;
use crate::ring::env::{NotUnicode, process};
use crate::source::{DotenvStore, FileStore, KeyStore, StoreError};

/// Answers with the value of a variable.
type Lookup = dyn Fn(&str) -> Result<Option<String>, NotUnicode> + Send + Sync;

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
    inventory: Arc<Inventory>,
    environment: String,
    clock: Arc<dyn Clock>,
    is_clock_given: bool,
    lookup: Arc<Lookup>,
    with_backup: bool,
    notes: Notes,
    #[cfg(feature = "postgres")]
    pools: Arc<Mutex<std::collections::HashMap<String, sqlx::PgPool>>>,
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
            #[cfg(feature = "postgres")]
            pools: Arc::default(),
        }
    }

    /// Another environment.
    ///
    /// # Errors
    /// [`OpsError::UnknownEnvironment`] if nothing of the inventory is of it.
    pub fn environment(mut self, environment: &str) -> Result<Self, OpsError> {
        let own = std::iter::once(&self.inventory.environment);
        let all = own.chain(self.inventory.secrets.iter().flat_map(|item| &item.environments));
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
        self.notes.told = Some(Arc::new(note));
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
    pub(crate) fn shared_clock(&self) -> Shared {
        Shared(Arc::clone(&self.clock))
    }

    /// Its clock, if it is not the system's.
    pub(crate) fn given_clock(&self) -> Option<Shared> {
        self.is_clock_given.then(|| self.shared_clock())
    }

    /// That `actor` did `action` to the secret `name` now, in this environment.
    pub(crate) fn record(&self, name: &str, action: Action, actor: &str) -> Record {
        let mut record = Record::new(self.now(), name, action, actor, &self.environment);
        record.clock_given = self.is_clock_given;
        record
    }

    /// The secrets of this environment.
    pub fn secrets(&self) -> impl Iterator<Item = &Item> {
        self.inventory.secrets.iter().filter(|item| item.environments.contains(&self.environment))
    }

    /// The store of the secret `name`.
    ///
    /// # Errors
    /// [`OpsError::UnknownSecret`], [`OpsError::OtherEnvironment`], [`OpsError::Manual`], or
    /// [`OpsError::Variable`] if it needs one that is not set.
    pub fn store(&self, name: &str) -> Result<Arc<dyn KeyStore>, OpsError> {
        self.store_in(self.inventory.secret(name)?, &self.environment)
    }

    pub(crate) fn store_in(
        &self,
        item: &Item,
        environment: &str,
    ) -> Result<Arc<dyn KeyStore>, OpsError> {
        item.check_environment(environment)?;
        let (store, variables) = self.any_store_in(item, environment)?;
        // A credential names one database, unless the inventory says otherwise.
        Ok(match item.purpose == Purpose::Credential && !item.other_databases {
            true => Arc::new(Same {
                store,
                item: item.clone(),
                clock: Arc::clone(&self.clock),
                variables,
            }),
            false => store,
        })
    }

    /// The store, and the `.env` file if it is one.
    fn any_store_in(
        &self,
        item: &Item,
        environment: &str,
    ) -> Result<(Arc<dyn KeyStore>, Option<DotenvStore>), OpsError> {
        match &item.store {
            Place::File { path, sealed } => {
                let store = FileStore::new(self.inventory.path(path, environment));
                let store: Arc<dyn KeyStore> = match sealed {
                    true => Arc::new(store.sealed(self.kek()?, &item.name, environment)),
                    false => Arc::new(store),
                };
                let (name, environment) = (item.name.clone(), environment.to_owned());
                let own = Own { store, name, environment, purpose: item.purpose };
                Ok((Arc::new(own), None))
            }
            Place::Dotenv(path) => {
                let path = self.inventory.path(path, environment);
                let store = DotenvStore::new(path, &item.name, item.purpose, environment)
                    .policy(item.policy)
                    .clock(self.shared_clock());
                let store = if self.with_backup { store.backup() } else { store };
                let store = if item.other_databases { store.keeping(is_apart) } else { store };
                Ok((Arc::new(store.clone()), Some(store)))
            }
            #[cfg(feature = "postgres")]
            Place::Postgres(variable) => {
                let pool = self.pool(variable)?;
                let kek = self.kek()?;
                let store = crate::source::PostgresStore::new(pool, &item.name, environment, kek);
                Ok((Arc::new(store), None))
            }
            #[cfg(not(feature = "postgres"))]
            Place::Postgres(_) => {
                Err(OpsError::Feature { what: "a store in PostgreSQL", feature: "postgres" })
            }
            Place::Manual(place) => {
                Err(OpsError::Manual { name: item.name.clone(), place: place.clone() })
            }
        }
    }

    /// The audit trail, signed by its secret as its store holds it now.
    ///
    /// # Errors
    /// As for [`store`](Self::store); [`OpsError::NoAuditKey`] where there is no such key yet;
    /// [`AuditError::Broken`] with [`Problem::Missing`] if the trail has no record, although a
    /// store of the inventory holds what a step made.
    pub async fn trail(&self) -> Result<Arc<dyn Trail>, OpsError> {
        let trail = self.open_trail().await?;
        match trail.is_empty().await? && self.has_steps().await {
            true => Err(AuditError::Broken { problem: Problem::Missing }.into()),
            false => Ok(trail),
        }
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
        let is_of_trail = |own: &&String| !is_of_one || **own == self.environment;
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
            #[cfg(feature = "postgres")]
            AuditPlace::Postgres(variable) => {
                let pool = self.pool(variable)?;
                Ok(Arc::new(crate::ops::audit::PostgresTrail::new(pool, ring)))
            }
            #[cfg(not(feature = "postgres"))]
            AuditPlace::Postgres(_) => {
                Err(OpsError::Feature { what: "a trail in PostgreSQL", feature: "postgres" })
            }
        }
    }

    /// The value of a variable, if it is set and not empty.
    ///
    /// # Errors
    /// [`Error::NotUnicode`]: a lookup that fails is no absence.
    pub(crate) fn value(&self, variable: &str) -> Result<Option<String>, Error> {
        let found = (self.lookup)(variable);
        let found = found.map_err(|NotUnicode| Error::NotUnicode { variable: variable.to_owned() });
        Ok(found?.filter(|value| !value.is_empty()))
    }

    /// The same, with the error of a lookup.
    pub(crate) fn lookup(&self, variable: &str) -> Result<Option<String>, NotUnicode> {
        (self.lookup)(variable)
    }

    /// The value of a variable that the inventory names.
    pub(crate) fn variable(&self, what: &'static str, variable: &str) -> Result<String, OpsError> {
        self.value(variable)?
            .ok_or_else(|| OpsError::Variable { what, variable: variable.to_owned() })
    }

    /// The ring that manifests are sealed under.
    fn kek(&self) -> Result<KeyRing<AesKey>, OpsError> {
        let name = self.inventory.kek.as_deref().unwrap_or("DUALKEY_KEK");
        let lookup = |variable: &str| (self.lookup)(variable);
        Ok(KeyRing::builder().vars(name, lookup).build()?)
    }

    /// The connection string `text` of a variable, with its notes passed on.
    #[cfg(any(feature = "postgres", feature = "sqlx-postgres"))]
    pub(crate) fn connection_string(
        &self,
        variable: &str,
        text: &str,
    ) -> Result<ConnectionString, OpsError> {
        let own = ConnectionString::parse(text).map_err(|error| OpsError::DatabaseUrl {
            variable: variable.to_owned(),
            problem: error.to_string(),
        })?;
        for note in own.notes() {
            self.notes.pass(format!("{variable}: {note}"));
        }
        Ok(own)
    }

    #[cfg(feature = "postgres")]
    fn pool(&self, variable: &str) -> Result<sqlx::PgPool, OpsError> {
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

/// Takes a sentence for the operator.
type Note = dyn Fn(&str) + Send + Sync;

/// Sentences for the operator, each passed on once.
#[derive(Clone, Default)]
struct Notes {
    told: Option<Arc<Note>>,
    seen: Arc<Mutex<BTreeSet<String>>>,
}

impl Notes {
    #[cfg(any(feature = "postgres", feature = "sqlx-postgres"))]
    fn pass(&self, note: String) {
        let Some(told) = &self.told else { return };
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !seen.contains(&note) {
            told(&note);
            seen.insert(note);
        }
    }
}

/// A clock that several share.
#[derive(Debug)]
pub(crate) struct Shared(Arc<dyn Clock>);

impl Clock for Shared {
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
