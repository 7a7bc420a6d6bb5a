//! The fast path and the reference come to the same verdict: on headers that are nearly those that
//! are compared, on names and numbers that no library writes, for types that take the claims as
//! they like.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny};
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::header::KNOWN;
use super::super::*;
use crate::clock::ManualClock;
use crate::encoding::BASE64URL;
use crate::error::{Claim, Reason};
use crate::mac::HmacSha256;
use crate::ring::KeyRing;
use crate::secret::Secret;
use crate::verified::Verified;

const SECRET: &str = "kH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eUkH7vQ2mXw9LrT4nZ8yB1cF6gJ0sD3pA5eU";
const NOW: u64 = 1_700_000_000;
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn jwt() -> Jwt {
    let clock = ManualClock::at_unix(NOW);
    Jwt::new(KeyRing::builder().primary(Secret::from(SECRET)).clock(clock).build().unwrap())
}

/// One that asks for everything.
fn strict() -> Jwt {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_nbf = true;
    validation.set_issuer(&["one", "two"]);
    validation.set_audience(&["one", "two"]);
    validation.sub = Some("one".to_owned());
    jwt().validation(validation)
}

/// A token of these parts as they are, under a good MAC.
fn raw(header: &str, payload: &str) -> String {
    let message = format!("{header}.{payload}");
    let tag = HmacSha256::new(SECRET.as_bytes()).mac(message.as_bytes());
    format!("{message}.{}", BASE64URL.encode_to_string(tag))
}

fn token(header: &str, payload: &str) -> String {
    raw(&BASE64URL.encode_to_string(header), &BASE64URL.encode_to_string(payload))
}

/// The verdict on `token`, the same both ways.
fn verdict<C: DeserializeOwned + PartialEq + Debug>(jwt: &Jwt, token: &str) -> Result<C, Reason> {
    let fast = jwt.verify::<C>(token).map(Verified::into_inner).map_err(|error| error.reason());
    let plain = jwt.verify_plainly::<C>(token).map(|(_, claims)| claims);
    assert_eq!(fast, plain.map_err(|error| error.reason()), "{token}");
    fast
}

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
struct Newtype(BTreeMap<String, Value>);

/// Walks through the members by itself, and takes names as bytes.
#[derive(Debug, PartialEq)]
struct Bytes(usize);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Deserialize<'de> for Name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Any;
                impl serde::de::Visitor<'_> for Any {
                    type Value = Name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("bytes")
                    }
                    fn visit_bytes<E>(self, _: &[u8]) -> Result<Name, E> {
                        Ok(Name)
                    }
                }
                from.deserialize_bytes(Any)
            }
        }
        struct Count;
        impl<'de> serde::de::Visitor<'de> for Count {
            type Value = Bytes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("members")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Bytes, A::Error> {
                let mut count = 0;
                while map.next_key::<Name>()?.is_some() {
                    map.next_value::<IgnoredAny>()?;
                    count += 1;
                }
                Ok(Bytes(count))
            }
        }
        from.deserialize_map(Count)
    }
}

/// The verdict for every kind of type; returns that for any JSON.
fn all(jwt: &Jwt, token: &str) -> Result<Value, Reason> {
    let _ = verdict::<Few>(jwt, token);
    let _ = verdict::<Flat>(jwt, token);
    let _ = verdict::<Either>(jwt, token);
    let _ = verdict::<Newtype>(jwt, token);
    let _ = verdict::<Bytes>(jwt, token);
    taken::<IgnoredAny>(jwt, token);
    taken::<Box<RawValue>>(jwt, token);
    verdict::<Value>(jwt, token)
}

/// The same for a type that cannot be compared: whether it is taken.
fn taken<C: DeserializeOwned>(jwt: &Jwt, token: &str) {
    let fast = jwt.verify::<C>(token).map(|_| ()).map_err(|error| error.reason());
    let plain = jwt.verify_plainly::<C>(token).map(|_| ()).map_err(|error| error.reason());
    assert_eq!(fast, plain, "{token}");
}

#[test]
fn a_header_that_differs_by_one_byte_from_a_compared_one_is_what_the_parser_says() {
    let jwt = jwt();
    let native = jwt.ring().read(|view| view.primary().unwrap().material().header().to_owned());
    let payload = BASE64URL.encode_to_string(r#"{"exp":4102444800}"#);
    let (mut accepted, mut refused) = (0, 0);
    for header in [native.as_str()].into_iter().chain(KNOWN.map(|(header, _)| header)) {
        for place in 0..=header.len() {
            let bytes = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"-_+/=. ");
            for byte in bytes {
                let byte = char::from(byte).to_string();
                // Another byte, one more, one less.
                for length in [1, 0] {
                    let mut changed = header.to_owned();
                    changed.replace_range(place..(place + length).min(header.len()), &byte);
                    match verdict::<Value>(&jwt, &raw(&changed, &payload)) {
                        Ok(_) => accepted += 1,
                        Err(_) => refused += 1,
                    }
                }
            }
            let mut shorter = header.to_owned();
            shorter.replace_range(place..(place + 1).min(header.len()), "");
            let _ = verdict::<Value>(&jwt, &raw(&shorter, &payload));
        }
    }
    println!("{accepted} headers nearly the compared ones were accepted, {refused} refused");
    // Most of a `typ` may be anything; the rest may not.
    assert!(accepted > 500 && refused > 30_000, "{accepted} {refused}");
}

#[test]
fn names_with_escapes_and_names_twice_are_what_they_stand_for() {
    let good = |payload: &str| all(&jwt(), &token(HEADER, payload)).map(|_| ());
    assert_eq!(good(r#"{"\u0065xp":4102444800}"#), Ok(()));
    assert_eq!(good(r#"{"\u0065xp":1}"#), Err(Reason::Expired));
    let twice = Err(Reason::DuplicateClaim(Claim::Exp));
    assert_eq!(good(r#"{"exp":4102444800,"\u0065xp":4102444800}"#), twice);
    assert_eq!(good(r#"{"exp":4102444800,"exp":4102444800}"#), twice);
    assert_eq!(good(r#"{"exp":4102444800,"exp":[]}"#), twice);
    for claim in ["iss", "sub", "nbf", "iat", "jti"] {
        let payload = format!(r#"{{"exp":4102444800,"{claim}":1,"{claim}":1}}"#);
        let reason = good(&payload).unwrap_err();
        assert!(matches!(reason, Reason::DuplicateClaim(twice) if twice.as_str() == claim));
        // Further down it is another's.
        let payload = format!(r#"{{"exp":4102444800,"x":{{"{claim}":[],"{claim}":{{}}}}}}"#);
        assert_eq!(good(&payload), Ok(()), "{claim}");
    }
    // What is no registered claim may be there twice, if the type takes it.
    assert_eq!(good(r#"{"exp":4102444800,"x":1,"x":2}"#), Ok(()));
    let of_struct = verdict::<Few>(&jwt(), &token(HEADER, r#"{"exp":4102444800,"x":1,"x":2}"#));
    assert!(of_struct.is_ok());
    let header = |header: &str| all(&jwt(), &token(header, r#"{"exp":4102444800}"#)).map(|_| ());
    assert_eq!(header(r#"{"\u0061lg":"HS256"}"#), Ok(()));
    assert_eq!(header(r#"{"alg":"HS256","\u0061lg":"HS256"}"#), Err(Reason::Malformed));
    assert_eq!(header(r#"{"alg":"HS256","typ":"JWT","typ":"JWT"}"#), Err(Reason::Malformed));
    assert_eq!(header(r#"{"alg":"\u0048S256"}"#), Ok(()));
}

#[test]
fn numbers_at_every_edge_are_dates_or_none() {
    let numbers = [
        "0",
        "-0",
        "-1",
        "1",
        "0.0",
        "-0.0",
        "1e0",
        "1E+0",
        "1e-1",
        "0e999",
        "1e999",
        "-1e999",
        "1700000000",
        "1699999940",
        "1699999939",
        "1700000060",
        "1700000061",
        "1700000000.0",
        "1699999940.000000001",
        "1.7e9",
        "4102444800",
        "4294967295",
        "4294967296",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551614",
        "18446744073709551615",
        "18446744073709551616",
        "18446744073709551615.0",
        "18446744073709551616.0",
        "99999999999999999999999999",
        "340282366920938463463374607431768211455",
        "340282366920938463463374607431768211456",
        "-9223372036854775808",
        "-9223372036854775809",
        "-99999999999999999999999999",
        "1e18",
        "1.8446744073709551615e19",
        "1.9e19",
        "5e-324",
        "0.1",
        "1.5",
        "00",
        "01",
        "+1",
        "1.",
        ".5",
        "1e",
        "0x1",
        "NaN",
        "Infinity",
        "\"4102444800\"",
        "null",
        "true",
        "[4102444800]",
        "{}",
    ];
    let mut accepted = 0;
    for number in numbers {
        for payload in [
            format!(r#"{{"exp":{number}}}"#),
            format!(r#"{{"nbf":{number},"exp":4102444800}}"#),
            format!("{{ \"exp\" :\t{number}\n}}"),
            format!(r#"{{"exp":4102444800,"nbf":{number},"sub":{number},"aud":{number}}}"#),
            format!(r#"{{"exp":{number},"iat":{number},"jti":{number}}}"#),
        ] {
            for jwt in [jwt(), strict()] {
                accepted += usize::from(all(&jwt, &token(HEADER, &payload)).is_ok());
            }
        }
    }
    assert!((50..400).contains(&accepted), "{accepted}");
}

#[test]
fn claims_of_8_kib_and_no_more() {
    let jwt = jwt();
    for length in [100, 500, 1000, 5900, 6050, 6100, 7000] {
        let payload = format!(r#"{{"x":"{}","exp":4102444800}}"#, "x".repeat(length));
        let token = token(HEADER, &payload);
        let verdict = all(&jwt, &token).map(|_| ());
        let fits = token.len() <= 8 * 1024;
        assert_eq!(verdict, if fits { Ok(()) } else { Err(Reason::TooLarge) }, "{length}");
    }
}

#[derive(Debug, Deserialize)]
struct Borrowed<'p> {
    #[serde(borrow)]
    sub: Cow<'p, str>,
}

#[derive(Debug, Deserialize)]
struct Bare<'p> {
    sub: &'p str,
}

#[test]
fn a_text_with_an_escape_cannot_be_borrowed_and_the_error_says_so() {
    let jwt = jwt();
    let mut buffer = Vec::new();
    let plain = token(HEADER, r#"{"sub":"o'ne","exp":4102444800}"#);
    let escaped = token(HEADER, r#"{"sub":"o\"ne","exp":4102444800}"#);
    let number = token(HEADER, r#"{"sub":1,"exp":4102444800,"x":"\""}"#);
    assert_eq!(jwt.verify_in::<Bare<'_>>(&plain, &mut buffer).unwrap().sub, "o'ne");
    let error = jwt.verify_in::<Bare<'_>>(&escaped, &mut buffer).map(|_| ()).unwrap_err();
    assert_eq!((error.reason(), error.to_string().as_str()), (Reason::Escaped, "refused: escaped"));
    let error = jwt.verify_in::<Bare<'_>>(&number, &mut buffer).map(|_| ()).unwrap_err();
    assert_eq!(error.reason(), Reason::Payload);

    let claims = jwt.verify_in::<Borrowed<'_>>(&plain, &mut buffer).unwrap();
    assert!(matches!(claims.sub, Cow::Borrowed("o'ne")));
    let claims = jwt.verify_in::<Borrowed<'_>>(&escaped, &mut buffer).unwrap();
    assert_eq!(claims.sub, "o\"ne");
    // One that is out of date is that first.
    let late = token(HEADER, r#"{"sub":"o\"ne","exp":1}"#);
    let error = jwt.verify_in::<Bare<'_>>(&late, &mut buffer).map(|_| ()).unwrap_err();
    assert_eq!(error.reason(), Reason::Expired);
}

/// Each verification has a room of its own for its payload.
#[test]
fn claims_may_verify_a_token_while_they_are_made() {
    struct Outer(String);
    impl<'de> Deserialize<'de> for Outer {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            #[derive(Deserialize)]
            struct Inside {
                inner: String,
            }
            let Inside { inner } = Inside::deserialize(from)?;
            let claims = jwt().verify::<Few>(&inner).map_err(serde::de::Error::custom)?;
            Ok(Self(claims.sub.clone().unwrap_or_default()))
        }
    }
    let inner = token(HEADER, r#"{"sub":"inner","exp":4102444800}"#);
    let outer = token(HEADER, &format!(r#"{{"inner":"{inner}","exp":4102444800}}"#));
    for _ in 0..3 {
        assert_eq!(jwt().verify::<Outer>(&outer).unwrap().0, "inner");
    }
}

fn member() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => prop::sample::select(vec!["exp", "nbf", "iss", "sub", "aud", "iat", "jti", "x", "role"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["e\\u0078p", "su\\u0062", "\\u0065xp\\u0000", "EXP", ""])
            .prop_map(str::to_owned),
    ];
    let value = prop_oneof![
        3 => prop::sample::select(vec![
            "4102444800", "1", "0", "-1", "1.5", "1e10", "18446744073709551616", "null", "true",
            "\"one\"", "\"two\"", "\"other\"", "\"\\u006fne\"", "[\"one\"]", "[]", "[1,\"two\"]",
            "{\"exp\":1}", "[{\"sub\":[]}]", "\"\\\"exp\\\":1\"",
        ]).prop_map(str::to_owned),
        1 => any::<String>().prop_map(|text| Value::from(text).to_string()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| format!("{number:e}")),
    ];
    let blank = prop::sample::select(vec!["", "", "", " ", "\n\t "]);
    (name, value, blank).prop_map(|(name, value, b)| format!("{b}\"{name}\"{b}:{b}{value}{b}"))
}

fn cases() -> ProptestConfig {
    let full = std::env::var_os("DUALKEY_TEST_FULL").is_some();
    ProptestConfig::with_cases(if full { 100_000 } else { 2_000 })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn both_ways_agree_on_any_members(
        members in prop::collection::vec(member(), 0..8),
        date in prop::option::weighted(0.8, Just("\"exp\":4102444800".to_owned())),
        strict_ones in any::<bool>(),
    ) {
        let members: Vec<_> = members.into_iter().chain(date).collect();
        let payload = format!("{{{}}}", members.join(","));
        let jwt = if strict_ones { strict() } else { jwt() };
        let _ = all(&jwt, &token(HEADER, &payload));
    }

    #[test]
    fn both_ways_agree_on_any_text(header in any::<String>(), payload in any::<String>()) {
        let _ = all(&jwt(), &token(&header, &payload));
        let _ = all(&jwt(), &token(HEADER, &payload));
        let _ = all(&jwt(), &raw(&header, &payload));
        let _ = all(&jwt(), &format!("{header}.{payload}"));
    }
}
