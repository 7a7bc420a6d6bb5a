//! The form of a new value: where a secret is a URL, what is none is refused before it is staged.

use super::secret::{Form, SecretSpec};
use crate::ops::address::Url;
use crate::postgres::{ConnectionString, ConnectionStringError};
use crate::purpose::Purpose;

const ESCAPES: &str = "its password has a character that ends it: write `#` as %23, `/` as %2F, `?` as \
                       %3F, `@` as %40, `[` as %5B, `]` as %5D and `%` as %25";

/// Whether the values of `item` are URLs: because the inventory says so, by its name, or because
/// the one in use is one.
fn is_url_expected(item: &SecretSpec, in_use: Option<&str>) -> bool {
    match item.form {
        Some(form) => form == Form::Url,
        None => {
            item.purpose == Purpose::Credential
                && (is_url_name(&item.name) || in_use.is_some_and(is_url))
        }
    }
}

fn is_url_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_it = |ending: &str| {
        name.strip_suffix(ending).is_some_and(|start| start.is_empty() || start.ends_with('_'))
    };
    ["URL", "URI", "DSN"].into_iter().any(is_it)
}

fn is_url(text: &str) -> bool {
    Url::split(text).is_some() || is_of_postgres(text)
}

/// Key-value pairs as libpq takes them, which name a place.
fn is_of_postgres(text: &str) -> bool {
    ConnectionString::parse(text).is_ok_and(|url| url.host().is_some() || url.database().is_some())
        && !text.starts_with('{')
}

/// What keeps `value` from being a value of `item`, of which `in_use` is the one in use. It holds
/// nothing of either.
pub(crate) fn problem(item: &SecretSpec, value: &[u8], in_use: Option<&[u8]>) -> Option<String> {
    let in_use = in_use.and_then(|value| std::str::from_utf8(value).ok());
    if !is_url_expected(item, in_use) {
        return None;
    }
    let Ok(text) = std::str::from_utf8(value) else { return Some("it is not UTF-8".to_owned()) };
    let is_other_dsn = item.form.is_none()
        && item.name.to_ascii_uppercase().ends_with("DSN")
        && !in_use.is_some_and(is_url)
        && is_dsn(text);
    if is_other_dsn || (is_of_postgres(text) && Url::split(text).is_none()) {
        return None;
    }
    let scheme = in_use.and_then(Url::split).map_or("postgres", |url| url.scheme);
    let example = format!("{scheme}://user:password@host:port/name");
    if text.starts_with(['{', '[']) {
        return Some(format!("it is JSON, as of a secret manager, and no URL: write {example}"));
    }
    if text.starts_with(['"', '\'', '`']) {
        return Some("it has quotes around it: remove them".to_owned());
    }
    if text.chars().any(|char| char.is_whitespace() || char.is_control()) {
        return Some(format!(
            "it has white space in it, and is no URL: write {example}, with a blank as %20"
        ));
    }
    let assigned = text
        .split_once('=')
        .filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    if assigned.is_some_and(|(_, value)| Url::split(value).is_some()) {
        return Some("it begins with the name of a variable: pass the value alone".to_owned());
    }
    let Some(url) = Url::split(text) else {
        return Some(format!("it has no scheme, and is no URL: write {example}"));
    };
    if has_open_character(&url) {
        return Some(ESCAPES.to_owned());
    }
    if url.hosts.is_empty() && !matches!(url.kind().as_str(), "postgres" | "sqlite" | "file") {
        return Some(format!("it names no host: write {example}"));
    }
    match (url.kind().as_str(), ConnectionString::parse(text)) {
        // What a parameter means is for the application to say.
        (
            "postgres",
            Err(
                error @ (ConnectionStringError::Form
                | ConnectionStringError::Escape { .. }
                | ConnectionStringError::Port),
            ),
        ) => Some(error.to_string()),
        _ => None,
    }
}

/// Whether a character in the login, which must be an escape there, makes readers disagree on where
/// it ends.
fn has_open_character(url: &Url<'_>) -> bool {
    let is_odd = |login: &str| login.contains(['@', '[', ']']) || has_open_percent(login);
    if url.login.is_some_and(is_odd) {
        return true;
    }
    // A later `@` belongs to a password that a `#`, `/` or `?` has ended, unless what comes before
    // is a host.
    let Some(at) = url.rest.find('@').filter(|_| url.login.is_none()) else { return false };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_place = url.each_host().all(|(host, port)| !host.is_empty() && port.is_none_or(is_port));
    let before = &url.rest[..at];
    let is_parameter = before.find('?').is_some_and(|mark| before[mark..].contains('='));
    let is_web = url.is_of_the_web();
    let has_port = url.each_host().any(|(_, port)| port.is_some());
    if is_place {
        return has_port && !is_parameter && !is_web;
    }
    // A file has no host.
    !url.hosts.is_empty()
}

/// Whether there is a `%` that no two hexadecimal digits follow.
fn has_open_percent(text: &str) -> bool {
    text.split('%').skip(1).any(|rest| {
        let digits = rest.as_bytes().get(..2);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// What drivers call a DSN, and is no URL: `user:password@tcp(host:3306)/name`, `key=value;…`.
fn is_dsn(text: &str) -> bool {
    let has_pairs = text.split(';').filter(|pair| pair.contains('=')).count() > 1;
    text.contains("@tcp(") || text.contains("@unix(") || has_pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::inventory::Inventory;

    fn problem_of(name: &str, value: &str, in_use: Option<&str>) -> Option<String> {
        let inventory = Inventory::parse(Inventory::TEMPLATE, "dualkey.toml").unwrap();
        let mut item = inventory.secret("DATABASE_URL").unwrap().clone();
        name.clone_into(&mut item.name);
        problem(&item, value.as_bytes(), in_use.map(str::as_bytes))
    }

    #[test]
    fn what_is_no_url_is_refused_where_one_is_expected() {
        for (value, says) in [
            ("postgres://app:p#ss@db/app", "%23"),
            ("postgres://app:p/ss@db/app", "%2F"),
            ("postgres://app:p?ss@db/app", "%3F"),
            ("postgres://app:p@ss@db/app", "%40"),
            ("postgres://app:50%off@db/app", "%25"),
            ("postgres://app:12/34@db/app", "%2F"),
            ("postgres://app:[YOUR-PASSWORD]@db/app", "%5B"),
            ("redis://:p#ss@cache:6379", "%23"),
            ("mysql://app:a/b@db:3306/app", "%2F"),
            ("amqp://app:a#b@mq", "%23"),
            (r#"{"username":"app","password":"x","host":"db"}"#, "JSON"),
            (r#"["postgres://app:x@db/app"]"#, "JSON"),
            ("\"postgres://app:x@db/app\"", "quotes"),
            ("DATABASE_URL=postgres://app:x@db/app", "name of a variable"),
            ("postgres://app:x@db/app postgres://b", "white space"),
            ("hunter2-hunter2-hunter2", "no scheme"),
            ("app:x@db/app", "no scheme"),
            ("db.example.com:5432/app", "no scheme"),
            ("postgres:/app:x@db/app", "no scheme"),
            ("postgres://app:x@db:99999999/app", "port"),
            ("redis://", "no host"),
        ] {
            let found = problem_of("DATABASE_URL", value, None).unwrap_or_default();
            assert!(found.contains(says) && !found.contains("hunter2"), "{value}: {found}");
            let found =
                problem_of("DB", value, Some("postgres://app:old@db/app")).unwrap_or_default();
            assert!(!found.is_empty(), "{value}");
            // A password of another name may be any text.
            assert_eq!(problem_of("DB_PASSWORD", value, Some("old")), None);
        }
    }

    #[test]
    fn urls_of_every_kind_pass() {
        for (name, value) in [
            ("DATABASE_URL", "postgres://app:p%23ss@db/app"),
            ("DATABASE_URL", "postgresql://app:a:b%25@db:5432/app?schema=x&unknown=y&o=a@b"),
            ("DATABASE_URL", "postgresql+asyncpg://app:x@db/app"),
            ("DATABASE_URL", "jdbc:postgresql://db/app?user=app&password=x"),
            ("DATABASE_URL", "host=db user=app password='p#ss @' dbname=app"),
            ("DATABASE_URL", "postgres:///app?host=/var/run/postgresql"),
            ("DATABASE_URL", "postgres://app:x@h1:5432,h2:5432/app"),
            ("DATABASE_URL", "sqlite:///var/lib/a@b.db"),
            ("MONGO_URI", "mongodb+srv://app:x@cluster.example.net/app?retryWrites=true"),
            ("REDIS_URL", "rediss://default:x@cache:6380/0"),
            ("REDIS_URL", "redis://cache:6379"),
            ("AMQP_URL", "amqps://app:x@mq/vhost"),
            ("SENTRY_DSN", "https://0f0f0f@o1.ingest.sentry.io/42"),
            ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/xyz"),
            ("HOOK_URL", "https://example.com:8443/@scope/x"),
            ("MYSQL_DSN", "app:p#ss@tcp(db:3306)/app?parseTime=true"),
            ("ODBC_DSN", "Driver=PostgreSQL;Server=db;Uid=app;Pwd=x"),
            ("SMTP_URL", "smtps://user%40example.com:x@mail:465"),
        ] {
            assert_eq!(problem_of(name, value, None), None, "{name} {value}");
        }
    }
}
