//! Tokens that attackers send, from advisories and other suites: a verdict for each.

use std::collections::BTreeMap;

use dualkey::jwt::{Algorithm, Jwt, JwtKey, Validation};
use dualkey::{Error, KeyRing, ManualClock, NewKey, Reason, Role, Secret};
use serde_json::Value;

use crate::support::{base64url, forge};

/// The lines that have another verdict here: their ids, how strict the list is, and the reason.
const DIFFERENT: [(&str, &str, &str); 2] = [
    ("J202", "policy", "a kid that names the primary is checked with the primary alone (V2)"),
    ("J295", "must", "an `nbf` of null is not required, and counts as absent"),
];

/// The key of a line; `None` if it is asymmetric.
fn key(jwk: &Value, algorithm: Algorithm) -> Option<NewKey<JwtKey>> {
    if jwk["kty"] != "oct" {
        return None;
    }
    let mut key = NewKey::new(Secret::from(base64url::decode(jwk["k"].as_str()?)));
    if let Some(kid) = jwk["kid"].as_str() {
        key = key.kid(kid.parse().unwrap());
    }
    let named = jwk["alg"].as_str().and_then(|alg| alg.parse().ok());
    Some(key.algorithm(named.unwrap_or(algorithm)))
}

fn validation(policy: &Value) -> Validation {
    let algorithms: Vec<Algorithm> = policy["algorithms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap().parse().unwrap())
        .collect();
    let mut validation = Validation::new(algorithms[0]);
    validation.algorithms = algorithms;
    validation.validate_nbf = true;
    validation.leeway = policy["leeway"].as_u64().unwrap_or(0);
    validation.required_spec_claims = policy["require"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    // The list's policy asks for an issuer or audience by naming one.
    match policy["aud"].as_str() {
        Some(aud) => {
            validation.set_audience(&[aud]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        None => validation.validate_aud = false,
    }
    if let Some(iss) = policy["iss"].as_str() {
        validation.set_issuer(&[iss]);
        validation.required_spec_claims.insert("iss".to_owned());
    }
    validation
}

/// The token of a line, or what its recipe makes.
fn token(line: &Value) -> String {
    if let Some(token) = line["token"].as_str() {
        return token.to_owned();
    }
    let recipe = &line["construct"];
    let text = |recipe: &Value| {
        recipe["unit"].as_str().unwrap().repeat(recipe["count"].as_u64().unwrap() as usize)
    };
    match recipe["op"].as_str().unwrap() {
        "repeat" => text(recipe),
        "jws" => {
            let inner = &recipe["payload"];
            let payload = match inner["op"].as_str().unwrap() {
                "nest" => {
                    let depth = inner["depth"].as_u64().unwrap() as usize;
                    inner["open"].as_str().unwrap().repeat(depth)
                        + &inner["close"].as_str().unwrap().repeat(depth)
                }
                _ => {
                    let count = inner["count"].as_u64().unwrap();
                    let members: Vec<_> = (0..count).map(|n| format!("\"m{n}\":{n}")).collect();
                    format!("{{{}}}", members.join(","))
                }
            };
            let secret = base64url::decode(line["keys"]["primary"]["k"].as_str().unwrap());
            forge(&secret, &recipe["header"].to_string(), payload.as_bytes())
        }
        other => panic!("{other} is no recipe"),
    }
}

#[test]
fn every_attack_has_the_expected_verdict() {
    let lines: Vec<Value> = include_str!("../vectors/jwt_attacks.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut counts = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in &lines {
        let id = line["id"].as_str().unwrap();
        let policy = &line["policy"];
        let first: Algorithm = policy["algorithms"][0].as_str().unwrap().parse().unwrap();
        let asymmetric = ["primary", "fallback"]
            .iter()
            .any(|name| line["keys"][name]["kty"].as_str().is_some_and(|kty| kty != "oct"));
        if asymmetric {
            *counts.entry("left out: a key of an asymmetric algorithm").or_insert(0) += 1;
            continue;
        }
        let mut builder = KeyRing::builder()
            .clock(ManualClock::at_unix(policy["now"].as_u64().unwrap_or(1_700_000_000)));
        // The list's own secrets are shorter than this crate asks for; rings that must
        // not be built are held to what it asks for.
        let is_config = line["kind"] == "keyring-config";
        if !is_config {
            builder = builder.dangerous().min_secret_bytes(1).dangerous().allow_placeholders();
        } else {
            builder = builder.min_secret_bytes(32);
        }
        for (name, place) in [("primary", true), ("fallback", false)] {
            if let Some(key) = key(&line["keys"][name], first) {
                builder = if place { builder.primary(key) } else { builder.fallback(key) };
            }
        }
        let ring = match builder.build() {
            Ok(_) if is_config => {
                wrong.push(format!("{id}: the ring was built"));
                continue;
            }
            Err(error) if is_config => {
                assert!(!matches!(error, Error::NoPrimary { .. }), "{id}: {error}");
                *counts.entry("refused when the ring was built").or_insert(0) += 1;
                continue;
            }
            Err(error) => panic!("{id}: {error}"),
            Ok(ring) => ring,
        };
        // One valid token is longer than the default bound.
        let jwt =
            Jwt::new(ring).dangerous().validation(validation(policy)).max_token_bytes(12 * 1024);
        let verdict = jwt.verify::<Value>(&token(line));
        let expected = line["expected"] == "accept";
        if let Some((_, strictness, why)) = DIFFERENT.iter().find(|(other, ..)| *other == id) {
            assert_eq!(line["strictness"], *strictness, "{id}: {why}");
            assert_ne!(verdict.is_ok(), expected, "{id} is no different: {why}");
            *counts.entry("decided otherwise, with a reason").or_insert(0) += 1;
            continue;
        }
        if let (Some(class), Err(error)) = (line["expected_error_class"].as_str(), &verdict) {
            let is_of_class = match (class, error.reason()) {
                ("expired", Reason::Expired)
                | ("not-yet-valid", Reason::NotYetValid)
                | ("signature", Reason::Signature)
                | ("alg", Reason::Algorithm)
                | ("claim-type", Reason::ClaimType(_))
                // A required claim of null is missing.
                | ("claim-type", Reason::MissingClaim(_))
                | ("missing-claim", Reason::MissingClaim(_))
                // A claim of the wrong type is a wrong claim.
                | ("claim", Reason::WrongClaim(_) | Reason::ClaimType(_)) => true,
                _ => false,
            };
            if !is_of_class {
                wrong.push(format!("{id} {}: {class}, {error:?}", line["name"]));
            }
        }
        let role = verdict.as_ref().ok().map(|claims| match claims.role() {
            Role::Primary => "primary",
            _ => "fallback",
        });
        if verdict.is_ok() != expected || (expected && role != line["matched_key"].as_str()) {
            wrong.push(format!("{id} {}: {verdict:?}", line["name"]));
        }
        *counts.entry(if expected { "accepted" } else { "refused" }).or_insert(0) += 1;
    }
    for (what, count) in &counts {
        println!("{count:>4} {what}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(counts.values().sum::<i32>(), lines.len() as i32);
    assert!(counts["accepted"] >= 34 && counts["refused"] >= 156, "{counts:?}");
}

/// The same table is checked where features of `serde_json` are on: see `tests/features`.
#[test]
fn verdicts_on_claims_are_those_of_the_table() {
    let count = crate::claim_verdicts::check();
    println!("{count} verdicts");
    assert!(count >= 1_000, "only {count}");
}
