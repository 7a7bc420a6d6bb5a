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

use serde_json::Value;

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
