//! The life of a key, as pure functions of stored times, a policy and a moment.
//!
//! A ring in memory, a manifest in a store and the record of a `.env` file share these rules: the
//! roles and ends that follow from the stored times, the steps that change those times, the
//! admission of a secret, and the uniqueness of names. Nothing here holds key material, reads or
//! writes anything, or swaps a ring.

#![cfg_attr(
    not(feature = "full"),
    allow(
        dead_code,
        reason = "rings, manifests and stores share it, and each is behind a feature"
    )
)]

pub(crate) mod admission;
pub(crate) mod clock_repair;
mod effect;
pub(crate) mod fingerprint;
pub(crate) mod identity;
pub(crate) mod life;
pub(crate) mod policy;
mod state;
pub(crate) mod terms;
pub(crate) mod timeline;
pub(crate) mod transitions;

pub use effect::RolloutEffect;
pub use life::{Revocation, SigningStart};
pub use policy::{Policy, Schedule};
pub use state::{KeyState, Role};
