//! The parts of a URL, decoded.

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::parameters::{Dialect, Draft};
use super::{ConnectionString, ConnectionStringError};

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
                draft.role(&decoded(role, "role")?)?;
            }
            if let Some(password) = password {
                draft.password(&decoded(password, "password")?)?;
            }
            hosts
        }
        // A password with a slash ends what comes before the host too early.
        None if path.contains('@') => {
            return Err(ConnectionStringError::Escape { part: "password" });
        }
        None => authority,
    };
    host(hosts, &mut draft)?;
    let database = path.strip_prefix('/').unwrap_or(path);
    if !database.is_empty() {
        draft.database(&decoded(database, "database")?)?;
    }
    match parameters(query, &mut draft) {
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
            draft.role(&decoded(role, "role")?)?;
            if !password.is_empty() {
                draft.password(&decoded(password, "password")?)?;
            }
            folder
        }
        None => place,
    };
    if !folder.starts_with('/') {
        return Err(ConnectionStringError::Form);
    }
    let folder = decoded(folder, "host")?;
    draft.host(folder.trim_end_matches('/'))?;
    parameters(query, &mut draft)?;
    draft.finish()
}

fn host(hosts: &str, draft: &mut Draft) -> Result<(), ConnectionStringError> {
    if hosts.contains(',') {
        return Err(ConnectionStringError::SeveralHosts);
    }
    let (host, port) = match hosts.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(ConnectionStringError::Form)?;
            (address, after.strip_prefix(':').or_else(|| after.is_empty().then_some("")))
        }
        None => match hosts.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (hosts, Some("")),
        },
    };
    let port = port.ok_or(ConnectionStringError::Form)?;
    if !host.is_empty() {
        draft.host(&decoded(host, "host")?)?;
    }
    match port {
        "" => Ok(()),
        port => draft.port(port),
    }
}

fn parameters(query: &str, draft: &mut Draft) -> Result<(), ConnectionStringError> {
    for pair in query.split('&').filter(|own| !own.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name, "parameter")?;
        // A plus is a space to some readers, and itself to others.
        let value = match &**name {
            "options" | "application_name" | "ApplicationName" => value.replace('+', " "),
            _ => value.to_owned(),
        };
        draft.set(&name, &decoded(&Zeroizing::new(value), "parameter")?)?;
    }
    Ok(())
}

/// `text` with its escapes read; each `%` begins one.
fn decoded(text: &str, part: &'static str) -> Result<Zeroizing<String>, ConnectionStringError> {
    let wrong = || ConnectionStringError::Escape { part };
    let is_escape = |own: &[u8]| own.len() >= 2 && own[..2].iter().all(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let places = bytes.iter().enumerate().filter(|(_, own)| **own == b'%');
    if !places.clone().all(|(place, _)| is_escape(&bytes[place + 1..])) {
        return Err(wrong());
    }
    let mut value = Zeroizing::new(Vec::with_capacity(text.len()));
    value.extend(percent_decode_str(text));
    let value = std::str::from_utf8(&value).map_err(|_| wrong())?;
    match value.contains('\0') {
        true => Err(wrong()),
        false => Ok(Zeroizing::new(value.to_owned())),
    }
}
