//! The package of peers, built once and run for one group after the other.

use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Peers {
    is_built: bool,
}

impl Peers {
    /// Before anything is measured: a compiler beside it would be measured too.
    pub fn build() -> Self {
        let built = cargo().args(["build", "--release", "--locked"]).args(MANIFEST).status();
        let is_built = built.is_ok_and(|status| status.success());
        if !is_built {
            eprintln!("the peers of `benches/peers` cannot be built here, and are left out");
        }
        Self { is_built }
    }

    /// Runs what they have of `group`, with the arguments of this process.
    pub fn run(&self, group: &str) {
        if !self.is_built {
            return;
        }
        let status = cargo()
            .args(["run", "--release", "--locked", "--quiet"])
            .args(MANIFEST)
            .arg("--")
            .args(std::env::args().skip(1))
            .env("DUALKEY_BENCH_GROUP", group)
            .status();
        assert!(status.unwrap().success(), "the peers of {group} failed");
    }
}

const MANIFEST: [&str; 2] =
    ["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/Cargo.toml")];

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let target = target();
    let home = std::env::var_os("CRITERION_HOME");
    command.env("CRITERION_HOME", home.unwrap_or_else(|| target.join("criterion").into()));
    command.env("CARGO_TARGET_DIR", target);
    command
}

/// The target folder that this was built in.
fn target() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.ancestors().nth(3).unwrap_or(Path::new("target")).to_owned()
}
