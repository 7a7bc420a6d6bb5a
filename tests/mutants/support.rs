//! The helpers of `tests/it` that the tests in `tests.rs` use.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

#[path = "../it/support/base64.rs"]
pub mod base64;
#[path = "../it/support/base64url.rs"]
pub mod base64url;
#[path = "../it/support/bounds.rs"]
pub mod bounds;
#[path = "../it/support/extent.rs"]
mod extent;
#[path = "../it/support/manifest.rs"]
pub mod manifest;
#[path = "../it/support/observer.rs"]
mod observer;
#[path = "../it/support/rings.rs"]
mod rings;
#[path = "../it/support/scripted_store.rs"]
pub mod scripted_store;
#[path = "../it/support/tokens.rs"]
mod tokens;

pub use extent::{cases, far, is_full};
pub use observer::EventLog;
pub use rings::{aes_key, aes_ring, aes_ring_of, jwt_ring, key, ring, secret};
pub use tokens::{encode, forge};
