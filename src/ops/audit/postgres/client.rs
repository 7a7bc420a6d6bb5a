//! Errors of the client of the database.

use crate::ops::audit::error::AuditError;
use crate::postgres::explain;

/// Makes an error of a trail of one of the client, with the remedy if a pooler refuses it.
pub(super) fn client_error(error: sqlx::Error) -> AuditError {
    AuditError::Client { source: explain(error) }
}
