//! The versions that a stored document names.

use crate::error::Error;

/// The version of the format that this release writes, and the newest that it knows.
pub(super) const VERSION: u32 = 1;

/// The versions that a stored document names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Versions {
    /// The version of the format that it was written in.
    pub(super) version: u32,
    /// The lowest version of the format that a reader must know.
    pub(super) min_reader_version: u32,
}

impl Versions {
    pub(super) const CURRENT: Self = Self { version: VERSION, min_reader_version: VERSION };

    /// Checks that this release can read a `document` of these versions; without a lowest reader
    /// version, only a reader of the same version can.
    pub(super) fn new(
        version: u32,
        min_reader_version: Option<u32>,
        document: &str,
    ) -> Result<Self, Error> {
        let min_reader_version = min_reader_version.unwrap_or(version);
        if version == 0 || min_reader_version == 0 || min_reader_version > version {
            return Err(Error::manifest(format!(
                "the {document} names the version {version} and the lowest reader version \
                 {min_reader_version}; the first version is 1, and no reader is newer than its format"
            )));
        }
        if min_reader_version > VERSION {
            return Err(Error::manifest(format!(
                "the {document} has the version {version} of the format and needs a reader of the \
                 version {min_reader_version}, and this release reads version {VERSION}; update dualkey"
            )));
        }
        Ok(Self { version, min_reader_version })
    }

    /// Returns whether a newer release wrote the document, which may have fields that this release does
    /// not know.
    pub(super) fn is_newer(self) -> bool {
        self.version > VERSION
    }
}
