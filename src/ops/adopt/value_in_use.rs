//! A variable whose value a service uses, although the store of the secret holds none.

use std::path::PathBuf;

/// A variable with a value that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InUse {
    /// The variable.
    pub variable: String,
    /// The file that sets it; `None` for the environment of this process.
    pub file: Option<PathBuf>,
}

impl InUse {
    /// Returns the place where it is set, in words.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.file {
            Some(path) => path.display().to_string(),
            None => "the environment".to_owned(),
        }
    }

    /// The command that takes the value of the secret `name` over.
    pub(crate) fn command(&self, name: &str) -> String {
        let from = if self.file.is_some() { "" } else { " --from-env" };
        format!("dualkey adopt {name}{from}")
    }
}
