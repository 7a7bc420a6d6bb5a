//! The software of others, run while the tests run.
//!
//! `DUALKEY_TEST_PEERS` names a folder with the npm packages of `tests/peers` and a Python
//! environment `venv` with PyJWT; `.ci/run` makes it. Without the variable, and where
//! there are node and npm, the packages are installed by `tests/peers/install.sh`; where
//! that cannot be, a test says so and proves nothing.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use dualkey::jwt::{Algorithm, Jwt, JwtKey};
use dualkey::{KeyRing, NewKey, Secret};
use serde_json::{Value, json};

use crate::common::secret;

/// The folder with the peers, or why there is none.
pub fn folder() -> Result<&'static Path, &'static str> {
    static FOLDER: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
        if let Some(folder) = std::env::var_os("DUALKEY_TEST_PEERS") {
            return Ok(folder.into());
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
        let install = Command::new("sh").arg(scripts().join("install.sh")).arg(&folder).output();
        match install {
            Ok(output) if output.status.success() => Ok(folder),
            Ok(output) => Err(format!(
                "the npm packages could not be installed: {}",
                String::from_utf8_lossy(&output.stderr).trim(),
            )),
            Err(error) => Err(format!("there is no shell: {error}")),
        }
    });
    FOLDER.as_deref().map_err(String::as_str)
}

pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

/// A command that runs a script of `tests/peers` with the packages of `folder`.
pub fn node(folder: &Path, script: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(scripts().join(script)).env("NODE_PATH", folder.join("node_modules"));
    node
}

/// Sends `request` to a peer and reads its answer.
pub fn ask(command: &mut Command, request: &Value) -> Value {
    let mut peer = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    peer.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = peer.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

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
