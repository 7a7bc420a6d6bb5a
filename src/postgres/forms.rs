//! The forms of a connection string, told apart.

use serde_json::Value;

use super::keywords;
use super::parameters::{Dialect, Draft};
use super::uri;
use super::{ConnectionString, ConnectionStringError};

pub(super) fn parse(text: &str) -> Result<ConnectionString, ConnectionStringError> {
    let text = text.trim();
    if text.starts_with('{') {
        return json(text);
    }
    if let Some(rest) = text.strip_prefix("jdbc:") {
        let rest = rest.strip_prefix("postgresql:").ok_or_else(|| other_scheme(rest))?;
        // Without `//` there is a database alone.
        return match rest.strip_prefix("//") {
            Some(rest) => uri::parse(rest, Dialect::Jdbc),
            None => uri::parse(&format!("/{}", rest.trim_start_matches('/')), Dialect::Jdbc),
        };
    }
    if let Some(rest) = text.strip_prefix("socket:") {
        return uri::socket(rest);
    }
    if let Some((scheme, rest)) = text.split_once("://").filter(|(own, _)| is_scheme(own)) {
        // SQLAlchemy names its driver after a plus.
        let base = scheme.split_once('+').map_or(scheme, |(base, _)| base);
        return match base {
            "postgres" | "postgresql" => uri::parse(rest, Dialect::Url),
            _ => Err(other_scheme(scheme)),
        };
    }
    match text.contains('=') {
        true => keywords::parse(text),
        false => Err(ConnectionStringError::Form),
    }
}

fn is_scheme(text: &str) -> bool {
    let is_own = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    text.starts_with(|own: char| own.is_ascii_alphabetic()) && text.bytes().all(is_own)
}

fn other_scheme(text: &str) -> ConnectionStringError {
    let scheme = text.split(':').next().unwrap_or_default();
    match is_scheme(scheme) && scheme.len() <= 40 {
        true => ConnectionStringError::Scheme { scheme: scheme.to_owned() },
        false => ConnectionStringError::Form,
    }
}

/// The secret of a database, as AWS Secrets Manager keeps it.
fn json(text: &str) -> Result<ConnectionString, ConnectionStringError> {
    let Ok(Value::Object(all)) = serde_json::from_str(text) else {
        return Err(ConnectionStringError::Json);
    };
    let member = |names: &[&str]| {
        let found = names.iter().find_map(|name| all.get(*name));
        match found {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(ConnectionStringError::Json),
        }
    };
    if let Some(engine) = member(&["engine"])? {
        match engine.as_str() {
            "postgres" | "postgresql" | "aurora-postgresql" => {}
            _ => return Err(other_scheme(&engine)),
        }
    }
    let mut draft = Draft::new(Dialect::Url);
    let host = member(&["host", "hostname", "endpoint"])?.ok_or(ConnectionStringError::Json)?;
    draft.host(&host)?;
    draft.role(&member(&["username", "user"])?.ok_or(ConnectionStringError::Json)?)?;
    draft.password(&member(&["password"])?.ok_or(ConnectionStringError::Json)?)?;
    if let Some(port) = member(&["port"])? {
        draft.port(&port)?;
    }
    if let Some(database) = member(&["dbname", "database", "dbName"])? {
        draft.database(&database)?;
    }
    if let Some(mode) = member(&["sslmode"])? {
        draft.set("sslmode", &mode)?;
    }
    draft.finish()
}
