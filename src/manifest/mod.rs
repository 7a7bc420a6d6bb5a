//! The manifest: the stored document of one ring, and the steps from one to the next.
//!
//! It promises: every step is a pure function from a manifest and a moment to the next
//! manifest, or a typed refusal that says why; what comes of it has a primary at every moment
//! ahead; a revocation is never undone; nothing is stored until you hand it to a store
//! ([`KeyStore::compare_and_swap`](crate::source::KeyStore::compare_and_swap)).
//!
//! ```json
//! {
//!   "format": "dualkey manifest", "version": 1, "min_reader_version": 1,
//!   "ring": "JWT_SECRET", "purpose": "jwt", "environment": "production",
//!   "revision": 7, "changed_at": "2026-01-15T10:00:00Z",
//!   "policy": { "max_lifetime_seconds": 604800, "rollout_window_seconds": 3600, … },
//!   "keys": [
//!     { "kid": "2026-q1", "added_at": "2026-01-14T10:00:00Z", "sequence": 3,
//!       "signing_start": { "from": "2026-01-15T10:00:00Z" }, "secret": "base64:…" },
//!     { "kid": "2025-q4", "added_at": "…", "sequence": 1, "signing_start": { "from": "…" },
//!       "revoked": { "at": "2026-01-15T10:00:00Z", "reason": "in a public log" },
//!       "secret": "base64:…" }
//!   ]
//! }
//! ```
//!
//! Times are RFC 3339. A secret is `base64:`, `hex:` or `text:` and what it says; it is
//! written as `base64:`. `min_reader_version` is the lowest version of a reader. A document of a
//! newer version may have fields that this release does not know: they are ignored. A step keeps those
//! of the manifest, of its policy and of its keys. It drops those in the objects within a key, such as
//! `revoked`, and those of a key whose secret it destroys. A document of version 1 may not have such
//! fields. A revocation
//! that cannot be read revokes its key (V8). No role is stored: it follows from the times. A key whose secret was wiped has
//! a `recogniser` in its place, a salted HMAC: the secret is refused under any other kid.
//!
//! It is not encrypted: a store can do that
//! ([`FileStore::sealed`](crate::source::FileStore::sealed)).

mod apply;
mod bounds;
mod change;
mod check;
mod document;
mod entry;
pub(crate) mod environment;
pub(crate) mod json;
mod members;
pub(crate) mod random;
mod recogniser;
mod report;
mod revocations;
mod schedule;
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "operators and the status page use it, each behind a feature")
)]
pub(crate) mod status_json;
mod steps;
pub(crate) mod time;
mod unknown;
mod versions;

pub use crate::lifecycle::RolloutEffect;
pub use change::{AssumedDeployed, Change, ChangeAction, Force};
pub use document::Manifest;
pub use entry::{Entry, ForcedStep, NewEntry};
pub use revocations::Revocations;
