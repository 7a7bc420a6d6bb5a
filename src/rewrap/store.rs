//! `RowStore`: pages of rows by their key, and compare-and-swap on a value.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use super::error::RewrapJobError;
use super::key::RowKey;
use super::row::{Column, ConditionalWrite, Row};

/// What a store's methods return: a future that can be sent between threads.
pub type RowFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, RewrapJobError>> + Send + 'a>>;

/// A table of rows, some columns of which hold sealed values.
///
/// Three methods make a store: [`load_page`](Self::load_page) reads rows in the order of their
/// keys, [`load_rows`](Self::load_rows) reads some of them again, and
/// [`write_values`](Self::write_values) writes a value if the row still holds the one that it was
/// made of.
///
/// ```
/// use dualkey::rewrap::{
///     Column, ConditionalWrite, KeyPart, Row, RowFuture, RowKey, RowStore, Value,
/// };
/// use std::collections::BTreeMap;
/// use std::sync::Mutex;
///
/// /// Notes by their number.
/// #[derive(Debug)]
/// struct Notes {
///     columns: Vec<Column>,
///     notes: Mutex<BTreeMap<i64, String>>,
/// }
///
/// fn number(key: &RowKey) -> i64 {
///     match key.parts() {
///         [KeyPart::Integer(number)] => *number,
///         _ => 0,
///     }
/// }
///
/// fn row((number, body): (&i64, &String)) -> Row {
///     let key = RowKey::new([KeyPart::Integer(*number)]);
///     Row { key, values: vec![Value::Text(body.clone())] }
/// }
///
/// impl RowStore for Notes {
///     fn name(&self) -> &str {
///         "notes"
///     }
///
///     fn columns(&self) -> &[Column] {
///         &self.columns
///     }
///
///     fn load_page<'a>(&'a self, after: Option<&'a RowKey>, rows: usize, _: usize) -> RowFuture<'a, Vec<Row>> {
///         let start = after.map_or(0, |key| number(key) + 1);
///         let notes = self.notes.lock().unwrap();
///         let page = notes.range(start..).take(rows).map(row).collect();
///         Box::pin(async { Ok(page) })
///     }
///
///     fn load_rows<'a>(&'a self, keys: &'a [RowKey], _: usize) -> RowFuture<'a, Vec<Row>> {
///         let notes = self.notes.lock().unwrap();
///         let found = keys.iter().filter_map(|key| notes.get_key_value(&number(key)).map(row));
///         let found = found.collect();
///         Box::pin(async { Ok(found) })
///     }
///
///     fn write_values<'a>(&'a self, writes: &'a [ConditionalWrite]) -> RowFuture<'a, Vec<bool>> {
///         let mut notes = self.notes.lock().unwrap();
///         let written = writes.iter().map(|write| match (notes.get_mut(&number(&write.key)), &write.new) {
///             (Some(body), Value::Text(new)) if write.old == Value::Text(body.clone()) => {
///                 *body = new.clone();
///                 true
///             }
///             _ => false,
///         });
///         let written = written.collect();
///         Box::pin(async { Ok(written) })
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use dualkey::{KeyRing, envelope::{AesKey, Sealer}, rewrap::RewrapJob};
/// # let (old, new) = ("9f2c4b7e1a6d8035c4e7f1920b3a5d6c8e7f90a1b2c3d4e5f60718293a4b5c6d",
/// #     "2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe");
/// # let ring = KeyRing::<AesKey>::builder().primary(AesKey::hex(old)?).build()?;
/// # let sealer = Sealer::new(ring.clone());
/// # let notes = Mutex::new((0..3).map(|id| (id, sealer.seal_text("a note", "").unwrap())).collect());
/// # let columns = vec![Column { name: "body".to_owned(), max_bytes: None }];
/// # let kid = ring.stage(AesKey::hex(new)?)?;
/// # ring.promote(&kid)?;
/// # let rows = Notes { columns, notes };
/// # let rewrapped = RewrapJob::new(&sealer, rows, |_, _| "").execute().batch(2).run().await?;
/// # assert_eq!(rewrapped.by_kid.get(&kid), Some(&3));
/// # Ok(())
/// # }
/// ```
pub trait RowStore: fmt::Debug + Send + Sync + 'static {
    /// What errors and reports call it: the name of the table.
    fn name(&self) -> &str;

    /// The columns that hold sealed values, in the order in which rows have their values.
    fn columns(&self) -> &[Column];

    /// At most `rows` rows with a key greater than `after`, in the order of their keys; fewer,
    /// if together they are large; none, and there are none.
    fn load_page<'a>(
        &'a self,
        after: Option<&'a RowKey>,
        rows: usize,
        max_value_bytes: usize,
    ) -> RowFuture<'a, Vec<Row>>;

    /// The rows of these keys as they are now, in any order. One that is gone is left out.
    fn load_rows<'a>(
        &'a self,
        keys: &'a [RowKey],
        max_value_bytes: usize,
    ) -> RowFuture<'a, Vec<Row>>;

    /// Writes each new value in whose place the old one still is, and commits all of them
    /// together. Says of each whether it was written. It does not wait for a row that somebody
    /// else is about to write: that one was not written.
    fn write_values<'a>(&'a self, writes: &'a [ConditionalWrite]) -> RowFuture<'a, Vec<bool>>;

    /// How many rows come after `after`, or about how many; `None` if that cannot be told.
    fn count<'a>(&'a self, after: Option<&'a RowKey>) -> RowFuture<'a, Option<u64>> {
        let _ = after;
        Box::pin(async { Ok(None) })
    }

    /// Fails if it is known before the first write that none would succeed.
    fn check_writable(&self) -> RowFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl<S: RowStore + ?Sized> RowStore for Arc<S> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn columns(&self) -> &[Column] {
        (**self).columns()
    }

    fn load_page<'a>(
        &'a self,
        after: Option<&'a RowKey>,
        rows: usize,
        max_value_bytes: usize,
    ) -> RowFuture<'a, Vec<Row>> {
        (**self).load_page(after, rows, max_value_bytes)
    }

    fn load_rows<'a>(
        &'a self,
        keys: &'a [RowKey],
        max_value_bytes: usize,
    ) -> RowFuture<'a, Vec<Row>> {
        (**self).load_rows(keys, max_value_bytes)
    }

    fn write_values<'a>(&'a self, writes: &'a [ConditionalWrite]) -> RowFuture<'a, Vec<bool>> {
        (**self).write_values(writes)
    }

    fn count<'a>(&'a self, after: Option<&'a RowKey>) -> RowFuture<'a, Option<u64>> {
        (**self).count(after)
    }

    fn check_writable(&self) -> RowFuture<'_, ()> {
        (**self).check_writable()
    }
}
