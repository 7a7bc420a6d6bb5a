//! `Kid`, the public name of a key.
//!
//! A kid is safe to log and to send: it never holds a byte of a secret. One that was derived from
//! a weak secret allows guesses of it, as every token and every sealed row under that secret does:
//! see [`NewKey::kid`](crate::NewKey::kid). A kid is held inline and is `Copy`, so that a verified
//! value can carry it for free.

use std::fmt;
use std::str::FromStr;

/// The longest kid, in bytes.
const MAX_LEN: usize = 64;

/// The public name of a key: 1 to 64 characters of `A-Z a-z 0-9 - _ : / + = @ ~`.
///
/// A kid holds no dot (in a cookie it is between dots), no blank and no
/// control character (it is in log lines). The field `kid` of a token is
/// RFC 7515 §4.1.4.
///
/// ```
/// use dualkey::Kid;
///
/// let kid: Kid = "2026-q1".parse()?;
/// assert_eq!(kid.as_str(), "2026-q1");
/// assert!("line\nbreak".parse::<Kid>().is_err());
/// # Ok::<(), dualkey::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kid {
    // Zero beyond `len`, so that the derived comparisons hold.
    bytes: [u8; MAX_LEN],
    len: u8,
}

impl Kid {
    /// Checks `name` and makes it a kid.
    ///
    /// # Errors
    /// [`ParseKidError`] if it is empty, longer than 64 bytes, or holds a
    /// character outside of the alphabet.
    pub fn new(name: &str) -> Result<Self, ParseKidError> {
        Self::from_bytes(name.as_bytes()).map_err(|_| {
            let is_wrong = |character: &char| !u8::try_from(*character).is_ok_and(is_allowed);
            ParseKidError { length: name.len(), found: name.chars().find(is_wrong) }
        })
    }

    /// Checks the bytes of a kid; what is wrong with them is the error.
    pub(crate) fn from_bytes(name: &[u8]) -> Result<Self, &'static str> {
        if name.is_empty() {
            return Err("it is empty");
        }
        let mut bytes = [0; MAX_LEN];
        let room = bytes.get_mut(..name.len()).ok_or("it is longer than 64 bytes")?;
        room.copy_from_slice(name);
        if name.iter().copied().all(is_allowed) {
            Ok(Self { bytes, len: name.len() as u8 })
        } else {
            Err("only A-Z a-z 0-9 - _ : / + = @ ~ are allowed")
        }
    }

    /// Returns whether it is a number of this purpose, as in `jwt-2`.
    pub(crate) fn is_numbered(&self, purpose: &str) -> bool {
        let number = self.as_str().strip_prefix(purpose).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The kid as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII gets in, so this never falls back.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// Whether both are the same, by their ends first: there the names of a ring's keys differ, as
/// do the headers that end with one, and mostly nothing else has to be compared.
#[inline]
pub(crate) fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.last_chunk::<8>() == other.last_chunk::<8>() && one == other
}

fn is_allowed(byte: u8) -> bool {
    ALLOWED[usize::from(byte)]
}

/// The alphabet, by byte.
const ALLOWED: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        allowed[byte] = matches!(
            byte as u8,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9'
                | b'-' | b'_' | b':' | b'/' | b'+' | b'=' | b'@' | b'~'
        );
        byte += 1;
    }
    allowed
};

impl FromStr for Kid {
    type Err = ParseKidError;

    fn from_str(name: &str) -> Result<Self, ParseKidError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for Kid {
    type Error = ParseKidError;

    fn try_from(name: &str) -> Result<Self, ParseKidError> {
        Self::new(name)
    }
}

impl AsRef<str> for Kid {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Kid {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Kid {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kid({})", self.as_str())
    }
}

/// A text that cannot be a kid. Deliberately without the text: it may be a secret that was put into the
/// wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use a text of {length} bytes as a kid: {}; use 1 to 64 characters of `A-Z a-z 0-9 - _ : / + = @ ~`", problem(*found))]
#[non_exhaustive]
pub struct ParseKidError {
    /// The length of the text in bytes.
    pub length: usize,
    /// The first character that is not allowed; `None` if the length alone is wrong.
    pub found: Option<char>,
}

fn problem(found: Option<char>) -> String {
    match found {
        Some(character) => format!("the character U+{:04X} is not allowed", u32::from(character)),
        None => "its length is not allowed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kids_of_the_alphabet_are_taken_as_they_are() {
        for name in ["a", "k-1_2", "AAECAwQFBgcICQoL", "urn:key/7+=@~", &"k".repeat(64)] {
            assert_eq!(Kid::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn kids_with_control_characters_dots_or_blanks_are_refused() {
        for (name, wrong) in [
            ("", None),
            ("a.b", Some('.')),
            ("a b", Some(' ')),
            ("a\0", Some('\0')),
            ("a\nb", Some('\n')),
            ("\u{1b}[31m", Some('\u{1b}')),
            ("schlüssel", Some('ü')),
            (&"k".repeat(65), None),
            (&format!("{}.", "k".repeat(65)), Some('.')),
        ] {
            let ParseKidError { length, found } = Kid::new(name).unwrap_err();
            assert_eq!((length, found), (name.len(), wrong), "{name:?}");
        }
    }

    /// V10: what was put into the wrong place may be a secret.
    #[test]
    fn a_refused_kid_is_not_repeated() {
        for name in ["Winter.2024", "correct horse battery", &"Zq9Ml5Ki".repeat(9)] {
            let error = Kid::new(name).unwrap_err();
            let (text, debug) = (error.to_string(), format!("{error:?}"));
            for part in name.as_bytes().windows(5) {
                let part = std::str::from_utf8(part).unwrap();
                let is_there = text.contains(part) || debug.contains(part);
                assert!(!is_there, "{part} in {text} or {debug}");
            }
        }
        let text = Kid::new("a.b").unwrap_err().to_string();
        assert!(
            text.starts_with("cannot use a text of 3 bytes as a kid: the character U+002E"),
            "{text}"
        );
    }

    #[test]
    fn a_prefix_is_another_kid() {
        assert_ne!(Kid::new("ab").unwrap(), Kid::new("abc").unwrap());
    }
}
