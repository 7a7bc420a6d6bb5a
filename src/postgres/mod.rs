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

mod connection_string;
mod draft;
mod error;
#[cfg(feature = "_sqlx-postgres")]
mod files;
mod forms;
mod host;
mod json;
mod keywords;
#[cfg(feature = "_sqlx-postgres")]
mod options;
mod parameters;
#[cfg(feature = "_sqlx-postgres")]
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "stores and rewraps use it, each behind a feature")
)]
mod pooler;
mod scheme;
mod settings;
#[cfg(all(feature = "tls", feature = "_sqlx-postgres"))]
mod system;
mod tls;
mod uri;

pub use connection_string::ConnectionString;
pub use error::ConnectionStringError;
#[cfg(feature = "_sqlx-postgres")]
#[cfg_attr(
    not(feature = "full"),
    allow(unused_imports, reason = "stores and rewraps use it, each behind a feature")
)]
pub(crate) use pooler::explain;
pub use tls::SslMode;
