//! A connection string that is put together, parameter by parameter.

use std::collections::HashMap;

use super::host::is_host;
use super::table::{self, Use};
use super::tls::SslMode;
use super::{ConnectionString, ConnectionStringError, is_socket, settings};
use crate::secret::Secret;

/// In whose words a string is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Url,
    SqlAlchemy,
    Jdbc,
    Keywords,
}

const UNKNOWN: &str =
    "is not known, and would be ignored: remove it, or use the parameter of libpq";
const LIST: &str =
    "is no list of schemas: write `a, b`, and a name with odd characters in double quotes";
const PATH: &str = "is no path of a file: write the certificate or the key into a file";

/// A connection string that is being read.
pub(super) struct Draft {
    dialect: Dialect,
    own: ConnectionString,
    /// What each parameter was set to, so that a second value is noticed.
    seen: HashMap<&'static str, Secret>,
    /// The host is that of the URL, and not of a parameter.
    has_default_host: bool,
}

impl Draft {
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            own: ConnectionString::default(),
            seen: HashMap::new(),
            has_default_host: false,
        }
    }

    /// Sets a parameter by its name. An empty value counts as none, as in libpq.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), ConnectionStringError> {
        if let Some(option) = name.strip_prefix("options[").and_then(|own| own.strip_suffix(']')) {
            return self.setting(option, value);
        }
        let found = table::find(name);
        let (name, own) = found.ok_or_else(|| ConnectionStringError::parameter(name, UNKNOWN))?;
        let means_something = matches!(own, Use::Schema | Use::Path | Use::Ssl | Use::Refused(_));
        if value.is_empty() && !means_something {
            return match self.is_given(slot(name, own)) {
                true => Err(ConnectionStringError::twice(name)),
                false => Ok(()),
            };
        }
        self.check_once(name, own, value)?;
        self.apply(name, own, value)
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
                let is_address = value.parse::<std::net::IpAddr>().is_ok();
                if !is_address && !value.contains(',') {
                    return wrong("is no IP address");
                }
                return self.host(value);
            }
            Use::Port => return self.port(value),
            Use::Role => return self.role(value),
            Use::Password => return self.password(value),
            Use::Database => return self.database(value),
            Use::Schema => return self.schema(name, value),
            Use::Path => return self.path(name, value),
            Use::Setting => return self.setting(name, value),
            Use::Options => {
                let (all, words) = settings::parse(value)?;
                for (name, value) in all {
                    self.setting(&name, &value)?;
                }
                self.own.words = words;
            }
            Use::SslMode => match SslMode::named(value) {
                Some(mode) => self.own.tls.mode = Some(mode),
                None => {
                    return wrong(
                        "is none of disable, allow, prefer, require, verify-ca and verify-full",
                    );
                }
            },
            Use::Ssl => match (value.to_ascii_lowercase().as_str(), SslMode::named(value)) {
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
            Use::SslRootCert | Use::SslCert | Use::SslKey if !is_path(value) => return wrong(PATH),
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
            Use::Threshold => match value.parse::<i32>() {
                Ok(0) => self.cache(0),
                Ok(_) => self.note(format!("`{name}` changes nothing here")),
                Err(_) => return wrong("is no number"),
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

    /// Sets the host of a URL, before its parameters.
    pub(super) fn default_host(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        self.host(value)?;
        self.has_default_host = true;
        Ok(())
    }

    pub(super) fn host(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        if value.contains(',') && !is_socket(value) {
            return Err(ConnectionStringError::SeveralHosts);
        }
        if !is_host(value) {
            let problem = match value.starts_with('@') {
                true => {
                    "is an abstract socket, which is not supported: name the folder of a socket"
                }
                false => {
                    "is no name, address or path: write the port as `port`, an IPv6 address in a URL \
                     as [::1], and `@` in a password as %40"
                }
            };
            return Err(ConnectionStringError::parameter("host", problem));
        }
        match self.own.host.as_deref() {
            // Prisma writes it where a parameter names the host.
            Some("localhost") if self.has_default_host => {}
            Some(other) if other != value => return Err(ConnectionStringError::twice("host")),
            _ => {}
        }
        self.own.host = Some(value.to_owned());
        self.has_default_host = false;
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

    /// Sets the password. An empty one is none: libpq then looks into the file of passwords.
    pub(super) fn password(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        if value.is_empty() {
            return Ok(());
        }
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
            return self.path("search_path", value);
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

    /// Sets the search path, a list of identifiers.
    fn path(&mut self, name: &str, value: &str) -> Result<(), ConnectionStringError> {
        let schemas = settings::schemas(value);
        let schemas = schemas.ok_or_else(|| ConnectionStringError::parameter(name, LIST))?;
        match schemas.as_slice() {
            // The server puts the role in its place.
            [schema] if schema != "$user" && !schema.contains(',') => self.schema(name, schema),
            schemas => {
                let path = settings::path(schemas);
                self.once("schema", &path)?;
                let setting = ("search_path".to_owned(), path);
                if !self.own.settings.contains(&setting) {
                    self.own.settings.push(setting);
                }
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

    /// Fails, if the parameter `name`, or another name of it, was set to another value.
    fn check_once(
        &mut self,
        name: &'static str,
        own: Use,
        value: &str,
    ) -> Result<(), ConnectionStringError> {
        match own {
            // They are compared where they are set, with those of the URL.
            Use::Host
            | Use::HostAddress
            | Use::Port
            | Use::Role
            | Use::Password
            | Use::Database => Ok(()),
            Use::Schema | Use::Path => Ok(()),
            own => self.once(slot(name, own), value),
        }
    }

    fn is_given(&self, slot: &str) -> bool {
        match slot {
            "host" => self.own.host.is_some(),
            slot => self.seen.contains_key(slot),
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

/// The name under which the value of a parameter is remembered: one for all its names.
fn slot(name: &'static str, own: Use) -> &'static str {
    match own {
        Use::Host | Use::HostAddress => "host",
        Use::Role => "user",
        Use::Database => "dbname",
        Use::SslMode => "sslmode",
        Use::SslRootCert => "sslrootcert",
        Use::SslCert => "sslcert",
        Use::SslKey => "sslkey",
        Use::ApplicationName => "application_name",
        _ => name,
    }
}

/// Returns whether a value can be the path of a file, and not its text: errors show paths.
fn is_path(value: &str) -> bool {
    !value.contains("-----BEGIN") && !value.contains(char::is_control)
}
