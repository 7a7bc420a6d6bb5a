//! The parts of a URL, decoded.

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::connection_string::ConnectionString;
use super::draft::Draft;
use super::error::ConnectionStringError;
use super::parameters;
use super::scheme::Dialect;

const ALONE: &str = "has no `=`: write `&` in a value as %26";
const PLUS: &str = "has a `+`, which is a space to some readers: write %2B or %20";

/// Reads what comes after `postgres://`.
pub(super) fn parse(
    rest: &str,
    dialect: Dialect,
) -> Result<ConnectionString, ConnectionStringError> {
    let mut draft = Draft::new(dialect);
    if rest.contains('#') {
        return Err(ConnectionStringError::Escape { part: "text" });
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    // A password with a slash or a question mark ends what comes before the host too early. libpq
    // reads a login up to the first `@` before a `/`.
    let until_slash = tail.split('/').next().unwrap_or_default();
    let is_cut = tail.starts_with('?') && !authority.contains('@') && until_slash.contains('@');
    if path.contains('@') || is_cut {
        return Err(ConnectionStringError::Escape { part: "password" });
    }
    let hosts = match authority.rsplit_once('@') {
        Some((login, _)) if login.contains('@') => {
            return Err(ConnectionStringError::Escape { part: "password" });
        }
        Some((login, hosts)) => {
            let (role, password) = match login.split_once(':') {
                Some((role, password)) => (role, Some(password)),
                None => (login, None),
            };
            if !role.is_empty() {
                draft.set_role(&decode(role, "role")?)?;
            }
            if let Some(password) = password {
                draft.set_password(&decode(password, "password")?)?;
            }
            hosts
        }
        None => authority,
    };
    read_host(hosts, &mut draft)?;
    let database = path.strip_prefix('/').unwrap_or(path);
    if !database.is_empty() {
        draft.set_database(&decode(database, "database")?)?;
    }
    match read_parameters(query, &mut draft) {
        // A password with a question mark, whose rest looks like a parameter.
        Err(ConnectionStringError::Parameter { .. })
            if !authority.contains('@') && query.contains('@') =>
        {
            Err(ConnectionStringError::Escape { part: "password" })
        }
        read => read.and_then(|()| draft.finish()),
    }
}

/// Reads what comes after `socket:`, as node-postgres has it.
pub(super) fn socket(rest: &str) -> Result<ConnectionString, ConnectionStringError> {
    let mut draft = Draft::new(Dialect::Url);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let folder = match place.split_once('@') {
        Some((login, folder)) => {
            let (role, password) = login.split_once(':').unwrap_or((login, ""));
            draft.set_role(&decode(role, "role")?)?;
            if !password.is_empty() {
                draft.set_password(&decode(password, "password")?)?;
            }
            folder
        }
        None => place,
    };
    if !folder.starts_with('/') {
        return Err(ConnectionStringError::Form);
    }
    let folder = decode(folder, "host")?;
    draft.set_default_host(folder.trim_end_matches('/'))?;
    read_parameters(query, &mut draft)?;
    draft.finish()
}

fn read_host(hosts: &str, draft: &mut Draft) -> Result<(), ConnectionStringError> {
    if hosts.contains(',') {
        return Err(ConnectionStringError::SeveralHosts);
    }
    let (host, port) = match hosts.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(ConnectionStringError::Form)?;
            // Only an address is in brackets: a name there is not accepted as a host.
            let address = if address.contains(':') { address } else { hosts };
            (address, after.strip_prefix(':').or_else(|| after.is_empty().then_some("")))
        }
        // An address of IPv6 without brackets is left whole, and refused.
        None => match hosts.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return draft.set_default_host(&format!("[{hosts}]"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (hosts, Some("")),
        },
    };
    let port = port.ok_or(ConnectionStringError::Form)?;
    if !host.is_empty() {
        draft.set_default_host(&decode(host, "host")?)?;
    }
    match port {
        "" => Ok(()),
        port => draft.set_port(port),
    }
}

fn read_parameters(query: &str, draft: &mut Draft) -> Result<(), ConnectionStringError> {
    let mut after_secret = false;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.split_once('=') {
            Some(pair) => pair,
            // pgjdbc reads `?ssl` as `?ssl=true`.
            None if draft.dialect() == Dialect::Jdbc => (pair, ""),
            None => return Err(ConnectionStringError::parameter("?", ALONE)),
        };
        let name = decode(name, "parameter")?;
        let is_blank = matches!(
            (draft.dialect(), &**name),
            (Dialect::Jdbc | Dialect::SqlAlchemy, _)
                | (_, "options" | "application_name" | "ApplicationName")
        );
        if value.contains('+') && !is_blank {
            let name = parameters::find(&name).map_or("?", |(name, _)| name);
            return Err(ConnectionStringError::parameter(name, PLUS));
        }
        let value = Zeroizing::new(value.replace('+', " "));
        set(draft, &name, &decode(&value, "parameter")?, after_secret)?;
        after_secret = is_secret(&name);
    }
    Ok(())
}

/// Sets a parameter. Its name is not shown if it follows a secret: it may be the rest of it.
pub(super) fn set(
    draft: &mut Draft,
    name: &str,
    value: &str,
    after_secret: bool,
) -> Result<(), ConnectionStringError> {
    let is_hidden =
        after_secret && parameters::find(name).is_none() && !name.starts_with("options[");
    draft.set(if is_hidden { "?" } else { name }, value)
}

/// Returns whether the value of a parameter is a secret, by its name.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "key", "secret", "token"].iter().any(|word| name.contains(word))
}

/// `text` with its escapes read; each `%` begins one.
fn decode(text: &str, part: &'static str) -> Result<Zeroizing<String>, ConnectionStringError> {
    let wrong = || ConnectionStringError::Escape { part };
    let is_escape = |rest: &[u8]| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let places = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    if !places.clone().all(|(place, _)| is_escape(&bytes[place + 1..])) {
        return Err(wrong());
    }
    let mut value = Zeroizing::new(Vec::with_capacity(text.len()));
    value.extend(percent_decode_str(text));
    let value = std::str::from_utf8(&value).map_err(|_| wrong())?;
    if value.contains('\0') {
        return Err(wrong());
    }
    Ok(Zeroizing::new(value.to_owned()))
}
