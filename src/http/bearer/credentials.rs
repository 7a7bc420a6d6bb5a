//! The places of a token in a request.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::error::Reason;

/// The token in the `Authorization` header; none, if there is no such header or it is of
/// another scheme.
pub(in crate::http) fn token(headers: &HeaderMap) -> Result<Option<&str>, Reason> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    // Of two, somebody else may look at the other.
    if values.next().is_some() {
        return Err(Reason::Repeated);
    }
    let value = value.to_str().map_err(|_| Reason::Malformed)?;
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    // The name of a scheme has no case (RFC 9110 §11.1).
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    // "Bearer" 1*SP b64token (RFC 6750 §2.1).
    Ok(Some(rest.trim_start_matches(' ')))
}

/// The place of a token in a request.
pub(super) enum Presented<'h> {
    /// In the `Authorization` header.
    Header(&'h str),
    /// In cookies of one name, of which the first that verifies counts.
    #[cfg(feature = "cookie")]
    Cookies(crate::cookie::header::CookieValues<'h>),
}

/// Finds the token in the `Authorization` header, or if there is none, in the cookies of this name.
pub(super) fn find<'h>(
    headers: &'h HeaderMap,
    cookie: Option<&str>,
) -> Result<Option<Presented<'h>>, Reason> {
    match (token(headers)?, cookie) {
        #[cfg(feature = "cookie")]
        (None, Some(name)) => {
            Ok(crate::http::cookies::find(headers, name)?.map(Presented::Cookies))
        }
        (token, _) => Ok(token.map(Presented::Header)),
    }
}
