//! The forms of a connection string, told apart.

use super::parameters::Dialect;
use super::settings::is_blank;
use super::{ConnectionString, ConnectionStringError, json, keywords, uri};

pub(super) fn parse(text: &str) -> Result<ConnectionString, ConnectionStringError> {
    // Only blanks of ASCII: a password may end with another.
    let text = text.trim_matches(is_blank);
    if text.starts_with('{') {
        return json::parse(text);
    }
    if let Some(rest) = after_scheme(text, "jdbc") {
        let rest = after_scheme(rest, "postgresql").ok_or_else(|| other_scheme(rest))?;
        // Without `//` there is a database alone.
        return match rest.strip_prefix("//") {
            Some(rest) => uri::parse(rest, Dialect::Jdbc),
            None => uri::parse(&format!("/{}", rest.trim_start_matches('/')), Dialect::Jdbc),
        };
    }
    if let Some(rest) = after_scheme(text, "socket") {
        return uri::socket(rest);
    }
    if let Some((scheme, rest)) = text.split_once("://").filter(|(own, _)| is_scheme(own)) {
        return match dialect(scheme) {
            Some(dialect) => uri::parse(rest, dialect),
            None => Err(other_scheme(scheme)),
        };
    }
    match text.contains('=') && !is_ado(text) {
        true => keywords::parse(text),
        false => Err(ConnectionStringError::Form),
    }
}

/// What follows `scheme:`, whatever the case of the scheme.
fn after_scheme<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
    let (own, rest) = text.split_once(':')?;
    own.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The rules of a URL with this scheme, if it is one of PostgreSQL.
fn dialect(scheme: &str) -> Option<Dialect> {
    let scheme = scheme.to_ascii_lowercase();
    match scheme.split_once('+') {
        // SQLAlchemy names its driver after a plus.
        Some(("postgres" | "postgresql", _)) => Some(Dialect::SqlAlchemy),
        Some(_) => None,
        // The last two are of Django and Rails, and of Laravel.
        None => matches!(scheme.as_str(), "postgres" | "postgresql" | "postgis" | "pgsql")
            .then_some(Dialect::Url),
    }
}

/// Returns whether a text is a list of `Name=value;`, as .NET writes it.
fn is_ado(text: &str) -> bool {
    let is_word = |own: char| own.is_ascii_alphabetic() || own == ' ';
    let mut parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    let is_named =
        |part: &str| part.split_once('=').is_some_and(|(own, _)| own.chars().all(is_word));
    text.contains(';')
        && text.starts_with(|own: char| own.is_ascii_uppercase())
        && parts.all(is_named)
}

fn is_scheme(text: &str) -> bool {
    let is_own = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|own: char| own.is_ascii_alphabetic()) && text.bytes().all(is_own)
}

pub(super) fn other_scheme(text: &str) -> ConnectionStringError {
    let scheme = text.split(':').next().unwrap_or_default();
    match is_scheme(scheme) && scheme.len() <= 40 {
        true => ConnectionStringError::Scheme { scheme: scheme.to_owned() },
        false => ConnectionStringError::Form,
    }
}
