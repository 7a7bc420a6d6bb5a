//! Verdicts on tokens by their claims, as they must be under every set of features of `serde_json`.

use dualkey::jwt::{Jwt, JwtKey, Validation};
use dualkey::mac::HmacSha256;
use dualkey::{Error, KeyRing, ManualClock, Secret};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

const SECRET: &str = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";

/// An object as which `serde_json` shows a number to visitors, under `arbitrary_precision`.
const NUMBER: &str = r#"{"$serde_json::private::Number":"1.5"}"#;
const BAD_NUMBER: &str = r#"{"$serde_json::private::Number":"zz"}"#;
const RAW: &str = r#"{"$serde_json::private::RawValue":"1"}"#;

/// No value: the claim is not there.
const ABSENT: &str = "absent";

/// The claim is there twice, first as `null`.
const TWICE: &str = "twice";

/// Numbers of every kind: in and beyond the integers, with a fraction, an exponent, a sign.
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "1.5",
    "-0",
    "-0.0",
    "1e2",
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

const CASES: [Case; 75] = [
    ("sub", r#""one""#, "", ""),
    ("sub", r#""\u006fne""#, "", ""),
    ("sub", r#""two""#, "wrong_claim", ""),
    ("sub", r#""\ud800""#, "payload", "payload"),
    ("sub", "null", "missing_claim", ""),
    ("sub", ABSENT, "missing_claim", ""),
    ("sub", TWICE, "duplicate_claim", "duplicate_claim"),
    ("sub", r#""""#, "wrong_claim", ""),
    ("sub", "true", "claim_type", ""),
    ("sub", "[]", "claim_type", "claim_type"),
    ("sub", "{}", "claim_type", "claim_type"),
    ("sub", "[1.5]", "claim_type", "claim_type"),
    ("sub", NUMBER, "claim_type", "claim_type"),
    ("sub", BAD_NUMBER, "claim_type", "claim_type"),
    ("sub", RAW, "claim_type", "claim_type"),
    ("iss", r#""one""#, "", ""),
    ("iss", r#""two""#, "wrong_claim", ""),
    ("iss", "null", "missing_claim", ""),
    ("iss", ABSENT, "missing_claim", ""),
    ("iss", TWICE, "duplicate_claim", "duplicate_claim"),
    ("iss", r#""""#, "wrong_claim", ""),
    ("iss", "[\"one\"]", "claim_type", ""),
    ("iss", "[1.5]", "claim_type", ""),
    ("iss", NUMBER, "claim_type", ""),
    ("iss", BAD_NUMBER, "claim_type", ""),
    ("iss", RAW, "claim_type", ""),
    ("aud", r#""one""#, "", "wrong_claim"),
    ("aud", r#"["two","one"]"#, "", "wrong_claim"),
    ("aud", "[]", "wrong_claim", "wrong_claim"),
    ("aud", "null", "missing_claim", ""),
    ("aud", ABSENT, "missing_claim", ""),
    ("aud", TWICE, "duplicate_claim", "duplicate_claim"),
    ("aud", r#""""#, "wrong_claim", "wrong_claim"),
    ("aud", r#"["one",null]"#, "claim_type", "claim_type"),
    ("aud", "[null]", "claim_type", "claim_type"),
    ("aud", r#"["one","one"]"#, "", "wrong_claim"),
    ("aud", r#"["one",1]"#, "claim_type", "claim_type"),
    ("aud", r#"["one",1.5]"#, "claim_type", "claim_type"),
    ("aud", r#"["one",123456789012345678901234567890]"#, "claim_type", "claim_type"),
    ("aud", r#"["one",{}]"#, "claim_type", "claim_type"),
    ("aud", r#"["one",[1.5]]"#, "claim_type", "claim_type"),
    ("aud", NUMBER, "claim_type", "claim_type"),
    ("aud", RAW, "claim_type", "claim_type"),
    ("exp", "null", "missing_claim", "missing_claim"),
    ("exp", ABSENT, "missing_claim", "missing_claim"),
    ("exp", TWICE, "duplicate_claim", "duplicate_claim"),
    ("exp", r#""4102444800""#, "claim_type", "claim_type"),
    ("exp", "4102444800.5", "", ""),
    ("exp", "41024448e2", "", ""),
    ("exp", "18446744073709551615", "", ""),
    ("exp", "18446744073709551616", "claim_type", "claim_type"),
    ("exp", "-0", "expired", "expired"),
    ("exp", "1e2", "expired", "expired"),
    ("exp", "4.1024448e9", "", ""),
    ("exp", "1.5", "expired", "expired"),
    ("exp", "1E400", "claim_type", "claim_type"),
    ("exp", "-1e3", "expired", "expired"),
    ("exp", "123456789012345678901234567890", "claim_type", "claim_type"),
    ("exp", NUMBER, "claim_type", "claim_type"),
    ("exp", BAD_NUMBER, "claim_type", "claim_type"),
    ("nbf", "null", "", ""),
    ("nbf", ABSENT, "", ""),
    ("nbf", TWICE, "duplicate_claim", "duplicate_claim"),
    ("nbf", r#""1""#, "claim_type", "claim_type"),
    ("nbf", "-0", "", ""),
    ("nbf", "1e2", "", ""),
    ("nbf", "1E400", "claim_type", "claim_type"),
    ("nbf", "1.5", "", ""),
    ("nbf", "-1e3", "", ""),
    ("nbf", "4102444800.5", "not_yet_valid", "not_yet_valid"),
    ("iat", "null", "", ""),
    ("jti", "null", "", ""),
    ("iat", TWICE, "duplicate_claim", "duplicate_claim"),
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
        count += check_case(claim, value, strict, lax);
    }
    for number in NUMBERS {
        count += check_case("sub", number, "claim_type", "");
        count += check_case("iss", number, "claim_type", "");
        count += check_case("aud", number, "claim_type", "claim_type");
        count += check_case("iat", number, "", "");
    }
    count
}

fn check_case(claim: &str, value: &str, strict: &str, lax: &str) -> usize {
    let ring = KeyRing::<JwtKey>::builder()
        .primary(Secret::from(SECRET))
        .clock(ManualClock::at_unix(1_700_000_000))
        .build();
    let jwt = Jwt::new(ring.expect("a good key"));
    let mut validation = Validation { sub: Some("one".to_owned()), ..Validation::default() };
    validation.set_issuer(&["one"]);
    let asks = jwt.clone().validation(validation).audience("one");
    let others =
        [("exp", "4102444800"), ("sub", "\"one\""), ("iss", "\"one\""), ("aud", "\"one\"")];
    let mut count = 0;
    for (jwt, expected, is_strict) in [(asks, strict, true), (jwt, lax, false)] {
        let mut members = match value {
            ABSENT => Vec::new(),
            TWICE => vec![format!("\"{claim}\":null"), format!("\"{claim}\":null")],
            value => vec![format!("\"{claim}\":{value}")],
        };
        let is_other = |(name, _): &&(&str, &str)| *name != claim && (is_strict || *name == "exp");
        members.extend(
            others.iter().filter(is_other).map(|(name, text)| format!("\"{name}\":{text}")),
        );
        for _ in 0..2 {
            members.reverse();
            let payload = format!("{{{}}}", members.join(","));
            let raw = RawValue::from_string(payload.clone());
            let Ok(raw) = raw else { panic!("{payload} is no JSON") };
            let token = forge(&payload);
            for found in [
                jwt.verify::<IgnoredAny>(&token).map(drop),
                jwt.verify::<Few>(&token).map(drop),
                jwt.verify::<Box<RawValue>>(&token).map(drop),
            ] {
                let found = found.map_or_else(|error| error.reason().as_str(), |()| "");
                assert_eq!(found, expected, "{payload}, strict: {is_strict}");
                count += 1;
            }
            count += check_signing(&jwt, &payload, &raw, expected);
        }
    }
    count
}

/// Checks that claims are signed unless their form is rejected, as raw JSON and member by member.
fn check_signing(jwt: &Jwt, payload: &str, raw: &RawValue, expected: &str) -> usize {
    let is_signed = |verdict: Result<String, Error>| {
        let message = verdict.as_ref().err().map(Error::to_string);
        let is_refusal = |message: &String| message.starts_with("cannot sign: ");
        assert!(message.as_ref().is_none_or(is_refusal), "{message:?}");
        verdict.is_ok()
    };
    let is_expected = match expected {
        "" | "not_yet_valid" | "wrong_claim" => true,
        // No clock shows a time before 1970.
        "expired" => !payload.contains("\"exp\":-1"),
        _ => false,
    };
    assert_eq!(is_signed(jwt.sign(raw)), is_expected, "{payload}");
    // A tree has one value for each name, and numbers as the features of `serde_json` hold them.
    let tree = serde_json::from_str::<serde_json::Value>(payload);
    let Ok(tree) = tree.map_err(drop) else { return 1 };
    if expected != "duplicate_claim" && !payload.contains("$serde_json") {
        assert_eq!(is_signed(jwt.sign(&tree)), is_expected, "{payload} as a tree");
    }
    2
}

/// A token of these claims as they are, under a good signature.
fn forge(payload: &str) -> String {
    let header = r#"{"alg":"HS256"}"#;
    let message = format!("{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()));
    let tag = HmacSha256::new(SECRET.as_bytes()).mac(message.as_bytes());
    format!("{message}.{}", base64url(&tag))
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            text.push(char::from(ALPHABET[(word >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}
