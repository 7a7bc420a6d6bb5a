//! Secrets that are not verified but shown: API keys, passwords, URLs with one.
//!
//! Whoever verifies them is elsewhere, and says of one at a time whether it is right. So a ring
//! of [`Credential`]s says which is shown now, and learns from the answer: [`Credentials`]. On top
//! of it:
//!
//! - `credential::api` (feature `api-key`): API keys that go out with requests, as a tower layer; as
//!   middleware of `reqwest` with the feature `reqwest`.
//! - `credential::database` (feature `pool-postgres`): a pool of `sqlx` whose password rotates.
//!
//! It promises: what is on offer is the primary, then a staged one, then the fallbacks, a
//! revoked one never; one that was refused cools down, for longer each time, and is then tried by one
//! caller while all others go on; the last good one is kept meanwhile; a thousand that are refused
//! at once make one switch.
//!
//! It does not promise that a refusal is a refusal of the credential: only who talks to the
//! other side can tell, and must take nothing else for one (no timeout, no failure of the server).

#[cfg(feature = "api-key")]
pub mod api;
mod credentials;
#[cfg(feature = "pool-postgres")]
pub mod database;
mod key;
mod selector;

pub use credentials::{Attempt, Credentials};
pub use key::Credential;
