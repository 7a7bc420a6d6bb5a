//! Values of which a shell or another program makes the secret.

use super::address::store_of;
use super::command::{is_command, is_command_of_tool};
use super::kind::Reference;
use super::words::{
    is_clear_name, is_dotted, is_locator, is_mixed, is_name, is_named, is_of_one_case, is_upper,
};

/// A value that names a variable of the environment: `env:JWT_SECRET`, `process.env.JWT_SECRET`.
pub(super) fn recognise_variable(value: &str) -> Option<Reference> {
    const HEADS: [&str; 12] = [
        "process.env.",
        "import.meta.env.",
        "os.environ.",
        "environment:",
        "environ:",
        "getenv:",
        "env://",
        "env:",
        "$env:",
        "env.",
        "!env ",
        "env ",
    ];
    let variables = |name: &str| Reference::Variables { names: keep_clear(vec![name.to_owned()]) };
    let head_of = |head: &&&str| {
        value.get(..head.len()).is_some_and(|start| start.eq_ignore_ascii_case(head))
    };
    if let Some(head) = HEADS.iter().find(head_of) {
        let name = &value[head.len()..];
        return is_clear_name(name).then(|| variables(name));
    }
    // `$jwt_secret`, and a call: `os.environ["JWT_SECRET"]`, `%env(resolve:JWT_SECRET)%`.
    if let Some(name) = value.strip_prefix('$').filter(|name| is_clear_name(name) && name.len() > 4)
    {
        return Some(variables(name));
    }
    let place = value.find(['(', '[', '{'])?;
    let ends_with = |word: &str| {
        let start = place.checked_sub(word.len());
        start
            .and_then(|start| value.get(start..place))
            .is_some_and(|end| end.eq_ignore_ascii_case(word))
    };
    let is_call = ["env", "environ", "getenv", "env::var"].iter().any(|word| ends_with(word));
    let inner = value[place + 1..].trim_end_matches(['%', ';', ' ']);
    let inner = inner.strip_suffix([')', ']', '}'])?;
    let name = inner.rsplit(':').next().unwrap_or_default().trim_matches(['"', '\'', ' ']);
    (is_call && is_clear_name(name)).then(|| variables(name))
}

/// A value with variables, commands or templates in it.
pub(super) fn recognise_expansion(value: &str) -> Option<Reference> {
    let is_url = value.contains("://");
    let mut names = Vec::new();
    for part in value.split("${").skip(1) {
        let Some((inner, _)) = part.split_once('}') else { continue };
        // `${ssm:/app/jwt}`, `${vault:app#jwt}`, `${env:JWT_SECRET}`.
        let inner = inner.strip_prefix("env:").unwrap_or(inner);
        match inner.split_once(':') {
            Some(("ssm", _)) => {
                return Some(Reference::Address { store: "the AWS parameter store" });
            }
            Some(("file", _)) => return Some(Reference::File),
            Some(_) if store_of(inner).is_some() => {
                return store_of(inner).map(|store| Reference::Address { store });
            }
            _ => {}
        }
        let name = inner.split([':', '-', '?', '+', '=']).next().unwrap_or_default();
        // A random secret may hold `${aB}`; a URL, and a value that is nothing else, do not.
        let is_whole = is_url || part.len() + 2 == value.len();
        let is_clear = if is_whole {
            is_dotted(name) && (name.len() < 24 || is_named(name))
        } else {
            is_name(name) && name.len() > 2 && is_of_one_case(name)
        };
        let is_long = inner.len() > 3 && !is_mixed(inner);
        if (is_url || is_whole && is_long)
            && !is_clear
            && is_locator(inner)
            && !inner.starts_with('{')
        {
            return Some(Reference::Template);
        }
        names.extend(is_clear.then(|| name.to_owned()));
    }
    if is_url || value.strip_prefix('$').is_some_and(is_upper) {
        names.extend(bare_names(value).map(str::to_owned));
    }
    if is_url {
        names.extend(names_in_percent(value));
    }
    let commands = value.match_indices("$(").map(|(place, _)| &value[place + 2..]);
    for inner in
        commands.filter_map(|command| start(command).split_once(')')).map(|(inner, _)| inner)
    {
        let is_whole = is_url || value.len() == inner.len() + 3;
        // Kubernetes and Azure Pipelines have `$(NAME)` for a variable.
        if is_upper(inner) || is_whole && is_dotted(inner) {
            names.push(inner.to_owned());
        } else if is_command(inner) {
            return Some(Reference::Command);
        }
    }
    if value.starts_with("$(") && value.ends_with(')') && names.is_empty() {
        return Some(Reference::Command);
    }
    let is_quoted = value.matches('`').count() > 1;
    if is_quoted && value.split('`').skip(1).step_by(2).any(is_command) || is_command_of_tool(value)
    {
        return Some(Reference::Command);
    }
    if !names.is_empty() {
        return Some(Reference::Variables { names: keep_clear(keep_secret_names(names)) });
    }
    is_tag(value).then_some(Reference::Template).or_else(|| recognise_template(value))
}

/// The start of `text`, within which a command or a name ends.
pub(super) fn start(text: &str) -> &str {
    let is_end = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=text.len().min(4096)).rev().find(is_end).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

/// Those of `names` that can be shown: one with digits and no `_` may be a password, `$UMMER2024`.
fn keep_clear(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| name.contains('_') || !name.bytes().any(|byte| byte.is_ascii_digit()));
    names
}

/// The names of `$NAME` without braces, where they are whole parts of the value.
fn bare_names(value: &str) -> impl Iterator<Item = &str> {
    value.match_indices('$').filter_map(|(place, _)| {
        let rest = &value[place + 1..];
        let is_part = |character: char| character == '_' || character.is_ascii_alphanumeric();
        let name = &rest[..rest.find(|character| !is_part(character)).unwrap_or(rest.len())];
        let before = value[..place].chars().next_back();
        let after = rest[name.len()..].chars().next();
        let is_edge = |character: Option<char>| {
            character.is_none_or(|character| "/:@?&=,; ".contains(character))
        };
        let is_clear = name.len() > 2 && is_clear_name(name);
        (is_clear && is_edge(before) && is_edge(after)).then_some(name)
    })
}

/// The names of `%NAME%` and `%env(NAME)%` in a URL: no escape of the URL ends there.
fn names_in_percent(value: &str) -> impl Iterator<Item = String> {
    let parts = value.split('%').skip(1).zip(value.split('%').skip(2));
    parts.filter_map(|(part, next)| {
        let is_escape = next.len() > 1 && next.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        let inner = part.strip_prefix("env(").and_then(|rest| rest.strip_suffix(')'));
        let name = inner.unwrap_or(part).rsplit(':').next().unwrap_or_default();
        let is_clear = is_upper(name) && name.trim_matches('_').contains('_') && !is_escape;
        is_clear.then(|| name.to_owned())
    })
}

/// Those of `names` that say that they hold a secret; all, if none does.
fn keep_secret_names(mut names: Vec<String>) -> Vec<String> {
    const WORDS: [&str; 9] =
        ["PASS", "PWD", "PSW", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "CRED", "AUTH"];
    let is_secret = |name: &String| WORDS.iter().any(|word| name.to_uppercase().contains(word));
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    if names.iter().any(is_secret) {
        names.retain(is_secret);
    }
    names
}

/// Returns `true` for a tag of YAML or of summon, which a program replaces: `!var prod/jwt`.
fn is_tag(value: &str) -> bool {
    const TAGS: [&str; 19] = [
        "var",
        "file",
        "str",
        "env",
        "secret",
        "vault",
        "ref",
        "sub",
        "getatt",
        "importvalue",
        "join",
        "select",
        "findinmap",
        "reference",
        "include",
        "env_var",
        "base64",
        "split",
        "lookup",
    ];
    let Some((tag, rest)) = value.strip_prefix('!').and_then(|rest| rest.split_once(' ')) else {
        return false;
    };
    let name = tag.split(':').next().unwrap_or_default().to_ascii_lowercase();
    TAGS.contains(&name.as_str()) && !rest.trim().is_empty()
}

/// A value with `{{ … }}`, `{% … %}` or `<%= … %>`, or with a word in brackets where a URL has its
/// password: a program or a person fills it in before the service starts.
fn recognise_template(value: &str) -> Option<Reference> {
    let inside = |start: &str, end: &str| {
        value
            .split_once(start)
            .and_then(|(_, rest)| rest.split_once(end))
            .map(|parts| parts.0.trim())
    };
    let is_word = |character: char| {
        character.is_ascii_alphanumeric() || "_.$-\"' |/:#[](){,=".contains(character)
    };
    let is_filled = |inner: &str| inner.len() > 2 && inner.chars().all(is_word);
    let inner = inside("{{", "}}");
    if let Some(store) = inner.and_then(store_of) {
        return Some(Reference::Address { store });
    }
    match inner.and_then(|inner| inner.strip_prefix("resolve:")?.split_once(':')) {
        Some(("secretsmanager", _)) => {
            return Some(Reference::Address { store: "AWS Secrets Manager" });
        }
        Some(_) => return Some(Reference::Address { store: "the AWS parameter store" }),
        None => {}
    }
    let mut inners = [inner, inside("{%", "%}"), inside("<%=", "%>"), inside("<path:", ">")]
        .into_iter()
        .flatten();
    let is_blank = || {
        let is_url = value.contains("://");
        let inner = inside(":<", ">@").or_else(|| inside(":[", "]@"));
        is_url && inner.is_some_and(is_named)
    };
    (inners.any(is_filled) || is_blank()).then_some(Reference::Template)
}
