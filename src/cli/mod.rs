//! The command line, `dualkey`: the library calls of [`ops`](crate::ops), with arguments before
//! and text after them.
//!
//! ```sh
//! cargo install dualkey --features cli
//! dualkey --help
//! ```
//!
//! It decides nothing about a key: [`ops`](crate::ops) computes every step, check, verdict and
//! next step, and a program can call it in the same way. The command line reads arguments and
//! files, asks for a confirmation, and prints. A few helpers that it calls are private to this
//! crate: they phrase an error, find a file, or make a record.
//!
//! It prints no secret but where it is asked for one (`generate --print`, `generate --json`).

mod change;
mod command;
mod context;
mod failure;
mod file_clock;
mod input;
mod new_value;
mod options;
mod parse;
mod renamed;
mod step;
mod terminal;
mod usage;

use std::io;
use std::process::ExitCode;

use self::command::Cli;
use self::failure::Failure;
use self::terminal::{Terminal, complain};

/// Runs the command of this process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match usage::parse() {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    match run(cli) {
        Ok(status) => status.into(),
        // The reader of the output has closed it.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            failure.lines().iter().for_each(|line| complain(line));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> failure::Status {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(cli.run(&mut Terminal::new()))
}
