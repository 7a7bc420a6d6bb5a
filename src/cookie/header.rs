//! `Cookie` headers, read as npm `cookie` reads them.

use crate::error::Reason;

/// A browser sends several cookies of one name if they were set for several paths or domains: a
/// handful. More come from an attacker who tosses cookies.
const MAX_OF_ONE_NAME: usize = 8;

/// The values of one name in the `Cookie` headers of a request, in their order: at least one.
/// Browsers put that of the more specific path, and then the older one, first (RFC 6265 §5.4).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CookieValues<'h> {
    /// Most requests.
    One(&'h [u8]),
    /// The values, and how many they are.
    Several([&'h [u8]; MAX_OF_ONE_NAME], usize),
}

impl<'h> CookieValues<'h> {
    /// The values of the cookie `name`; `None` without any.
    ///
    /// # Errors
    /// [`Reason::Repeated`] if there are more than eight.
    pub(crate) fn from_headers(
        name: &str,
        headers: impl IntoIterator<Item = &'h [u8]>,
    ) -> Result<Option<Self>, Reason> {
        let mut values = headers
            .into_iter()
            .flat_map(pairs)
            .filter(|(other, _)| *other == name.as_bytes())
            .map(|(_, value)| value);
        let Some(first) = values.next() else { return Ok(None) };
        let Some(second) = values.next() else { return Ok(Some(Self::One(first))) };
        let (mut several, mut count) = ([first; MAX_OF_ONE_NAME], 2);
        several[1] = second;
        for value in values {
            *several.get_mut(count).ok_or(Reason::Repeated)? = value;
            count += 1;
        }
        Ok(Some(Self::Several(several, count)))
    }

    pub(crate) fn values(&self) -> &[&'h [u8]] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Several(values, count) => &values[..*count],
        }
    }
}

/// The name and the value of each cookie, as they are in the header, without the quotes around
/// the value.
fn pairs(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|byte| *byte == b';').filter_map(|pair| {
        let (name, value) = split(pair)?;
        Some((name, strip_quotes(value)))
    })
}

/// The name and the value of a pair, as browsers take it apart: blanks and tabs around both do
/// not count. `None` without an equals sign.
pub(crate) fn split(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    Some((trim(&pair[..equals]), trim(&pair[equals + 1..])))
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn strip_quotes(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// The value of a pair that a framework took apart, without the quotes around it.
#[inline]
pub(super) fn strip_text_quotes(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// Returns whether every parser reads the name of a cookie as it is: a token (RFC 9110 §5.6.2)
/// without `%` and `'`, and not an attribute of RFC 2109 (`$Version`).
pub(crate) fn is_plain(name: &[u8]) -> bool {
    !name.is_empty()
        && !name.starts_with(b"$")
        && name.iter().all(|byte| is_token(*byte) && *byte != b'%')
}

/// Returns whether it is a character of a token, but for the single quote, which some parser
/// strips.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}'".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'h>(headers: &[&'h str]) -> Result<Option<Vec<&'h str>>, Reason> {
        let found =
            CookieValues::from_headers("sid", headers.iter().map(|header| header.as_bytes()))?;
        let text = |value: &&'h [u8]| std::str::from_utf8(value).unwrap();
        Ok(found.map(|found| found.values().iter().map(text).collect()))
    }

    #[test]
    fn each_value_of_a_name_is_found_in_any_form() {
        for (header, values) in [
            ("sid=1", &["1"][..]),
            ("a=0; sid=1; sid=2; b=3", &["1", "2"]),
            ("  sid = 1 ;", &["1"]),
            ("\tsid\t=\t1\t", &["1"]),
            ("sid=\"1\"", &["1"]),
            ("sid=\"1", &["\"1"]),
            ("sid=\"", &["\""]),
            ("sid=a=b==", &["a=b=="]),
            ("sid=", &[""]),
            ("sid=;sid=;sid", &["", ""]),
            ("sid", &[]),
            ("", &[]),
            (";;=;", &[]),
            ("xsid=1; SID=2; sidx=3", &[]),
        ] {
            let values = (!values.is_empty()).then(|| values.to_vec());
            assert_eq!(found(&[header]), Ok(values), "{header:?}");
        }
        let values = vec!["1", "2", "3"];
        assert_eq!(found(&["sid=1", "a=0", "sid=2; sid=3", ""]), Ok(Some(values)));
        assert_eq!(found(&[]), Ok(None));
    }

    #[test]
    fn nine_of_a_name_are_refused() {
        let eight = ["sid=1; sid=2; sid=3; sid=4", "sid=5", "sid=6; sid=7; sid=8"];
        assert_eq!(found(&eight).unwrap().unwrap().len(), 8);
        assert_eq!(found(&[&eight[..], &["sid="]].concat()), Err(Reason::Repeated));
        assert_eq!(found(&[&*"sid=x;".repeat(10_000)]), Err(Reason::Repeated));
    }

    #[test]
    fn a_plain_name_is_a_token_without_a_percent_sign() {
        for name in ["sid", "__Host-sid", "a.b", "connect.sid", "x!#&*+^`|~"] {
            assert!(is_plain(name.as_bytes()), "{name:?}");
        }
        for name in
            ["", "$Version", "%73id", "a b", "a\"", "a=b", "a;b", "é", "a\t", "a[0]", "a@b", "'a'"]
        {
            assert!(!is_plain(name.as_bytes()), "{name:?}");
        }
    }
}
