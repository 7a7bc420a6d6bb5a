//! Texts that people gave a name with, and random ones.

/// Returns `true` for what follows the scheme of a reference.
pub(super) fn is_locator(text: &str) -> bool {
    let is_part = |character: char| {
        character.is_alphanumeric() || "/-_.:@#?=&,+{}%$ ~|*[]()".contains(character)
    };
    !text.is_empty() && text.chars().all(is_part)
}

/// Returns `true` for a path or a name of words alone: `secret/data/app#JWT_SECRET`.
pub(crate) fn is_named(text: &str) -> bool {
    let is_separator = |character: char| "/-_.:#@ ".contains(character);
    let has_name = text
        .split(is_separator)
        .any(|part| part.len() > 1 && part.chars().all(char::is_alphabetic));
    is_uuid(text) || has_name && text.split(is_separator).all(is_word)
}

/// Returns `true` for a word, a number, or an abbreviation such as `k8s`.
fn is_word(part: &str) -> bool {
    // An account has twelve digits.
    if part.len() <= 4 || part.len() <= 12 && is_number(part) {
        return part.chars().all(char::is_alphanumeric);
    }
    let letters = part.trim_end_matches(|character: char| character.is_ascii_digit());
    let pairs = letters.chars().zip(letters.chars().skip(1));
    // `jwtSecretOfTheApp`: random letters change their case at every second one.
    let humps = pairs.filter(|(one, next)| one.is_lowercase() && next.is_uppercase()).count();
    part.len() - letters.len() <= 4
        && letters.chars().count() <= 40
        && letters.chars().all(char::is_alphabetic)
        && humps <= letters.len() / 6
}

/// Returns `true` for `d34d4a5b-0f3c-4c8e-9a1e-b0d900f4d3c5`.
fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let is_hex = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(is_hex)
}

/// Returns `true` for a name that a person gave.
pub(super) fn is_handle(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:;".contains(&byte);
    !text.is_empty() && text.bytes().all(is_part) && !is_mixed(text)
}

/// Returns `true` for a part that looks random: large and small letters, and digits.
pub(super) fn is_mixed(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.bytes().any(|byte| is(&byte));
    has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit)
}

/// Returns `true` for the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    text.len() > 1
        && !text.starts_with(|character: char| character.is_ascii_digit())
        && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// Returns `true` for a name, or a path of names: `app.prd.DB_PASS`.
pub(super) fn is_dotted(text: &str) -> bool {
    text.split('.').all(is_name)
}

pub(super) fn is_of_one_case(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.bytes().any(|byte| is(&byte));
    has(u8::is_ascii_lowercase) != has(u8::is_ascii_uppercase)
}

/// Returns `true` for `JWT_SECRET`.
pub(super) fn is_upper(text: &str) -> bool {
    let is_part = |byte: u8| byte == b'_' || byte.is_ascii_uppercase() || byte.is_ascii_digit();
    is_name(text) && text.bytes().all(is_part)
}

/// Returns `true` for a name that is no word of a sentence: `JWT_SECRET`, `jwt_secret`.
pub(super) fn is_clear_name(text: &str) -> bool {
    is_upper(text) || is_name(text) && is_of_one_case(text) && text.trim_matches('_').contains('_')
}

pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn is_base64(text: &str, least: usize) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte);
    text.len() >= least && text.bytes().all(is_part)
}
