//! JSON Web Tokens over a ring: signed with the primary, verified with all.
//!
//! ```text
//! base64url(header) "." base64url(claims) "." base64url(HMAC(header "." claims))
//! ```
//!
//! It promises: a key verifies its own algorithm and no other (V1); a token that
//! names a key is checked with that key alone (V2); nothing in a payload is parsed
//! before the signature held (V4); all keys that are tried are tried in constant
//! time (V5). `sign` always writes a `kid`.
//!
//! The rest follows `jsonwebtoken`, whose [`Header`], [`Validation`] and
//! [`Algorithm`] are used as they are. Under a `Validation` that is taken
//! [literally](Dangerous::validation), the verdict is that of `jsonwebtoken::decode`, but for
//! these:
//!
//! | a token with | `jsonwebtoken` | here |
//! |---|---|---|
//! | an unknown `kid` | the caller chooses the key | refused |
//! | `crit`, `zip`, or `b64` other than `true` in its header | accepted | refused |
//! | a header name twice, or a `kid` of `null` | accepted | refused |
//! | `exp` equal to now, with no leeway | accepted | refused (RFC 7519 §4.1.4) |
//! | a fractional `exp` or `nbf` | rounded | taken exactly |
//! | no `iss`, `sub` or `aud`, or one that is `null`, where a value is asked for | accepted | refused (RFC 8725 §3.8, §3.9) |
//! | `iss`, `sub`, `aud` of the wrong JSON type, where it is asked for | accepted | refused |
//! | an `exp` or `nbf` of `null` that is checked and not required | refused | accepted, it counts as absent |
//! | an `iss` that is an array | accepted if one matches | refused |
//! | a negative `nbf` | refused | accepted, it is in the past |
//! | `iat` or `jti` twice | accepted | refused |
//! | a payload that is not an object or not UTF-8 | accepted if the type takes it | refused |
//! | more than 8 KiB | accepted | refused, unless set |
//!
//! `null` in a registered claim that is not required counts as absent; in one that is required,
//! as missing. [`Jwt::sign`] refuses claims that [`Jwt::verify`] of the same settings would
//! reject for their form.
//!
//! `Validation::algorithms` may name algorithms of several families, which
//! `jsonwebtoken` refuses: it is each key that decides. Keys of asymmetric
//! algorithms are not supported yet, and refused when the ring is built.
//!
//! # Security
//! What verifies is authentic, not fresh: a token can be replayed until its `exp`.
//! Keep the overlap of the ring at least as long as the max lifetime of a token,
//! plus the leeway.

mod adapter;
mod authenticate;
mod claims;
mod header;
mod key;
mod observe;
#[cfg(any(test, fuzzing))]
mod reference;
mod refusal;
mod registered;
mod serialize;
mod settings;
mod sign;
mod verify;
mod watch;

#[cfg(test)]
mod tests;

pub use jsonwebtoken::{Algorithm, Header, TokenData, Validation};

pub use adapter::Jwt;
pub use key::JwtKey;
pub use settings::Dangerous;
