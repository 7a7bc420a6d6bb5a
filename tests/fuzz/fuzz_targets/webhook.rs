//! Signature headers and bodies: accepted is one header of the exact form with the MAC of the
//! body, or of its escaped form where that was asked for; whole or in chunks.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use dualkey::webhook::{VerifyToken, WebhookKey, WebhookVerifier};
use dualkey::{KeyRing, Secret};
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

const SECRETS: [&str; 2] = ["0f1e2d3c4b5a69788796a5b4c3d2e1f0", "1222e786b144d0e85b9f365372d93676"];
const TOKEN: &str = "hV3-dashboard-token";

#[derive(Debug, Arbitrary)]
struct Input {
    headers: Vec<Vec<u8>>,
    /// A good signature beside or instead of them: under which key, of which form of the
    /// body, with which character changed.
    signed: Option<(bool, bool, Option<(u8, u8)>)>,
    chunks: Vec<Vec<u8>>,
    query: String,
}

static HOOKS: LazyLock<[WebhookVerifier; 2]> = LazyLock::new(|| {
    let key = Secret::from;
    let ring = KeyRing::<WebhookKey>::builder().primary(key(SECRETS[0])).fallback(key(SECRETS[1]));
    let tokens = KeyRing::<VerifyToken>::builder().primary(key(TOKEN)).build().unwrap();
    let hook = WebhookVerifier::new(ring.build().unwrap()).verify_tokens(tokens);
    [hook.clone(), hook.accept_unescaped()]
});

fn header(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let digits: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// The texts that may be signed in the place of a body: with the escapes of characters beyond ASCII,
/// and with those of four characters of ASCII too, unless the body is unescaped only in part.
fn escape(body: &[u8]) -> Vec<String> {
    let Ok(text) = std::str::from_utf8(body) else { return Vec::new() };
    let (mut full, mut plain) = (String::new(), String::new());
    let (mut has_full, mut has_plain) = (true, true);
    let of_ascii = |c: char| match c {
        '/' => "\\/",
        '<' => "\\u003C",
        '%' => "\\u0025",
        '@' => "\\u0040",
        _ => "",
    };
    // The characters of an escape that the body holds: at most six, as many as there are.
    let mut within = String::new();
    // Right behind the escape of the first half of a pair of surrogates.
    let mut is_within_pair = false;
    for c in text.chars() {
        let is_digit = within.len() > 1 && c.is_ascii_hexdigit();
        let is_within = !within.is_empty();
        let is_kept = within == "\\" && c == '/';
        if !c.is_ascii() {
            has_plain &= !is_within;
            has_full &= !is_within;
            for unit in c.encode_utf16(&mut [0; 2]) {
                full.push_str(&format!("\\u{unit:04x}"));
                plain.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            let escape = if is_kept { "" } else { of_ascii(c) };
            has_full &= escape.is_empty() || !is_within;
            match escape {
                "" => full.push(c),
                escape => full.push_str(escape),
            }
            plain.push(c);
        }
        is_within_pair &= match within.as_str() {
            "" => c == '\\',
            "\\" => c == 'u',
            _ => is_digit,
        };
        within = match (within.as_str(), c) {
            ("", '\\') => "\\".to_owned(),
            ("", _) => String::new(),
            ("\\", 'u') => "\\u".to_owned(),
            ("\\", _) => String::new(),
            (_, c) if is_digit => format!("{within}{c}"),
            (_, '\\') => "\\".to_owned(),
            _ => String::new(),
        };
        if within.len() == 6 {
            let unit = u32::from_str_radix(&within[2..], 16).unwrap();
            // Half a pair has no character, and stays.
            let is_first = (0xd800..0xdc00).contains(&unit);
            let is_half = is_first || ((0xdc00..0xe000).contains(&unit) && !is_within_pair);
            is_within_pair = is_first;
            has_plain &= unit <= 0x7f || is_half;
            has_full &= unit <= 0x7f || is_half;
            has_full &= char::from_u32(unit).is_none_or(|c| of_ascii(c).is_empty());
            within.clear();
        }
    }
    let forms = [(full, has_full), (plain, has_plain && !text.is_ascii())];
    forms.into_iter().filter(|(_, has)| *has).map(|(form, _)| form).collect()
}

fuzz_target!(|input: Input| {
    let body = input.chunks.concat();
    let escaped = escape(&body);
    let mut headers = input.headers.clone();
    if let Some((old, of_escaped, change)) = input.signed {
        let place = usize::from(input.query.len() % 3 == 0);
        let form = escaped.get(place).or(escaped.first()).filter(|_| of_escaped);
        let signed = form.map_or(&body[..], |text| text.as_bytes());
        let mut value = header(SECRETS[usize::from(old)], signed).into_bytes();
        if let Some((place, byte)) = change {
            let place = usize::from(place) % value.len();
            value[place] = byte;
        }
        headers.truncate(1);
        headers.insert(0, value);
        if input.query.len() % 2 == 0 {
            headers.truncate(1);
        }
    }
    let matches = |body: &[u8]| match &headers[..] {
        [one] => SECRETS.iter().any(|secret| header(secret, body).as_bytes() == &one[..]),
        _ => false,
    };
    let raw = matches(&body);
    let either = raw || escaped.iter().any(|text| matches(text.as_bytes()));
    for (hook, expected) in HOOKS.iter().zip([raw, either]) {
        assert_eq!(hook.verify(&headers, &body).is_ok(), expected, "{headers:?}");
        let chunked = hook.start(&headers).and_then(|mut delivery| {
            input.chunks.iter().for_each(|chunk| delivery.update(chunk));
            delivery.finish()
        });
        assert_eq!(chunked.is_ok(), expected, "{headers:?}");
    }
    let answer = HOOKS[0].handshake(&input.query);
    assert!(answer.is_err() || input.query.contains("hub"));
});
