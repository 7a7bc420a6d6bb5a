//! The record of a rewrap.

use std::time::SystemTime;

use crate::kid::Kid;

/// Result of a rewrap that opened every row: the evidence that an encryption key is retired by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewrapRecord {
    /// When it started.
    pub started_at: SystemTime,
    /// When it had seen the last row.
    pub finished_at: SystemTime,
    /// The rows that did not open.
    pub unreadable: u64,
    /// The tables in which nothing is sealed, although something should be: such a rewrap may have
    /// read the wrong table, and is no evidence.
    pub nothing_sealed: u64,
    /// How many rows each key is needed for, after it.
    pub rows: Vec<(Kid, u64)>,
}
