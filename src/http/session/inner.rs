//! Cookies of a service inside that knows of no signature: taken off on the way in, put on on
//! the way out.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::SessionCookie;
use crate::cookie::Cookie;
use crate::error::Error;

/// Puts `session` as it was signed in the place of all cookies of this name; without one, they
/// are taken away.
pub(super) fn unsign(headers: &mut HeaderMap, name: &str, session: Option<&Cookie<'_>>) {
    let mut rest = Vec::new();
    if let Some(session) = session {
        rest.extend_from_slice(plain(session).as_bytes());
    }
    for pair in
        headers.get_all(COOKIE).iter().flat_map(|all| all.as_bytes().split(|own| *own == b';'))
    {
        let own = pair.split(|own| *own == b'=').next().unwrap_or_default();
        if own.trim_ascii() != name.as_bytes() && !pair.trim_ascii().is_empty() {
            if !rest.is_empty() {
                rest.extend_from_slice(b"; ");
            }
            rest.extend_from_slice(pair.trim_ascii());
        }
    }
    headers.remove(COOKIE);
    // Made of what stood in headers, and of `plain`.
    if let (false, Ok(cookies)) = (rest.is_empty(), HeaderValue::from_bytes(&rest)) {
        headers.insert(COOKIE, cookies);
    }
}

/// The cookie as it stands in a header: byte for byte as it was signed, unless that could be
/// taken for something else there.
fn plain(cookie: &Cookie<'_>) -> String {
    let stands = cookie.value().bytes().all(|own| matches!(own, b' '..=b'~') && own != b';');
    match stands {
        true => cookie.stripped().to_string(),
        false => cookie.stripped().encoded().to_string(),
    }
}

/// Signs each cookie of this name that a response sets; one that it removes, without a value,
/// stays as it is.
pub(super) fn sign(headers: &mut HeaderMap, cookie: &SessionCookie) -> Result<(), Error> {
    let own: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for header in own {
        let header = match parts(&header, cookie.name()) {
            Some((value, attributes)) if !value.is_empty() => signed(cookie, value, attributes)?,
            _ => header,
        };
        headers.append(SET_COOKIE, header);
    }
    Ok(())
}

fn signed(cookie: &SessionCookie, value: &str, attributes: &str) -> Result<HeaderValue, Error> {
    let (name, value) = (cookie.name(), cookie.signer().sign(cookie.name(), value)?);
    let problem = "the cookie cannot stand in a header";
    HeaderValue::try_from(format!("{name}={value}{attributes}"))
        .map_err(|_| Error::Sign { problem, source: None })
}

/// Whether a `Set-Cookie` is of the cookie `name`.
pub(super) fn sets(headers: &HeaderMap, name: &str) -> bool {
    headers.get_all(SET_COOKIE).iter().any(|header| {
        let pair = header.as_bytes().split(|own| *own == b'=').next().unwrap_or_default();
        pair.trim_ascii() == name.as_bytes()
    })
}

/// The value of a `Set-Cookie` of the cookie `name`, and its attributes with the semicolon
/// before them.
fn parts<'h>(header: &'h HeaderValue, name: &str) -> Option<(&'h str, &'h str)> {
    let text = std::str::from_utf8(header.as_bytes()).ok()?;
    let (pair, attributes) = text.split_at(text.find(';').unwrap_or(text.len()));
    let (own, value) = pair.split_once('=')?;
    (own.trim() == name).then(|| (value.trim(), attributes))
}
