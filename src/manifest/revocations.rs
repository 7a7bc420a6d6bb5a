//! The revocations of a document that cannot be used otherwise.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;

use super::bounds::FORMAT;
use crate::kid::Kid;

/// The keys that a stored document revokes, whatever else is wrong with it: it is of another
/// version, or no key that can sign is left. They are applied all the same (V8).
///
/// It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocations {
    pub(crate) ring: String,
    pub(crate) environment: String,
    pub(crate) keys: Vec<(Kid, String)>,
}

/// What every version of a document holds. Other fields may be anything.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
    ring: String,
    environment: String,
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Key<'a> {
    kid: String,
    #[serde(borrow, default, deserialize_with = "read_present")]
    revoked: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reason {
    reason: String,
}

/// Whatever is there revokes the key, `null` too.
fn read_present<'de: 'a, 'a, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(input).map(Some)
}

impl Revocations {
    /// Reads what `text` revokes; `None`, if it is no document, or revokes nothing.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let document: Document<'_> = serde_json::from_slice(text).ok()?;
        if document.format != FORMAT {
            return None;
        }
        let revoked = |key: &&RawValue| {
            let key: Key<'_> = serde_json::from_str(key.get()).ok()?;
            let reason = serde_json::from_str::<Reason>(key.revoked?.get());
            let reason = reason.map_or_else(|_| UNREAD.to_owned(), |revoked| revoked.reason);
            Some((Kid::new(&key.kid).ok()?, reason))
        };
        let keys: Vec<_> = document.keys.iter().filter_map(revoked).collect();
        let (ring, environment) = (document.ring, document.environment);
        (!keys.is_empty()).then_some(Self { ring, environment, keys })
    }

    /// The kids of the revoked keys.
    pub fn kids(&self) -> impl Iterator<Item = Kid> {
        self.keys.iter().map(|(kid, _)| *kid)
    }
}

/// The reason of a revocation that cannot be read.
pub(super) const UNREAD: &str = "its revocation cannot be read";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocations_are_read_whatever_else_a_document_holds() {
        let text = r#"{"format": "dualkey manifest", "version": 9, "ring": "R", "environment": "e",
            "more": [1], "keys": [
                {"kid": "a", "revoked": {"at": "2026-01-15T10:00:00Z", "reason": "leaked"}},
                {"kid": "b", "revoked": null}, {"kid": "c", "revoked": 7, "new": {}},
                {"kid": "d"}, {"revoked": true}, 5]}"#;
        let read = Revocations::read(text.as_bytes()).unwrap();
        assert_eq!((read.ring.as_str(), read.environment.as_str()), ("R", "e"));
        let keys: Vec<_> =
            read.keys.iter().map(|(kid, why)| (kid.as_str(), why.as_str())).collect();
        assert_eq!(keys, [("a", "leaked"), ("b", UNREAD), ("c", UNREAD)]);

        for other in
            ["", "{", "[]", r#"{"format": "other", "ring": "R", "environment": "e", "keys": []}"#]
        {
            assert_eq!(Revocations::read(other.as_bytes()), None, "{other}");
        }
    }
}
