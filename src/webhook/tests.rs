use proptest::prelude::*;

use super::*;
use crate::secret::Secret;

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn hook() -> MetaWebhook {
    MetaWebhook::new(KeyRing::builder().primary(Secret::from(SECRET)).build().unwrap())
}

fn header(body: &[u8]) -> String {
    let tag = HmacSha256::new(SECRET.as_bytes()).mac(body);
    tag.iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// The escaped form, the plain way.
fn escaped(text: &str) -> String {
    text.encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(ascii) if ascii.is_ascii() => char::from(ascii).to_string(),
            _ => format!("\\u{unit:04x}"),
        })
        .collect()
}

/// From Meta's documentation: `äöå` is signed as `\u00e4\u00f6\u00e5`.
#[test]
fn the_escaped_form_is_the_documented_one() {
    assert_eq!(escaped("äöå 🦀"), "\\u00e4\\u00f6\\u00e5 \\ud83e\\udd80");
    let (sent, arrived) = (escaped("{\"x\":\"äöå 🦀\"}"), "{\"x\":\"äöå 🦀\"}");
    assert!(hook().verify([header(sent.as_bytes())], arrived.as_bytes()).is_err());
    let hook = hook().accept_unescaped();
    assert!(hook.verify([header(sent.as_bytes())], arrived.as_bytes()).is_ok());
    // The raw form goes on being accepted.
    assert!(hook.verify([header(arrived.as_bytes())], arrived.as_bytes()).is_ok());
    assert!(hook.verify([header(sent.as_bytes())], sent.as_bytes()).is_ok());
}

#[test]
fn a_body_that_is_not_text_has_no_escaped_form() {
    let hook = hook().accept_unescaped();
    for body in [&b"\xff"[..], b"a\xc3", b"\xc3(", b"\xed\xa0\x80", b"\xf0\x9f\xa6"] {
        assert!(hook.verify([header(body)], body).is_ok());
        let lossy = String::from_utf8_lossy(body);
        let sent = escaped(&lossy);
        assert!(hook.verify([header(sent.as_bytes())], body).is_err(), "{body:?}");
    }
}

/// What is left of a character at the end of a body is not cut off and forgotten.
#[test]
fn a_body_with_half_a_character_at_its_end_is_not_the_body_without() {
    let hook = hook().accept_unescaped();
    let header = header(escaped("é").as_bytes());
    assert!(hook.verify([&header], "é".as_bytes()).is_ok());
    for tail in [&b"\xc3"[..], b"\xf0\x9f\xa6", b"\xff", b"\xc3("] {
        let body = ["é".as_bytes(), tail].concat();
        assert!(hook.verify([&header], &body).is_err(), "{tail:?}");
    }
}

proptest! {
    #[test]
    fn bodies_verify_whole_and_in_chunks_in_both_forms(
        text in any::<String>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let body = text.as_bytes();
        let hook = hook().accept_unescaped();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        for header in [header(body), header(escaped(&text).as_bytes())] {
            prop_assert!(hook.verify([&header], body).is_ok());
            // Chunks end in the middle of characters.
            let mut delivery = hook.start([&header]).unwrap();
            for chunk in cuts.windows(2) {
                delivery.update(&body[chunk[0]..chunk[1]]);
            }
            prop_assert!(delivery.finish().is_ok());
        }
    }

    #[test]
    fn never_true_for_another_body(body in any::<Vec<u8>>(), other in any::<Vec<u8>>()) {
        prop_assume!(body != other);
        prop_assert!(hook().verify([header(&body)], &other).is_err());
        if let (Ok(body), Ok(other)) = (std::str::from_utf8(&body), std::str::from_utf8(&other)) {
            prop_assume!(escaped(other) != body);
            let hook = hook().accept_unescaped();
            prop_assert!(hook.verify([header(body.as_bytes())], other.as_bytes()).is_err());
        }
    }
}
