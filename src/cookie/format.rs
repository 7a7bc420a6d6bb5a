//! The bytes of a native cookie: see the module above for the layout.

use std::fmt::Write;
use std::time::Duration;

use cookie::Cookie;
use percent_encoding::percent_decode_str;

use crate::encoding::{BASE64URL, TAG_TEXT_LEN, decode_exact};
use crate::error::Reason;
use crate::kid::Kid;
use crate::mac::lanes::{bytes, matching, words};
use crate::mac::{HmacSha256, Lanes};

/// A value, taken apart from the right: a kid holds no dot, a value may.
pub(super) struct Parts<'v> {
    value: &'v str,
    pub(super) kid: &'v str,
    issued: &'v str,
    mac: &'v str,
}

impl<'v> Parts<'v> {
    /// `None` if it is not of the form at all; whether its number and its MAC are any is
    /// another question: [`is_whole`](Self::is_whole).
    #[inline(always)]
    pub(super) fn split(text: &'v str) -> Option<Self> {
        let (text, mac) = text.split_at_checked(text.len().checked_sub(TAG_TEXT_LEN)?)?;
        // Seconds have ten digits until the year 2286, and derived kids sixteen characters.
        let (text, issued) = split_last(text.strip_suffix('.')?, 10)?;
        let (value, kid) = split_last(text, 16)?;
        Some(Self { value, kid, issued, mac })
    }

    /// Whether there is a number and a MAC.
    pub(super) fn is_whole(&self) -> bool {
        self.issued_if_whole().is_some()
    }

    /// The time of issue, if there is a MAC too; whether that holds is another question.
    pub(super) fn issued_if_whole(&self) -> Option<Duration> {
        self.issued().filter(|_| self.mac().is_some())
    }

    #[inline(always)]
    fn issued(&self) -> Option<Duration> {
        // One number, one text: no sign, no leading zeros.
        let is_canonical =
            self.issued == "0" || self.issued.starts_with(|c: char| ('1'..='9').contains(&c));
        self.issued.parse().ok().filter(|_| is_canonical).map(Duration::from_secs)
    }

    #[inline(always)]
    fn mac(&self) -> Option<[u8; 32]> {
        decode_exact(self.mac.as_bytes())
    }

    /// What a MAC covers under the name of the cookie.
    #[inline(always)]
    pub(super) fn message<'m>(&self, room: &'m mut Room, name: &'m str) -> Message<'m>
    where
        'v: 'm,
    {
        Message::new(room, [name, self.value, self.kid, self.issued])
    }

    /// The time of issue, if `key` signed the `message`.
    #[inline(always)]
    pub(super) fn verify(
        &self,
        key: &HmacSha256,
        message: &Message<'_>,
    ) -> Result<Duration, Reason> {
        let issued = self.issued().ok_or(Reason::Malformed)?;
        let expected = message.mac(key);
        // Read behind the MAC: a hash waits for itself most of the time, and the processor has
        // this done meanwhile.
        let mac = self.mac().ok_or(Reason::Malformed)?;
        matching(&[expected], &words(&mac)).map(|_| issued).ok_or(Reason::Signature)
    }

    /// What was signed; `None` if it is not UTF-8, which nothing here ever signs.
    #[inline(always)]
    pub(super) fn decode(&self) -> Option<String> {
        if has_byte(self.value, b'%') {
            Some(percent_decode_str(self.value).decode_utf8().ok()?.into_owned())
        } else {
            Some(self.value.to_owned())
        }
    }
}

/// The texts that `text` may have been when it was signed, if it was not this one: frameworks
/// percent-decode the cookies that they read, and percent-encode those that they write. Each
/// differs from `text`; without an escape in it there is none.
pub(super) fn other_spellings(text: &str) -> impl Iterator<Item = String> {
    let undo_decoding = || {
        let Parts { value, kid, issued, mac } = Parts::split(text)?;
        let has_escape = !value.bytes().all(is_unescaped);
        has_escape.then(|| format!("{}.{kid}.{issued}.{mac}", encode(value)))
    };
    let undo_encoding = || {
        let decoded =
            has_byte(text, b'%').then(|| percent_decode_str(text).decode_utf8().ok())??;
        (decoded != text).then(|| decoded.into_owned())
    };
    undo_decoding().into_iter().chain(undo_encoding())
}

/// Percent-encodes as the `cookie` crate does: one value has one text.
fn encode(value: &str) -> String {
    // `cookie` encodes only whole cookies; an empty name leaves `=` before the value.
    let mut text = Cookie::new("", value).encoded().stripped().to_string();
    text.remove(0);
    text
}

/// Returns whether [`encode`] leaves a byte as it is.
fn is_unescaped(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$&'*+-._~".contains(&byte)
}

/// What stands before and behind the last dot, which leaves `usual` bytes behind it in most
/// cookies: so it is looked for there first.
#[inline(always)]
fn split_last(text: &str, usual: usize) -> Option<(&str, &str)> {
    let at_usual = text.len().checked_sub(usual).and_then(|start| text.split_at_checked(start));
    if let Some((before, behind)) = at_usual
        && let Some(before) = before.strip_suffix('.')
        && !has_byte(behind, b'.')
    {
        return Some((before, behind));
    }
    // Not `'.'`: the compiler does not inline that search once other code uses it.
    text.rsplit_once(['.'])
}

/// Whether `byte` is there at all: without a way out, so that it is compiled to vectors.
#[inline(always)]
fn has_byte(text: &str, byte: u8) -> bool {
    text.bytes().fold(false, |any, other| any | (other == byte))
}

pub(super) fn sign(key: &HmacSha256, name: &str, value: &str, kid: Kid, issued: u64) -> String {
    let mut text = encode(value);
    let issued = issued.to_string();
    let mut room = [0; _];
    let mac = Message::new(&mut room, [name, &text, kid.as_str(), &issued]).mac(key);
    text.reserve(kid.as_str().len() + issued.len() + TAG_TEXT_LEN + 3);
    // Writing to a string does not fail.
    let _ = write!(text, ".{kid}.{issued}.");
    BASE64URL.encode_append(bytes(&mac), &mut text);
    text
}

/// Room for what most cookies are.
pub(super) type Room = [u8; 192];

/// What is signed: the parts, each after its length, so that what belongs to one cannot be
/// taken for the next.
pub(super) struct Message<'m> {
    parts: [&'m str; 4],
    /// All of it, if there was room.
    gathered: Option<&'m [u8]>,
}

impl<'m> Message<'m> {
    #[inline]
    fn new(room: &'m mut Room, parts: [&'m str; 4]) -> Self {
        Self { parts, gathered: gather(room, parts) }
    }

    #[inline]
    fn mac(&self, key: &HmacSha256) -> [u32; 8] {
        if let Some(message) = self.gathered {
            return key.mac_words(message);
        }
        let mut lanes = Lanes::new(&[key]);
        for part in self.parts {
            lanes.update(&prefix(part));
            lanes.update(part.as_bytes());
        }
        lanes.finish().first()
    }
}

/// The parts in `room`, each after its length; `None` if it is too small.
#[inline]
fn gather<'m>(room: &'m mut Room, parts: [&str; 4]) -> Option<&'m [u8]> {
    let mut length = 0;
    for part in parts {
        let (start, rest) = room.get_mut(length..)?.split_first_chunk_mut()?;
        *start = prefix(part);
        rest.get_mut(..part.len())?.copy_from_slice(part.as_bytes());
        length += start.len() + part.len();
    }
    room.get(..length)
}

fn prefix(part: &str) -> [u8; 8] {
    (part.len() as u64).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_encoded_has_another_spelling() {
        for byte in 0..=0x7f_u8 {
            let value = char::from(byte).to_string();
            assert_eq!(encode(&value) == value, is_unescaped(byte), "{value:?}");
            let text = format!("{}.k.1.{}", encode(&value), "A".repeat(TAG_TEXT_LEN));
            let spellings: Vec<_> = other_spellings(&text).collect();
            assert_eq!(spellings.is_empty(), is_unescaped(byte), "{text}");
            assert!(!spellings.contains(&text));
        }
    }
}
