//! Where a token stands in a request.

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

/// The same, or if there is none, that in the cookie of this name.
pub(super) fn of<'h>(
    headers: &'h HeaderMap,
    cookie: Option<&str>,
) -> Result<Option<&'h str>, Reason> {
    match (token(headers)?, cookie) {
        #[cfg(feature = "cookie")]
        (None, Some(name)) => crate::http::cookies::first(headers, name),
        (token, _) => Ok(token),
    }
}
