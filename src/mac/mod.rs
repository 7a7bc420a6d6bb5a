//! Keyed HMAC, prepared once and verified against several keys in one pass.
//!
//! What it promises: the bytes of RFC 2104 and FIPS 180-4, all keys computed and
//! compared in constant time, no allocation.
//!
//! HMACs of one message under several keys share the message's schedule and
//! differ in eight words of state, so their rounds are interleaved: with the SHA
//! extensions of x86-64, two keys take hardly longer than one on AMD Zen 4, and 1.5
//! times as long on an Intel Xeon for 64 KiB. Elsewhere the keys are computed one
//! after the other through `sha2`, with the same result.
//!
//! What it does not promise: to hide the length of the message or the number of
//! keys, or that two keys cost as much as one on every processor.

#[cfg(test)]
pub(crate) mod count;
mod kernel;
pub(crate) mod lanes;
mod wide;

#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use lanes::verify_any_portable;
pub use lanes::{HmacSha256, Lanes, MAX_LANES, Tags, verify_any};
pub use wide::{HmacSha384, HmacSha512};
