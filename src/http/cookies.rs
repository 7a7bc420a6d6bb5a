//! The cookies of a request, as a layer looks at them.

use http::HeaderMap;
use http::header::COOKIE;

use crate::cookie::header::pairs;
use crate::error::Reason;

/// A browser sends several cookies of one name where they were set for several paths or
/// domains: a handful. More is somebody who tosses cookies.
const MAX_OF_ONE_NAME: usize = 8;

/// The value of the cookie `name`: of a few, the first counts, as for npm `cookie`.
pub(super) fn find<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Reason> {
    // HTTP/2 may send each in a field of its own (RFC 9113 §8.2.3).
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| pairs(header.as_bytes()))
        .filter(|(own, _)| *own == name.as_bytes())
        .map(|(_, value)| value);
    let Some(first) = values.next() else { return Ok(None) };
    if values.count() >= MAX_OF_ONE_NAME {
        return Err(Reason::Repeated);
    }
    std::str::from_utf8(first).map(Some).map_err(|_| Reason::Malformed)
}
