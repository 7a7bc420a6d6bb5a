//! The environment as a store: read, and never written.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use super::env::{Found, Lookup, NotUnicode, process, read};
use super::error::StoreError;
use super::store::{KeyStore, StoreFuture};
use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::key::KeyMaterial;
use crate::manifest::{Manifest, NewEntry};
use crate::ring::Policy;
use crate::secret::Secret;

/// The manifest that the environment variables around a name make, by the convention of
/// [`mod@super::env`].
///
/// It is read-only: a change is a change of the variables. Those of a process stay as they
/// are, so this store is for who wants one way for all, or for a lookup of your own whose
/// answers change, as a `.env` file that is read again: what it holds from then on is the
/// next revision.
///
/// ```
/// use dualkey::KeyRing;
/// use dualkey::jwt::JwtKey;
/// use dualkey::source::EnvStore;
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
///     .environment("production")
///     .follow(store)
///     .spawn_thread()?;
///
/// vars.lock().unwrap().insert("JWT_SECRET_NEXT".to_owned(), new);
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
    last: Mutex<Option<Manifest>>,
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
        lookup: impl Fn(&str) -> Result<Option<String>, NotUnicode> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            environment: environment.to_owned(),
            lookup: Arc::new(lookup),
            policy: Policy::default(),
            clock: Arc::new(SystemClock),
            last: Mutex::new(None),
            of: PhantomData,
        }
    }

    /// What the keys live by. The default of a [`Policy`] unless set.
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

    fn manifest(&self) -> Result<Manifest, StoreError> {
        let found = read(K::PURPOSE, &self.name, &*self.lookup)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let next = match &*last {
            None => self.first(found, now)?,
            Some(last) => last.with_found(&found.signing, found.next.as_ref(), now)?,
        };
        *last = Some(next.clone());
        Ok(next)
    }

    fn first(&self, found: Found, now: std::time::SystemTime) -> Result<Manifest, Error> {
        let mut signing = found.signing.into_iter();
        let Some((variable, primary)) = signing.next() else {
            let mend = format!("set {} to a random secret", self.name);
            return Err(Error::NoPrimary { ring: self.name.clone(), mend });
        };
        let mut manifest = Manifest::new(
            &self.name,
            K::PURPOSE,
            &self.environment,
            self.policy,
            labelled(&variable, primary),
            now,
        )?;
        for (variable, secret) in signing {
            manifest = manifest.with_fallback(labelled(&variable, secret), now)?;
        }
        match found.next {
            Some((variable, secret)) => {
                Ok(manifest.stage(labelled(&variable, secret), now)?.manifest)
            }
            None => Ok(manifest),
        }
    }
}

/// A key that errors call by its variable.
fn labelled(variable: &str, secret: Secret) -> NewEntry {
    NewEntry::new(secret).label(variable)
}

impl<K: KeyMaterial> KeyStore for EnvStore<K> {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(async { self.manifest() })
    }

    fn compare_and_swap<'a>(&'a self, _: u64, _: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(async {
            let mend = "set the new secret as _NEXT, and as _NEW once every instance has it";
            Err(StoreError::ReadOnly { store: self.name.clone(), mend })
        })
    }
}

impl<K> fmt::Debug for EnvStore<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvStore").field("name", &self.name).finish_non_exhaustive()
    }
}
