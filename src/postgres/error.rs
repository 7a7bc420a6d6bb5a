//! Reasons why a connection string is refused.

use std::path::PathBuf;

/// Reason why a connection string is refused. It holds no value of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionStringError {
    /// It has none of the forms.
    #[error(
        "it is no connection string of PostgreSQL: write it as postgres://role:password@host:5432/database"
    )]
    Form,
    /// It is JSON, and not the secret of a PostgreSQL database.
    #[error(
        "it is JSON, and not the secret of a PostgreSQL database: it needs `host`, `username` and `password`"
    )]
    Json,
    /// It is the URL of something else.
    #[error(
        "it is the URL of another kind of server (`{scheme}`): PostgreSQL has postgres:// or postgresql://"
    )]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// It names several hosts.
    #[error(
        "it names several hosts: name the one that takes writes, or one address that leads to it"
    )]
    SeveralHosts,
    /// A part of it has a character that must be written as an escape, or an escape that is none.
    #[error(
        "its {part} has a character that must be percent-encoded: write `#` as %23, `/` as %2F, `?` as %3F, `@` as %40 and `%` as %25"
    )]
    Escape {
        /// Which part.
        part: &'static str,
    },
    /// Its port is no number from 1 to 65535.
    #[error(
        "its port is no number from 1 to 65535; if that is part of the password, write `/` as %2F, `?` as %3F and `#` as %23"
    )]
    Port,
    /// A parameter is not known, or cannot be honoured.
    #[error("its parameter `{name}` {problem}")]
    Parameter {
        /// The name of the parameter; `?` if the name is not a plain word.
        name: String,
        /// The problem, with the remedy.
        problem: &'static str,
    },
    /// A parameter is there twice, with different values.
    #[error("its parameter `{name}` is there twice, with different values: remove one")]
    Twice {
        /// The name of the parameter.
        name: String,
    },
    /// It needs a feature of this crate that is off.
    #[error(
        "its `sslmode` needs TLS, and this program was built without it: turn on the feature `tls` of dualkey"
    )]
    NoTls,
    /// A file that it names cannot be used.
    #[error("the file of its parameter `{name}` cannot be used: {path}: {problem}")]
    File {
        /// The name of the parameter.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
}

impl ConnectionStringError {
    /// The error for the parameter `name`, which is shown if it is a plain word.
    pub(super) fn parameter(name: &str, problem: &'static str) -> Self {
        Self::Parameter { name: shown_name(name), problem }
    }

    pub(super) fn twice(name: &str) -> Self {
        Self::Twice { name: shown_name(name) }
    }
}

/// A name as an error may show it: one that is no plain word may be part of a secret. Passwords
/// have digits, and no parameter has.
fn shown_name(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphabetic() || b"_-.[]".contains(&byte);
    let begins = name.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let is_shown = begins && name.len() <= 40 && name.bytes().all(is_plain);
    if is_shown { name.to_owned() } else { "?".to_owned() }
}
