//! The manifest as JSON: version 1 of the document, and nothing else.

mod fields;
mod model;
mod read;
mod secret;
pub(crate) mod unescape;
pub(crate) mod wiped;
mod write;

use super::document::Manifest;
use crate::error::Error;
use crate::secret::Secret;

pub(in crate::manifest) use read::read_marked;
pub(in crate::manifest) use write::write_marked;

impl Manifest {
    /// The document as text, to be stored: it holds the secrets, as does every copy of it.
    ///
    /// # Errors
    /// [`Error::Manifest`] for a moment beyond the year 9999.
    pub fn to_json(&self) -> Result<Secret, Error> {
        write::write(self)
    }

    /// Reads a stored document, and checks it whole.
    ///
    /// # Errors
    /// [`Error::Manifest`], with the problem and its place, never the text at that place; and
    /// whatever else keeps a ring from being made of it: no primary, a kid or a secret that
    /// is there twice.
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        read::read(text)?.validate()
    }
}
