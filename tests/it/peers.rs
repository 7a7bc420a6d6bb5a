//! npm jsonwebtoken and PyJWT verify what is signed here, and sign what verifies here:
//! the real libraries, run while the test runs.
//!
//! `DUALKEY_TEST_PEERS` names a folder with `node_modules/jsonwebtoken` and a Python
//! environment `venv` with PyJWT; `.ci/run` installs both. Without it the test says so.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use dualkey::jwt::{Algorithm, Jwt, JwtKey};
use dualkey::{KeyRing, NewKey, Secret};
use serde_json::{Value, json};

use crate::common::secret;

/// Sends `request` to a peer and reads its answer.
fn ask(command: &mut Command, request: &Value) -> Value {
    let mut peer = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    peer.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = peer.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn theirs_verify_ours_and_ours_verify_theirs() {
    let Some(folder) = std::env::var_os("DUALKEY_TEST_PEERS") else {
        println!("0 peers asked: DUALKEY_TEST_PEERS is not set");
        return;
    };
    let folder = Path::new(&folder);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    let mut node = Command::new("node");
    node.arg(scripts.join("npm_peer.cjs")).env("NODE_PATH", folder.join("node_modules"));
    let mut python = Command::new(folder.join("venv/bin/python"));
    python.arg(scripts.join("pyjwt_peer.py"));

    let mut asked = 0;
    for (name, command) in [("npm jsonwebtoken", &mut node), ("PyJWT", &mut python)] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let ring = |primary, fallback| {
                let key = |seed| NewKey::new(Secret::from(secret(seed))).algorithm(algorithm);
                KeyRing::<JwtKey>::builder()
                    .primary(key(primary))
                    .fallback(key(fallback))
                    .build()
                    .unwrap()
            };
            let claims =
                json!({ "sub": "Zoë 日本 🦀", "exp": 4_102_444_800_u64, "n": [1, { "x": null }] });
            let ours = Jwt::new(ring(0, 1)).sign(&claims).unwrap();
            let answer = ask(
                command,
                &json!({
                    "alg": format!("{algorithm:?}"), "secret": secret(0), "other": secret(9),
                    "token": ours, "claims": claims,
                }),
            );
            assert_eq!(answer["verified"], claims, "{name} verifies ours");
            assert_eq!(answer["refused"], true, "{name} refuses ours under another secret");
            let theirs = answer["token"].as_str().unwrap();
            // Under the primary, and after the rotation under the fallback.
            for ring in [ring(0, 1), ring(1, 0)] {
                let verified = Jwt::new(ring).verify::<Value>(theirs).unwrap();
                assert_eq!(verified["sub"], claims["sub"], "ours verify {name}");
            }
            assert!(Jwt::new(ring(8, 9)).verify::<Value>(theirs).is_err());
            asked += 1;
        }
    }
    println!("{asked} exchanges with npm jsonwebtoken and PyJWT");
}
