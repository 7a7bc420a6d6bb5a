//! Rotations, as an operator makes them: checked before, told to the trail, one step after the
//! other.
//!
//! [`Operator`] takes single steps; [`walk`] goes from the checks to the promotion.

mod check;
mod create;
mod operator;
mod taking;
mod walk;

pub use check::{CHECKS, Check, CheckOutcome, checks};
pub(crate) use create::begin_trail;
pub use create::{By, create};
pub use operator::Operator;
pub(crate) use taking::{begun, check_new, last_step, reports, to_retire, with_role};
pub use walk::{Progress, Walked, record, retire, walk};
