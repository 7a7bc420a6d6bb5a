//! Commands that print a secret.

use super::words::is_base64;

/// Returns `true` for a command with its arguments.
pub(super) fn is_command(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let words = text.trim_start().split_once([' ', '\t']);
    words.is_some_and(|(word, _)| word == "<" || word.len() > 1 && word.bytes().all(is_part))
}

/// Returns `true` for a command that a tool runs: `cmd:pass show jwt`.
pub(super) fn is_command_of_tool(value: &str) -> bool {
    let Some((head, rest)) = value.split_once(':') else { return false };
    let words = ["cmd", "command", "exec", "shell", "sh", "bash"];
    let rest = rest.strip_prefix("//").unwrap_or(rest).trim_start();
    words.iter().any(|word| head.eq_ignore_ascii_case(word))
        && !is_base64(rest, 0)
        && is_command(rest)
}
