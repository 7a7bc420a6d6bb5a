//! The reasons for which a line of a `.env` file is not read or written.

use std::fmt;
use std::path::Path;

use crate::reference::Reference;
use crate::source::error::StoreError;

/// A variable that cannot be read or written, with the line that is the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unclear {
    /// The line, from 1; `None` for a variable that has none yet.
    pub(super) line: Option<usize>,
    /// The variable of that line.
    pub(super) variable: String,
    pub(super) problem: LineProblem,
}

/// The problem with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LineProblem {
    /// There are two assignments, and readers differ in which one counts.
    Twice {
        /// The line of the first one.
        first: usize,
    },
    /// The value is ciphertext or a reference.
    Reference(Reference),
    /// Readers differ in the value.
    Value,
    /// A quote is opened and not closed, so that readers differ in the lines that follow.
    Quote,
    /// The line ends with a backslash, so that readers differ in the line that follows.
    Backslash,
    /// Blanks are before or behind the value.
    Blanks,
    /// A colon separates the name from the value.
    Colon,
    /// Blanks are before `=`.
    Spaced,
    /// A tab or several blanks are before the name.
    Indented,
    /// The value begins with `#`, which some readers take for a comment.
    Hash,
    /// An invisible character is beside the name, with which some readers do not find it.
    Invisible,
    /// Some readers take the line for several.
    Break,
    /// Some readers change the variable in a line that is no assignment of it.
    Shell,
    /// No way of writing the value is read the same by all readers.
    Unwritable,
    /// The key of the variable is left out, because four others are set.
    LeftOut,
    /// The file belongs to a tool that encrypts its values.
    Shared {
        /// The tool.
        tool: &'static str,
        /// The variable that shows it; empty for a line that is no assignment.
        marker: String,
        /// Its line.
        marker_line: usize,
    },
}

impl Unclear {
    /// Returns `true` if the reason is a line of another variable than `name`.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "operators use it, behind a feature")
    )]
    pub(crate) fn is_of_other(&self, name: &str) -> bool {
        self.variable != name
    }

    /// The error on this variable of the file at `path`.
    pub(crate) fn error(self, path: &Path) -> StoreError {
        let Self { line, variable, problem } = self;
        let path = path.to_owned();
        match problem {
            LineProblem::Reference(reference) => {
                StoreError::Reference { path, line, variable, reference }
            }
            problem => StoreError::Dotenv { path, line, variable, problem: problem.to_string() },
        }
    }
}

/// For a message that names the variable that was asked for, which may be another one.
impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.problem, self.line) {
            (LineProblem::Break | LineProblem::Shell, Some(line)) => {
                write!(f, "line {line}: {}", self.problem)
            }
            (LineProblem::Quote | LineProblem::Backslash, Some(line)) => {
                write!(f, "`{}` in line {line}: {}", self.variable, self.problem)
            }
            _ => self.problem.fmt(f),
        }
    }
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Twice { first } => {
                return write!(
                    f,
                    "it is set in line {first} too, and readers differ in which one counts: remove one"
                );
            }
            Self::Reference(reference) => {
                return write!(f, "{reference}, or {}", Reference::WAY_OUT);
            }
            Self::Value => {
                "readers of such files differ in its value: put it in single quotes, without a \
                 backslash"
            }
            Self::Quote => {
                "it opens a quote and does not close it, so that readers differ in the lines that \
                 follow: close the quote"
            }
            Self::Backslash => {
                "its line ends with a backslash, with which some readers join the next line: put the \
                 value in single quotes"
            }
            Self::Blanks => {
                "blanks or a tab surround the value, with which a shell, `node --env-file` or `docker \
                 --env-file` reads another one: remove them"
            }
            Self::Colon => "only npm's `dotenv` reads a colon after the name: write `=` instead",
            Self::Spaced => {
                "blanks are before `=`, with which a shell does not set the variable and `docker \
                 --env-file` refuses the file: remove the blanks"
            }
            Self::Indented => {
                "a tab, or more than one blank after `export`, is before the name, with which `node \
                 --env-file` does not find the variable: write `NAME=value` or `export NAME=value`"
            }
            Self::Hash => {
                "`#` is where its value begins, and readers differ in whether a comment begins \
                 there: remove all behind `=` if it has no value, or put the value in single quotes"
            }
            Self::Invisible => {
                "an invisible character, such as a byte order mark, is beside its name, with which \
                 some readers do not find it: remove that character"
            }
            Self::Break => {
                "the line contains a lone carriage return, U+2028 or U+2029, where some readers \
                 begin another line: remove that character"
            }
            Self::Shell => {
                "readers differ in whether this line changes the variable: set it once, as \
                 `NAME=value` in a line of its own"
            }
            Self::Unwritable => {
                "readers of such files differ in the new value, however it is written: use a value \
                 without a line break, a backslash, and quotes of two kinds"
            }
            Self::LeftOut => {
                "four keys are set besides, which is the most that may verify, so that this one verifies \
                 nothing and a step would overwrite it: delete this line, and repeat the step (a \
                 revocation deletes it)"
            }
            Self::Shared { tool, marker, marker_line } => {
                let shown = if marker.is_empty() { String::new() } else { format!(", `{marker}`") };
                return write!(
                    f,
                    "the file is encrypted with {tool} (line {marker_line}{shown}) and made to be \
                     shared, and dualkey writes in the clear: move the secrets that dualkey \
                     rotates to a file of their own, or rotate them with {tool}"
                );
            }
        })
    }
}
