//! One assignment of a `.env` file: where its parts are, where it ends, and how a value is quoted.

use zeroize::Zeroizing;

/// Where the parts of an assignment are in its line.
#[derive(Clone)]
pub(super) struct Assignment {
    pub(super) name: String,
    /// Before the name: blanks, `export`.
    pub(super) start: usize,
    /// Before the value: blanks, `export`, the name, `=`, blanks.
    pub(super) before: usize,
    /// The value, with its quotes.
    pub(super) end: usize,
    pub(super) quote: Option<char>,
    pub(super) form: AssignmentForm,
}

/// The form of an assignment, which decides the readers that accept it.
#[derive(Clone, Copy, Default)]
pub(super) struct AssignmentForm {
    /// `export` is before the name: systemd ignores the line, and docker refuses the file.
    pub(super) is_export: bool,
    /// Blanks are before `=`: docker refuses the file, and a shell runs a command.
    pub(super) is_spaced: bool,
    /// A tab, or several blanks after `export`, are before the name: Node's reader does not find the
    /// variable.
    pub(super) is_indented: bool,
    /// Blanks are after `=`.
    pub(super) is_led: bool,
    /// A colon separates the value: npm's `dotenv` reads it, and no other.
    pub(super) is_colon: bool,
    /// A byte order mark is before the name, or a blank that is none to a shell is beside it:
    /// some readers do not find the variable.
    pub(super) has_invisible: bool,
}

/// The end of a value that begins with a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Every reader finds the end here, and nothing but a comment follows.
    Clean(usize),
    /// The quote is closed in its line, and more follows.
    SameLine,
    /// Readers differ in the next so many lines; `None`: in all of them.
    Open(Option<usize>),
}

impl Assignment {
    /// The assignment with which `text` begins; its first line ends at `first`.
    pub(super) fn parse(text: &str, first: usize) -> Option<Self> {
        let line = text[..first].trim_end_matches(['\n', '\r']);
        let rest = line.trim_start_matches(|character: char| {
            character.is_whitespace() || character == '\u{feff}'
        });
        let (rest, is_export) = match rest.strip_prefix("export") {
            Some(after) if after.starts_with([' ', '\t']) => (after.trim_start(), true),
            _ => (rest, false),
        };
        let start = line.len() - rest.len();
        let lead = line[..start].trim_start_matches(' ');
        let is_indented = !lead.is_empty() && lead != "export ";
        let is_invisible = |character: char| character != ' ' && character != '\t';
        let mut has_invisible = line[..start].replacen("export", "", 1).contains(is_invisible);
        let (name, value, is_colon) = split(rest)?;
        let is_spaced = name.ends_with([' ', '\t']);
        has_invisible |= name[name.trim_end().len()..].contains(is_invisible);
        let name = name.trim_end();
        let is_odd = |character: char| character.is_whitespace() || "#'\"`".contains(character);
        if name.is_empty() || name.contains(is_odd) {
            return None;
        }
        let bare = value.trim_start();
        has_invisible |= value[..value.len() - bare.len()].contains(is_invisible);
        let is_led = bare.len() < value.len();
        let before = line.len() - bare.len();
        let quote = quote_of(bare);
        let end = quote.and_then(|quote| end_of_quoted(&text[before..], quote));
        let (quote, end) = match end {
            Some(end) => (quote, before + end),
            None => (None, before + length_of_bare(bare)),
        };
        let form =
            AssignmentForm { is_export, is_spaced, is_indented, is_led, is_colon, has_invisible };
        Some(Self { name: name.to_owned(), start, before, end, quote, form })
    }
}

/// The name and the value of a line, and whether a colon is between them.
fn split(line: &str) -> Option<(&str, &str, bool)> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
    let (name, value) = line.split_once(':').unwrap_or_default();
    if !name.is_empty() && name.chars().all(is_part) && value.starts_with(char::is_whitespace) {
        return Some((name, value, true));
    }
    line.split_once('=').map(|(name, value)| (name, value, false))
}

/// The length of the quoted value with which `text` begins, if it has an end.
fn end_of_quoted(text: &str, quote: char) -> Option<usize> {
    match reach(text, quote) {
        Reach::Clean(end) => Some(end),
        // In one line: the same for readers that know escapes.
        Reach::SameLine => find_closing(text, quote, true).filter(|end| is_end(&text[*end..])),
        Reach::Open(_) => None,
    }
}

/// The reach of the value with which `text` begins, which begins with `quote`.
pub(super) fn reach(text: &str, quote: char) -> Reach {
    let line = text.find('\n').unwrap_or(text.len());
    // Some readers know of an escaped quote, and some do not.
    let (early, late) = (find_closing(text, quote, false), find_closing(text, quote, true));
    match (early, late) {
        (Some(early), Some(late)) if early == late && quote != '`' && is_end(&text[late..]) => {
            Reach::Clean(late)
        }
        (Some(early), Some(late)) if early.max(late) <= line => match lines_after(&text[late..]) {
            Some(0) => Reach::SameLine,
            lines => Reach::Open(lines),
        },
        (Some(_), Some(late)) => {
            let lines = text[..late].matches('\n').count();
            Reach::Open(lines_after(&text[late..]).map(|more| lines + more))
        }
        // Readers that know this quote take one that is not closed for a part of the value.
        _ if quote == '`' => Reach::SameLine,
        _ => Reach::Open(None),
    }
}

/// The number of further lines that some readers take for more of a value, which quotes closed before
/// `rest`: a quote in the same line opens more of it. `None` if it has no end.
fn lines_after(rest: &str) -> Option<usize> {
    let line = rest.split('\n').next().unwrap_or_default();
    let line = line.split(" #").next().unwrap_or_default();
    let Some(place) = line.find(['"', '\'']) else { return Some(0) };
    let more = &rest[place..];
    match quote_of(more).map(|quote| reach(more, quote)) {
        Some(Reach::Open(lines)) => lines,
        Some(Reach::Clean(end)) => Some(more[..end].matches('\n').count()),
        Some(Reach::SameLine) | None => Some(0),
    }
}

/// The end of the quoted value with which `text` begins.
fn find_closing(text: &str, quote: char, knows_escapes: bool) -> Option<usize> {
    let mut is_escaped = false;
    for (place, character) in text.char_indices().skip(1) {
        if character == quote && !is_escaped {
            return Some(place + character.len_utf8());
        }
        is_escaped = knows_escapes && character == '\\' && !is_escaped;
    }
    None
}

/// Returns `true` if nothing but a comment follows in the line.
fn is_end(rest: &str) -> bool {
    let rest = rest.split('\n').next().unwrap_or_default();
    let rest = rest.trim_end_matches('\r').trim_start_matches([' ', '\t']);
    rest.is_empty() || rest.starts_with('#')
}

/// The length of a value without quotes: up to a comment, without the blanks before it.
fn length_of_bare(value: &str) -> usize {
    value.split('#').next().unwrap_or_default().trim_end_matches([' ', '\t']).len()
}

/// Returns `true` if readers agree on the value `inner` in quotes `quote`.
pub(super) fn is_clear(inner: &str, quote: Option<char>) -> bool {
    let is_odd = |character: char| {
        character == '\\' || is_break(character) || character.is_control() && character != '\t'
    };
    let is_line = !inner.contains(is_odd);
    match quote {
        // Python's reader expands `${NAME}` in every value.
        Some('\'') => is_line && !inner.contains("${"),
        // Only Node's takes them for quotes.
        Some('`') => false,
        Some(_) => is_line && !inner.contains(['$', '`']),
        None => is_plain(inner, b"_-+/=.:@%^,~?!&*") && !is_home(inner),
    }
}

/// Returns `true` if some readers end a line at `character`, and others do not.
pub(super) fn is_break(character: char) -> bool {
    matches!(character, '\r' | '\u{2028}' | '\u{2029}')
}

/// Returns `true` if a shell takes a part of `value` for a home folder.
fn is_home(value: &str) -> bool {
    value.starts_with('~') || value.contains(":~")
}

/// Returns `true` if `value` has letters, digits and `others` alone.
fn is_plain(value: &str, others: &[u8]) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// `value` so that every reader takes it for what it is; with the quotes that the line had, if
/// they will do.
pub(super) fn quote_value(value: &str, quote: Option<char>) -> Option<Zeroizing<String>> {
    let fits = |quote: Option<char>| match quote {
        // A shell ends a command at `&`.
        None => is_plain(value, b"_-+/=.:@%^,?!*") && !value.is_empty(),
        Some(mark) => is_clear(value, quote) && !value.contains(mark),
    };
    let quote = [quote, None, Some('\''), Some('"')].into_iter().find(|quote| fits(*quote))?;
    let mut room = [0; 4];
    let quote = quote.map_or("", |quote| quote.encode_utf8(&mut room));
    Some(join(&[quote, value, quote]))
}

/// The parts in one text, which has its room from the start: a text that grows leaves parts of a
/// secret behind unwiped.
pub(super) fn join(parts: &[&str]) -> Zeroizing<String> {
    Zeroizing::new(parts.concat())
}

pub(super) fn quote_of(value: &str) -> Option<char> {
    value.chars().next().filter(|character| matches!(character, '\'' | '"' | '`'))
}
