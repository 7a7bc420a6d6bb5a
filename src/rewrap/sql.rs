//! The common part of tables in databases: the choice of columns, and pages of limited size.

use futures_util::{Stream, TryStreamExt};

use super::error::RewrapJobError;
use super::row::{Row, Value};

/// The number of bytes of values that are held of one page, or one row.
pub(super) const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Picks the named columns from those that a table has, each with its details. `check` makes of
/// these what is kept of a column, or the reason why it cannot hold sealed values.
///
/// # Errors
/// [`RewrapJobError::UnknownColumn`], [`RewrapJobError::ColumnType`], [`RewrapJobError::NoColumn`].
pub(super) fn pick_columns<C: Into<String>, D, K>(
    table: &str,
    columns: impl IntoIterator<Item = C>,
    found: &[(String, D)],
    check: impl Fn(&str, &D) -> Result<K, String>,
) -> Result<Vec<(String, K)>, RewrapJobError> {
    let mut picked = Vec::new();
    for column in columns {
        let column = column.into();
        let table = || table.to_owned();
        let Some((_, details)) = found.iter().find(|(name, _)| *name == column) else {
            let columns = found.iter().map(|(name, _)| name.clone()).collect();
            return Err(RewrapJobError::UnknownColumn { table: table(), column, columns });
        };
        match check(&column, details) {
            Ok(kept) => picked.push((column, kept)),
            Err(problem) => {
                return Err(RewrapJobError::ColumnType { table: table(), column, problem });
            }
        }
    }
    if picked.is_empty() {
        return Err(RewrapJobError::NoColumn { table: table.to_owned() });
    }
    Ok(picked)
}

/// Reads rows from the answer of a database until their values have `max_bytes`.
pub(super) async fn read_rows<R>(
    mut found: impl Stream<Item = Result<R, sqlx::Error>> + Unpin,
    max_bytes: usize,
    read: impl Fn(&R) -> Result<Row, RewrapJobError>,
    failed: impl Fn(sqlx::Error) -> RewrapJobError,
) -> Result<Vec<Row>, RewrapJobError> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.try_next().await.map_err(&failed)? {
        let row = read(&row)?;
        bytes += row.values.iter().filter_map(Value::as_bytes).map(<[u8]>::len).sum::<usize>();
        rows.push(row);
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(rows)
}

/// Returns the value of a column that was read only if it is not too large.
pub(super) fn value_or_too_large(is_null: bool, value: Option<Value>) -> Value {
    match value {
        _ if is_null => Value::Null,
        None => Value::TooLarge,
        Some(value) => value,
    }
}
