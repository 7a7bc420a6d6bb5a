//! Cookies of a service inside that knows of no signature: taken off on the way in, put on on
//! the way out.
//!
//! Both ways a whitelist decides, since the parser of the service inside is not known. On the way
//! in there is one pair for the session, the one that was verified, and of the others only those
//! that no parser reads as a session or as more than one pair. On the way out a cookie is signed
//! if a browser stores it under the name of the session (RFC 6265bis §5.6), and a response that
//! sets one which only some parser takes for it is refused.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::cookie::SessionCookie;
use super::form::{Form, is_one_value};
use super::spelling::is_similar;
use crate::cookie::header::{is_plain, split};
use crate::error::Error;

/// The pair of the session for the service inside; `None` if its parser might read another one.
pub(super) fn pair(form: Form, name: &str, value: &str) -> Option<String> {
    let value = form.write(value).filter(|_| is_plain(name.as_bytes()))?;
    Some(format!("{name}={value}"))
}

/// Replaces the cookies of a request by `session`, if there is one, and by the harmless ones
/// among the others.
pub(super) fn unsign(headers: &mut HeaderMap, name: &str, session: Option<String>) {
    let mut inside = session.map(String::into_bytes).unwrap_or_default();
    let all = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    for (other, value) in all.filter_map(split) {
        if is_plain(other) && is_one_value(value) && !is_similar(other, name) {
            if !inside.is_empty() {
                inside.extend_from_slice(b"; ");
            }
            inside.extend_from_slice(other);
            inside.push(b'=');
            inside.extend_from_slice(value);
        }
    }
    let is_sensitive = headers.get_all(COOKIE).iter().any(HeaderValue::is_sensitive);
    headers.remove(COOKIE);
    // All of it is visible ASCII, and blanks.
    if let (false, Ok(mut cookies)) = (inside.is_empty(), HeaderValue::from_bytes(&inside)) {
        cookies.set_sensitive(is_sensitive);
        headers.insert(COOKIE, cookies);
    }
}

/// Signs each cookie of this name that a response sets; one that it removes, without a value,
/// stays as it is. Returns whether there was any.
///
/// # Errors
/// [`Error::Sign`] if one cannot be signed, or if one has a name that only some parsers read as
/// this one.
pub(super) fn sign(
    headers: &mut HeaderMap,
    cookie: &SessionCookie,
    form: Form,
) -> Result<bool, Error> {
    let all: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    let mut is_set = false;
    let mut signed = Vec::with_capacity(all.len());
    for header in all {
        signed.push(match SetCookie::read(header.as_bytes(), cookie.name()) {
            SetCookie::Other => header,
            SetCookie::Resembling => return Err(refuse(
                "the service inside sets a cookie whose name some parsers read as the session's; \
                 set it under the exact name",
            )),
            SetCookie::Session { value, attributes } => {
                is_set = true;
                match value {
                    b"" | b"\"\"" => header,
                    _ => {
                        let mut signed = sign_one(cookie, form, value, attributes)?;
                        signed.set_sensitive(header.is_sensitive());
                        signed
                    }
                }
            }
        });
    }
    if is_set {
        headers.remove(SET_COOKIE);
        for header in signed {
            headers.append(SET_COOKIE, header);
        }
    }
    Ok(is_set)
}

/// Returns whether a browser stores one of the cookies that a response sets under this name.
pub(in crate::http) fn has_set_cookie(headers: &HeaderMap, name: &str) -> bool {
    headers
        .get_all(SET_COOKIE)
        .iter()
        .any(|header| matches!(SetCookie::read(header.as_bytes(), name), SetCookie::Session { .. }))
}

fn sign_one(
    cookie: &SessionCookie,
    form: Form,
    value: &[u8],
    attributes: &[u8],
) -> Result<HeaderValue, Error> {
    let name = cookie.name();
    let value = form.read(value).ok_or_else(|| refuse(match form {
        Form::Plain => {
            "parsers read the value of the session differently; let it be letters, digits and \
             `-._~/=:`, or use `sign_for_inner_encoded` if the service inside percent-decodes"
        }
        Form::Encoded => {
            "the value of the session is not percent-encoded; encode it as `Cookie::encoded` does"
        }
    }))?;
    let value = cookie.signer().sign(name, &value)?;
    if !is_plain(name.as_bytes()) {
        return Err(refuse(
            "parsers read the name of the session differently; choose a token without `%` and `'`",
        ));
    }
    HeaderValue::from_bytes(&[name.as_bytes(), b"=", value.as_bytes(), attributes].concat())
        .map_err(|_| refuse("the cookie cannot be in a header; remove the control characters"))
}

fn refuse(problem: &'static str) -> Error {
    Error::Sign { problem, source: None }
}

/// A `Set-Cookie` header, as it concerns one session.
enum SetCookie<'h> {
    /// A browser stores it under the name of the session.
    Session {
        value: &'h [u8],
        /// With the semicolon before them.
        attributes: &'h [u8],
    },
    /// A browser stores it under another name, which some parser takes for that of the session;
    /// or without a name, so that it sends a pair of the session back.
    Resembling,
    Other,
}

impl<'h> SetCookie<'h> {
    fn read(header: &'h [u8], session: &str) -> Self {
        let end = header.iter().position(|byte| *byte == b';').unwrap_or(header.len());
        let (pair, attributes) = header.split_at(end);
        match split(pair) {
            Some((name, value)) if name == session.as_bytes() => {
                Self::Session { value, attributes }
            }
            // A removal carries no session, under whichever name.
            Some((name, b"" | b"\"\"")) if !name.is_empty() => Self::Other,
            Some((name, _)) if !name.is_empty() && !is_similar(name, session) => Self::Other,
            Some((b"", value)) if !is_similar(value, session) => Self::Other,
            None if !is_similar(pair, session) => Self::Other,
            _ => Self::Resembling,
        }
    }
}
