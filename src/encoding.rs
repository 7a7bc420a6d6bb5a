//! The two text forms of bytes: hexadecimal digits and base64, both strict.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{
    GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD, URL_SAFE_NO_PAD,
};

/// Base64url without padding (RFC 4648 §5), with no stray trailing bits, no blanks.
pub(crate) const BASE64URL: GeneralPurpose = URL_SAFE_NO_PAD;

/// Base64 without padding (RFC 4648 §4), as strict.
pub(crate) const BASE64: GeneralPurpose = STANDARD_NO_PAD;

/// The length of 32 bytes in unpadded base64url.
pub(crate) const TAG_TEXT_LEN: usize = 43;

/// Decodes hexadecimal digits, upper or lower case.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    // With its room from the start: growing would leave parts of a key behind.
    let mut bytes = Vec::with_capacity(pairs.len());
    for [high, low] in pairs {
        bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
    }
    Some(bytes)
}

/// Decodes base64 of the standard alphabet (RFC 4648 §4), padded or not.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet::STANDARD, config).decode(text).ok()
}

/// Decodes exactly `N` bytes of base64url, without an allocation.
pub(crate) fn exactly<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    exactly_in(&BASE64URL, text)
}

/// Decodes exactly `N` bytes of an unpadded base64, without an allocation.
pub(crate) fn exactly_in<const N: usize>(engine: &GeneralPurpose, text: &[u8]) -> Option<[u8; N]> {
    // The engine asks for room for whole groups of three.
    const ROOM: usize = 66;
    const { assert!(N + 2 <= ROOM) }
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    let mut room = [0; ROOM];
    let length = engine.decode_slice(text, &mut room).ok()?;
    room.first_chunk().copied().filter(|_| length == N)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_base64_take_what_they_should_and_nothing_else() {
        assert_eq!(from_hex("00fFa1"), Some(vec![0, 255, 161]));
        assert_eq!(from_hex(""), Some(vec![]));
        for bad in ["0", "0g", "+1", "0x00", " 00", "éé"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
        assert_eq!(from_base64("/+8="), Some(vec![255, 239]));
        assert_eq!(from_base64("/+8"), Some(vec![255, 239]));
        for bad in ["_-8", "/+9=", "/+8==", "/ +8", "/+8=\n"] {
            assert_eq!(from_base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn exactly_refuses_padding_stray_bits_and_other_lengths() {
        let text = BASE64URL.encode([7; 32]);
        assert_eq!(exactly(text.as_bytes()), Some([7; 32]));
        assert_eq!(exactly::<31>(text.as_bytes()), None);
        assert_eq!(exactly::<33>(text.as_bytes()), None);
        assert_eq!(exactly::<32>(format!("{text}=").as_bytes()), None);
        assert_eq!(exactly::<32>(&text.as_bytes()[..42]), None);
        // The last of 43 characters holds four bits and two that must be zero.
        let stray = format!("{}d", &text[..42]);
        assert_eq!(exactly::<32>(stray.as_bytes()), None);
    }
}
