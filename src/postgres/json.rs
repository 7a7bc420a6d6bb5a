//! The secret of a database as JSON, as AWS Secrets Manager keeps it.
//!
//! RDS, Aurora and the RDS proxy write
//! `{"engine":"postgres","username":…,"password":…,"host":…,"port":5432,"dbname":…}`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::connection_string::ConnectionString;
use super::draft::Draft;
use super::error::ConnectionStringError;
use super::scheme::{Dialect, other_scheme};
use crate::manifest::json::unescape::unescape;

const ENGINES: [&str; 4] = ["postgres", "postgresql", "aurora-postgresql", "aurora-postgres"];

/// Fields that describe the database, and change nothing of a connection.
const DESCRIPTIONS: [&str; 6] = [
    "dbInstanceIdentifier",
    "dbClusterIdentifier",
    "dbInstanceArn",
    "dbClusterArn",
    "resourceId",
    "masterarn",
];

/// Reads an object: a field is a parameter, with further names for some.
pub(super) fn parse(text: &str) -> Result<ConnectionString, ConnectionStringError> {
    // The words of the parser may hold parts of the text.
    let Ok(Fields(fields)) = serde_json::from_str(text) else {
        return Err(ConnectionStringError::Json);
    };
    let mut draft = Draft::new(Dialect::Keywords);
    let mut missing = vec!["host", "user", "password"];
    for (name, raw) in fields {
        let Some(value) = scalar(raw.get())? else { continue };
        let name = match name.as_str() {
            "username" => "user",
            "hostname" | "endpoint" => "host",
            "database" | "dbName" => "dbname",
            "engine" if ENGINES.contains(&value.as_str()) => continue,
            "engine" => return Err(other_scheme(&value)),
            name if DESCRIPTIONS.contains(&name) => continue,
            name => name,
        };
        missing.retain(|field| *field != name || value.is_empty());
        draft.set(name, &value)?;
    }
    if !missing.is_empty() {
        return Err(ConnectionStringError::Json);
    }
    draft.finish()
}

/// The text of a value, `None` for null.
fn scalar(raw: &str) -> Result<Option<Zeroizing<String>>, ConnectionStringError> {
    match raw.as_bytes().first() {
        Some(b'"') => unescape(raw).map(Some).ok_or(ConnectionStringError::Json),
        Some(b'n') => Ok(None),
        Some(b'{' | b'[') | None => Err(ConnectionStringError::Json),
        Some(_) => Ok(Some(Zeroizing::new(raw.to_owned()))),
    }
}

/// The fields of an object in their order, a repeated one too. Their values are not parsed: the
/// parser would put a password with an escape together in memory that is not wiped.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        input.deserialize_map(Each)
    }
}
