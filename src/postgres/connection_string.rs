//! A connection string that was read.

use std::fmt;

use super::host;
use super::tls::{SslMode, Tls};
use crate::secret::Secret;

/// The port of PostgreSQL, unless a connection string names another.
const PORT: u16 = 5432;

/// A connection string of PostgreSQL: where the database is, and who connects.
#[derive(Clone, Default)]
#[cfg_attr(
    not(feature = "_sqlx-postgres"),
    allow(dead_code, reason = "options of sqlx are made of it")
)]
pub struct ConnectionString {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) role: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) database: Option<String>,
    pub(super) schema: Option<String>,
    pub(super) application_name: Option<String>,
    /// Settings of the session, sent when it starts.
    pub(super) settings: Vec<(String, String)>,
    /// Words of `options` that a provider reads.
    pub(super) words: Vec<String>,
    pub(super) statement_cache: Option<usize>,
    pub(super) tls: Tls,
    pub(super) notes: Vec<String>,
}

impl ConnectionString {
    /// The host name or address, or the folder of the socket; `None` if it names none, which
    /// means this machine.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port: that of the variable `PGPORT`, or 5432, if it names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        let of_variable = || variable("PGPORT").and_then(|port| port.parse().ok());
        self.port.or_else(of_variable).unwrap_or(PORT)
    }

    /// The role that connects.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    /// The database; `None` if it names none, which means the name of the role.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// The schema that unqualified names mean, if it names one.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Whether the connection is encrypted, and what is checked; `None` if it does not say.
    #[must_use]
    pub fn ssl_mode(&self) -> Option<SslMode> {
        self.tls.mode
    }

    /// One sentence for each parameter that was dropped, or that has a limit. It holds no value.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The same string without its schema or search path of one schema, for statements that qualify
    /// each name: a pooler may refuse a search path.
    ///
    /// ```
    /// use dualkey::postgres::ConnectionString;
    ///
    /// let url = ConnectionString::parse("postgres://app@db/app?schema=tenant1")?;
    /// assert_eq!(url.schema(), Some("tenant1"));
    /// assert_eq!(url.without_schema().schema(), None);
    /// # Ok::<(), dualkey::postgres::ConnectionStringError>(())
    /// ```
    #[must_use]
    pub fn without_schema(self) -> Self {
        Self { schema: None, ..self }
    }

    /// Returns whether a connection may keep prepared statements.
    #[cfg_attr(not(feature = "full"), allow(dead_code, reason = "pools use it, behind a feature"))]
    pub(crate) fn has_statement_cache(&self) -> bool {
        self.statement_cache != Some(0)
    }

    /// Returns whether both lead to the same database: the same host, port and database, whoever
    /// connects. What one leaves open is that of the variables `PGHOST`, `PGPORT` and `PGDATABASE`,
    /// or the default. No name is looked up: `localhost` and `127.0.0.1` differ.
    ///
    /// ```
    /// use dualkey::postgres::ConnectionString;
    ///
    /// let app = ConnectionString::parse("postgres://app_a:one@db/app")?;
    /// assert!(app.is_same_database(&ConnectionString::parse("postgres://app_b:two@DB:5432/app")?));
    /// assert!(!app.is_same_database(&ConnectionString::parse("postgres://app_a:one@backup/app")?));
    /// # Ok::<(), dualkey::postgres::ConnectionStringError>(())
    /// ```
    #[must_use]
    pub fn is_same_database(&self, other: &Self) -> bool {
        self.difference(other).is_none()
    }

    /// The first of host, port and database in which both differ.
    pub(crate) fn difference(&self, other: &Self) -> Option<&'static str> {
        let of_variable = || variable("PGHOSTADDR").or_else(|| variable("PGHOST"));
        let host = |string: &Self| {
            let host = string.host.clone().or_else(of_variable);
            host::normalise(host.as_deref().unwrap_or("localhost"))
        };
        let database = |string: &Self| {
            let database = string.database.clone().or_else(|| variable("PGDATABASE"));
            database.or_else(|| string.role.clone()).or_else(|| variable("PGUSER"))
        };
        if host(self) != host(other) {
            Some("host")
        } else if self.port() != other.port() {
            Some("port")
        } else {
            (database(self) != database(other)).then_some("database")
        }
    }
}

/// Returns whether a host is the folder of a socket.
pub(super) fn is_socket(host: &str) -> bool {
    host.starts_with('/')
}

/// A variable that is set, and not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Without the password, and without settings, which may hold anything.
impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionString")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("role", &self.role)
            .field("database", &self.database)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
