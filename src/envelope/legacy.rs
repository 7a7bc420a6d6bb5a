//! The layouts in which Node backends store what `crypto` sealed. They name no key.

use super::aead::{TAG_LEN, Tag};
use super::format::MARK;
use super::key::AesKey;
use crate::encoding::{from_base64, from_hex};

/// A layout of `iv`, `tag` and ciphertext (`ct`), as the `encryption.ts` of a Node backend
/// writes it with `createCipheriv("aes-256-gcm", key, iv)` and a tag of 16 bytes.
///
/// An `iv` has 12 bytes and nothing else is authenticated, unless
/// [`iv16`](Self::iv16) and [`context_as_aad`](Self::context_as_aad) say so.
///
/// ```
/// use dualkey::envelope::Layout;
///
/// // const iv = randomBytes(16); cipher.setAAD(Buffer.from(userId));
/// // iv.toString("hex") + ":" + tag.toString("hex") + ":" + ct.toString("hex")
/// let layout = Layout::HEX_IV_TAG_CT.iv16().context_as_aad();
/// assert_eq!(layout.name(), "hex iv:tag:ct");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    encoding: Encoding,
    tag_first: bool,
    iv16: bool,
    context_as_aad: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Encoding {
    Hex,
    Base64,
}

impl Layout {
    /// `iv:tag:ct`, each in hexadecimal digits.
    pub const HEX_IV_TAG_CT: Self = Self::new(Encoding::Hex, true);
    /// `iv:ct:tag`, each in hexadecimal digits.
    pub const HEX_IV_CT_TAG: Self = Self::new(Encoding::Hex, false);
    /// Base64 of `iv`, `tag` and `ct` in one.
    pub const BASE64_IV_TAG_CT: Self = Self::new(Encoding::Base64, true);
    /// Base64 of `iv`, `ct` and `tag` in one.
    pub const BASE64_IV_CT_TAG: Self = Self::new(Encoding::Base64, false);

    /// The four of them, with an `iv` of 12 bytes and nothing else authenticated.
    pub const ALL: [Self; 4] =
        [Self::HEX_IV_TAG_CT, Self::HEX_IV_CT_TAG, Self::BASE64_IV_TAG_CT, Self::BASE64_IV_CT_TAG];

    const fn new(encoding: Encoding, tag_first: bool) -> Self {
        Self { encoding, tag_first, iv16: false, context_as_aad: false }
    }

    /// The `iv` has 16 bytes, as of `randomBytes(16)`.
    #[must_use]
    pub const fn iv16(self) -> Self {
        Self { iv16: true, ..self }
    }

    /// The context that a value is opened with is what `setAAD` was given.
    #[must_use]
    pub const fn context_as_aad(self) -> Self {
        Self { context_as_aad: true, ..self }
    }

    /// The layout that [`name`](Self::name) calls so.
    ///
    /// ```
    /// use dualkey::envelope::Layout;
    /// assert_eq!(Layout::named("hex iv:tag:ct"), Some(Layout::HEX_IV_TAG_CT));
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layout| layout.name() == name)
    }

    /// What events call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match (self.encoding, self.tag_first) {
            (Encoding::Hex, true) => "hex iv:tag:ct",
            (Encoding::Hex, false) => "hex iv:ct:tag",
            (Encoding::Base64, true) => "base64 iv|tag|ct",
            (Encoding::Base64, false) => "base64 iv|ct|tag",
        }
    }

    /// Takes `text` apart; `None` if it is not of this layout.
    pub(super) fn split(self, text: &str) -> Option<Parts> {
        let iv_len = if self.iv16 { 16 } else { 12 };
        let (iv, first, last) = match self.encoding {
            Encoding::Hex => {
                let mut parts = text.split(':');
                let (iv, first, last) = (parts.next()?, parts.next()?, parts.next()?);
                if parts.next().is_some() {
                    return None;
                }
                (from_hex(iv)?, from_hex(first)?, from_hex(last)?)
            }
            Encoding::Base64 => {
                let mut bytes = from_base64(text)?;
                let sealed = bytes.len().checked_sub(iv_len)?;
                let middle = if self.tag_first { TAG_LEN } else { sealed.checked_sub(TAG_LEN)? };
                if sealed < TAG_LEN {
                    return None;
                }
                let last = bytes.split_off(iv_len + middle);
                let first = bytes.split_off(iv_len);
                (bytes, first, last)
            }
        };
        let (tag, ciphertext) = if self.tag_first { (first, last) } else { (last, first) };
        let iv = if self.iv16 {
            Iv::Long(iv.try_into().ok()?)
        } else {
            Iv::Standard(iv.try_into().ok()?)
        };
        Some(Parts { layout: self, iv, ciphertext, tag: tag.try_into().ok()? })
    }

    /// Whether `text` has the shape of any layout, whatever its options.
    pub(super) fn is_one(text: &str) -> bool {
        Self::ALL
            .into_iter()
            .any(|layout| layout.split(text).is_some() || layout.iv16().split(text).is_some())
    }
}

/// A value of a legacy layout, taken apart.
pub(super) struct Parts {
    pub(super) layout: Layout,
    iv: Iv,
    pub(super) ciphertext: Vec<u8>,
    tag: Tag,
}

enum Iv {
    Standard([u8; 12]),
    Long([u8; 16]),
}

impl Parts {
    /// The payload, if the tag holds.
    pub(super) fn open(&self, key: &AesKey, context: &[u8]) -> Option<Vec<u8>> {
        let associated = if self.layout.context_as_aad { context } else { &[] };
        // The wrap of a native envelope is a ciphertext under the same key, with its head
        // as the associated data: nobody reads a data key out of it by this way.
        if associated.starts_with(&MARK) {
            return None;
        }
        let (from, tag) = (&self.ciphertext, &self.tag);
        let mut payload = vec![0; from.len()];
        let held = match &self.iv {
            Iv::Standard(iv) => key.cipher.open(iv, associated, from, &mut payload, tag),
            Iv::Long(iv) => key.long_nonce.open(iv, associated, from, &mut payload, tag),
        };
        held.then_some(payload)
    }
}
