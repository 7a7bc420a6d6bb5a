//! The settings of a rewrap over everything that a secret of the inventory has sealed.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use crate::ops::inventory::Project;
use crate::rewrap::{BATCH, CONCURRENCY, Progress, Unreadable};

/// Goes through every table that the inventory names for a secret, and leaves the report beside
/// its manifest, where the verdict on the old key looks for it.
///
/// ```no_run
/// # async fn rewrap() -> Result<(), dualkey::ops::OpsError> {
/// use dualkey::ops::inventory::{Inventory, Project};
/// use dualkey::ops::rewrap::ProjectRewrap;
///
/// let project = Project::new(Inventory::read("dualkey.toml")?);
/// let tables = ProjectRewrap::new(&project, "ENCRYPTION_KEY", "ada@example.com").execute().run().await?;
/// for (table, rewrapped) in &tables {
///     println!("{table}: {} rewritten", rewrapped.counts.rewritten);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "it does nothing until it runs"]
pub struct ProjectRewrap<'p> {
    pub(super) project: &'p Project,
    pub(super) name: String,
    pub(super) actor: String,
    pub(super) reason: Option<String>,
    pub(super) executes: bool,
    pub(super) renews_all: bool,
    pub(super) rescues: bool,
    pub(super) batch: usize,
    pub(super) concurrency: usize,
    pub(super) rows_per_second: Option<NonZeroU32>,
    pub(super) checkpoint: Option<PathBuf>,
    pub(super) on_progress: Arc<OnProgress>,
    pub(super) on_unreadable: Arc<OnUnreadable>,
}

pub(super) type OnProgress = dyn Fn(&str, &Progress) + Send + Sync;
pub(super) type OnUnreadable = dyn Fn(&Unreadable) + Send + Sync;

impl<'p> ProjectRewrap<'p> {
    /// Of what the secret `name` has sealed, in the name of `actor`.
    pub fn new(project: &'p Project, name: &str, actor: &str) -> Self {
        Self {
            project,
            name: name.to_owned(),
            actor: actor.to_owned(),
            reason: None,
            executes: false,
            renews_all: false,
            rescues: false,
            batch: BATCH,
            concurrency: CONCURRENCY,
            rows_per_second: None,
            checkpoint: None,
            on_progress: Arc::new(|_, _| {}),
            on_unreadable: Arc::new(|_| {}),
        }
    }

    /// Why, for the trail. A blank reason is none.
    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = (!reason.trim().is_empty()).then(|| reason.to_owned());
        self
    }

    /// Writes, and leaves a report. Without it nothing is changed, but for the record of
    /// [`open_revoked`](Self::open_revoked).
    pub fn execute(mut self) -> Self {
        self.executes = true;
        self
    }

    /// Seals every row again: see [`RewrapJob::renew_all`](crate::rewrap::RewrapJob::renew_all).
    pub fn renew_all(mut self) -> Self {
        self.renews_all = true;
        self
    }

    /// After a compromise: as [`Dangerous::open_revoked`](crate::rewrap::Dangerous::open_revoked).
    /// Needs a [`reason`](Self::reason), which is told to the trail before anything is opened.
    pub fn open_revoked(mut self) -> Self {
        self.rescues = true;
        self
    }

    /// As [`RewrapJob::batch`](crate::rewrap::RewrapJob::batch).
    pub fn batch(mut self, rows: usize) -> Self {
        self.batch = rows;
        self
    }

    /// As [`RewrapJob::concurrency`](crate::rewrap::RewrapJob::concurrency).
    pub fn concurrency(mut self, batches: usize) -> Self {
        self.concurrency = batches.max(1);
        self
    }

    /// As [`RewrapJob::rows_per_second`](crate::rewrap::RewrapJob::rows_per_second).
    pub fn rows_per_second(mut self, rows: NonZeroU32) -> Self {
        self.rows_per_second = Some(rows);
        self
    }

    /// Keeps how far it has come in the file at `path`, begins with what it holds, and removes it
    /// at the end.
    pub fn checkpoint(mut self, path: impl Into<PathBuf>) -> Self {
        self.checkpoint = Some(path.into());
        self
    }

    /// Has `listener` called with the table and its progress, after each batch.
    pub fn on_progress(
        mut self,
        listener: impl Fn(&str, &Progress) + Send + Sync + 'static,
    ) -> Self {
        self.on_progress = Arc::new(listener);
        self
    }

    /// Has `listener` called with each value that cannot be read.
    pub fn on_unreadable(mut self, listener: impl Fn(&Unreadable) + Send + Sync + 'static) -> Self {
        self.on_unreadable = Arc::new(listener);
        self
    }
}
