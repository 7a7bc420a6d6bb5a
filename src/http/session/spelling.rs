//! Names of cookies, and the names that some parser takes for another.
//!
//! Parsers differ: `cookie::Cookie::parse_encoded` percent-decodes names and trims Unicode white
//! space, PHP reads `s.id` and `s+id` as `s_id`, and before 7.4.11 `+sid` as `sid`, others ignore
//! the case or strip quotes. A name that comes out as the session's under any of these rules
//! resembles it.

use percent_encoding::percent_decode;

use crate::cookie::header::is_token;

/// Deeper nesting of `%25` than this counts as a resemblance: no service writes such names.
const MAX_ROUNDS: usize = 8;

/// Returns whether some parser may read `name` as the name `session`.
pub(super) fn is_similar(name: &[u8], session: &str) -> bool {
    let session = fold(&decode(session.as_bytes()).unwrap_or_default());
    let mut name = name.to_vec();
    for _ in 0..MAX_ROUNDS {
        let has_it = name.split(|byte| !is_token(*byte)).any(|part| fold(part) == session);
        if has_it || fold(&name) == session {
            return true;
        }
        let next: Vec<u8> = percent_decode(&name).collect();
        if next == name {
            return false;
        }
        name = next;
    }
    true
}

/// The name without any percent-encoding; `None` if it is nested too deeply.
fn decode(name: &[u8]) -> Option<Vec<u8>> {
    let mut name = name.to_vec();
    for _ in 0..MAX_ROUNDS {
        let next: Vec<u8> = percent_decode(&name).collect();
        if next == name {
            return Some(name);
        }
        name = next;
    }
    None
}

/// Equal for names that differ in the case, in what PHP writes as `_`, or in `+` around them,
/// which a parser of forms reads as blanks.
fn fold(mut name: &[u8]) -> Vec<u8> {
    while let [b'+', rest @ ..] | [rest @ .., b'+'] = name {
        name = rest;
    }
    name.iter()
        .map(|byte| if b".+".contains(byte) { b'_' } else { byte.to_ascii_lowercase() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_a_parser_may_take_for_the_session_resembles_it() {
        for name in [
            "sid",
            "SID",
            "sId",
            "%73id",
            "s%69d",
            "si%64",
            "%73%69%64",
            "%2573id",
            "%252573id",
            "%53ID",
            "sid\u{a0}",
            "\u{3000}sid",
            "\u{85}sid",
            " sid\t",
            "\"sid\"",
            "sid%20",
            "%C2%A0sid",
            "sid%00",
            "a,sid",
            "a sid",
            "sid\u{200b}",
            "%22sid%22",
            "sid[]",
            "(sid)",
            "'sid'",
            "+sid",
            "++SID",
            "sid+",
            "%2bsid",
        ] {
            assert!(is_similar(name.as_bytes(), "sid"), "{name:?}");
        }
        for name in ["s_id", "s.id", "s+id", "S%5Fid", "s%2eid"] {
            assert!(is_similar(name.as_bytes(), "s_id"), "{name:?}");
        }
        assert!(is_similar(b"sid", "%73id") && is_similar(b"a b", "a b"));
        assert!(is_similar(format!("%{}73id", "25".repeat(1000)).as_bytes(), "sid"));
    }

    #[test]
    fn other_names_do_not() {
        for name in [
            "",
            "a",
            "sidx",
            "xsid",
            "x-sid",
            "s_id",
            "sid2",
            "__Host-sid",
            "%73idx",
            "si",
            "%252561",
        ] {
            assert!(!is_similar(name.as_bytes(), "sid"), "{name:?}");
        }
    }
}
