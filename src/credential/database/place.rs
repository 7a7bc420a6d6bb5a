//! The database that a URL names, without the role and the password.

use sqlx::postgres::PgConnectOptions;

/// A host, a port and a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    host: String,
    port: u16,
    database: String,
}

impl Place {
    pub(super) fn from_options(options: &PgConnectOptions) -> Self {
        let socket = options.get_socket().map(|path| path.display().to_string());
        // Names of hosts know no case, and one with a dot at the end is the same.
        let host = || options.get_host().trim_end_matches('.').to_ascii_lowercase();
        Self {
            host: socket.unwrap_or_else(host),
            port: options.get_port(),
            // The server takes the name of the role too.
            database: options.get_database().unwrap_or(options.get_username()).to_owned(),
        }
    }

    /// The parts of `other` that differ from these.
    pub(super) fn differs(&self, other: &Self) -> Vec<&'static str> {
        let parts = [
            ("host", self.host != other.host),
            ("port", self.port != other.port),
            ("database", self.database != other.database),
        ];
        parts.into_iter().filter_map(|(part, differs)| differs.then_some(part)).collect()
    }
}

/// The database that all URLs of a ring must name, and the key that names it.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) place: Place,
    pub(super) label: String,
}
