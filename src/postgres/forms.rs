//! The forms of a connection string, told apart.

use super::connection_string::ConnectionString;
use super::error::ConnectionStringError;
use super::scheme::{Dialect, find_dialect, is_scheme, other_scheme};
use super::settings::is_blank;
use super::{json, keywords, uri};

impl ConnectionString {
    /// Reads a connection string in any of the forms above.
    ///
    /// # Errors
    /// A [`ConnectionStringError`], which holds no value of the text.
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        parse(text)
    }
}

fn parse(text: &str) -> Result<ConnectionString, ConnectionStringError> {
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
    if let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        return match find_dialect(scheme) {
            Some(dialect) => uri::parse(rest, dialect),
            None => Err(other_scheme(scheme)),
        };
    }
    if text.contains('=') && !is_ado(text) {
        return keywords::parse(text);
    }
    Err(ConnectionStringError::Form)
}

/// What follows `scheme:`, whatever the case of the scheme.
fn after_scheme<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
    let (found, rest) = text.split_once(':')?;
    found.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Returns whether a text is a list of `Name=value;`, as .NET writes it.
fn is_ado(text: &str) -> bool {
    let is_word = |letter: char| letter.is_ascii_alphabetic() || letter == ' ';
    let mut parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    let is_named =
        |part: &str| part.split_once('=').is_some_and(|(name, _)| name.chars().all(is_word));
    text.contains(';')
        && text.starts_with(|letter: char| letter.is_ascii_uppercase())
        && parts.all(is_named)
}
