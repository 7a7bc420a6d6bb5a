//! Re-encryption in service: every stored row under the primary, while the application goes on
//! reading and writing.
//!
//! ```
//! # #[cfg(feature = "sqlx-sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dualkey::KeyRing;
//! use dualkey::envelope::{AesKey, Sealed, Sealer};
//! use dualkey::rewrap::{Rewrap, SqliteTable};
//! # use sqlx::sqlite::SqlitePoolOptions;
//!
//! # let (old, new) = ("9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d",
//! #     "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe");
//! # let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
//! # sqlx::raw_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)").execute(&pool).await?;
//! let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(old)?).build()?;
//! let sealer = Sealer::new(ring.clone());
//! let body = Sealed::seal(&sealer, &"a note".to_owned(), "notes/7/body")?;
//! sqlx::query("INSERT INTO notes VALUES (7, ?)").bind(body).execute(&pool).await?;
//! let kid = ring.stage(AesKey::hex(new)?)?;
//! ring.promote(&kid)?;
//!
//! let notes = SqliteTable::open(&pool, "notes", ["body"]).await?;
//! let sweep = Rewrap::new(&sealer, notes, |key, column| format!("notes/{key}/{column}"));
//! let would_be = sweep.clone().run().await?;
//! assert_eq!((would_be.counts.rewritten, would_be.has_written), (1, false));
//!
//! let swept = sweep.execute().on_progress(|at| println!("{} rows", at.rows)).run().await?;
//! assert_eq!(swept.by_kid.get(&kid), Some(&1));
//! for own in &swept.unreadable {
//!     println!("{}/{}/{}: {}", own.table, own.key, own.column, own.reason);
//! }
//! ring.record_sweep(&swept.sweep()); // what the verdict on the old key asks for
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlx-sqlite"))]
//! # fn main() {}
//! ```
//!
//! It goes through a table page by page, in the order of its primary key. It opens each value in
//! its context and, if its key is on its way out, seals it again under the primary, with a new
//! data key. It does the same with a value of a legacy layout, and with one under a revoked key
//! where [`open_revoked`](Dangerous::open_revoked) says so.
//!
//! It promises: a value is written only if the one that it was made of is still there, so that a
//! write of the application is never undone; a batch is committed whole, or not at all; what
//! cannot be read is not touched, and listed. The header of an envelope says itself whether it is
//! done, so that a sweep that was killed is resumed by running it again; a
//! [`Checkpoint`] only saves time. How much memory it takes does not depend on the number of
//! rows.
//!
//! Every value is opened, also in a run that does not write, and also where it stays. So a value
//! whose payload is damaged, or was sealed in another context, is found and listed.
//!
//! It does not promise that no value was written behind it: one that an instance seals under the
//! old key while the rewrap runs may be missed. Start once all instances have the new primary: a
//! rewrap that started before does not count for the verdict, and its report says from when one
//! does ([`Swept::counts_from`]). Triggers of a table see the rewrap as they see every `UPDATE`.

mod checkpoint;
mod error;
mod pace;
mod pass;
#[cfg(feature = "sqlx-postgres")]
mod postgres;
mod report;
mod row;
#[cfg(any(feature = "sqlx-sqlite", feature = "sqlx-postgres"))]
mod sealed_column;
#[cfg(feature = "sqlx-sqlite")]
mod sqlite;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::envelope::{How, Sealer};

pub use checkpoint::Checkpoint;
pub use error::SweepError;
pub use pace::Progress;
#[cfg(feature = "sqlx-postgres")]
pub use postgres::PgTable;
pub use report::{Counts, LISTED, Swept, Unreadable};
pub use row::{Column, KeyPart, Row, RowFuture, RowKey, RowStore, Swap, Value};
#[cfg(feature = "sqlx-sqlite")]
pub use sqlite::SqliteTable;

/// How many rows are written together.
pub(crate) const BATCH: usize = 500;
/// How many batches are under way at one time.
pub(crate) const CONCURRENCY: usize = 2;
/// So many bytes of values are held of one page, or one row.
#[cfg(any(feature = "sqlx-sqlite", feature = "sqlx-postgres"))]
const PAGE_BYTES: usize = 4 * 1024 * 1024;

type Context = dyn Fn(&RowKey, &str) -> Vec<u8> + Send + Sync;
type Told<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// A sweep over a table: it only looks, unless it is told to [`execute`](Self::execute).
#[must_use = "it does nothing until it runs"]
#[derive(Clone)]
pub struct Rewrap {
    sealer: Sealer,
    rows: Arc<dyn RowStore>,
    context: Arc<Context>,
    how: How,
    executes: bool,
    may_hold_nothing: bool,
    batch: usize,
    concurrency: usize,
    rows_per_second: Option<NonZeroU32>,
    checkpoint: Option<Checkpoint>,
    on_progress: Option<Told<Progress>>,
    on_unreadable: Option<Told<Unreadable>>,
}

impl Rewrap {
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
            how: How::default(),
            executes: false,
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
        self.executes = true;
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
    /// # #[cfg(feature = "sqlx-sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dualkey::KeyRing;
    /// # use dualkey::envelope::{AesKey, Sealed, Sealer};
    /// # use dualkey::rewrap::{Rewrap, SqliteTable};
    /// # let key = "9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d";
    /// # let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    /// # let pool = pool.connect("sqlite::memory:").await?;
    /// # sqlx::raw_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)").execute(&pool).await?;
    /// # let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(key)?).build()?;
    /// # let sealer = Sealer::new(ring);
    /// # let body = Sealed::seal(&sealer, &"a note".to_owned(), "notes/7/body")?;
    /// # sqlx::query("INSERT INTO notes VALUES (7, ?)").bind(body).execute(&pool).await?;
    /// # let notes = SqliteTable::open(&pool, "notes", ["body"]).await?;
    /// let rewrap = Rewrap::new(&sealer, notes, |key, column| format!("notes/{key}/{column}"));
    /// let swept = rewrap.clone().execute().run().await?;
    /// assert_eq!((swept.counts.rewritten, swept.counts.current), (0, 1)); // under the primary
    /// let swept = rewrap.renew_all().execute().run().await?;
    /// assert_eq!((swept.counts.rewritten, swept.counts.current), (1, 0));
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlx-sqlite"))]
    /// # fn main() {}
    /// ```
    pub fn renew_all(mut self) -> Self {
        self.how.renews_all = true;
        self
    }

    /// Accepts a table in which nothing is sealed yet. Without it such a table counts in
    /// [`Counts::nothing_sealed`], and the verdict does not take the report: an empty table is
    /// most often the wrong table, as one of another schema.
    ///
    /// ```
    /// # #[cfg(feature = "sqlx-sqlite")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use dualkey::KeyRing;
    /// # use dualkey::envelope::{AesKey, Sealer};
    /// # use dualkey::rewrap::{Rewrap, SqliteTable};
    /// # let key = "9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d";
    /// # let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
    /// # let pool = pool.connect("sqlite::memory:").await?;
    /// # sqlx::raw_sql("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)").execute(&pool).await?;
    /// # let sealer = Sealer::new(KeyRing::<AesKey>::builder().primary(AesKey::hex(key)?).build()?);
    /// let notes = SqliteTable::open(&pool, "notes", ["body"]).await?; // it has no row yet
    /// let rewrap = Rewrap::new(&sealer, notes, |key, column| format!("notes/{key}/{column}"));
    /// assert!(!rewrap.clone().execute().run().await?.is_complete());
    /// assert!(rewrap.may_hold_nothing().execute().run().await?.is_complete());
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "sqlx-sqlite"))]
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

    /// Has `tell` called after each batch that was committed. It must not wait.
    pub fn on_progress(mut self, tell: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(tell));
        self
    }

    /// Has `tell` called of each value that cannot be read. It must not wait.
    pub fn on_unreadable(mut self, tell: impl Fn(&Unreadable) + Send + Sync + 'static) -> Self {
        self.on_unreadable = Some(Arc::new(tell));
        self
    }

    /// The one way around a revocation.
    pub fn dangerous(self) -> Dangerous {
        Dangerous(self)
    }

    /// Goes through the table, to its end.
    ///
    /// # Errors
    /// A [`SweepError`]. What was committed until then stands: run it again.
    pub async fn run(self) -> Result<Swept, SweepError> {
        pass::run(self).await
    }
}

/// What goes around the rules, and is told of to the observer.
#[must_use = "it does nothing by itself"]
#[derive(Debug)]
pub struct Dangerous(Rewrap);

impl Dangerous {
    /// After a compromise: opens what is under revoked keys too, and seals it again under the
    /// primary, with a new data key. Each time the observer is told
    /// [`Event::OpenedRevoked`](crate::Event::OpenedRevoked).
    ///
    /// # Security
    /// **Who has the key can have written what it opens**, and a sweep cannot tell. What is sealed
    /// again looks like everything else from then on: compare with a backup first, where that
    /// matters.
    pub fn open_revoked(self) -> Rewrap {
        let mut own = self.0;
        own.how.rescues = true;
        own
    }
}

/// An identifier, as SQL has it.
#[cfg(any(feature = "sqlx-sqlite", feature = "sqlx-postgres"))]
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl fmt::Debug for Rewrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewrap")
            .field("rows", &self.rows)
            .field("how", &self.how)
            .field("executes", &self.executes)
            .finish_non_exhaustive()
    }
}
