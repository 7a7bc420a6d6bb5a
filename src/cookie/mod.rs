//! Signed cookies over a ring: a value that the client can read and not change.
//!
//! ```text
//! value "." kid "." issued "." mac
//!
//! value   percent-encoded, as the `cookie` crate does it
//! kid     the key that signed it
//! issued  when the value was first signed, in decimal seconds since the epoch
//! mac     43 characters of unpadded base64url:
//!         HMAC-SHA-256(key, len name len value len kid len issued)
//! key     HMAC-SHA-256("dualkey cookie v1", secret): HKDF-Extract (RFC 5869 §2.2), with the
//!         label as the salt
//! ```
//!
//! Each part is in the MAC after its length in bytes, as a big-endian `u64`; the value
//! percent-encoded, so that one value has one MAC. Frameworks percent-decode the cookies that
//! they read and percent-encode those that they write: a value verifies in each of these
//! spellings.
//!
//! It promises *integrity, authenticity and age*: a value cannot be changed, moved to
//! a cookie of another name, or kept past its age; a value that is signed again
//! keeps the time of its first issue. It does not promise *confidentiality* (the
//! client reads it) or *freshness* (a client may send an older value of the same
//! cookie until that is too old).
//!
//! Cookies that other libraries signed under the same secret are [read for a
//! while](CookieSigner::accept_legacy), and come back in this form.

pub(crate) mod attributes;
mod format;
pub(crate) mod header;
mod jar;
mod key;
mod legacy;
mod resign;
mod signer;
mod verify;

#[cfg(test)]
mod tests;

pub use cookie::{Cookie, CookieJar, SameSite};

pub use jar::Jar;
pub use key::CookieKey;
pub use legacy::LegacyCookie;
pub use signer::CookieSigner;
