//! The variables of a `.env` file, as its readers see them: for commands that look for secrets in it.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::MAX_BYTES;
use super::lines::Lines;
use super::problem::Unclear;
use crate::source::disk;
use crate::source::error::StoreError;

/// The variables of one file, each once.
pub(crate) struct Listing {
    pub(crate) path: PathBuf,
    pub(crate) variables: Vec<Variable>,
    /// Set if a tool encrypts the values of the file, so that no step writes into it.
    pub(crate) encrypted: Option<EncryptedFile>,
}

/// A tool that encrypts the values of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EncryptedFile {
    pub(crate) path: PathBuf,
    pub(crate) tool: &'static str,
    /// The first line that shows it.
    line: usize,
    /// The variable of that line; empty for a line that is no assignment.
    marker: String,
}

impl EncryptedFile {
    /// The finding, for an operator that did not take a step yet.
    pub(crate) fn problem(&self) -> String {
        let shown =
            if self.marker.is_empty() { String::new() } else { format!(", `{}`", self.marker) };
        format!(
            "{} is encrypted with {} (line {}{shown}): dualkey writes in the clear, and refuses to rotate \
             there",
            self.path.display(),
            self.tool,
            self.line
        )
    }

    /// The remedy.
    pub(crate) fn remedy(&self) -> String {
        format!("move the secret to a file of its own, or rotate it with {}", self.tool)
    }
}

/// A variable, with its value as it is written.
pub(crate) struct Variable {
    pub(crate) name: String,
    /// Without the quotes.
    pub(crate) value: Zeroizing<String>,
    /// Set if readers of the file differ in the value, or if it is no secret itself.
    pub(crate) problem: Option<Unclear>,
}

impl Listing {
    /// Reads the file at `path`; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read, or others may write it.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, StoreError> {
        let text = match disk::read_edited(path, MAX_BYTES) {
            Ok(text) => text,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) if disk::is_no_file(&source) => {
                return Err(StoreError::NotAFile { path: path.to_owned() });
            }
            Err(source) => return Err(StoreError::from_path(path, source)),
        };
        let lines = Lines::parse(&text);
        let (mut names, mut variables) = (HashSet::new(), Vec::new());
        for (name, written) in lines.variables().filter(|(name, _)| names.insert(name.to_string()))
        {
            let (value, problem) = match lines.value(name) {
                Ok(Some(value)) => (value, None),
                Ok(None) => continue,
                Err(unclear) => (Zeroizing::new(written.to_owned()), Some(unclear)),
            };
            variables.push(Variable { name: name.to_owned(), value, problem });
        }
        let encrypted = lines.find_shared().map(|shared| EncryptedFile {
            path: path.to_owned(),
            tool: shared.tool,
            line: shared.line,
            marker: shared.variable,
        });
        Ok(Some(Self { path: path.to_owned(), variables, encrypted }))
    }

    /// The variable `name`, if it has a value.
    pub(crate) fn get(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|variable| variable.name == name && !variable.value.is_empty())
    }
}
