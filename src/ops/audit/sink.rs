//! Where records go, and where they can be read.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::error::AuditError;
use super::key::AuditKey;
use super::problem::Verification;
use super::query::{Entry, Listing, Query};
use super::record::Record;
use crate::ring::KeyRing;

/// What sinks return: a future that can be sent between threads.
pub type AuditFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, AuditError>> + Send + 'a>>;

/// Takes records: a [`FileTrail`](super::FileTrail), a database, a client of yours.
pub trait Sink: fmt::Debug + Send + Sync + 'static {
    /// Appends `records`, all or none, and is done once they survive a crash.
    fn append<'a>(&'a self, records: &'a [Record]) -> AuditFuture<'a, ()>;
}

/// A sink that can be read, and that proves what it holds.
pub trait Trail: Sink {
    /// The records that `query` asks for, the newest first, each with its MAC, its number and its
    /// place in the chain verified; and the lines between them that are no records.
    fn read<'a>(&'a self, query: &'a Query) -> AuditFuture<'a, Listing>;

    /// Returns whether there is no record, nor a trace of one.
    fn is_empty(&self) -> AuditFuture<'_, bool>;

    /// The records that `query` asks for, to decide by: without those that only a revoked key
    /// vouches for.
    ///
    /// An [`AuditError::Broken`] says that records that were asked for may be among those that
    /// were removed or changed.
    fn query<'a>(&'a self, query: &'a Query) -> AuditFuture<'a, Vec<Entry>> {
        Box::pin(async move { self.read(&query.require_voucher()).await?.into_records() })
    }

    /// Whether everything is as it was written.
    fn verify(&self) -> AuditFuture<'_, Verification>;

    /// The ring that signs its records.
    fn ring(&self) -> &KeyRing<AuditKey>;

    /// Held while something is done to `secret`: nobody else does anything to it meanwhile.
    fn lock<'a>(&'a self, secret: &'a str) -> AuditFuture<'a, Guard>;
}

impl<S: Sink + ?Sized> Sink for Arc<S> {
    fn append<'a>(&'a self, records: &'a [Record]) -> AuditFuture<'a, ()> {
        (**self).append(records)
    }
}

impl<T: Trail + ?Sized> Trail for Arc<T> {
    fn read<'a>(&'a self, query: &'a Query) -> AuditFuture<'a, Listing> {
        (**self).read(query)
    }

    fn is_empty(&self) -> AuditFuture<'_, bool> {
        (**self).is_empty()
    }

    fn verify(&self) -> AuditFuture<'_, Verification> {
        (**self).verify()
    }

    fn ring(&self) -> &KeyRing<AuditKey> {
        (**self).ring()
    }

    fn lock<'a>(&'a self, secret: &'a str) -> AuditFuture<'a, Guard> {
        (**self).lock(secret)
    }
}

/// Holds a lock: until it is dropped, and for nobody once its process is gone.
#[must_use = "dropped, it holds nothing"]
pub struct Guard(#[expect(dead_code, reason = "held for its drop")] Box<dyn Any + Send + Sync>);

impl Guard {
    /// Drops `held` to end it.
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Self(Box::new(held))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}
