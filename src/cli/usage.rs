//! Arguments of this process, and the error of those that cannot be read.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::command::Cli;
use super::renamed::suggest_new_name;
use super::terminal::{complain, print_usage};
use crate::text::{Plain, is_hidden};

/// Reads the arguments of this process. Prints the help that was asked for, or the error, and
/// returns the exit status then.
pub(super) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(refuse)
}

/// Prints the text of the parser, which may be the help that was asked for.
fn refuse(error: clap::Error) -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().map(to_text).collect();
    let error = if arguments.iter().any(|argument| argument.chars().any(is_hidden)) {
        // Its words repeat arguments in several places. So it is made again, of plain ones.
        match Cli::try_parse_from(arguments.iter().map(|text| Plain(text).to_string())) {
            Err(error) => error,
            Ok(_) => {
                complain(
                    "error: cannot read the arguments: one holds a character that is not shown; remove it",
                );
                return ExitCode::from(2);
            }
        }
    } else {
        error
    };
    let error = suggest_new_name(without_secret(error));
    print_usage(&error);
    u8::try_from(error.exit_code()).unwrap_or(2).into()
}

fn to_text(argument: OsString) -> String {
    argument.to_string_lossy().into_owned()
}

/// Returns whether an argument `--` says that no flags follow.
fn has_escape() -> bool {
    std::env::args_os().any(|argument| argument == "--")
}

/// Returns the error without what may be a secret: the value of a `--kid` that is none, and an argument
/// that is no flag and has no place.
fn without_secret(mut error: clap::Error) -> clap::Error {
    let argument = error.get(ContextKind::InvalidArg).map(ContextValue::to_string);
    let argument = argument.unwrap_or_default();
    let hidden = || ContextValue::String("[not shown]".to_owned());
    match error.kind() {
        ErrorKind::ValueValidation if argument.starts_with("--kid") => {
            error.insert(ContextKind::InvalidValue, hidden());
        }
        ErrorKind::UnknownArgument if !argument.starts_with('-') || has_escape() => {
            error.insert(ContextKind::InvalidArg, hidden());
        }
        _ => {}
    }
    error
}
