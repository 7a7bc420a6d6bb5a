//! The escaped forms of a body, on the fly.
//!
//! Meta escapes every character beyond ASCII as `\uXXXX` with lower-case digits, those beyond
//! the first plane as two surrogates; and of ASCII `/` as `\/`, `<` as `\u003C`, `%` as `\u0025`
//! and `@` as `\u0040`. A proxy that parses a body and writes it again sends the characters. Two
//! forms are tried: *full*, with all of these escapes, and *plain*, with those beyond ASCII alone,
//! as Meta documents them.
//!
//! It guarantees: where an escaped form was signed as JSON, the body is the same JSON with every
//! such escape replaced by its character. A body has no escaped form if it still holds an escape
//! `\uXXXX` of a character that the form escapes, or such a character within an escape (`\é`, of
//! which the escaped form would be the text `\\u00e9`). `\/` may remain: some writers of JSON
//! escape `/` and nothing else. So may half a pair of surrogates, which a sender leaves that cuts a
//! text off: no writer has a character for it.

use crate::mac::{Lanes, Tags};

/// The attempts at the escaped forms of a body: they begin with the first byte that a form writes
/// otherwise, and end with the first that is not UTF-8.
#[derive(Default)]
pub(super) struct Escaper {
    state: EscaperState,
    escapes: Escapes,
    /// Set if a character beyond ASCII has come.
    is_beyond_ascii: bool,
    /// Set if a character of ASCII that the full form escapes stood within an escape.
    is_cut: bool,
}

#[derive(Default)]
enum EscaperState {
    /// So far all forms are the same.
    #[default]
    Same,
    /// The start of a character may have come without its end.
    Escaping { forms: Box<Forms>, partial: [u8; 4], length: usize },
    /// Not UTF-8, or not unescaped as a whole: there is no escaped form.
    Invalid,
}

struct Forms {
    full: Lanes,
    /// Absent while it is the same as `full`.
    plain: Option<Lanes>,
}

/// The escapes that a body holds itself.
#[derive(Default)]
struct Escapes {
    place: Place,
    /// Set if they had a character beyond ASCII.
    is_beyond_ascii: bool,
    /// Set if one of them was of a character of ASCII that the full form escapes.
    is_of_full: bool,
    /// Set right behind the escape of the first half of a pair of surrogates.
    is_within_pair: bool,
}

#[derive(Default, Clone, Copy)]
enum Place {
    #[default]
    Text,
    /// Behind a backslash that begins an escape.
    Started,
    /// Behind `\u` and some of its digits.
    Digits { count: u8, unit: u32 },
}

/// The escape of a character of ASCII in the full form.
fn escape_of_ascii(byte: u8) -> Option<&'static [u8]> {
    match byte {
        b'/' => Some(br"\/"),
        b'<' => Some(br"\u003C"),
        b'%' => Some(br"\u0025"),
        b'@' => Some(br"\u0040"),
        _ => None,
    }
}

fn is_escaped(byte: u8) -> bool {
    !byte.is_ascii() || escape_of_ascii(byte).is_some()
}

impl Escapes {
    /// Advances over the bytes that all forms write as they are, and returns their number.
    fn same(&mut self, text: &[u8]) -> usize {
        let mut place = 0;
        while let Some(byte) = text.get(place) {
            match self.place {
                Place::Text => {
                    let is_next = |byte: &u8| *byte == b'\\' || is_escaped(*byte);
                    self.is_within_pair &= *byte == b'\\';
                    match text[place..].iter().position(is_next) {
                        None => return text.len(),
                        Some(length) => place += length,
                    }
                    if text[place] != b'\\' {
                        return place;
                    }
                    self.place = Place::Started;
                }
                // An escape that is there already.
                Place::Started if *byte == b'/' => {
                    (self.place, self.is_within_pair) = (Place::Text, false);
                }
                _ if is_escaped(*byte) => return place,
                _ => self.ascii(*byte),
            }
            place += 1;
        }
        text.len()
    }

    /// Advances over one byte within an escape.
    fn ascii(&mut self, byte: u8) {
        let digit = char::from(byte).to_digit(16);
        self.place = match (self.place, digit) {
            (Place::Started, _) if byte == b'u' => Place::Digits { count: 0, unit: 0 },
            (Place::Digits { count: 3, unit }, Some(digit)) => {
                self.unit(unit * 16 + digit);
                Place::Text
            }
            (Place::Digits { count, unit }, Some(digit)) => {
                Place::Digits { count: count + 1, unit: unit * 16 + digit }
            }
            // No escape of JSON: a backslash begins another.
            (Place::Digits { .. }, None) if byte == b'\\' => {
                self.is_within_pair = false;
                Place::Started
            }
            _ => {
                self.is_within_pair = false;
                Place::Text
            }
        };
    }

    /// Takes note of the unit of an escape.
    fn unit(&mut self, unit: u32) {
        self.is_beyond_ascii |= match unit {
            0xd800..0xdc00 => false,
            0xdc00..0xe000 => self.is_within_pair,
            unit => unit > 0x7f,
        };
        self.is_of_full |= u8::try_from(unit).is_ok_and(|byte| escape_of_ascii(byte).is_some());
        self.is_within_pair = (0xd800..0xdc00).contains(&unit);
    }

    fn is_within(&self) -> bool {
        !matches!(self.place, Place::Text)
    }
}

impl Escaper {
    /// Feeds `chunk`, which comes after what `lanes` have seen.
    pub(super) fn update(&mut self, lanes: &Lanes, chunk: &[u8]) {
        let mut rest = chunk;
        if matches!(self.state, EscaperState::Same) {
            let start = self.escapes.same(chunk);
            if start == chunk.len() {
                return;
            }
            let mut full = lanes.clone();
            full.update(&chunk[..start]);
            rest = &chunk[start..];
            let forms = Box::new(Forms { full, plain: None });
            self.state = EscaperState::Escaping { forms, partial: [0; 4], length: 0 };
        }
        if self.escape(rest).is_none() {
            self.state = EscaperState::Invalid;
        }
    }

    /// Feeds what may differ. None, if there is no escaped form.
    fn escape(&mut self, mut rest: &[u8]) -> Option<()> {
        let Self { state: EscaperState::Escaping { forms, partial, length }, .. } = self else {
            return None;
        };
        // The end of a character that began in the chunk before.
        while *length > 0 && !rest.is_empty() {
            partial[*length] = rest[0];
            *length += 1;
            rest = &rest[1..];
            match std::str::from_utf8(&partial[..*length]) {
                Ok(character) => {
                    self.is_beyond_ascii = true;
                    forms.feed(&mut self.escapes, &mut self.is_cut, character)?;
                    *length = 0;
                }
                Err(error) if error.error_len().is_none() && *length < 4 => {}
                Err(_) => return None,
            }
        }
        let (valid, tail) = match std::str::from_utf8(rest) {
            Ok(text) => (text, &[][..]),
            Err(error) if error.error_len().is_some() => return None,
            Err(error) => {
                let (valid, tail) = rest.split_at(error.valid_up_to());
                (std::str::from_utf8(valid).unwrap_or_default(), tail)
            }
        };
        if !tail.is_empty() {
            partial[..tail.len()].copy_from_slice(tail);
            *length = tail.len();
        }
        self.is_beyond_ascii |= !valid.is_ascii();
        forms.feed(&mut self.escapes, &mut self.is_cut, valid)
    }

    /// The tags of the escaped forms that differ from the raw one and from each other.
    pub(super) fn finish(self) -> [Option<Tags>; 2] {
        let EscaperState::Escaping { forms, length: 0, .. } = self.state else {
            return [None, None];
        };
        let Forms { full, plain } = *forms;
        let has_plain = self.is_beyond_ascii && !self.escapes.is_beyond_ascii;
        let has_full = !self.is_cut && !self.escapes.is_of_full && !self.escapes.is_beyond_ascii;
        match plain {
            None => [has_plain.then(|| full.finish()), None],
            Some(plain) => [has_full.then(|| full.finish()), has_plain.then(|| plain.finish())],
        }
    }
}

impl Forms {
    /// Feeds `text` in both forms. None, if there is neither.
    fn feed(&mut self, escapes: &mut Escapes, is_cut: &mut bool, text: &str) -> Option<()> {
        let mut rest = text;
        loop {
            let length = escapes.same(rest.as_bytes());
            let (same, other) = rest.split_at(length);
            self.update(same.as_bytes());
            let mut characters = other.chars();
            let Some(character) = characters.next() else { return Some(()) };
            rest = characters.as_str();
            let ascii = u8::try_from(character).ok().filter(u8::is_ascii);
            match ascii {
                Some(byte) => {
                    let is_within = escapes.is_within();
                    if is_within {
                        escapes.ascii(byte);
                    }
                    *is_cut |= is_within;
                    let plain = self.plain.get_or_insert_with(|| self.full.clone());
                    plain.update(&[byte]);
                    self.full.update(escape_of_ascii(byte).unwrap_or_default());
                }
                None if escapes.is_within() => return None,
                None => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        self.update(&escape(*unit));
                    }
                }
            }
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.full.update(bytes);
        if let Some(plain) = &mut self.plain {
            plain.update(bytes);
        }
    }
}

fn escape(unit: u16) -> [u8; 6] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u32| DIGITS[usize::from(unit >> shift & 15)];
    [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]
}
