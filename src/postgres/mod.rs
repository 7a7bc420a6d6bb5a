//! Connection strings of PostgreSQL, in the forms that backends have.
//!
//! ```
//! use dualkey::postgres::ConnectionString;
//!
//! // As Prisma writes it.
//! let url = ConnectionString::parse(
//!     "postgresql://app:p%40ss@db.example.com/app?schema=tenant1&connection_limit=5",
//! )?;
//! assert_eq!((url.host(), url.port(), url.database()), (Some("db.example.com"), 5432, Some("app")));
//! assert_eq!(url.schema(), Some("tenant1"));
//! assert_eq!(url.notes().len(), 1, "connection_limit sizes a pool of another library");
//!
//! // A parameter that is not known is refused by name: it may change what the URL means.
//! let refused = ConnectionString::parse("postgres://db/app?tenant=7").unwrap_err();
//! assert!(refused.to_string().contains("`tenant`"));
//! # Ok::<(), dualkey::postgres::ConnectionStringError>(())
//! ```
//!
//! | form | example |
//! |---|---|
//! | URL | `postgres://role:password@host:5432/database?sslmode=verify-full` |
//! | SQLAlchemy | `postgresql+psycopg2://role:password@host/database` |
//! | JDBC | `jdbc:postgresql://host/database?user=role&password=…&currentSchema=tenant1` |
//! | libpq | `host=db user=role password='it''s not: it\'s' dbname=app` |
//! | secret of RDS | `{"engine":"postgres","username":…,"password":…,"host":…,"port":5432,"dbname":…}` |
//! | socket | `postgres:///database?host=/var/run/postgresql`, `socket:/var/run/postgresql?db=app` |
//!
//! A URL with several hosts is refused: name the host that takes writes, or one address that leads
//! to it.
//!
//! # Parameters
//! No parameter is ignored. Each is used, translated, dropped with a [note](ConnectionString::notes),
//! or refused by name. The value of a parameter is in no error, note or log.
//!
//! - A value never replaces another one: a host beside another host, or a parameter that is there
//!   twice with different values, is refused. An empty value counts as none.
//! - Used: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `application_name`, `options`, `host`,
//!   `hostaddr`, `port`, `user`, `password`, `dbname`, `statement-cache-capacity`.
//! - Translated: `schema` of Prisma, `currentSchema` of JDBC, `search_path` and
//!   `schema_search_path` set the search path; `pgbouncer=true` turns the cache of prepared
//!   statements off; `ssl` and `sslaccept` set the TLS mode; `statement_timeout` and other settings
//!   of a session are sent at the start.
//! - Dropped with a note: what sizes or times the pool of another library, as `connection_limit` and
//!   `pool_timeout`.
//! - Refused: everything else, as `sslpassword`, and `channel_binding=require`, which `sqlx` cannot
//!   do. A URL of Neon has it: write `sslmode=verify-full` in its place.
//!
//! `schema` is the name of one schema. The other three are a list as the server reads it: a name
//! without quotes is in lower case. With a list of several schemas, [`ConnectionString::schema`] is
//! `None`, and the list is the search path.
//!
//! A `+` in a parameter is a space in strings of JDBC and SQLAlchemy. In another URL it is refused,
//! but for `options` and `application_name`: libpq reads a plus, and other readers a space.
//!
//! What the string leaves open is taken from the variables of libpq.
//!
//! # TLS
//! `sslmode` has the values of libpq. TLS needs the feature `tls`; without it `require` and above
//! are refused before a connection is made, and `prefer` connects without encryption.
//!
//! | `sslmode` | encrypted | certificate | host name |
//! |---|---|---|---|
//! | `disable` | no | | |
//! | `allow`, `prefer` (default) | if the server can | not checked | not checked |
//! | `require` | yes | not checked, unless `sslrootcert` is set | not checked |
//! | `verify-ca` | yes | checked | not checked |
//! | `verify-full` | yes | checked | checked |
//!
//! Certificates are checked against the roots of `sslrootcert`, or else the system's. `sqlx` always
//! adds the public authorities that Mozilla trusts. So `verify-ca` accepts a certificate that one of
//! these issued for any host: use `verify-full` where the certificate has the name of the host.
//! A file without a certificate, and a key that others can read, are refused.
//! `sslrootcert=system` means the system's roots, with `verify-full`. A connection through a socket
//! is not encrypted, as with libpq.
//!
//! For `verify-ca`, `sqlx` needs a provider of cryptography for the whole process. If the program has
//! installed none with `rustls`, [`ConnectionString::connect_options`] installs `aws-lc-rs`.

mod error;
#[cfg(any(feature = "postgres", feature = "sqlx-postgres"))]
mod files;
mod forms;
mod host;
mod json;
mod keywords;
#[cfg(any(feature = "postgres", feature = "sqlx-postgres"))]
mod options;
mod parameters;
#[cfg(any(feature = "postgres", feature = "sqlx-postgres"))]
mod pooler;
mod settings;
#[cfg(all(feature = "tls", any(feature = "postgres", feature = "sqlx-postgres")))]
mod system;
mod table;
mod tls;
mod uri;

use std::fmt;

use crate::secret::Secret;

pub use error::ConnectionStringError;
#[cfg(any(feature = "postgres", feature = "sqlx-postgres"))]
pub(crate) use pooler::explained;
pub use tls::SslMode;

use tls::Tls;

/// The port of PostgreSQL, unless a connection string names another.
const PORT: u16 = 5432;

/// A connection string of PostgreSQL: where the database is, and who connects.
#[derive(Clone, Default)]
#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlx-postgres")),
    allow(dead_code, reason = "options of sqlx are made of it")
)]
pub struct ConnectionString {
    host: Option<String>,
    port: Option<u16>,
    role: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
    schema: Option<String>,
    application_name: Option<String>,
    /// Settings of the session, sent when it starts.
    settings: Vec<(String, String)>,
    /// Words of `options` that a provider reads.
    words: Vec<String>,
    statement_cache: Option<usize>,
    tls: Tls,
    notes: Vec<String>,
}

impl ConnectionString {
    /// Reads a connection string in any of the forms above.
    ///
    /// # Errors
    /// A [`ConnectionStringError`], which holds no value of the text.
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        forms::parse(text)
    }

    /// The host name or address, or the folder of the socket; `None` if it names none, which
    /// means this machine.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port: that of the variable `PGPORT`, or 5432, if it names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        let of_variable = || variable("PGPORT").and_then(|own| own.parse().ok());
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

    /// Returns whether a connection may keep prepared statements.
    #[cfg(feature = "sqlx-postgres")]
    pub(crate) fn keeps_statements(&self) -> bool {
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
        let host = |own: &Self| {
            let host = own.host.clone().or_else(of_variable);
            host::compared(host.as_deref().unwrap_or("localhost"))
        };
        let database = |own: &Self| {
            let database = own.database.clone().or_else(|| variable("PGDATABASE"));
            database.or_else(|| own.role.clone()).or_else(|| variable("PGUSER"))
        };
        match () {
            () if host(self) != host(other) => Some("host"),
            () if self.port() != other.port() => Some("port"),
            () if database(self) != database(other) => Some("database"),
            () => None,
        }
    }
}

/// Returns whether a host is the folder of a socket.
fn is_socket(host: &str) -> bool {
    host.starts_with('/')
}

/// A variable that is set, and not empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|own| !own.is_empty())
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
