//! The cookies of a request, as a layer reads them.

use http::HeaderMap;
use http::header::COOKIE;

use crate::cookie::header::Found;
use crate::error::Reason;

/// Finds the values of the cookie `name`; `None` without any.
pub(super) fn find<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<Found<'h>>, Reason> {
    // HTTP/2 may send each in a field of its own (RFC 9113 §8.2.3).
    Found::of(name, headers.get_all(COOKIE).iter().map(|header| header.as_bytes()))
}
