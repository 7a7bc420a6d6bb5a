//! The distance of a value in use from the minimum of its purpose, and the setting that admits it.

use crate::purpose::{Purpose, SecretLength};

/// The distance of a value in use from the minimum of its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortfall {
    /// It is long enough.
    No,
    /// It is no shorter than the floor of the purpose, which is given: `min_secret_bytes` admits
    /// it.
    Floor(usize),
    /// It has this many bytes, fewer than the floor: `dangerous_min_secret_bytes` admits it.
    Below(usize),
}

impl Shortfall {
    /// The distance of a value of `length` bytes, which is less than the minimum.
    pub(crate) fn for_length(purpose: Purpose, algorithm: Option<&str>, length: usize) -> Self {
        match purpose.length(algorithm) {
            SecretLength::AtLeast { floor, .. } if length < floor => Self::Below(length),
            SecretLength::AtLeast { floor, .. } => Self::Floor(floor),
            SecretLength::Exactly(_) => Self::No,
        }
    }

    /// The one that falls short further.
    pub(super) fn worse_of(self, other: Self) -> Self {
        match (self, other) {
            (Self::Below(one), Self::Below(other)) => Self::Below(one.min(other)),
            (below @ Self::Below(_), _) | (_, below @ Self::Below(_)) => below,
            (Self::No, short) | (short, _) => short,
        }
    }

    /// The line of the inventory that admits the value; `None`, if none is needed.
    #[must_use]
    pub fn setting(self) -> Option<String> {
        match self {
            Self::No => None,
            Self::Floor(bytes) => Some(format!("min_secret_bytes = {bytes}")),
            Self::Below(bytes) => Some(format!("dangerous_min_secret_bytes = {bytes}")),
        }
    }
}
