//! The bytes of an envelope: see the module above for the layout.

use std::borrow::Cow;
use std::ops::Range;

use super::aead::{KEY_LEN, NONCE_LEN, TAG_LEN, Tag};
use crate::encoding::BASE64URL;
use crate::error::Reason;
use crate::kid::Kid;

/// Magic, version, algorithm.
pub(super) const MARK: [u8; 4] = *b"DK\x01\x01";
pub(super) const TEXT_MARK: &str = "dk1.";

/// The wrapped key with its nonce and tag.
const WRAP_LEN: usize = NONCE_LEN + KEY_LEN + TAG_LEN;
/// What stands around the payload, but for the kid.
pub(super) const OVERHEAD: usize = MARK.len() + 1 + WRAP_LEN + NONCE_LEN + TAG_LEN;
/// The longest kid that one byte of length and the alphabet allow.
const MAX_KID: usize = 64;

/// What is stored, by its first bytes.
pub(super) enum Stored<'s> {
    Native(Cow<'s, [u8]>),
    Legacy(&'s str),
}

impl<'s> Stored<'s> {
    /// Tells the forms apart, and decodes the text of a native envelope. Nothing of
    /// another size than a payload of `max` bytes can have is looked at.
    pub(super) fn of(stored: &'s [u8], max: usize) -> Result<Self, Reason> {
        // Hexadecimal digits are the longest form of a byte.
        if stored.len() / 2 > max.saturating_add(OVERHEAD + MAX_KID) {
            return Err(Reason::TooLarge);
        }
        if is_binary(stored) {
            return Ok(Self::Native(Cow::Borrowed(stored)));
        }
        let text = std::str::from_utf8(stored).map_err(|_| Reason::Malformed)?;
        match body(text)? {
            Some(body) => {
                let bytes = BASE64URL.decode_to_vec(body).map_err(|_| Reason::Malformed)?;
                Ok(Self::Native(Cow::Owned(bytes)))
            }
            None => Ok(Self::Legacy(text)),
        }
    }
}

/// The magic, and a version, which no text has for a third character.
pub(super) fn is_binary(stored: &[u8]) -> bool {
    stored.starts_with(&MARK[..2]) && stored.get(2).is_none_or(|version| *version < b' ')
}

/// The base64 of a native envelope in text form; `None` if it is no such text.
fn body(text: &str) -> Result<Option<&str>, Reason> {
    let Some(after) = text.strip_prefix("dk") else { return Ok(None) };
    let Some((version, body)) = after.split_once('.') else { return Ok(None) };
    match version {
        "1" => Ok(Some(body)),
        _ if version.bytes().all(|byte| byte.is_ascii_digit()) => Err(Reason::UnsupportedHeader),
        _ => Ok(None),
    }
}

pub(super) fn to_text(blob: &[u8]) -> String {
    let mut text = TEXT_MARK.to_owned();
    BASE64URL.encode_append(blob, &mut text);
    text
}

/// The beginning of an envelope, up to its kid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) kid: Kid,
}

impl Head {
    /// Reads the head of a whole envelope.
    pub(super) fn of(blob: &[u8]) -> Result<Self, Reason> {
        let head = Self::read(blob)?;
        match blob.len() >= OVERHEAD + head.kid.as_str().len() {
            true => Ok(head),
            false => Err(Reason::Malformed),
        }
    }

    fn read(start: &[u8]) -> Result<Self, Reason> {
        let (mark, rest) = start.split_first_chunk::<4>().ok_or(Reason::Malformed)?;
        if mark[..2] != MARK[..2] {
            return Err(Reason::Malformed);
        }
        if mark[2..] != MARK[2..] {
            return Err(Reason::UnsupportedHeader);
        }
        let (length, rest) = rest.split_first().ok_or(Reason::Malformed)?;
        let kid = rest.get(..usize::from(*length)).ok_or(Reason::Malformed)?;
        let kid = std::str::from_utf8(kid).map_err(|_| Reason::Malformed)?;
        Ok(Self { kid: Kid::new(kid).map_err(|_| Reason::Malformed)? })
    }

    /// The head of what is stored in either form, of which only the beginning is decoded.
    pub(super) fn peek(stored: &[u8]) -> Option<Self> {
        if is_binary(stored) {
            return Self::of(stored).ok();
        }
        let body = stored.strip_prefix(TEXT_MARK.as_bytes())?;
        // Whole groups of four characters, enough for the longest kid.
        let start = BASE64URL.decode_to_vec(body.get(..92).unwrap_or(body)).ok()?;
        let head = Self::read(&start).ok()?;
        (body.len() * 3 / 4 >= OVERHEAD + head.kid.as_str().len()).then_some(head)
    }

    /// Where the kid ends and the wrap begins.
    fn kid_end(&self) -> usize {
        MARK.len() + 1 + self.kid.as_str().len()
    }

    /// Where the wrap ends and the sealed payload begins.
    pub(super) fn len(&self) -> usize {
        self.kid_end() + WRAP_LEN
    }

    /// How long the payload of `blob` is.
    pub(super) fn payload_len(&self, blob: &[u8]) -> usize {
        blob.len().saturating_sub(OVERHEAD + self.kid.as_str().len())
    }

    /// What the wrap's tag covers beside the key: all bytes before its nonce.
    pub(super) fn associated<'b>(&self, blob: &'b [u8]) -> &'b [u8] {
        &blob[..self.kid_end()]
    }

    /// The nonce, the wrapped key and the tag of the wrap.
    pub(super) fn wrap(&self, blob: &[u8]) -> Option<([u8; NONCE_LEN], [u8; KEY_LEN], Tag)> {
        let wrap = blob.get(self.kid_end()..self.len())?;
        let (nonce, rest) = wrap.split_first_chunk()?;
        let (key, tag) = rest.split_first_chunk()?;
        Some((*nonce, *key, tag.try_into().ok()?))
    }

    /// The sealed payload of `blob`: its nonce, where its ciphertext is, and its tag.
    pub(super) fn payload(&self, blob: &[u8]) -> Option<([u8; NONCE_LEN], Range<usize>, Tag)> {
        let (nonce, rest) = blob.get(self.len()..)?.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        let start = self.len() + NONCE_LEN;
        Some((*nonce, start..start + ciphertext.len(), *tag))
    }

    /// Writes the head, up to where the wrap begins.
    pub(super) fn write(&self, blob: &mut Vec<u8>) {
        let kid = self.kid.as_str().as_bytes();
        blob.extend_from_slice(&MARK);
        blob.push(u8::try_from(kid.len()).expect("a kid has at most 64 bytes"));
        blob.extend_from_slice(kid);
    }
}

/// What the tag of the payload covers beside it: magic, version, algorithm and the
/// caller's context.
pub(super) fn associated(context: &[u8]) -> Vec<u8> {
    [&MARK, context].concat()
}
