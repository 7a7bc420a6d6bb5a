//! The evidence on one key, from one instance or from many.

use std::time::SystemTime;

use crate::error::Obstacle;
use crate::evidence::silence::Silence;

/// The uses of a key and of its ring within the observation window.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyEvidence {
    /// The start of the watch: since then an instance has counted uses without a gap.
    pub(crate) since: Option<SystemTime>,
    /// When the key was last used as a fallback.
    pub(crate) last_as_fallback: Option<SystemTime>,
    /// The start of the time in which verifications under a primary count: the start of the watch, or
    /// the moment at which the key was superseded. What its own tokens verified before says nothing.
    pub(crate) counted_since: Option<SystemTime>,
    /// The number of values that verified under a primary since then.
    pub(crate) under_primary: u64,
    /// The observation windows since the key was last used.
    pub(crate) silence: Silence,
    /// The obstacles that instances report.
    pub(crate) objections: Vec<Obstacle>,
}
