//! The escaped form of a body, on the fly: every character beyond ASCII as `\uXXXX`
//! with lower-case digits, those beyond the first plane as two surrogates.
//!
//! It guarantees: where the escaped form was signed as JSON, the body is the same JSON with every
//! such escape replaced by its character. A body that still holds an escape of a character beyond
//! ASCII, or such a character within an escape (`\é`, of which the escaped form would be the text
//! `\\u00e9`), has no escaped form.

use crate::mac::{Lanes, Tags};

/// The second attempt at a body: begins with the first byte beyond ASCII, and ends
/// with the first that is not UTF-8.
#[derive(Default)]
pub(super) struct Escaper {
    state: State,
    escapes: Escapes,
}

#[derive(Default)]
enum State {
    /// So far both forms are the same.
    #[default]
    Ascii,
    /// Both differ; the start of a character may have come without its end.
    Escaping { lanes: Box<Lanes>, partial: [u8; 4], length: usize },
    /// Not UTF-8, or not unescaped as a whole: there is no escaped form.
    Invalid,
}

/// The escapes that a body holds itself.
#[derive(Default)]
struct Escapes {
    place: Place,
    /// Set if one of them was of a unit beyond ASCII.
    is_beyond_ascii: bool,
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

impl Escapes {
    fn ascii(&mut self, mut text: &[u8]) {
        while let Some((byte, after)) = text.split_first() {
            let digit = char::from(*byte).to_digit(16);
            self.place = match (self.place, digit) {
                (Place::Text, _) => {
                    let Some(start) = text.iter().position(|byte| *byte == b'\\') else { return };
                    text = &text[start + 1..];
                    self.place = Place::Started;
                    continue;
                }
                (Place::Started, _) if *byte == b'u' => Place::Digits { count: 0, unit: 0 },
                (Place::Digits { count: 3, unit }, Some(digit)) => {
                    self.is_beyond_ascii |= unit * 16 + digit > 0x7f;
                    Place::Text
                }
                (Place::Digits { count, unit }, Some(digit)) => {
                    Place::Digits { count: count + 1, unit: unit * 16 + digit }
                }
                // No escape of JSON: a backslash begins another.
                (Place::Digits { .. }, None) if *byte == b'\\' => Place::Started,
                (Place::Started | Place::Digits { .. }, _) => Place::Text,
            };
            text = after;
        }
    }

    fn is_within(&self) -> bool {
        !matches!(self.place, Place::Text)
    }
}

impl Escaper {
    /// Feeds `chunk`, which comes after what `lanes` have seen.
    pub(super) fn update(&mut self, lanes: &Lanes, chunk: &[u8]) {
        let mut rest = chunk;
        if matches!(self.state, State::Ascii) {
            let start = chunk.iter().position(|byte| !byte.is_ascii());
            self.escapes.ascii(&chunk[..start.unwrap_or(chunk.len())]);
            let Some(start) = start else { return };
            let mut lanes = Box::new(lanes.clone());
            lanes.update(&chunk[..start]);
            rest = &chunk[start..];
            self.state = State::Escaping { lanes, partial: [0; 4], length: 0 };
        }
        let State::Escaping { lanes, partial, length } = &mut self.state else { return };
        // The end of a character that began in the chunk before.
        while *length > 0 && !rest.is_empty() {
            partial[*length] = rest[0];
            *length += 1;
            rest = &rest[1..];
            match std::str::from_utf8(&partial[..*length]) {
                Ok(character) => {
                    let is_whole = feed(lanes, &mut self.escapes, character);
                    *length = 0;
                    if !is_whole {
                        self.state = State::Invalid;
                        return;
                    }
                }
                Err(error) if error.error_len().is_none() && *length < 4 => {}
                Err(_) => {
                    self.state = State::Invalid;
                    return;
                }
            }
        }
        let (valid, tail) = match std::str::from_utf8(rest) {
            Ok(text) => (text, &[][..]),
            Err(error) if error.error_len().is_some() => {
                self.state = State::Invalid;
                return;
            }
            Err(error) => {
                let (valid, tail) = rest.split_at(error.valid_up_to());
                (std::str::from_utf8(valid).unwrap_or_default(), tail)
            }
        };
        if !tail.is_empty() {
            partial[..tail.len()].copy_from_slice(tail);
            *length = tail.len();
        }
        if !feed(lanes, &mut self.escapes, valid) {
            self.state = State::Invalid;
        }
    }

    /// The tags of the escaped form, if it is another one than the raw.
    pub(super) fn finish(self) -> Option<Tags> {
        match self.state {
            State::Escaping { lanes, length: 0, .. } if !self.escapes.is_beyond_ascii => {
                Some(lanes.finish())
            }
            _ => None,
        }
    }
}

/// Feeds `text` in its escaped form. False, if it has none.
fn feed(lanes: &mut Lanes, escapes: &mut Escapes, text: &str) -> bool {
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| !character.is_ascii()) {
        lanes.update(&rest.as_bytes()[..start]);
        escapes.ascii(&rest.as_bytes()[..start]);
        if escapes.is_within() {
            return false;
        }
        let mut characters = rest[start..].chars();
        if let Some(character) = characters.next() {
            for unit in character.encode_utf16(&mut [0; 2]) {
                lanes.update(&escape(*unit));
            }
        }
        rest = characters.as_str();
    }
    lanes.update(rest.as_bytes());
    escapes.ascii(rest.as_bytes());
    true
}

fn escape(unit: u16) -> [u8; 6] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u32| DIGITS[usize::from(unit >> shift & 15)];
    [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]
}
