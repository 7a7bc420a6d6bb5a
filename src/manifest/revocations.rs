//! The revocations of a document that cannot be used otherwise.

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::bounds::FORMAT;
use super::document::Manifest;
use super::members::Members;
use crate::kid::Kid;

/// The keys that a stored document revokes, whatever else is wrong with it: it is of another
/// version, or no key that can sign is left. They are applied all the same (V8).
///
/// It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocations {
    /// Each ring that it names: of one that names several, all are meant.
    rings: Vec<String>,
    environments: Vec<String>,
    pub(crate) keys: Vec<(Kid, String)>,
}

#[derive(Deserialize)]
struct RevocationFields {
    reason: String,
}

impl Revocations {
    pub(crate) fn new(manifest: &Manifest, keys: Vec<(Kid, String)>) -> Self {
        let (ring, environment) = (manifest.ring().to_owned(), manifest.environment().to_owned());
        Self { rings: vec![ring], environments: vec![environment], keys }
    }

    /// Reads what `text` revokes; `None`, if it is no document, or revokes nothing.
    ///
    /// It reads more than a manifest may be: with a byte order mark, with a zero byte at the end, and
    /// with bytes that are not UTF-8.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        // It may hold secrets.
        let text = Zeroizing::new(String::from_utf8_lossy(text).into_owned());
        let text = text.trim_start_matches('\u{feff}');
        let text = text.trim_end_matches(|last: char| last == '\0' || last.is_whitespace());
        let document = Members::read(text);
        if !document.values_of("format").filter_map(read_text).any(|format| format == FORMAT) {
            return None;
        }
        let rings = document.values_of("ring").filter_map(read_text).collect();
        let environments = document.values_of("environment").filter_map(read_text).collect();
        let keys = document.values_of("keys").filter_map(|keys| {
            let keys: Vec<&RawValue> = serde_json::from_str(keys).ok()?;
            Some(keys.into_iter().flat_map(|key| read_key(key.get())).collect::<Vec<_>>())
        });
        let keys: Vec<_> = keys.flatten().collect();
        (!keys.is_empty()).then_some(Self { rings, environments, keys })
    }

    /// Returns `true` if `text` says that it is a manifest, of whatever version.
    pub(crate) fn is_manifest(text: &[u8]) -> bool {
        let text = std::str::from_utf8(text).unwrap_or_default();
        let is_format = |format: String| format == FORMAT;
        Members::read(text).values_of("format").filter_map(read_text).any(is_format)
    }

    /// Returns `true` if they are of this ring in this environment.
    pub(crate) fn is_of(&self, ring: &str, environment: &str) -> bool {
        self.rings.iter().any(|name| name == ring)
            && self.environments.iter().any(|name| name == environment)
    }

    /// The kids of the revoked keys.
    pub fn kids(&self) -> impl Iterator<Item = Kid> {
        self.keys.iter().map(|(kid, _)| *kid)
    }
}

fn read_text(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// Reads the kid of a key that is revoked, with the reason. A member `revoked` revokes the key, whatever
/// it holds, and also if it is there twice; so does one beside several kids.
fn read_key(text: &str) -> Vec<(Kid, String)> {
    let key = Members::read(text);
    let mut reasons = key.values_of("revoked").map(|revoked| {
        serde_json::from_str::<RevocationFields>(revoked)
            .map_or_else(|_| UNREAD.to_owned(), |it| it.reason)
    });
    let Some(reason) = reasons.next() else { return Vec::new() };
    let kids = key.values_of("kid").filter_map(read_text);
    kids.filter_map(|kid| Some((Kid::new(&kid).ok()?, reason.clone()))).collect()
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
                {"kid": "d"}, {"revoked": true}, 5,
                {"kid": "e", "revoked": {"at": 1, "reason": "twice"}, "revoked": null}],
                "keys": [{"kid": "f", "k\u0069d": "g", "revoked": 0}]}"#;
        let read = Revocations::read(text.as_bytes()).unwrap();
        assert!(read.is_of("R", "e") && !read.is_of("R", "f") && !read.is_of("S", "e"));
        let keys: Vec<_> =
            read.keys.iter().map(|(kid, why)| (kid.as_str(), why.as_str())).collect();
        assert_eq!(
            keys,
            [
                ("a", "leaked"),
                ("b", UNREAD),
                ("c", UNREAD),
                ("e", "twice"),
                ("f", UNREAD),
                ("g", UNREAD),
            ]
        );

        for (before, after) in [("\u{feff}", ""), ("", "\0"), ("", " ")] {
            let text = format!("{before}{text}{after}");
            assert_eq!(Revocations::read(text.as_bytes()).as_ref(), Some(&read));
        }
        let odd = [
            &br#"{"\ud800": 1, "format": "dualkey manifest", "ring": "Q", "ring": "R", "environment": "e",
                "keys": [{"kid": "a", "\udfff": 2, "revoked": {"reason": ""#[..],
            b"\xff\"}}]}",
        ];
        let odd = Revocations::read(&odd.concat()).unwrap();
        assert!(odd.is_of("R", "e") && odd.is_of("Q", "e"));
        assert_eq!(odd.kids().map(|kid| kid.to_string()).collect::<Vec<_>>(), ["a"]);

        for other in
            ["", "{", "[]", r#"{"format": "other", "ring": "R", "environment": "e", "keys": []}"#]
        {
            assert_eq!(Revocations::read(other.as_bytes()), None, "{other}");
        }
    }
}
