//! Text from a file, or from standard input.

use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::source::disk;

/// Room that is taken at once. A text that fits leaves no copy of a part behind unwiped.
pub(super) const ROOM: usize = 64 * 1024;

/// Reads the text of at most `most` bytes at `path`, or, for `-`, from standard input.
pub(super) fn read_text(path: &Path, most: usize) -> io::Result<Zeroizing<String>> {
    if path.as_os_str() == "-" { read_standard_input(most) } else { disk::read_text(path, most) }
}

fn read_standard_input(most: usize) -> io::Result<Zeroizing<String>> {
    let beyond = most.saturating_add(1);
    let mut text = Zeroizing::new(String::with_capacity(beyond.min(ROOM + 1)));
    io::stdin().lock().take(beyond as u64).read_to_string(&mut text)?;
    if text.len() > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(text)
}
