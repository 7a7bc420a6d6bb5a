//! Secrets in a manifest: as text, or as marks of secrets that are elsewhere.

use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::unescape::unescape;
use crate::encoding::{from_base64, from_hex};
use crate::kid::Kid;
use crate::mac::HmacSha256;
use crate::purpose::Purpose;
use crate::secret::Secret;

/// The start of a mark.
pub(super) const MARK: &str = "mark:";

/// A secret in its text form, wiped when it is dropped.
pub(super) struct SecretText(pub(super) Zeroizing<String>);

impl SecretText {
    pub(super) fn new(secret: &Secret) -> Self {
        const PREFIX: &str = "base64:";
        let bytes = secret.expose();
        let mut text = String::with_capacity(PREFIX.len() + bytes.len().div_ceil(3) * 4);
        text.push_str(PREFIX);
        base64_simd::STANDARD.encode_append(bytes, &mut text);
        Self(Zeroizing::new(text))
    }

    pub(super) fn secret(&self) -> Option<Secret> {
        let text = &*self.0;
        if let Some(base64) = text.strip_prefix("base64:") {
            return from_base64(base64).map(Secret::from);
        }
        if let Some(digits) = text.strip_prefix("hex:") {
            return from_hex(digits).map(Secret::from);
        }
        text.strip_prefix("text:").map(Secret::from)
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    /// Deliberately not through a visitor of strings: where a text holds an escape, the parser puts
    /// it together in memory that is not wiped.
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(input)?;
        // Said without the value.
        let text = unescape(raw.get());
        text.map(Self).ok_or_else(|| serde::de::Error::custom("a secret must be text"))
    }
}

/// Returns the mark that replaces the secret of the key `kid` in a document without secrets: enough to find it
/// among those of a `.env` file, and of one that can be guessed not enough to confirm a guess.
pub(super) fn mark(kid: &Kid, secret: &Secret, purpose: Purpose) -> String {
    let length = if purpose.is_guessable(secret.expose().len()) { 2 } else { 8 };
    let label = [b"dualkey mark v1\0", kid.as_bytes()].concat();
    let tag = HmacSha256::new(secret.expose()).mac(&label);
    let digits = tag[..length].iter().map(|byte| format!("{byte:02x}"));
    digits.fold(MARK.to_owned(), |text, digits| text + &digits)
}
