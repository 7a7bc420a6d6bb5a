//! Names of commands and flags that have changed. A former name is an error that names the new one.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The former names of commands and flags, each with the new one.
const RENAMED: [(&str, &str); 2] =
    [("emergency", "emergency-rotate"), ("--deployed", "--assume-deployed")];

/// Names the new command or flag in the error of a former one. The likeness of names by which the
/// parser makes a suggestion may miss it.
pub(super) fn suggest_new_name(mut error: Error) -> Error {
    let (typed, suggested) = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand)
        }
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        _ => return error,
    };
    let Some(name) = error.get(typed).map(ContextValue::to_string) else { return error };
    if let Some((former, new)) = RENAMED.iter().find(|(former, _)| *former == name) {
        let tip = format!("the new name of `{former}` is `{new}`");
        error.remove(suggested);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}
