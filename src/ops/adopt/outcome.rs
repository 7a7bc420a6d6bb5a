//! The result of an adoption, secret by secret.

use crate::kid::Kid;
use crate::manifest::Manifest;

/// A secret, and what became of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Adopted {
    /// The secret.
    pub secret: String,
    /// The result.
    pub taken: Taken,
}

/// The result of an adoption for one secret. Under a dry run: the result that it would have.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Taken {
    /// The key of the audit trail was made.
    Created(Manifest),
    /// The values in use are in its store.
    Adopted {
        /// The keys, in the roles of their variables.
        manifest: Manifest,
        /// The place of the values.
        from: String,
        /// True if the store is that place: then only the trail has a new record.
        is_in_place: bool,
    },
    /// They were adopted before. The kids are those of revoked keys that a variable still holds.
    Already(Vec<Kid>),
    /// No value of it is set.
    NotSet,
    /// It is rotated by hand, in this place.
    ByHand(String),
}

/// A secret that cannot be adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The secret.
    pub secret: String,
    /// The variable, what is wrong with it, and the remedy.
    pub problem: String,
}
