//! A connection string that is put together, parameter by parameter.

use std::collections::HashMap;

use super::connection_string::{ConnectionString, is_socket};
use super::error::ConnectionStringError;
use super::host::is_host;
use super::parameters::{self, Use};
use super::scheme::Dialect;
use super::settings;
use super::tls::{NO_MODE, SslMode};
use crate::secret::Secret;

const UNKNOWN: &str =
    "is not known, and would be ignored: remove it, or use the parameter of libpq";
const LIST: &str =
    "is no list of schemas: write `a, b`, and a name with odd characters in double quotes";
const NO_BOOLEAN: &str = "is neither true nor false";
const NO_NUMBER: &str = "is no number";
const PATH: &str = "is no path of a file: write the certificate or the key into a file";

/// A connection string that is being read.
pub(super) struct Draft {
    dialect: Dialect,
    string: ConnectionString,
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
            string: ConnectionString::default(),
            seen: HashMap::new(),
            has_default_host: false,
        }
    }

    /// Sets a parameter by its name. An empty value counts as none, as in libpq.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), ConnectionStringError> {
        if let Some(option) = name.strip_prefix("options[").and_then(|name| name.strip_suffix(']'))
        {
            return self.set_setting(option, value);
        }
        let found = parameters::find(name);
        let (name, usage) = found.ok_or_else(|| ConnectionStringError::parameter(name, UNKNOWN))?;
        let means_something = matches!(usage, Use::Schema | Use::Path | Use::Ssl | Use::Refused(_));
        if value.is_empty() && !means_something {
            if self.is_given(slot(name, usage)) {
                return Err(ConnectionStringError::twice(name));
            }
            return Ok(());
        }
        self.check_once(name, usage, value)?;
        self.apply(name, usage, value)
    }

    fn apply(
        &mut self,
        name: &'static str,
        usage: Use,
        value: &str,
    ) -> Result<(), ConnectionStringError> {
        let wrong = |problem| Err(ConnectionStringError::parameter(name, problem));
        match usage {
            Use::Host => return self.set_host(value),
            Use::HostAddress => return self.set_host_address(name, value),
            Use::Port => return self.set_port(value),
            Use::Role => return self.set_role(value),
            Use::Password => return self.set_password(value),
            Use::Database => return self.set_database(value),
            Use::Schema => return self.set_schema(name, value),
            Use::Path => return self.set_path(name, value),
            Use::Setting => return self.set_setting(name, value),
            Use::Options => return self.set_options(value),
            Use::SslMode
            | Use::Ssl
            | Use::SslAccept
            | Use::SslRootCert
            | Use::SslCert
            | Use::SslKey => return self.apply_tls(name, usage, value),
            Use::StatementCache | Use::Pooler | Use::Prepares | Use::Threshold => {
                return self.apply_cache(name, usage, value);
            }
            Use::ApplicationName => self.string.application_name = Some(value.to_owned()),
            Use::Dropped => self.add_note(format!(
                "`{name}` is for the client that the URL was written for, and is not used here"
            )),
            Use::Only(allowed, _) if allowed.contains(&value) => {
                self.add_note(format!("`{name}` changes nothing here"));
            }
            Use::Only(_, problem) | Use::Refused(problem) => return wrong(problem),
        }
        Ok(())
    }

    /// Applies a parameter of TLS.
    fn apply_tls(
        &mut self,
        name: &str,
        usage: Use,
        value: &str,
    ) -> Result<(), ConnectionStringError> {
        let wrong = |problem| Err(ConnectionStringError::parameter(name, problem));
        match usage {
            Use::SslMode => match SslMode::from_word(value) {
                Some(mode) => self.string.tls.mode = Some(mode),
                None => return wrong(NO_MODE),
            },
            Use::Ssl => match (value.to_ascii_lowercase().as_str(), SslMode::from_word(value)) {
                (_, Some(mode)) => self.require_mode(mode),
                ("" | "true" | "1" | "on", _) => self.require_mode(SslMode::VerifyFull),
                ("false" | "0" | "off", _) => {}
                _ => return wrong(NO_BOOLEAN),
            },
            Use::SslAccept => match value {
                "strict" => self.require_mode(SslMode::VerifyFull),
                "accept_invalid_certs" => {}
                _ => return wrong("is neither strict nor accept_invalid_certs"),
            },
            _ if !is_path(value) => return wrong(PATH),
            Use::SslRootCert => self.string.tls.root = Some(value.into()),
            Use::SslCert => self.string.tls.certificate = Some(value.into()),
            _ => self.string.tls.key = Some(value.into()),
        }
        Ok(())
    }

    /// Applies a parameter that limits the cache of prepared statements.
    fn apply_cache(
        &mut self,
        name: &str,
        usage: Use,
        value: &str,
    ) -> Result<(), ConnectionStringError> {
        let wrong = |problem| Err(ConnectionStringError::parameter(name, problem));
        match usage {
            Use::StatementCache => match value.parse() {
                Ok(capacity) => self.limit_cache(capacity),
                Err(_) => return wrong(NO_NUMBER),
            },
            Use::Pooler => match value {
                "true" | "1" => self.limit_cache(0),
                "false" | "0" | "" => {}
                _ => return wrong(NO_BOOLEAN),
            },
            Use::Prepares => match value {
                "false" | "0" | "unnamed" => self.limit_cache(0),
                "true" | "1" | "named" => {}
                _ => return wrong(NO_BOOLEAN),
            },
            _ => match value.parse::<i32>() {
                Ok(0) => self.limit_cache(0),
                Ok(_) => self.add_note(format!("`{name}` changes nothing here")),
                Err(_) => return wrong(NO_NUMBER),
            },
        }
        Ok(())
    }

    fn set_host_address(&mut self, name: &str, value: &str) -> Result<(), ConnectionStringError> {
        let wrong = |problem| Err(ConnectionStringError::parameter(name, problem));
        if self.string.host.as_ref().is_some_and(|host| host != value) {
            return wrong("is there beside another `host`: name one of them");
        }
        let is_address = value.parse::<std::net::IpAddr>().is_ok();
        if !is_address && !value.contains(',') {
            return wrong("is no IP address");
        }
        self.set_host(value)
    }

    fn set_options(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        let (all, words) = settings::parse(value)?;
        for (name, value) in all {
            self.set_setting(&name, &value)?;
        }
        self.string.words = words;
        Ok(())
    }

    /// Sets the host of a URL, before its parameters.
    pub(super) fn set_default_host(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        self.set_host(value)?;
        self.has_default_host = true;
        Ok(())
    }

    pub(super) fn set_host(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        if value.contains(',') && !is_socket(value) {
            return Err(ConnectionStringError::SeveralHosts);
        }
        if !is_host(value) {
            let problem = if value.starts_with('@') {
                "is an abstract socket, which is not supported: name the folder of a socket"
            } else {
                "is no name, address or path: write the port as `port`, an IPv6 address in a URL \
                 as [::1], and `@` in a password as %40"
            };
            return Err(ConnectionStringError::parameter("host", problem));
        }
        match self.string.host.as_deref() {
            // Prisma writes it where a parameter names the host.
            Some("localhost") if self.has_default_host => {}
            Some(other) if other != value => return Err(ConnectionStringError::twice("host")),
            _ => {}
        }
        self.string.host = Some(value.to_owned());
        self.has_default_host = false;
        Ok(())
    }

    pub(super) fn set_port(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        if value.contains(',') {
            return Err(ConnectionStringError::SeveralHosts);
        }
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let port = value.parse().ok().filter(|port| is_number && *port > 0);
        let port: u16 = port.ok_or(ConnectionStringError::Port)?;
        self.check_twice("port", value)?;
        self.string.port = Some(port);
        Ok(())
    }

    pub(super) fn set_role(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        self.check_twice("user", value)?;
        self.string.role = Some(value.to_owned());
        Ok(())
    }

    /// Sets the password. An empty one is none: libpq then looks into the file of passwords.
    pub(super) fn set_password(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        if value.is_empty() {
            return Ok(());
        }
        self.check_twice("password", value)?;
        self.string.password = Some(Secret::from(value));
        Ok(())
    }

    pub(super) fn set_database(&mut self, value: &str) -> Result<(), ConnectionStringError> {
        self.check_twice("dbname", value)?;
        self.string.database = Some(value.to_owned());
        Ok(())
    }

    fn set_schema(&mut self, name: &str, value: &str) -> Result<(), ConnectionStringError> {
        // A list is a search path; the first schema of it is where names are looked up first.
        if value.is_empty() || value.contains([',', '\0']) {
            return Err(ConnectionStringError::parameter(
                name,
                "names several schemas or none: name one",
            ));
        }
        self.check_twice("schema", value)?;
        self.string.schema = Some(value.to_owned());
        Ok(())
    }

    fn set_setting(&mut self, name: &str, value: &str) -> Result<(), ConnectionStringError> {
        if !settings::is_name(name) || value.contains('\0') {
            return Err(ConnectionStringError::parameter("options", settings::FORM));
        }
        if name.eq_ignore_ascii_case("search_path") {
            return self.set_path("search_path", value);
        }
        let key = name.to_ascii_lowercase();
        match self.string.settings.iter().find(|(name, _)| *name == key) {
            Some((_, other)) if other != value => Err(ConnectionStringError::twice(name)),
            Some(_) => Ok(()),
            None => {
                self.string.settings.push((key, value.to_owned()));
                Ok(())
            }
        }
    }

    /// Sets the search path, a list of identifiers.
    fn set_path(&mut self, name: &str, value: &str) -> Result<(), ConnectionStringError> {
        let schemas = settings::schemas(value);
        let schemas = schemas.ok_or_else(|| ConnectionStringError::parameter(name, LIST))?;
        match schemas.as_slice() {
            // The server puts the role in its place.
            [schema] if schema != "$user" && !schema.contains(',') => self.set_schema(name, schema),
            schemas => {
                let path = settings::path(schemas);
                self.check_twice("schema", &path)?;
                let setting = ("search_path".to_owned(), path);
                if !self.string.settings.contains(&setting) {
                    self.string.settings.push(setting);
                }
                Ok(())
            }
        }
    }

    /// Requires `mode`, unless a stricter one is required.
    fn require_mode(&mut self, mode: SslMode) {
        self.string.tls.at_least = self.string.tls.at_least.max(Some(mode));
    }

    fn limit_cache(&mut self, capacity: usize) {
        let before = self.string.statement_cache.unwrap_or(capacity);
        self.string.statement_cache = Some(before.min(capacity));
    }

    fn add_note(&mut self, note: String) {
        if !self.string.notes.contains(&note) {
            self.string.notes.push(note);
        }
    }

    /// Fails, if the parameter `name`, or another name of it, was set to another value.
    fn check_once(
        &mut self,
        name: &'static str,
        usage: Use,
        value: &str,
    ) -> Result<(), ConnectionStringError> {
        match usage {
            // They are compared where they are set, with those of the URL.
            Use::Host
            | Use::HostAddress
            | Use::Port
            | Use::Role
            | Use::Password
            | Use::Database => Ok(()),
            Use::Schema | Use::Path => Ok(()),
            usage => self.check_twice(slot(name, usage), value),
        }
    }

    fn is_given(&self, slot: &str) -> bool {
        match slot {
            "host" => self.string.host.is_some(),
            slot => self.seen.contains_key(slot),
        }
    }

    fn check_twice(
        &mut self,
        name: &'static str,
        value: &str,
    ) -> Result<(), ConnectionStringError> {
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
        self.string.tls.settle(self.dialect)?;
        if let Some(note) = self.string.tls.note() {
            self.add_note(note.to_owned());
        }
        Ok(self.string)
    }
}

/// The name under which the value of a parameter is remembered: one for all its names.
fn slot(name: &'static str, usage: Use) -> &'static str {
    match usage {
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
