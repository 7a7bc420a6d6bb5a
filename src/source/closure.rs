//! Whatever client you have, as a store: two closures.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::codec::Codec;
use super::error::StoreError;
use super::store::{KeyStore, StoreFuture};
#[cfg(feature = "envelope")]
use crate::envelope::AesKey;
use crate::manifest::Manifest;
#[cfg(feature = "envelope")]
use crate::ring::KeyRing;
use crate::secret::Secret;

type ClientError = Box<dyn StdError + Send + Sync>;
type Future<T> =
    std::pin::Pin<Box<dyn std::future::Future<Output = Result<T, ClientError>> + Send>>;
type LoadFn = dyn Fn() -> Future<Option<Secret>> + Send + Sync;
type StoreFn = dyn Fn(u64, Secret) -> Future<bool> + Send + Sync;

/// A store behind a client of yours: one closure that loads the text of the manifest and, if
/// it can be written, one that stores it.
///
/// HashiCorp Vault, KV version 2, whose check-and-set counts as revisions do:
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dualkey::source::ClosureStore;
/// use dualkey::{Secret};
/// use std::sync::Arc;
/// use vaultrs::api::kv2::requests::SetSecretRequestOptions;
/// use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
/// use vaultrs::error::ClientError;
/// use vaultrs::kv2;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Stored {
///     manifest: String,
/// }
///
/// let settings = VaultClientSettingsBuilder::default().address("https://vault:8200").build()?;
/// let vault = Arc::new(VaultClient::new(settings)?);
/// let reader = Arc::clone(&vault);
/// let store = ClosureStore::new("vault secret/jwt", move || {
///     let vault = Arc::clone(&reader);
///     async move {
///         match kv2::read::<Stored>(&*vault, "secret", "jwt").await {
///             Ok(stored) => Ok(Some(Secret::from(stored.manifest))),
///             Err(ClientError::APIError { code: 404, .. }) => Ok(None),
///             Err(error) => Err(error.into()),
///         }
///     }
/// })
/// .writes(move |expected, text| {
///     let vault = Arc::clone(&vault);
///     async move {
///         let stored = Stored { manifest: String::from_utf8(text.expose().to_vec())? };
///         let options = SetSecretRequestOptions { cas: expected.try_into()? };
///         match kv2::set_with_options(&*vault, "secret", "jwt", &stored, options).await {
///             Ok(_) => Ok(true),
///             // "check-and-set parameter did not match the current version"
///             Err(ClientError::APIError { code: 400, .. }) => Ok(false),
///             Err(error) => Err(error.into()),
///         }
///     }
/// });
/// # Ok(())
/// # }
/// ```
///
/// AWS Secrets Manager has no check-and-set: what it stores last is there. So it is read
/// here, and written only where no other writer runs at the same time.
///
/// ```no_run
/// # async fn run() {
/// use aws_sdk_secretsmanager::Client;
/// use dualkey::Secret;
/// use dualkey::source::ClosureStore;
///
/// # let config = aws_sdk_secretsmanager::Config::builder().build();
/// let client = Client::from_conf(config); // as `aws-config` loads it
/// let store = ClosureStore::new("secretsmanager jwt", move || {
///     let request = client.get_secret_value().secret_id("production/jwt");
///     async move {
///         match request.send().await {
///             Ok(answer) => Ok(answer.secret_string.map(Secret::from)),
///             Err(error) if error.as_service_error()
///                 .is_some_and(|error| error.is_resource_not_found_exception()) => Ok(None),
///             Err(error) => Err(error.into()),
///         }
///     }
/// });
/// # }
/// ```
///
/// The text of a client's error is reported to the observer and appears in
/// [`Health`](super::Health): make sure that it has no secret.
#[derive(Clone)]
pub struct ClosureStore {
    name: String,
    load: Arc<LoadFn>,
    store: Option<Arc<StoreFn>>,
    codec: Codec,
}

impl ClosureStore {
    /// A store that errors call `name`, and that `load` reads: the text of the manifest, or
    /// `None` if there is nothing.
    pub fn new<F>(name: &str, load: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: std::future::Future<Output = Result<Option<Secret>, ClientError>> + Send + 'static,
    {
        Self {
            name: name.to_owned(),
            load: Arc::new(move || Box::pin(load())),
            store: None,
            codec: Codec::default(),
        }
    }

    /// Writes with `store`, which is given the revision that must be there (0: nothing) and
    /// the new text, and says whether it was: `false`, and nothing must have changed.
    #[must_use]
    pub fn writes<F>(mut self, store: impl Fn(u64, Secret) -> F + Send + Sync + 'static) -> Self
    where
        F: std::future::Future<Output = Result<bool, ClientError>> + Send + 'static,
    {
        self.store = Some(Arc::new(move |expected, text| Box::pin(store(expected, text))));
        self
    }

    /// Seals the manifest of `ring` in `environment` under the primary of `kek`, and takes none
    /// that is not sealed, or is sealed for another ring or environment: as
    /// [`FileStore::sealed`](super::FileStore::sealed).
    #[cfg(feature = "envelope")]
    #[must_use]
    pub fn sealed(mut self, kek: KeyRing<AesKey>, ring: &str, environment: &str) -> Self {
        self.codec = Codec::sealed(kek, ring, environment);
        self
    }

    fn client_error(&self, source: ClientError) -> StoreError {
        StoreError::Client { store: self.name.clone(), source }
    }
}

impl KeyStore for ClosureStore {
    fn load(&self) -> StoreFuture<'_, Manifest> {
        Box::pin(async {
            let text = (self.load)().await.map_err(|source| self.client_error(source))?;
            let text = text.ok_or_else(|| StoreError::Missing { store: self.name.clone() })?;
            self.codec.decode(text.expose(), &self.name)
        })
    }

    fn compare_and_swap<'a>(&'a self, expected: u64, next: &'a Manifest) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let store = self.name.clone();
            let Some(write) = &self.store else {
                let remedy = "give it a closure that writes, with `writes`";
                return Err(StoreError::ReadOnly { store, remedy });
            };
            let text = self.codec.encode(next, &store)?;
            if write(expected, text).await.map_err(|source| self.client_error(source))? {
                return Ok(());
            }
            let found = match self.load().await {
                Ok(current) => current.revision(),
                Err(StoreError::Missing { .. }) => 0,
                Err(error) => return Err(error),
            };
            Err(StoreError::Conflict { store, expected, found })
        })
    }
}

impl fmt::Debug for ClosureStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClosureStore").field("name", &self.name).finish_non_exhaustive()
    }
}
