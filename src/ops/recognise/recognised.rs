//! A variable that was recognised as a secret, and one that was left out.

use std::path::PathBuf;

use super::shortfall::Shortfall;
use crate::ops::inventory::Priority;
use crate::purpose::Purpose;

/// A variable that was recognised as a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recognised {
    /// The name of the variable, and of the secret.
    pub name: String,
    /// The other variables of the secret that are set: `X_OLD`, `X_NEXT`.
    pub with: Vec<String>,
    /// The file with the variables.
    pub file: PathBuf,
    /// The purpose of the secret.
    pub purpose: Purpose,
    /// The harm of a leak.
    pub priority: Priority,
    /// The schedule, as the inventory writes it.
    pub rotate: &'static str,
    /// The place where it is rotated by hand, if this crate cannot rotate it.
    pub manual: Option<String>,
    /// The distance of the value in use from the minimum of its purpose.
    pub shortfall: Shortfall,
    /// True if the value is a placeholder, which has to be replaced before it is adopted.
    pub is_placeholder: bool,
}

/// A variable that was not taken for a secret of the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The name of the variable.
    pub name: String,
    /// Why it was left out.
    pub why: String,
}
