//! Strings of JSON, unescaped into memory that is wiped.

use zeroize::Zeroizing;

/// The text that `raw` is as a string of JSON, which is valid but for its surrogates; `None`, if it is
/// no string. It is put together in memory that is wiped, and has its room from the start: no escape
/// is shorter than its character.
pub(crate) fn unescape(raw: &str) -> Option<Zeroizing<String>> {
    let mut rest = raw.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some((plain, escape)) = rest.split_once('\\') {
        let (character, after) = read_escape(escape)?;
        text.push_str(plain);
        text.push(character);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

/// The character whose escape begins `text`, without its backslash, and what follows it.
fn read_escape(text: &str) -> Option<(char, &str)> {
    let mut rest = text.chars();
    let character = match rest.next()? {
        'u' => {
            let (unit, after) = read_unit(rest.as_str())?;
            let low = after.strip_prefix("\\u").and_then(read_unit);
            let units = [unit, low.map_or(0, |(low, _)| low)];
            let mut decoded = char::decode_utf16(units);
            return match (decoded.next()?, low) {
                (Ok(character), Some((_, after))) if character.len_utf16() == 2 => {
                    Some((character, after))
                }
                (Ok(character), _) => Some((character, after)),
                (Err(_), _) => None,
            };
        }
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        character @ ('"' | '\\' | '/') => character,
        _ => return None,
    };
    Some((character, rest.as_str()))
}

/// The unit of UTF-16 of which the four digits begin `text`, and what follows them.
fn read_unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)?, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_is_unescaped_as_the_parser_does() {
        for raw in [
            r#""""#,
            r#""plain""#,
            r#""a\"b\\c\/d\b\f\n\r\t""#,
            r#""\u0041\u00e9\u20aC\ud83e\udd80""#,
            r#""\\u0041""#,
            r#""é\\é""#,
            r#""\ud83e\ud83e\udd80""#,
            r#""\ud83e""#,
            r#""\udd80\ud83e""#,
            r#""\ud83e\u0041""#,
            r#""\ud83ex""#,
            "17",
            "null",
            "[\"a\"]",
            "true",
        ] {
            let parsed = serde_json::from_str::<String>(raw).ok();
            assert_eq!(unescape(raw).map(|text| text.to_string()), parsed, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_unescaped_as_the_parser_does(text in any::<String>(), is_ascii: bool) {
            let mut raw = serde_json::to_string(&text).unwrap();
            if is_ascii {
                let units = raw.encode_utf16().map(|unit| match u8::try_from(unit) {
                    Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
                    _ => format!("\\u{unit:04X}"),
                });
                raw = units.collect();
            }
            let read = unescape(&raw).unwrap();
            prop_assert_eq!(&*read, &text);
            prop_assert!(read.capacity() <= raw.len(), "it never grew");
        }
    }
}
