//! The verdict against that of `jsonwebtoken::decode`, on generated tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use dualkey::jwt::{Algorithm, Header, Jwt, JwtKey, Validation};
use dualkey::{Claim, KeyRing, NewKey, Reason, Secret};
use jsonwebtoken::DecodingKey;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::{base64url, encode, forge, secret};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn ring(algorithm: Algorithm) -> KeyRing<JwtKey> {
    KeyRing::builder()
        .primary(NewKey::new(Secret::from(secret(0))).algorithm(algorithm))
        .build()
        .unwrap()
}

fn verify_ours(
    token: &str,
    validation: &Validation,
    algorithm: Algorithm,
) -> Result<Value, Reason> {
    Jwt::new(ring(algorithm))
        .dangerous()
        .validation(validation.clone())
        .verify::<Value>(token)
        .map(|claims| claims.into_inner())
        .map_err(|error| error.reason())
}

fn verify_theirs(token: &str, validation: &Validation) -> Option<Value> {
    let key = DecodingKey::from_secret(secret(0).as_bytes());
    jsonwebtoken::decode::<Value>(token, &key, validation).ok().map(|data| data.claims)
}

/// A time in the claims: seconds from now that no second of delay turns over.
fn time() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => prop_oneof![-1000_i64..-100, 100_i64..1000].prop_map(|from_now| {
            json!(now() as i64 + from_now)
        }),
        1 => prop_oneof![-1000_f64..-100.0, 100_f64..1000.0].prop_map(|from_now| {
            json!(now() as f64 + from_now)
        }),
        1 => Just(json!(0)),
        1 => Just(json!(u64::MAX)),
        1 => Just(json!(1e300)),
        1 => Just(json!("4102444800")),
        1 => Just(Value::Null),
        1 => Just(json!([4102444800_u64])),
        1 => Just(json!({ "t": 4102444800_u64 })),
        1 => Just(json!(true)),
    ]
}

fn name() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => Just(json!("one")),
        1 => Just(json!("two")),
        1 => Just(json!("")),
        1 => Just(json!("ONE")),
        1 => Just(Value::Null),
    ]
}

fn claims() -> impl Strategy<Value = Map<String, Value>> {
    let some = |strategy: BoxedStrategy<Value>| prop::option::weighted(0.7, strategy);
    let audience = prop_oneof![name(), prop::collection::vec(name(), 0..3).prop_map(Value::Array),];
    (
        some(time().boxed()),
        some(time().boxed()),
        some(name().boxed()),
        some(name().boxed()),
        some(audience.boxed()),
        some(any::<String>().prop_map(Value::String).boxed()),
    )
        .prop_map(|(exp, nbf, iss, sub, aud, other)| {
            [("exp", exp), ("nbf", nbf), ("iss", iss), ("sub", sub), ("aud", aud), ("other", other)]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect()
        })
}

fn validation(algorithm: Algorithm) -> impl Strategy<Value = Validation> {
    let required = prop::sample::subsequence(vec!["exp", "nbf", "iss", "sub", "aud"], 0..=2);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let names = (any::<bool>(), any::<bool>(), any::<bool>());
    (required, flags, names, 0..90_u64, prop_oneof![3 => Just(0), 1 => 0..90_u64]).prop_map(
        move |(required, flags, names, leeway, early)| {
            let mut validation = Validation::new(algorithm);
            validation.required_spec_claims = required.into_iter().map(str::to_owned).collect();
            (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = flags;
            if names.0 {
                validation.set_issuer(&["one", "two"]);
            }
            if names.1 {
                validation.set_audience(&["one"]);
            }
            validation.sub = names.2.then(|| "one".to_owned());
            validation.leeway = leeway;
            validation.reject_tokens_expiring_in_less_than = early;
            validation
        },
    )
}

fn header(algorithm: Algorithm) -> impl Strategy<Value = Header> {
    (prop::option::of(".{0,8}"), prop::option::of(".{0,8}"), prop::option::of(".{0,8}"))
        .prop_map(move |(typ, cty, jku)| Header { typ, cty, jku, ..Header::new(algorithm) })
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop_oneof![Just(Algorithm::HS256), Just(Algorithm::HS384), Just(Algorithm::HS512)]
}

/// What the table of documented differences takes out: an authentic token refused here.
fn is_documented(reason: Reason, validation: &Validation) -> bool {
    match reason {
        Reason::ClaimType(Claim::Iss | Claim::Sub | Claim::Aud) | Reason::TooLarge => true,
        Reason::MissingClaim(Claim::Iss) => validation.iss.is_some(),
        Reason::MissingClaim(Claim::Sub) => validation.sub.is_some(),
        Reason::MissingClaim(Claim::Aud) => validation.aud.is_some() && validation.validate_aud,
        _ => false,
    }
}

/// The same for one that is accepted here alone: a date of `null` that is not required.
fn has_null_date(claims: &Value) -> bool {
    ["exp", "nbf"].iter().any(|name| claims.get(name).is_some_and(Value::is_null))
}

proptest! {
    #![proptest_config(crate::support::cases(1_000, 100_000))]

    #[test]
    fn authentic_tokens_have_the_verdict_of_jsonwebtoken(
        (algorithm, validation, header) in algorithm()
            .prop_flat_map(|algorithm| (Just(algorithm), validation(algorithm), header(algorithm))),
        claims in claims(),
    ) {
        let token = encode(secret(0).as_bytes(), &header, &Value::Object(claims));
        match (verify_ours(&token, &validation, algorithm), verify_theirs(&token, &validation)) {
            (Ok(ours), Some(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(_), None) => {}
            (Err(reason), Some(_)) => {
                prop_assert!(is_documented(reason, &validation), "{}: {:?}", reason, token);
            }
            (Ok(claims), None) => prop_assert!(has_null_date(&claims), "accepted here alone: {token}"),
        }
    }

    #[test]
    fn tampered_tokens_have_the_verdict_of_jsonwebtoken(
        claims in claims(),
        place in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>().prop_filter("ASCII", u8::is_ascii), Just(b'.'), Just(b'=')],
        how in 0..3_u8,
    ) {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_aud) = (false, false);
        let token = encode(secret(0).as_bytes(), &Header::default(), &Value::Object(claims));
        let mut bytes = token.clone().into_bytes();
        let place = place.index(bytes.len());
        match how {
            0 => bytes[place] = byte,
            1 => bytes.insert(place, byte),
            _ => drop(bytes.remove(place)),
        }
        let changed = String::from_utf8(bytes).unwrap();
        let (ours, theirs) = (verify_ours(&changed, &validation, Algorithm::HS256), verify_theirs(&changed, &validation));
        prop_assert_eq!(ours.is_ok(), theirs.is_some());
        // The negation: nothing but the token itself verifies.
        prop_assert!(ours.is_err() || changed == token);
    }

    #[test]
    fn odd_headers_have_the_verdict_of_jsonwebtoken(
        typ in prop_oneof![Just("\"JWT\""), Just("7"), Just("null"), Just("[]"), Just("\"\\u004aWT\"")],
        alg in prop_oneof![
            4 => Just("\"HS256\""), 1 => Just("\"HS512\""), 1 => Just("\"none\""), 1 => Just("\"hs256\""),
            1 => Just("null"), 1 => Just("256"), 1 => Just("[\"HS256\"]"), 1 => Just("\"\\u0048S256\""),
        ],
        other in prop_oneof![
            3 => Just(""), 1 => Just(",\"x\":{\"y\":[1,2,null]}"), 1 => Just(",\"jku\":5"),
            1 => Just(",\"x5c\":[\"AA==\"]"), 1 => Just(",\"jwk\":{}"), 1 => Just(","), 1 => Just(",\"enc\":7"),
        ],
        space in prop_oneof![Just(""), Just(" "), Just("\r\n\t")],
    ) {
        let header = format!("{{{space}\"typ\":{typ},{space}\"alg\":{alg}{other}{space}}}");
        let token = forge(secret(0).as_bytes(), &header, br#"{"exp":4102444800}"#);
        let validation = Validation::new(Algorithm::HS256);
        let ours = verify_ours(&token, &validation, Algorithm::HS256);
        prop_assert_eq!(ours.is_ok(), verify_theirs(&token, &validation).is_some(), "{}: {:?}", header, ours);
    }

    /// Theirs verify ours, whatever the claims.
    #[test]
    fn jsonwebtoken_verifies_what_is_signed_here(claims in claims(), algorithm in algorithm()) {
        // Claims that no verifier reads are not signed.
        let is_date = |value: &Value| value.is_null() || value.as_f64().is_some_and(|number| number < 1e18);
        let mut claims = claims;
        claims.retain(|name, value| !["exp", "nbf"].contains(&name.as_str()) || is_date(value));
        claims.retain(|name, value| name != "aud" || !value.to_string().contains("null"));
        let exp = claims.entry("exp").or_insert(Value::Null);
        if exp.is_null() {
            *exp = json!(now());
        }
        let token = Jwt::new(ring(algorithm)).sign(&claims).unwrap();
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_aud) = (false, false);
        let verdict = verify_theirs(&token, &validation);
        prop_assert!(verdict.is_some(), "{}", token);
    }
}

/// The table of the module, row by row: what `jsonwebtoken` says, and what this says.
#[test]
fn each_documented_difference_is_one() {
    let secret = secret(0);
    let plain = r#"{"alg":"HS256"}"#;
    let exp = r#""exp":4102444800"#;
    let soon = now() + 3600;
    let mut asks = Validation::new(Algorithm::HS256);
    asks.set_issuer(&["one"]);
    asks.set_audience(&["one"]);
    asks.sub = Some("one".to_owned());
    asks.validate_nbf = true;
    let mut mixed = Validation::new(Algorithm::HS256);
    mixed.algorithms.push(Algorithm::RS256);

    let header = |more: &str| format!(r#"{{"alg":"HS256",{more}}}"#);
    let names = r#""iss":"one","sub":"one","aud":"one""#;
    // All that is asked for, but for what `more` has of it.
    let claims = |more: &str| {
        let is_other = |member: &&str| !more.contains(&member[..5]);
        let names: Vec<_> = names.split(',').filter(is_other).collect();
        format!("{{{exp},{},{more}}}", names.join(","))
    };
    let without = |name: &str| {
        let names: Vec<_> = names.split(',').filter(|member| !member.contains(name)).collect();
        format!("{{{exp},{}}}", names.join(","))
    };
    let accepted_there_alone = [
        (header(r#""kid":"unknown""#), claims(r#""sub":"one""#), Reason::UnknownKid),
        (header(r#""kid":null"#), claims(r#""sub":"one""#), Reason::Malformed),
        (header(r#""crit":["x"],"x":1"#), claims(r#""sub":"one""#), Reason::UnsupportedHeader),
        (header(r#""zip":"DEF""#), claims(r#""sub":"one""#), Reason::UnsupportedHeader),
        (header(r#""b64":false"#), claims(r#""sub":"one""#), Reason::UnsupportedHeader),
        (header(r#""x":1,"x":2"#), claims(r#""sub":"one""#), Reason::Malformed),
        (plain.to_owned(), claims(r#""sub":7"#), Reason::ClaimType(Claim::Sub)),
        (plain.to_owned(), claims(r#""iss":7"#), Reason::ClaimType(Claim::Iss)),
        (plain.to_owned(), without("iss"), Reason::MissingClaim(Claim::Iss)),
        (plain.to_owned(), without("sub"), Reason::MissingClaim(Claim::Sub)),
        (plain.to_owned(), without("aud"), Reason::MissingClaim(Claim::Aud)),
        (plain.to_owned(), claims(r#""iss":null"#), Reason::MissingClaim(Claim::Iss)),
        (plain.to_owned(), claims(r#""sub":null"#), Reason::MissingClaim(Claim::Sub)),
        (plain.to_owned(), claims(r#""aud":null"#), Reason::MissingClaim(Claim::Aud)),
        (plain.to_owned(), claims(r#""iss":["one"]"#), Reason::ClaimType(Claim::Iss)),
        (plain.to_owned(), claims(r#""aud":{"one":1}"#), Reason::ClaimType(Claim::Aud)),
        (plain.to_owned(), claims(r#""aud":["one",1]"#), Reason::ClaimType(Claim::Aud)),
        (plain.to_owned(), claims(r#""iat":1,"iat":2"#), Reason::DuplicateClaim(Claim::Iat)),
        (plain.to_owned(), claims(r#""jti":"a","jti":"a""#), Reason::DuplicateClaim(Claim::Jti)),
        (
            plain.to_owned(),
            format!(r#"{{"exp":{soon},{names},"x":"{}"}}"#, "x".repeat(8192)),
            Reason::TooLarge,
        ),
    ];
    for (header, claims, reason) in &accepted_there_alone {
        let token = forge(secret.as_bytes(), header, claims.as_bytes());
        assert!(verify_theirs(&token, &asks).is_some(), "{header} {claims}: no difference");
        assert_eq!(verify_ours(&token, &asks, Algorithm::HS256), Err(*reason), "{header} {claims}");
    }

    // A payload that is not UTF-8 where the caller's type does not look.
    #[derive(serde::Deserialize)]
    struct Exp {
        #[serde(rename = "exp")]
        _exp: u64,
    }
    let token = forge(secret.as_bytes(), plain, b"{\"exp\":4102444800,\"x\":\"\xff\"}");
    let key = DecodingKey::from_secret(secret.as_bytes());
    let validation = Validation::new(Algorithm::HS256);
    assert!(jsonwebtoken::decode::<Exp>(&token, &key, &validation).is_ok());
    let verdict = Jwt::new(ring(Algorithm::HS256)).verify::<Exp>(&token);
    assert_eq!(verdict.map(|_| ()).unwrap_err().reason(), Reason::Payload);

    // A payload that is no object, which fills the claims by their places.
    let token = forge(secret.as_bytes(), plain, b"[4102444800,0,null,null,null]");
    assert!(verify_theirs(&token, &validation).is_some(), "an array: no difference");
    assert_eq!(verify_ours(&token, &validation, Algorithm::HS256), Err(Reason::Payload));

    let mut lax = Validation::new(Algorithm::HS256);
    lax.required_spec_claims.clear();
    let accepted_here_alone = [
        (claims(r#""nbf":-1"#), &asks),
        (claims(r#""nbf":null"#), &asks),
        (r#"{"exp":null}"#.to_owned(), &lax),
        (without("aud"), &mixed),
    ];
    for (claims, validation) in &accepted_here_alone {
        let token = forge(secret.as_bytes(), plain, claims.as_bytes());
        assert!(verify_theirs(&token, validation).is_none(), "{claims}: no difference");
        assert!(verify_ours(&token, validation, Algorithm::HS256).is_ok(), "{claims}");
    }
}

/// `exp` and `nbf` at their edges, on a clock that stands still: `jsonwebtoken` reads the
/// system's, so its side of these rows is in its source.
#[test]
fn times_are_exact_at_their_edges() {
    let clock = dualkey::ManualClock::at_unix(1_700_000_000);
    let ring = KeyRing::<JwtKey>::builder()
        .primary(Secret::from(secret(0)))
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_nbf = true;
    validation.leeway = 0;
    validation.required_spec_claims.clear();
    let jwt = Jwt::new(ring).dangerous().validation(validation);
    let verdict = |claims: &str| {
        let token = forge(secret(0).as_bytes(), r#"{"alg":"HS256"}"#, claims.as_bytes());
        jwt.verify::<Value>(&token).map(|_| ()).map_err(|error| error.reason())
    };
    assert_eq!(verdict(r#"{"exp":1700000001}"#), Ok(()));
    assert_eq!(verdict(r#"{"exp":1700000000}"#), Err(Reason::Expired));
    assert_eq!(verdict(r#"{"exp":1700000000.5}"#), Ok(()));
    assert_eq!(verdict(r#"{"exp":1699999999.9}"#), Err(Reason::Expired));
    assert_eq!(verdict(r#"{"nbf":1700000000}"#), Ok(()));
    assert_eq!(verdict(r#"{"nbf":1700000000.4}"#), Err(Reason::NotYetValid));
    clock.advance(std::time::Duration::from_millis(500));
    assert_eq!(verdict(r#"{"exp":1700000000.5}"#), Err(Reason::Expired));
    assert_eq!(verdict(r#"{"nbf":1700000000.4}"#), Ok(()));
}

#[test]
fn the_test_encoder_is_not_its_own_witness() {
    assert_eq!(base64url::encode(b"\xff\xef\xfe\x00"), "_-_-AA");
    assert_eq!(base64url::decode("_-_-AA"), b"\xff\xef\xfe\x00");
}
