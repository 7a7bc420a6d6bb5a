//! The environment as a store: read, and never written.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::error::StoreError;
use super::reading::{FirstManifest, Memory, ReadingDigest, Readings};
use super::store::{KeyStore, StoreFuture};
use crate::clock::{Clock, SystemClock};
use crate::lifecycle::Policy;
use crate::manifest::Manifest;
use crate::ring::KeyMaterial;
use crate::ring::env::{EnvSecrets, Lookup, LookupError, process, read};

/// The manifest that the environment variables around a name make, by the convention of
/// [`ring::env`](crate::ring::env).
///
/// It is read-only: a change is a change of the variables. Those of a process stay as they
/// are, so this store is for a service that wants one way for all rings, or for a lookup of your own
/// whose answers change, as a `.env` file that is read again.
///
/// The first reading counts. A changed one counts when the next reading is the same, because
/// the first may show half of an edit; until then [`load`](KeyStore::load) returns
/// [`StoreError::Unconfirmed`]. What counts is the next revision, which never goes back. Clones
/// share what was read.
///
/// The environment keeps no record: a restart loses what was revoked in memory.
///
/// ```
/// use dualkey::KeyRing;
/// use dualkey::jwt::JwtKey;
/// use dualkey::source::{EnvStore, KeyStore, StoreError};
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
///
/// # let (old, new) = ("Nf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5KiNf0Vg6Jc3Ds8Pw1Ra4Tb7Yx2Zq9Ml5Ki".to_owned(),
/// #     "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU".to_owned());
/// let vars = Arc::new(Mutex::new(HashMap::from([("JWT_SECRET".to_owned(), old)])));
/// let lookup = Arc::clone(&vars);
/// let store = EnvStore::<JwtKey>::vars("JWT_SECRET", "production", move |name| {
///     Ok(lookup.lock().unwrap().get(name).cloned())
/// });
/// let following = KeyRing::<JwtKey>::builder()
///     .name("JWT_SECRET")
///     .environment("production")
///     .follow(store.clone())
///     .on_demand()?;
///
/// vars.lock().unwrap().insert("JWT_SECRET_NEXT".to_owned(), new);
/// // Seen once, it may be half of an edit.
/// let once = pollster::block_on(store.load());
/// assert!(matches!(once, Err(StoreError::Unconfirmed { .. })));
/// following.refresh()?;
/// assert_eq!(following.ring().keys().len(), 2);
/// # Ok::<(), dualkey::source::StoreError>(())
/// ```
pub struct EnvStore<K> {
    name: String,
    environment: String,
    lookup: Arc<Lookup>,
    policy: Policy,
    clock: Arc<dyn Clock>,
    readings: Readings,
    of: PhantomData<fn() -> K>,
}

impl<K: KeyMaterial> EnvStore<K> {
    /// The variables around `name` of this process, as a manifest of `environment`.
    #[must_use]
    pub fn new(name: &str, environment: &str) -> Self {
        Self::vars(name, environment, process)
    }

    /// The same, with a lookup of your own.
    #[must_use]
    pub fn vars(
        name: &str,
        environment: &str,
        lookup: impl Fn(&str) -> Result<Option<String>, LookupError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            environment: environment.to_owned(),
            lookup: Arc::new(lookup),
            policy: Policy::default(),
            clock: Arc::new(SystemClock),
            readings: Readings::default(),
            of: PhantomData,
        }
    }

    /// Sets the policy of the keys. The default of a [`Policy`] unless set.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Where the time comes from at which a change is seen. The system's clock unless set.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    fn read(&self) -> Result<Manifest, StoreError> {
        let mut memory = self.readings.lock();
        let taken = read(K::PURPOSE, &self.name, &*self.lookup)
            .map_err(StoreError::from)
            .and_then(|found| Ok((self.take(&mut memory, &found)?, found)));
        if taken.is_err() {
            memory.drop_pending();
        }
        let (manifest, found) = taken?;
        let manifest =
            manifest.ok_or_else(|| StoreError::Unconfirmed { store: self.name.clone() })?;
        Ok(manifest.with_variables(found.all(), found.warnings.clone()))
    }

    /// The manifest that is accepted now; none, if the reading does not count yet.
    fn take(
        &self,
        memory: &mut Memory,
        found: &EnvSecrets,
    ) -> Result<Option<Manifest>, StoreError> {
        let digest = ReadingDigest::new(found, None);
        if let Some(manifest) = memory.recall(&digest) {
            return Ok(Some(manifest));
        }
        let now = self.clock.now();
        let next = match memory.accepted() {
            Some(held) => held.with_found(&found.signing, found.next.as_ref(), now)?,
            None => self.first().build_manifest(found, now)?,
        };
        Ok(memory.take(digest, next, false))
    }

    fn first(&self) -> FirstManifest<'_> {
        FirstManifest {
            ring: &self.name,
            purpose: K::PURPOSE,
            environment: &self.environment,
            policy: self.policy,
            algorithm: None,
        }
    }
}

impl<K> Clone for EnvStore<K> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            environment: self.environment.clone(),
            lookup: Arc::clone(&self.lookup),
            policy: self.policy,
            clock: Arc::clone(&self.clock),
            readings: self.readings.clone(),
            of: PhantomData,
        }
    }
}

impl<K: KeyMaterial> KeyStore for EnvStore<K> {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(async { self.read() })
    }

    fn compare_and_swap<'a>(&'a self, _: u64, _: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(async {
            let remedy = "set the new secret as _NEXT, and as _NEW once every instance has it";
            Err(StoreError::ReadOnly { store: self.name.clone(), remedy })
        })
    }

    fn has_steps(&self, _: &Manifest) -> bool {
        false
    }
}

impl<K> fmt::Debug for EnvStore<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvStore").field("name", &self.name).finish_non_exhaustive()
    }
}
