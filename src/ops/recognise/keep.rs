//! The store that an inventory proposes.

/// The store that an inventory proposes for the secrets of a `.env` file.
///
/// ```
/// use dualkey::ops::recognise::Keep;
///
/// assert_eq!("dotenv".parse(), Ok(Keep::Dotenv));
/// assert!("vault".parse::<Keep>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Keep {
    /// The `.env` file itself: for services that read it when they start.
    #[default]
    Dotenv,
    /// A manifest in a file for each secret: for services that follow it with this crate.
    File,
}

/// The name of no store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a store is one of `dotenv` and `file`")]
pub struct NoStore;

impl std::str::FromStr for Keep {
    type Err = NoStore;

    fn from_str(text: &str) -> Result<Self, NoStore> {
        match text {
            "dotenv" => Ok(Self::Dotenv),
            "file" => Ok(Self::File),
            _ => Err(NoStore),
        }
    }
}
