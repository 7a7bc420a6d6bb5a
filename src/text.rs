//! Text of another process, as it is shown to people: names in reports, manifests and
//! inventories, arguments, paths, and what a client or a system says.
//!
//! It guarantees: what is shown stays on its line, moves no cursor of a terminal, and is read in
//! the order in which it is stored. A character that is not shown itself is written as
//! `\u{…}`.
//!
//! It does not guarantee that two texts which look alike are equal: letters of several alphabets
//! do.

use std::fmt::{self, Write};

/// Shows a text of another process: each [hidden](is_hidden) character is written as `\u{…}`.
///
/// A backslash stays as it is, so the original cannot be read back.
pub(crate) struct Plain<'a>(pub(crate) &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            if is_hidden(character) {
                write!(f, "{}", character.escape_unicode())
            } else {
                f.write_char(character)
            }
        })
    }
}

/// Characters that are not shown, or change how others are, beside the control characters and
/// those of private use: the categories `Cf`, `Zl` and `Zp`, the property
/// `Default_Ignorable_Code_Point`, and noncharacters. A table of Unicode 16, and not of the
/// compiler: audit lines are written by it, and must be read by every later release.
const HIDDEN: [(char, char); 28] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    // Zero width, and the direction of text.
    ('\u{200b}', '\u{200f}'),
    // The ends of a line and of a paragraph, and the direction of text.
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    // Of private use.
    ('\u{e000}', '\u{f8ff}'),
    ('\u{fdd0}', '\u{fdef}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    // Tags, and variants of a character.
    ('\u{e0000}', '\u{e0fff}'),
    // Of private use.
    ('\u{f0000}', '\u{10ffff}'),
];

/// Returns whether `character` would end a line, move a cursor, change the direction of what follows, or
/// not be shown at all.
pub(crate) fn is_hidden(character: char) -> bool {
    // The last two of each plane.
    let is_noncharacter = u32::from(character) & 0xfffe == 0xfffe;
    character.is_control()
        || is_noncharacter
        || HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Category `Cf` of Unicode 16, all of it, and what else is not shown.
    #[test]
    fn what_is_not_shown_itself_is_written_as_its_number() {
        let format = [
            0xad..=0xad,
            0x600..=0x605,
            0x61c..=0x61c,
            0x6dd..=0x6dd,
            0x70f..=0x70f,
            0x890..=0x891,
            0x8e2..=0x8e2,
            0x180e..=0x180e,
            0x200b..=0x200f,
            0x202a..=0x202e,
            0x2060..=0x2064,
            0x2066..=0x206f,
            0xfeff..=0xfeff,
            0xfff9..=0xfffb,
            0x110bd..=0x110bd,
            0x110cd..=0x110cd,
            0x13430..=0x1343f,
            0x1bca0..=0x1bca3,
            0x1d173..=0x1d17a,
            0xe0001..=0xe0001,
            0xe0020..=0xe007f,
        ];
        let control = [0..=0x1f, 0x7f..=0x9f];
        let lines = [0x2028..=0x2029];
        let ignorable =
            [0x34f..=0x34f, 0x115f..=0x1160, 0x3164..=0x3164, 0xfe00..=0xfe0f, 0xe0100..=0xe01ef];
        let private = [0xe000..=0xf8ff, 0xf0000..=0xf0003, 0x10fffd..=0x10fffd];
        let none = [0xfdd0..=0xfdef, 0xfffe..=0xffff, 0x5fffe..=0x5ffff, 0x10fffe..=0x10ffff];
        let all = format.into_iter().chain(control).chain(lines);
        let all = all.chain(ignorable).chain(private).chain(none).flatten();
        let mut count = 0;
        for character in all.map(|code| char::from_u32(code).unwrap()) {
            let text = Plain(&format!("a{character}b")).to_string();
            assert_eq!(text, format!("a\\u{{{:x}}}b", u32::from(character)));
            count += 1;
        }
        assert!(count > 6_700, "{count}");
    }

    #[test]
    fn text_of_every_language_is_shown_as_it_is() {
        for text in [
            "web-1.internal:8080/a_b=c@d+e",
            "schlu\u{308}ssel, schlüssel",
            "ключ 钥匙 鍵 열쇠 مفتاح מפתח กุญแจ चाबी",
            "\\ | ' \" ` < > & \u{fffd} 🔑",
        ] {
            assert_eq!(Plain(text).to_string(), text);
        }
    }

    #[test]
    fn the_table_is_in_pairs() {
        assert!(HIDDEN.iter().all(|(first, last)| first <= last));
    }
}
