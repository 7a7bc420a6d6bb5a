//! A connection string as options of `sqlx`.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use zeroize::Zeroizing;

use super::connection_string::{ConnectionString, is_socket, variable};
use super::error::ConnectionStringError;
use super::files::{CERTIFICATE, check, check_key};
use super::settings;
#[cfg(feature = "tls")]
use super::system;
use super::tls::{NO_MODE, SslMode};

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
        let mut options = self.login()?.extra_float_digits(None);
        if let Some(password) = &self.password {
            let password = std::str::from_utf8(password.expose());
            options = options.password(password.map_err(|_| ConnectionStringError::Form)?);
        }
        if let Some(capacity) = self.statement_cache {
            options = options.statement_cache_capacity(capacity);
        }
        if let Some(name) = &self.application_name {
            options = options.application_name(name);
        }
        self.with_tls(options)
    }

    /// Where it leads, who connects, and the settings of the session. Only the parser of `sqlx` looks
    /// into the file of passwords, and takes `options` as a text. It gets no parameter that it does
    /// not know: it logs those, with their values.
    fn login(&self) -> Result<PgConnectOptions, ConnectionStringError> {
        let port = self.port.map(|port| port.to_string());
        let options = Zeroizing::new(self.session());
        let parameters = [
            ("host", self.host.as_deref()),
            ("port", port.as_deref()),
            ("user", self.role.as_deref()),
            ("dbname", self.database.as_deref()),
            // With one, none is looked up. The real one is set later, and is in no URL.
            ("password", self.password.as_ref().map(|_| "-")),
            ("options", Some(options.as_str()).filter(|options| !options.is_empty())),
        ];
        let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let pairs = given.map(|(name, value)| {
            format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))
        });
        let url = Zeroizing::new(format!("postgres:///?{}", pairs.collect::<Vec<_>>().join("&")));
        url.parse().map_err(|_| ConnectionStringError::Form)
    }

    /// The text of `options`.
    fn session(&self) -> String {
        let settings = self.settings.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let path = self.schema.as_ref().map(|schema| ("search_path", settings::path(&[schema])));
        let settings = settings.chain(path);
        let settings =
            settings.map(|(name, value)| format!("-c {name}={}", settings::escape(&value)));
        let words = self.words.iter().map(|word| settings::escape(word));
        settings.chain(words).collect::<Vec<_>>().join(" ")
    }

    /// The mode of TLS: that of the string, that of the variable `PGSSLMODE`, or `prefer`. A root
    /// turns `require` into `verify-ca`, as in libpq.
    fn mode(&self, has_root: bool) -> Result<SslMode, ConnectionStringError> {
        let mode = match (self.tls.mode, variable("PGSSLMODE")) {
            (Some(mode), _) => mode,
            (None, None) => SslMode::Prefer,
            // `sqlx` takes an unknown word for `prefer`.
            (None, Some(word)) => SslMode::from_word(&word)
                .ok_or_else(|| ConnectionStringError::parameter("PGSSLMODE", NO_MODE))?,
        };
        match mode {
            SslMode::Require if has_root => Ok(SslMode::VerifyCa),
            // `sqlx` never encrypts with its own `Allow`.
            SslMode::Allow => Ok(SslMode::Prefer),
            mode => Ok(mode),
        }
    }

    fn with_tls(
        &self,
        options: PgConnectOptions,
    ) -> Result<PgConnectOptions, ConnectionStringError> {
        if options.get_socket().is_some() || is_socket(options.get_host()) {
            return Ok(options.ssl_mode(PgSslMode::Disable));
        }
        let named = variable("PGSSLROOTCERT");
        let is_system = match &self.tls.root {
            Some(_) => self.tls.is_system(),
            None => named.as_deref() == Some("system"),
        };
        let mode = self.mode(!is_system && (self.tls.root.is_some() || named.is_some()))?;
        check_mode(mode, cfg!(feature = "tls"))?;
        if mode == SslMode::Disable {
            return Ok(options.ssl_mode(PgSslMode::Disable));
        }
        let mut options = options.ssl_mode(match mode {
            SslMode::Disable | SslMode::Allow | SslMode::Prefer => PgSslMode::Prefer,
            SslMode::Require => PgSslMode::Require,
            SslMode::VerifyCa => PgSslMode::VerifyCa,
            SslMode::VerifyFull => PgSslMode::VerifyFull,
        });
        #[cfg(feature = "tls")]
        if mode == SslMode::VerifyCa {
            system::install_provider();
        }
        match self.tls.root.as_ref().filter(|_| !is_system) {
            Some(root) => {
                check("sslrootcert", root, CERTIFICATE)?;
                options = options.ssl_root_cert(root);
            }
            #[cfg(feature = "tls")]
            None => options = system::with_roots(options, is_system),
            #[cfg(not(feature = "tls"))]
            None => {}
        }
        if let (Some(certificate), Some(key)) = (&self.tls.certificate, &self.tls.key) {
            check("sslcert", certificate, CERTIFICATE)?;
            check_key("sslkey", key)?;
            options = options.ssl_client_cert(certificate).ssl_client_key(key);
        }
        Ok(options)
    }
}

/// Refuses a mode that needs TLS, before a connection is made without it.
fn check_mode(mode: SslMode, has_tls: bool) -> Result<(), ConnectionStringError> {
    if mode >= SslMode::Require && !has_tls {
        return Err(ConnectionStringError::NoTls);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_no_mode_that_needs_it_connects() {
        for (mode, connects) in [
            (SslMode::Disable, true),
            (SslMode::Prefer, true),
            (SslMode::Require, false),
            (SslMode::VerifyCa, false),
            (SslMode::VerifyFull, false),
        ] {
            assert_eq!(check_mode(mode, false).is_ok(), connects, "{mode:?}");
            assert_eq!(check_mode(mode, true), Ok(()), "{mode:?}");
        }
        let error = check_mode(SslMode::Require, false).unwrap_err().to_string();
        assert!(error.contains("the feature `tls`"), "{error}");
        // With the features of this build.
        let url = ConnectionString::parse("postgres://app@db/app?sslmode=require").unwrap();
        assert_eq!(url.connect_options().is_ok(), cfg!(feature = "tls"));
    }
}
