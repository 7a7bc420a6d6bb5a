//! The bytes of a native cookie: see the module above for the layout.

use std::fmt::Write;

use cookie::Cookie;
use percent_encoding::percent_decode_str;

use crate::encoding::{BASE64URL, TAG_TEXT_LEN, exactly};
use crate::kid::Kid;
use crate::mac::{HmacSha256, Lanes, matching, words};

/// A value, taken apart from the right: a kid holds no dot, a value may.
pub(super) struct Parts<'v> {
    value: &'v str,
    pub(super) kid: &'v str,
    pub(super) issued: u64,
    issued_text: &'v str,
    mac: [u8; 32],
}

impl<'v> Parts<'v> {
    /// `None` if it is not of the form at all.
    #[inline]
    pub(super) fn split(text: &'v str) -> Option<Self> {
        let (text, mac) = text.split_at_checked(text.len().checked_sub(TAG_TEXT_LEN)?)?;
        // Seconds have ten digits until the year 2286, and derived kids sixteen characters.
        let (text, issued_text) = split_last(text.strip_suffix('.')?, 10)?;
        let (value, kid) = split_last(text, 16)?;
        // One number, one text: no sign, no leading zeros.
        let issued: u64 = issued_text.parse().ok()?;
        let canonical =
            issued_text == "0" || issued_text.starts_with(|c: char| ('1'..='9').contains(&c));
        canonical.then_some(())?;
        Some(Self { value, kid, issued, issued_text, mac: exactly(mac.as_bytes())? })
    }

    #[inline]
    pub(super) fn verify(&self, key: &HmacSha256, name: &str) -> bool {
        let mac = mac(key, [name, self.value, self.kid, self.issued_text]);
        matching(&[words::<32, 8>(&mac)], &words(&self.mac)).is_some()
    }

    /// What was signed; `None` if it is not UTF-8, which nothing here ever signs.
    #[inline]
    pub(super) fn decoded(&self) -> Option<String> {
        match holds(self.value, b'%') {
            true => Some(percent_decode_str(self.value).decode_utf8().ok()?.into_owned()),
            false => Some(self.value.to_owned()),
        }
    }
}

/// What stands before and behind the last dot, which leaves `usual` bytes behind it in most
/// cookies: so it is looked for there first.
#[inline]
fn split_last(text: &str, usual: usize) -> Option<(&str, &str)> {
    let at_usual = text.len().checked_sub(usual).and_then(|start| text.split_at_checked(start));
    if let Some((before, behind)) = at_usual
        && let Some(before) = before.strip_suffix('.')
        && !holds(behind, b'.')
    {
        return Some((before, behind));
    }
    text.rsplit_once('.')
}

/// Whether `byte` is there at all: without a way out, so that it is compiled to vectors.
#[inline]
fn holds(text: &str, byte: u8) -> bool {
    text.bytes().fold(false, |any, own| any | (own == byte))
}

pub(super) fn sign(key: &HmacSha256, name: &str, value: &str, kid: Kid, issued: u64) -> String {
    // `cookie` encodes only whole cookies; an empty name leaves `=` before the value.
    let mut text = Cookie::new("", value).encoded().stripped().to_string();
    text.remove(0);
    let issued = issued.to_string();
    let mac = mac(key, [name, &text, kid.as_str(), &issued]);
    text.reserve(kid.as_str().len() + issued.len() + TAG_TEXT_LEN + 3);
    // Writing to a string does not fail.
    let _ = write!(text, ".{kid}.{issued}.");
    BASE64URL.encode_append(mac, &mut text);
    text
}

/// The MAC of the parts, each after its length: what belongs to one cannot be taken for
/// the next.
#[inline]
fn mac(key: &HmacSha256, parts: [&str; 4]) -> [u8; 32] {
    // Room for what most cookies are.
    let mut room = [0; 256];
    match gather(&mut room, parts) {
        Some(message) => key.mac(message),
        None => {
            let mut lanes = Lanes::new(&[key]);
            for part in parts {
                lanes.update(&prefix(part));
                lanes.update(part.as_bytes());
            }
            lanes.finish().first()
        }
    }
}

fn prefix(part: &str) -> [u8; 8] {
    (part.len() as u64).to_be_bytes()
}

/// The whole message in `room`; `None` if it is too small.
#[inline]
fn gather<'m>(room: &'m mut [u8; 256], parts: [&str; 4]) -> Option<&'m [u8]> {
    let mut length = 0;
    for part in parts {
        let (start, rest) = room.get_mut(length..)?.split_first_chunk_mut()?;
        *start = prefix(part);
        rest.get_mut(..part.len())?.copy_from_slice(part.as_bytes());
        length += start.len() + part.len();
    }
    room.get(..length)
}
