//! New secrets: made here, or read.

use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Failure;
use super::input::{ROOM, read_text};
use crate::manifest::NewEntry;
use crate::ops::OpsError;
use crate::ops::inventory::{Project, SecretSpec};
use crate::secret::Secret;
use crate::source::disk;

/// The longest secret: a line, and no file.
const MAX_BYTES: usize = ROOM;

/// The origin of a new secret.
#[derive(Args)]
pub(super) struct NewValue {
    /// The new secret, from a file or (`-`) from standard input, where another makes it
    #[arg(long, value_name = "FILE")]
    pub(super) value_from: Option<PathBuf>,
    /// The algorithm of a key of tokens: HS256, HS384 or HS512
    #[arg(long)]
    algorithm: Option<String>,
}

impl NewValue {
    /// Returns the new key of the secret `name`: made here, or read.
    pub(super) fn new_key(&self, project: &Project, name: &str) -> Result<NewEntry, Failure> {
        let item = project.inventory().secret(name)?;
        let given = self.value_from.as_ref().map(|path| read_secret(item, path)).transpose()?;
        let key = item.new_key(given)?;
        Ok(match &self.algorithm {
            Some(algorithm) => key.algorithm(algorithm),
            None => key,
        })
    }
}

/// Reads a secret from a file or from standard input, without the end of its line.
pub(super) fn read_secret(item: &SecretSpec, path: &Path) -> Result<Secret, Failure> {
    let text = read_text(path, MAX_BYTES).map_err(|source| {
        let source = if disk::is_no_file(&source) && path.as_os_str() != "-" {
            std::io::Error::other(format!("{source}; pass `-` to read standard input"))
        } else {
            source
        };
        OpsError::Io { path: path.to_owned(), source }
    })?;
    let line = text.trim_end_matches(['\n', '\r']);
    let decoded = item.purpose.decode(line.to_owned());
    decoded.map_err(|expected| {
        Failure::Usage(format!("what {} holds for {} is not {expected}", path.display(), item.name))
    })
}
