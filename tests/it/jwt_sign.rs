//! Claims that are signed verify, and claims that no verifier would accept are not signed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use dualkey::jwt::{Algorithm, Header, Jwt, JwtKey, Validation};
use dualkey::{Claim, Error, KeyRing, ManualClock, NewKey, Reason, Secret};
use proptest::prelude::*;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::support::{forge, secret};

const NOW: u64 = 1_700_000_000;
const EXP: u64 = 1_700_000_600;

fn jwt() -> Jwt {
    let builder = KeyRing::<JwtKey>::builder().primary(Secret::from(secret(0)));
    Jwt::new(builder.clock(ManualClock::at_unix(NOW)).build().unwrap())
}

/// One that asks for everything.
fn strict_jwt() -> Jwt {
    let mut validation = Validation::default();
    validation.set_required_spec_claims(&["nbf"]);
    validation.sub = Some("one".to_owned());
    jwt().validation(validation).issuer("one").audience("one").audience("two")
}

/// One that asks for nothing but dates that are dates.
fn lax_jwt() -> Jwt {
    let mut validation = Validation { validate_aud: false, ..Validation::default() };
    validation.required_spec_claims.clear();
    jwt().validation(validation)
}

fn raw_value(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// The message of a refusal.
fn refusal<C: Serialize + ?Sized>(jwt: &Jwt, claims: &C) -> Option<String> {
    match jwt.sign(claims) {
        Ok(_) => None,
        Err(error @ Error::Sign { .. }) => Some(error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

/// What a verifier says of a token with a good signature over this payload.
fn verdict<C: DeserializeOwned>(jwt: &Jwt, payload: &str) -> Result<(), Reason> {
    let token = forge(secret(0).as_bytes(), r#"{"alg":"HS256"}"#, payload.as_bytes());
    jwt.verify::<C>(&token).map(drop).map_err(|error| error.reason())
}

/// The members as they are, of a map or a struct, in this order.
struct Members<'m>(&'m [(&'static str, Value)], bool);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.1 {
            let mut members = serializer.serialize_struct("Claims", self.0.len())?;
            for (name, value) in self.0 {
                members.serialize_field(name, value)?;
            }
            return members.end();
        }
        let mut members = serializer.serialize_map(None)?;
        for (name, value) in self.0 {
            members.serialize_key(name)?;
            members.serialize_value(value)?;
        }
        members.end()
    }
}

#[test]
fn claims_of_a_form_that_verify_rejects_are_not_signed() {
    let exp = format!(r#""exp":{EXP}"#);
    for (jwt, payload, reason) in [
        (jwt(), r#"{"sub":"one"}"#.to_owned(), Reason::MissingClaim(Claim::Exp)),
        (jwt(), r#"{"exp":null}"#.to_owned(), Reason::MissingClaim(Claim::Exp)),
        (jwt(), format!(r#"{{"exp":"{EXP}"}}"#), Reason::ClaimType(Claim::Exp)),
        (jwt(), r#"{"exp":true}"#.to_owned(), Reason::ClaimType(Claim::Exp)),
        (jwt(), r#"{"exp":1e300}"#.to_owned(), Reason::ClaimType(Claim::Exp)),
        (jwt(), r#"{"exp":18446744073709551616}"#.to_owned(), Reason::ClaimType(Claim::Exp)),
        (jwt(), format!(r#"{{"exp":[{EXP}]}}"#), Reason::ClaimType(Claim::Exp)),
        (jwt(), format!(r#"{{"exp":{{"at":{EXP}}}}}"#), Reason::ClaimType(Claim::Exp)),
        (jwt(), format!(r#"{{{exp},"nbf":"2026-01-15"}}"#), Reason::ClaimType(Claim::Nbf)),
        (jwt(), format!(r#"{{{exp},"nbf":[]}}"#), Reason::ClaimType(Claim::Nbf)),
        (jwt(), format!(r#"{{{exp},"sub":{{"id":1}}}}"#), Reason::ClaimType(Claim::Sub)),
        (jwt(), format!(r#"{{{exp},"aud":7}}"#), Reason::ClaimType(Claim::Aud)),
        (jwt(), format!(r#"{{{exp},"aud":[null]}}"#), Reason::ClaimType(Claim::Aud)),
        (jwt(), format!(r#"{{{exp},"aud":["one",["two"]]}}"#), Reason::ClaimType(Claim::Aud)),
        (jwt(), format!(r#"{{{exp},"aud":["one",{{}}]}}"#), Reason::ClaimType(Claim::Aud)),
        (jwt(), format!(r#"{{{exp},{exp}}}"#), Reason::DuplicateClaim(Claim::Exp)),
        (jwt(), format!(r#"{{{exp},"iat":1,"iat":1}}"#), Reason::DuplicateClaim(Claim::Iat)),
        (jwt(), format!(r#"{{{exp},"nbf":null,"nbf":1}}"#), Reason::DuplicateClaim(Claim::Nbf)),
        (jwt(), format!(r#"{{{exp},"\u0065xp":1}}"#), Reason::DuplicateClaim(Claim::Exp)),
        (
            strict_jwt(),
            format!(r#"{{{exp},"nbf":1,"sub":"one","aud":"one"}}"#),
            Reason::MissingClaim(Claim::Iss),
        ),
        (
            strict_jwt(),
            format!(r#"{{{exp},"nbf":1,"sub":"one","iss":["one"],"aud":"one"}}"#),
            Reason::ClaimType(Claim::Iss),
        ),
        (
            strict_jwt(),
            format!(r#"{{{exp},"nbf":1,"iss":"one","aud":"one"}}"#),
            Reason::MissingClaim(Claim::Sub),
        ),
        (
            strict_jwt(),
            format!(r#"{{{exp},"nbf":1,"iss":"one","sub":7,"aud":"one"}}"#),
            Reason::ClaimType(Claim::Sub),
        ),
        (
            strict_jwt(),
            format!(r#"{{{exp},"nbf":1,"iss":"one","sub":"one"}}"#),
            Reason::MissingClaim(Claim::Aud),
        ),
        (
            strict_jwt(),
            format!(r#"{{{exp},"iss":"one","sub":"one","aud":"one"}}"#),
            Reason::MissingClaim(Claim::Nbf),
        ),
        (lax_jwt(), r#"{"exp":"soon"}"#.to_owned(), Reason::ClaimType(Claim::Exp)),
    ] {
        assert_eq!(verdict::<IgnoredAny>(&jwt, &payload), Err(reason), "{payload}");
        let name = match reason {
            Reason::MissingClaim(claim)
            | Reason::ClaimType(claim)
            | Reason::DuplicateClaim(claim) => claim.as_str(),
            other => panic!("{other}"),
        };
        let message =
            refusal(&jwt, &*raw_value(&payload)).unwrap_or_else(|| panic!("{payload} was signed"));
        assert!(message.starts_with(&format!("cannot sign: the claim `{name}` ")), "{message}");
        if !matches!(reason, Reason::DuplicateClaim(_)) {
            let tree: Value = serde_json::from_str(&payload).unwrap();
            assert!(refusal(&jwt, &tree).is_some(), "{payload} as a tree");
        }
    }
    let negative = refusal(&jwt(), &json!({ "exp": -1 })).unwrap();
    assert!(negative.contains("`exp` is negative"), "{negative}");
    assert!(refusal(&jwt(), &*raw_value(r#"{"exp":-1.5e3}"#)).is_some());
    assert!(refusal(&jwt(), &json!({ "exp": f64::NAN })).is_some());
}

#[test]
fn claims_that_verify_accepts_are_signed() {
    let odd = format!(r#"{{ "e\u0078p" :{EXP}.5, "role":"a\"b", "x":[{{"exp":[]}}] }}"#);
    for (jwt, payload) in [
        (jwt(), format!(r#"{{"exp":{EXP}}}"#)),
        (jwt(), odd),
        (
            jwt(),
            format!(
                r#"{{"exp":{EXP},"nbf":null,"iat":null,"sub":null,"iss":null,"aud":null,"jti":null}}"#
            ),
        ),
        (
            jwt(),
            format!(r#"{{"exp":{EXP},"nbf":-1,"iat":"today","sub":7,"iss":["one"],"jti":{{}}}}"#),
        ),
        (jwt(), r#"{"exp":1.8446744073709e19}"#.to_owned()),
        (jwt(), format!(r#"{{"exp":{EXP},"nbf":-0,"x":null,"":1}}"#)),
        (
            strict_jwt(),
            format!(r#"{{"exp":{EXP},"nbf":1e2,"sub":"one","iss":"one","aud":["two","three"]}}"#),
        ),
        (
            strict_jwt(),
            format!(r#"{{"exp":{EXP},"nbf":1,"sub":"one","iss":"one","aud":"one","exp\n":1}}"#),
        ),
        (lax_jwt(), "{}".to_owned()),
        (lax_jwt(), r#"{"exp":null,"nbf":null,"aud":{"one":1}}"#.to_owned()),
    ] {
        assert_eq!(verdict::<Value>(&jwt, &payload), Ok(()), "{payload}");
        assert_eq!(refusal(&jwt, &*raw_value(&payload)), None, "{payload}");
        let tree: Value = serde_json::from_str(&payload).unwrap();
        assert_eq!(refusal(&jwt, &tree), None, "{payload} as a tree");
        assert!(jwt.verify::<Value>(&jwt.sign(&tree).unwrap()).is_ok());
    }
    // The time and the names are the verifier's affair: another one may accept them.
    for claims in [
        json!({ "exp": 1 }),
        json!({ "exp": EXP, "nbf": EXP - 1 }),
        json!({ "exp": EXP, "aud": "another service" }),
    ] {
        assert_eq!(refusal(&jwt(), &claims), None, "{claims}");
    }
}

#[test]
fn a_claim_that_is_there_twice_is_not_signed() {
    let exp = ("exp", json!(EXP));
    for (first, second) in [
        (("role", json!("user")), ("role", json!("admin"))),
        (("", json!(1)), ("", json!(1))),
        (("", json!("exp")), ("", json!("a"))),
        (("a\nb", json!("exp")), ("a\nb", json!("exp"))),
        (("id", json!("exp")), ("id", json!(1))),
        (("sub", json!("one")), ("sub", json!("one"))),
        (("aud", Value::Null), ("aud", Value::Null)),
        (("aud", json!(["one"])), ("aud", json!(["one"]))),
        (("iat", json!(1)), ("iat", json!(1))),
    ] {
        let members = [first, exp.clone(), second];
        for is_struct in [true, false] {
            let message = refusal(&jwt(), &Members(&members, is_struct)).unwrap();
            assert!(message.contains(" is there twice"), "{message}");
        }
        let json = serde_json::to_string(&Members(&members, false)).unwrap();
        assert!(refusal(&jwt(), &*raw_value(&json)).is_some(), "{json}");
    }
    // Further down it is another's.
    let below =
        raw_value(&format!(r#"{{"exp":{EXP},"x":{{"exp":1,"exp":[]}},"y":[{{"a":1,"a":2}}]}}"#));
    assert_eq!(refusal(&jwt(), &*below), None);

    #[derive(Serialize)]
    struct Flat {
        exp: u64,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }
    let more = |name: &str| BTreeMap::from([(name.to_owned(), json!(EXP))]);
    assert_eq!(refusal(&jwt(), &Flat { exp: EXP, more: more("iat") }), None);
    assert!(refusal(&jwt(), &Flat { exp: EXP, more: more("exp") }).is_some());
    // Names that are written in pieces.
    #[derive(PartialEq, Eq, Hash)]
    struct Pieces(&'static str, &'static str);
    impl Serialize for Pieces {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&format_args!("{}{}", self.0, self.1))
        }
    }
    let pieces = HashMap::from([(Pieces("e", "xp"), EXP)]);
    assert_eq!(refusal(&jwt(), &pieces), None);
    let pieces = HashMap::from([(Pieces("e", "xp"), EXP), (Pieces("ex", "p"), EXP)]);
    assert!(refusal(&jwt(), &pieces).is_some());
    let numbers = HashMap::from([(Pieces("exp", "2"), EXP)]);
    assert!(refusal(&jwt(), &numbers).unwrap().contains("`exp` is missing"));
    // Many names, whatever their order.
    let mut many: HashMap<String, u64> = (0..300).map(|n| (format!("m{n}"), n)).collect();
    many.insert("exp".to_owned(), EXP);
    assert_eq!(refusal(&jwt(), &many), None);
}

#[test]
fn claims_that_are_no_json_object_that_can_be_read_are_not_signed() {
    assert!(refusal(&jwt(), "a text").is_some());
    assert!(refusal(&jwt(), &[EXP]).is_some());
    assert!(refusal(&jwt(), &()).is_some());
    assert!(refusal(&jwt(), &None::<Flat>).is_some());
    assert!(refusal(&jwt(), &*raw_value("[]")).is_some());

    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Flat {
        Exp(u64),
    }
    // An object all the same.
    assert_eq!(refusal(&jwt(), &Some(Flat::Exp(EXP))), None);

    let nested = |depth: usize| {
        let inner = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"x":{inner},"exp":{EXP}}}"#)
    };
    for (depth, is_read) in [(1, true), (126, true), (127, false), (1000, false)] {
        let payload = nested(depth);
        assert_eq!(verdict::<Value>(&jwt(), &payload).is_ok(), is_read, "{depth}");
        assert_eq!(refusal(&jwt(), &*raw_value(&payload)).is_none(), is_read, "{depth}");
        let mut tree = json!([]);
        (1..depth).for_each(|_| tree = json!([tree]));
        let claims = json!({ "x": tree, "exp": EXP });
        assert_eq!(refusal(&jwt(), &claims).is_none(), is_read, "{depth}");
    }
}

#[test]
fn a_token_that_is_too_large_for_its_verifier_is_not_signed() {
    let claims = |length: usize| json!({ "x": "x".repeat(length), "exp": EXP });
    let small = jwt().max_token_bytes(300);
    let usage = |jwt: &Jwt| jwt.ring().keys()[0].usage.signed;
    let (mut signed, mut refused) = (0, 0);
    for length in 0..300 {
        match small.sign(&claims(length)) {
            Ok(token) => {
                assert!(small.verify::<Value>(&token).is_ok(), "{length}");
                signed += 1;
            }
            Err(error) => {
                assert!(error.to_string().contains("`max_token_bytes`"), "{error}");
                refused += 1;
                let token = jwt().sign(&claims(length)).unwrap();
                let verdict = small.verify::<Value>(&token).map(drop).unwrap_err();
                assert_eq!(verdict.reason(), Reason::TooLarge);
            }
        }
    }
    assert!(signed > 50 && refused > 50, "{signed} {refused}");
    assert_eq!(usage(&small), signed);
    assert!(jwt().sign(&claims(8 * 1024)).is_err());
    assert!(jwt().max_token_bytes(16 * 1024).sign(&claims(8 * 1024)).is_ok());
    let header = Header { typ: Some("x".repeat(200)), ..Header::default() };
    assert!(small.sign_with_header(&header, &claims(1)).is_err());
    assert!(small.sign_with_header(&Header::default(), &claims(1)).is_ok());
}

#[test]
fn a_header_that_verify_rejects_is_not_signed() {
    let claims = json!({ "exp": EXP });
    let extra = |name: &str, value: Value| {
        let text = json!({ "alg": "HS256", name: value }).to_string();
        serde_json::from_str::<Header>(&text).unwrap()
    };
    let mut refused = 0;
    for header in [
        Header::new(Algorithm::HS512),
        Header { crit: Some(vec![]), ..Header::default() },
        Header { crit: Some(vec!["exp".to_owned()]), ..Header::default() },
        extra("b64", json!(false)),
        extra("b64", json!("no")),
        extra("crit", json!(["x"])),
    ] {
        assert!(jwt().sign_with_header(&header, &claims).is_err(), "{header:?}");
        refused += 1;
    }
    assert_eq!(refused, 6);
    for header in [
        Header { typ: None, ..Header::default() },
        Header { kid: Some("another".to_owned()), ..Header::default() },
        extra("b64", json!(true)),
        extra("x", json!({ "y": [1, 2] })),
    ] {
        let token = jwt().sign_with_header(&header, &claims).unwrap();
        assert!(jwt().verify_with_header::<Value>(&token).is_ok(), "{header:?}");
    }
    for claims in [json!({}), json!({ "exp": "soon" }), json!([])] {
        assert!(jwt().sign_with_header(&Header::default(), &claims).is_err(), "{claims}");
    }
}

/// An algorithm that the settings leave out: every token would be refused.
#[test]
fn an_algorithm_that_the_settings_do_not_allow_is_not_signed() {
    let key = NewKey::new(Secret::from(secret(0))).algorithm(Algorithm::HS512);
    let jwt = Jwt::new(KeyRing::<JwtKey>::builder().primary(key).build().unwrap());
    let claims = json!({ "exp": 4_102_444_800_u64 });
    assert!(jwt.sign(&claims).is_ok());
    let narrow = jwt.validation(Validation::new(Algorithm::HS256));
    let message = refusal(&narrow, &claims).unwrap();
    assert!(message.contains("the algorithm of the primary"), "{message}");
}

/// RFC 8725 §3.8 and §3.9.
#[test]
fn an_issuer_audience_or_subject_that_was_asked_for_must_be_there() {
    let mut of_validation = Validation::default();
    of_validation.set_issuer(&["one", "two"]);
    of_validation.set_audience(&["one", "two"]);
    of_validation.sub = Some("one".to_owned());
    let literal = jwt().dangerous().validation(of_validation.clone());
    let of_validation = jwt().validation(of_validation);
    let sub = Validation { sub: Some("one".to_owned()), ..Validation::default() };
    let refined = jwt().issuer("one").issuer("two").audience("one").audience("two").validation(sub);
    for jwt in [literal, of_validation, refined] {
        let verdict = |more: &str| verdict::<Value>(&jwt, &format!(r#"{{"exp":{EXP},{more}}}"#));
        assert_eq!(verdict(r#""iss":"one","sub":"one","aud":"one""#), Ok(()));
        assert_eq!(verdict(r#""iss":"two","sub":"one","aud":["x","two"]"#), Ok(()));
        for (more, reason) in [
            (r#""sub":"one","aud":"one""#, Reason::MissingClaim(Claim::Iss)),
            (r#""iss":null,"sub":"one","aud":"one""#, Reason::MissingClaim(Claim::Iss)),
            (r#""iss":"","sub":"one","aud":"one""#, Reason::WrongClaim(Claim::Iss)),
            (r#""iss":["one"],"sub":"one","aud":"one""#, Reason::ClaimType(Claim::Iss)),
            (r#""iss":"one","aud":"one""#, Reason::MissingClaim(Claim::Sub)),
            (r#""iss":"one","sub":null,"aud":"one""#, Reason::MissingClaim(Claim::Sub)),
            (r#""iss":"one","sub":"One","aud":"one""#, Reason::WrongClaim(Claim::Sub)),
            (r#""iss":"one","sub":"one""#, Reason::MissingClaim(Claim::Aud)),
            (r#""iss":"one","sub":"one","aud":null"#, Reason::MissingClaim(Claim::Aud)),
            (r#""iss":"one","sub":"one","aud":[]"#, Reason::WrongClaim(Claim::Aud)),
            (r#""iss":"one","sub":"one","aud":"""#, Reason::WrongClaim(Claim::Aud)),
            (r#""iss":"one","sub":"one","aud":["one",null]"#, Reason::ClaimType(Claim::Aud)),
            (
                r#""iss":"one","sub":"one","aud":null,"aud":"one""#,
                Reason::DuplicateClaim(Claim::Aud),
            ),
        ] {
            assert_eq!(verdict(more), Err(reason), "{more}");
        }
    }
    // Of no audience, every token is refused.
    let mut nobody = Validation::default();
    nobody.set_audience::<&str>(&[]);
    let jwt = jwt().validation(nobody);
    let exp = format!(r#""exp":{EXP}"#);
    assert_eq!(
        verdict::<Value>(&jwt, &format!("{{{exp}}}")),
        Err(Reason::MissingClaim(Claim::Aud))
    );
    for aud in [r#""one""#, r#""""#, "[]", r#"["one"]"#] {
        let payload = format!(r#"{{{exp},"aud":{aud}}}"#);
        assert_eq!(verdict::<Value>(&jwt, &payload), Err(Reason::WrongClaim(Claim::Aud)));
    }
}

#[test]
fn null_in_a_claim_that_is_not_required_counts_as_absent() {
    for claim in ["nbf", "iss", "sub", "aud", "iat", "jti"] {
        let payload = format!(r#"{{"exp":{EXP},"{claim}":null}}"#);
        assert_eq!(verdict::<Value>(&jwt(), &payload), Ok(()), "{payload}");
        let twice = format!(r#"{{"exp":{EXP},"{claim}":null,"{claim}":null}}"#);
        let reason = verdict::<Value>(&jwt(), &twice).unwrap_err();
        assert!(
            matches!(reason, Reason::DuplicateClaim(name) if name.as_str() == claim),
            "{twice}"
        );
    }
    assert_eq!(verdict::<Value>(&jwt(), r#"{"exp":null}"#), Err(Reason::MissingClaim(Claim::Exp)));
    assert_eq!(verdict::<Value>(&lax_jwt(), r#"{"exp":null,"nbf":null}"#), Ok(()));
    let mut validation = Validation::default();
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "sub", "aud"]);
    let all = jwt().dangerous().validation(Validation { validate_aud: false, ..validation });
    for claim in ["exp", "nbf", "iss", "sub", "aud"] {
        let members = ["exp", "nbf", "iss", "sub", "aud"].map(|name| match name {
            name if name == claim => format!(r#""{name}":null"#),
            "exp" => format!(r#""exp":{EXP}"#),
            "nbf" => r#""nbf":1"#.to_owned(),
            name => format!(r#""{name}":"one""#),
        });
        let reason = verdict::<Value>(&all, &format!("{{{}}}", members.join(","))).unwrap_err();
        assert!(matches!(reason, Reason::MissingClaim(name) if name.as_str() == claim), "{claim}");
    }
}

/// Each way to make one setting, and what it must leave on.
#[test]
fn no_setting_switches_another_check_off() {
    let validation = |change: fn(&mut Validation)| {
        let mut validation = Validation::new(Algorithm::HS256);
        change(&mut validation);
        validation
    };
    let settings = [
        jwt(),
        jwt().leeway(Duration::ZERO),
        jwt().issuer("one"),
        jwt().audience("one"),
        jwt().validation(validation(|_| ())),
        jwt().validation(validation(|rules| rules.leeway = 0)),
        jwt().validation(validation(|rules| rules.set_issuer(&["one"]))),
        jwt().validation(validation(|rules| rules.set_audience(&["one"]))),
        jwt().validation(validation(|rules| rules.sub = Some("one".to_owned()))),
        jwt().validation(validation(|rules| rules.set_required_spec_claims(&["sub"]))),
        jwt().validation(validation(|rules| rules.set_required_spec_claims(&["iss", "aud"]))),
        jwt().validation(validation(|rules| rules.validate_aud = false)),
        jwt().validation(validation(|rules| rules.reject_tokens_expiring_in_less_than = 1)),
        jwt().max_token_bytes(1000),
    ];
    for (place, jwt) in settings.iter().enumerate() {
        let aud = if place == 0 { "" } else { r#","aud":"one""# };
        for aud in ["", aud] {
            let verdict = |dates: &str| {
                verdict::<Value>(jwt, &format!(r#"{{{dates}"sub":"one","iss":"one"{aud}}}"#))
            };
            let early = EXP + 1;
            assert!(verdict(&format!(r#""exp":{EXP},"nbf":{early},"#)).is_err(), "{place}");
            assert!(verdict(r#""exp":1,"#).is_err(), "{place}");
            assert_eq!(verdict(""), Err(Reason::MissingClaim(Claim::Exp)), "{place}");
            let text = format!(r#""exp":"{EXP}","#);
            assert_eq!(verdict(&text), Err(Reason::ClaimType(Claim::Exp)), "{place}");
        }
    }
    // What was asked for first stays asked for.
    let exp = format!(r#"{{"exp":{EXP}}}"#);
    for (jwt, claim) in [
        (jwt().issuer("one").validation(validation(|rules| rules.leeway = 0)), Claim::Iss),
        (jwt().audience("one").validation(validation(|rules| rules.leeway = 0)), Claim::Aud),
        (jwt().audience("one").leeway(Duration::ZERO).max_token_bytes(1000), Claim::Aud),
        (jwt().audience("two").issuer("one"), Claim::Iss),
        (
            jwt()
                .validation(validation(|rules| rules.sub = Some("one".to_owned())))
                .validation(validation(|_| ())),
            Claim::Sub,
        ),
    ] {
        assert_eq!(verdict::<Value>(&jwt, &exp), Err(Reason::MissingClaim(claim)));
    }
    // What is switched off by name is off.
    let off = validation(|rules| rules.validate_exp = false);
    assert_eq!(verdict::<Value>(&jwt().validation(off), r#"{"exp":1}"#), Ok(()));
    let off = validation(|rules| rules.required_spec_claims.clear());
    assert_eq!(verdict::<Value>(&jwt().validation(off), "{}"), Ok(()));
    let nbf = format!(r#"{{"exp":{EXP},"nbf":{EXP}}}"#);
    let off = jwt().dangerous().validation(Validation::default());
    assert_eq!(verdict::<Value>(&off, &nbf), Ok(()));
}

/// Whichever of the two comes first.
#[test]
fn a_leeway_stays_unless_a_validation_has_one() {
    let with = |leeway: u64| Validation { leeway, ..Validation::default() };
    let zero = || jwt().leeway(Duration::ZERO);
    let (late, later) = ("1699999990", "1699999941");
    for (jwt, is_late, is_later) in [
        (jwt().validation(with(60)), true, true),
        (zero().validation(Validation::default()), false, false),
        (jwt().validation(Validation::default()).leeway(Duration::ZERO), false, false),
        (zero().issuer("one").validation(Validation { iss: None, ..with(60) }), false, false),
        (zero().validation(with(30)), true, false),
        (jwt().validation(with(30)).validation(Validation::default()), true, false),
        (zero().validation(with(0)), false, false),
        (jwt().leeway(Duration::from_secs(30)).validation(with(0)), false, false),
        // Taken literally.
        (zero().dangerous().validation(Validation::default()), true, true),
    ] {
        for (exp, is_accepted) in [(late, is_late), (later, is_later)] {
            let payload = format!(r#"{{"exp":{exp},"iss":"one"}}"#);
            assert_eq!(verdict::<Value>(&jwt, &payload).is_ok(), is_accepted, "{exp}");
        }
    }
}

/// A type that takes the text cannot be read from it, and one that ignores it can.
#[test]
fn half_a_character_is_not_signed() {
    for (text, is_whole) in [
        (r"\ud83e\udd80", true),
        (r"\uD83E\uDD80\ud83e\udd80", true),
        (r"\\ud83e", true),
        (r"\\\\udd80", true),
        (r"\ue000\ud7ff\u0000", true),
        (r"\ud83e", false),
        (r"\uD83Ex", false),
        (r"\udd80", false),
        (r"\udd80\ud83e", false),
        (r"\ud83e\ud83e\udd80", false),
        (r"\ud83e\\udd80", false),
        (r"\ud83e\n\udd80", false),
        (r"\\\ud83e", false),
    ] {
        for json in [
            format!(r#"{{"exp":{EXP},"x":"{text}"}}"#),
            format!(r#"{{"x":[{{"y":"{text}"}},"a"],"exp":{EXP}}}"#),
            format!(r#"{{"x":{{"{text}":1}},"exp":{EXP}}}"#),
            format!(r#"{{"exp":{EXP},"jti":"{text}"}}"#),
            format!(r#"{{"exp":{EXP},"x":["{text}","\u0041"]}}"#),
        ] {
            assert_eq!(verdict::<Value>(&jwt(), &json).is_ok(), is_whole, "{json}");
            assert_eq!(refusal(&jwt(), &*raw_value(&json)).is_none(), is_whole, "{json}");
        }
        let json = format!(r#"{{"exp":{EXP},"{text}":1}}"#);
        assert_eq!(refusal(&jwt(), &*raw_value(&json)).is_none(), is_whole, "{json}");
    }
}

#[test]
fn a_leeway_is_exact() {
    let exp = |jwt: Jwt, exp: &str| verdict::<Value>(&jwt, &format!(r#"{{"exp":{exp}}}"#));
    assert_eq!(exp(jwt(), "1699999941"), Ok(()));
    assert_eq!(exp(jwt(), "1699999940"), Err(Reason::Expired));
    let half = || jwt().leeway(Duration::from_millis(500));
    assert_eq!(exp(half(), "1699999999.75"), Ok(()));
    assert_eq!(exp(half(), "1699999999.5"), Err(Reason::Expired));
    assert_eq!(exp(jwt().leeway(Duration::MAX), "0"), Ok(()));
}

fn member() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        6 => prop::sample::select(vec!["nbf", "iss", "sub", "aud", "iat", "jti", "x", "role"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["exp", "e\\u0078p", "su\\u0062", "EXP", "", "a\\nb"])
            .prop_map(str::to_owned),
    ];
    let value = prop_oneof![
        6 => prop::sample::select(vec![
            "1", "0", "-1", "1.5", "1e2", "-0", "null", "\"one\"", "\"two\"", "\"\"", "[\"one\"]",
        ])
        .prop_map(str::to_owned),
        2 => prop::sample::select(vec![
            "true", "[]", "{}", "[1,\"two\"]", "[null]", "{\"exp\":1}", "[[\"one\"]]",
            "18446744073709551616", "1e300", "\"1700000000\"", "[{\"sub\":[]}]", "\"\\u006fne\"",
        ])
        .prop_map(str::to_owned),
        1 => any::<String>().prop_map(|text| Value::from(text).to_string()),
    ];
    (name, value)
}

fn payload() -> impl Strategy<Value = String> {
    let exp = prop_oneof![
        8 => Just(Some(EXP.to_string())),
        1 => Just(Some(format!("{EXP}.5"))),
        1 => Just(Some("null".to_owned())),
        1 => Just(Some(format!("\"{EXP}\""))),
        1 => Just(None),
    ];
    (prop::collection::vec(member(), 0..6), exp, any::<bool>()).prop_map(|(members, exp, last)| {
        let mut members: Vec<_> =
            members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let place = if last { members.len() } else { 0 };
        if let Some(exp) = exp {
            members.insert(place, format!("\"exp\":{exp}"));
        }
        format!("{{{}}}", members.join(","))
    })
}

/// A value by the way in which it is serialized.
#[derive(Debug, Clone)]
enum Way {
    Bool(bool),
    I8(i8),
    U16(u16),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F32(f32),
    F64(f64),
    Char(char),
    Text(String),
    Bytes(Vec<u8>),
    Display(u64),
    Unit,
    Some(Box<Way>),
    Newtype(Box<Way>),
    Variant(Box<Way>),
    UnitVariant,
    List(Vec<Way>),
    Tuple(Box<Way>, Box<Way>),
    Map(BTreeMap<i32, Way>),
    Raw(&'static str),
}

impl Serialize for Way {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::I8(value) => serializer.serialize_i8(*value),
            Self::U16(value) => serializer.serialize_u16(*value),
            Self::I64(value) => serializer.serialize_i64(*value),
            Self::U64(value) => serializer.serialize_u64(*value),
            Self::I128(value) => serializer.serialize_i128(*value),
            Self::U128(value) => serializer.serialize_u128(*value),
            Self::F32(value) => serializer.serialize_f32(*value),
            Self::F64(value) => serializer.serialize_f64(*value),
            Self::Char(value) => serializer.serialize_char(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::Display(value) => serializer.collect_str(value),
            Self::Unit => serializer.serialize_unit(),
            Self::Some(value) => serializer.serialize_some(value),
            Self::Newtype(value) => serializer.serialize_newtype_struct("Way", value),
            Self::Variant(value) => serializer.serialize_newtype_variant("Way", 0, "exp", value),
            Self::UnitVariant => serializer.serialize_unit_variant("Way", 0, "one"),
            Self::List(values) => values.serialize(serializer),
            Self::Tuple(one, other) => (one, other).serialize(serializer),
            Self::Map(values) => values.serialize(serializer),
            Self::Raw(json) => raw_value(json).serialize(serializer),
        }
    }
}

fn way() -> impl Strategy<Value = Way> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Way::Bool),
        any::<i8>().prop_map(Way::I8),
        any::<u16>().prop_map(Way::U16),
        any::<i64>().prop_map(Way::I64),
        any::<u64>().prop_map(Way::U64),
        Just(Way::U64(EXP)),
        any::<i128>().prop_map(Way::I128),
        any::<u128>().prop_map(Way::U128),
        (0..=EXP).prop_map(|value| Way::U128(value.into())),
        any::<f32>().prop_map(Way::F32),
        any::<f64>().prop_map(Way::F64),
        any::<char>().prop_map(Way::Char),
        prop_oneof![Just("one".to_owned()), any::<String>()].prop_map(Way::Text),
        any::<Vec<u8>>().prop_map(Way::Bytes),
        any::<u64>().prop_map(Way::Display),
        Just(Way::Unit),
        Just(Way::UnitVariant),
        prop::sample::select(vec!["1", "null", " \"one\"", "[ \"one\" ]", "1e2", "{\"a\":1}"])
            .prop_map(Way::Raw),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed().prop_map(Way::Some),
            boxed().prop_map(Way::Newtype),
            boxed().prop_map(Way::Variant),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Way::List),
            (boxed(), boxed()).prop_map(|(one, other)| Way::Tuple(one, other)),
            prop::collection::btree_map(any::<i32>(), inner, 0..3).prop_map(Way::Map),
        ]
    })
}

/// Members that are written as a struct or as a map.
struct Ways<'m>(&'m [(&'static str, Way)], bool);

impl Serialize for Ways<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.1 {
            let mut members = serializer.serialize_struct("Claims", self.0.len())?;
            for (name, value) in self.0 {
                members.serialize_field(name, value)?;
            }
            return members.end();
        }
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

proptest! {
    #![proptest_config(crate::support::cases(2_000, 200_000))]

    /// Whatever the types of the claims are, the verdict is that on their text, which `verify`
    /// of the same `Jwt` shares.
    #[test]
    fn the_types_of_claims_do_not_matter_but_their_text(
        members in prop::collection::vec(
            (prop::sample::select(vec!["exp", "nbf", "iss", "sub", "aud", "iat", "jti", "x"]), way()),
            0..6,
        ),
        has_exp in prop::bool::weighted(0.8),
        is_struct in any::<bool>(),
        which in 0..3_u8,
    ) {
        let jwt = match which {
            0 => jwt(),
            1 => strict_jwt(),
            _ => lax_jwt(),
        };
        let mut members = members;
        if has_exp {
            members.push(("exp", Way::U64(EXP)));
        }
        if which == 1 {
            members.extend(["iss", "sub", "aud"].map(|name| (name, Way::UnitVariant)));
            members.push(("nbf", Way::I8(1)));
        }
        members.dedup_by_key(|(name, _)| *name);
        let claims = Ways(&members, is_struct);
        let text = serde_json::to_string(&claims).unwrap();
        let signed = jwt.sign(&claims);
        prop_assert_eq!(signed.is_ok(), jwt.sign(&*raw_value(&text)).is_ok(), "{}", text);
        if let Ok(token) = signed {
            let outcome = jwt.verify::<IgnoredAny>(&token).map(drop).map_err(|error| error.reason());
            let is_known = matches!(
                outcome,
                Ok(()) | Err(Reason::WrongClaim(_) | Reason::Expired | Reason::NotYetValid)
            );
            prop_assert!(is_known, "{outcome:?}: {text}");
        }
    }
}

proptest! {
    #![proptest_config(crate::support::cases(4_000, 200_000))]

    /// `sign` refuses, or `verify` of the same `Jwt` accepts, but for the time and for names that
    /// are another's; and it refuses nothing that would be accepted.
    #[test]
    fn claims_are_signed_exactly_if_they_verify(payload in payload(), which in 0..3_u8) {
        let jwt = match which {
            0 => jwt(),
            1 => strict_jwt(),
            _ => lax_jwt(),
        };
        let verdict = verdict::<IgnoredAny>(&jwt, &payload);
        let form = match verdict {
            Err(Reason::WrongClaim(_) | Reason::Expired | Reason::NotYetValid) => Ok(()),
            verdict => verdict,
        };
        // By its text, and member by member.
        let signed = jwt.sign(&*raw_value(&payload));
        match (&signed, form) {
            (Ok(token), Ok(())) => {
                let outcome = jwt.verify::<IgnoredAny>(token).map(drop).map_err(|error| error.reason());
                prop_assert_eq!(outcome, verdict, "{}", payload);
                let value = jwt.verify::<Value>(token).map(drop).map_err(|error| error.reason());
                prop_assert_eq!(value, verdict, "{}", payload);
            }
            (Err(_), Err(_)) => {}
            (Err(error), Ok(())) => {
                let message = error.to_string();
                let is_known = ["a claim is there twice", "`exp` is negative"];
                prop_assert!(is_known.iter().any(|known| message.contains(known)), "{error}: {payload}");
            }
            (Ok(_), Err(reason)) => prop_assert!(false, "{reason}: {payload}"),
        }
        let tree: Value = serde_json::from_str(&payload).unwrap();
        let text = tree.to_string();
        prop_assert_eq!(jwt.sign(&tree).is_ok(), jwt.sign(&*raw_value(&text)).is_ok(), "{}", text);
    }
}
