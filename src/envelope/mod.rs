//! Envelopes for data at rest: every message under a key of its own, which is wrapped
//! under a key of the ring.
//!
//! ```text
//! magic "DK" | version 1 | algorithm 1 | kid length u8 | kid
//! wrap nonce 12 | wrapped DEK 32 | wrap tag 16    associated data: all bytes before the wrap nonce
//! nonce 12 | ciphertext n | tag 16                associated data: magic, version, algorithm, context
//! ```
//!
//! Both are AES-256-GCM. The data-encryption key (DEK) and the nonces come from the
//! operating system, fresh for every message; the key-encryption key (KEK) is the key of
//! the ring. An envelope has 93 bytes more than its payload, and its kid. Its text form,
//! for columns of text, is `dk1.` and the unpadded base64url of these bytes.
//!
//! It promises *confidentiality and integrity*: of the payload, and that it is opened in
//! the *context* it was sealed in, such as the table, row and column that it belongs to. An
//! envelope names its key, and is opened with that key alone: GCM does not commit to its
//! key, and ciphertexts that open under two keys are easily made.
//!
//! It does not promise *freshness* (an older value of the same context opens as well), and
//! does not hide the length of the payload nor which key it is under. A key seals at most
//! 2^32 messages (SP 800-38D §8.3): each process counts its own, warns from 2^28 on through
//! [`Event::MessageLimitNear`](crate::Event::MessageLimitNear), and refuses at the limit; the sum over a
//! fleet is yours to keep. A key that Node has used under random `iv`s has used up of the
//! same allowance.
//!
//! # Rotation
//! Encryption keys do not end by time. [Promote](crate::KeyRing::promote) a new one, and
//! what is written from then on is under it; rewrap what is stored, which a rewrap of the module
//! `rewrap` does while the service runs; then, and not before,
//! [retire](crate::KeyRing::retire) the old one.
//!
//! A [`rewrap`](Sealer::rewrap) opens the value in its context and seals it again, with a new
//! DEK. So no KEK but the one that an envelope names ever wrapped its DEK, and every rewrap proves
//! that the value opens. If a KEK leaks, revoke it. Values that were rewrapped before are safe;
//! values still under it are opened with [`open_revoked`](Dangerous::open_revoked) and sealed
//! again.

mod aead;
mod column;
mod format;
mod key;
mod legacy;
mod open;
mod open_revoked;
mod rewrap;
mod rewrap_stored;
mod seal;
mod sealer;

#[cfg(test)]
mod tests;

pub use aead::Backend;
#[allow(unused_imports, reason = "only `rewrap`, a higher module, reads columns")]
pub(crate) use column::ColumnValue;
pub use column::{Payload, Sealed};
pub use key::AesKey;
pub use legacy::Layout;
pub use rewrap::RewrapError;
#[allow(unused_imports, reason = "only `rewrap`, a higher module, rewraps whole stores")]
pub(crate) use rewrap_stored::RewrapOptions;
pub use sealer::{Dangerous, Sealer};
