//! The text form of a secret in a variable.

use zeroize::Zeroizing;

use super::Purpose;
use crate::encoding::{from_any_base64, from_hex};
use crate::secret::Secret;

impl Purpose {
    /// Reads the secret from the text of a variable; the expected form is the error. `hex:` and `base64:`, of either alphabet, say what follows. Else it is, as Node's and Python's
    /// libraries take it, its UTF-8 bytes; of an AES key, hexadecimal digits or base64.
    pub(crate) fn decode(self, text: String) -> Result<Secret, &'static str> {
        let text = Zeroizing::new(text);
        if let Some(digits) = text.strip_prefix("hex:") {
            return from_hex(digits).map(Secret::from).ok_or("hexadecimal digits after `hex:`");
        }
        if let Some(base64) = text.strip_prefix("base64:") {
            return from_any_base64(base64).map(Secret::from).ok_or("base64 after `base64:`");
        }
        if self != Self::Envelope {
            return Ok(Secret::from_value(&text));
        }
        // A key in hexadecimal digits would be base64 of another length as well.
        let is_hex =
            text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bytes = if is_hex { from_hex(&text) } else { from_any_base64(&text) };
        bytes.map(Secret::from).ok_or("64 hexadecimal digits or base64 of 32 bytes")
    }

    /// Writes a secret as the text of a variable, which [`decode`](Self::decode) reads.
    #[cfg_attr(not(feature = "full"), allow(dead_code, reason = "stores use it, behind a feature"))]
    pub(crate) fn encode(self, secret: &[u8]) -> Zeroizing<String> {
        let text = std::str::from_utf8(secret).ok().filter(|text| {
            let is_printed = text.chars().all(|character| !character.is_control());
            is_printed && !text.starts_with("hex:") && !text.starts_with("base64:")
        });
        match text {
            Some(text) if self != Self::Envelope => Zeroizing::new(text.to_owned()),
            _ => {
                let prefix = if self == Self::Envelope { "" } else { "hex:" };
                // With its room from the start, so that no part is left behind unwiped.
                let mut text = String::with_capacity(prefix.len() + secret.len() * 2);
                text.push_str(prefix);
                for half in secret.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
                    text.push(char::from_digit(half.into(), 16).unwrap_or_default());
                }
                Zeroizing::new(text)
            }
        }
    }

    /// The text of a secret for a reader that reads `like`: an AES key in the form of that text,
    /// because a reader of base64 takes hexadecimal digits for another key.
    #[cfg_attr(not(feature = "full"), allow(dead_code, reason = "stores use it, behind a feature"))]
    pub(crate) fn encode_like(self, secret: &[u8], like: Option<&str>) -> Zeroizing<String> {
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (prefix, is_base64) = match like {
            Some(text) if text.starts_with("hex:") => ("hex:", false),
            Some(text) if text.starts_with("base64:") => ("base64:", true),
            Some(text) => ("", !is_hex(text)),
            None => ("", false),
        };
        if self != Self::Envelope || (prefix.is_empty() && !is_base64) {
            return self.encode(secret);
        }
        // With its room from the start, so that no part is left behind unwiped.
        let mut text = String::with_capacity(prefix.len() + secret.len() * 2 + 4);
        text.push_str(prefix);
        if !is_base64 {
            text.push_str(&self.encode(secret));
        } else if like.is_some_and(|like| like.contains(['-', '_'])) {
            // In the alphabet that the reader is known to take.
            base64_simd::URL_SAFE.encode_append(secret, &mut text);
        } else {
            base64_simd::STANDARD.encode_append(secret, &mut text);
        }
        Zeroizing::new(text)
    }
}
