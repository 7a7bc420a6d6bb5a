//! Standard output and standard error of the command line.
//!
//! It guarantees: all that a command prints goes through this file, where each text of elsewhere
//! (of a report, a manifest, the inventory, a database, an argument, a variable) is shown as
//! [`Plain`] shows it. One call of [`Terminal::line`] prints one line, whatever the text holds.
//!
//! It does not cover what is not for a reader: a secret that was asked for, and a completion
//! script.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Cell, ContentArrangement, Table, presets};

use super::failure::Failure;
use crate::secret::Secret;
use crate::text::{Plain, is_hidden};

/// The output of a command, and the person at it, if there is one to be asked.
pub(super) struct Terminal {
    out: io::Stdout,
    is_colored: bool,
}

impl Terminal {
    pub(super) fn new() -> Self {
        let out = io::stdout();
        // https://no-color.org: set, and not empty.
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        let is_colored = !is_unwanted && (is_forced || out.is_terminal());
        Self { out, is_colored }
    }

    pub(super) fn is_colored(&self) -> bool {
        self.is_colored
    }

    /// Prints `text` as one line.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{}", Plain(text))?)
    }

    /// Prints a text of this crate, line by line.
    pub(super) fn lines(&mut self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.line(line))
    }

    /// Prints a document of JSON. What is not shown itself is in its strings, and is written as
    /// RFC 8259 section 7 writes it, so that a reader of the JSON finds it.
    pub(super) fn json(&mut self, document: &str) -> Result<(), Failure> {
        let is_escaped = |letter: char| is_hidden(letter) && letter != '\n';
        let mut rest = document.trim_end();
        while let Some(place) = rest.find(is_escaped) {
            let (before, after) = rest.split_at(place);
            self.out.write_all(before.as_bytes())?;
            let mut after = after.chars();
            let units = |letter: char| letter.encode_utf16(&mut [0; 2]).to_vec();
            for unit in after.next().map_or_else(Vec::new, units) {
                write!(self.out, "\\u{unit:04x}")?;
            }
            rest = after.as_str();
        }
        self.out.write_all(rest.as_bytes())?;
        self.line("")
    }

    /// An empty table with the cells of `header`.
    pub(super) fn new_table(&self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(header.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        table.set_content_arrangement(ContentArrangement::Disabled);
        if self.is_colored {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table
    }

    /// Prints a table of which every cell was made with [`cell`].
    pub(super) fn print(&mut self, table: &Table) -> Result<(), Failure> {
        for line in table.to_string().lines() {
            // Without the margin that a table begins and ends with.
            writeln!(self.out, "{}", line.strip_prefix(' ').unwrap_or(line).trim_end())?;
        }
        Ok(())
    }

    /// Prints a secret that was asked for, as it is.
    pub(super) fn secret(&mut self, secret: &Secret) -> Result<(), Failure> {
        self.out.write_all(secret.expose())?;
        self.line("")
    }

    /// Prints what `write` writes, as it is: a script for a shell.
    pub(super) fn script(&mut self, write: impl FnOnce(&mut dyn Write)) -> Result<(), Failure> {
        // Into memory first: who writes a script panics where it cannot be written.
        let mut script = Vec::new();
        write(&mut script);
        self.out.write_all(&script)?;
        self.flush()
    }

    /// Asks a person to type the name of the secret, before what cannot be undone.
    pub(super) fn confirm(&mut self, name: &str, what: &str) -> Result<(), Failure> {
        if !io::stdin().is_terminal() {
            let problem = format!("{what}: that cannot be undone; say so with `--yes`");
            return Err(Failure::Usage(problem));
        }
        let question = format!("{what}: that cannot be undone. Type {name} to continue: ");
        write!(self.out, "{}", Plain(&question))?;
        self.out.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        if answer.trim() != name {
            return Err(Failure::Usage("nothing was done".to_owned()));
        }
        Ok(())
    }

    /// Has everything that was printed be seen.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }
}

/// A cell of a table, each of `lines` on a line of its own.
pub(super) fn cell<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Cell {
    let lines: Vec<_> = lines.into_iter().map(|line| Plain(line.as_ref()).to_string()).collect();
    Cell::new(lines.join("\n"))
}

/// Prints `text` as one line on standard error.
pub(super) fn complain(text: &str) {
    // If this fails as well, no place is left to report it.
    let _ = writeln!(io::stderr(), "{}", Plain(text));
}

/// Prints the text of the parser of the arguments: help on standard output, an error on standard
/// error. The caller has shown the arguments in it plain.
pub(super) fn print_usage(error: &clap::Error) {
    // If this fails, no place is left to report it.
    let _ = error.print();
}
