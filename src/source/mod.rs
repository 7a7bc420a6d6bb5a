//! Where keys come from, and how a ring learns that they have changed.
//!
//! [`ring::env`](crate::ring::env) reads the process's environment, or any other lookup of names, by the
//! convention of `.env` files: `X_NEW`, `X`, `X_OLD`, `X_BACKUP`, `X_NEXT`.
//!
//! With the feature `store`, a [`Manifest`](crate::manifest::Manifest) lives in a
//! [`KeyStore`]: a [`FileStore`], an [`EnvStore`], a `PostgresStore` (feature `store-postgres`), or
//! a client of yours behind a [`ClosureStore`]. A ring [follows](crate::RingBuilder::follow) its store while the service
//! runs.
//!
//! ```
//! # #[cfg(feature = "store")] {
//! use dualkey::manifest::{Manifest, NewEntry};
//! use dualkey::source::{FileStore, KeyStore, update};
//! use dualkey::{KeyRing, Policy, Purpose};
//! use dualkey::cookie::{CookieKey, CookieSigner};
//! use std::time::SystemTime;
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("session.json");
//! // Once, by an operator:
//! let store = FileStore::new(&path);
//! let key = NewEntry::generate(Purpose::Cookie)?;
//! let now = SystemTime::now();
//! let first = Manifest::new("SESSION_SECRET", Purpose::Cookie, "production", Policy::default(), key, now)?;
//! # pollster::block_on(async {
//! store.compare_and_swap(0, &first).await?;
//! # Ok::<_, dualkey::source::StoreError>(()) })?;
//!
//! // In every instance of the service:
//! let following = KeyRing::<CookieKey>::builder()
//!     .name("SESSION_SECRET")
//!     .environment("production")
//!     .follow(FileStore::new(&path))
//!     .spawn_thread()?;
//! let signer = CookieSigner::new(following.ring().clone());
//! let value = signer.sign("session", "user-42")?;
//!
//! // A new key, by an operator; the instances learn of it while they run.
//! # pollster::block_on(async {
//! let new = NewEntry::generate(Purpose::Cookie)?;
//! update(&store, |manifest| manifest.stage(new.clone(), SystemTime::now())).await?;
//! # Ok::<_, dualkey::source::StoreError>(()) })?;
//! following.refresh()?;
//! assert_eq!(following.ring().keys().len(), 2);
//! assert!(signer.verify("session", &value).is_ok());
//! # }
//! # Ok::<(), dualkey::source::StoreError>(())
//! ```

mod closure;
mod codec;
pub(crate) mod disk;
pub(crate) mod dotenv;
mod env_store;
mod error;
mod file;
pub(crate) mod follow;
#[cfg(feature = "store-postgres")]
mod postgres;
pub(crate) mod reading;
pub(crate) mod store;
#[cfg(feature = "notify")]
mod watch;

pub use closure::ClosureStore;
pub use dotenv::DotenvStore;
pub use env_store::EnvStore;
pub use error::StoreError;
pub use file::FileStore;
pub use follow::{FollowBuilder, FollowHandle, FollowState, Health};
#[cfg(feature = "store-postgres")]
pub use postgres::PostgresStore;
pub use store::{KeyStore, StoreFuture, Wake, Watch, WatchStatus, update};
