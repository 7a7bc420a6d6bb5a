//! The form of libpq: `host=db user=app password='a b'`.

use zeroize::Zeroizing;

use super::parameters::{Dialect, Draft};
use super::{ConnectionString, ConnectionStringError};

pub(super) fn parse(text: &str) -> Result<ConnectionString, ConnectionStringError> {
    let mut draft = Draft::new(Dialect::Keywords);
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(ConnectionStringError::Form)?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(ConnectionStringError::Form);
        }
        let (value, after) = value(after.trim_start())?;
        draft.set(name, &value)?;
        rest = after.trim_start();
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
                let (_, escaped) = chars.next().ok_or(ConnectionStringError::Form)?;
                value.push(escaped);
            }
            '\'' if is_quoted => return Ok((value, &inner[place + 1..])),
            own if own.is_whitespace() && !is_quoted => return Ok((value, &inner[place..])),
            own => value.push(own),
        }
    }
    match is_quoted {
        true => Err(ConnectionStringError::Form),
        false => Ok((value, "")),
    }
}
