//! Rotations, as an operator makes them: checked before, told to the trail, one step after the
//! other.
//!
//! [`Operator`] takes single steps; [`walk`] goes from the checks to the promotion.

mod check;
mod operator;
mod taking;
mod walk;

pub use check::{CHECKS, Check, CheckOutcome, checks};
pub use operator::Operator;
pub(crate) use taking::{begun, reports, to_retire, with_role};
pub use walk::{Progress, Walked, create, record, retire, walk};
