//! Signature headers and bodies: accepted is one header of the exact form with the MAC of the
//! body, or of its escaped form where that was asked for; whole or in chunks.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use dualkey::webhook::{MetaWebhook, VerifyToken, WebhookKey};
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

static HOOKS: LazyLock<[MetaWebhook; 2]> = LazyLock::new(|| {
    let key = Secret::from;
    let ring = KeyRing::<WebhookKey>::builder().primary(key(SECRETS[0])).fallback(key(SECRETS[1]));
    let tokens = KeyRing::<VerifyToken>::builder().primary(key(TOKEN)).build().unwrap();
    let hook = MetaWebhook::new(ring.build().unwrap()).verify_tokens(tokens);
    [hook.clone(), hook.accept_unescaped()]
});

fn header(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    let digits: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

/// The text that Meta signs in the place of a body with characters beyond ASCII, unless the body is
/// unescaped only in part.
fn escaped(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok().filter(|text| !text.is_ascii())?;
    let mut rest = text.chars();
    while let Some(own) = rest.next() {
        if own != '\\' {
            continue;
        }
        let next = rest.next();
        if next.is_some_and(|own| !own.is_ascii()) {
            return None;
        }
        if next == Some('u') {
            let digits: String = rest.as_str().chars().take(4).collect();
            let is_digit = |own: &char| own.is_ascii_hexdigit();
            let count = digits.chars().take_while(is_digit).count();
            let unit = u32::from_str_radix(&digits[..count], 16).unwrap_or(0);
            let is_cut = digits.chars().nth(count).is_some_and(|own| !own.is_ascii());
            if is_cut || (count == 4 && unit > 0x7f) {
                return None;
            }
        }
    }
    let units = |c: char| -> String {
        c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
    };
    Some(text.chars().map(|c| if c.is_ascii() { c.to_string() } else { units(c) }).collect())
}

fuzz_target!(|input: Input| {
    let body = input.chunks.concat();
    let escaped = escaped(&body);
    let mut headers = input.headers.clone();
    if let Some((old, of_escaped, change)) = input.signed {
        let signed =
            escaped.as_ref().filter(|_| of_escaped).map_or(&body[..], |text| text.as_bytes());
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
    let either = raw || escaped.is_some_and(|text| matches(text.as_bytes()));
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
