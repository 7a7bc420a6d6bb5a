//! The cookies of a request, as a layer reads them.

use http::HeaderMap;
use http::header::COOKIE;

use crate::cookie::header::CookieValues;
use crate::error::Reason;

/// Finds the values of the cookie `name`; `None` without any.
pub(super) fn find<'h>(
    headers: &'h HeaderMap,
    name: &str,
) -> Result<Option<CookieValues<'h>>, Reason> {
    // HTTP/2 may send each in a field of its own (RFC 9113 §8.2.3).
    CookieValues::from_headers(name, headers.get_all(COOKIE).iter().map(|header| header.as_bytes()))
}
