//! A clock whose time is in a file, for tests of a project.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::failure::Failure;
use crate::clock::Clock;
use crate::source::disk;

/// A time is a line.
const MAX_BYTES: usize = 1024;

/// A clock whose time is in a file, as RFC 3339. A file that it cannot read leaves it at the time
/// that it read last.
#[derive(Debug)]
pub(super) struct FileClock {
    path: PathBuf,
    last: Arc<Mutex<SystemTime>>,
}

impl FileClock {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let now = Self::read(path)
            .map_err(|problem| Failure::Usage(format!("{}: {problem}", path.display())))?;
        Ok(Self { path: path.to_owned(), last: Arc::new(Mutex::new(now)) })
    }

    fn read(path: &Path) -> Result<SystemTime, String> {
        let text = disk::read_text(path, MAX_BYTES).map_err(|error| error.to_string())?;
        let time = text.trim().parse::<jiff::Timestamp>().and_then(SystemTime::try_from);
        time.map_err(|_| "it holds no time as in 2026-01-15T10:00:00Z".to_owned())
    }
}

impl Clock for FileClock {
    fn now(&self) -> SystemTime {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Self::read(&self.path).unwrap_or(*last);
        *last
    }
}
