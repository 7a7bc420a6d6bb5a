//! Rows, their values, and the conditional write of a value.

use std::fmt;

use super::key::RowKey;

/// A column that holds sealed values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// How many bytes a value may have, where its type says so.
    pub max_bytes: Option<usize>,
}

/// A row: its key, and the values of the columns that a rewrap goes through.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// What tells it from all others.
    pub key: RowKey,
    /// One of each column, in their order.
    pub values: Vec<Value>,
}

/// What stands in a column.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// More than was asked for: it was not read.
    TooLarge,
}

/// A value to be written, if the one that it was made of is still there.
#[derive(Clone, PartialEq, Eq)]
pub struct ConditionalWrite {
    /// Of the row.
    pub key: RowKey,
    /// The place of the column among [`columns`](super::RowStore::columns).
    pub column: usize,
    /// What must be there.
    pub old: Value,
    /// What is to be there.
    pub new: Value,
}

impl Value {
    /// Its bytes; `None` if there is nothing to be read.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Null | Self::TooLarge => None,
        }
    }
}

/// What it is, not what it holds: that may never have been sealed.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::TooLarge => f.write_str("TooLarge"),
        }
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("key", &self.key).field("values", &self.values).finish()
    }
}

impl fmt::Debug for ConditionalWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionalWrite")
            .field("key", &self.key)
            .field("column", &self.column)
            .finish_non_exhaustive()
    }
}
