//! Errors of a pool whose credential rotates.

use std::fmt;

use sqlx::postgres::PgDatabaseError;

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
        /// The problem with it, which holds no value.
        problem: Box<ConnectionStringError>,
    },
    /// Two URLs of the ring name different databases.
    #[error(
        "cannot use the URLs of `{ring}` as one credential: {other} names another {} than {first}; \
         correct it, rename it if it belongs to something else, or allow a failover to another \
         database with `Login::UrlOfAnyDatabase`",
        .differs.join(" and another ")
    )]
    OtherDatabase {
        /// The name of the ring.
        ring: String,
        /// The key whose database counts: its variable, or its kid.
        first: String,
        /// The key that names another database: its variable, or its kid.
        other: String,
        /// The parts that differ: `host`, `port`, `database`.
        differs: Vec<&'static str>,
    },
    /// The server accepted the credential `kid`, and the statement of a probe failed.
    #[error(
        "cannot use the key `{kid}` of `{ring}`: the server accepts it, but the statement of the probe failed: {source}; grant its role what the statement needs"
    )]
    Statement {
        /// The name of the ring.
        ring: String,
        /// The key in question.
        kid: Kid,
        /// The answer of the server to the statement.
        source: Box<sqlx::Error>,
    },
    /// A pooler between this pool and the server does not allow what the connection does.
    #[error("{source}; {problem}")]
    Pooler {
        /// The thing that it does not allow.
        problem: PoolerProblem,
        /// The words of the pooler or the server.
        source: Box<sqlx::Error>,
    },
    /// A password cannot be sent as it is.
    #[error("cannot set the password of the role `{role}`: {problem}")]
    Password {
        /// The role.
        role: String,
        /// The problem with the password, and the remedy.
        problem: &'static str,
    },
    /// The ring serves nothing, has no such key, or there are no random numbers.
    #[error(transparent)]
    Ring(#[from] Error),
    /// Whatever else `sqlx` says: of a network that is down, a pool that is full, a query.
    #[error(transparent)]
    Sqlx(sqlx::Error),
}

/// A thing that a pooler does not allow. Its `Display` is the remedy.
///
/// ```
/// use dualkey::credential::database::PoolerProblem;
///
/// let remedy = PoolerProblem::PreparedStatement.to_string();
/// assert!(remedy.contains("pgbouncer=true"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolerProblem {
    /// Prepared statements that outlive a transaction: the next transaction may get another
    /// connection of the server.
    PreparedStatement,
    /// A parameter of the connection.
    StartupParameter {
        /// Its name.
        name: String,
    },
}

impl PoolerProblem {
    /// The problem that `error` reports, if it is one.
    fn from_error(error: &sqlx::Error) -> Option<Self> {
        let error = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
        let (code, message) = (error.code(), error.message());
        let is_statement = matches!(code, "26000" | "42P05")
            || (code == "08P01" && error.routine() == Some("exec_bind_message"))
            || (code == "08P01"
                && error.routine().is_none()
                && message.starts_with("prepared statement "));
        if is_statement {
            return Some(Self::PreparedStatement);
        }
        let is_parameter = code == "08P01" && message.starts_with("unsupported startup parameter");
        let (_, name) = message.split_once(": ").filter(|_| is_parameter)?;
        Some(Self::StartupParameter { name: name.to_owned() })
    }
}

impl fmt::Display for PoolerProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreparedStatement => f.write_str(
                "a pooler in transaction mode keeps no prepared statement: add `pgbouncer=true` to \
                 the URL (or set `statement_cache_capacity(0)` and `RotatingPool::behind_pooler`), \
                 and query in a transaction of `RotatingPool::begin`",
            ),
            Self::StartupParameter { name } => write!(
                f,
                "add `{name}` to `ignore_startup_parameters` of PgBouncer, or leave it out of the \
                 connection options"
            ),
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match PoolerProblem::from_error(&error) {
            Some(problem) => Self::Pooler { problem, source: Box::new(error) },
            None => Self::Sqlx(error),
        }
    }
}

/// So that `?` works where `sqlx` is all that is spoken.
impl From<DatabaseError> for sqlx::Error {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Sqlx(error) => error,
            error => Self::Configuration(Box::new(error)),
        }
    }
}
