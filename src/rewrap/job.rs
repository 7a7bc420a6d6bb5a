//! The settings of a rewrap: the table, the keys, and how it runs.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::key::RowKey;
use super::progress::Progress;
use super::report::Unreadable;
use super::store::RowStore;
use super::{BATCH, CONCURRENCY};
use crate::envelope::{RewrapOptions, Sealer};

type Context = dyn Fn(&RowKey, &str) -> Vec<u8> + Send + Sync;
type Callback<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// The choice between a run that only counts, and one that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    DryRun,
    Execute,
}

/// A rewrap over a table: it only looks, unless it is told to [`execute`](Self::execute).
#[must_use = "it does nothing until it runs"]
#[derive(Clone)]
pub struct RewrapJob {
    pub(super) sealer: Sealer,
    pub(super) rows: Arc<dyn RowStore>,
    pub(super) context: Arc<Context>,
    pub(super) options: RewrapOptions,
    pub(super) mode: Mode,
    pub(super) may_hold_nothing: bool,
    pub(super) batch: usize,
    pub(super) concurrency: usize,
    pub(super) rows_per_second: Option<NonZeroU32>,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) on_progress: Option<Callback<Progress>>,
    pub(super) on_unreadable: Option<Callback<Unreadable>>,
}

impl RewrapJob {
    /// Goes through `rows` with the ring of `sealer`, which says which legacy layouts are read,
    /// and how large a payload may be.
    ///
    /// `context` makes, of a row's key and the name of a column, the context that the application
    /// opens that value in. With a wrong one a value does not open, and is listed as unreadable.
    ///
    /// # Security
    /// A legacy value whose layout authenticates no context is authentic in any row: it becomes
    /// one of the row in which the rewrap finds it. It opens with a wrong `context` too, and the
    /// application cannot open what is made of it then.
    pub fn new<C: Into<Vec<u8>>>(
        sealer: &Sealer,
        rows: impl RowStore,
        context: impl Fn(&RowKey, &str) -> C + Send + Sync + 'static,
    ) -> Self {
        Self {
            sealer: sealer.clone(),
            rows: Arc::new(rows),
            context: Arc::new(move |key, column| context(key, column).into()),
            options: RewrapOptions::default(),
            mode: Mode::DryRun,
            may_hold_nothing: false,
            batch: BATCH,
            concurrency: CONCURRENCY,
            rows_per_second: None,
            checkpoint: None,
            on_progress: None,
            on_unreadable: None,
        }
    }

    /// Writes. Without it nothing is changed, and the report says what would be.
    pub fn execute(mut self) -> Self {
        self.mode = Mode::Execute;
        self
    }

    /// Seals every value again, with a new data key: also those that are under the primary, which
    /// stay as they are otherwise.
    ///
    /// Values need it once if a version of dualkey without this method rewrapped them, and an
    /// encryption key from before that rewrap has leaked or may leak: that version replaced the
    /// wrap alone, so they still have the data key that the old encryption key wrapped. Values
    /// that were rewrapped since have a new one and do not need it.
    ///
    /// A run that is killed continues from its [`Checkpoint`]. Without one it seals again what it
    /// had sealed before, because a value does not say how old its data key is. An ordinary rewrap
    /// does not continue from its checkpoint, nor it from that of an ordinary one.
    ///
    /// ```
    /// # #[cfg(feature = "rewrap-sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dualkey::KeyRing;
    /// # use dualkey::envelope::{AesKey, Sealed, Sealer};
    /// # use dualkey::rewrap::{RewrapJob, SqliteTable};
    /// # let key = "9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d";
    /// # let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    /// # let pool = pool.connect("sqlite::memory:").await?;
    /// # sqlx::raw_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)").execute(&pool).await?;
    /// # let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(key)?).build()?;
    /// # let sealer = Sealer::new(ring);
    /// # let body = Sealed::seal(&sealer, &"a note".to_owned(), "notes/7/body")?;
    /// # sqlx::query("INSERT INTO notes VALUES (7, ?)").bind(body).execute(&pool).await?;
    /// # let notes = SqliteTable::open(&pool, "notes", ["body"]).await?;
    /// let rewrap = RewrapJob::new(&sealer, notes, |key, column| format!("notes/{key}/{column}"));
    /// let rewrapped = rewrap.clone().execute().run().await?;
    /// assert_eq!((rewrapped.counts.rewritten, rewrapped.counts.current), (0, 1)); // under the primary
    /// let rewrapped = rewrap.renew_all().execute().run().await?;
    /// assert_eq!((rewrapped.counts.rewritten, rewrapped.counts.current), (1, 0));
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "rewrap-sqlite"))]
    /// # fn main() {}
    /// ```
    pub fn renew_all(mut self) -> Self {
        self.options.renews_all = true;
        self
    }

    /// Accepts a table in which nothing is sealed yet. Without it such a table counts in
    /// [`Counts::nothing_sealed`](super::Counts::nothing_sealed), and the verdict does not take the report: an empty table is
    /// most often the wrong table, as one of another schema.
    ///
    /// ```
    /// # #[cfg(feature = "rewrap-sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dualkey::KeyRing;
    /// # use dualkey::envelope::{AesKey, Sealer};
    /// # use dualkey::rewrap::{RewrapJob, SqliteTable};
    /// # let key = "9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d";
    /// # let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    /// # let pool = pool.connect("sqlite::memory:").await?;
    /// # sqlx::raw_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)").execute(&pool).await?;
    /// # let sealer = Sealer::new(KeyRing::<AesKey>::builder().primary(AesKey::hex(key)?).build()?);
    /// let notes = SqliteTable::open(&pool, "notes", ["body"]).await?; // it has no row yet
    /// let rewrap = RewrapJob::new(&sealer, notes, |key, column| format!("notes/{key}/{column}"));
    /// assert!(!rewrap.clone().execute().run().await?.is_complete());
    /// assert!(rewrap.may_hold_nothing().execute().run().await?.is_complete());
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "rewrap-sqlite"))]
    /// # fn main() {}
    /// ```
    pub fn may_hold_nothing(mut self) -> Self {
        self.may_hold_nothing = true;
        self
    }

    /// How many rows are read and committed together: 500 unless set, at least one.
    pub fn batch(mut self, rows: usize) -> Self {
        self.batch = rows.max(1);
        self
    }

    /// How many batches are under way at one time: two unless set, at least one. Each holds a
    /// connection while it writes.
    pub fn concurrency(mut self, batches: usize) -> Self {
        self.concurrency = batches.max(1);
        self
    }

    /// How many rows are gone through in a second, at most: as many as there are, unless set.
    pub fn rows_per_second(mut self, rows: NonZeroU32) -> Self {
        self.rows_per_second = Some(rows);
        self
    }

    /// Goes on where one of the same table, that was killed, had come.
    pub fn resume(mut self, checkpoint: Checkpoint) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// Calls `callback` after each batch that was committed. It must not wait.
    pub fn on_progress(mut self, callback: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(callback));
        self
    }

    /// Calls `callback` with each value that cannot be read. It must not wait.
    pub fn on_unreadable(mut self, callback: impl Fn(&Unreadable) + Send + Sync + 'static) -> Self {
        self.on_unreadable = Some(Arc::new(callback));
        self
    }

    /// The one way around a revocation.
    pub fn dangerous(self) -> Dangerous {
        Dangerous(self)
    }
}

/// What goes around the rules, and is told of to the observer.
#[must_use = "it does nothing by itself"]
#[derive(Debug)]
pub struct Dangerous(RewrapJob);

impl Dangerous {
    /// After a compromise: opens what is under revoked keys too, and seals it again under the
    /// primary, with a new data key. Each time the observer is told
    /// [`Event::OpenedRevoked`](crate::Event::OpenedRevoked).
    ///
    /// # Security
    /// **Who has the key can have written what it opens**, and a rewrap cannot tell. What is sealed
    /// again looks like everything else from then on: compare with a backup first, where that
    /// matters.
    pub fn open_revoked(self) -> RewrapJob {
        let mut job = self.0;
        job.options.rescues = true;
        job
    }
}

impl fmt::Debug for RewrapJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RewrapJob")
            .field("rows", &self.rows)
            .field("options", &self.options)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}
