//! The primary keys of rows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The primary key of a row: the values of its columns, in their order.
///
/// ```
/// use dualkey::rewrap::{KeyPart, RowKey};
///
/// let key = RowKey::new([KeyPart::Text("acme".to_owned()), KeyPart::Integer(7)]);
/// assert_eq!(key.to_string(), "acme/7");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowKey(Vec<KeyPart>);

/// The value of a column of a primary key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPart {
    /// A whole number.
    Integer(i64),
    /// A text, or what the database writes as one: of PostgreSQL, a value of any type.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl RowKey {
    /// A key of these parts.
    pub fn new(parts: impl IntoIterator<Item = KeyPart>) -> Self {
        Self(parts.into_iter().collect())
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> &[KeyPart] {
        &self.0
    }
}

/// Its parts with a `/` between them; bytes in hexadecimal digits.
impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("/")?;
            }
            write!(f, "{part}")?;
        }
        Ok(())
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}
