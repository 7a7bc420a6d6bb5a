//! The words of a line as a shell sees them, which may set a variable in the midst of a line.

/// Commands that set the variables which they name, or take their values away.
const COMMANDS: [&str; 6] = ["export", "declare", "typeset", "readonly", "local", "unset"];

/// Returns `true` if a shell or another reader changes `name` in `text`, which is a line, or a part
/// of one that begins a word if `is_start`.
///
/// ```text
/// 1;NAME=value    1 NAME=value    1&NAME+=value    export NAME
/// ```
pub(super) fn sets(text: &str, name: &str, mut is_start: bool) -> bool {
    let (mut quote, mut is_command) = (None, false);
    for (place, own) in text.char_indices() {
        match quote {
            Some(open) if own == open => quote = None,
            Some(_) => {}
            None if is_start && own == '#' => return false,
            None => {
                let word = word_of(&text[place..]);
                if is_start && (is_command && word == name || is_assignment(word, name)) {
                    return true;
                }
                is_command |= is_start && COMMANDS.contains(&word);
                is_command &= !is_end(own);
                quote = Some(own).filter(|own| matches!(own, '\'' | '"'));
            }
        }
        is_start = quote.is_none() && (own.is_whitespace() || is_end(own));
    }
    false
}

/// Returns `true` if `word` is an assignment of `name`.
fn is_assignment(word: &str, name: &str) -> bool {
    word.strip_prefix(name).is_some_and(|more| more.starts_with('=') || more.starts_with("+="))
}

/// The word with which `text` begins.
fn word_of(text: &str) -> &str {
    text.split(|own: char| own.is_whitespace() || is_end(own)).next().unwrap_or_default()
}

/// Returns `true` if a command ends at `own`.
fn is_end(own: char) -> bool {
    matches!(own, ';' | '&' | '|')
}
