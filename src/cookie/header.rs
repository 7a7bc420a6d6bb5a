//! `Cookie` headers, read as npm `cookie` reads them.

/// The name and the value of each cookie, as they stand there, without the quotes around the
/// value.
pub(crate) fn pairs(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|byte| *byte == b';').filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        Some((name, unquoted(value)))
    })
}

/// The value of the first cookie called `name`. Where a name is there more than once, browsers
/// put that of the more specific path, and then the older one, first (RFC 6265 §5.4).
pub(super) fn first<'h>(header: &'h [u8], name: &str) -> Option<&'h [u8]> {
    pairs(header).find(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value)
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_name_counts_in_any_dress() {
        for (header, value) in [
            ("sid=1", Some("1")),
            ("a=0; sid=1; sid=2; b=3", Some("1")),
            ("  sid = 1 ;", Some("1")),
            ("sid=\"1\"", Some("1")),
            ("sid=\"1", Some("\"1")),
            ("sid=\"", Some("\"")),
            ("sid=a=b==", Some("a=b==")),
            ("sid=", Some("")),
            ("sid", None),
            ("", None),
            (";;=;", None),
            ("xsid=1; SID=2; sidx=3", None),
        ] {
            assert_eq!(first(header.as_bytes(), "sid"), value.map(str::as_bytes), "{header:?}");
        }
    }
}
