mod fast_vs_reference;

use super::header::{KNOWN, parse};
use super::*;
use crate::encoding::BASE64URL;
use crate::error::{Error, Reason};
use crate::ring::KeyMaterial;
use crate::ring::KeyRing;
use crate::secret::Secret;

const SECRET: &str = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";

fn ring() -> KeyRing<JwtKey> {
    let key = crate::ring::NewKey::new(Secret::from(SECRET)).kid("2026-q1".parse().unwrap());
    KeyRing::builder().primary(key).build().unwrap()
}

/// A comparison that skips the parser must say what the parser would.
#[test]
fn known_headers_are_what_the_parser_makes_of_them() {
    for (encoded, algorithm) in KNOWN {
        let json = BASE64URL.decode_to_vec(encoded).unwrap();
        assert_eq!(parse(&json), Ok((algorithm, None)), "{encoded}");
    }
}

#[test]
fn what_is_signed_names_its_key_in_the_header() {
    let jwt = Jwt::new(ring());
    let token = jwt.sign(&serde_json::json!({ "exp": 4_102_444_800_u64 })).unwrap();
    let data = jwt.verify_with_header::<serde_json::Value>(&token).unwrap();
    assert_eq!(data.header.kid.as_deref(), Some("2026-q1"));
    assert_eq!(data.header.typ.as_deref(), Some("JWT"));
    assert_eq!(data.header.alg, Algorithm::HS256);
    assert_eq!(data.claims["exp"], 4_102_444_800_u64);
}

#[test]
fn a_header_of_the_callers_gets_the_kid_and_is_held_to_the_rules() {
    let jwt = Jwt::new(ring());
    let claims = serde_json::json!({ "exp": 4_102_444_800_u64 });
    let header = Header { typ: Some("at+jwt".to_owned()), ..Header::default() };
    let token = jwt.sign_with_header(&header, &claims).unwrap();
    let data = jwt.verify_with_header::<serde_json::Value>(&token).unwrap();
    assert_eq!(data.header.typ.as_deref(), Some("at+jwt"));
    assert_eq!(data.header.kid.as_deref(), Some("2026-q1"));

    let other = Header::new(Algorithm::HS512);
    let critical = Header { crit: Some(vec!["x".to_owned()]), ..Header::default() };
    for header in [other, critical] {
        assert!(matches!(jwt.sign_with_header(&header, &claims), Err(Error::Sign { .. })));
    }
}

#[test]
fn claims_that_are_no_object_are_not_signed() {
    let jwt = Jwt::new(ring());
    assert!(matches!(jwt.sign("a text"), Err(Error::Sign { .. })));
    assert!(matches!(jwt.sign(&[1, 2]), Err(Error::Sign { .. })));
    let unserializable = std::collections::BTreeMap::from([((1, 2), 3)]);
    let error = jwt.sign(&unserializable).unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "{error}");
}

/// V10, for what a peer has signed: an authentic token whose claims are of another shape says
/// where, to the operator, and repeats nothing of them.
#[test]
fn a_payload_of_another_shape_is_described_by_its_place_alone() {
    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Role {
        Admin,
    }
    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Claims {
        #[serde(rename = "exp")]
        _exp: u64,
        #[serde(rename = "role")]
        _role: Option<Role>,
        #[serde(rename = "port")]
        _port: Option<u16>,
        #[serde(rename = "strict")]
        _strict: Option<Strict>,
    }
    #[derive(Debug)]
    struct Strict;
    impl<'de> serde::Deserialize<'de> for Strict {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let text = String::deserialize(from)?;
            Err(serde::de::Error::custom(format!("missing field `{text}`")))
        }
    }
    let jwt = Jwt::new(ring());
    for other in [
        r#""role":"hunter2""#,
        r#""role":{"hunter2":1}"#,
        r#""port":"hunter2""#,
        r#""hunter2":1"#,
        r#""strict":"hunter2""#,
        r#""port":98765432"#,
        r#""role":["hunter2"]"#,
    ] {
        let payload = format!(r#"{{"exp":4102444800,{other}}}"#);
        let claims: serde_json::Value = serde_json::from_str(&payload).unwrap();
        let error = jwt.verify::<Claims>(&jwt.sign(&claims).unwrap()).unwrap_err();
        assert_eq!(error.reason(), Reason::Payload);
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.to_string().contains(" at line 1 column "), "{source}");
        assert!(source.source().is_none());
        for text in [format!("{error} {error:?}"), format!("{source} {source:?}")] {
            assert!(!text.contains("hunter2") && !text.contains("98765432"), "{text}");
        }
    }
}

#[test]
fn uses_are_counted_for_what_was_verified_in_full() {
    let ring = ring();
    let jwt = Jwt::new(ring.clone());
    let usage = || ring.keys()[0].usage;
    let good = jwt.sign(&serde_json::json!({ "exp": 4_102_444_800_u64 })).unwrap();
    let old = jwt.sign(&serde_json::json!({ "exp": 1 })).unwrap();
    assert_eq!((usage().signed, usage().verified_as_primary), (2, 0));
    assert!(jwt.verify::<serde_json::Value>(&good).is_ok());
    assert!(jwt.verify::<serde_json::Value>(&old).is_err());
    assert!(jwt.verify::<serde_json::Value>("x").is_err());
    assert_eq!((usage().signed, usage().verified_as_primary), (2, 1));
}

/// HS256 works in lanes, the other algorithms key by key.
#[test]
fn v5_all_keys_are_tried_wherever_the_match_is() {
    use crate::mac::count::assert_tries_all;
    use crate::ring::NewKey;
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        for keys in 1..=4 {
            let secret = |place: usize| Secret::from(format!("{place}{SECRET}").as_str());
            let key = |place| NewKey::new(secret(place)).algorithm(algorithm);
            let builder = KeyRing::<JwtKey>::builder().primary(key(0));
            let ring = (1..keys).fold(builder, |builder, place| builder.fallback(key(place)));
            let jwt = Jwt::new(ring.build().unwrap());
            let alg = BASE64URL.encode_to_string(format!(r#"{{"alg":"{algorithm:?}"}}"#));
            let message = format!("{alg}.{}", BASE64URL.encode_to_string(r#"{"exp":4102444800}"#));
            let tokens = (0..=keys).map(|place| {
                let options = &algorithm;
                let key = JwtKey::prepare(secret(place).expose(), "x".parse().unwrap(), options);
                let mut token = message.clone();
                key.unwrap().append_signature(&mut token);
                token
            });
            let tokens: Vec<_> = tokens.collect();
            assert_tries_all(keys, 1, |place| {
                jwt.verify::<serde_json::Value>(&tokens[place.unwrap_or(keys)]).is_ok()
            });
        }
    }
}
