//! Why there is no connection.

use crate::error::Error;
use crate::kid::Kid;
use crate::postgres::ConnectionStringError;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The server refused every credential.
    #[error("the server refuses every credential of `{ring}`: {}", .kids.iter().map(Kid::to_string).collect::<Vec<_>>().join(", "))]
    Refused {
        /// The name of the ring.
        ring: String,
        /// All keys that it has to offer.
        kids: Vec<Kid>,
        /// What the server said of the last.
        source: Box<sqlx::Error>,
    },
    /// A secret is no connection string of PostgreSQL that can be used.
    #[error("cannot use the key `{kid}` of `{ring}` as a connection string: {problem}")]
    NotAUrl {
        /// The name of the ring.
        ring: String,
        /// The key in question.
        kid: Kid,
        /// What is wrong with it; it holds no value.
        problem: Box<ConnectionStringError>,
    },
    /// The ring serves nothing, has no such key, or there are no random numbers.
    #[error(transparent)]
    Ring(#[from] Error),
    /// Whatever else `sqlx` says: of a network that is down, a pool that is full, a query.
    #[error(transparent)]
    Sqlx(#[from] sqlx::Error),
}

/// So that `?` works where `sqlx` is all that is spoken.
impl From<DatabaseError> for sqlx::Error {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Sqlx(error) => error,
            own => Self::Configuration(Box::new(own)),
        }
    }
}

/// Whether the server refused the credential: SQLSTATE class 28, invalid authorization.
pub(super) fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|own| own.code());
    code.is_some_and(|code| code.starts_with("28"))
}
