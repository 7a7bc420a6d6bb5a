//! The command line: `cargo install dualkey --features cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    dualkey::cli::main()
}
