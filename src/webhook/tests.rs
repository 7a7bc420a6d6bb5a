use proptest::prelude::*;

use super::*;
use crate::mac::HmacSha256;
use crate::ring::KeyMaterial;
use crate::ring::KeyRing;
use crate::secret::Secret;

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn hook() -> WebhookVerifier {
    WebhookVerifier::new(KeyRing::builder().primary(Secret::from(SECRET)).build().unwrap())
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

/// The form with the escapes of ASCII too, the plain way. `\/` may be there already.
fn fully_escaped(text: &str) -> String {
    let kept = text.replace("\\\\", "\u{1}").replace("\\/", "\u{2}");
    let full = kept
        .replace('/', "\\/")
        .replace('<', "\\u003C")
        .replace('%', "\\u0025")
        .replace('@', "\\u0040");
    escaped(&full.replace('\u{2}', "\\/").replace('\u{1}', "\\\\"))
}

/// Checks the plain way that every escape of a character beyond ASCII is replaced: such a character
/// stands behind an even number of backslashes, and no escape of one is left.
fn is_unescaped(text: &str) -> bool {
    let units: Vec<char> = text.chars().collect();
    let mut place = 0;
    while let Some(unit) = units.get(place) {
        place += 1;
        if *unit != '\\' {
            continue;
        }
        let Some(next) = units.get(place) else { return true };
        let digits: String = units.iter().skip(place + 1).take(4).collect();
        let is_cut = *next == 'u'
            && digits
                .chars()
                .find(|digit| !digit.is_ascii_hexdigit())
                .is_some_and(|digit| !digit.is_ascii());
        let unit = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
        let second: String = units.iter().skip(place + 5).take(6).collect();
        let is_pair = |first: u32| {
            let second =
                second.strip_prefix("\\u").and_then(|digits| u32::from_str_radix(digits, 16).ok());
            (0xd800..0xdc00).contains(&first)
                && second.is_some_and(|unit| (0xdc00..0xe000).contains(&unit))
        };
        let is_half = |unit: u32| (0xd800..0xe000).contains(&unit) && !is_pair(unit);
        let is_left = *next == 'u' && unit.is_some_and(|unit| unit > 0x7f && !is_half(unit));
        if !next.is_ascii() || is_cut || is_left {
            return false;
        }
        place += 1;
    }
    true
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

/// The signed body and the one that arrives mean the same text, for every parser.
#[test]
fn a_body_that_means_another_text_is_not_the_signed_one() {
    let plain = hook();
    let hook = hook().accept_unescaped();
    for (arrived, is_accepted) in [
        (r#"{"x":"é"}"#, true),
        (r#"{"x":"\u003cé"}"#, true),
        (r#"{"x":"\\é"}"#, true),
        (r#"{"x":"\n\"é\u000a"}"#, true),
        // Signed was the text of a backslash and `u00e9`.
        (r#"{"x":"\é"}"#, false),
        (r#"{"x":"\\\é"}"#, false),
        // Within the digits of an escape.
        (r#"{"x":"\u00é9"}"#, false),
        (r#"{"x":"\ué"}"#, false),
        // Unescaped in part, before and behind.
        (r#"{"x":"\u00e9é"}"#, false),
        (r#"{"x":"é\u00e9"}"#, false),
        (r#"{"x":"é\u0080"}"#, false),
        (r#"{"x":"é\u00E9"}"#, false),
        (r#"{"x":"é\ud83e\udd80"}"#, false),
        (r#"{"x":"\uD83E\uDD80é"}"#, false),
        (r#"{"x":"é\ud83e\ud83e\udd80"}"#, false),
        // Half a pair is no character, so that each writer leaves its escape.
        (r#"{"x":"é\ud83e"}"#, true),
        (r#"{"x":"\udd80é"}"#, true),
        (r#"{"x":"\udd80\ud83eé"}"#, true),
        (r#"{"x":"\ud83eé\udd80"}"#, true),
        (r#"{"x":"\ud83e🦀\udd80"}"#, true),
        (r#"{"x":"\ud83e\n\udd80é"}"#, true),
        (r#"{"x":"\ud83e\/\udd80é"}"#, true),
        (r#"{"x":"\ud83ex\udd80é"}"#, true),
        (r#"{"x":"\ud83e\u0041\udd80é"}"#, true),
        (r#"{"x":"\ud83e\ud83eé"}"#, true),
        // Control characters are escaped in each form.
        (r#"{"x":"é\u0000\u001f\b\f\t"}"#, true),
        (r#"{"x":"é\u001F"}"#, true),
        (r#"{"x":"é\u007f"}"#, true),
        (r#"{"x":"é\\u00e9"}"#, true),
    ] {
        assert_eq!(is_unescaped(arrived), is_accepted, "{arrived}");
        let signed = header(escaped(arrived).as_bytes());
        assert_eq!(hook.verify([&signed], arrived.as_bytes()).is_ok(), is_accepted, "{arrived}");
        // Byte by byte.
        let mut delivery = hook.start([&signed]).unwrap();
        arrived.as_bytes().chunks(1).for_each(|chunk| delivery.update(chunk));
        assert_eq!(delivery.finish().is_ok(), is_accepted, "{arrived}");
        // As it was signed it is verified in any case.
        for hook in [&plain, &hook] {
            assert!(hook.verify([&signed], escaped(arrived).as_bytes()).is_ok());
            let raw = header(arrived.as_bytes());
            assert!(hook.verify([&raw], arrived.as_bytes()).is_ok());
        }
    }
}

/// Meta escapes four characters of ASCII too, and a proxy unescapes them with the others.
#[test]
fn the_full_form_escapes_four_characters_of_ascii() {
    let signed = r#"{"x":"50\u0025 \u003C3 a\/b me\u0040b caf\u00e9 >&'"}"#;
    let arrived = r#"{"x":"50% <3 a/b me@b café >&'"}"#;
    assert_eq!(fully_escaped(arrived), signed);
    let header = header(signed.as_bytes());
    assert!(hook().verify([&header], signed.as_bytes()).is_ok());
    assert!(hook().verify([&header], arrived.as_bytes()).is_err());
    let hook = hook().accept_unescaped();
    assert!(hook.verify([&header], signed.as_bytes()).is_ok());
    assert!(hook.verify([&header], arrived.as_bytes()).is_ok());
}

/// Of a body, its escaped forms: which of them are accepted, whole and byte by byte.
#[test]
fn a_body_has_the_full_form_if_it_means_the_same_text() {
    let hook = hook().accept_unescaped();
    for (arrived, has_full, has_plain) in [
        // Without a character beyond ASCII, the plain form is the raw one.
        (r#"{"x":"a/b"}"#, true, true),
        (r#"{"x":"<"}"#, true, true),
        (r#"{"x":"%"}"#, true, true),
        (r#"{"x":"@"}"#, true, true),
        (r#"{"x":"é/é"}"#, true, true),
        (r#"{"x":"é>&'"}"#, true, true),
        // A writer that escapes `/` and nothing else.
        (r#"{"x":"é\/<"}"#, true, true),
        (r#"{"x":"\\/é"}"#, true, true),
        // Signed was the text of a backslash and what follows.
        (r#"{"x":"\<é"}"#, false, true),
        (r#"{"x":"\%é"}"#, false, true),
        (r#"{"x":"\@é"}"#, false, true),
        (r#"{"x":"\u00/é"}"#, false, true),
        (r#"{"x":"\u003<é"}"#, false, true),
        (r#"{"x":"/é\u001f\ud83e"}"#, true, true),
        (r#"{"x":"/é\ud83e\udd80"}"#, false, false),
        (r#"{"x":"\ud83e/\udd80é"}"#, true, true),
        (r#"{"x":"\ud83e\/\udd80é"}"#, true, true),
        (r#"{"x":"/\é"}"#, false, false),
        (r#"{"x":"/\u00é"}"#, false, false),
        // Unescaped in part.
        (r#"{"x":"</é\u003C"}"#, false, true),
        (r#"{"x":"\u003cé/"}"#, false, true),
        (r#"{"x":"é%\u0025"}"#, false, true),
        (r#"{"x":"é@\u0040"}"#, false, true),
        (r#"{"x":"é/\u002F"}"#, false, true),
        (r#"{"x":"/é\u00e9"}"#, false, false),
        (r#"{"x":"/é\u003e\u0026"}"#, true, true),
    ] {
        for (form, is_accepted) in
            [(fully_escaped(arrived), has_full), (escaped(arrived), has_plain)]
        {
            let signed = header(form.as_bytes());
            let verdict = hook.verify([&signed], arrived.as_bytes());
            assert_eq!(verdict.is_ok(), is_accepted, "{arrived} as {form}");
            let mut delivery = hook.start([&signed]).unwrap();
            arrived.as_bytes().chunks(1).for_each(|chunk| delivery.update(chunk));
            assert_eq!(delivery.finish().is_ok(), is_accepted, "{arrived} as {form}");
        }
        // V7 and no forgery: where it is accepted, both are the same JSON.
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        if has_full {
            assert_eq!(value(&fully_escaped(arrived)), value(arrived), "{arrived}");
        }
        // A form that no writer makes: some of the characters escaped, and others not.
        let other = fully_escaped(arrived).replace("\\/", "/");
        if other != arrived && other != escaped(arrived) && other != fully_escaped(arrived) {
            let signed = header(other.as_bytes());
            assert!(hook.verify([&signed], arrived.as_bytes()).is_err(), "{arrived} as {other}");
        }
    }
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

/// The secrets of a ring, and one beyond.
fn secrets(keys: usize) -> Vec<String> {
    (0..=keys).map(|place| format!("{place}{SECRET}")).collect()
}

fn ring_of<K: KeyMaterial>(secrets: &[String]) -> KeyRing<K> {
    let builder = KeyRing::<K>::builder().primary(Secret::from(secrets[0].as_str()));
    let fallbacks = secrets[1..secrets.len() - 1].iter();
    let add = |builder: crate::ring::RingBuilder<K>, secret: &String| {
        builder.fallback(Secret::from(secret.as_str()))
    };
    fallbacks.fold(builder, add).build().unwrap()
}

/// Deliveries whole and in chunks, in both forms, and tokens of the handshake.
#[test]
fn v5_all_keys_are_tried_wherever_the_match_is() {
    use crate::mac::count::assert_tries_all;
    let signed = |secret: &str, body: &[u8]| {
        let tag = HmacSha256::new(secret.as_bytes()).mac(body);
        tag.iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    };
    for keys in 1..=4 {
        let secrets = secrets(keys);
        let hook = WebhookVerifier::new(ring_of(&secrets)).verify_tokens(ring_of(&secrets));
        let headers: Vec<_> = secrets.iter().map(|secret| signed(secret, b"a body")).collect();
        assert_tries_all(keys, 1, |place| {
            hook.verify([&headers[place.unwrap_or(keys)]], b"a body").is_ok()
        });
        assert_tries_all(keys, 1, |place| {
            let mut delivery = hook.start([&headers[place.unwrap_or(keys)]]).unwrap();
            b"a body".chunks(4).for_each(|chunk| delivery.update(chunk));
            delivery.finish().is_ok()
        });
        assert_tries_all(keys, 1, |place| {
            let token = &secrets[place.unwrap_or(keys)];
            let query = format!("hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}");
            hook.handshake(&query).is_ok()
        });
        let hook = hook.accept_unescaped();
        let body = "é".as_bytes();
        let headers: Vec<_> =
            secrets.iter().map(|secret| signed(secret, escaped("é").as_bytes())).collect();
        assert_tries_all(keys, 2, |place| {
            hook.verify([&headers[place.unwrap_or(keys)]], body).is_ok()
        });
        // Three forms at most, whichever of them was signed.
        let body = "é/<%@";
        for form in [body.to_owned(), escaped(body), fully_escaped(body)] {
            let headers: Vec<_> =
                secrets.iter().map(|secret| signed(secret, form.as_bytes())).collect();
            assert_tries_all(keys, 3, |place| {
                hook.verify([&headers[place.unwrap_or(keys)]], body.as_bytes()).is_ok()
            });
        }
    }
}

proptest! {
    #[test]
    fn bodies_verify_whole_and_in_chunks_in_both_forms(
        text in prop_oneof![any::<String>(), r"([a-f0-9u\\é🦀]|\\u00e9|\\u0041|\\ud83e|\\udd80){0,12}"],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let body = text.as_bytes();
        let hook = hook().accept_unescaped();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let raw = (header(body), true);
        let other = (header(escaped(&text).as_bytes()), is_unescaped(&text));
        for (header, is_accepted) in [raw, other] {
            let is_accepted = is_accepted || text.is_ascii();
            prop_assert_eq!(hook.verify([&header], body).is_ok(), is_accepted);
            // Chunks end in the middle of characters.
            let mut delivery = hook.start([&header]).unwrap();
            for chunk in cuts.windows(2) {
                delivery.update(&body[chunk[0]..chunk[1]]);
            }
            prop_assert_eq!(delivery.finish().is_ok(), is_accepted);
        }
    }

    /// JSON that a proxy has parsed and written again, from the form that Meta signs.
    #[test]
    fn a_body_that_a_proxy_has_written_again_verifies(
        text in prop_oneof![any::<String>(), r"[a-f0-9u\\/<%@>é🦀\x22\n]{0,16}"],
        cut in any::<prop::sample::Index>(),
    ) {
        let arrived = serde_json::json!({ "text": text }).to_string();
        let signed = fully_escaped(&arrived);
        let value: serde_json::Value = serde_json::from_str(&signed).unwrap();
        prop_assert_eq!(&value["text"], &text);
        let header = header(signed.as_bytes());
        let hook = hook().accept_unescaped();
        prop_assert!(hook.verify([&header], arrived.as_bytes()).is_ok());
        let (first, rest) = arrived.as_bytes().split_at(cut.index(arrived.len()));
        let mut delivery = hook.start([&header]).unwrap();
        delivery.update(first);
        delivery.update(rest);
        prop_assert!(delivery.finish().is_ok());
    }

    #[test]
    fn never_true_for_another_body(body in any::<Vec<u8>>(), other in any::<Vec<u8>>()) {
        prop_assume!(body != other);
        prop_assert!(hook().verify([header(&body)], &other).is_err());
        if let (Ok(body), Ok(other)) = (std::str::from_utf8(&body), std::str::from_utf8(&other)) {
            prop_assume!(escaped(other) != body && fully_escaped(other) != body);
            let hook = hook().accept_unescaped();
            prop_assert!(hook.verify([header(body.as_bytes())], other.as_bytes()).is_err());
        }
    }
}
