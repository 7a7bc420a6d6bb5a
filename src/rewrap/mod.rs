//! Re-encryption in service: every stored row under the primary, while the application goes on
//! reading and writing.
//!
//! ```
//! # #[cfg(feature = "rewrap-sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dualkey::KeyRing;
//! use dualkey::envelope::{AesKey, Sealed, Sealer};
//! use dualkey::rewrap::{RewrapJob, SqliteTable};
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
//! let rewrap = RewrapJob::new(&sealer, notes, |key, column| format!("notes/{key}/{column}"));
//! let would_be = rewrap.clone().run().await?;
//! assert_eq!((would_be.counts.rewritten, would_be.has_written), (1, false));
//!
//! let rewrapped = rewrap.execute().on_progress(|at| println!("{} rows", at.rows)).run().await?;
//! assert_eq!(rewrapped.by_kid.get(&kid), Some(&1));
//! for value in &rewrapped.unreadable {
//!     println!("{}/{}/{}: {}", value.table, value.key, value.column, value.reason);
//! }
//! ring.record_rewrap(&rewrapped.record()); // what the verdict on the old key asks for
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "rewrap-sqlite"))]
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
//! done, so that a rewrap that was killed is resumed by running it again; a
//! [`Checkpoint`] only saves time. How much memory it takes does not depend on the number of
//! rows.
//!
//! Every value is opened, also in a run that does not write, and also where it stays. So a value
//! whose payload is damaged, or was sealed in another context, is found and listed.
//!
//! It does not promise that no value was written behind it: one that an instance seals under the
//! old key while the rewrap runs may be missed. Start once all instances have the new primary: a
//! rewrap that started before does not count for the verdict, and its report says from when one
//! does ([`RewrapReport::counts_from`]). Triggers of a table see the rewrap as they see every `UPDATE`.

mod batch;
mod checkpoint;
mod error;
mod job;
mod key;
mod plan;
#[cfg(feature = "rewrap-postgres")]
mod postgres;
mod progress;
mod report;
mod row;
mod run;
#[cfg(any(feature = "rewrap-sqlite", feature = "rewrap-postgres"))]
mod sealed_column;
#[cfg(any(feature = "rewrap-sqlite", feature = "rewrap-postgres"))]
mod sql;
#[cfg(feature = "rewrap-sqlite")]
mod sqlite;
mod store;

pub use checkpoint::Checkpoint;
pub use error::RewrapJobError;
pub use job::{Dangerous, RewrapJob};
pub use key::{KeyPart, RowKey};
#[cfg(feature = "rewrap-postgres")]
pub use postgres::PgTable;
pub use progress::Progress;
pub use report::{Counts, LISTED, RewrapReport, Unreadable};
pub use row::{Column, ConditionalWrite, Row, Value};
#[cfg(feature = "rewrap-sqlite")]
pub use sqlite::SqliteTable;
pub use store::{RowFuture, RowStore};

/// The number of rows that are written together, unless set.
pub(crate) const BATCH: usize = 500;
/// The number of batches that run at one time, unless set.
pub(crate) const CONCURRENCY: usize = 2;
