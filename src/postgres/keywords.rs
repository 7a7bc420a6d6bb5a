//! The form of libpq: `host=db user=app password='a b'`.

use zeroize::Zeroizing;

use super::parameters::{Dialect, Draft};
use super::settings::is_blank;
use super::uri;
use super::{ConnectionString, ConnectionStringError};

pub(super) fn parse(text: &str) -> Result<ConnectionString, ConnectionStringError> {
    let mut draft = Draft::new(Dialect::Keywords);
    let mut rest = text.trim_start_matches(is_blank);
    let mut after_secret = false;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(ConnectionStringError::Form)?;
        let name = name.trim_end_matches(is_blank);
        // A URL of another form, or a value whose blanks are not in quotes.
        if name.is_empty() || name.contains(|own| is_blank(own) || own == ':' || own == '/') {
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
    while let Some((place, own)) = chars.next() {
        match own {
            '\\' => {
                // One at the end is dropped, as libpq does.
                value.extend(chars.next().map(|(_, own)| own));
            }
            '\'' if is_quoted => return Ok((value, &inner[place + 1..])),
            own if is_blank(own) && !is_quoted => return Ok((value, &inner[place..])),
            own => value.push(own),
        }
    }
    match is_quoted {
        true => Err(ConnectionStringError::Form),
        false => Ok((value, "")),
    }
}
