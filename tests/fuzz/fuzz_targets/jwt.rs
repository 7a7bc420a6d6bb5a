//! Three ways to one verdict, for any header, payload and base64 under a good MAC and for
//! any text: the fast path, the plain path, and `jsonwebtoken::decode`.
#![no_main]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dualkey::jwt::{Algorithm, Jwt, JwtKey, Validation};
use dualkey::mac::HmacSha256;
use dualkey::{Claim, KeyRing, Reason, Secret};
use jsonwebtoken::DecodingKey;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

const SECRET: &str = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUq8WzRkH7vQ2mXw9LrT4nZ8yB1cF6gJ";

#[derive(Debug, Arbitrary)]
enum Input {
    Signed { header: Header, payload: Payload, strict: bool, edit: Option<Edit> },
    Text(String),
}

#[derive(Debug, Arbitrary)]
enum Header {
    Common(u8),
    Members(Vec<Member>),
    Bytes(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
enum Payload {
    Members(Vec<Member>),
    Bytes(Vec<u8>),
}

/// One member of an object, as libraries write them and as nobody does.
#[derive(Debug, Arbitrary)]
struct Member {
    name: u8,
    value: u8,
    number: i64,
    text: String,
    blank: bool,
    escaped: bool,
}

/// A change of the encoded text, under the MAC.
#[derive(Debug, Arbitrary)]
struct Edit {
    in_header: bool,
    place: u16,
    byte: u8,
}

impl Member {
    fn write(&self) -> String {
        const NAMES: [&str; 16] = [
            "exp", "nbf", "iss", "sub", "aud", "iat", "jti", "alg", "kid", "typ", "crit", "b64",
            "zip", "role", "sid", "name",
        ];
        let name = NAMES[usize::from(self.name) % NAMES.len()];
        let name = if self.escaped {
            name.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect()
        } else {
            name.to_owned()
        };
        let number = self.number;
        let value = match self.value % 18 {
            0 => "4102444800".to_owned(),
            1 => number.to_string(),
            2 => format!("{number}.5"),
            3 => format!("{number}e3"),
            4 => u64::MAX.to_string(),
            5 => "18446744073709551616".to_owned(),
            6 => format!("{number}{number}{number}"),
            7 => "\"one\"".to_owned(),
            8 => Value::from(self.text.as_str()).to_string(),
            9 => "\"HS256\"".to_owned(),
            10 => "\"\\u006fne\"".to_owned(),
            11 => "[\"one\",\"two\"]".to_owned(),
            12 => "{\"exp\":1,\"sub\":[]}".to_owned(),
            13 => "[1,{\"exp\":2}]".to_owned(),
            14 => "null".to_owned(),
            15 => "true".to_owned(),
            16 => "-0".to_owned(),
            _ => "false".to_owned(),
        };
        let blank = if self.blank { " \t\r\n" } else { "" };
        format!("{blank}\"{name}\"{blank}:{blank}{value}{blank}")
    }
}

fn object(members: &[Member]) -> Vec<u8> {
    let members: Vec<_> = members.iter().map(Member::write).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

struct Setup {
    jwt: Jwt,
    validation: Validation,
    key: DecodingKey,
    mac: HmacSha256,
}

fn setup(strict: bool) -> Setup {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_nbf = strict;
    if strict {
        validation.set_issuer(&["one"]);
        validation.set_audience(&["one"]);
        validation.sub = Some("one".to_owned());
    } else {
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_aud) = (false, false);
    }
    let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(SECRET)).build().unwrap();
    Setup {
        jwt: Jwt::new(ring).dangerous().validation(validation.clone()),
        validation,
        key: DecodingKey::from_secret(SECRET.as_bytes()),
        mac: HmacSha256::new(SECRET.as_bytes()),
    }
}

static SETUPS: LazyLock<[Setup; 2]> = LazyLock::new(|| [setup(false), setup(true)]);

/// What the table of documented differences says of a token that is refused here alone.
fn is_documented(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UnknownKid
            | Reason::UnsupportedHeader
            | Reason::TooLarge
            | Reason::ClaimType(Claim::Iss | Claim::Sub | Claim::Aud)
            | Reason::MissingClaim(Claim::Iss | Claim::Sub | Claim::Aud)
            | Reason::DuplicateClaim(Claim::Iat | Claim::Jti)
            | Reason::Expired
            | Reason::NotYetValid
            | Reason::Payload
    )
}

/// Whether a header has a name twice, a `kid` of `null`, or a `b64` that is no boolean:
/// refused here alone.
fn is_ambiguous(header: &[u8]) -> bool {
    let names = header.split(|byte| *byte == b':').count() - 1;
    let value: Result<Value, _> = serde_json::from_slice(header);
    value.is_ok_and(|value| {
        value["kid"].is_null() && value.get("kid").is_some()
            || value.get("b64").is_some_and(|value| !value.is_boolean())
            || value.as_object().is_some_and(|members| members.len() < names)
    })
}

/// The fast path and the plain one, for a type.
fn agree<C: DeserializeOwned + PartialEq + Debug>(jwt: &Jwt, token: &str) {
    match (jwt.verify::<C>(token), jwt.verify_plainly::<C>(token)) {
        (Ok(fast), Ok((kid, plain))) => {
            assert_eq!((fast.kid(), &*fast), (kid, &plain));
        }
        (Err(fast), Err(plain)) => assert_eq!(fast.reason(), plain.reason(), "{token}"),
        (fast, plain) => panic!("{token}: {fast:?} {plain:?}"),
    }
}

/// Takes the registered claims as other types than most do, or not at all.
#[derive(Debug, PartialEq, Deserialize)]
struct Few {
    sub: Option<String>,
    exp: Option<f64>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Flat {
    nbf: Option<u64>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Either {
    Numbers { exp: u64, nbf: u64 },
    Texts { iss: String },
    Other(Value),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(transparent)]
struct Map(BTreeMap<String, Value>);

#[derive(Debug, PartialEq, Deserialize)]
struct Borrowed<'p> {
    #[serde(borrow)]
    sub: Option<Cow<'p, str>>,
    #[serde(borrow)]
    name: Option<Cow<'p, str>>,
    exp: Option<u64>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Owned {
    sub: Option<String>,
    name: Option<String>,
    exp: Option<u64>,
}

fn check_borrowed(jwt: &Jwt, token: &str) {
    let mut buffer = b"left from before".to_vec();
    match (jwt.verify_in::<Borrowed<'_>>(token, &mut buffer), jwt.verify::<Owned>(token)) {
        (Ok(borrowed), Ok(owned)) => {
            assert_eq!(borrowed.sub.as_deref(), owned.sub.as_deref());
            assert_eq!(
                (borrowed.name.as_deref(), borrowed.exp),
                (owned.name.as_deref(), owned.exp)
            );
        }
        (Err(borrowed), Err(owned)) => assert_eq!(borrowed.reason(), owned.reason(), "{token}"),
        (borrowed, owned) => panic!("{token}: {borrowed:?} {owned:?}"),
    }
}

fuzz_target!(|input: Input| {
    let (token, setup, header) = match &input {
        Input::Text(text) => (text.clone(), &SETUPS[0], Vec::new()),
        Input::Signed { header, payload, strict, edit } => {
            let setup = &SETUPS[usize::from(*strict)];
            let header = match header {
                Header::Common(which) => match which % 3 {
                    0 => br#"{"alg":"HS256","typ":"JWT"}"#.to_vec(),
                    1 => br#"{"typ":"JWT","alg":"HS256"}"#.to_vec(),
                    _ => format!(
                        r#"{{"typ":"JWT","alg":"HS256","kid":"{}"}}"#,
                        setup.jwt.ring().primary().unwrap()
                    )
                    .into_bytes(),
                },
                Header::Members(members) => object(members),
                Header::Bytes(bytes) => bytes.clone(),
            };
            let payload = match payload {
                Payload::Members(members) => object(members),
                Payload::Bytes(bytes) => bytes.clone(),
            };
            let mut parts = [&header, &payload].map(|part| URL_SAFE_NO_PAD.encode(part));
            if let Some(Edit { in_header, place, byte }) = edit {
                let part = &mut parts[usize::from(!in_header)];
                let place = usize::from(*place) % (part.len() + 1);
                // One byte for another, or one more at the end.
                part.replace_range(
                    place..(place + 1).min(part.len()),
                    &char::from(byte & 0x7f).to_string(),
                );
            }
            let message = parts.join(".");
            let tag = URL_SAFE_NO_PAD.encode(setup.mac.mac(message.as_bytes()));
            // As it is read: with a change, not what was written.
            let header = URL_SAFE_NO_PAD.decode(&parts[0]).unwrap_or_default();
            (format!("{message}.{tag}"), setup, header)
        }
    };
    agree::<Value>(&setup.jwt, &token);
    agree::<Few>(&setup.jwt, &token);
    agree::<Flat>(&setup.jwt, &token);
    agree::<Either>(&setup.jwt, &token);
    agree::<Map>(&setup.jwt, &token);
    assert_eq!(
        setup.jwt.verify::<IgnoredAny>(&token).is_ok(),
        setup.jwt.verify_plainly::<IgnoredAny>(&token).is_ok(),
    );
    check_borrowed(&setup.jwt, &token);

    let ours = setup.jwt.verify::<Value>(&token);
    let theirs = jsonwebtoken::decode::<Value>(&token, &setup.key, &setup.validation);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(*ours, theirs.claims),
        (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => {
            let reason = error.reason();
            let malformed = reason == Reason::Malformed && is_ambiguous(&header);
            assert!(is_documented(reason) || malformed, "{reason}: {token}");
        }
        (Ok(claims), Err(error)) => {
            // A negative `nbf` is in the past, and one of `null` is absent.
            let negative = claims["nbf"].as_f64().is_some_and(|nbf| nbf < 0.0);
            let null = claims.get("nbf").is_some_and(Value::is_null);
            assert!(negative || null, "accepted here alone: {token}: {error}");
        }
    }
});
