//! Signed cookies as other libraries write them: read for a while, never written.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::encoding::{BASE64, TAG_TEXT_LEN, decode_exact_in};
use crate::mac::HmacSha256;

/// A form in which another library signs cookies with HMAC-SHA-256 under the same secret.
///
/// None of them says which key signed it, covers the cookie's name, or holds a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LegacyCookie {
    /// npm `cookie-signature`, as `express-session`, `cookie-parser` and `res.cookie` with
    /// `signed: true` write it: `s:` value `.` and unpadded base64, percent-encoded.
    Express,
    /// The `cookie` crate's `SignedJar` with a key from `Key::from`, of whose 64 bytes or
    /// more the first 32 sign: padded base64 before the value.
    SignedJar,
    /// The same with a key from `Key::derive_from`, an expansion of 32 bytes or more.
    SignedJarDerived,
}

impl LegacyCookie {
    const ALL: [Self; 3] = [Self::Express, Self::SignedJar, Self::SignedJarDerived];

    /// What events call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Express => "express",
            Self::SignedJar => "signed jar",
            Self::SignedJarDerived => "signed jar, derived",
        }
    }

    /// The value and its tag; `None` if `text` is not of this form.
    pub(super) fn split(self, text: &str) -> Option<(&str, [u8; 32])> {
        match self {
            Self::Express => {
                let (value, tag) = text.strip_prefix("s:")?.rsplit_once('.')?;
                Some((value, decode_exact_in(&BASE64, tag.as_bytes())?))
            }
            Self::SignedJar | Self::SignedJarDerived => {
                let (tag, value) = text.split_at_checked(TAG_TEXT_LEN)?;
                Some((value.strip_prefix('=')?, decode_exact_in(&BASE64, tag.as_bytes())?))
            }
        }
    }

    /// Whether `text` has the shape of any form.
    pub(super) fn is_one(text: &str) -> bool {
        readings(text).any(|text| Self::ALL.iter().any(|form| form.split(&text).is_some()))
    }
}

/// What a value may stand for: percent-decoded, and as it is. Which of the two it is
/// depends on the library that wrote it, and on who parsed the header.
pub(super) fn readings(value: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let decoded = percent_decode_str(value).decode_utf8().ok().filter(|text| text != value);
    decoded.into_iter().chain([Cow::Borrowed(value)])
}

/// The keys of the forms, of one secret.
pub(super) struct LegacyKeys {
    express: HmacSha256,
    signed_jar: Option<HmacSha256>,
    signed_jar_derived: Option<HmacSha256>,
}

impl LegacyKeys {
    pub(super) fn new(secret: &[u8]) -> Self {
        // RFC 5869 §2.3, of which the first 32 bytes are one MAC; `info` is the `cookie`
        // crate's. Both lengths are what its `Key` asks for.
        const INFO: &[u8] = b"COOKIE;SIGNED:HMAC-SHA256;PRIVATE:AEAD-AES-256-GCM\x01";
        let derived = || {
            let key = zeroize::Zeroizing::new(HmacSha256::new(secret).mac(INFO));
            HmacSha256::new(&*key)
        };
        Self {
            express: HmacSha256::new(secret),
            signed_jar: (secret.len() >= 64).then(|| HmacSha256::new(&secret[..32])),
            signed_jar_derived: (secret.len() >= 32).then(derived),
        }
    }

    pub(super) fn key(&self, form: LegacyCookie) -> Option<&HmacSha256> {
        match form {
            LegacyCookie::Express => Some(&self.express),
            LegacyCookie::SignedJar => self.signed_jar.as_ref(),
            LegacyCookie::SignedJarDerived => self.signed_jar_derived.as_ref(),
        }
    }
}
