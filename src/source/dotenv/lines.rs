//! A `.env` file as lines, of which some are assignments; all that is not touched stays as it
//! is, byte for byte.
//!
//! Readers of these files differ: Node's `dotenv` ends a bare value at any `#` and takes `$` as
//! it is, Rust's `dotenvy` does neither, shells do something else again. So a value is read
//! only where all of them agree, and is written so that all of them read it.
//!
//! An odd line of another variable matters only if readers differ in the lines that follow it.

use zeroize::Zeroizing;

use super::assign::{Assignment, Reach, is_break, is_clear, join, quote_of, quote_value, reach};
use super::problem::{LineProblem, Unclear};
use super::words::is_setting;
use crate::reference::Reference;

/// A file, taken apart.
pub(super) struct Lines {
    lines: Vec<FileLine>,
    gaps: Vec<Gap>,
    /// The first line that some readers take for several.
    broken: Option<usize>,
}

/// A line with its end; of a quoted value of several lines, all of them.
struct FileLine {
    text: Zeroizing<String>,
    /// Of its first line, from 1.
    number: usize,
    assigns: Option<Assignment>,
}

/// Lines in which readers differ, because of the line before them.
struct Gap {
    line: usize,
    last: usize,
    variable: String,
    problem: LineProblem,
}

/// A sign that a file belongs to a tool that encrypts its values.
pub(super) struct Shared {
    pub(super) tool: &'static str,
    pub(super) line: usize,
    pub(super) variable: String,
}

impl Lines {
    pub(super) fn parse(text: &str) -> Self {
        let (mut lines, mut gaps, mut number) = (Vec::new(), Vec::new(), 1);
        let mut rest = text;
        while !rest.is_empty() {
            let first = rest.find('\n').map_or(rest.len(), |end| end + 1);
            let assigns = Assignment::parse(rest, first);
            gaps.extend(
                assigns.as_ref().and_then(|assigns| gap(&rest[..first], rest, assigns, number)),
            );
            // A quoted value may have several lines.
            let length = assigns.as_ref().map_or(first, |assigns| {
                rest[assigns.end..].find('\n').map_or(rest.len(), |end| assigns.end + end + 1)
            });
            let (line, after) = rest.split_at(length);
            lines.push(FileLine { text: Zeroizing::new(line.to_owned()), number, assigns });
            number += line.matches('\n').count();
            rest = after;
        }
        let broken = lines.iter().find(|line| line.is_broken()).map(|line| line.number);
        Self { lines, gaps, broken }
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
        let Some(assigns) = &line.assigns else { return Ok(None) };
        match self.problem(line, assigns) {
            Some(problem) => Err(unclear(line, name, problem)),
            None => Ok(Some(Zeroizing::new(inner(line, assigns).to_owned()))),
        }
    }

    /// The line of the first assignment of `name`.
    pub(super) fn number_of(&self, name: &str) -> Option<usize> {
        let has_name =
            |line: &&FileLine| line.assigns.as_ref().is_some_and(|assigns| assigns.name == name);
        self.lines.iter().find(has_name).map(|line| line.number)
    }

    /// Returns why readers differ in the value of a line, or why it is no secret.
    fn problem(&self, line: &FileLine, assigns: &Assignment) -> Option<LineProblem> {
        let inner = inner(line, assigns);
        let rest = line.text[assigns.end..].trim_end_matches(['\n', '\r']);
        // Of a reference, `#` is a part: `vault:secret/data/app#KEY`.
        let text = &line.text[assigns.before..];
        let is_whole = rest.starts_with('#') || assigns.quote == Some('`');
        let whole = if is_whole { text } else { inner };
        if let Some(reference) = Reference::recognise(inner).or_else(|| Reference::recognise(whole))
        {
            return Some(LineProblem::Reference(reference));
        }
        if let Some(gap) = self.gaps.iter().find(|gap| gap.line == line.number) {
            return Some(gap.problem.clone());
        }
        // A shell takes `#` without a blank before it for a part of the value.
        let is_part = rest.starts_with('#');
        let has_comment = rest.trim_start_matches([' ', '\t']).starts_with('#');
        // Node's reader takes a tab for a part of a bare value.
        let has_tab = rest.split('#').next().is_some_and(|blanks| blanks.contains('\t'));
        let form = assigns.form;
        // Docker is no reader of the others: it refuses the file, or takes more than the value.
        let is_for_docker = !form.is_export && !has_comment;
        match assigns.quote {
            _ if form.has_invisible => Some(LineProblem::Invisible),
            _ if form.is_colon => Some(LineProblem::Colon),
            _ if form.is_indented => Some(LineProblem::Indented),
            _ if form.is_spaced => Some(LineProblem::Spaced),
            // A secret may begin with it: the variable is not one without a value.
            None if is_part && inner.is_empty() => Some(LineProblem::Hash),
            quote if is_part || !is_clear(inner, quote) => Some(LineProblem::Value),
            // A shell takes the value for a command, and the variable for empty.
            _ if form.is_led && !inner.is_empty() => Some(LineProblem::Blanks),
            None if has_tab => Some(LineProblem::Blanks),
            None if is_for_docker && !inner.is_empty() && !rest.is_empty() => {
                Some(LineProblem::Blanks)
            }
            _ => None,
        }
    }

    /// The variables in their order, with their values as they are written, without the quotes.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "operators use it, behind a feature")
    )]
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().filter_map(|line| {
            let assigns = line.assigns.as_ref()?;
            Some((assigns.name.as_str(), inner(line, assigns)))
        })
    }

    /// The first sign that the file belongs to a tool that encrypts its values.
    pub(super) fn find_shared(&self) -> Option<Shared> {
        self.lines.iter().find_map(|line| {
            let (text, variable) = match &line.assigns {
                Some(assigns) => (inner(line, assigns), assigns.name.as_str()),
                None => (line.text.trim(), ""),
            };
            let tool =
                Reference::tool_of_metadata(variable).or_else(|| {
                    match Reference::recognise(text) {
                        Some(Reference::Ciphertext { tool }) => Some(tool),
                        _ => None,
                    }
                })?;
            Some(Shared { tool, line: line.number, variable: variable.to_owned() })
        })
    }

    /// Sets `name`, in its place; a new one comes after the assignment of `after`, and looks
    /// like that one. No comment behind the old value is kept: it was about that value.
    pub(super) fn set(&mut self, name: &str, value: &str, after: &[&str]) -> Result<(), Unclear> {
        let unwritable = |line: Option<&FileLine>| Unclear {
            line: line.map(|line| line.number),
            variable: name.to_owned(),
            problem: LineProblem::Unwritable,
        };
        if let Some(place) = self.place(name)? {
            if self
                .value(name)
                .is_ok_and(|current| current.is_some_and(|current| *current == value))
            {
                return Ok(());
            }
            let line = &self.lines[place];
            let Some(assigns) = &line.assigns else { return Ok(()) };
            let quoted = quote_value(value, assigns.quote).ok_or_else(|| unwritable(Some(line)))?;
            let end = &line.text[line.text.trim_end_matches(['\n', '\r']).len()..];
            let text = join(&[&line.text[..assigns.start], name, "=", &quoted, end]);
            self.lines[place].text = text;
            self.renew();
            return Ok(());
        }
        let mut anchor = None;
        for other in after {
            anchor = anchor.max(self.place(other)?);
        }
        let like = anchor.and_then(|place| {
            let assigns = self.lines[place].assigns.as_ref()?;
            let lead = self.lines[place].text[..assigns.start].trim_start_matches('\u{feff}');
            Some((lead.to_owned(), assigns.quote))
        });
        let (lead, quote) = like.unwrap_or_default();
        let quoted = quote_value(value, quote).ok_or_else(|| unwritable(None))?;
        let place = anchor.map_or(self.lines.len(), |place| place + 1);
        let number = self.lines.get(place).map_or(usize::MAX, |line| line.number);
        self.check_gaps(number)?;
        let end = self.line_end(place);
        let new_end = match place.checked_sub(1).map(|last| &mut self.lines[last].text) {
            // The last line has no end, and the new last line has none either.
            Some(last) if !last.ends_with('\n') => {
                *last = join(&[last, end]);
                ""
            }
            _ => end,
        };
        let text = join(&[&lead, name, "=", &quoted, new_end]);
        self.lines.insert(place, FileLine { text, number: 0, assigns: None });
        self.renew();
        Ok(())
    }

    /// Removes the assignment of `name`, with its line.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), Unclear> {
        if let Some(place) = self.place(name)? {
            self.lines.remove(place);
            self.renew();
        }
        Ok(())
    }

    /// Reads the text again, after an edit.
    fn renew(&mut self) {
        *self = Self::parse(&self.text());
    }

    fn place(&self, name: &str) -> Result<Option<usize>, Unclear> {
        if let Some(line) = self.broken {
            let (line, variable) = (Some(line), name.to_owned());
            return Err(Unclear { line, variable, problem: LineProblem::Break });
        }
        let has_name =
            |line: &FileLine| line.assigns.as_ref().is_some_and(|assigns| assigns.name == name);
        let mut places = (0..self.lines.len()).filter(|place| has_name(&self.lines[*place]));
        let (place, second) = (places.next(), places.next());
        for line in [place, second].into_iter().flatten().map(|place| &self.lines[place]) {
            self.check_gaps(line.number)?;
        }
        match (place, second) {
            (Some(first), Some(second)) => {
                let first = self.lines[first].number;
                Err(unclear(&self.lines[second], name, LineProblem::Twice { first }))
            }
            (place, _) => {
                // What is before the assignment is set again by it.
                let mut later = self.lines.iter().skip(place.map_or(0, |place| place + 1));
                match later.find(|line| line.is_setting(name)) {
                    Some(line) => Err(unclear(line, name, LineProblem::Shell)),
                    None => Ok(place),
                }
            }
        }
    }

    /// Fails if readers differ in the line `number`, because of one before it.
    fn check_gaps(&self, number: usize) -> Result<(), Unclear> {
        match self.gaps.iter().find(|gap| gap.line < number && number <= gap.last) {
            None => Ok(()),
            Some(gap) => Err(Unclear {
                line: Some(gap.line),
                variable: gap.variable.clone(),
                problem: gap.problem.clone(),
            }),
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

impl FileLine {
    /// Returns `true` if some readers find a second line in it. In quotes they find none.
    fn is_broken(&self) -> bool {
        let text = self.text.trim_end_matches(['\n', '\r']);
        let quoted =
            self.assigns.as_ref().filter(|assigns| assigns.quote.is_some_and(|quote| quote != '`'));
        let outside = match quoted {
            Some(assigns) => [&text[..assigns.before], &text[assigns.end..]],
            None => [text, ""],
        };
        outside.into_iter().any(|part| part.contains(is_break))
    }

    /// Returns `true` if some readers set the variable `name` here, though the line is no
    /// assignment of it.
    fn is_setting(&self, name: &str) -> bool {
        let Some(assigns) = &self.assigns else {
            // Python's reader takes a name in quotes for the name.
            let text = self.text.trim_start();
            let text = text.strip_prefix("export").map_or(text, str::trim_start);
            let quoted = text.strip_prefix('\'').and_then(|inner| inner.split_once('\''));
            return quoted.is_some_and(|(word, _)| word == name)
                || is_setting(&self.text, name, true, false);
        };
        let more = assigns.name.strip_prefix(name).unwrap_or_default();
        // `NAME+=value`, `NAME[0]=value`.
        let is_part = more == "+" || more.starts_with('[');
        let (rest, is_start) = match assigns.quote {
            Some(_) => (assigns.end, false),
            None => (assigns.before, assigns.form.is_led),
        };
        is_part
            || assigns.name != name
                && is_setting(&self.text[rest..], name, is_start, assigns.form.is_export)
    }
}

/// The gap after the assignment `assigns` in line `number`, which begins `text`.
fn gap(line: &str, text: &str, assigns: &Assignment, number: usize) -> Option<Gap> {
    let value = &text[assigns.before..];
    let (last, problem) = match quote_of(value) {
        Some(quote) => match reach(value, quote) {
            Reach::Open(lines) => {
                (lines.map_or(usize::MAX, |lines| number + lines), LineProblem::Quote)
            }
            Reach::Clean(_) | Reach::SameLine => return None,
        },
        None => {
            let line = line.trim_end_matches(['\n', '\r']);
            let backslashes = line.len() - line.trim_end_matches('\\').len();
            // At the end of the file, a line that is appended follows.
            let last = if line.len() == text.len() { usize::MAX } else { number + 1 };
            (backslashes % 2 == 1).then_some((last, LineProblem::Backslash))?
        }
    };
    Some(Gap { line: number, last, variable: assigns.name.clone(), problem })
}

/// The value of `assigns` as it is written, without the quotes.
fn inner<'l>(line: &'l FileLine, assigns: &Assignment) -> &'l str {
    let quote = assigns.quote.map_or(0, char::len_utf8);
    &line.text[assigns.before + quote..assigns.end - quote]
}

fn unclear(line: &FileLine, name: &str, problem: LineProblem) -> Unclear {
    Unclear { line: Some(line.number), variable: name.to_owned(), problem }
}

#[cfg(test)]
mod tests;
