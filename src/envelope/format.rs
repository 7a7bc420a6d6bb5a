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
    pub(super) fn parse(stored: &'s [u8], max: usize) -> Result<Self, Reason> {
        if stored.len() > max_stored(max) {
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

/// How many bytes a value may have whose payload has at most `max`: hexadecimal digits are the
/// longest form of a byte.
pub(super) fn max_stored(max: usize) -> usize {
    max.saturating_add(OVERHEAD + MAX_KID).saturating_mul(2).saturating_add(1)
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

/// The beginning of an envelope, up to its kid, which may not be one: what a ring does not
/// know is [checked](Self::reason_if_unknown) then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'b> {
    pub(super) kid: &'b [u8],
}

impl<'b> Head<'b> {
    /// Reads the head of a whole envelope.
    #[inline]
    pub(super) fn parse(blob: &'b [u8]) -> Result<Self, Reason> {
        let head = Self::read(blob)?;
        if blob.len() >= OVERHEAD + head.kid.len() { Ok(head) } else { Err(Reason::Malformed) }
    }

    #[inline]
    fn read(start: &'b [u8]) -> Result<Self, Reason> {
        let (mark, rest) = start.split_first_chunk::<4>().ok_or(Reason::Malformed)?;
        if mark[..2] != MARK[..2] {
            return Err(Reason::Malformed);
        }
        if mark[2..] != MARK[2..] {
            return Err(Reason::UnsupportedHeader);
        }
        let (length, rest) = rest.split_first().ok_or(Reason::Malformed)?;
        let kid = rest.get(..usize::from(*length)).ok_or(Reason::Malformed)?;
        Ok(Self { kid })
    }

    /// The kid of what is stored in either form, of which only the beginning is decoded.
    pub(super) fn peek(stored: &[u8]) -> Option<Kid> {
        if is_binary(stored) {
            return Kid::from_bytes(Head::parse(stored).ok()?.kid).ok();
        }
        let body = stored.strip_prefix(TEXT_MARK.as_bytes())?;
        // Whole groups of four characters, enough for the longest kid.
        let start = BASE64URL.decode_to_vec(body.get(..92).unwrap_or(body)).ok()?;
        let head = Head::read(&start).ok()?;
        let kid = Kid::from_bytes(head.kid).ok()?;
        (body.len() * 3 / 4 >= OVERHEAD + head.kid.len()).then_some(kid)
    }

    /// Why it opens nothing, where the ring has no such key.
    pub(super) fn reason_if_unknown(&self) -> Reason {
        match Kid::from_bytes(self.kid) {
            Ok(_) => Reason::UnknownKid,
            Err(_) => Reason::Malformed,
        }
    }

    /// Where the kid ends and the wrap begins.
    fn kid_end(&self) -> usize {
        MARK.len() + 1 + self.kid.len()
    }

    /// Where the wrap ends and the sealed payload begins.
    pub(super) fn len(&self) -> usize {
        self.kid_end() + WRAP_LEN
    }

    /// How long the payload of `blob` is.
    pub(super) fn payload_len(&self, blob: &[u8]) -> usize {
        blob.len().saturating_sub(OVERHEAD + self.kid.len())
    }

    /// What the wrap's tag covers beside the key: all bytes before its nonce.
    pub(super) fn associated<'a>(&self, blob: &'a [u8]) -> &'a [u8] {
        &blob[..self.kid_end()]
    }

    /// The nonce, the wrapped key and the tag of the wrap.
    #[inline]
    pub(super) fn wrap<'a>(
        &self,
        blob: &'a [u8],
    ) -> Option<([u8; NONCE_LEN], &'a [u8; KEY_LEN], Tag)> {
        let wrap = blob.get(self.kid_end()..self.len())?;
        let (nonce, rest) = wrap.split_first_chunk()?;
        let (key, tag) = rest.split_first_chunk()?;
        Some((*nonce, key, tag.try_into().ok()?))
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
        let kid = self.kid;
        blob.extend_from_slice(&MARK);
        blob.push(u8::try_from(kid.len()).expect("a kid has at most 64 bytes"));
        blob.extend_from_slice(kid);
    }
}

/// Calls `with` with what the tag of the payload covers beside it: magic, version, algorithm
/// and the caller's context.
#[inline]
pub(super) fn associated<R>(context: &[u8], with: impl FnOnce(&[u8]) -> R) -> R {
    // Most contexts are short: without an allocation.
    let mut room = [0; 128];
    let long;
    let (mark, rest) = room.split_at_mut(MARK.len());
    with(match rest.get_mut(..context.len()) {
        Some(short) => {
            mark.copy_from_slice(&MARK);
            short.copy_from_slice(context);
            &room[..MARK.len() + context.len()]
        }
        None => {
            long = [&MARK, context].concat();
            &long
        }
    })
}
