//! `Cookie` headers: what is accepted is what `cookie-signature` (by its definition) and the
//! `cookie` crate accept, and what was signed here; and it comes back native.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use dualkey::cookie::{Cookie, CookieJar, CookieKey, CookieSigner, LegacyCookie};
use dualkey::{KeyRing, ManualClock, Secret};
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

const SECRET: &str = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUq8WzRkH7vQ2mXw9LrT4nZ8yB1cF6gJ";

#[derive(Debug, Arbitrary)]
enum Input {
    Header(Vec<u8>),
    Text(String),
    Express { value: String, edits: Vec<(u16, char)>, is_encoded: bool },
    SignedJar { value: String, edits: Vec<(u16, char)>, derived: bool, is_encoded: bool },
    Native { value: String, edits: Vec<(u16, char)> },
}

struct Setup {
    signer: CookieSigner,
    jars: [cookie::Key; 2],
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let ring = KeyRing::<CookieKey>::builder()
        .primary(Secret::from(SECRET))
        .clock(ManualClock::at_unix(1_700_000_000));
    let until = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let signer = CookieSigner::new(ring.build().unwrap())
        .max_cookie_bytes(1 << 20)
        .accept_legacy(LegacyCookie::Express, until)
        .accept_legacy(LegacyCookie::SignedJar, until)
        .accept_legacy(LegacyCookie::SignedJarDerived, until);
    let secret = SECRET.as_bytes();
    Setup { signer, jars: [cookie::Key::from(secret), cookie::Key::derive_from(secret)] }
});

/// `cookie-signature`: the value, a dot, and the digest without its padding.
fn sign_like_express(value: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(value.as_bytes());
    format!("s:{value}.{}", STANDARD_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn sign_like_jar(value: &str, key: &cookie::Key) -> String {
    let mut jar = CookieJar::new();
    jar.signed_mut(key).add(Cookie::new("sid", value.to_owned()));
    jar.get("sid").unwrap().value().to_owned()
}

/// What stands for a byte is that byte; what is no escape stays.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let digits = after.get(..2).filter(|_| *byte == b'%');
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match digits.and_then(|digits| std::str::from_utf8(digits).ok()) {
            Some(digits) => {
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &after[2..];
            }
            None => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// What the other libraries make of a value, as it is and percent-decoded.
fn reference(text: &str) -> Vec<String> {
    let decoded = decode(text);
    let mut values = Vec::new();
    for text in decoded.iter().map(String::as_str).chain([text]) {
        if let Some(inner) = text.strip_prefix("s:")
            && let Some((value, _)) = inner.rsplit_once('.')
            && sign_like_express(value) == text
        {
            values.push(value.to_owned());
        }
        for key in &SETUP.jars {
            let jar = CookieJar::new();
            let cookie = jar.signed(key).verify(Cookie::new("sid", text.to_owned()));
            values.extend(cookie.map(|cookie| cookie.value().to_owned()));
        }
    }
    values
}

fn edit(text: String, edits: &[(u16, char)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (place, to) in edits {
        let place = usize::from(*place) % characters.len();
        characters[place] = *to;
    }
    characters.into_iter().collect()
}

fn encode(text: String, is_encoded: bool) -> String {
    if is_encoded {
        let pair = Cookie::new("sid", text).encoded().stripped().to_string();
        pair.strip_prefix("sid=").unwrap().to_owned()
    } else {
        text
    }
}

fuzz_target!(|input: Input| {
    let signer = &SETUP.signer;
    let (text, is_native) = match &input {
        Input::Header(header) => {
            let _ = signer.verify_header("sid", [header]);
            return;
        }
        Input::Text(text) => (text.clone(), false),
        Input::Express { value, edits, is_encoded } => {
            (edit(encode(sign_like_express(value), *is_encoded), edits), false)
        }
        Input::SignedJar { value, edits, derived, is_encoded } => {
            let text = sign_like_jar(value, &SETUP.jars[usize::from(*derived)]);
            (edit(encode(text, *is_encoded), edits), false)
        }
        Input::Native { value, edits } => {
            let signed = signer.sign("sid", value).unwrap();
            let text = edit(signed.clone(), edits);
            if text == signed {
                assert_eq!(*signer.verify("sid", &text).unwrap(), *value);
            }
            let is_native = text == signed;
            (text, is_native)
        }
    };
    let expected = reference(&text);
    match signer.verify_and_resign("sid", &text) {
        Ok((value, again)) => {
            assert!(is_native || expected.contains(&value), "accepted here alone: {text:?}");
            assert_eq!(is_native, again.is_none());
            if let Some(again) = again {
                let (once_more, again) = signer.verify_and_resign("sid", &again).unwrap();
                assert_eq!((&*once_more, again), (&*value, None));
            }
        }
        Err(error) => assert!(expected.is_empty(), "refused here alone: {error:?} {text:?}"),
    }
    // Through a whole header, where the text can stand in one.
    let separators = |c: char| c == ';' || c == '"' || c.is_ascii_whitespace();
    if !text.contains(separators) {
        let header = format!("a=1; sid={text}; sid=other");
        let whole = signer.verify_header("sid", [header]);
        assert_eq!(whole.is_ok(), signer.verify("sid", &text).is_ok());
    }
});
