//! The audit trail: what was done to which secret, by whom, and how it went.
//!
//! ```text
//! 2026-01-15 10:00:00 UTC | JWT_SECRET | ROTATED | user@example.com | prod | SUCCESS
//!     | kid=ccR5-2VI_YqfJw9i | from=staged | to=primary | reason=the quarter | ring=h3…
//!     | revision=3 | n=17 | prev=<hash of the line before> | mac=<kid>.<MAC of all before it>
//! ```
//!
//! It promises: a record that was changed, removed or moved is found, and the first such one
//! named ([`Trail::verify`]), the last ones included; a line that is no record decides nothing,
//! is never settled or signed, and is shown as forged ([`Trail::read`]); text of an operator's
//! stays in its field and on its line; what is appended survives a crash, whole or not at all;
//! no record holds a byte of a secret.
//!
//! What each line holds of the one before is SHA-256 of it. The MAC is HMAC-SHA-256 under a key
//! of its own ring, from HMAC-SHA-256(secret, `dualkey audit v1`); that ring rotates as any
//! other, and keeps its old keys.
//!
//! It does not notice an attacker who has the key of the audit and writes the trail again, nor
//! one who puts another copy in the place of *all* of it, head included: an older one, or one of
//! another trail under the same key. Send the records to a second place as well (`TracingSink`),
//! or keep the head elsewhere, and give each trail its own key. It does not prevent a deletion,
//! but that shows: a trail without a record is an error where a store holds what a step made.

mod action;
mod chain;
mod error;
mod escape;
mod file;
mod head;
mod import;
mod json;
mod key;
mod line;
mod lines;
mod observer;
#[cfg(feature = "store-postgres")]
mod postgres;
mod problem;
mod query;
mod record;
mod search;
mod segments;
mod sink;
mod torn;
#[cfg(feature = "tracing")]
mod tracing;
mod verify;

#[cfg(feature = "tracing")]
pub use self::tracing::TracingSink;
pub use action::{Action, Outcome, ParseActionError};
pub use error::AuditError;
pub use file::FileTrail;
pub use import::{Imported, import};
pub use json::to_json;
pub use key::AuditKey;
pub use observer::AuditObserver;
#[cfg(feature = "store-postgres")]
pub use postgres::PostgresTrail;
pub use problem::{Forged, Problem, Verification};
pub use query::{Entry, Listing, Query};
pub use record::Record;
pub use sink::{AuditFuture, Guard, Sink, Trail};
