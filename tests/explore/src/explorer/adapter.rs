//! The adapters through which a search uses the keys of a ring.

use dualkey::cookie::{CookieKey, CookieSigner};
use dualkey::envelope::{AesKey, Sealer};
use dualkey::{Error, KeyMaterial, KeyRing, VerifyError};

/// An adapter of the library: cookies for signing keys, envelopes for encryption keys.
pub trait Adapter {
    type Key: KeyMaterial;
    /// A value that a user or a row holds.
    type Value;

    /// Creates an adapter that uses the keys of `ring`.
    fn with_ring(ring: KeyRing<Self::Key>) -> Self;

    /// Signs or seals a value with the primary.
    ///
    /// # Errors
    /// The error of the library.
    fn make(&self) -> Result<Self::Value, Error>;

    /// Verifies or opens a value.
    ///
    /// # Errors
    /// The error of the library.
    fn check(&self, value: &Self::Value) -> Result<(), VerifyError>;
}

impl Adapter for CookieSigner {
    type Key = CookieKey;
    type Value = String;

    fn with_ring(ring: KeyRing<CookieKey>) -> Self {
        Self::new(ring)
    }

    fn make(&self) -> Result<String, Error> {
        self.sign("session", "user-42")
    }

    fn check(&self, value: &String) -> Result<(), VerifyError> {
        self.verify("session", value).map(drop)
    }
}

impl Adapter for Sealer {
    type Key = AesKey;
    type Value = Vec<u8>;

    fn with_ring(ring: KeyRing<AesKey>) -> Self {
        Self::new(ring)
    }

    fn make(&self) -> Result<Vec<u8>, Error> {
        self.seal("note", "notes/1")
    }

    fn check(&self, value: &Vec<u8>) -> Result<(), VerifyError> {
        self.open(value, "notes/1").map(drop)
    }
}
