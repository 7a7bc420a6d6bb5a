//! How far a rewrap has come: for one that is killed and resumed.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::error::RewrapJobError;
use super::key::RowKey;
use super::report::Counts;
use crate::error::Error;
use crate::kid::Kid;
use crate::manifest::time::Time;

const FORMAT: &str = "dualkey rewrap";
/// Version 1 was of a rewrap that replaced the wrap alone: rows before such a checkpoint were not
/// opened.
const VERSION: u32 = 2;

/// How far a rewrap has come: what it told with its [`Progress`](super::Progress) last.
///
/// Rows before it were committed before it was told. It saves time and nothing else: a rewrap that
/// begins without one finds by what the rows say themselves that they are done. It holds no
/// secret; who can write it can have rows passed over, and a report say that they were seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub(super) table: String,
    pub(super) columns: Vec<String>,
    pub(super) primary: Kid,
    pub(super) renews_all: bool,
    pub(super) executes: bool,
    pub(super) started_at: SystemTime,
    pub(super) after: Option<RowKey>,
    pub(super) counts: Counts,
    pub(super) by_kid: BTreeMap<Kid, u64>,
    /// What could not be read is looked at again.
    pub(super) unreadable: Vec<(RowKey, String)>,
}

#[derive(Serialize, Deserialize)]
struct CheckpointJson {
    format: String,
    version: u32,
    table: String,
    columns: Vec<String>,
    primary: String,
    renews_all: bool,
    executes: bool,
    started_at: Time,
    after: Option<RowKey>,
    counts: Counts,
    by_kid: Vec<(String, u64)>,
    unreadable: Vec<(RowKey, String)>,
}

impl Checkpoint {
    /// It as text, to be kept until the rewrap has ended.
    ///
    /// # Errors
    /// [`Error::Manifest`] for a moment beyond the year 9999.
    pub fn to_json(&self) -> Result<String, Error> {
        let at = self.clone();
        let document = CheckpointJson {
            format: FORMAT.to_owned(),
            version: VERSION,
            table: at.table,
            columns: at.columns,
            primary: at.primary.to_string(),
            renews_all: at.renews_all,
            executes: at.executes,
            started_at: at.started_at.try_into()?,
            after: at.after,
            counts: at.counts,
            by_kid: at.by_kid.into_iter().map(|(kid, values)| (kid.to_string(), values)).collect(),
            unreadable: at.unreadable,
        };
        serde_json::to_string(&document)
            .map_err(|_| Error::manifest("the checkpoint cannot be written as JSON"))
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// [`RewrapJobError::Checkpoint`].
    pub fn from_json(text: &[u8]) -> Result<Self, RewrapJobError> {
        let wrong = |problem| RewrapJobError::Checkpoint { problem };
        let document: CheckpointJson =
            serde_json::from_slice(text).map_err(|_| wrong("it cannot be read"))?;
        if document.format != FORMAT || document.version != VERSION {
            return Err(wrong("it was written in another format, by another version of dualkey"));
        }
        let kid = |text: &str| Kid::new(text).map_err(|_| wrong("it names no kid"));
        Ok(Self {
            table: document.table,
            columns: document.columns,
            primary: kid(&document.primary)?,
            renews_all: document.renews_all,
            executes: document.executes,
            started_at: document.started_at.into(),
            after: document.after,
            counts: document.counts,
            by_kid: document
                .by_kid
                .into_iter()
                .map(|(text, count)| Ok((kid(&text)?, count)))
                .collect::<Result<_, RewrapJobError>>()?,
            unreadable: document.unreadable,
        })
    }

    /// Checks that a rewrap that starts at `other` may continue from here.
    pub(super) fn check(&self, other: &Self) -> Result<(), RewrapJobError> {
        let problem = if self.table != other.table {
            "another table"
        } else if self.columns != other.columns {
            "other columns"
        } else if self.primary != other.primary {
            "another primary"
        } else if self.renews_all != other.renews_all {
            "one of them renews all rows, the other does not"
        } else if self.executes != other.executes {
            "one of them writes, the other does not"
        } else {
            return Ok(());
        };
        Err(RewrapJobError::Checkpoint { problem })
    }
}
