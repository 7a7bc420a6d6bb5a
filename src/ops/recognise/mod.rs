//! Recognises the secrets of a `.env` file, by the names and the shapes of their values.
//!
//! It guarantees: no byte of a value is shown or written; of a secret only its length is used. A
//! variable is a secret if its name says so and its value does not speak against it, or if its value
//! has the shape of one. Each other variable is left out with a reason.
//!
//! It does not guarantee that a secret with an unusual name is found: the list of what was left out
//! is for a reader.

mod classify;
mod inventory_text;
mod measure;
mod name_table;
mod names;
mod proposed_store;
mod recognised;
mod shape;
mod shortfall;
mod survey;

pub use self::proposed_store::{ParseProposedStoreError, ProposedStore};
pub use self::recognised::{LeftOut, Recognised};
pub use self::shortfall::Shortfall;
pub use self::survey::Survey;
