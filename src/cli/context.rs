//! The options that every command has: the inventory, the environment, the clock.

use std::path::PathBuf;
use std::time::SystemTime;

use super::failure::Failure;
use super::file_clock::FileClock;
use super::terminal::complain;
use crate::clock::Clock;
use crate::ops::inventory::{Inventory, Project};

/// The options that every command has.
pub(super) struct Context {
    pub(super) inventory: PathBuf,
    pub(super) environment: Option<String>,
    pub(super) clock: Option<PathBuf>,
}

impl Context {
    /// Opens the project, in the environment of the options.
    pub(super) fn project(&self) -> Result<Project, Failure> {
        self.project_of(self.environment.as_deref())
    }

    /// Opens the project, in `environment` or in that of the inventory.
    pub(super) fn project_of(&self, environment: Option<&str>) -> Result<Project, Failure> {
        let mut project = Project::new(Inventory::read(&self.inventory)?)
            .on_note(|note| complain(&format!("note: {note}")));
        if let Some(environment) = environment {
            project = project.environment(environment)?;
        }
        if let Some(path) = &self.clock {
            project = project.clock(FileClock::open(path)?);
        }
        Ok(project)
    }

    pub(super) fn now(&self) -> Result<SystemTime, Failure> {
        match &self.clock {
            Some(path) => Ok(FileClock::open(path)?.now()),
            None => Ok(SystemTime::now()),
        }
    }
}
