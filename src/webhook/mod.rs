//! Webhooks signed with `X-Hub-Signature-256`, as Meta (Graph, Messenger, Instagram,
//! WhatsApp) and GitHub send them.
//!
//! ```text
//! X-Hub-Signature-256: "sha256=" 64 lower-case hexadecimal digits:
//!                      HMAC-SHA-256(app secret, raw body)
//! ```
//!
//! It promises: the raw bytes are checked before anything parses them, whole or as
//! they stream in; all keys are tried, always, in constant time; exactly one header of
//! exactly this form. Meta escapes the text before it signs, and sends what it signed:
//! verify the body as it came, never one that was parsed and serialised again.
//!
//! It does not promise *freshness*: the signature covers no time, so a delivery can be
//! replayed. Keep a list of delivery ids where that matters.
//!
//! # Rotation
//! Here the *peer* switches. Meta signs with a new app secret the moment it is reset,
//! so nobody can stage it first: what arrives before the ring learns of it is refused,
//! and comes again by retry; [`promote`](crate::KeyRing::promote) records what the
//! peer did. Where the secret is one's own choice, as on GitHub, stage it first. Retries
//! go on for 36 hours (Graph) to 7 days (WhatsApp): set the ring's
//! [`max_lifetime`](crate::RingBuilder::max_lifetime) to that.

mod delivery;
mod handshake;
mod key;
mod signature;
mod token;
mod unescaped;
mod verifier;

#[cfg(test)]
mod tests;

pub use delivery::Delivery;
pub use key::WebhookKey;
pub use token::VerifyToken;
pub use verifier::WebhookVerifier;
