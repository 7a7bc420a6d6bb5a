//! A `.env` file as lines, of which some are assignments; all that is not touched stays as it
//! is, byte for byte.
//!
//! Readers of these files differ: Node's `dotenv` ends a bare value at any `#` and takes `$` as
//! it stands, Rust's `dotenvy` does neither, shells do something else again. So a value is read
//! only where all of them agree, and is written so that all of them read it.

use zeroize::Zeroizing;

/// A file, taken apart.
pub(super) struct Lines {
    lines: Vec<Line>,
    is_open: bool,
}

/// A line with its end; of a quoted value that goes on, several.
struct Line {
    text: Zeroizing<String>,
    assigns: Option<Assigns>,
}

/// Where the parts of an assignment are in its line.
#[derive(Clone)]
struct Assigns {
    name: String,
    /// Before the value: blanks, `export`, the name, `=`, blanks.
    before: usize,
    /// The value, with its quotes.
    end: usize,
    quote: Option<char>,
}

/// Why a value cannot be taken or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unclear {
    /// There are two assignments, and readers differ in which one counts.
    Twice,
    /// Readers differ in what the value is.
    Value,
    /// A quote is opened and never closed, so that readers differ in where the next line begins.
    Quote,
}

impl Unclear {
    /// The problem, and its remedy.
    pub(super) fn problem(self) -> &'static str {
        match self {
            Self::Twice => "it is set twice, and readers differ in which one counts: remove one",
            Self::Value => {
                "readers of such files differ in what its value is: put it in single quotes, \
                 without a backslash"
            }
            Self::Quote => "a quote in the file is opened and never closed: close it",
        }
    }
}

impl Lines {
    pub(super) fn parse(text: &str) -> Self {
        let (mut lines, mut is_open) = (Vec::new(), false);
        let mut rest = text;
        while !rest.is_empty() {
            let first = rest.find('\n').map_or(rest.len(), |end| end + 1);
            let assigns = assigns(rest, first);
            // A quoted value may go on over lines.
            let length = assigns.as_ref().map_or(first, |own| {
                rest[own.end..].find('\n').map_or(rest.len(), |end| own.end + end + 1)
            });
            let (line, after) = rest.split_at(length);
            let opens =
                |own: &Assigns| own.quote.is_none() && quote_of(&line[own.before..]).is_some();
            is_open |= assigns.as_ref().is_some_and(opens);
            lines.push(Line { text: Zeroizing::new(line.to_owned()), assigns });
            rest = after;
        }
        Self { lines, is_open }
    }

    pub(super) fn text(&self) -> Zeroizing<String> {
        let length = self.lines.iter().map(|line| line.text.len()).sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        self.lines.iter().for_each(|line| text.push_str(&line.text));
        text
    }

    /// The value of `name`, where every reader takes it for the same.
    pub(super) fn value(&self, name: &str) -> Result<Option<Zeroizing<String>>, Unclear> {
        let Some(place) = self.place(name)? else { return Ok(None) };
        let line = &self.lines[place];
        let Some(own) = &line.assigns else { return Ok(None) };
        let text = &line.text[own.before..own.end];
        let inner = match own.quote {
            Some(quote) => &text[quote.len_utf8()..text.len() - quote.len_utf8()],
            None => text,
        };
        let is_clear = match own.quote {
            Some('\'') => !inner.contains(['\\', '\n', '\r']),
            // Only Node's takes them for quotes.
            Some('`') => false,
            Some(_) => !inner.contains(['\\', '$', '`', '\n', '\r']),
            None => is_plain(inner) && !line.text[own.end..].starts_with('#'),
        };
        match is_clear {
            true => Ok(Some(Zeroizing::new(inner.to_owned()))),
            false => Err(Unclear::Value),
        }
    }

    /// The variables in their order, with their values as they are written, without the quotes.
    #[cfg(feature = "ops")]
    pub(super) fn written(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().filter_map(|line| {
            let own = line.assigns.as_ref()?;
            let quote = own.quote.map_or(0, char::len_utf8);
            Some((own.name.as_str(), &line.text[own.before + quote..own.end - quote]))
        })
    }

    /// Sets `name`, in its place; a new one comes after the assignment of `after`, and looks
    /// like that one.
    pub(super) fn set(&mut self, name: &str, value: &str, after: &[&str]) -> Result<(), Unclear> {
        if let Some(place) = self.place(name)? {
            let line = &mut self.lines[place];
            let Some(own) = &mut line.assigns else { return Ok(()) };
            let quoted = quoted(value, own.quote).ok_or(Unclear::Value)?;
            let rest = &line.text[own.end..];
            // Of an empty value the blank before the comment stood before the value.
            let blank = if rest.starts_with('#') { " " } else { "" };
            let text = joined(&[&line.text[..own.before], &quoted, blank, rest]);
            (own.end, own.quote) = (own.before + quoted.len(), quote_of(&quoted));
            line.text = text;
            return Ok(());
        }
        let mut anchor = None;
        for other in after {
            anchor = anchor.max(self.place(other)?);
        }
        let like = anchor.and_then(|place| {
            let own = self.lines[place].assigns.as_ref()?;
            // What stands before the name: blanks, and `export`.
            let lead = self.lines[place].text.find(&own.name).unwrap_or_default();
            let lead = self.lines[place].text[..lead].trim_start_matches('\u{feff}');
            Some((lead.to_owned(), own.quote))
        });
        let (lead, quote) = like.unwrap_or_default();
        let quoted = quoted(value, quote).ok_or(Unclear::Value)?;
        let place = anchor.map_or(self.lines.len(), |place| place + 1);
        let end = self.line_end(place);
        let own_end = match place.checked_sub(1).map(|last| &mut self.lines[last].text) {
            // The last line has no end, and the new last line has none either.
            Some(last) if !last.ends_with('\n') => {
                *last = joined(&[last, end]);
                ""
            }
            _ => end,
        };
        let text = joined(&[&lead, name, "=", &quoted, own_end]);
        let assigns = assigns(&text, text.len());
        self.lines.insert(place, Line { text, assigns });
        Ok(())
    }

    /// Removes the assignment of `name`, with its line.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), Unclear> {
        if let Some(place) = self.place(name)? {
            self.lines.remove(place);
        }
        Ok(())
    }

    fn place(&self, name: &str) -> Result<Option<usize>, Unclear> {
        let is_own = |line: &Line| line.assigns.as_ref().is_some_and(|own| own.name == name);
        let mut places = (0..self.lines.len()).filter(|place| is_own(&self.lines[*place]));
        match (places.next(), places.next()) {
            _ if self.is_open => Err(Unclear::Quote),
            (place, None) => Ok(place),
            (_, Some(_)) => Err(Unclear::Twice),
        }
    }

    /// As the lines around `place` end.
    fn line_end(&self, place: usize) -> &'static str {
        let around = [place.checked_sub(1), Some(place), place.checked_sub(2)];
        let mut lines = around.into_iter().flatten().filter_map(|place| self.lines.get(place));
        match lines.find(|line| line.text.ends_with('\n')) {
            Some(line) if line.text.ends_with("\r\n") => "\r\n",
            _ => "\n",
        }
    }
}

/// The assignment with which `text` begins; its first line ends at `first`.
fn assigns(text: &str, first: usize) -> Option<Assigns> {
    let line = text[..first].trim_end_matches(['\n', '\r']);
    let own = line.trim_start_matches(|own: char| own.is_whitespace() || own == '\u{feff}');
    let own = match own.strip_prefix("export") {
        Some(after) if after.starts_with([' ', '\t']) => after.trim_start(),
        _ => own,
    };
    let (name, value) = own.split_once('=')?;
    let name = name.trim_end();
    if name.is_empty() || name.contains(['#', '\'', '"', '`']) || name.contains(char::is_whitespace)
    {
        return None;
    }
    let value = value.trim_start_matches([' ', '\t']);
    let before = line.len() - value.len();
    let quote = value.chars().next().filter(|own| matches!(own, '\'' | '"' | '`'));
    let quoted = quote.and_then(|quote| closing(&text[before..], quote).map(|end| (quote, end)));
    let (quote, end) = match quoted {
        Some((quote, end)) => (Some(quote), before + end),
        None => (None, before + bare(value)),
    };
    Some(Assigns { name: name.to_owned(), before, end, quote })
}

/// The length of the quoted value with which `text` begins, if nothing but a comment follows.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (place, own) in text.char_indices().skip(1) {
        if own == quote && !is_escaped {
            let end = place + own.len_utf8();
            let rest = text[end..].split('\n').next().unwrap_or_default().trim();
            return (rest.is_empty() || rest.starts_with('#')).then_some(end);
        }
        is_escaped = own == '\\' && !is_escaped;
    }
    None
}

/// The length of a value without quotes: up to a comment, without the blanks before it.
fn bare(value: &str) -> usize {
    value.split('#').next().unwrap_or_default().trim_end().len()
}

/// Whether every reader takes the text as it stands, without quotes.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|own| own.is_ascii_alphanumeric() || b"_-+/=.:@%^,~?!&*".contains(&own))
}

/// `value` so that every reader takes it for what it is; with the quotes that the line had, if
/// they will do.
fn quoted(value: &str, quote: Option<char>) -> Option<Zeroizing<String>> {
    let fits = |quote: Option<char>| match quote {
        None => is_plain(value) && !value.is_empty(),
        Some('\'') => !value.contains(['\'', '\\', '\n', '\r']),
        Some('`') => false,
        Some(quote) => !value.contains([quote, '\\', '$', '`', '\n', '\r']),
    };
    let quote = [quote, None, Some('\''), Some('"')].into_iter().find(|quote| fits(*quote))?;
    let mut room = [0; 4];
    let quote = quote.map_or("", |quote| quote.encode_utf8(&mut room));
    Some(joined(&[quote, value, quote]))
}

/// The parts in one text, which has its room from the start: a text that grows leaves parts of a
/// secret behind unwiped.
fn joined(parts: &[&str]) -> Zeroizing<String> {
    Zeroizing::new(parts.concat())
}

fn quote_of(quoted: &str) -> Option<char> {
    quoted.chars().next().filter(|own| matches!(own, '\'' | '"' | '`'))
}

#[cfg(test)]
mod tests;
