//! The form of libpq: `host=db user=app password='a b'`.

use zeroize::Zeroizing;

use super::connection_string::ConnectionString;
use super::draft::Draft;
use super::error::ConnectionStringError;
use super::scheme::Dialect;
use super::settings::is_blank;
use super::uri;

pub(super) fn parse(text: &str) -> Result<ConnectionString, ConnectionStringError> {
    let mut draft = Draft::new(Dialect::Keywords);
    let mut rest = text.trim_start_matches(is_blank);
    let mut after_secret = false;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(ConnectionStringError::Form)?;
        let name = name.trim_end_matches(is_blank);
        // A URL of another form, or a value whose blanks are not in quotes.
        if name.is_empty()
            || name.contains(|letter| is_blank(letter) || letter == ':' || letter == '/')
        {
            return Err(ConnectionStringError::Form);
        }
        let (value, after) = value(after.trim_start_matches(is_blank))?;
        uri::set(&mut draft, name, &value, after_secret)?;
        after_secret = uri::is_secret(name);
        rest = after.trim_start_matches(is_blank);
    }
    draft.finish()
}

/// The value at the start of `text`, and what comes after it.
fn value(text: &str) -> Result<(Zeroizing<String>, &str), ConnectionStringError> {
    let is_quoted = text.starts_with('\'');
    let inner = if is_quoted { &text[1..] } else { text };
    // With its room from the start: a text that grows leaves parts of a secret behind unwiped.
    let mut value = Zeroizing::new(String::with_capacity(inner.len()));
    let mut chars = inner.char_indices();
    while let Some((place, letter)) = chars.next() {
        match letter {
            '\\' => {
                // One at the end is dropped, as libpq does.
                value.extend(chars.next().map(|(_, letter)| letter));
            }
            '\'' if is_quoted => return Ok((value, &inner[place + 1..])),
            letter if is_blank(letter) && !is_quoted => return Ok((value, &inner[place..])),
            letter => value.push(letter),
        }
    }
    if is_quoted {
        return Err(ConnectionStringError::Form);
    }
    Ok((value, ""))
}
