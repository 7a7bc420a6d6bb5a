//! The value of a session as the service inside reads it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986 §2.3: no parser reads these as anything
/// else.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The treatment of cookie values in the service inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Reads them in any way: a value whose readings differ is refused.
    Plain,
    /// Percent-encodes and percent-decodes them.
    Encoded,
}

impl Form {
    /// The text in a `Cookie` header that reads as `value`; `None` if parsers differ on each.
    pub(super) fn write(self, value: &str) -> Option<String> {
        match self {
            Self::Plain => value.bytes().all(is_unambiguous).then(|| value.to_owned()),
            Self::Encoded => Some(utf8_percent_encode(value, RESERVED).to_string()),
        }
    }

    /// The value that `text` has, set by the service inside; `None` if parsers differ.
    pub(super) fn read(self, text: &[u8]) -> Option<String> {
        let is_read = match self {
            Self::Plain => text.iter().copied().all(is_unambiguous),
            Self::Encoded => text.iter().copied().all(is_cookie_octet) && is_canonical(text),
        };
        let value = is_read.then(|| match self {
            Self::Plain => text.to_vec(),
            Self::Encoded => percent_decode(text).collect(),
        })?;
        String::from_utf8(value).ok()
    }
}

/// Returns whether the pair `name=value` with this value is one pair for every parser: the octets
/// of RFC 6265 §4.1.1, which may be in quotes. So no white space, which Python reads as a
/// separator, and no comma, which RFC 2109 does.
pub(super) fn is_one_value(value: &[u8]) -> bool {
    let value = match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    };
    value.iter().copied().all(is_cookie_octet)
}

/// The same with and without percent-decoding, for a parser that reads forms, and for one that
/// strips quotes.
fn is_unambiguous(byte: u8) -> bool {
    is_cookie_octet(byte) && !b"%+'".contains(&byte)
}

fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

/// Returns whether each percent sign begins an escape, of a byte that needs one: otherwise a
/// service that does not percent-decode would have `%61` signed as `a`.
fn is_canonical(text: &[u8]) -> bool {
    text.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(place, _)| {
        let digits =
            text.get(place + 1..place + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| !(byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_value_is_the_same_for_every_parser_or_refused() {
        for value in ["", "abc-_=", "a.b~c/d:e", "user-42", "a=b", "a&b"] {
            assert_eq!(Form::Plain.write(value).as_deref(), Some(value));
            assert_eq!(Form::Plain.read(value.as_bytes()).as_deref(), Some(value));
        }
        for value in
            ["%41", "100%", "a b", " a", "a;b", "a,b", "\"a\"", "a\\b", "a+b", "é", "\0", "'a'"]
        {
            assert_eq!(Form::Plain.write(value), None, "{value:?}");
            assert_eq!(Form::Plain.read(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn an_encoded_value_comes_back_decoded() {
        for value in ["", "%41", "100%", "a b; c", "\"a\"", "a+b/c=", "Zoë", "\r\n", "%2541"] {
            let text = Form::Encoded.write(value).unwrap();
            assert_eq!(Form::Encoded.read(text.as_bytes()).as_deref(), Some(value));
            assert!(text.bytes().all(|byte| is_unambiguous(byte) || byte == b'%'), "{text}");
        }
        for text in ["%61dmin", "%", "a%4", "%zz", "%ff", "a b", "\"a\"", "%2d", "é"] {
            assert_eq!(Form::Encoded.read(text.as_bytes()), None, "{text:?}");
        }
    }
}
