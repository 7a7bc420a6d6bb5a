//! The status of a key of a ring, for operators.

use std::time::SystemTime;

use crate::evidence::KeyUsage;
use crate::kid::Kid;
use crate::lifecycle::{KeyState, Revocation, SigningStart};

/// What a key of a ring is right now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyStatus {
    /// Its public name.
    pub kid: Kid,
    /// The environment variable that it was read from, if it was.
    pub variable: Option<String>,
    /// What it is.
    pub state: KeyState,
    /// When it signs.
    pub signing_start: SigningStart,
    /// When it came into the ring, or into the manifest that the ring is made of.
    pub added_at: SystemTime,
    /// When it stops verifying by its times, if that is known. A revoked key verifies nothing, even before
    /// that.
    pub verifies_until: Option<SystemTime>,
    /// Whether its end was set by a retirement, and does not only follow from its overlap.
    pub is_retired: bool,
    /// That it is compromised, since when, and why.
    pub revoked: Option<Revocation>,
    /// How often this process used it.
    pub usage: KeyUsage,
}
