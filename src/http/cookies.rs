//! The cookies of a request, as a layer reads them.

use http::HeaderMap;
use http::header::COOKIE;

use crate::cookie::header::Found;
use crate::error::Reason;

/// The values of the cookie `name`; `None` without any.
pub(super) fn found<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<Found<'h>>, Reason> {
    // HTTP/2 may send each in a field of its own (RFC 9113 §8.2.3).
    Found::of(name, headers.get_all(COOKIE).iter().map(|header| header.as_bytes()))
}

/// The value of the cookie `name`: of a few, the first.
#[cfg(feature = "jwt")]
pub(super) fn first<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Reason> {
    let Some(found) = found(headers, name)? else { return Ok(None) };
    let first = found.values().first().copied().unwrap_or_default();
    std::str::from_utf8(first).map(Some).map_err(|_| Reason::Malformed)
}
