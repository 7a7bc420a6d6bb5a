//! A connection string as options of `sqlx`.

use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

#[cfg(feature = "tls")]
use super::system;
use super::tls::SslMode;
use super::{ConnectionString, ConnectionStringError, is_socket, settings};

impl ConnectionString {
    /// Options for a connection or a pool of `sqlx`. What the string leaves open is taken from the
    /// variables `PGHOST`, `PGUSER` and so on, and from `~/.pgpass`, as `sqlx` does.
    ///
    /// `extra_float_digits` is not sent: PgBouncer refuses it, and servers since version 12 do not
    /// need it.
    ///
    /// ```
    /// use dualkey::postgres::ConnectionString;
    /// use sqlx::postgres::PgPoolOptions;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let url = ConnectionString::parse("postgresql+asyncpg://app:secret@db:6432/app")?;
    /// let pool = PgPoolOptions::new().max_connections(5).connect_lazy_with(url.connect_options()?);
    /// assert_eq!(pool.connect_options().get_port(), 6432);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ConnectionStringError::NoTls`] without the feature `tls`, if the string asks for it;
    /// [`ConnectionStringError::File`].
    pub fn connect_options(&self) -> Result<PgConnectOptions, ConnectionStringError> {
        let options = self.connect_options_without_schema()?;
        Ok(match &self.schema {
            Some(schema) => options.options([("search_path", settings::path(schema))]),
            None => options,
        })
    }

    /// The same, for statements that qualify each name. A pooler may refuse a search path.
    pub(crate) fn connect_options_without_schema(
        &self,
    ) -> Result<PgConnectOptions, ConnectionStringError> {
        let mut options = self.login().extra_float_digits(None);
        if let Some(capacity) = self.statement_cache {
            options = options.statement_cache_capacity(capacity);
        }
        if let Some(name) = &self.application_name {
            options = options.application_name(name);
        }
        if !self.settings.is_empty() {
            let all = self.settings.iter().map(|(name, value)| (name, value));
            options = options.options(all);
        }
        self.with_tls(options)
    }

    /// Where it leads, and who connects.
    fn login(&self) -> PgConnectOptions {
        let options = match self.password {
            // `sqlx` looks into the file of passwords when it reads a URL.
            None => self.bare_url().parse().unwrap_or_else(|_| PgConnectOptions::new()),
            Some(_) => PgConnectOptions::new_without_pgpass(),
        };
        let mut options = match &self.host {
            Some(host) if is_socket(host) => options.socket(host),
            Some(host) => options.host(host),
            None => options,
        };
        if self.host.is_some() || self.port.is_some() {
            options = options.port(self.port.unwrap_or(super::PORT));
        }
        if let Some(role) = &self.role {
            options = options.username(role);
        }
        if let Some(database) = &self.database {
            options = options.database(database);
        }
        match self.password.as_ref().map(|own| std::str::from_utf8(own.expose())) {
            Some(Ok(password)) => options.password(password),
            _ => options,
        }
    }

    /// The place and the role as a URL, without anything else.
    fn bare_url(&self) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let role = self.role.as_deref().map_or_else(String::new, |own| encoded(own) + "@");
        let host = match self.host.as_deref() {
            Some(host) if host.contains(':') => format!("[{host}]"),
            // A name may have dots and dashes, which are no letters.
            Some(host) if !is_socket(host) => host.to_owned(),
            host => encoded(host.unwrap_or_default()),
        };
        let port = self.port.filter(|_| !host.is_empty());
        let port = port.map_or_else(String::new, |own| format!(":{own}"));
        let database = self.database.as_deref().map_or_else(String::new, encoded);
        format!("postgres://{role}{host}{port}/{database}")
    }

    fn with_tls(
        &self,
        mut options: PgConnectOptions,
    ) -> Result<PgConnectOptions, ConnectionStringError> {
        let is_socket = options.get_socket().is_some() || is_socket(options.get_host());
        if is_socket {
            return Ok(options.ssl_mode(PgSslMode::Disable));
        }
        if let Some(mode) = self.tls.mode {
            options = options.ssl_mode(match mode {
                SslMode::Disable => PgSslMode::Disable,
                // `sqlx` never encrypts with its own `Allow`.
                SslMode::Allow | SslMode::Prefer => PgSslMode::Prefer,
                SslMode::Require => PgSslMode::Require,
                SslMode::VerifyCa => PgSslMode::VerifyCa,
                SslMode::VerifyFull => PgSslMode::VerifyFull,
            });
        }
        let needs_tls = matches!(
            options.get_ssl_mode(),
            PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull
        );
        if needs_tls && !cfg!(feature = "tls") {
            return Err(ConnectionStringError::NoTls);
        }
        let has_root = self.tls.root.is_some() || std::env::var_os("PGSSLROOTCERT").is_some();
        if matches!(options.get_ssl_mode(), PgSslMode::Require) && has_root {
            // As libpq does where a root is there, by the string or by the environment.
            options = options.ssl_mode(PgSslMode::VerifyCa);
        }
        #[cfg(feature = "tls")]
        if matches!(options.get_ssl_mode(), PgSslMode::VerifyCa) {
            system::provide();
        }
        match self.tls.root.as_ref().filter(|_| !self.tls.is_system()) {
            Some(root) => options = options.ssl_root_cert(readable("sslrootcert", root)?),
            #[cfg(feature = "tls")]
            None => options = system::with_roots(options, self.tls.is_system()),
            #[cfg(not(feature = "tls"))]
            None => {}
        }
        if let (Some(certificate), Some(key)) = (&self.tls.certificate, &self.tls.key) {
            options = options
                .ssl_client_cert(readable("sslcert", certificate)?)
                .ssl_client_key(readable("sslkey", key)?);
        }
        Ok(options)
    }
}

/// `path`, if it can be read: found here and named, and not at the first connection.
fn readable<'p>(
    name: &'static str,
    path: &'p PathBuf,
) -> Result<&'p PathBuf, ConnectionStringError> {
    let wrong = |problem: String| ConnectionStringError::File { name, path: path.clone(), problem };
    match std::fs::File::open(path).and_then(|own| own.metadata()) {
        Ok(own) if own.is_file() => Ok(path),
        Ok(_) => Err(wrong("it is no file".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}
