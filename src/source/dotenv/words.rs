//! The words of a line as a shell sees them, which may set a variable in the midst of a line.

use zeroize::Zeroizing;

/// Commands that set the variables which they name, or take their values away.
const COMMANDS: [&str; 13] = [
    "export",
    "declare",
    "typeset",
    "readonly",
    "local",
    "unset",
    "read",
    "for",
    "select",
    "printf",
    "mapfile",
    "readarray",
    "getopts",
];

/// Commands that run the text of their words.
const EVALUATING: [&str; 4] = ["eval", "trap", "let", "(("];

/// Words before a command that are none.
const LEADING: [&str; 19] = [
    "if", "then", "elif", "else", "fi", "while", "until", "do", "done", "{", "}", "(", ")", "!",
    "time", "command", "builtin", "coproc", "))",
];

/// A word without its quotes, or the end of a command.
enum Word {
    Text {
        text: Zeroizing<String>,
        /// No quote is before `=`: a shell takes the word for an assignment.
        is_plain: bool,
    },
    End,
}

/// Returns `true` if a shell or another reader changes `name` in `text`, which is a line, or a part
/// of one that begins a word if `is_start`; after `export`, if it `is_export`.
///
/// ```text
/// 1;NAME=value    1 NAME=value    1&NAME+=value    export NAME    export 'NAME=value'
/// ```
///
/// A variable that is set for one command alone keeps its value: `1 NAME=value command`.
pub(super) fn is_setting(text: &str, name: &str, is_start: bool, is_export: bool) -> bool {
    // A shell spells the name otherwise with quotes and backslashes alone.
    if !text.contains(name) && !text.contains(['\'', '"', '\\']) {
        return false;
    }
    if text.split("((").skip(1).any(|code| is_name_or_assignment(code, name, true)) {
        return true;
    }
    let (mut is_set, mut is_target) = (false, false);
    let mut command = is_export.then_some("export");
    let all = words(text, is_start);
    for (place, word) in all.iter().enumerate() {
        let Word::Text { text, is_plain } = word else {
            if is_set {
                return true;
            }
            (command, is_target) = (None, false);
            continue;
        };
        if std::mem::take(&mut is_target) {
            continue;
        }
        match &command {
            Some(command)
                if COMMANDS.contains(command) && is_name_or_assignment(text, name, false) =>
            {
                return true;
            }
            Some(command)
                if EVALUATING.contains(command) && is_name_or_assignment(text, name, true) =>
            {
                return true;
            }
            Some(_) => {}
            None if *is_plain && is_assignment(text) => {
                is_set |= is_name_or_assignment(text, name, false)
            }
            None if LEADING.contains(&text.as_str()) => {}
            // `>file`, `2> file`, `2>&1`.
            None if text
                .trim_start_matches(|character: char| character.is_ascii_digit())
                .starts_with(['<', '>']) =>
            {
                is_target = text.ends_with(['<', '>', '&']);
            }
            None => {
                // Python's reader takes a name alone for a variable without a value.
                let is_alone = || matches!(all.get(place + 1), None | Some(Word::End));
                if is_start && place == 0 && text.as_str() == name && is_alone() {
                    return true;
                }
                (command, is_set) = (Some(text.as_str()), false);
            }
        }
    }
    is_set
}

/// The words of `text`. The first is left out, if `text` begins within it.
fn words(text: &str, is_start: bool) -> Vec<Word> {
    // With its room from the start, so that no part of a secret is left behind unwiped.
    let mut word = Zeroizing::new(String::with_capacity(text.len()));
    let (mut all, mut quote) = (Vec::new(), None);
    let (mut has_word, mut is_left_out, mut is_plain) = (!is_start, !is_start, true);
    let mut is_escaped = false;
    for character in text.chars().chain(['\n']) {
        match quote {
            _ if is_escaped => {
                word.push(character);
                is_escaped = false;
            }
            Some(open) if character == open => quote = None,
            Some('\'') => word.push(character),
            _ if character == '\\' => {
                is_plain = is_plain && word.contains('=');
                (is_escaped, has_word) = (true, true);
            }
            Some(_) => word.push(character),
            None if character == '#' && !has_word => break,
            None if character == '\'' || character == '"' => {
                is_plain = is_plain && word.contains('=');
                (quote, has_word) = (Some(character), true);
            }
            None if character.is_whitespace()
                || is_end(character) && !(character == '&' && word.ends_with('>')) =>
            {
                if has_word && !is_left_out {
                    // Of its own length: the room of each word would be that of the line.
                    let text = Zeroizing::new(word.as_str().to_owned());
                    all.push(Word::Text { text, is_plain });
                }
                word.clear();
                is_left_out &= !has_word;
                (has_word, is_plain) = (false, true);
                all.extend(is_end(character).then_some(Word::End));
            }
            None => {
                word.push(character);
                has_word = true;
            }
        }
    }
    // Of a quote that is not closed.
    if has_word && !is_left_out {
        all.push(Word::Text { text: word, is_plain });
    }
    all
}

/// Returns `true` for `NAME=value`, whatever the name.
fn is_assignment(word: &str) -> bool {
    let is_part = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    word.split_once('=').is_some_and(|(name, _)| {
        let name = name.strip_suffix('+').unwrap_or(name);
        let name = name.split('[').next().unwrap_or_default();
        !name.is_empty() && name.bytes().all(is_part)
    })
}

/// Returns `true` if `word` is `name`, an element of it or an assignment of it; or has one in it, if
/// it `is_code`.
fn is_name_or_assignment(word: &str, name: &str, is_code: bool) -> bool {
    let is_part = |character: char| character == '_' || character.is_ascii_alphanumeric();
    let is_set = |rest: &str| {
        let rest = if is_code { rest.trim_start() } else { rest };
        !is_code && rest.is_empty() || rest.starts_with(['=', '[']) || rest.starts_with("+=")
    };
    if is_code {
        word.match_indices(name).any(|(place, _)| {
            !word[..place].ends_with(is_part) && is_set(&word[place + name.len()..])
        })
    } else {
        word.strip_prefix(name).is_some_and(is_set)
    }
}

/// Returns `true` if a command ends at `character`.
fn is_end(character: char) -> bool {
    matches!(character, ';' | '&' | '|' | '\n')
}
