//! `dualkey completions`: a script for a shell.

use crate::cli::failure::Status;
use crate::cli::terminal::Terminal;

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_help = "Example:\n  dualkey completions bash > /etc/bash_completion.d/dualkey")]
pub(super) struct Args {
    shell: clap_complete::Shell,
}

/// Prints the script for `tree`, the whole command line.
pub(super) fn run(args: Args, tree: &mut clap::Command, terminal: &mut Terminal) -> Status {
    terminal.script(|out| clap_complete::generate(args.shell, tree, "dualkey", out))?;
    Ok(0)
}
