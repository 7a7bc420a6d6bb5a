//! `KeyRing<K>`, the one thing that changes: a handle on the current generation.
//!
//! It promises: a reader sees one whole generation and never waits; two changes at
//! once are both there; a change that would leave a moment without a primary is
//! refused; a revoked key verifies nothing from the next load on.
//!
//! It does not promise to remember: a ring in memory forgets its changes, its
//! revocations too, when the process ends.

#![cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "adapters and stores share it, and each is behind a feature")
)]

mod builder;
pub mod env;
mod evidence;
pub(crate) mod key;
mod key_ring;
pub(crate) mod key_set;
mod prepare;
mod report_due;
mod rotate;
pub(crate) mod snapshot;
mod status;
mod store_updates;
mod swap;

pub use builder::{Dangerous, RingBuilder};
pub use key::{Key, KeyMaterial, NewKey};
pub use key_ring::KeyRing;
pub use key_set::KeySet;
pub use rotate::{ForceRing, Promotion};
pub use status::KeyStatus;
