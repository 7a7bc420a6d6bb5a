//! Why a rewrap ends before its time.

use std::error::Error as StdError;
use std::time::Duration;

use super::key::RowKey;
use crate::duration::Length;
use crate::error::Error;
use crate::source::StoreError;

/// Why a rewrap ends before its time. What it has committed until then stands, each row whole; run
/// again, it goes on with what is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewrapJobError {
    /// There is no such table.
    #[error("there is no table `{table}`")]
    UnknownTable {
        /// Its name.
        table: String,
    },
    /// The table has no primary key: its rows cannot be told apart.
    #[error(
        "the table `{table}` has no primary key, by which its rows could be told apart: give it one"
    )]
    NoPrimaryKey {
        /// Its name.
        table: String,
    },
    /// The table has no such column.
    #[error("the table `{table}` has no column `{column}`; it has {}", .columns.join(", "))]
    UnknownColumn {
        /// The name of the table.
        table: String,
        /// The name of the column.
        column: String,
        /// Those that it has.
        columns: Vec<String>,
    },
    /// No column was named.
    #[error("no column of the table `{table}` was named")]
    NoColumn {
        /// The name of the table.
        table: String,
    },
    /// A column holds what cannot be sealed, or cannot be written.
    #[error("the column `{column}` of the table `{table}` {problem}")]
    ColumnType {
        /// The name of the table.
        table: String,
        /// The name of the column.
        column: String,
        /// What is wrong with it, and what would do.
        problem: String,
    },
    /// A row has a primary key that is no key.
    #[error("in the table `{table}`, {problem}")]
    Key {
        /// The name of the table.
        table: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What is to be stored is longer than the column takes. Nothing was written.
    #[error(
        "the column `{column}` of the table `{table}` takes {max_bytes} bytes, and the row {key} \
         needs {needed}: nothing was written; widen the column first"
    )]
    TooShort {
        /// The name of the table.
        table: String,
        /// The name of the column.
        column: String,
        /// The first row that needs more.
        key: RowKey,
        /// How many bytes the column takes.
        max_bytes: usize,
        /// How many the row needs.
        needed: usize,
    },
    /// The database takes no changes from this user. Nothing was written.
    #[error("the table `{table}` cannot be written: {problem}")]
    ReadOnly {
        /// The name of the table.
        table: String,
        /// Why not.
        problem: String,
    },
    /// The database hides rows from this user: what they need cannot be known.
    #[error(
        "row-level security hides rows of the table `{table}` from this user: take one that owns \
         the table, or has BYPASSRLS"
    )]
    HiddenRows {
        /// The name of the table.
        table: String,
    },
    /// The checkpoint is of something else.
    #[error("the checkpoint is of another rewrap ({problem}): begin without it")]
    Checkpoint {
        /// What differs.
        problem: &'static str,
    },
    /// The database failed, or went away.
    #[error("the table `{table}`: {source}")]
    Database {
        /// The name of the table.
        table: String,
        /// What it says.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The store of the keys was unreadable for longer than the rollout window. Another key may be the
    /// primary now.
    #[error(
        "cannot continue the rewrap of the table `{table}`: the keys could not be loaded for the \
         rollout window of {}: {source}; run it again once they can be loaded", Length(*.window)
    )]
    KeysOutdated {
        /// The name of the table.
        table: String,
        /// The rollout window.
        window: Duration,
        /// The error of the store.
        source: Box<StoreError>,
    },
    /// No new value can be made: the primary has sealed as much as it may, or there are no random
    /// numbers.
    #[error(transparent)]
    Seal(#[from] Error),
    /// It was begun outside a tokio runtime, or in one that is shutting down.
    #[error("a rewrap needs a tokio runtime that goes on")]
    NoRuntime,
}

impl RewrapJobError {
    /// A stable name for logs and metric labels.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::UnknownTable { .. } => "unknown_table",
            Self::NoPrimaryKey { .. } => "no_primary_key",
            Self::UnknownColumn { .. } => "unknown_column",
            Self::NoColumn { .. } => "no_column",
            Self::ColumnType { .. } => "column_type",
            Self::Key { .. } => "key",
            Self::TooShort { .. } => "too_short",
            Self::ReadOnly { .. } => "read_only",
            Self::HiddenRows { .. } => "hidden_rows",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Database { .. } => "database",
            Self::KeysOutdated { .. } => "keys_outdated",
            Self::Seal(_) => "seal",
            Self::NoRuntime => "no_runtime",
        }
    }
}
