//! Recognition of a secret that is no longer kept: the secret of a revoked or destroyed key.
//!
//! It guarantees: a secret that was revoked or destroyed is recognised when it is found again,
//! under any name and any kid, for every purpose; a recogniser cannot be used in the place of
//! the secret.
//!
//! ```text
//! tag = HMAC-SHA-256(secret without trailing zero bytes, "dualkey recogniser v1" 0 purpose 0 salt)
//! ```
//!
//! The salt is 16 random bytes, the tag 32 bytes. A document holds both in base64url without
//! padding: `"recogniser": { "salt": "…", "tag": "…" }`. Trailing zero bytes are left out,
//! because HMAC pads a key with them (RFC 2104 §2).
//!
//! It does not protect a weak secret: a reader of the document can test guesses of the secret
//! offline, as a reader of a `.env` file can read the secrets themselves. So documents with
//! recognisers have mode 0600.

use subtle::ConstantTimeEq;

use crate::encoding::{BASE64URL, decode_exact};
use crate::error::Error;
use crate::mac::HmacSha256;
use crate::purpose::Purpose;
use crate::secret::Secret;

const LABEL: &[u8] = b"dualkey recogniser v1\0";

/// A salted HMAC by which a wiped secret is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recogniser {
    purpose: Purpose,
    salt: [u8; 16],
    tag: [u8; 32],
}

/// A secret prepared for comparison with recognisers.
pub(crate) struct Candidate(HmacSha256);

impl Candidate {
    pub(crate) fn new(secret: &Secret) -> Self {
        let secret = secret.expose();
        let length = secret.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Self(HmacSha256::new(&secret[..length]))
    }

    fn tag(&self, purpose: Purpose, salt: &[u8; 16]) -> [u8; 32] {
        self.0.mac(&[LABEL, purpose.as_str().as_bytes(), b"\0", salt].concat())
    }
}

impl Recogniser {
    /// Makes a recogniser of `secret`, with a random salt.
    pub(crate) fn new(secret: &Secret, purpose: Purpose) -> Result<Self, Error> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|error| Error::Random { source: Box::new(error) })?;
        Ok(Self { purpose, salt, tag: Candidate::new(secret).tag(purpose, &salt) })
    }

    /// Reads the two texts of a document.
    pub(super) fn read(purpose: Purpose, salt: &str, tag: &str) -> Option<Self> {
        Some(Self {
            purpose,
            salt: decode_exact(salt.as_bytes())?,
            tag: decode_exact(tag.as_bytes())?,
        })
    }

    /// Returns salt and tag as texts of a document.
    pub(super) fn write(&self) -> (String, String) {
        (BASE64URL.encode_to_string(self.salt), BASE64URL.encode_to_string(self.tag))
    }

    /// Whether it was made of the secret of `candidate`.
    pub(crate) fn is_match(&self, candidate: &Candidate) -> bool {
        bool::from(candidate.tag(self.purpose, &self.salt).ct_eq(&self.tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recogniser_recognises_its_own_secret_alone() {
        let secret = Secret::from("Winter2024!Winter2025?");
        let recogniser = Recogniser::new(&secret, Purpose::Credential).unwrap();
        let is_match = |text: &str| recogniser.is_match(&Candidate::new(&Secret::from(text)));
        assert!(is_match("Winter2024!Winter2025?"));
        assert!(is_match("Winter2024!Winter2025?\0\0"));
        assert!(!is_match("Winter2024!Winter2025"));

        let other = Recogniser::new(&secret, Purpose::Credential).unwrap();
        assert_ne!(recogniser, other, "a salt is fresh");
        let (salt, tag) = recogniser.write();
        let read = |purpose, tag| Recogniser::read(purpose, &salt, tag).unwrap();
        let token = read(Purpose::VerifyToken, &tag);
        assert!(!token.is_match(&Candidate::new(&secret)), "a purpose is bound");
        assert_eq!(read(Purpose::Credential, &tag), recogniser);
        assert_eq!(Recogniser::read(Purpose::Credential, &salt, &tag[1..]), None);
    }

    /// Frozen: with another tag, a revoked secret of the field would come back.
    #[test]
    fn the_tag_of_a_recogniser_is_that_of_the_format() {
        let secret = Secret::from("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5");
        let tag = Candidate::new(&secret).tag(Purpose::Credential, &[7; 16]);
        assert_eq!(BASE64URL.encode_to_string(tag), "i9B235t9mR55JvI1O2eES5BKsiYC9lmtfIvi3mbPzkg");
    }
}
