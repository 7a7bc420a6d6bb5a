//! Helpers that several test modules share.

pub mod base64;
pub mod base64url;
pub mod bounds;
pub mod cluster;
pub mod database;
mod extent;
#[cfg(unix)]
pub mod found;
pub mod leak;
pub mod manifest;
#[cfg(feature = "cli")]
pub mod notes;
mod observer;
pub mod peers;
pub mod pooler;
pub mod postgres;
mod rings;
pub mod scripted_store;
#[cfg(feature = "cli")]
pub mod shell;
mod tokens;

pub use extent::{cases, far, is_full};
pub use observer::EventLog;
pub use rings::{BACKENDS, aes_key, aes_ring, aes_ring_of, jwt_ring, key, ring, secret};
pub use tokens::{encode, forge};
