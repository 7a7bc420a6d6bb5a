//! What a secret of the ring is: a URL, or the password of a login.

use std::fmt;

use sqlx::postgres::PgConnectOptions;

use super::DatabaseError;
use crate::credential::{Credentials, Shown};
use crate::postgres::{ConnectionString, ConnectionStringError};

/// What a secret of the ring is.
#[derive(Clone)]
pub enum Login {
    /// A whole [connection string](ConnectionString), such as
    /// `postgres://role:password@host/database`: what two roles need.
    Url,
    /// The password for a login that is otherwise like this.
    Password(Box<PgConnectOptions>),
}

impl Login {
    pub(super) fn options(
        &self,
        credentials: &Credentials,
        shown: &Shown,
    ) -> Result<PgConnectOptions, DatabaseError> {
        let wrong = |problem| DatabaseError::NotAUrl {
            ring: credentials.ring().name().to_owned(),
            kid: shown.kid(),
            problem: Box::new(problem),
        };
        let text = std::str::from_utf8(shown.secret().expose())
            .map_err(|_| wrong(ConnectionStringError::Form))?;
        match self {
            Self::Url => {
                ConnectionString::parse(text).and_then(|own| own.connect_options()).map_err(wrong)
            }
            Self::Password(options) => Ok(options.as_ref().clone().password(text)),
        }
    }
}

/// Not as `sqlx` shows its options, the password with them.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("Url"),
            Self::Password(options) => f
                .debug_struct("Password")
                .field("username", &options.get_username())
                .field("host", &options.get_host())
                .finish_non_exhaustive(),
        }
    }
}
