//! Settings of a session in the parameter `options`: `-c search_path=app -c lock_timeout=5s`.

use super::error::ConnectionStringError;
use crate::sql::quote_identifier;

pub(super) const FORM: &str =
    "is no list of settings: write each as `-c name=value`, and a space in a value as `\\ `";

/// Words that a provider reads, and not the server: Neon the first two, Supabase the last.
const PROVIDERS: [&str; 3] = ["endpoint", "project", "reference"];

/// Settings by their names, and words of a provider.
type Settings = (Vec<(String, String)>, Vec<String>);

/// The settings of `text`, in the form of the command line of the server.
pub(super) fn parse(text: &str) -> Result<Settings, ConnectionStringError> {
    let wrong = || ConnectionStringError::parameter("options", FORM);
    let (mut all, mut of_provider) = (Vec::new(), Vec::new());
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
        if word.split_once('=').is_some_and(|(name, _)| PROVIDERS.contains(&name)) {
            of_provider.push(word);
            continue;
        }
        let setting = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            // A long name has dashes for underscores.
            (Some(long), _) => {
                let (name, value) = long.split_once('=').ok_or_else(wrong)?;
                format!("{}={value}", name.replace('-', "_"))
            }
            (None, Some("")) => words.next().ok_or_else(wrong)?,
            (None, Some(rest)) => rest.to_owned(),
            (None, None) => return Err(wrong()),
        };
        let (name, value) = setting.split_once('=').ok_or_else(wrong)?;
        if !is_name(name) {
            return Err(wrong());
        }
        all.push((name.to_owned(), value.to_owned()));
    }
    Ok((all, of_provider))
}

/// Words are parted by spaces; a backslash takes the next character as it is.
fn words(text: &str) -> Vec<String> {
    let (mut all, mut word) = (Vec::new(), None::<String>);
    let mut chars = text.chars();
    while let Some(letter) = chars.next() {
        match letter {
            letter if is_blank(letter) => all.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    all.extend(word);
    all
}

/// Returns whether a setting may have this name.
pub(super) fn is_name(text: &str) -> bool {
    let is_in_names = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
    text.len() <= 63
        && text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
        && text.bytes().all(is_in_names)
}

/// Reads a list of schemas as the server reads `search_path`: `public, "Odd name"`. A name without
/// quotes is in lower case. `None` if it is no list, or a name is empty.
pub(super) fn schemas(path: &str) -> Option<Vec<String>> {
    let mut all = Vec::new();
    let mut rest = path.trim_start_matches(is_blank);
    loop {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => read_quoted(quoted)?,
            None => {
                let end =
                    rest.find(|letter| letter == ',' || is_blank(letter)).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                (name.to_ascii_lowercase(), after)
            }
        };
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        all.push(name);
        rest = after.trim_start_matches(is_blank);
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start_matches(is_blank),
            None => return rest.is_empty().then_some(all),
        }
    }
}

/// The name up to its closing quote, where two quotes are one, and what follows it.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let (mut name, mut rest) = (String::new(), text);
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

/// The search path of these schemas.
pub(super) fn path<S: AsRef<str>>(schemas: &[S]) -> String {
    let quoted = schemas.iter().map(|schema| quote_identifier(schema.as_ref()));
    quoted.collect::<Vec<_>>().join(",")
}

/// A word of `options`. Deliberately not as `sqlx` writes it: the server parts words at every blank
/// of C, and not at spaces alone.
#[cfg(feature = "_sqlx-postgres")]
pub(super) fn escape(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    for letter in word.chars() {
        if letter == '\\' || is_blank(letter) {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

/// The blanks of C's `isspace`.
pub(super) fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_the_server_reads_them() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (text, expected) in [
            ("", vec![]),
            ("-c search_path=app", vec![pair("search_path", "app")]),
            (
                "-csearch_path=a\\ b  --lock-timeout=5s",
                vec![pair("search_path", "a b"), pair("lock_timeout", "5s")],
            ),
            ("-c a.b=c\\\\d", vec![pair("a.b", "c\\d")]),
        ] {
            assert_eq!(parse(text).unwrap().0, expected, "{text}");
        }
        for text in ["-c", "-c a", "--a", "-d 3", "a=b", "-c 1a=b", "-c =b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_search_path_is_read_as_the_server_reads_it() {
        let cases: [(&str, Option<&[&str]>); 12] = [
            ("tenant1", Some(&["tenant1"])),
            ("Tenant1, public", Some(&["tenant1", "public"])),
            ("\"Tenant 1\",\"a\"\"b\"", Some(&["Tenant 1", "a\"b"])),
            ("\"$user\", public", Some(&["$user", "public"])),
            ("\"a,b\"", Some(&["a,b"])),
            (" a\t,\nb ", Some(&["a", "b"])),
            ("", None),
            ("a,", None),
            ("a b", None),
            ("\"a", None),
            ("\"a\"b", None),
            ("\"\"", None),
        ];
        for (list, expected) in cases {
            let found = schemas(list);
            let found = found.as_ref().map(|all| all.iter().map(String::as_str).collect());
            assert_eq!(found, expected.map(<[&str]>::to_vec), "{list}");
        }
        let odd = ["a\"b", "c, d", "e"];
        assert_eq!(schemas(&path(&odd)).unwrap(), odd);
    }
}
