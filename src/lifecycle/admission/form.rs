//! Values that are not a secret alone: what was put around a secret on its way into a variable.
//!
//! It guarantees: digits, letters, base64 and base64url have no such form, and neither has a random
//! text whose first and last character are neither a quote nor white space, but for the near misses
//! below. A credential may be of any form that has no quote, white space or line end at its edges:
//! it is a URL, a document, a certificate, and follows another format.
//!
//! | refused | accepted |
//! |---|---|
//! | `a,b`, where each part would be a secret: letters and digits of the least length, or at least 16 of one length | a comma in a random text, so that a part is too short or has other characters |
//! | `{"a":1}`, `{a: 1}`, `["a"]`, and the beginning of an object | `{`, `[` and `"` within a text, and braces around one without a member |
//! | `JWT_SECRET=a`, `secret: a`, `aNODE_ENV=b` | `=` and `:` after other text, the padding of base32 and base64 |
//! | `a # b`, and words beside a random secret | `#` without white space before it, and words alone |
//! | `"a`, `a'`, `` `a` ``, `“a”`, `\"a\"`, `&quot;a` | a quote within a text |

use zeroize::Zeroizing;

use crate::encoding::{from_any_base64, from_hex};
use crate::error::ValueForm;
use crate::purpose::{Purpose, SecretLength};
use crate::reference::{Reference, is_named};
use crate::text::is_hidden;

/// Quotes of a shell, of JSON, and of documents that were printed.
const QUOTES: [char; 15] =
    ['"', '\'', '`', '´', '“', '”', '„', '‟', '‘', '’', '‚', '‛', '«', '»', '\u{ff02}'];

/// The same in the text of another format.
const ESCAPED_QUOTES: [&str; 7] =
    ["&quot;", "&#34;", "&#39;", "&apos;", "%22", "\\u0022", "\\u0027"];

const ESCAPED_LINE_ENDS: [&str; 5] = ["\\n", "\\r", "%0A", "%0a", "\\u000a"];

/// The last word of a name that has a secret as its value.
const SECRET_WORDS: [&str; 10] = [
    "secret",
    "secrets",
    "key",
    "keys",
    "token",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "apikey",
];

/// The form of `text`, if it is not a secret alone; `label` is the variable or the key that has it.
pub(super) fn detect(text: &str, label: &str, purpose: Purpose) -> Option<ValueForm> {
    let form = Reference::recognise(text)
        .map(ValueForm::Reference)
        .or_else(|| detect_edges(text).filter(|_| !has_quoted_end(text, purpose)))
        .or_else(|| is_assignment_of(text, label).then_some(ValueForm::Assignment))
        .or_else(|| has_comment(text, purpose).then_some(ValueForm::Comment));
    match purpose {
        Purpose::Credential => form,
        _ => form
            .or_else(|| detect_escaped_edges(text))
            .or_else(|| detect_inside(text, label, purpose)),
    }
}

/// Returns `true` if `text` has white space and `#` after it, where most readers of files begin a
/// comment. A credential with more words, such as a connection string, follows its own format.
fn has_comment(text: &str, purpose: Purpose) -> bool {
    let is_comment = |(place, _): (usize, &str)| {
        let before = &text[..place];
        let is_blank = before.is_empty() || before.ends_with([' ', '\t']);
        let is_whole = || {
            purpose != Purpose::Credential
                || !before.trim().contains(|character: char| {
                    character.is_whitespace() || QUOTES.contains(&character)
                })
        };
        // At its beginning `#` may be a part of the secret, without a blank behind it.
        let is_led = !before.is_empty() || text[place + 1..].starts_with([' ', '\t']);
        is_blank && is_led && is_whole()
    };
    text.match_indices('#').any(is_comment)
}

/// Returns `true` for a connection string whose last value is in quotes: `host=db options='-c x=1'`.
fn has_quoted_end(text: &str, purpose: Purpose) -> bool {
    let is_closed = |quote: &str| {
        text.ends_with(quote)
            && text.contains(&format!("={quote}"))
            && text.matches(quote).count().is_multiple_of(2)
    };
    let is_named = !split_name(text).0.is_empty();
    purpose == Purpose::Credential && is_named && (is_closed("'") || is_closed("\""))
}

/// What is at the first or the last place of `text`.
fn detect_edges(text: &str) -> Option<ValueForm> {
    let ends = [text.chars().next()?, text.chars().next_back()?];
    let has = |is: fn(char) -> bool| ends.into_iter().any(is);
    if has(is_line_end) {
        return Some(ValueForm::LineEnd);
    }
    // Deliberately after the line ends, which are white space too.
    if has(char::is_whitespace) {
        return Some(ValueForm::Whitespace);
    }
    if has(is_hidden) {
        return Some(ValueForm::Hidden);
    }
    has(|character| QUOTES.contains(&character)).then_some(ValueForm::Quote)
}

/// The same as another format writes it. A certificate in a variable ends so, too.
fn detect_escaped_edges(text: &str) -> Option<ValueForm> {
    if ESCAPED_LINE_ENDS.iter().any(|end| text.ends_with(end)) {
        return Some(ValueForm::LineEnd);
    }
    let is_around = |quote: &&str| text.starts_with(*quote) || text.ends_with(*quote);
    ESCAPED_QUOTES.iter().any(is_around).then_some(ValueForm::Quote)
}

/// The form of a text that is a key, by what is within it.
fn detect_inside(text: &str, label: &str, purpose: Purpose) -> Option<ValueForm> {
    if text.chars().any(is_line_end) {
        return Some(ValueForm::LineEnd);
    }
    if text.chars().any(char::is_control) {
        return Some(ValueForm::Hidden);
    }
    detect_document(text)
        .or_else(|| is_other_prefix(text).then_some(ValueForm::Prefix))
        .or_else(|| is_assignment(text, label).then_some(ValueForm::Assignment))
        .or_else(|| is_list(text, purpose).then_some(ValueForm::List))
        .or_else(|| has_remark(text).then_some(ValueForm::Comment))
        .or_else(|| {
            strip_brackets(text).map(|_| ValueForm::Brackets).filter(|_| !is_template(text))
        })
}

/// The part of `text` between the brackets of a template.
pub(super) fn strip_brackets(text: &str) -> Option<&str> {
    const BRACKETS: [(&str, &str); 8] = [
        ("{{", "}}"),
        ("((", "))"),
        ("${", "}"),
        ("#{", "}"),
        ("%{", "}"),
        ("<", ">"),
        ("[", "]"),
        ("%", "%"),
    ];
    let inside = |(open, close): &(&str, &str)| text.strip_prefix(open)?.strip_suffix(close);
    BRACKETS.iter().find_map(inside).filter(|inner| !inner.is_empty())
}

/// Returns `true` for a name or words in brackets, as a template has them: `<your secret>`,
/// `__JWT_SECRET__`. A random text is none.
pub(super) fn is_template(text: &str) -> bool {
    let is_mark = |character: char| "#{}%$@_~*<>[]()|!^&+=".contains(character);
    let name = text.trim_matches(is_mark);
    let has_marks = text.starts_with(is_mark) && text.ends_with(is_mark);
    let is_braced = text.starts_with('{') && text.ends_with('}') && is_upper(name);
    let inner =
        strip_brackets(text).map(|inner| inner.trim_matches(['%', '=', '-', '.', '$', ' ']));
    has_marks && is_variable(name)
        || is_braced && !name.is_empty()
        || inner.is_some_and(|inner| inner.len() <= 3 || is_named(inner))
}

/// Returns `true` for a random secret with words beside it: `SECRET of production`. A passphrase has
/// words alone.
fn has_remark(text: &str) -> bool {
    let parts: Vec<_> = text.split_whitespace().collect();
    let is_random = |part: &&str| {
        let has = |is: fn(&u8) -> bool| part.bytes().any(|byte| is(&byte));
        let is_token =
            part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte));
        // A passphrase of words with hyphens is not random.
        part.len() >= 24
            && is_token
            && !is_named(part)
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_alphabetic)
    };
    let is_remark = |part: &&str| {
        part.len() < 24
            && part.chars().all(|letter| letter.is_alphanumeric() || "/;:,.-_()=!".contains(letter))
    };
    let [first, between @ .., last] = &parts[..] else { return false };
    let are_remarks = between.iter().all(is_remark);
    are_remarks && (is_random(first) && is_remark(last) || is_remark(first) && is_random(last))
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// JSON or ciphertext, as it is or in base64 or hexadecimal digits, also twice: Kubernetes encodes what
/// is encoded already.
fn detect_document(text: &str) -> Option<ValueForm> {
    if is_json(text) {
        return Some(json_form(text));
    }
    let mut inner = decode_text(text)?;
    for _ in 0..2 {
        let text = inner.trim_start_matches('\u{feff}').trim();
        if is_json(text) {
            return Some(json_form(text));
        }
        if let Some(reference) = Reference::recognise(text) {
            return Some(ValueForm::Reference(reference));
        }
        inner = decode_text(text)?;
    }
    None
}

/// The text that `text` is in base64 or in hexadecimal digits.
fn decode_text(text: &str) -> Option<Zeroizing<String>> {
    let is_long = text.len() >= 16;
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let decode = || if is_hex { from_hex(text) } else { None }.or_else(|| from_any_base64(text));
    let bytes = Zeroizing::new(is_long.then(decode).flatten()?);
    // Random bytes of this length are no text.
    let text = std::str::from_utf8(&bytes).ok()?;
    let is_text = text.chars().all(|character| {
        character.is_whitespace() || character == '\u{feff}' || !is_hidden(character)
    });
    is_text.then(|| Zeroizing::new(text.to_owned()))
}

fn json_form(text: &str) -> ValueForm {
    let has =
        |name: &str| text.contains(&format!("\"{name}\"")) || text.contains(&format!("{name}:"));
    match (has("kty"), has("keys")) {
        (true, true) => ValueForm::JsonWebKeySet,
        (true, false) => ValueForm::JsonWebKey,
        (false, _) => ValueForm::Json,
    }
}

/// Returns whether `text` is a document of JSON, or was one before a shell took its quotes: an object
/// with a member, or the beginning of one, or a list of texts or objects.
pub(super) fn is_json(text: &str) -> bool {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('{') {
        let rest = rest.trim_start();
        let is_quote = |character: char| character == '"' || character == '\'';
        let is_member = |after: &str| after.trim_start().starts_with(':');
        let inner = rest.trim_start_matches('\\');
        if let Some(inner) = inner.strip_prefix(is_quote) {
            return inner.split_once(is_quote).is_some_and(|(_, after)| is_member(after));
        }
        // Without quotes a member may be chance, so that the object has to be whole.
        let (name, after) = split_name(rest);
        return rest == "}" || !name.is_empty() && is_member(after) && text.ends_with('}');
    }
    let Some(rest) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        let ends = [("%7b", "%7d"), ("%5b", "%5d")];
        return lower.starts_with("%7b%22")
            || ends.iter().any(|(open, close)| lower.starts_with(open) && lower.ends_with(close));
    };
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with(['"', '\'']) || rest.starts_with('{') && is_json(rest)
}

/// `hex:` and `base64:` as they are not written, and `data:…;base64,`.
fn is_other_prefix(text: &str) -> bool {
    if text.starts_with("data:") && text.contains(";base64,") {
        return true;
    }
    let head = text.split(':').next().filter(|head| head.len() < text.len()).unwrap_or_default();
    let is_exact = head == "hex" || head == "base64";
    let known = ["hex", "base64", "base64url", "b64", "b64url", "utf8", "text"];
    !is_exact && known.iter().any(|prefix| head.eq_ignore_ascii_case(prefix))
}

/// The variable itself, with its value.
fn is_assignment_of(text: &str, label: &str) -> bool {
    let (name, rest) = split_name(strip_keyword(text));
    let rest = rest.trim_start();
    name == label && !name.is_empty() && rest.starts_with(['=', ':']) && rest.len() > 1
}

/// A line of a shell, of a `.env` file or of YAML, or a text into which the next line has run.
fn is_assignment(text: &str, label: &str) -> bool {
    const MARKS: [&str; 6] = ["- ", "| ", ">- ", "|- ", "> ", "!!"];
    if MARKS.iter().any(|mark| text.starts_with(mark)) {
        return true;
    }
    let (name, rest) = split_name(strip_keyword(text));
    let is_exported = name.len() > 1 && text.len() > strip_keyword(text).len();
    if let Some(value) = rest.trim_start().strip_prefix(['=', ':'])
        && !value.is_empty()
        && !value.starts_with('=')
        && (is_secret_name(name) || is_variable(name) || is_exported)
    {
        return true;
    }
    let is_run_in = |(place, _): (usize, &str)| {
        let (before, after) = (&text[..place], &text[place + 1..]);
        let is_part = |character: char| {
            character == '_' || character.is_ascii_uppercase() || character.is_ascii_digit()
        };
        let run = &before[before.trim_end_matches(is_part).len()..];
        let is_named = !label.is_empty() && is_upper(label) && run.ends_with(label);
        !after.is_empty() && !after.starts_with('=') && (is_named || is_variable(run))
    };
    text.match_indices('=').any(is_run_in)
}

/// `text` after a word that declares a variable.
fn strip_keyword(text: &str) -> &str {
    let words = ["export ", "set ", "setx ", "ENV ", "env ", "declare -x "];
    words.iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text).trim_start()
}

/// The name at the beginning of `text`, and what follows it.
fn split_name(text: &str) -> (&str, &str) {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    text.split_at(text.find(|character| !is_part(character)).unwrap_or(text.len()))
}

fn is_upper(name: &str) -> bool {
    name.bytes().all(|byte| byte == b'_' || byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// `NODE_ENV`: chance makes no such name before a `=`.
fn is_variable(name: &str) -> bool {
    let parts: Vec<_> = name.split('_').collect();
    let is_word =
        |part: &&str| part.len() > 1 && part.bytes().all(|byte| byte.is_ascii_uppercase());
    parts.len() > 1 && parts.iter().all(is_word)
}

/// `jwt_secret`, `secretKey`, `APP_KEY`: the last word says it.
fn is_secret_name(name: &str) -> bool {
    let last = name.rsplit(['_', '-', '.']).next().unwrap_or_default();
    let is_upper = is_upper(last);
    let word = match last.rfind(|character: char| character.is_ascii_uppercase()) {
        Some(place) if !is_upper => &last[place..],
        _ => last,
    };
    SECRET_WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Several parts, of which each would be a secret.
fn is_list(text: &str, purpose: Purpose) -> bool {
    let least = match purpose.length(None) {
        SecretLength::AtLeast { floor, .. } => floor,
        SecretLength::Exactly(length) => length,
    };
    let is_token = |part: &&str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-.:~@".contains(&byte))
    };
    [',', ';', '|', ' '].into_iter().any(|separator| {
        let parts: Vec<_> =
            text.split(separator).map(str::trim).filter(|part| !part.is_empty()).collect();
        let is_long = |least: usize| parts.iter().all(|part| part.len() >= least);
        let is_of_one_length = parts.windows(2).all(|pair| pair[0].len() == pair[1].len());
        let are_tokens = parts.iter().all(is_token);
        // Parts of one length come from one generator, whatever its characters are.
        parts.len() > 1
            && (are_tokens && (is_long(least) || is_of_one_length && is_long(16))
                || separator == ',' && is_of_one_length && is_long(least))
    })
}

#[cfg(test)]
mod tests;
