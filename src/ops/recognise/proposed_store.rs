//! The store that an inventory proposes.

/// The store that an inventory proposes for the secrets of a `.env` file.
///
/// ```
/// use dualkey::ops::recognise::ProposedStore;
///
/// assert_eq!("dotenv".parse(), Ok(ProposedStore::Dotenv));
/// assert!("vault".parse::<ProposedStore>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ProposedStore {
    /// The `.env` file itself: for services that read it when they start.
    #[default]
    Dotenv,
    /// A manifest in a file for each secret: for services that follow it with this crate.
    File,
}

/// The name of no store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a store is one of `dotenv` and `file`")]
pub struct ParseProposedStoreError;

impl std::str::FromStr for ProposedStore {
    type Err = ParseProposedStoreError;

    fn from_str(text: &str) -> Result<Self, ParseProposedStoreError> {
        match text {
            "dotenv" => Ok(Self::Dotenv),
            "file" => Ok(Self::File),
            _ => Err(ParseProposedStoreError),
        }
    }
}
