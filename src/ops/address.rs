//! The database or service that a URL names, without its login and its parameters: two values of
//! one secret name the same.
//!
//! It covers every `scheme://…` but those of the web, whose path may be the secret, and every form
//! of a [connection string](crate::postgres::ConnectionString) of PostgreSQL.

use crate::postgres::ConnectionString;

/// A URL in parts, as every reader of URLs takes it apart.
pub(super) struct Url<'t> {
    pub(super) scheme: &'t str,
    /// Before the last `@`.
    pub(super) login: Option<&'t str>,
    /// The hosts, with their ports.
    pub(super) hosts: &'t str,
    /// What comes after the hosts: a path, a query, a fragment.
    pub(super) rest: &'t str,
}

impl<'t> Url<'t> {
    pub(super) fn split(text: &'t str) -> Option<Self> {
        let (scheme, after) = text.split_once("://")?;
        let plain = scheme.strip_prefix("jdbc:").unwrap_or(scheme);
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        if !plain.starts_with(|char: char| char.is_ascii_alphabetic())
            || !plain.bytes().all(is_part)
        {
            return None;
        }
        let (authority, rest) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        Some(Self { scheme: plain, login, hosts, rest })
    }

    /// The kind of service: the scheme, without a driver, and without the `s` of TLS.
    pub(super) fn kind(&self) -> String {
        let scheme = self.scheme.to_ascii_lowercase();
        let (scheme, _) = scheme.split_once('+').unwrap_or((&scheme, ""));
        match scheme {
            "postgresql" | "postgis" | "pgsql" => "postgres",
            "mysql2" | "mysqlx" | "mariadb" => "mysql",
            "rediss" | "valkey" | "valkeys" => "redis",
            "amqps" => "amqp",
            "https" | "ws" | "wss" => "http",
            "smtps" => "smtp",
            "sqlserver" => "mssql",
            "ldaps" => "ldap",
            "mqtts" => "mqtt",
            scheme => scheme,
        }
        .to_owned()
    }

    pub(super) fn is_of_the_web(&self) -> bool {
        self.kind() == "http"
    }

    /// Each host with its port.
    pub(super) fn each_host(&self) -> impl Iterator<Item = (&'t str, Option<&'t str>)> {
        self.hosts.split(',').map(|part| match part.rsplit_once(':') {
            // Not the colons of an IPv6 address.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (part, None),
        })
    }
}

/// Where a URL leads to.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    kind: String,
    hosts: Vec<String>,
    ports: Vec<String>,
    database: String,
}

impl Address {
    fn from_text(text: &str) -> Option<Self> {
        if let Ok(url) = ConnectionString::parse(text) {
            let host = url.host().unwrap_or("localhost");
            return Some(Self {
                kind: "postgres".to_owned(),
                hosts: vec![if host.starts_with('/') { host.to_owned() } else { plain(host) }],
                ports: vec![url.port().to_string()],
                // The server takes the name of the role too.
                database: url.database().or(url.role()).unwrap_or_default().to_owned(),
            });
        }
        let url = Url::split(text).filter(|url| !url.is_of_the_web())?;
        let kind = url.kind();
        let port = |port: Option<&str>| {
            port.filter(|port| !port.is_empty()).unwrap_or(usual_port(&kind)).to_owned()
        };
        let (path, _) = url.rest.split_at(url.rest.find(['?', '#']).unwrap_or(url.rest.len()));
        let path = path.trim_matches('/');
        let database = match (kind.as_str(), path) {
            // What stands for none is the default.
            ("redis", "0") | ("amqp", "%2F" | "%2f") => "",
            (_, path) => path,
        };
        Some(Self {
            hosts: url.each_host().map(|(host, _)| plain(host)).collect(),
            ports: url.each_host().map(|(_, given)| port(given)).collect(),
            database: database.to_owned(),
            kind,
        })
    }

    /// The parts of `other` that differ.
    fn differs(&self, other: &Self) -> Vec<&'static str> {
        if self.kind != other.kind {
            return vec!["kind of service"];
        }
        let parts = [
            ("host", self.hosts != other.hosts),
            ("port", self.ports != other.ports),
            ("database", self.database != other.database),
        ];
        parts.into_iter().filter_map(|(part, differs)| differs.then_some(part)).collect()
    }
}

/// Names of hosts know no case, and one with a dot at the end is the same.
fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn usual_port(kind: &str) -> &'static str {
    match kind {
        "postgres" => "5432",
        "mysql" => "3306",
        "redis" => "6379",
        "amqp" => "5672",
        "mongodb" => "27017",
        "mssql" => "1433",
        "nats" => "4222",
        _ => "",
    }
}

/// A difference between two values of one secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// Both are URLs, of which these parts differ.
    Parts(Vec<&'static str>),
    /// Only the first is a URL.
    NoUrl,
    /// Only the other one is.
    Url,
}

impl Difference {
    /// As in `names another host than`.
    pub(crate) fn than(&self) -> String {
        match self {
            Self::Parts(parts) => format!("names another {} than", parts.join(" and another ")),
            Self::NoUrl => "is no URL, unlike".to_owned(),
            Self::Url => "is a URL, unlike".to_owned(),
        }
    }
}

/// The difference that keeps `other` from being a value of the same secret as `first`.
pub(crate) fn difference(first: &[u8], other: &[u8]) -> Option<Difference> {
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let (first, other) = (text(first), text(other));
    if [first, other]
        .into_iter()
        .any(|text| Url::split(text).is_some_and(|url| url.is_of_the_web()))
    {
        return None;
    }
    match (Address::from_text(first), Address::from_text(other)) {
        (None, None) => None,
        (Some(_), None) => Some(Difference::NoUrl),
        (None, Some(_)) => Some(Difference::Url),
        (Some(first), Some(other)) => {
            Some(first.differs(&other)).filter(|parts| !parts.is_empty()).map(Difference::Parts)
        }
    }
}

/// Whether `other` is no value of the same secret as `first`.
pub(crate) fn is_apart(first: &[u8], other: &[u8]) -> bool {
    difference(first, other).is_some()
}

/// Returns `true` if both are URLs, and of different hosts or databases.
pub(crate) fn is_elsewhere(one: &str, other: &str) -> bool {
    matches!(difference(one.as_bytes(), other.as_bytes()), Some(Difference::Parts(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differ(first: &str, other: &str) -> Option<Difference> {
        difference(first.as_bytes(), other.as_bytes())
    }

    #[test]
    fn values_of_one_secret_name_one_database() {
        let parts = |parts: &[&'static str]| Some(Difference::Parts(parts.to_vec()));
        for (first, other, expected) in [
            ("postgres://a:x@db/app", "postgresql://b:y@DB:5432/app?sslmode=require", None),
            ("postgres://a:x@db/app", "postgresql+asyncpg://b:y@db./app", None),
            ("postgres://a:x@db/app", "host=db user=b password=y dbname=app", None),
            ("postgres://a:x@db/app", "postgres://a:x@backup/app", parts(&["host"])),
            (
                "postgres://a:x@db/app",
                "postgres://a:x@b:6432/c",
                parts(&["host", "port", "database"]),
            ),
            ("postgres://a:x@db", "postgres://b:x@db", parts(&["database"])),
            (
                "postgres://a:x@db/app?unknown=1",
                "postgres://b:y@db/other?unknown=1",
                parts(&["database"]),
            ),
            ("postgres://a:x@h1,h2/app", "postgres://b:y@h1,h2/app", None),
            ("postgres://a:x@db/app", "mysql://a:x@db/app", parts(&["kind of service"])),
            ("postgres://a:x@db/app", "s3://bucket/backups", parts(&["kind of service"])),
            ("postgres://a:x@db/app", "/var/backups/app", Some(Difference::NoUrl)),
            ("hunter2-and-more", "postgres://a:x@db/app", Some(Difference::Url)),
            ("redis://:x@r:6379/0", "rediss://u:y@R", None),
            ("redis://:x@r/0", "redis://:y@r/1", parts(&["database"])),
            ("amqp://a:x@mq/%2F", "amqps://b:y@mq:5672", None),
            ("amqp://a:x@mq/one", "amqp://b:y@mq/two", parts(&["database"])),
            ("mysql://a:x@db/app", "mysql+pymysql://b:y@db:3306/app?charset=utf8", None),
            ("mongodb+srv://a:x@c.net/app", "mongodb+srv://b:y@d.net/app", parts(&["host"])),
            ("mongodb://a:x@h1:1,h2:2/app", "mongodb://a:y@h1:1,h2:3/app", parts(&["port"])),
            ("smtp://a:x@mail:587", "smtp://b:y@mail:587", None),
            // The path of a webhook is its secret, and its host may change.
            (
                "https://hooks.slack.com/services/T/B/x",
                "https://hooks.slack.com/services/T/B/y",
                None,
            ),
            ("https://key@o1.ingest.sentry.io/1", "https://other@o2.ingest.sentry.io/2", None),
            ("a-password://of-an-odd-form", "another-password", Some(Difference::NoUrl)),
            ("q8WzRk-T4nZ8yB1cF6gJ0", "x2Zq9Ml5Ki-Nf0Vg6Jc3D", None),
            ("redis://:x@[::1]:6379", "redis://:y@[::1]", None),
        ] {
            assert_eq!(differ(first, other), expected, "{first} {other}");
        }
    }

    #[test]
    fn urls_of_other_hosts_and_databases_differ() {
        let first = "postgres://app:x@db/app";
        for same in ["postgres://other:y@DB:5432/app?sslmode=require", "postgresql://a:p%40@db/app"]
        {
            assert!(!is_elsewhere(first, same), "{same}");
        }
        for other in [
            "postgres://app:x@backup/app",
            "postgres://app:x@db/backup",
            "postgres://app:x@db:6432/app",
        ] {
            assert!(is_elsewhere(first, other), "{other}");
        }
        assert!(!is_elsewhere("no-url", first));
    }
}
