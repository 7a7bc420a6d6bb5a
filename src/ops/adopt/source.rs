//! The place of the values in use.

use std::path::PathBuf;

/// The place of the values in use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Source {
    /// The `.env` file beside the inventory, and `.env.ENVIRONMENT`.
    #[default]
    Beside,
    /// These `.env` files.
    Files(Vec<PathBuf>),
    /// The environment of this process.
    Environment,
}
