//! The software of others verifies what the library signs, and the other way round.

use std::process::Command;

use dualkey::jwt::{Algorithm, Jwt, JwtKey};
use dualkey::{KeyRing, NewKey, Secret};
use serde_json::{Value, json};

use crate::support::peers::{ask, folder, node, scripts};
use crate::support::secret;

#[test]
fn theirs_verify_ours_and_ours_verify_theirs() {
    let folder = match folder() {
        Ok(folder) => folder,
        Err(why) => return println!("0 peers asked: {why}"),
    };
    let python = folder.join("venv/bin/python");
    let has_python = python.exists();
    let mut python = Command::new(python);
    python.arg(scripts().join("pyjwt_peer.py"));
    let mut peers = vec![("npm jsonwebtoken", node(folder, "npm_peer.cjs"))];
    if has_python {
        peers.push(("PyJWT", python));
    } else {
        // CI names the folder, and has both.
        assert!(std::env::var_os("DUALKEY_TEST_PEERS").is_none(), "there is no PyJWT");
    }

    let mut asked = 0;
    for (name, command) in &mut peers {
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
    println!("{asked} exchanges with {} peers", peers.len());
}
