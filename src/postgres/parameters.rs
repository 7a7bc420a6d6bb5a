//! The decision on each parameter of a connection string.

use std::collections::HashMap;

use super::tls::SslMode;
use super::{ConnectionString, ConnectionStringError, is_socket, settings};
use crate::secret::Secret;

/// In whose words a string is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Url,
    Jdbc,
    Keywords,
}

/// What becomes of a parameter.
#[derive(Debug, Clone, Copy)]
enum Use {
    Host,
    /// The address to connect to, beside or instead of a host.
    HostAddress,
    Port,
    Role,
    Password,
    Database,
    Schema,
    SslMode,
    /// `ssl=true`, or the mode itself, as asyncpg has it.
    Ssl,
    SslAccept,
    SslRootCert,
    SslCert,
    SslKey,
    ApplicationName,
    Options,
    StatementCache,
    /// True turns the cache of prepared statements off.
    Pooler,
    /// False does.
    Prepares,
    /// A setting of the session.
    Setting,
    /// It tells another library how to connect, and changes nothing of what is reached.
    Dropped,
    /// Dropped, if it has one of these values; refused with any other.
    Only(&'static [&'static str], &'static str),
    Refused(&'static str),
}

const BINDING: &str = "asks for channel binding, which is not supported: remove it, and check the server by \
                       `sslmode=verify-full` instead";
const GSS: &str = "asks for GSSAPI, which is not supported: use a password or a client certificate";
const PROTECTED: &str =
    "names a password of a key file, which is not supported: name a key without a password";
const PKCS12: &str = "names a PKCS 12 file, which is not supported: name a certificate with \
                      `sslcert` and its key with `sslkey`, both as PEM";
const FILES: &str = "names a file that is not read: write its settings into the string";
const REVOKED: &str = "names a list of revoked certificates, which is not supported: remove it";
const VERSION: &str = "limits the version of TLS, which is not supported: 1.2 and 1.3 are used";
const ENCODING: &str = "asks for another encoding: only UTF-8 is supported";
const WRITES: &str = "asks for a server that takes no writes: name the primary";
const UNKNOWN: &str =
    "is not known, and would be ignored: remove it, or use the parameter of libpq";
const VALUE: &str = "has a value that is not allowed";

/// Every parameter that is known. Names are matched as they are written by the library that the
/// comment names.
const TABLE: &[(&str, Use)] = &[
    // libpq.
    ("host", Use::Host),
    ("hostaddr", Use::HostAddress),
    ("port", Use::Port),
    ("user", Use::Role),
    ("password", Use::Password),
    ("dbname", Use::Database),
    ("sslmode", Use::SslMode),
    ("sslrootcert", Use::SslRootCert),
    ("sslcert", Use::SslCert),
    ("sslkey", Use::SslKey),
    ("application_name", Use::ApplicationName),
    ("fallback_application_name", Use::Dropped),
    ("options", Use::Options),
    ("connect_timeout", Use::Dropped),
    ("keepalives", Use::Dropped),
    ("keepalives_idle", Use::Dropped),
    ("keepalives_interval", Use::Dropped),
    ("keepalives_count", Use::Dropped),
    ("tcp_user_timeout", Use::Dropped),
    ("load_balance_hosts", Use::Dropped),
    ("sslsni", Use::Only(&["1"], "turns server name indication off, which is not supported")),
    ("sslcompression", Use::Only(&["0"], "asks for compression, which is not supported")),
    ("sslnegotiation", Use::Only(&["postgres"], "asks for direct TLS, which is not supported")),
    (
        "sslcertmode",
        Use::Only(&["allow", "disable"], "requires a certificate, which is not supported"),
    ),
    ("channel_binding", Use::Only(&["disable", "prefer"], BINDING)),
    ("gssencmode", Use::Only(&["disable", "prefer"], GSS)),
    ("gssdelegation", Use::Only(&["0"], GSS)),
    ("krbsrvname", Use::Refused(GSS)),
    ("gsslib", Use::Refused(GSS)),
    ("require_auth", Use::Refused("limits how a password is shown, which is not supported")),
    ("requirepeer", Use::Refused("checks the owner of the socket, which is not supported")),
    ("requiressl", Use::Refused("is an old form: write `sslmode=require`")),
    ("sslpassword", Use::Refused(PROTECTED)),
    ("sslcrl", Use::Refused(REVOKED)),
    ("sslcrldir", Use::Refused(REVOKED)),
    ("ssl_min_protocol_version", Use::Only(&["TLSv1", "TLSv1.1", "TLSv1.2"], VERSION)),
    ("ssl_max_protocol_version", Use::Refused(VERSION)),
    ("service", Use::Refused(FILES)),
    ("servicefile", Use::Refused(FILES)),
    ("passfile", Use::Refused(FILES)),
    ("replication", Use::Only(&["false", "off", "no", "0"], "asks for replication")),
    (
        "client_encoding",
        Use::Only(&["UTF8", "UTF-8", "utf8", "utf-8", "unicode", "auto"], ENCODING),
    ),
    ("target_session_attrs", Use::Only(&["any", "read-write", "primary"], WRITES)),
    // sqlx.
    ("ssl-mode", Use::SslMode),
    ("ssl-root-cert", Use::SslRootCert),
    ("ssl-ca", Use::SslRootCert),
    ("ssl-cert", Use::SslCert),
    ("ssl-key", Use::SslKey),
    ("statement-cache-capacity", Use::StatementCache),
    // Prisma.
    ("schema", Use::Schema),
    ("sslaccept", Use::SslAccept),
    ("sslidentity", Use::Refused(PKCS12)),
    ("connection_limit", Use::Dropped),
    ("pool_timeout", Use::Dropped),
    ("socket_timeout", Use::Dropped),
    ("max_idle_connection_lifetime", Use::Dropped),
    ("max_connection_lifetime", Use::Dropped),
    ("single_use_connections", Use::Dropped),
    ("statement_cache_size", Use::StatementCache),
    ("pgbouncer", Use::Pooler),
    // node-postgres, postgres.js, Drizzle.
    ("db", Use::Database),
    ("ssl", Use::Ssl),
    ("uselibpqcompat", Use::Dropped),
    ("encoding", Use::Only(&["UTF8", "UTF-8", "utf8", "utf-8", "unicode"], ENCODING)),
    ("max", Use::Dropped),
    ("min", Use::Dropped),
    ("idle_timeout", Use::Dropped),
    ("max_lifetime", Use::Dropped),
    ("query_timeout", Use::Dropped),
    ("connectionTimeoutMillis", Use::Dropped),
    ("idleTimeoutMillis", Use::Dropped),
    ("keepAlive", Use::Dropped),
    ("prepare", Use::Prepares),
    // SQLAlchemy, psycopg, asyncpg, pg8000, Django.
    ("pool_size", Use::Dropped),
    ("max_overflow", Use::Dropped),
    ("pool_recycle", Use::Dropped),
    ("pool_pre_ping", Use::Dropped),
    ("command_timeout", Use::Dropped),
    ("async_fallback", Use::Dropped),
    ("conn_max_age", Use::Dropped),
    ("conn_health_checks", Use::Dropped),
    ("prepared_statement_cache_size", Use::StatementCache),
    // Rails and Ecto.
    ("pool", Use::Dropped),
    ("timeout", Use::Dropped),
    ("checkout_timeout", Use::Dropped),
    ("reaping_frequency", Use::Dropped),
    ("queue_target", Use::Dropped),
    ("queue_interval", Use::Dropped),
    ("schema_search_path", Use::Schema),
    ("prepared_statements", Use::Prepares),
    // pgx, and pools of Rust.
    ("search_path", Use::Schema),
    ("pool_max_conns", Use::Dropped),
    ("pool_min_conns", Use::Dropped),
    ("pool_min_idle_conns", Use::Dropped),
    ("pool_max_conn_lifetime", Use::Dropped),
    ("pool_max_conn_lifetime_jitter", Use::Dropped),
    ("pool_max_conn_idle_time", Use::Dropped),
    ("pool_health_check_period", Use::Dropped),
    ("statement_cache_capacity", Use::StatementCache),
    ("description_cache_capacity", Use::Dropped),
    ("max_connections", Use::Dropped),
    ("min_connections", Use::Dropped),
    // JDBC, HikariCP.
    ("currentSchema", Use::Schema),
    ("ApplicationName", Use::ApplicationName),
    ("loginTimeout", Use::Dropped),
    ("connectTimeout", Use::Dropped),
    ("socketTimeout", Use::Dropped),
    ("cancelSignalTimeout", Use::Dropped),
    ("tcpKeepAlive", Use::Dropped),
    ("tcpNoDelay", Use::Dropped),
    ("prepareThreshold", Use::Dropped),
    ("preparedStatementCacheQueries", Use::Dropped),
    ("preparedStatementCacheSizeMiB", Use::Dropped),
    ("preferQueryMode", Use::Dropped),
    ("binaryTransfer", Use::Dropped),
    ("reWriteBatchedInserts", Use::Dropped),
    ("defaultRowFetchSize", Use::Dropped),
    ("stringtype", Use::Dropped),
    ("loadBalanceHosts", Use::Dropped),
    ("logServerErrorDetail", Use::Dropped),
    ("assumeMinServerVersion", Use::Dropped),
    ("maximumPoolSize", Use::Dropped),
    ("targetServerType", Use::Only(&["any", "primary", "master"], WRITES)),
    ("readOnly", Use::Only(&["false"], WRITES)),
    ("sslfactory", Use::Refused("names a class of Java: write `sslmode` and `sslrootcert`")),
    ("socketFactory", Use::Refused("names a class of Java: connect by the address of the server")),
    // Settings of a session.
    ("statement_timeout", Use::Setting),
    ("lock_timeout", Use::Setting),
    ("idle_in_transaction_session_timeout", Use::Setting),
    ("timezone", Use::Setting),
    ("TimeZone", Use::Setting),
];

/// A connection string that is being read.
pub(super) struct Draft {
    dialect: Dialect,
    own: ConnectionString,
    /// What each parameter was set to, so that a second value is noticed.
    seen: HashMap<&'static str, Secret>,
}

impl Draft {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, own: ConnectionString::default(), seen: HashMap::new() }
    }

    /// Sets a parameter by its name.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), ConnectionStringError> {
        if let Some(option) = name.strip_prefix("options[").and_then(|own| own.strip_suffix(']')) {
            return self.setting(option, value);
        }
        let found = TABLE.iter().find(|(own, _)| *own == name);
        let (name, own) = found.ok_or_else(|| ConnectionStringError::parameter(name, UNKNOWN))?;
        self.check_once(name, value)?;
        self.apply(name, *own, value)
    }

    fn apply(
        &mut self,
        name: &'static str,
        own: Use,
        value: &str,
    ) -> Result<(), ConnectionStringError> {
        let wrong = |problem| Err(ConnectionStringError::parameter(name, problem));
        match own {
            Use::Host => return self.host(value),
            Use::HostAddress => {
                if self.own.host.as_ref().is_some_and(|own| own != value) {
                    return wrong("is there beside another `host`: name one of them");
                }
                return self.host(value);
            }
            Use::Port => return self.port(value),
            Use::Role => return self.role(value),
            Use::Password => return self.password(value),
            Use::Database => return self.database(value),
            Use::Schema => return self.schema(name, value),
            Use::Setting => return self.setting(name, value),
            Use::Options => {
                for (name, value) in settings::parse(value)? {
                    self.setting(&name, &value)?;
                }
            }
            Use::SslMode => match SslMode::named(value) {
                Some(mode) => self.own.tls.mode = Some(mode),
                None => {
                    return wrong(
                        "is none of disable, allow, prefer, require, verify-ca and verify-full",
                    );
                }
            },
            Use::Ssl => match (value, SslMode::named(value)) {
                (_, Some(mode)) => self.at_least(mode),
                ("" | "true" | "1" | "on", _) => self.at_least(SslMode::VerifyFull),
                ("false" | "0" | "off", _) => {}
                _ => return wrong("is neither true nor false"),
            },
            Use::SslAccept => match value {
                "strict" => self.at_least(SslMode::VerifyFull),
                "accept_invalid_certs" => {}
                _ => return wrong("is neither strict nor accept_invalid_certs"),
            },
            Use::SslRootCert => self.own.tls.root = Some(value.into()),
            Use::SslCert => self.own.tls.certificate = Some(value.into()),
            Use::SslKey => self.own.tls.key = Some(value.into()),
            Use::ApplicationName => self.own.application_name = Some(value.to_owned()),
            Use::StatementCache => match value.parse() {
                Ok(capacity) => self.cache(capacity),
                Err(_) => return wrong("is no number"),
            },
            Use::Pooler => match value {
                "true" | "1" => self.cache(0),
                "false" | "0" | "" => {}
                _ => return wrong("is neither true nor false"),
            },
            Use::Prepares => match value {
                "false" | "0" | "unnamed" => self.cache(0),
                "true" | "1" | "named" => {}
                _ => return wrong("is neither true nor false"),
            },
            Use::Dropped => self.note(format!(
                "`{name}` is for the client that the URL was written for, and is not used here"
            )),
            Use::Only(allowed, _) if allowed.contains(&value) => {
                self.note(format!("`{name}` changes nothing here"));
            }
            Use::Only(_, problem) | Use::Refused(problem) => return wrong(problem),
        }
        Ok(())
    }

    pub(super) fn host(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        if value.contains(',') && !is_socket(value) {
            return Err(ConnectionStringError::SeveralHosts);
        }
        if value.is_empty() || value.contains(|own: char| own.is_whitespace() || own.is_control()) {
            return Err(ConnectionStringError::parameter("host", VALUE));
        }
        // A parameter goes before the host of the URL: Prisma has a socket beside `localhost`.
        self.own.host = Some(value.to_owned());
        Ok(())
    }

    pub(super) fn port(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        if value.contains(',') {
            return Err(ConnectionStringError::SeveralHosts);
        }
        let is_number = !value.is_empty() && value.bytes().all(|own| own.is_ascii_digit());
        let port = value.parse().ok().filter(|own| is_number && *own > 0);
        let port: u16 = port.ok_or(ConnectionStringError::Port)?;
        self.once("port", value)?;
        self.own.port = Some(port);
        Ok(())
    }

    pub(super) fn role(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        self.once("user", value)?;
        self.own.role = Some(value.to_owned());
        Ok(())
    }

    pub(super) fn password(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        self.once("password", value)?;
        self.own.password = Some(Secret::from(value));
        Ok(())
    }

    pub(super) fn database(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        self.once("dbname", value)?;
        self.own.database = Some(value.to_owned());
        Ok(())
    }

    fn schema(&mut self, name: &str, value: &str) -> Result<(), ConnectionStringError> {
        // A list is a search path; the first schema of it is where names are looked up first.
        if value.is_empty() || value.contains([',', '\0']) {
            return Err(ConnectionStringError::parameter(
                name,
                "names several schemas or none: name one",
            ));
        }
        self.once("schema", value)?;
        self.own.schema = Some(value.to_owned());
        Ok(())
    }

    fn setting(&mut self, name: &str, value: &str) -> Result<(), ConnectionStringError> {
        if !settings::is_name(name) || value.contains('\0') {
            return Err(ConnectionStringError::parameter("options", settings::FORM));
        }
        if name.eq_ignore_ascii_case("search_path") {
            return self.path(value);
        }
        let key = name.to_ascii_lowercase();
        match self.own.settings.iter().find(|(own, _)| *own == key) {
            Some((_, other)) if other != value => Err(ConnectionStringError::twice(name)),
            Some(_) => Ok(()),
            None => {
                self.own.settings.push((key, value.to_owned()));
                Ok(())
            }
        }
    }

    /// A search path of `options`, which is a list of identifiers.
    fn path(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        match settings::single(value) {
            Some(schema) => self.schema("search_path", &schema),
            None => {
                self.once("schema", value)?;
                self.own.settings.push(("search_path".to_owned(), value.to_owned()));
                Ok(())
            }
        }
    }

    /// `mode`, unless a stricter one is asked for.
    fn at_least(&mut self, mode: SslMode) {
        self.own.tls.at_least = self.own.tls.at_least.max(Some(mode));
    }

    fn cache(&mut self, capacity: usize) {
        let before = self.own.statement_cache.unwrap_or(capacity);
        self.own.statement_cache = Some(before.min(capacity));
    }

    fn note(&mut self, note: String) {
        if !self.own.notes.contains(&note) {
            self.own.notes.push(note);
        }
    }

    /// Fails, if the parameter `name` was set to another value.
    fn check_once(&mut self, name: &'static str, value: &str) -> Result<(), ConnectionStringError> {
        match name {
            // A parameter goes before the host of the URL, and others have several names.
            "host" | "hostaddr" | "port" | "user" | "password" | "dbname" | "db" => Ok(()),
            _ => self.once(name, value),
        }
    }

    fn once(&mut self, name: &'static str, value: &str) -> Result<(), ConnectionStringError> {
        match self.seen.get(name) {
            Some(other) if other.expose() != value.as_bytes() => {
                Err(ConnectionStringError::twice(name))
            }
            Some(_) => Ok(()),
            None => {
                self.seen.insert(name, Secret::from(value));
                Ok(())
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<ConnectionString, ConnectionStringError> {
        self.own.tls.settle(self.dialect)?;
        if let Some(note) = self.own.tls.note() {
            self.note(note.to_owned());
        }
        Ok(self.own)
    }
}
