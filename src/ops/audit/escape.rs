//! Text in a line of a trail: it stays on its line and in its field.

use std::fmt::{self, Write};

use crate::text::is_hidden;

/// Writes a text so that it stays on its line and in its field, and moves no cursor.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                _ if needs_escape(letter) => write!(f, "{}", letter.escape_unicode())?,
                _ => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

/// Returns whether a character would end a field or a line, or change how other text is shown.
fn needs_escape(letter: char) -> bool {
    letter == '|' || is_hidden(letter)
}

/// Reads what [`Escaped`] wrote. The caller checks that it was written in this one way.
pub(super) fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        if let Some(after) = after.strip_prefix("u{") {
            let (digits, after) = after.split_once('}')?;
            plain.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
            rest = after;
        } else {
            let (letter, after) = after.split_at_checked(1)?;
            plain.push(match letter {
                "\\" => '\\',
                "n" => '\n',
                _ => return None,
            });
            rest = after;
        }
    }
    plain.push_str(rest);
    Some(plain)
}
