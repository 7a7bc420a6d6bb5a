//! Remedies for what a pooler refuses.

use std::error::Error;

/// An error of the database client, with its remedy.
#[derive(Debug, thiserror::Error)]
#[error("{source}; {remedy}")]
struct Explained {
    source: sqlx::Error,
    remedy: String,
}

/// Adds the setting to change, if `error` is a refusal of a pooler that has one.
pub(crate) fn explain(error: sqlx::Error) -> Box<dyn Error + Send + Sync> {
    match remedy(&error) {
        Some(remedy) => Box::new(Explained { source: error, remedy }),
        None => Box::new(error),
    }
}

fn remedy(error: &sqlx::Error) -> Option<String> {
    let refusal = error.as_database_error()?;
    match refusal.code()?.as_ref() {
        // protocol_violation, by which PgBouncer refuses whatever it refuses; feature_not_supported.
        "08P01" | "0A000" => remedy_for_refusal(&refusal.message().to_lowercase()),
        // invalid_sql_statement_name, duplicate_prepared_statement.
        "26000" | "42P05" => Some(
            "a pooler in transaction mode does not keep prepared statements: set \
             `statement_cache_capacity(0)`, or use a URL that leads past the pooler"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The remedy for a refusal with these words, in lower case.
fn remedy_for_refusal(message: &str) -> Option<String> {
    const STARTUP: &str = "unsupported startup parameter";
    if let Some((_, parameter)) = message.split_once(STARTUP) {
        return Some(match parameter.trim_start_matches([':', ' ']) {
            "extra_float_digits" => {
                "set `PgConnectOptions::extra_float_digits(None)`, or add it to \
                                     `ignore_startup_parameters` of the pooler"
                    .to_owned()
            }
            _ => {
                "remove it from the URL and set it with `ALTER ROLE … SET` on the server, or use a \
                  URL that leads past the pooler"
                    .to_owned()
            }
        });
    }
    let is_statement_mode = message.contains("statement pooling");
    is_statement_mode.then(|| "set `pool_mode = transaction` in the pooler".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_a_pooler_has_its_remedy() {
        for (message, expected) in [
            ("unsupported startup parameter: extra_float_digits", Some("extra_float_digits(None)")),
            ("unsupported startup parameter: options", Some("ALTER ROLE")),
            ("unsupported startup parameter in options: search_path", Some("ALTER ROLE")),
            ("transaction blocks not allowed in statement pooling mode", Some("pool_mode")),
            ("no such database: app", None),
        ] {
            let found = remedy_for_refusal(message);
            let is_so =
                found.as_deref().map(|remedy| expected.is_some_and(|part| remedy.contains(part)));
            assert_eq!(is_so, expected.map(|_| true), "{message}: {found:?}");
        }
        let none = explain(sqlx::Error::PoolTimedOut);
        assert_eq!(none.to_string(), sqlx::Error::PoolTimedOut.to_string());
    }
}
