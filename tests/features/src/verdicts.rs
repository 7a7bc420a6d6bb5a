//! Verdicts on tokens by their claims, as they must be under every set of features of `serde_json`.

use dualkey::jwt::{Jwt, JwtKey, Validation};
use dualkey::{KeyRing, Secret};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

const SECRET: &str = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";

/// An object as which `serde_json` shows a number to visitors, under `arbitrary_precision`.
const NUMBER: &str = r#"{"$serde_json::private::Number":"1.5"}"#;
const BAD_NUMBER: &str = r#"{"$serde_json::private::Number":"zz"}"#;
const RAW: &str = r#"{"$serde_json::private::RawValue":"1"}"#;

/// Numbers of every kind: in and beyond the integers, with a fraction, an exponent, a sign.
const NUMBERS: [&str; 12] = [
    "0",
    "1",
    "-1",
    "1.5",
    "-0.0",
    "1e3",
    "1E400",
    "-1.5e-7",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890",
];

/// A value of a claim, with the verdict where `one` is asked for, and where nothing is.
type Case = (&'static str, &'static str, &'static str, &'static str);

const CASES: [Case; 44] = [
    ("sub", r#""one""#, "", ""),
    ("sub", r#""\u006fne""#, "", ""),
    ("sub", r#""two""#, "wrong_claim", ""),
    ("sub", r#""\ud800""#, "payload", "payload"),
    ("sub", "null", "claim_type", ""),
    ("sub", "true", "claim_type", ""),
    ("sub", "[]", "claim_type", "claim_type"),
    ("sub", "{}", "claim_type", "claim_type"),
    ("sub", "[1.5]", "claim_type", "claim_type"),
    ("sub", NUMBER, "claim_type", "claim_type"),
    ("sub", BAD_NUMBER, "claim_type", "claim_type"),
    ("sub", RAW, "claim_type", "claim_type"),
    ("iss", r#""one""#, "", ""),
    ("iss", r#""two""#, "wrong_claim", ""),
    ("iss", "null", "claim_type", ""),
    ("iss", "[\"one\"]", "claim_type", ""),
    ("iss", "[1.5]", "claim_type", ""),
    ("iss", NUMBER, "claim_type", ""),
    ("iss", BAD_NUMBER, "claim_type", ""),
    ("iss", RAW, "claim_type", ""),
    ("aud", r#""one""#, "", "wrong_claim"),
    ("aud", r#"["two","one"]"#, "", "wrong_claim"),
    ("aud", "[]", "wrong_claim", "wrong_claim"),
    ("aud", "null", "claim_type", "claim_type"),
    ("aud", r#"["one",1]"#, "claim_type", "claim_type"),
    ("aud", r#"["one",1.5]"#, "claim_type", "claim_type"),
    ("aud", r#"["one",123456789012345678901234567890]"#, "claim_type", "claim_type"),
    ("aud", r#"["one",{}]"#, "claim_type", "claim_type"),
    ("aud", r#"["one",[1.5]]"#, "claim_type", "claim_type"),
    ("aud", NUMBER, "claim_type", "claim_type"),
    ("aud", RAW, "claim_type", "claim_type"),
    ("exp", "4102444800.5", "", ""),
    ("exp", "4.1024448e9", "", ""),
    ("exp", "1.5", "expired", "expired"),
    ("exp", "1E400", "claim_type", "claim_type"),
    ("exp", "-1e3", "expired", "expired"),
    ("exp", "123456789012345678901234567890", "claim_type", "claim_type"),
    ("exp", NUMBER, "claim_type", "claim_type"),
    ("exp", BAD_NUMBER, "claim_type", "claim_type"),
    ("nbf", "1.5", "", ""),
    ("nbf", "-1e3", "", ""),
    ("nbf", "4102444800.5", "not_yet_valid", "not_yet_valid"),
    ("iat", NUMBER, "", ""),
    ("jti", "1.5", "", ""),
];

#[derive(Deserialize)]
struct Few {
    #[serde(rename = "other")]
    _other: Option<u64>,
}

/// Checks every case for types that take all, some and none of the members. Returns their number.
pub fn check() -> usize {
    let mut count = 0;
    for (claim, value, strict, lax) in CASES {
        count += verdict(claim, value, strict, lax);
    }
    for number in NUMBERS {
        count += verdict("sub", number, "claim_type", "");
        count += verdict("iss", number, "claim_type", "");
        count += verdict("aud", number, "claim_type", "claim_type");
        count += verdict("iat", number, "", "");
    }
    count
}

fn verdict(claim: &str, value: &str, strict: &str, lax: &str) -> usize {
    let ring = KeyRing::<JwtKey>::builder().primary(Secret::from(SECRET)).build();
    let jwt = Jwt::new(ring.expect("a good key"));
    let sub = Some("one".to_owned());
    let mut validation = Validation { validate_nbf: true, sub, ..Validation::default() };
    validation.set_issuer(&["one"]);
    validation.set_audience(&["one"]);
    let asks = jwt.clone().validation(validation);
    let others =
        [("exp", "4102444800"), ("sub", "\"one\""), ("iss", "\"one\""), ("aud", "\"one\"")];
    let mut count = 0;
    for (jwt, expected, is_strict) in [(asks, strict, true), (jwt, lax, false)] {
        let mut members = vec![format!("\"{claim}\":{value}")];
        let is_other = |(name, _): &&(&str, &str)| *name != claim && (is_strict || *name == "exp");
        members
            .extend(others.iter().filter(is_other).map(|(name, own)| format!("\"{name}\":{own}")));
        for _ in 0..2 {
            members.reverse();
            let payload = format!("{{{}}}", members.join(","));
            let raw = RawValue::from_string(payload.clone());
            let Ok(raw) = raw else { panic!("{payload} is no JSON") };
            let token = jwt.sign(&raw).expect("an object");
            for found in [
                jwt.verify::<IgnoredAny>(&token).map(drop),
                jwt.verify::<Few>(&token).map(drop),
                jwt.verify::<Box<RawValue>>(&token).map(drop),
            ] {
                let found = found.map_or_else(|error| error.reason().as_str(), |()| "");
                assert_eq!(found, expected, "{payload}, strict: {is_strict}");
                count += 1;
            }
        }
    }
    count
}
