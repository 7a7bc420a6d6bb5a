//! x
#![deny(unsafe_code)]
mod clock;
mod error;
mod kid;
mod secret;
pub mod mac;
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Claim, Error, Reason, VerifyError};
pub use kid::Kid;
pub use secret::Secret;
