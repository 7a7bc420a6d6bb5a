//! The state of a fleet. It is small, because a search holds millions.

use super::super::documents::{INSTANCES, KEYS};
use super::super::history::{DOWN, History, NO_REPORT};

/// The state of a fleet at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) history: History,
    /// By operator: one more than the place of the step that is computed and not stored, or 0.
    pub(super) pending: [u32; 2],
    /// By operator: the tick at which the pending step was computed.
    pub(super) computed_at: [u8; 2],
    pub(super) now: u8,
    /// The number of steps that were stored.
    pub(super) steps: u8,
    /// The number of starts and stops.
    pub(super) disturbed: u8,
    pub(super) instances: [Instance; INSTANCES],
    /// By key: the tick until which the values that it signed are valid, by any clock.
    pub(super) valid_until: [u8; KEYS],
    /// By key: the tick from which no instance may accept it, because it was revoked, or 0.
    pub(super) gone_by: [u8; KEYS],
}

/// The state of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Instance {
    /// The place of its manifest, or [`DOWN`].
    pub(super) holds: u8,
    /// The place of the manifest of its last report, or [`NO_REPORT`].
    pub(super) reported: u8,
    /// The tick of its last report by its clock, if it does not run or its reports may be late; otherwise 0.
    pub(super) reported_at: u8,
    /// The tick at which it last read the store, by its clock; 0 in a fleet without `max_staleness`.
    pub(super) read_at: u8,
    /// The keys that it has revoked itself since its start, by bit.
    pub(super) revoked: u8,
    /// The keys whose revocation it still knows, by bit.
    pub(super) still_revoked: u8,
}

impl Instance {
    /// An instance that has never run.
    pub(super) const ABSENT: Self = Self {
        holds: DOWN,
        reported: NO_REPORT,
        reported_at: 0,
        read_at: 0,
        revoked: 0,
        still_revoked: 0,
    };

    pub(super) fn is_running(&self) -> bool {
        self.holds != DOWN
    }
}

impl State {
    pub(super) fn running(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| instance.is_running())
    }
}
