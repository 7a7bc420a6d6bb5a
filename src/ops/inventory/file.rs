//! The file of an inventory: read, and written where there is none.

use std::path::{Path, PathBuf};

use super::document::Inventory;
use super::parse;
use crate::ops::error::OpsError;
use crate::source::disk;

/// An inventory is a page of text: at most 1 MiB.
const MAX_BYTES: usize = 1024 * 1024;

impl Inventory {
    /// What `dualkey init` writes: the secrets of a usual backend, with comments.
    pub const TEMPLATE: &str = include_str!("template.toml");

    /// Reads the inventory at `path`.
    ///
    /// # Errors
    /// [`OpsError::NoInventory`]; [`OpsError::Io`]; [`OpsError::Inventory`] with the line and column
    /// of the problem.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, OpsError> {
        let path = path.into();
        match disk::read_text(&path, MAX_BYTES) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(OpsError::NoInventory { path })
            }
            Err(error) => Err(OpsError::for_path(path)(error)),
        }
    }

    /// Reads the text of one, which errors call `path`.
    ///
    /// # Errors
    /// [`OpsError::Inventory`] with the line and column of what is wrong.
    pub fn parse(text: &str, path: impl Into<PathBuf>) -> Result<Self, OpsError> {
        parse::parse(text, path.into())
    }

    /// Writes [`TEMPLATE`](Self::TEMPLATE) to a new file.
    ///
    /// # Errors
    /// [`OpsError::Exists`], [`OpsError::Io`].
    pub fn write_new(path: &Path) -> Result<(), OpsError> {
        Self::write_text(path, Self::TEMPLATE).map(drop)
    }

    /// Writes `text`, which is that of an inventory, to a new file.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse) and [`write_new`](Self::write_new).
    pub(crate) fn write_text(path: &Path, text: &str) -> Result<Self, OpsError> {
        let inventory = Self::parse(text, path)?;
        disk::write_new(path, text.as_bytes()).map_err(OpsError::of_new_file(path))?;
        Ok(inventory)
    }
}
