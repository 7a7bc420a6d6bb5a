//! The bytes of a native cookie: see the module above for the layout.

use std::fmt::Write;

use cookie::Cookie;
use percent_encoding::percent_decode_str;

use crate::encoding::{BASE64URL, TAG_TEXT_LEN, exactly};
use crate::kid::Kid;
use crate::mac::{HmacSha256, Lanes, Tags};

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
    pub(super) fn split(text: &'v str) -> Option<Self> {
        let mut parts = text.rsplitn(4, '.');
        let (mac, issued_text, kid) = (parts.next()?, parts.next()?, parts.next()?);
        let value = parts.next()?;
        // One number, one text: no sign, no leading zeros.
        let issued: u64 = issued_text.parse().ok()?;
        let canonical =
            issued_text == "0" || issued_text.starts_with(|c: char| ('1'..='9').contains(&c));
        canonical.then_some(())?;
        Some(Self { value, kid, issued, issued_text, mac: exactly(mac.as_bytes())? })
    }

    pub(super) fn verify(&self, key: &HmacSha256, name: &str) -> bool {
        tags(key, [name, self.value, self.kid, self.issued_text]).matching(&self.mac).is_some()
    }

    /// What was signed; `None` if it is not UTF-8, which nothing here ever signs.
    pub(super) fn decoded(&self) -> Option<String> {
        Some(percent_decode_str(self.value).decode_utf8().ok()?.into_owned())
    }
}

pub(super) fn sign(key: &HmacSha256, name: &str, value: &str, kid: Kid, issued: u64) -> String {
    // `cookie` encodes only whole cookies; an empty name leaves `=` before the value.
    let mut text = Cookie::new("", value).encoded().stripped().to_string();
    text.remove(0);
    let issued = issued.to_string();
    let tags = tags(key, [name, &text, kid.as_str(), &issued]);
    text.reserve(kid.as_str().len() + issued.len() + TAG_TEXT_LEN + 3);
    // Writing to a string does not fail.
    let _ = write!(text, ".{kid}.{issued}.");
    BASE64URL.encode_append(tags.first(), &mut text);
    text
}

/// The MAC of the parts, each after its length: what belongs to one cannot be taken
/// for the next.
fn tags(key: &HmacSha256, parts: [&str; 4]) -> Tags {
    let mut mac = Lanes::new(&[key]);
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.finish()
}
