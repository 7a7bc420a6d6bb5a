//! The file that says how far each table has come.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::ops::error::OpsError;
use crate::rewrap::{Checkpoint, RewrapJobError};
use crate::source::disk;

/// The file is written so often.
const WRITTEN_EVERY: Duration = Duration::from_millis(500);

/// A checkpoint is a line for each table, with the key of a row: at most 16 MiB.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The file that says how far each table has come.
pub(super) struct Checkpoints {
    path: Option<PathBuf>,
    state: Mutex<Reached>,
}

struct Reached {
    written_at: Option<Instant>,
    tables: Vec<(String, Checkpoint)>,
}

impl Checkpoints {
    pub(super) fn read(path: Option<&Path>) -> Result<Arc<Self>, OpsError> {
        let mut tables = Vec::new();
        if let Some(path) = path {
            match disk::read_trusted_text(path, MAX_BYTES) {
                Ok(text) => {
                    for line in text.lines() {
                        let wrong = || RewrapJobError::Checkpoint { problem: "it cannot be read" };
                        let (table, checkpoint) = line.split_once('\t').ok_or_else(wrong)?;
                        tables.push((
                            table.to_owned(),
                            Checkpoint::from_json(checkpoint.as_bytes())?,
                        ));
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(OpsError::for_path(path)(error)),
            }
        }
        let path = path.map(Path::to_owned);
        Ok(Arc::new(Self { path, state: Mutex::new(Reached { written_at: None, tables }) }))
    }

    pub(super) fn checkpoint(&self, table: &str) -> Option<Checkpoint> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tables.iter().find(|(name, _)| name == table).map(|(_, reached)| reached.clone())
    }

    /// Keeps it: now and then, because what is lost is time alone.
    pub(super) fn keep(&self, table: &str, checkpoint: &Checkpoint) {
        let Some(path) = &self.path else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.tables.iter_mut().find(|(name, _)| name == table) {
            Some((_, reached)) => *reached = checkpoint.clone(),
            None => state.tables.push((table.to_owned(), checkpoint.clone())),
        }
        if state.written_at.is_some_and(|at| at.elapsed() < WRITTEN_EVERY) {
            return;
        }
        state.written_at = Some(Instant::now());
        let lines = state
            .tables
            .iter()
            .filter_map(|(table, reached)| Some(format!("{table}\t{}\n", reached.to_json().ok()?)));
        // Without it, the rewrap begins at the first row again.
        let _ = disk::write(path, lines.collect::<String>().as_bytes(), false);
    }
}

pub(super) fn remove(path: &Path) -> Result<(), OpsError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(OpsError::for_path(path)(error))
        }
        _ => Ok(()),
    }
}
