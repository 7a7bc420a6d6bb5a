//! Settings of a session in the parameter `options`: `-c search_path=app -c lock_timeout=5s`.

use super::ConnectionStringError;

pub(super) const FORM: &str =
    "is no list of settings: write each as `-c name=value`, and a space in a value as `\\ `";

/// The settings of `text`, in the form of the command line of the server.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, ConnectionStringError> {
    let wrong = || ConnectionStringError::parameter("options", FORM);
    let mut all = Vec::new();
    let mut words = words(text).into_iter();
    while let Some(word) = words.next() {
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
    Ok(all)
}

/// Words are parted by spaces; a backslash takes the next character as it is.
fn words(text: &str) -> Vec<String> {
    let (mut all, mut word) = (Vec::new(), None::<String>);
    let mut chars = text.chars();
    while let Some(own) = chars.next() {
        match own {
            own if own.is_ascii_whitespace() => all.extend(word.take()),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            own => word.get_or_insert_default().push(own),
        }
    }
    all.extend(word);
    all
}

/// Returns whether a setting may have this name.
pub(super) fn is_name(text: &str) -> bool {
    let is_own = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
    text.len() <= 63
        && text.starts_with(|own: char| own.is_ascii_alphabetic() || own == '_')
        && text.bytes().all(is_own)
}

/// The schema, if a search path names exactly one.
pub(super) fn single(path: &str) -> Option<String> {
    let path = path.trim();
    match path.strip_prefix('"').and_then(|own| own.strip_suffix('"')) {
        Some(inner) => {
            let schema = inner.replace("\"\"", "\0");
            let is_one = !schema.contains(['"', ',', '\0']) || !schema.contains(['"', ',']);
            (is_one && !schema.is_empty()).then(|| schema.replace('\0', "\""))
        }
        // An unquoted name is in lower case.
        None => is_name(path).then(|| path.to_ascii_lowercase()),
    }
}

/// The search path of one schema.
#[cfg(any(feature = "postgres", feature = "sqlx-postgres"))]
pub(super) fn path(schema: &str) -> String {
    format!("\"{}\"", schema.replace('"', "\"\""))
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
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
        for text in ["-c", "-c a", "--a", "-d 3", "a=b", "-c 1a=b", "-c =b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_search_path_of_one_schema_is_told_from_a_list() {
        for (path, expected) in [
            ("tenant1", Some("tenant1")),
            ("Tenant1", Some("tenant1")),
            ("\"Tenant 1\"", Some("Tenant 1")),
            ("\"a\"\"b\"", Some("a\"b")),
            ("a, b", None),
            ("\"a\", \"b\"", None),
            ("", None),
        ] {
            assert_eq!(single(path).as_deref(), expected, "{path}");
        }
    }
}
