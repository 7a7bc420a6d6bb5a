//! The lines of a file of a trail, as bytes and as text.

use std::borrow::Cow;

/// The lines of `text`, the last one first, and what is after the last line end.
pub(super) fn lines_back(text: &[u8]) -> (impl Iterator<Item = &[u8]>, &[u8]) {
    let at = text.iter().rposition(|byte| *byte == b'\n');
    let rest = &text[at.map_or(0, |at| at + 1)..];
    let lines = at.map(|at| text[..at].rsplit(|byte| *byte == b'\n'));
    (lines.into_iter().flatten(), rest)
}

/// The lines of `text`, the first one first, and what is after the last line end. The lines are
/// not collected, because a file may have as many lines as bytes.
pub(super) fn lines_forward(text: &[u8]) -> (impl Iterator<Item = &[u8]>, &[u8]) {
    let at = text.iter().rposition(|byte| *byte == b'\n');
    let rest = &text[at.map_or(0, |at| at + 1)..];
    let lines = at.map(|at| text[..at].split(|byte| *byte == b'\n'));
    (lines.into_iter().flatten(), rest)
}

/// A line as text. One that is not UTF-8 was never a record, and none is made of it.
pub(super) fn as_text(line: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(format!("\u{fffd} {}", String::from_utf8_lossy(line))),
    }
}
