//! `Secret`, the bytes of a key before they are prepared.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// Key bytes: wiped on drop, never printed, read only through [`expose`](Self::expose).
///
/// There is no `Serialize`, no `PartialEq` and no `Deref`, so that a secret
/// reaches neither a log nor a comparison by accident.
///
/// ```
/// use dualkey::Secret;
///
/// let secret = Secret::from("kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5");
/// assert_eq!(format!("{secret:?}"), "Secret([REDACTED])");
/// assert_eq!(secret.expose().len(), 32);
/// ```
///
/// # Security
/// The bytes are overwritten when the value is dropped. Copies that the caller
/// made before (the string it was read from, the environment of the process)
/// stay where they are; the `From` impls for owned values wipe what they are
/// given.
#[derive(Clone)]
pub struct Secret {
    bytes: Zeroizing<Box<[u8]>>,
    /// Whether it is the value of a variable, as it is.
    is_text: bool,
}

impl Secret {
    /// The bytes themselves. Name the call in review: nothing after this
    /// call redacts them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// The value of a variable, whose form is checked when it becomes a key. In code, a caller has the
    /// bytes that it means.
    pub(crate) fn from_value(text: &str) -> Self {
        Self { is_text: true, ..Self::from(text) }
    }

    /// The value of a variable that it was made of; `None`, if it was made of bytes or in code.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok().filter(|_| self.is_text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self { bytes: Zeroizing::new(bytes.into()), is_text: false }
    }
}

impl<const N: usize> From<[u8; N]> for Secret {
    fn from(mut bytes: [u8; N]) -> Self {
        let secret = Self::from(&bytes[..]);
        bytes.zeroize();
        secret
    }
}

impl From<Vec<u8>> for Secret {
    fn from(mut bytes: Vec<u8>) -> Self {
        // Deliberately not `into_boxed_slice`: shrinking may move the bytes and
        // leave the old place unwiped.
        let secret = Self::from(&bytes[..]);
        bytes.zeroize();
        secret
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([REDACTED])")
    }
}

/// Overwrites 16 KiB of the stack below the caller. Calls that computed with a secret may have left
/// copies there, and a value that is built later may take them along in its unused bytes. Deeper copies,
/// and those in the frames of the callers, stay.
#[inline(never)]
#[cfg_attr(not(feature = "full"), allow(dead_code, reason = "stores use it, behind a feature"))]
pub(crate) fn wipe_stack() {
    let mut below = [0_u8; 16 * 1024];
    std::hint::black_box(&mut below);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_in_keeps_the_bytes() {
        let bytes = b"some bytes".to_vec();
        for secret in [
            Secret::from("some bytes"),
            Secret::from(&bytes[..]),
            Secret::from(*b"some bytes"),
            Secret::from(bytes.clone()),
            Secret::from("some bytes".to_owned()),
        ] {
            assert_eq!(secret.expose(), bytes);
            assert!(!format!("{secret:?} {secret:#?}").contains("bytes"));
        }
    }
}
