//! The verdict against that of `jsonwebtoken::decode`, for any header and payload under a
//! good MAC, and for any text.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dualkey::jwt::{Algorithm, Jwt, JwtKey, Validation};
use dualkey::mac::HmacSha256;
use dualkey::{Claim, KeyRing, Reason, Secret};
use jsonwebtoken::DecodingKey;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const SECRET: &str = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUq8WzRkH7vQ2mXw9LrT4nZ8yB1cF6gJ";

#[derive(Debug, Arbitrary)]
enum Input {
    Signed { header: Vec<u8>, payload: Vec<u8>, strict: bool },
    Text(String),
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
        jwt: Jwt::new(ring).validation(validation.clone()),
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
            | Reason::DuplicateClaim(Claim::Iat | Claim::Jti)
            | Reason::Expired
            | Reason::NotYetValid
            | Reason::Payload
    )
}

/// Whether a header has a name twice, or a `kid` of `null`: refused here alone.
fn is_ambiguous(header: &[u8]) -> bool {
    let names = header.split(|byte| *byte == b'"').count();
    let value: Result<Value, _> = serde_json::from_slice(header);
    value.is_ok_and(|value| {
        value["kid"].is_null() && value.get("kid").is_some()
            || value.as_object().is_some_and(|members| members.len() * 2 < names)
    })
}

fuzz_target!(|input: Input| {
    let (token, setup, header) = match &input {
        Input::Text(text) => (text.clone(), &SETUPS[0], Vec::new()),
        Input::Signed { header, payload, strict } => {
            let setup = &SETUPS[usize::from(*strict)];
            let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let message = format!("{}.{}", encode(header), encode(payload));
            let token = format!("{message}.{}", encode(&setup.mac.mac(message.as_bytes())));
            (token, setup, header.clone())
        }
    };
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
            // A negative `nbf` is in the past.
            let negative = claims["nbf"].as_f64().is_some_and(|nbf| nbf < 0.0);
            assert!(negative, "accepted here alone: {token}: {error}");
        }
    }
});
