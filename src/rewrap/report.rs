//! What a rewrap found and did.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::key::RowKey;
use crate::error::Reason;
use crate::evidence::RewrapRecord;
use crate::kid::Kid;

/// So many unreadable values are listed in a report; all are counted, and told one by one to
/// [`on_unreadable`](super::RewrapJob::on_unreadable).
pub const LISTED: usize = 10_000;

/// What a rewrap found and did. It counts values: a row with two columns has two.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RewrapReport {
    /// When it began, the first time where it was resumed.
    pub started_at: SystemTime,
    /// When it had seen the last row.
    pub finished_at: SystemTime,
    /// Whether it wrote, or only looked.
    pub has_written: bool,
    /// What it counted.
    pub counts: Counts,
    /// The start of the first rewrap that counts as evidence for the retirement of every old key, if
    /// this one started before: until then an instance that has not reloaded may seal under an old
    /// key. What was rewrapped stays so.
    pub counts_from: Option<SystemTime>,
    /// How many values each key is needed for, after it.
    pub by_kid: BTreeMap<Kid, u64>,
    /// The values that could not be read, each with its row: the first
    /// [`LISTED`] of them.
    pub unreadable: Vec<Unreadable>,
}

/// What a rewrap counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Rows that were seen.
    pub rows: u64,
    /// Columns that are NULL or empty: nothing is sealed there.
    pub empty: u64,
    /// Values that are under the primary, or under a key that is to be it, already: they opened, and
    /// stay.
    pub current: u64,
    /// Values that were sealed again under the primary; of one that only looked, that would be.
    pub rewritten: u64,
    /// How often somebody else wrote a value first. Each was looked at again.
    pub changed_meanwhile: u64,
    /// Values that somebody else went on writing: they are as they were.
    pub left: u64,
    /// Values that could not be read.
    pub unreadable: u64,
    /// Tables in which nothing is sealed, unless they
    /// [may hold nothing](super::RewrapJob::may_hold_nothing): 0 or 1, more after a
    /// [merge](RewrapReport::merge).
    #[serde(default)]
    pub nothing_sealed: u64,
}

/// A value that could not be read: it was not touched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// The name of the table.
    pub table: String,
    /// Of the row.
    pub key: RowKey,
    /// The name of the column.
    pub column: String,
    /// Why.
    pub reason: Reason,
    /// The kid that it names, if it names one.
    pub kid: Option<Kid>,
}

impl RewrapReport {
    pub(super) fn new(started_at: SystemTime, has_written: bool) -> Self {
        Self {
            started_at,
            finished_at: started_at,
            has_written,
            counts: Counts::default(),
            counts_from: None,
            by_kid: BTreeMap::new(),
            unreadable: Vec::new(),
        }
    }

    /// What a verdict takes: [`KeyRing::record_rewrap`](crate::KeyRing::record_rewrap), or as part
    /// of a [`Report`](crate::Report) beside a manifest.
    ///
    /// It must be of *all* data that the ring has sealed: [merge](Self::merge) those of several
    /// tables first.
    #[must_use]
    pub fn record(&self) -> RewrapRecord {
        RewrapRecord {
            started_at: self.started_at,
            finished_at: self.finished_at,
            unreadable: self.counts.unreadable,
            nothing_sealed: self.counts.nothing_sealed,
            rows: self.by_kid.iter().map(|(kid, rows)| (*kid, *rows)).collect(),
        }
    }

    /// Returns whether the rewrap started too early to count as evidence: see
    /// [`counts_from`](Self::counts_from).
    #[must_use]
    pub fn is_too_early(&self) -> bool {
        self.counts_from.is_some()
    }

    /// Both as one: of the longer time, and one that wrote if both did.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.started_at = self.started_at.min(other.started_at);
        self.finished_at = self.finished_at.max(other.finished_at);
        self.has_written &= other.has_written;
        self.counts_from = self.counts_from.max(other.counts_from);
        let Self { counts, by_kid, unreadable, .. } = other;
        self.add(Tally { counts, by_kid, unreadable });
        self
    }

    /// Returns whether it did all that it should: every value could be read, none is left that
    /// another writer kept changing, and something is sealed in the table. The verdict takes it as
    /// evidence if it did not start [too early](Self::is_too_early) as well.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let Counts { unreadable, left, nothing_sealed, .. } = self.counts;
        (unreadable, left, nothing_sealed) == (0, 0, 0)
    }

    /// Counts the table as one in which nothing is sealed, if that is so.
    pub(super) fn check_sealed(&mut self) {
        let Counts { unreadable, left, .. } = self.counts;
        let is_blank = self.by_kid.is_empty() && (unreadable, left) == (0, 0);
        self.counts.nothing_sealed = is_blank.into();
    }

    /// Adds the result of a batch.
    pub(super) fn add(&mut self, tally: Tally) {
        self.counts.add(tally.counts);
        add_by_kid(&mut self.by_kid, tally.by_kid);
        let room = LISTED - self.unreadable.len();
        self.unreadable.extend(tally.unreadable.into_iter().take(room));
    }
}

/// The result of a batch of rows.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) by_kid: BTreeMap<Kid, u64>,
    pub(super) unreadable: Vec<Unreadable>,
}

impl Tally {
    /// Adds a value that stays under `kid`.
    pub(super) fn add_current(&mut self, kid: Kid) {
        self.counts.current += 1;
        *self.by_kid.entry(kid).or_default() += 1;
    }

    /// Adds a value that was sealed again, or would be, and is under `kid` now.
    pub(super) fn add_rewritten(&mut self, kid: Kid) {
        self.counts.rewritten += 1;
        *self.by_kid.entry(kid).or_default() += 1;
    }

    /// Adds a value under `kid` that another writer kept changing.
    pub(super) fn add_left(&mut self, kid: Kid) {
        self.counts.left += 1;
        *self.by_kid.entry(kid).or_default() += 1;
    }

    pub(super) fn add_unreadable(&mut self, value: Unreadable) {
        self.counts.unreadable += 1;
        self.unreadable.push(value);
    }

    pub(super) fn add(&mut self, other: Self) {
        self.counts.add(other.counts);
        add_by_kid(&mut self.by_kid, other.by_kid);
        self.unreadable.extend(other.unreadable);
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.empty += other.empty;
        self.current += other.current;
        self.rewritten += other.rewritten;
        self.changed_meanwhile += other.changed_meanwhile;
        self.left += other.left;
        self.unreadable += other.unreadable;
        self.nothing_sealed += other.nothing_sealed;
    }
}

fn add_by_kid(by_kid: &mut BTreeMap<Kid, u64>, other: BTreeMap<Kid, u64>) {
    for (kid, values) in other {
        *by_kid.entry(kid).or_default() += values;
    }
}
