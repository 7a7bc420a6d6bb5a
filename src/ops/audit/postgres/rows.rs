//! Rows of the table of a trail: read a page at a time, and inserted many at once.

use sqlx::PgConnection;

use super::client::client_error;
use crate::ops::audit::error::AuditError;
use crate::ops::audit::line;

pub(super) const PAGE: i64 = 5000;
const FIRST_PAGE: i64 = 200;

/// The lines of the table, a page at a time, the last one first.
pub(super) struct Pages {
    before: Option<i64>,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self { before: None }
    }

    /// Reads the page before the last one that was read; `None` if there is none.
    pub(super) async fn next(
        &mut self,
        connection: &mut PgConnection,
    ) -> Result<Option<Vec<String>>, AuditError> {
        // Most queries end soon.
        let size = if self.before.is_none() { FIRST_PAGE } else { PAGE };
        let rows: Vec<(i64, String)> = sqlx::query_as(
            "SELECT n, line FROM dualkey_audit WHERE $1::bigint IS NULL OR n < $1 ORDER BY n DESC LIMIT $2",
        )
        .bind(self.before)
        .bind(size)
        .persistent(false)
        .fetch_all(connection)
        .await
        .map_err(client_error)?;
        self.before = rows.last().map(|(n, _)| *n);
        Ok(self.before.map(|_| rows.into_iter().map(|(_, text)| text).collect()))
    }
}

/// Rows of the table that are not inserted yet.
#[derive(Default)]
pub(super) struct Rows {
    numbers: Vec<i64>,
    fields: [Vec<String>; 6],
    lines: Vec<String>,
}

impl Rows {
    pub(super) fn add(&mut self, n: u64, text: String) -> Result<(), AuditError> {
        let Some((start, _)) = line::start(&text) else {
            return Err(AuditError::Unwritable { problem: "it has no fields".to_owned() });
        };
        let n =
            i64::try_from(n).map_err(|error| client_error(sqlx::Error::Encode(error.into())))?;
        for (column, field) in self.fields.iter_mut().zip(start.fields()) {
            column.push(field.to_owned());
        }
        self.numbers.push(n);
        self.lines.push(text);
        Ok(())
    }

    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) async fn insert(self, connection: &mut PgConnection) -> Result<(), AuditError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut statement = sqlx::query(
            "INSERT INTO dualkey_audit (n, at, secret, action, actor, environment, outcome, line) \
             SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], \
                 $6::text[], $7::text[], $8::text[])",
        )
        .bind(self.numbers);
        for column in self.fields {
            statement = statement.bind(column);
        }
        statement
            .bind(self.lines)
            .persistent(false)
            .execute(connection)
            .await
            .map_err(client_error)?;
        Ok(())
    }
}
