//! The manifests that instances may still hold, in the order in which they were stored.
//!
//! An instance names its manifest by its place in the history. Every fleet has one history.

use super::documents::KEYS;

/// The most manifests of a history. No fleet takes so many steps that it needs more.
const LENGTH: usize = 6;

/// The place of an instance that does not run.
pub const DOWN: u8 = u8::MAX;
/// The place of an instance that has no report.
pub const NO_REPORT: u8 = u8::MAX;
/// The place of a report whose manifest has left the history.
pub const OLD_REPORT: u8 = u8::MAX - 1;
/// The place of a step that ended a key by force: every instance may reject the values of the key.
const EVERYWHERE: u8 = u8::MAX;
/// The tick that replaces every past tick.
pub const LONG_AGO: u8 = 1;

/// The manifests from the oldest that an instance holds to the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct History {
    documents: [u32; LENGTH],
    /// By place: the tick from which every instance acts on the manifest.
    due: [u8; LENGTH],
    length: u8,
    /// By key: instances that hold a manifest before this place may reject the values of the key, because
    /// a step declared that.
    rejected_before: [u8; KEYS],
}

impl History {
    /// Starts a history with one manifest.
    pub fn new(document: u32) -> Self {
        let mut documents = [0; LENGTH];
        documents[0] = document;
        Self { documents, due: [0; LENGTH], length: 1, rejected_before: [0; KEYS] }
    }

    pub fn get(&self, place: u8) -> u32 {
        self.documents[usize::from(place)]
    }

    /// Returns the manifest that the store holds.
    pub fn latest(&self) -> u32 {
        self.get(self.latest_place())
    }

    pub fn latest_place(&self) -> u8 {
        self.length - 1
    }

    pub fn is_full(&self) -> bool {
        usize::from(self.length) == LENGTH
    }

    /// Returns the oldest place that the store may still show to a reader.
    pub fn oldest_shown(&self, now: u8) -> u8 {
        let is_due = |place: &u8| self.due[usize::from(*place)] <= now;
        (1..self.length).rev().find(is_due).unwrap_or(0)
    }

    /// Returns whether a manifest after the one at `place` is due at `tick`.
    pub fn is_overdue(&self, place: u8, tick: u8) -> bool {
        (place + 1..self.length).any(|later| self.due[usize::from(later)] <= tick)
    }

    /// Adds a manifest on which every instance acts from the tick `due` on.
    pub fn push(&mut self, document: u32, due: u8) {
        let place = usize::from(self.length);
        (self.documents[place], self.due[place]) = (document, due);
        self.length += 1;
    }

    /// Records that instances without the latest manifest may reject the values of a key.
    pub fn declare_rejection(&mut self, key: usize) {
        self.rejected_before[key] = self.rejected_before[key].max(self.latest_place());
    }

    /// Records that every instance may reject the values of a key.
    pub fn declare_end(&mut self, key: usize) {
        self.rejected_before[key] = EVERYWHERE;
    }

    /// Records that a key is live again for instances with the latest manifest, after an end by force.
    pub fn declare_restage(&mut self, key: usize) {
        if self.is_ended_by_force(key) {
            self.rejected_before[key] = self.latest_place();
        }
    }

    /// Returns whether an instance at `place` may reject the values of a key, because a step declared it.
    pub fn may_reject(&self, place: u8, key: usize) -> bool {
        place < self.rejected_before[key]
    }

    /// Returns whether a key was ended by force.
    pub fn is_ended_by_force(&self, key: usize) -> bool {
        self.rejected_before[key] == EVERYWHERE
    }

    /// Removes the manifests before `oldest`. Every remaining place decreases by `oldest`.
    pub fn remove_before(&mut self, oldest: u8) {
        let (from, length) = (usize::from(oldest), usize::from(self.length));
        self.documents.copy_within(from..length, 0);
        self.due.copy_within(from..length, 0);
        self.length -= oldest;
        self.documents[usize::from(self.length)..].fill(0);
        for place in self.rejected_before.iter_mut().filter(|place| **place != EVERYWHERE) {
            *place = place.saturating_sub(oldest);
        }
    }

    /// Replaces each past tick with [`LONG_AGO`], and clears the unused places.
    pub fn forget_past(&mut self, now: u8) {
        for due in &mut self.due {
            *due = if *due <= now { LONG_AGO } else { *due };
        }
        // No reader needs to wait for the oldest manifest.
        self.due[0] = LONG_AGO;
        self.due[usize::from(self.length)..].fill(0);
    }
}

/// Returns the place of a report after the manifests before `oldest` were removed.
pub fn shift_report(place: u8, oldest: u8) -> u8 {
    match place {
        NO_REPORT | OLD_REPORT => place,
        place => place.checked_sub(oldest).unwrap_or(OLD_REPORT),
    }
}

/// Describes a manifest by the number of later manifests.
pub fn name_manifest(behind: u8) -> String {
    match behind {
        0 => "the latest manifest".to_owned(),
        behind => format!("the manifest {behind} before the latest"),
    }
}
