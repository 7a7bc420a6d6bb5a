//! Tokens that npm jsonwebtoken, PyJWT and jose wrote.

use dualkey::jwt::{Algorithm, Jwt, JwtKey, Validation};
use dualkey::{Error, KeyRing, NewKey, Reason, Role, Secret};
use serde_json::Value;

use crate::support::{base64url, jwt_ring};

fn vectors(file: &str) -> Vec<Value> {
    let text = match file {
        "node" => include_str!("../vectors/interop_node_jwt.json"),
        "python" => include_str!("../vectors/interop_python_jwt.json"),
        _ => include_str!("../vectors/interop_node_jwks.json"),
    };
    let file: Value = serde_json::from_str(text).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

/// A secret: a text, or an object with its encoding.
fn secret(value: &Value) -> Secret {
    match value["encoding"].as_str() {
        None => Secret::from(value.as_str().unwrap()),
        Some("utf8") => Secret::from(value["value"].as_str().unwrap()),
        Some(hex) => {
            assert_eq!(hex, "hex");
            let digits = value["value"].as_str().unwrap().as_bytes();
            let byte =
                |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            Secret::from(digits.chunks(2).map(byte).collect::<Vec<_>>())
        }
    }
}

fn algorithm(vector: &Value) -> Algorithm {
    vector["alg"].as_str().unwrap().parse().unwrap()
}

/// Runs `vectors` and returns how many were accepted and refused.
fn run(vectors: &[Value]) -> (usize, usize) {
    let (mut accepted, mut refused) = (0, 0);
    for vector in vectors {
        let name = vector["name"].as_str().unwrap();
        let token = vector["token"].as_str().unwrap();
        let key = |name: &str| {
            let key = NewKey::<JwtKey>::new(secret(&vector[name])).algorithm(algorithm(vector));
            // PyJWT's tokens name their keys; those of npm jsonwebtoken name none.
            key.alias(name.replace("secret_", "k-").parse().unwrap())
        };
        let ring = jwt_ring(key("secret_new"), Some(key("secret_old")));
        let mut validation = Validation::new(algorithm(vector));
        // Some were written to have an audience that nobody is, or no `exp`.
        validation.validate_aud = false;
        validation.validate_nbf = true;
        if vector["require_exp"] == false {
            validation.required_spec_claims.clear();
        }
        let jwt = Jwt::new(ring).validation(validation).max_token_bytes(64 * 1024);
        let verdict = jwt.verify::<Value>(token);
        match vector["expected"].as_str().unwrap() {
            "accept" => {
                let claims = verdict.unwrap_or_else(|error| panic!("{name}: {error:?}"));
                // The list says what npm made of them, with an `iat` that some do not hold.
                for (name, value) in claims.as_object().unwrap() {
                    assert_eq!(*value, vector["claims"][name], "{name}");
                }
                let role = match vector["matched_key"].as_str().unwrap() {
                    "primary" => Role::Primary,
                    _ => Role::Fallback,
                };
                assert_eq!(claims.role(), role, "{name}");
                assert_eq!(claims.needs_resign(), role == Role::Fallback, "{name}");
                accepted += 1;
            }
            _ => {
                let error = verdict.map(|_| panic!("{name} was accepted")).unwrap_err();
                let reason = match vector["expected_error_class"].as_str() {
                    Some("expired") => Reason::Expired,
                    Some("not-yet-valid") => Reason::NotYetValid,
                    _ => Reason::Signature,
                };
                assert_eq!(error.reason(), reason, "{name}");
                refused += 1;
            }
        }
    }
    (accepted, refused)
}

#[test]
fn tokens_of_npm_jsonwebtoken_verify() {
    let counts = run(&vectors("node"));
    println!("npm jsonwebtoken 9.0.3: {} accepted, {} refused, 0 left out", counts.0, counts.1);
    assert_eq!(counts, (96, 40));
}

#[test]
fn tokens_of_pyjwt_verify() {
    let counts = run(&vectors("python"));
    println!("PyJWT 2.15.1: {} accepted, {} refused, 0 left out", counts.0, counts.1);
    assert_eq!(counts, (30, 6));
}

/// Until asymmetric algorithms are built, their keys are refused when a ring is built,
/// and their tokens by every ring that there is.
#[test]
fn asymmetric_keys_and_tokens_are_refused() {
    let vectors = vectors("jose");
    let ring = crate::support::ring::<JwtKey>(1);
    let mut validation = Validation::new(Algorithm::RS256);
    validation.algorithms = vec![
        Algorithm::HS256,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];
    let jwt = Jwt::new(ring).validation(validation);
    for vector in &vectors {
        let token = vector["token"].as_str().unwrap();
        assert!(jwt.verify::<Value>(token).is_err(), "{}", vector["name"]);
        let Ok(algorithm) = vector["alg"].as_str().unwrap().parse() else { continue };
        let key = NewKey::<JwtKey>::new(Secret::from(crate::support::secret(0)));
        let error = KeyRing::builder().primary(key.algorithm(algorithm)).build().unwrap_err();
        assert!(matches!(error, Error::UnsupportedAlgorithm { .. }), "{error}");
    }
    println!("jose 6.2.17: {} tokens of asymmetric algorithms refused", vectors.len());
    assert_eq!(vectors.len(), 80);
}

/// RFC 7515 appendix A.1.
#[test]
fn rfc_7515_a_1() {
    let secret =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQo\
                 gImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let at = |seconds| {
        let ring = KeyRing::<JwtKey>::builder()
            .primary(Secret::from(base64url::decode(secret)))
            .clock(dualkey::ManualClock::at_unix(seconds))
            .build()
            .unwrap();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        Jwt::new(ring).validation(validation).verify::<Value>(token)
    };
    assert_eq!(at(1_300_819_379).unwrap()["http://example.com/is_root"], true);
    assert_eq!(at(1_300_819_380).unwrap_err().reason(), dualkey::Reason::Expired);
}
