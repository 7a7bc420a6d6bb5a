//! Takes over the values that a service uses: into the stores of an inventory, in the roles that
//! their variables give them.
//!
//! It guarantees: nothing is written unless every value can be taken; the primary of a secret is the
//! value that signs now, so that what was signed and sealed with it stays valid; no variable is
//! changed or removed; each secret has a record in the audit trail; a run that was interrupted is
//! continued by the next one, and one that finds nothing to do changes nothing.
//!
//! It does not know when a fallback was superseded: its overlap counts from the adoption.

mod adopter;
pub(crate) mod in_use;
mod outcome;
mod plan;
mod refusal;
mod source;
mod value_in_use;
mod values;

pub use self::adopter::Adopter;
pub use self::in_use::in_use;
pub(crate) use self::in_use::{check_not_in_use, first_audit_key_command};
pub use self::outcome::{Adopted, Refusal, Taken};
pub use self::source::Source;
pub use self::value_in_use::InUse;
