//! The escaped form of a body, on the fly: every character beyond ASCII as `\uXXXX`
//! with lower-case digits, those beyond the first plane as two surrogates.

use crate::mac::{Lanes, Tags};

/// The second attempt at a body: begins with the first byte beyond ASCII, and ends
/// with the first that is not UTF-8.
#[derive(Default)]
pub(super) struct Escaper {
    state: State,
}

#[derive(Default)]
enum State {
    /// So far both forms are the same.
    #[default]
    Ascii,
    /// Both differ; the start of a character may have come without its end.
    Escaping { lanes: Box<Lanes>, partial: [u8; 4], length: usize },
    /// Not UTF-8: there is no escaped form.
    Invalid,
}

impl Escaper {
    /// Feeds `chunk`, which comes after what `lanes` have seen.
    pub(super) fn update(&mut self, lanes: &Lanes, chunk: &[u8]) {
        let mut rest = chunk;
        if matches!(self.state, State::Ascii) {
            let Some(start) = chunk.iter().position(|byte| !byte.is_ascii()) else { return };
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
                    feed(lanes, character);
                    *length = 0;
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
        feed(lanes, valid);
        if !tail.is_empty() {
            partial[..tail.len()].copy_from_slice(tail);
            *length = tail.len();
        }
    }

    /// The tags of the escaped form, if it is another one than the raw.
    pub(super) fn finish(self) -> Option<Tags> {
        match self.state {
            State::Escaping { lanes, length: 0, .. } => Some(lanes.finish()),
            _ => None,
        }
    }
}

fn feed(lanes: &mut Lanes, text: &str) {
    let mut rest = text;
    while let Some(start) = rest.find(|character: char| !character.is_ascii()) {
        lanes.update(&rest.as_bytes()[..start]);
        let mut characters = rest[start..].chars();
        if let Some(character) = characters.next() {
            for unit in character.encode_utf16(&mut [0; 2]) {
                lanes.update(&escape(*unit));
            }
        }
        rest = characters.as_str();
    }
    lanes.update(rest.as_bytes());
}

fn escape(unit: u16) -> [u8; 6] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u32| DIGITS[usize::from(unit >> shift & 15)];
    [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]
}
