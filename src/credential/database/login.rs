//! What a secret of the ring is: a URL, or the password of a login.

use std::fmt;

use sqlx::postgres::PgConnectOptions;

use super::error::DatabaseError;
use super::place::Place;
use crate::credential::{Attempt, Credentials};
use crate::postgres::{ConnectionString, ConnectionStringError};

/// What a secret of the ring is.
#[derive(Clone)]
#[non_exhaustive]
pub enum Login {
    /// A whole [connection string](ConnectionString), such as
    /// `postgres://role:password@host/database`: what two roles need. All of the ring name the same
    /// host, port and database.
    Url,
    /// The same, where the connection strings may name different databases: when the server refuses
    /// the credential, **the pool moves to another database**, and reads and writes there.
    UrlOfAnyDatabase,
    /// The password for a login that is otherwise like this.
    Password(Box<PgConnectOptions>),
}

impl Login {
    /// The place that a connection with `attempt` leads to.
    pub(super) fn target(
        &self,
        credentials: &Credentials,
        attempt: &Attempt,
    ) -> Result<Target, DatabaseError> {
        let wrong = |problem| DatabaseError::NotAUrl {
            ring: credentials.ring().name().to_owned(),
            kid: attempt.kid(),
            problem: Box::new(problem),
        };
        let text = std::str::from_utf8(attempt.secret().expose())
            .map_err(|_| wrong(ConnectionStringError::Form))?;
        let (options, place, is_pooled) = match self {
            Self::Url | Self::UrlOfAnyDatabase => {
                let url = ConnectionString::parse(text).map_err(wrong)?;
                let options = url.connect_options().map_err(wrong)?;
                let place = matches!(self, Self::Url).then(|| Place::from_options(&options));
                (options, place, !url.has_statement_cache())
            }
            Self::Password(options) => (options.as_ref().clone().password(text), None, false),
        };
        // PgBouncer does not admit it, and no server since PostgreSQL 12 needs it.
        let options = options.extra_float_digits(None);
        Ok(Target { options, place, is_pooled })
    }
}

/// The target of a connection.
pub(super) struct Target {
    pub(super) options: PgConnectOptions,
    /// The database, where all connections must go to the same.
    pub(super) place: Option<Place>,
    /// No prepared statement may outlive a transaction.
    pub(super) is_pooled: bool,
}

/// Not as `sqlx` shows its options, the password with them.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("Url"),
            Self::UrlOfAnyDatabase => f.write_str("UrlOfAnyDatabase"),
            Self::Password(options) => f
                .debug_struct("Password")
                .field("username", &options.get_username())
                .field("host", &options.get_host())
                .finish_non_exhaustive(),
        }
    }
}
