//! The scheme of a URL, and the dialect that it stands for.

use super::error::ConnectionStringError;

/// The library whose rules a string follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Url,
    SqlAlchemy,
    Jdbc,
    Keywords,
}

/// The rules of a URL with this scheme, if it is one of PostgreSQL.
pub(super) fn find_dialect(scheme: &str) -> Option<Dialect> {
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

pub(super) fn is_scheme(text: &str) -> bool {
    let is_allowed_after_first = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.bytes().all(is_allowed_after_first)
}

/// The error for a text whose scheme is not one of PostgreSQL; the scheme is shown if it is one.
pub(super) fn other_scheme(text: &str) -> ConnectionStringError {
    let scheme = text.split(':').next().unwrap_or_default();
    if is_scheme(scheme) && scheme.len() <= 40 {
        return ConnectionStringError::Scheme { scheme: scheme.to_owned() };
    }
    ConnectionStringError::Form
}
