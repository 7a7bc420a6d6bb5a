//! Rotations, as an operator makes them: checked before, told to the trail, one step after the
//! other.
//!
//! [`Operator`] takes single steps; [`run_rotation`] goes from the checks to the promotion.

mod check;
mod context;
mod create;
pub(crate) mod facts;
mod first_manifest;
mod manual_record;
mod new_keys;
mod operator;
mod past_steps;
mod preconditions;
mod retire;
mod rotation;
mod settlement;
mod steps;
mod transaction;

pub use check::{CHECKS, Check, CheckOutcome};
pub(crate) use create::begin_trail;
pub use create::{CreateOptions, create};
pub use manual_record::record;
pub use operator::Operator;
pub(crate) use past_steps::{check_new, last_step, unfinished_step};
pub use preconditions::checks;
pub use retire::retire;
pub use rotation::{Progress, RotationOutcome, run_rotation};
