//! The two text forms of bytes: hexadecimal digits and base64, both strict.

use base64_simd::{AsOut, Base64, STANDARD, URL_SAFE};

/// Base64url without padding (RFC 4648 §5), with no stray trailing bits, no blanks.
pub(crate) use base64_simd::URL_SAFE_NO_PAD as BASE64URL;

/// Base64 without padding (RFC 4648 §4), as strict.
pub(crate) use base64_simd::STANDARD_NO_PAD as BASE64;

/// The length of 32 bytes in unpadded base64url.
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "the adapters use it, each behind a feature")
)]
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
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "the adapters use it, each behind a feature")
)]
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let form = if text.ends_with('=') { &STANDARD } else { &BASE64 };
    form.decode_to_vec(text).ok()
}

/// Decodes base64 of either alphabet (RFC 4648 §4, §5), padded or not. A text with characters of both
/// is refused.
pub(crate) fn from_any_base64(text: &str) -> Option<Vec<u8>> {
    if !text.contains(['-', '_']) {
        return check_and_decode(if text.ends_with('=') { &STANDARD } else { &BASE64 }, text);
    }
    let form = if text.ends_with('=') { &URL_SAFE } else { &BASE64URL };
    check_and_decode(form, text)
}

/// Decodes `text`, which is checked first: a failure halfway would leave the decoded part in memory.
fn check_and_decode(form: &Base64, text: &str) -> Option<Vec<u8>> {
    form.check(text.as_bytes()).ok()?;
    form.decode_to_vec(text).ok()
}

/// Decodes exactly `N` bytes of base64url, without an allocation.
pub(crate) fn decode_exact<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    decode_exact_in(&BASE64URL, text)
}

/// Decodes exactly `N` bytes of an unpadded base64, without an allocation.
pub(crate) fn decode_exact_in<const N: usize>(form: &Base64, text: &[u8]) -> Option<[u8; N]> {
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    let mut bytes = [0; N];
    form.decode(text, bytes.as_mut_slice().as_out()).ok().filter(|decoded| decoded.len() == N)?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

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
    fn either_alphabet_of_base64_is_taken_and_never_both() {
        for text in ["/+8=", "/+8", "_-8=", "_-8"] {
            assert_eq!(from_any_base64(text), Some(vec![255, 239]), "{text}");
        }
        assert_eq!(from_any_base64("QUJD"), Some(b"ABC".to_vec()));
        assert_eq!(from_any_base64(""), Some(vec![]));
        for bad in [
            "_+8=", "/-8", "_-9=", "_-9", "/+9", "_-8==", "_-8 ", " _-8", "_-8\n", "_ -8",
            "_-8=\n", "_=-8", "=", "_", "_-8=A", "QQ=", "QQ===", "é-8",
        ] {
            assert_eq!(from_any_base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn exactly_refuses_padding_stray_bits_and_other_lengths() {
        let text = BASE64URL.encode_to_string([7; 32]);
        assert_eq!(decode_exact(text.as_bytes()), Some([7; 32]));
        assert_eq!(decode_exact::<31>(text.as_bytes()), None);
        assert_eq!(decode_exact::<33>(text.as_bytes()), None);
        assert_eq!(decode_exact::<32>(format!("{text}=").as_bytes()), None);
        assert_eq!(decode_exact::<32>(&text.as_bytes()[..42]), None);
        // The last of 43 characters holds four bits and two that must be zero.
        let stray = format!("{}d", &text[..42]);
        assert_eq!(decode_exact::<32>(stray.as_bytes()), None);
    }

    /// Both alphabets, each byte at each place of texts of every length around those at
    /// which the work is cut into vectors.
    #[test]
    fn base64_is_as_strict_as_the_base64_crate() {
        // Each length of a last block, alone and after many; all lengths up to 140 in the full size.
        let is_full = std::env::var_os("DUALKEY_TEST_FULL").is_some();
        let short = 0..=if is_full { 140 } else { 40 };
        let mut refused = 0;
        for length in short.chain([127, 128, 129, 130, 255, 256, 257, 300]) {
            let good = b"Az09".repeat(75)[..length].to_vec();
            for place in 0..length.max(1) {
                for byte in 0..=255 {
                    let mut text = good.clone();
                    if let Some(old) = text.get_mut(place) {
                        *old = byte;
                    }
                    let (url, plain) =
                        (URL_SAFE_NO_PAD.decode(&text), STANDARD_NO_PAD.decode(&text));
                    refused += usize::from(url.is_err());
                    assert_eq!(BASE64URL.decode_to_vec(&text).ok(), url.ok(), "{text:?}");
                    assert_eq!(BASE64.decode_to_vec(&text).ok(), plain.ok(), "{text:?}");
                }
            }
        }
        assert!(refused > 400_000, "{refused}");
    }

    proptest! {
        #[test]
        fn base64_is_that_of_the_base64_crate(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let text = URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert_eq!(&BASE64URL.encode_to_string(&bytes), &text);
            prop_assert_eq!(BASE64URL.decode_to_vec(&text).ok(), Some(bytes));
        }
    }
}
