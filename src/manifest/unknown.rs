//! The fields of a newer manifest that this release does not know. They are kept, so that a step of an
//! older release loses nothing that a newer one has stored.

use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use zeroize::{Zeroize, Zeroizing};

/// Fields that this release does not know, by name, with their values as text. They may be secret:
/// they are wiped when they are dropped, and never shown.
#[derive(Clone, Default)]
pub(crate) struct Unknown {
    fields: Vec<(Zeroizing<String>, Raw)>,
    /// Set if they were read from a record beside a `.env` file, which holds no secret.
    is_public: bool,
}

/// A value as text, wiped when it is dropped.
struct Raw(Option<Box<RawValue>>);

impl Unknown {
    pub(super) fn new(is_public: bool) -> Self {
        Self { fields: Vec::new(), is_public }
    }

    /// Returns these fields, or none if they may be secret and the document is one `without_secrets`.
    pub(super) fn fields_to_write(&self, without_secrets: bool) -> Option<&Self> {
        (self.is_public || !without_secrets).then_some(self)
    }

    pub(super) fn insert(&mut self, name: &str, value: &RawValue) {
        self.fields.push((Zeroizing::new(name.to_owned()), Raw(Some(value.to_owned()))));
    }

    /// Wipes all of them, with the secret of their key.
    pub(super) fn clear(&mut self) {
        self.fields.clear();
    }
}

impl Serialize for Unknown {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let mut map = output.serialize_map(Some(self.fields.len()))?;
        for (name, value) in &self.fields {
            map.serialize_entry(name.as_str(), &value.0)?;
        }
        map.end()
    }
}

impl Clone for Raw {
    fn clone(&self) -> Self {
        Self(self.0.as_ref().map(|value| RawValue::to_owned(value)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            String::from(Box::<str>::from(value)).zeroize();
        }
    }
}

impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unknown({})", self.fields.len())
    }
}
